//! Timers: what will be decided if nothing comes in between.

use crate::model::{Envelope, Event, Id, Timer};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// One timer that runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Pending {
    pub(super) due: Timestamp,
    /// The time of the event that began it.
    pub(super) since: Timestamp,
    /// What will be decided on.
    pub(super) event: Box<Envelope<Event>>,
    /// The log says what followed: it runs to its end, so that others join it as they did, and then is still.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) silent: bool,
    /// The rule as it was written.
    #[serde(default)]
    pub(super) version: Option<Id>,
    /// Alerts that joined: where the first one is over, the next one takes its place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) joined: Vec<Joined>,
    /// Subjects of the events that were collected.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) group: Vec<String>,
}

/// An alert that joined a timer that ran.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Joined {
    pub(super) due: Timestamp,
    pub(super) since: Timestamp,
    pub(super) event: Box<Envelope<Event>>,
}

/// Alerts that can take the first one's place.
const MOST_JOINED: usize = 32;

impl Pending {
    /// The alerts for whose sake it runs.
    fn alerts(&self) -> impl Iterator<Item = &str> {
        let all =
            std::iter::once(&self.event).chain(self.joined.iter().map(|joined| &joined.event));
        all.filter_map(|event| Some(event.data.alert.as_ref()?.fingerprint.as_str()))
    }

    /// Without that alert; nothing, where no other is left.
    fn without(mut self, fingerprint: &str) -> Option<Pending> {
        let is = |event: &Envelope<Event>| {
            event.data.alert.as_ref().is_some_and(|alert| alert.fingerprint == fingerprint)
        };
        self.joined.retain(|joined| !is(&joined.event));
        if !is(&self.event) {
            return Some(self);
        }
        if self.joined.is_empty() {
            return None;
        }
        let next = self.joined.remove(0);
        Some(Pending { due: next.due, since: next.since, event: next.event, ..self })
    }
}

/// Rule, word and key.
pub(super) type Name = (String, String, String);

/// Timers by name, by when they are due, and by the alert that ends them.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(from = "Vec<(Name, Pending)>", into = "Vec<(Name, Pending)>")]
pub(super) struct Timers {
    pending: BTreeMap<Name, Pending>,
    due: BTreeSet<(Timestamp, Name)>,
    by_alert: BTreeMap<String, BTreeSet<Name>>,
    /// Timers of which the log says that they went off, before what began them is read again.
    gone: BTreeSet<(Name, String)>,
}

/// More do not go off between two acknowledgements.
const MOST_GONE: usize = 10_000;

/// Subjects of a collected group that are named.
const MOST_NAMED: usize = 100;
/// Of all rules together: each keeps its event.
const MOST: usize = 50_000;

impl From<Vec<(Name, Pending)>> for Timers {
    fn from(all: Vec<(Name, Pending)>) -> Timers {
        let mut timers = Timers::default();
        for (name, pending) in all {
            timers.start(name, pending);
        }
        timers
    }
}

impl From<Timers> for Vec<(Name, Pending)> {
    fn from(timers: Timers) -> Vec<(Name, Pending)> {
        timers.pending.into_iter().collect()
    }
}

impl Timers {
    /// Whether there was room for it.
    pub(super) fn start(&mut self, name: Name, pending: Pending) -> bool {
        self.stop(&name);
        let gone = self.gone.remove(&(name.clone(), pending.event.id.to_string()));
        let pending = Pending { silent: pending.silent || gone, ..pending };
        if self.pending.len() >= MOST {
            return false;
        }
        self.due.insert((pending.due, name.clone()));
        for alert in pending.alerts() {
            self.by_alert.entry(alert.to_owned()).or_default().insert(name.clone());
        }
        self.pending.insert(name, pending);
        true
    }

    pub(super) fn get(&self, name: &Name) -> Option<&Pending> {
        self.pending.get(name)
    }

    /// Joins the timer that runs under that name: whether there is one.
    pub(super) fn join(&mut self, name: &Name, joined: Joined, subject: Option<String>) -> bool {
        let Some(running) = self.pending.get_mut(name) else { return false };
        if let Some(subject) = subject
            && running.group.len() < MOST_NAMED
            && !running.group.contains(&subject)
        {
            running.group.push(subject);
        }
        if let Some(alert) = &joined.event.data.alert
            && running.joined.len() < MOST_JOINED
        {
            self.by_alert.entry(alert.fingerprint.clone()).or_default().insert(name.clone());
            running.joined.push(joined);
        }
        true
    }

    pub(super) fn stop(&mut self, name: &Name) -> Option<Pending> {
        let pending = self.pending.remove(name)?;
        self.due.remove(&(pending.due, name.clone()));
        for alert in pending.alerts() {
            if let Some(names) = self.by_alert.get_mut(alert) {
                names.remove(name);
                if names.is_empty() {
                    self.by_alert.remove(alert);
                }
            }
        }
        Some(pending)
    }

    /// The alert is over, and what waited for its sake.
    pub(super) fn cleared(&mut self, fingerprint: &str) {
        for name in self.by_alert.remove(fingerprint).unwrap_or_default() {
            let left = self.stop(&name).and_then(|pending| pending.without(fingerprint));
            left.map(|pending| self.start(name, pending));
        }
    }

    /// It went off in another life, and what followed is in the log.
    pub(super) fn went_off(&mut self, rule: &str, timer: &Timer, event: &str) {
        let name = (rule.to_owned(), timer.word.clone(), timer.key.clone());
        match self.pending.get_mut(&name) {
            Some(pending) if pending.event.id.as_str() == event => pending.silent = true,
            _ => {
                self.gone.insert((name, event.to_owned()));
                if self.gone.len() > MOST_GONE {
                    self.gone.pop_first();
                }
            }
        }
    }

    pub(super) fn wake_at(&self) -> Option<Timestamp> {
        self.due.first().map(|(due, _)| *due)
    }

    /// The next one that is due at `now`; it does not run any more.
    pub(super) fn next_due(&mut self, now: Timestamp) -> Option<(Name, Pending)> {
        let (due, name) = self.due.first().filter(|(due, _)| *due <= now)?.clone();
        match self.stop(&name) {
            Some(pending) => Some((name, pending)),
            None => {
                self.due.remove(&(due, name));
                self.next_due(now)
            }
        }
    }

    /// Those of rules that are as they were stay.
    pub(super) fn keep(&mut self, stays: impl Fn(&str, &Pending) -> bool) {
        let gone: Vec<Name> = self
            .pending
            .iter()
            .filter(|(name, it)| !stays(&name.0, it))
            .map(|it| it.0.clone())
            .collect();
        gone.iter().for_each(|name| drop(self.stop(name)));
    }

    pub(super) fn len(&self) -> usize {
        self.pending.len()
    }
}
