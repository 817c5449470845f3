//! The outbox: every page from the decision to send it until a provider has taken or refused it.

use crate::model::{PageKey, PageKind, PageStep, Report};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};

/// Tries before another road is taken. With the pauses below, a little over a minute.
pub(super) const TRIES: u32 = 5;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outgoing {
    pub report: Report,
    pub attempts: u32,
    pub next_at: Timestamp,
}

/// Pages that nobody has taken yet, in the order of their keys: a resolution never overtakes its trigger.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Outbox {
    #[serde(with = "pairs")]
    pages: BTreeMap<PageKey, Outgoing>,
}

impl Outbox {
    pub(super) fn fold(&mut self, step: &PageStep, now: Timestamp) {
        match step {
            PageStep::Intent { key, report } => {
                let outgoing = Outgoing { report: report.clone(), attempts: 0, next_at: now };
                self.pages.entry(key.clone()).or_insert(outgoing);
            }
            PageStep::Attempt { key, attempt } => {
                if let Some(page) = self.pages.get_mut(key) {
                    page.attempts = *attempt;
                }
            }
            PageStep::Delivered { key, .. } | PageStep::Undelivered { key, .. } => {
                self.pages.remove(key);
            }
            PageStep::Calling { .. }
            | PageStep::Held { .. }
            | PageStep::Acknowledged { .. }
            | PageStep::Unanswered { .. }
            | PageStep::StoodDown { .. } => {}
        }
    }

    /// Not taken this time: again after `after` seconds, or a pause that grows.
    pub(super) fn postpone(&mut self, key: &PageKey, after: Option<u32>, now: Timestamp) {
        if let Some(page) = self.pages.get_mut(key) {
            let pause = match after {
                Some(seconds) => Duration::from_secs(u64::from(seconds.min(300))),
                None => Duration::from_secs(1 << page.attempts.min(5)),
            };
            page.next_at = now.checked_add(pause).unwrap_or(now);
        }
    }

    /// What may be sent now: at most one per contact, oldest key first.
    pub fn due(&self, now: Timestamp, busy: &[PageKey]) -> Vec<(PageKey, Outgoing)> {
        let mut due: Vec<(PageKey, Outgoing)> = vec![];
        for (key, page) in &self.pages {
            let taken = |other: &PageKey| other.contact == key.contact;
            if page.next_at <= now
                && !busy.iter().any(taken)
                && !due.iter().any(|(other, _)| taken(other))
            {
                due.push((key.clone(), page.clone()));
            }
        }
        due
    }

    pub fn wake_at(&self) -> Option<Timestamp> {
        self.pages.values().map(|page| page.next_at).min()
    }

    /// Triggers of an incident that nobody has taken yet.
    pub(super) fn pending(&self, incident: &str) -> Vec<PageKey> {
        let ours = |key: &&PageKey| key.incident == incident && key.kind == PageKind::Trigger;
        self.pages.keys().filter(ours).cloned().collect()
    }

    /// Level and contact of the triggers of an incident that were tried and not yet taken.
    pub(super) fn tried(&self, incident: &str) -> impl Iterator<Item = (u32, String)> {
        let ours = move |(key, page): &(&PageKey, &Outgoing)| {
            key.incident == incident && key.kind == PageKind::Trigger && page.attempts > 0
        };
        self.pages.iter().filter(ours).map(|(key, _)| (key.level, key.contact.clone()))
    }

    /// How often a page was tried.
    pub(super) fn attempts(&self, key: &PageKey) -> u32 {
        self.pages.get(key).map_or(TRIES, |page| page.attempts)
    }

    pub(super) fn knows(&self, key: &PageKey) -> bool {
        self.pages.contains_key(key)
    }

    pub fn len(&self) -> usize {
        self.pages.len()
    }

    pub fn is_empty(&self) -> bool {
        self.pages.is_empty()
    }
}

/// JSON has text keys only, so the map is written as a list of pairs.
mod pairs {
    use super::{BTreeMap, Outgoing, PageKey};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(
        map: &BTreeMap<PageKey, Outgoing>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        map.iter().collect::<Vec<_>>().serialize(to)
    }

    pub(super) fn deserialize<'a, D: Deserializer<'a>>(
        from: D,
    ) -> Result<BTreeMap<PageKey, Outgoing>, D::Error> {
        Ok(Vec::<(PageKey, Outgoing)>::deserialize(from)?.into_iter().collect())
    }
}
