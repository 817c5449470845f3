//! I6: one page per incident, level and time, and none after the resolution.

use super::super::ledger::Ledger;
use crate::model::{PageKey, PageKind, PageStep};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Default)]
pub(super) struct Book {
    intents: BTreeSet<PageKey>,
    delivered: BTreeSet<PageKey>,
    /// Round and level of the last call of an incident.
    calls: BTreeMap<String, (u32, u32)>,
    over: BTreeSet<String>,
}

impl Book {
    pub(super) fn step(&mut self, incident: &str, step: &PageStep, ledger: &Ledger) -> Vec<String> {
        let mut faults = vec![];
        let resolved = ledger.incidents.get(incident).is_some_and(|known| known.resolved.is_some());
        match step {
            PageStep::Calling { level, nth, .. } => {
                let before = self.calls.insert(incident.to_owned(), (*nth, *level));
                if before.is_some_and(|before| before >= (*nth, *level)) {
                    faults.push(format!(
                        "level {level} of {incident} is called as number {nth} again"
                    ));
                }
            }
            PageStep::Intent { key, .. } => {
                if !self.intents.insert(key.clone()) {
                    faults.push(format!("{} is to be sent twice", name(key)));
                }
                if self.over.contains(incident) && key.kind == PageKind::Trigger {
                    faults.push(format!("{} is to be sent after {incident} is over", name(key)));
                }
            }
            PageStep::Attempt { key, .. } => {
                if self.over.contains(incident) && key.kind == PageKind::Trigger && resolved {
                    faults.push(format!("{} is sent after {incident} is over", name(key)));
                }
            }
            PageStep::Delivered { key, .. } => {
                self.delivered.insert(key.clone());
            }
            PageStep::StoodDown { .. } => {
                self.over.insert(incident.to_owned());
            }
            PageStep::Undelivered { .. }
            | PageStep::Acknowledged { .. }
            | PageStep::Unanswered { .. } => {}
        }
        faults
    }

    /// A pager rings: an answer that was lost is the only reason to ring it again.
    pub(super) fn rang(&mut self, key: &PageKey) -> Option<String> {
        if self.delivered.contains(key) {
            return Some(format!("{} rings although it was delivered", name(key)));
        }
        (!self.intents.contains(key))
            .then(|| format!("{} rings and was never written down", name(key)))
    }
}

fn name(key: &PageKey) -> String {
    let PageKey { incident, level, nth, contact, .. } = key;
    format!("page {nth} of level {level} to {contact} about {incident}")
}
