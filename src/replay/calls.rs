//! The calls for people that follow, by the ladder that the daemon climbs.

use crate::engine::Said;
use crate::escalation::{self, Input, State};
use crate::model::{Directory, Envelope, Outcome, PageKey, PageKind, PageStep, kind};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// One side's ladders. Every page is taken to arrive.
#[derive(Debug, Default)]
pub(super) struct Calls {
    state: State,
    rung: BTreeMap<PageKey, Timestamp>,
}

/// Rungs climbed at one look: more is a ladder without end.
const MOST: usize = 10_000;

impl Calls {
    pub(super) fn said(&mut self, said: &Said, directory: &Directory, at: Timestamp) {
        match said {
            Said::Change(change) if change.kind == kind::INCIDENT => {
                let target = change.subject.to_string();
                self.hear(&Input::Change(&change.data, &target), directory, at);
            }
            Said::Decision(decision) => {
                self.hear(&Input::Decision(&decision.data), directory, at);
            }
            Said::Change(_) | Said::Event(_) => {}
        }
    }

    pub(super) fn outcome(
        &mut self,
        outcome: &Envelope<Outcome>,
        directory: &Directory,
        at: Timestamp,
    ) {
        if let Outcome::Remediation { incident, entry, .. } = &outcome.data {
            self.hear(&Input::Journal { incident, entry }, directory, at);
        }
    }

    /// Time goes by.
    pub(super) fn until(&mut self, at: Timestamp, directory: &Directory) {
        for _ in 0..MOST {
            let Some(due) = self.state.wake_at().filter(|due| *due <= at) else { return };
            self.hear(&Input::Woke, directory, due);
        }
    }

    fn hear(&mut self, input: &Input<'_>, directory: &Directory, at: Timestamp) {
        for (incident, step) in escalation::step(&mut self.state, directory, input, at) {
            self.state.fold(&incident, &step, at);
            if let PageStep::Intent { key, .. } = step {
                let delivered = PageStep::Delivered { key: key.clone(), reference: String::new() };
                self.state.fold(&incident, &delivered, at);
                self.rung.entry(key).or_insert(at);
            }
        }
    }

    pub(super) fn pages(&self, from: Timestamp, to: Timestamp) -> usize {
        let called = |(key, at): &(&PageKey, &Timestamp)| {
            key.kind == PageKind::Trigger && from <= **at && **at < to
        };
        self.rung.iter().filter(called).count()
    }
}
