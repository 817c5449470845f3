//! What was recorded, taken in: the state is nothing else.

use super::{Ladder, MOST_NOTES, Stand, State};
use crate::model::{PageKind, PageStep};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

impl State {
    /// Takes in what was recorded.
    pub fn fold(&mut self, incident: &str, step: &PageStep, now: Timestamp) {
        self.outbox.fold(step, now);
        match step {
            PageStep::Intent { key, .. } if key.kind == PageKind::Note => {
                self.noted.insert(key.clone());
                if self.noted.len() > MOST_NOTES {
                    self.noted.pop_first();
                }
            }
            PageStep::Calling { policy, level, nth, until, why } => {
                self.stands(
                    incident,
                    policy,
                    (*nth, *level),
                    why,
                    Stand::Calling { until: *until },
                );
            }
            PageStep::Held { policy, level, nth, until, why } => {
                self.stands(incident, policy, (*nth, *level), why, Stand::Held { until: *until });
            }
            PageStep::StoodDown { .. } => {
                if self.ladders.remove(incident).is_some() {
                    self.cases.remove(incident);
                }
            }
            step => {
                if let Some(ladder) = self.ladders.get_mut(incident) {
                    ladder.fold(step);
                }
            }
        }
    }

    /// The ladder stands there from now on.
    fn stands(
        &mut self,
        incident: &str,
        policy: &str,
        (nth, level): (u32, u32),
        why: &str,
        stand: Stand,
    ) {
        let fresh = || Ladder {
            policy: policy.to_owned(),
            level,
            nth,
            round: 1,
            why: why.to_owned(),
            stand: stand.clone(),
            rung: BTreeSet::new(),
            threads: BTreeMap::new(),
            dead: BTreeSet::new(),
        };
        let ladder = self.ladders.entry(incident.to_owned()).or_insert_with(fresh);
        if nth > ladder.nth {
            let goes_on = matches!(ladder.stand, Stand::Calling { .. } | Stand::Held { .. });
            ladder.round = if goes_on { ladder.round + 1 } else { 1 };
        }
        (ladder.level, ladder.nth) = (level, nth);
        (ladder.policy, ladder.why) = (policy.to_owned(), why.to_owned());
        ladder.stand = stand;
    }
}

impl Ladder {
    fn fold(&mut self, step: &PageStep) {
        match step {
            PageStep::Delivered { key, reference } if key.kind == PageKind::Trigger => {
                self.rung.insert((key.level, key.contact.clone()));
                self.threads.entry(key.contact.clone()).or_insert_with(|| reference.clone());
            }
            PageStep::Undelivered { key, .. } => {
                self.dead.insert((key.level, key.nth, key.contact.clone()));
            }
            PageStep::Acknowledged { until, .. } => self.stand = Stand::Owned { until: *until },
            PageStep::Unanswered { until, .. } => self.stand = Stand::Unanswered { until: *until },
            _ => {}
        }
    }
}
