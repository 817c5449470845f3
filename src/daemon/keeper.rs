//! Looks after the log: what every snapshot covers may make room where the log's limits demand it.

use crate::clock::Clock;
use crate::log::{self, Kv, Log, LogError, Stream};
use crate::{engine, escalation, plan, remediation};
use std::time::Duration;

const EVERY: Duration = Duration::from_secs(30);

/// Runs until the log is gone.
pub(super) async fn run<L: Log + Kv>(log: L, clock: impl Clock) -> Result<(), LogError> {
    let folds: [(&str, &[Stream]); 3] = [
        (engine::run::NAME, &engine::run::FOLDED),
        (remediation::run::NAME, &remediation::run::FOLDED),
        (escalation::run::NAME, &escalation::run::FOLDED),
    ];
    loop {
        clock.after(EVERY).await;
        let mut covered = log::covered(&log, &folds).await?;
        // The planner folds nothing: what it has not read yet is needed.
        for place in log.places().await?.iter().filter(|place| place.consumer == plan::run::NAME) {
            let next = log.read(place.floor, &[Stream::Decisions], 1).await?;
            covered = covered.min(next.first().map_or(covered, |next| next.seq - 1));
        }
        log.trim(covered).await?;
    }
}
