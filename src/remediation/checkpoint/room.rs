//! How many checkpoints are written at the same time: by number in one plan, by what the storage takes over all plans.

use super::super::{Journal, StepState};
use crate::model::{Action, Handshake, Plan, PlannedCheckpoint, PlannedStep};
use std::time::Duration;

/// What is left for one more.
pub(super) struct Room {
    at_once: usize,
    bandwidth: Option<u64>,
    /// One that is no older is good enough.
    pub(super) fresh: Duration,
    under_way: usize,
    /// Bytes a second of all that are under way, those of other plans included.
    needed: u64,
}

impl Room {
    pub(super) fn of(plan: &Plan, journal: &Journal, step: &str, elsewhere: u64) -> Room {
        let (at_once, bandwidth, fresh) = match plan.step(step).map(|step| &step.action) {
            Some(Action::Checkpoint { at_once, bandwidth, fresh, .. }) => {
                ((*at_once).max(1) as usize, *bandwidth, fresh.0)
            }
            _ => (usize::MAX, None, Duration::ZERO),
        };
        let running = |it: &&PlannedCheckpoint| {
            journal.checkpoints.get(&it.unit).is_some_and(|state| !state.is_over())
        };
        let under_way = plan.checkpoints.iter().filter(running).count();
        let needed = elsewhere.saturating_add(need(plan, journal));
        Room { at_once, bandwidth, fresh, under_way, needed }
    }

    /// One that alone needs more than there is runs alone.
    pub(super) fn has(&self, unit: &PlannedCheckpoint) -> bool {
        let narrow =
            |most: u64| self.needed > 0 && self.needed.saturating_add(unit.known_rate()) > most;
        self.under_way < self.at_once && !self.bandwidth.is_some_and(narrow)
    }

    pub(super) fn take(&mut self, unit: &PlannedCheckpoint) {
        self.under_way += 1;
        self.needed = self.needed.saturating_add(unit.known_rate());
    }
}

/// Bytes a second that the plan's checkpoints under way need, as far as that is known. Nobody waits for those of a plan
/// that does not ask any more.
pub(in crate::remediation) fn need(plan: &Plan, journal: &Journal) -> u64 {
    let asks = |step: &&PlannedStep| matches!(step.action, Action::Checkpoint { .. });
    let asking = plan.steps.iter().find(asks).is_some_and(|step| {
        use StepState::{Started, Unknown};
        matches!(journal.state(&step.name), Started { .. } | Unknown { .. })
    });
    if !asking || journal.ended.is_some() {
        return 0;
    }
    let of = |unit: &PlannedCheckpoint| match journal.checkpoints.get(&unit.unit)? {
        Handshake::Requested { .. } => Some(unit.known_rate()),
        Handshake::Acknowledged { at, ready_at: Some(ready), bytes: Some(bytes) } => {
            let lasts = u64::try_from(ready.duration_since(*at).as_secs()).unwrap_or(0);
            Some(bytes / lasts.max(1))
        }
        Handshake::Acknowledged { .. } => Some(unit.known_rate()),
        Handshake::Durable { .. } | Handshake::Expired { .. } => None,
    };
    plan.checkpoints.iter().filter_map(of).fold(0, u64::saturating_add)
}

impl PlannedCheckpoint {
    /// Bytes a second that it needed before; none, where nothing is known.
    fn known_rate(&self) -> u64 {
        let seconds = self.takes.map_or(0, |takes| takes.0.as_secs());
        self.bytes.map_or(0, |bytes| bytes / seconds.max(1))
    }
}
