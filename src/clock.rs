//! The only reader of the time. Everywhere else `now` is an argument and a deadline is state.

use jiff::Timestamp;
use std::{
    future::Future,
    sync::LazyLock,
    time::{Duration, Instant},
};

pub trait Clock: Clone + Send + Sync + 'static {
    fn now(&self) -> Timestamp;

    /// Time that is never set back, since some beginning: what a lease is measured with. It goes on while the
    /// process is stopped.
    fn steady(&self) -> Duration {
        self.now().duration_since(Timestamp::UNIX_EPOCH).try_into().unwrap_or_default()
    }

    /// Resolves at `deadline`; never, when there is none.
    fn until(&self, deadline: Option<Timestamp>) -> impl Future<Output = ()> + Send;

    /// Resolves after `pause`.
    fn after(&self, pause: Duration) -> impl Future<Output = ()> + Send {
        let at = self.now().checked_add(pause).ok();
        async move { self.until(at).await }
    }
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct System;

static START: LazyLock<Instant> = LazyLock::new(start);

#[expect(clippy::disallowed_methods, reason = "this is the clock")]
fn start() -> Instant {
    Instant::now()
}

impl Clock for System {
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn steady(&self) -> Duration {
        START.elapsed()
    }

    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    async fn until(&self, deadline: Option<Timestamp>) {
        match deadline {
            Some(at) => {
                let wait = at.duration_since(self.now());
                tokio::time::sleep(wait.try_into().unwrap_or_default()).await;
            }
            None => std::future::pending().await,
        }
    }
}
