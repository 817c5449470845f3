//! Windows: what the time words of the rules remember of earlier events.
//!
//! A fold over the events in the order of the log, and over the rules: the same log and the same rules leave
//! the same windows, so they are restored after a crash. An event counts at its own time; one that the log
//! took later than the rule's `lateness` after it, or for the second time, changes nothing. Each event costs
//! each rule that it matches the same, however much is remembered.

mod cells;
mod counting;
mod keys;
mod seen;
mod show;
mod timers;
mod waiting;

pub(super) use waiting::watched;

use crate::model::{Decision, Envelope, Event, Id, Timer};
use crate::rules::{By, Facts, Role, Rule, Ruleset};
use cells::{Bursts, Counted, Steps};
use jiff::Timestamp;
use keys::Keys;
use seen::Seen;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use timers::Timers;

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Windows {
    rules: BTreeMap<String, OfRule>,
    timers: Timers,
    seen: Seen,
    /// The rules that the windows are of, as a whole and one by one.
    version: Option<Id>,
    #[serde(default)]
    in_force: BTreeMap<String, Option<Id>>,
    /// Events that were passed over because they came too late.
    pub late: u64,
    /// Windows and timers that were not begun because there were too many.
    pub refused: u64,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct OfRule {
    /// The rule as it was written: another begins anew.
    version: Option<Id>,
    burst: Keys<Bursts>,
    sequence: Keys<Steps>,
    count: Keys<Counted>,
    /// When what `absent` expects came last.
    came: Keys<i64>,
}

/// What becomes of an event that a rule matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Passage {
    /// Decide on it.
    Through,
    /// Remembered; perhaps a later event or a timer goes through.
    Kept,
    /// It changes nothing, and why.
    Ignored(String),
    /// Outside of the rule's hours: which, and when it may act. An alert waits for that.
    Outside { hours: String, until: Option<Timestamp> },
}

/// A timer that has gone off.
pub(super) struct Due<'r> {
    pub(super) rule: &'r Rule,
    pub(super) timer: Timer,
    pub(super) event: Box<Envelope<Event>>,
    pub(super) group: Vec<String>,
}

/// The words that wait, in the order in which they stand behind each other.
const WAITING: [&str; 4] = ["for", "absent", "hours", "once_after"];

/// The event's own time, in so far as the log had it by then.
pub(super) fn happened(event: &Envelope<Event>, now: Timestamp) -> Timestamp {
    let own = event.data.alert.as_ref().map_or(event.time, |alert| alert.starts_at);
    own.min(now)
}

/// When it counts. An alert that fires is news whenever it began to: at the earliest it counts as just in time.
fn counts_at(rule: &Rule, facts: &Facts<'_>) -> Timestamp {
    let at = happened(facts.event, facts.now);
    match facts.event.data.alert {
        Some(_) => {
            let earliest = facts.now.checked_sub(rule.words.lateness.0).unwrap_or(Timestamp::MIN);
            at.max(earliest)
        }
        None => at,
    }
}

fn key(by: &By, facts: &Facts<'_>) -> Result<String, String> {
    match by {
        Some(by) => by.key(facts).map_err(|miss| format!("no window: {miss}")),
        None => Ok(facts.event.subject.to_string()),
    }
}

fn millis(span: crate::model::Span) -> i64 {
    i64::try_from(span.0.as_millis()).unwrap_or(i64::MAX / 4)
}

impl Windows {
    /// What becomes of an event that matches `rule` as `role`.
    pub(super) fn hear(
        &mut self,
        rule: &Rule,
        role: Role,
        facts: &Facts<'_>,
        again: bool,
    ) -> Passage {
        let words = &rule.words;
        if rule.looks_back() {
            let at = counts_at(rule, facts);
            let lateness = facts.now.duration_since(at).try_into().unwrap_or_default();
            if again {
                return Passage::Ignored("it was counted already".into());
            }
            if lateness > words.lateness.0 {
                self.late += 1;
                let late = crate::model::Span(lateness);
                return Passage::Ignored(format!(
                    "it came {late} late, and `lateness` is {}",
                    words.lateness
                ));
            }
        }
        let counted = match role {
            Role::Expected => self.expected(rule, facts),
            Role::Own | Role::Next(_) => self.counted(rule, role, facts),
        };
        match counted {
            Ok(true) => self.pass(rule, 0, facts),
            Ok(false) => Passage::Kept,
            Err(why) => Passage::Ignored(why),
        }
    }

    fn of(&mut self, rule: &Rule) -> &mut OfRule {
        let known = self.rules.entry(rule.name.clone()).or_default();
        if known.version != rule.words.version {
            *known = OfRule { version: rule.words.version.clone(), ..OfRule::default() };
        }
        known
    }

    fn full(&mut self) -> Result<bool, String> {
        self.refused += 1;
        Err("there are too many windows of this rule".into())
    }

    /// The alert is over.
    pub(super) fn cleared(&mut self, fingerprint: &str) {
        self.timers.cleared(fingerprint);
    }

    /// What a timer led to is in the log.
    pub(super) fn went_off(&mut self, decision: &Envelope<Decision>) {
        if let (Some(timer), Some(event)) = (&decision.data.timer, decision.cause.iter().last()) {
            self.timers.went_off(&decision.data.rule, timer, event);
        }
    }

    /// When the next timer goes off.
    pub fn wake_at(&self) -> Option<Timestamp> {
        self.timers.wake_at()
    }

    /// The next timer that is due at `now`, and what becomes of it.
    pub(super) fn next_due<'r>(
        &mut self,
        rules: &'r Ruleset,
        now: Timestamp,
    ) -> Option<(Due<'r>, Passage)> {
        loop {
            let ((rule, word, key), pending) = self.timers.next_due(now)?;
            let Some(rule) = rules.named(&rule).filter(|_| !pending.silent) else { continue };
            let word_at = WAITING.iter().position(|known| *known == word).unwrap_or(0);
            let facts = Facts::new(&pending.event, pending.due);
            let passage = self.pass(rule, word_at + 1, &facts);
            let timer = Timer { word, key, due: pending.due };
            // Only `once_after` collects: what joined another word waited with it.
            let group = if word_at == 3 { pending.group } else { vec![] };
            return Some((Due { rule, timer, event: pending.event, group }, passage));
        }
    }

    /// Forgets what is of rules that are gone or written anew: whether others were in force before.
    pub(super) fn of_rules(&mut self, rules: &Ruleset) -> bool {
        if self.version == rules.version {
            return false;
        }
        let others = self.version.is_some();
        let all = rules.rules.iter().filter(|rule| rule.looks_back());
        self.in_force = all.map(|rule| (rule.name.clone(), rule.words.version.clone())).collect();
        self.version.clone_from(&rules.version);
        let same = |name: &str, version: &Option<Id>| {
            rules.named(name).is_some_and(|rule| rule.words.version == *version)
        };
        self.rules.retain(|name, known| same(name, &known.version));
        self.timers.keep(|rule, pending| same(rule, &pending.version));
        others
    }

    /// Whether a rule was in force when the windows were last saved. Where nothing was saved, all were.
    pub(super) fn was_in_force(&self, rule: &Rule) -> bool {
        self.version.is_none()
            || !rule.looks_back()
            || self.in_force.get(&rule.name) == Some(&rule.words.version)
    }

    /// Whether this id is new. Remembered for as long as the event could still be in time.
    pub(super) fn first_time(&mut self, id: &Id, rules: &Ruleset, now: Timestamp) -> bool {
        self.seen.first_time(id, now, now.checked_sub(rules.lateness().0).unwrap_or(Timestamp::MIN))
    }

    /// How many windows and timers there are.
    pub fn live(&self) -> usize {
        let of = |rule: &OfRule| {
            rule.burst.len() + rule.sequence.len() + rule.count.len() + rule.came.len()
        };
        self.rules.values().map(of).sum::<usize>() + self.timers.len()
    }
}

#[cfg(test)]
mod tests;
