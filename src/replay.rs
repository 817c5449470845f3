//! Replay: yesterday's log through other rules. What would have been decided that was not, what would not.
//!
//! Two engines read the same events and outcomes: one folds what the log says was decided, the other decides anew
//! by the rules that are given. What both decide on the same event is compared by the decision's id, which comes
//! from the event and the rule. A remediation that only the new rules begin has no outcome in the log: it is
//! taken to succeed, after as long as those of its rule took, or five minutes.
//! The ladder of escalation runs beside both, so that the pages can be compared as well.
//! Pure but for `run`. May import: `model`, `log`, `rules`, `engine`, `escalation`.

mod calls;
pub mod run;
mod tally;

use crate::engine::{self, Input, Said, State};
use crate::model::{
    Decision, Entry, Envelope, Event, Id, Mode, Outcome, Plan, PlanEnd, Verdict, kind,
};
use crate::rules::Ruleset;
use calls::Calls;
use jiff::Timestamp;
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tally::Tally;

/// What one record of the log is to a replay.
#[derive(Debug, Clone)]
pub enum Record {
    Event(Box<Envelope<Event>>),
    Said(Box<Said>),
    Outcome(Box<Envelope<Outcome>>),
}

/// The part of the log that is compared.
#[derive(Debug, Clone, Copy)]
pub struct Range {
    pub from: Timestamp,
    pub to: Timestamp,
}

impl Range {
    fn has(&self, at: Timestamp) -> bool {
        self.from <= at && at < self.to
    }
}

/// A decision as it is compared and shown.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Shown {
    pub at: Timestamp,
    pub on: String,
    pub verdict: String,
    pub mode: Mode,
}

/// What is different for one rule.
#[derive(Debug, Clone, Default, Serialize)]
pub struct OfRule {
    pub added: Vec<Shown>,
    pub removed: Vec<Shown>,
    /// As it was, and as it would be.
    pub changed: Vec<(Shown, Shown)>,
    /// The same in both.
    pub same: usize,
}

/// What the other rules would have made of it.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Difference {
    pub events: u64,
    pub rules: BTreeMap<String, OfRule>,
    /// Most nodes that remediations held at the same time, as it was and as it would be.
    pub nodes_at_once: (usize, usize),
    /// Calls for people, as the ladder makes them: as it was, and as it would be.
    pub pages: (usize, usize),
}

impl Difference {
    pub fn nothing(&self) -> bool {
        let same =
            |of: &OfRule| of.added.is_empty() && of.removed.is_empty() && of.changed.is_empty();
        self.rules.values().all(same) && self.nodes_at_once.0 == self.nodes_at_once.1
    }
}

/// How long a remediation of which the log knows no end is taken to last.
const TYPICAL: Duration = Duration::from_secs(300);

/// A replay under way.
pub struct Replay {
    rules: Arc<Ruleset>,
    range: Range,
    state: State,
    seq: u64,
    log: Survey,
    was: Tally,
    would: Tally,
    was_calls: Calls,
    would_calls: Calls,
    /// Ends of remediations that only the new rules begin, by when.
    ends: BTreeMap<(Timestamp, Id), Envelope<Outcome>>,
    events: u64,
}

/// What has to be known of the whole log beforehand.
#[derive(Debug, Clone, Default)]
pub struct Survey {
    /// What the engine itself said as events: heard again only if the new rules say it, too.
    pub own: BTreeSet<Id>,
    /// Decisions that act: what became of them stands in the log.
    pub acted: BTreeSet<Id>,
    /// How long the remediations of each rule took.
    pub typical: BTreeMap<String, Duration>,
}

impl Replay {
    /// A replay through `rules` of the log that was surveyed.
    pub fn new(rules: Arc<Ruleset>, range: Range, log: Survey) -> Replay {
        Replay {
            range,
            state: State::default(),
            seq: 0,
            log,
            was: Tally::default(),
            would: Tally::default(),
            was_calls: Calls::default(),
            would_calls: Calls::default(),
            ends: BTreeMap::new(),
            events: 0,
            rules,
        }
    }

    /// Takes in the next record, which the log took at `at`.
    pub fn take(&mut self, record: &Record, at: Timestamp) {
        if at < self.range.from {
            return self.before(record, at);
        }
        self.ended_by(at);
        match record {
            Record::Event(event) => {
                self.events += u64::from(self.range.has(at));
                let own = self.log.own.contains(&event.id);
                if !own || self.would.said.contains(&event.id) {
                    self.hear(&Input::Event(event.clone()), at);
                }
            }
            Record::Said(said) => {
                if let Said::Decision(decision) = &**said {
                    self.was.decided(decision, at);
                }
                self.was_calls.said(said, &self.rules.directory, at);
            }
            Record::Outcome(outcome) => {
                self.was.outcome(outcome, at);
                self.was_calls.outcome(outcome, &self.rules.directory, at);
                // Only what the new rules have begun as well can have come out like this.
                if self.would.knows(outcome) {
                    self.would.outcome(outcome, at);
                    self.would_calls.outcome(outcome, &self.rules.directory, at);
                    self.hear(&Input::Outcome(outcome.clone()), at);
                }
            }
        }
    }

    /// Before the part that is compared, both sides are what was.
    fn before(&mut self, record: &Record, at: Timestamp) {
        let directory = &self.rules.directory;
        self.was_calls.until(at, directory);
        self.would_calls.until(at, directory);
        match record {
            Record::Event(event) => self.follow(Input::Event(event.clone()), at),
            Record::Outcome(outcome) => {
                self.was.outcome(outcome, at);
                self.would.outcome(outcome, at);
                self.was_calls.outcome(outcome, directory, at);
                self.would_calls.outcome(outcome, directory, at);
                self.follow(Input::Outcome(outcome.clone()), at);
            }
            Record::Said(said) => {
                if let Said::Decision(decision) = &**said {
                    self.was.decided(decision, at);
                    self.would.decided(decision, at);
                }
                self.was_calls.said(said, directory, at);
                self.would_calls.said(said, directory, at);
                self.seq += 1;
                self.state.said(Some(self.seq), said);
            }
        }
    }

    fn follow(&mut self, input: Input, at: Timestamp) {
        self.seq += 1;
        self.state.replay(&self.rules, self.seq, &input, at);
    }

    fn hear(&mut self, input: &Input, at: Timestamp) {
        self.seq += 1;
        let said = engine::step(&self.rules, &mut self.state, self.seq, input, at, &mut vec![]);
        self.spoken(said, at);
    }

    fn spoken(&mut self, all: Vec<Said>, at: Timestamp) {
        for said in all {
            self.would_calls.said(&said, &self.rules.directory, at);
            match said {
                Said::Decision(decision) => {
                    self.would.decided(&decision, decision.time);
                    self.outcome_of(&decision);
                }
                Said::Event(event) => {
                    self.would.said.insert(event.id.clone());
                    // The log has no such event: it is heard at once.
                    if !self.log.own.contains(&event.id) {
                        self.hear(&Input::Event(event), at);
                    }
                }
                Said::Change(_) => {}
            }
        }
    }

    /// Where the log knows no such remediation, one that goes well.
    fn outcome_of(&mut self, decision: &Envelope<Decision>) {
        let data = &decision.data;
        let plan = Plan::id_of(&data.incident, data.epoch);
        if !matches!(data.verdict, Verdict::Act { .. }) || self.log.acted.contains(&decision.id) {
            return;
        }
        let lasts = self.log.typical.get(&data.rule).copied().unwrap_or(TYPICAL);
        let ends = decision.time.checked_add(lasts).unwrap_or(decision.time);
        let how = match data.mode {
            Mode::Observe => PlanEnd::Observed,
            Mode::Enforce => PlanEnd::Succeeded,
        };
        let outcome = Outcome::Remediation {
            plan: plan.clone(),
            incident: data.incident.clone(),
            epoch: data.epoch,
            entry: Entry::Ended { how },
        };
        let id = Id::of(&["replay", plan.as_str()]);
        let envelope = decision.follow(kind::OUTCOME, id, "medevac/replay", ends, outcome);
        self.ends.insert((ends, plan), envelope);
    }

    /// Ends that are due by then.
    fn ended_by(&mut self, at: Timestamp) {
        while let Some(((due, plan), _)) = self.ends.first_key_value().filter(|it| it.0.0 <= at) {
            let (due, plan) = (*due, plan.clone());
            let Some(outcome) = self.ends.remove(&(due, plan)) else { continue };
            self.would.outcome(&outcome, due);
            self.would_calls.outcome(&outcome, &self.rules.directory, due);
            self.hear(&Input::Outcome(Box::new(outcome)), due);
        }
        self.was_calls.until(at, &self.rules.directory);
        self.would_calls.until(at, &self.rules.directory);
    }

    /// The end of the log: what is different.
    pub fn end(mut self, at: Timestamp) -> Difference {
        self.ended_by(at);
        let said = engine::wake(&self.rules, &mut self.state, at, &mut vec![]);
        self.spoken(said, at);
        let Range { from, to } = self.range;
        Difference {
            events: self.events,
            rules: tally::compare(&self.was, &self.would, &self.range),
            nodes_at_once: (self.was.peak(from, to), self.would.peak(from, to)),
            pages: (self.was_calls.pages(from, to), self.would_calls.pages(from, to)),
        }
    }
}

#[cfg(test)]
mod tests;
