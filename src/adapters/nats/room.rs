//! Room in the log: it is made before there is none, and the last of it is kept for decisions and journals.

use super::publish::{self, Trouble, patiently, pause};
use super::streams::LOG;
use super::{Inner, Nats};
use crate::log::{LogError, Seq};
use std::{
    sync::{
        Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// Between two looks.
const LOOK: Duration = Duration::from_secs(2);

/// Whether events still find room.
#[derive(Default)]
pub(super) struct Room(AtomicBool);

impl Room {
    pub(super) fn is_short(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Looks how full the log is, where it has a limit: a flood of events must not stop what is under way.
pub(super) async fn run(log: Weak<Inner>) {
    loop {
        let Some(inner) = log.upgrade() else { return };
        let log = Nats { inner, fence: None };
        let most = log.inner.max_bytes;
        if most == 0 {
            return;
        }
        if let Ok(state) = log.state().await {
            log.inner.room.0.store(state.bytes > most / 20 * 19, Ordering::Relaxed);
        }
        drop(log);
        pause(LOOK).await;
    }
}

/// Drops the oldest records that snapshots cover, where the log is nearly full.
pub(super) async fn trim(log: &Nats, covered: Seq) -> Result<(), LogError> {
    let most = log.inner.max_bytes;
    let state = log.state().await?;
    log.saw(state.last_sequence);
    // What is full refuses: so it is made room before it is.
    if most == 0 || state.bytes < most / 10 * 8 {
        return Ok(());
    }
    let quarter = (state.last_sequence - state.first_sequence) / 4;
    let upto = (state.first_sequence + quarter).min(covered);
    let link = &log.inner.link;
    let purged = patiently(|| async move {
        let stream = link.stream(LOG).await?;
        stream.purge().sequence(upto + 1).await.map_err(|error| publish::again(&error))
    });
    let purged = purged.await.map_err(Trouble::told)?.purged;
    tracing::info!(purged, upto, "the oldest records made room; they are in snapshots");
    Ok(())
}
