//! Virtual time: the paused clock of the runtime, and the clocks of the daemons on it.

use super::gate::Gate;
use crate::clock::Clock;
use jiff::{SignedDuration, Timestamp};
use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;

/// The time of the world: begins at a fixed moment and jumps from one thing to the next.
#[derive(Debug, Clone, Copy)]
pub(super) struct Virtual {
    start: Instant,
    epoch: Timestamp,
}

impl Virtual {
    /// Begins now, and calls it `epoch`. Only within a runtime whose clock is paused is it virtual.
    pub(super) fn begin(epoch: Timestamp) -> Virtual {
        Virtual { start: Instant::now(), epoch }
    }

    fn passed(&self) -> Duration {
        Instant::now().duration_since(self.start)
    }
}

impl Clock for Virtual {
    fn now(&self) -> Timestamp {
        self.epoch.checked_add(self.passed()).unwrap_or(self.epoch)
    }

    fn steady(&self) -> Duration {
        self.passed()
    }

    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    async fn until(&self, deadline: Option<Timestamp>) {
        let Some(at) = deadline else { return std::future::pending().await };
        let after = Duration::try_from(at.duration_since(self.epoch)).unwrap_or_default();
        match self.start.checked_add(after) {
            Some(at) => tokio::time::sleep_until(at).await,
            None => std::future::pending().await,
        }
    }
}

/// The clock of one daemon: it may be wrong, and it stands still with its process.
#[derive(Debug, Clone)]
pub(super) struct Watch {
    time: Virtual,
    /// Milliseconds by which it is ahead.
    skew: Arc<AtomicI64>,
    gate: Gate,
}

impl Watch {
    pub(super) fn new(time: Virtual, skew: Arc<AtomicI64>, gate: Gate) -> Watch {
        Watch { time, skew, gate }
    }

    fn ahead(&self) -> SignedDuration {
        SignedDuration::from_millis(self.skew.load(Ordering::Relaxed))
    }
}

impl Clock for Watch {
    fn now(&self) -> Timestamp {
        let now = self.time.now();
        now.checked_add(self.ahead()).unwrap_or(now)
    }

    fn steady(&self) -> Duration {
        self.time.steady()
    }

    async fn until(&self, deadline: Option<Timestamp>) {
        let at = deadline.map(|at| at.checked_sub(self.ahead()).unwrap_or(at));
        self.time.until(at).await;
        self.gate.pass().await;
    }
}
