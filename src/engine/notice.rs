//! Notices about machines: each feed tells the same one. The first is acted upon, the others confirm it.
//!
//! One event per machine and kind, whatever its sender called it: EventBridge names the moment of the notice,
//! instance metadata the deadline, and they differ by seconds.

use crate::model::{Envelope, Event, Target, kind};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// What is told again within this time of its moment is the same.
const SAME: Duration = Duration::from_secs(600);
/// A machine that was stopped can come back and get a notice of its own; by then the first is forgotten.
const REMEMBER: Duration = Duration::from_secs(24 * 3600);
/// At about 200 bytes each, 20 MB.
const MOST: usize = 100_000;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Known {
    /// Action, state, code or transition: another one is news.
    what: String,
    /// The deadline, or when it was said.
    moment: Timestamp,
    heard: Timestamp,
    feed: String,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Notices {
    /// By kind and machine.
    known: BTreeMap<String, Known>,
    by_time: BTreeSet<(Timestamp, String)>,
    /// The last run of each schedule: what a replica that was asleep tells again is not news.
    #[serde(default)]
    runs: BTreeMap<String, Timestamp>,
    /// How many were told again.
    pub confirmed: u64,
}

fn key(kind: &str, instance: &str) -> String {
    format!("{kind} {instance}")
}

impl Notices {
    /// Takes in one that the log recorded at `now`: whether it only says what is known.
    pub(super) fn confirms(&mut self, event: &Envelope<Event>, now: Timestamp) -> bool {
        if event.kind == kind::SCHEDULE_DUE {
            return self.ran(event);
        }
        let cloud = &event.data.context.cloud;
        let fact = |name: &str| cloud.get(name).map(String::as_str).unwrap_or_default();
        let instance = fact("instance");
        // What is about a machine that is no node is said again when it is one.
        if instance.is_empty() || matches!(event.subject, Target::Instance(_)) {
            return false;
        }
        self.forget(now);
        match (event.kind.as_str(), fact("state")) {
            (kind::INSTANCE_STATE, "running") => {
                for over in [kind::SPOT_INTERRUPTION, kind::CAPACITY_INTERRUPTION, kind::REBALANCE]
                {
                    self.drop(&key(over, instance));
                }
            }
            (kind::MAINTENANCE_CANCELLED, _) => self.drop(&key(kind::MAINTENANCE, instance)),
            (kind::MAINTENANCE, _) => self.drop(&key(kind::MAINTENANCE_CANCELLED, instance)),
            _ => {}
        }
        let what = ["action", "state", "code", "transition", "hook"].map(fact).join(" ");
        // Instance metadata knows of the transition, and not of the hook that waits: only the latter is more.
        let hooked = |known: &Known| {
            event.kind == kind::LIFECYCLE
                && fact("hook").is_empty()
                && known.what.starts_with(&what)
        };
        // A hook's deadline is its patience, which only one of the feeds knows.
        let due = event.deadline.filter(|_| event.kind != kind::LIFECYCLE);
        let moment = due.unwrap_or(event.time);
        let key = key(&event.kind, instance);
        let same = |known: &&Known| {
            (known.what == what || hooked(known))
                && moment.duration_since(known.moment).abs() <= SAME.try_into().unwrap_or_default()
        };
        if self.known.get(&key).filter(same).is_some() {
            self.confirmed += 1;
            return true;
        }
        self.drop(&key);
        self.by_time.insert((now, key.clone()));
        self.known.insert(key, Known { what, moment, heard: now, feed: fact("feed").to_owned() });
        false
    }

    fn ran(&mut self, event: &Envelope<Event>) -> bool {
        let name = event.data.payload["schedule"].as_str().unwrap_or_default();
        let again = self.runs.get(name).is_some_and(|last| event.time <= *last);
        if !again && (self.runs.len() < MOST || self.runs.contains_key(name)) {
            self.runs.insert(name.to_owned(), event.time);
        }
        again
    }

    fn drop(&mut self, key: &str) {
        if let Some(known) = self.known.remove(key) {
            self.by_time.remove(&(known.heard, key.to_owned()));
        }
    }

    fn forget(&mut self, now: Timestamp) {
        let horizon = now.checked_sub(REMEMBER).unwrap_or(Timestamp::MIN);
        while let Some((heard, key)) = self.by_time.first().cloned()
            && (heard < horizon || self.known.len() >= MOST)
        {
            self.drop(&key);
        }
    }

    /// Who told of it first, where somebody has.
    pub(super) fn told_by(&self, event: &Envelope<Event>) -> Option<&str> {
        let instance = event.data.context.cloud.get("instance")?;
        self.known.get(&key(&event.kind, instance)).map(|known| known.feed.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Id;

    fn notice(
        kind: &str,
        facts: &[(&str, &str)],
        at: i64,
        deadline: Option<i64>,
    ) -> Envelope<Event> {
        let second = |at| Timestamp::from_second(at).unwrap();
        let mut event = Event::default();
        event.context.cloud.insert("instance".into(), "i-1".into());
        for (name, value) in facts {
            event.context.cloud.insert((*name).into(), (*value).into());
        }
        let id = Id::of(&[kind, &format!("{facts:?}"), &at.to_string()]);
        let envelope = Envelope::new(kind, id, "t", Target::Node("n".into()), second(at), event);
        Envelope { deadline: deadline.map(second), ..envelope }
    }

    #[test]
    fn the_first_counts_and_the_second_confirms() {
        let mut notices = Notices::default();
        let mut hears = |event: Envelope<Event>| notices.confirms(&event, event.time);
        let spot = |feed, action, at, by| {
            notice(kind::SPOT_INTERRUPTION, &[("feed", feed), ("action", action)], at, Some(by))
        };
        assert!(!hears(spot("metadata", "terminate", 1000, 1118)));
        assert!(
            hears(spot("eventbridge", "terminate", 1001, 1121)),
            "the other feed, seconds apart"
        );
        assert!(hears(spot("metadata", "terminate", 1060, 1178)), "a mock that moves its deadline");
        assert!(!hears(spot("metadata", "hibernate", 1061, 1061)), "another action is news");
        assert!(
            !hears(spot("eventbridge", "terminate", 9000, 9120)),
            "hours later it is another one"
        );
        let of_node = spot("eventbridge", "terminate", 9001, 9121);
        let elsewhere = Envelope { subject: Target::Instance("i-1".into()), ..of_node.clone() };
        assert!(!hears(elsewhere), "no node: it will be said again");
        assert!(hears(of_node));
    }

    #[test]
    fn a_feed_that_names_the_hook_says_more_than_one_that_does_not() {
        let by_metadata = || {
            let facts = [("feed", "metadata"), ("transition", "terminating")];
            notice(kind::LIFECYCLE, &facts, 100, None)
        };
        let by_queue = || {
            let facts = [("transition", "terminating"), ("hook", "drain")];
            notice(kind::LIFECYCLE, &facts, 101, Some(90_000))
        };
        let mut notices = Notices::default();
        let mut hears = |event: Envelope<Event>| notices.confirms(&event, event.time);
        assert!(!hears(by_metadata()));
        assert!(!hears(by_queue()), "now it can be completed");
        assert!(hears(by_metadata()) && hears(by_queue()));
    }

    #[test]
    fn a_run_of_a_schedule_is_one_whoever_tells_of_it() {
        let mut notices = Notices::default();
        let mut hears = |name: &str, at: i64| {
            let at = Timestamp::from_second(at).unwrap();
            let mut data = Event::default();
            data.payload["schedule"] = name.into();
            let id = Id::of(&[name, &at.to_string()]);
            let about = Target::Other { kind: "schedule".into(), name: name.into() };
            let event = Envelope::new(kind::SCHEDULE_DUE, id, "t", about, at, data);
            notices.confirms(&event, at)
        };
        assert!(!hears("nightly", 1000) && hears("nightly", 1000));
        assert!(!hears("weekly", 1000), "another schedule's");
        assert!(!hears("nightly", 2000) && hears("nightly", 1000), "long after");
    }

    #[test]
    fn what_is_over_may_begin_again() {
        let mut notices = Notices::default();
        let mut hears = |kind: &str, facts: &[(&str, &str)], at| {
            let event = notice(kind, facts, at, None);
            notices.confirms(&event, event.time)
        };
        assert!(!hears(kind::REBALANCE, &[], 100));
        assert!(hears(kind::REBALANCE, &[], 160));
        assert!(!hears(kind::INSTANCE_STATE, &[("state", "running")], 200));
        assert!(!hears(kind::REBALANCE, &[], 260), "stopped and started again");
        let code = [("code", "system-reboot")];
        assert!(!hears(kind::MAINTENANCE, &code, 300));
        assert!(!hears(kind::MAINTENANCE_CANCELLED, &code, 310));
        assert!(hears(kind::MAINTENANCE_CANCELLED, &code, 311));
        assert!(!hears(kind::MAINTENANCE, &code, 320));
    }
}
