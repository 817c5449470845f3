//! Looks after the log: what every snapshot covers may make room where the log's limits demand it.

use crate::clock::Clock;
use crate::log::{self, Kv, Log, LogError};
use crate::{engine, escalation, remediation};
use std::time::Duration;

const EVERY: Duration = Duration::from_secs(30);

/// Runs until the log is gone.
pub(super) async fn run<L: Log + Kv>(log: L, clock: impl Clock) -> Result<(), LogError> {
    let rooms = [engine::run::NAME, remediation::run::NAME, escalation::run::NAME];
    loop {
        clock.after(EVERY).await;
        let covered = log::covered(&log, &rooms).await?;
        log.trim(covered).await?;
    }
}
