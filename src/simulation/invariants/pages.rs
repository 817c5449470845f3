//! I6: one page per incident, level and time, and none after the resolution.

use super::super::ledger::Ledger;
use crate::model::{PageKey, PageKind, PageStep};
use jiff::Timestamp;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// So much later than the engine does escalation hear of a resolution, where nothing is broken.
const SLACK: Duration = Duration::from_secs(30);

#[derive(Debug, Default)]
pub(super) struct Book {
    intents: BTreeSet<PageKey>,
    delivered: BTreeSet<PageKey>,
    /// The process that rang last; and, once it was told that the page was taken, the calls to the log that had failed.
    rung: BTreeMap<PageKey, (u32, Option<u64>)>,
    /// Calls to the log that came back with an error: the rooms start again, and what was to be remembered is not.
    failed: u64,
    /// Round and level of the last call of an incident.
    calls: BTreeMap<String, (u32, u32)>,
    over: BTreeSet<String>,
}

impl Book {
    pub(super) fn step(
        &mut self,
        incident: &str,
        step: &PageStep,
        ledger: &Ledger,
        now: Timestamp,
    ) -> Vec<String> {
        let mut faults = vec![];
        let resolved = ledger.incidents.get(incident).and_then(|known| known.resolved);
        let late = resolved.and_then(|at| at.checked_add(SLACK).ok()).is_some_and(|at| at < now);
        let over = late || self.over.contains(incident);
        match step {
            PageStep::Calling { level, nth, .. } => {
                let before = self.calls.insert(incident.to_owned(), (*nth, *level));
                if before.is_some_and(|before| before >= (*nth, *level)) {
                    let text =
                        format!("level {level} of {incident} is called as number {nth} again");
                    faults.push(text);
                }
            }
            PageStep::Intent { key, .. } => {
                if !self.intents.insert(key.clone()) {
                    faults.push(format!("{} is to be sent twice", name(key)));
                }
                if over && key.kind == PageKind::Trigger {
                    faults.push(format!("{} is to be sent after {incident} is over", name(key)));
                }
            }
            PageStep::Attempt { key, .. } => {
                if self.over.contains(incident) && key.kind == PageKind::Trigger {
                    faults.push(format!("{} is sent after {incident} is over", name(key)));
                }
            }
            PageStep::Delivered { key, .. } => {
                self.delivered.insert(key.clone());
            }
            PageStep::StoodDown { .. } => {
                self.over.insert(incident.to_owned());
            }
            PageStep::Held { .. }
            | PageStep::Undelivered { .. }
            | PageStep::Acknowledged { .. }
            | PageStep::Unanswered { .. } => {}
        }
        faults
    }

    /// A pager rings. That an answer was lost, the process died or the log did not take it are the only reasons
    /// to ring again.
    pub(super) fn rang(&mut self, key: &PageKey, life: u32) -> Option<String> {
        let before = self.rung.insert(key.clone(), (life, None));
        if self.delivered.contains(key) {
            return Some(format!("{} rings although it was delivered", name(key)));
        }
        if before == Some((life, Some(self.failed))) {
            return Some(format!("{} rings again, and its answer was not lost", name(key)));
        }
        (!self.intents.contains(key))
            .then(|| format!("{} rings and was never written down", name(key)))
    }

    pub(super) fn log_failed(&mut self) {
        self.failed += 1;
    }

    /// The process has heard that the page was taken.
    pub(super) fn answered(&mut self, key: &PageKey, life: u32) {
        self.rung.insert(key.clone(), (life, Some(self.failed)));
    }
}

fn name(key: &PageKey) -> String {
    let PageKey { incident, level, nth, contact, .. } = key;
    format!("page {nth} of level {level} to {contact} about {incident}")
}
