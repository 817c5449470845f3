//! The invariants I1 to I9 of the design, checked after every record, every request and every ring.
//!
//! They are written against what can be seen from outside: the log, the world and the pagers. What can only be
//! said once everything has come to rest is in `settled`, where the log is also read a second time, by the engine
//! in one go. That one seed has one history (I9) is a matter of two runs: `simulations/main.rs` compares them.

mod guards;
mod hands;
mod pages;
mod settled;

use super::ledger::{self, Ledger, Opened};
use super::store::Store;
use super::world::World;
use crate::log::Record;
use crate::model::{
    Alert, AlertStatus, ClusterCall, Decision, Entry, Envelope, Id, Mode, Outcome, PageKey, Target,
    Verdict,
};
use crate::remediation::WebCall;
use crate::rules::Ruleset;
use jiff::Timestamp;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// An invariant that did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// `I1` to `I9`.
    pub invariant: &'static str,
    pub at: Timestamp,
    pub text: String,
}

/// More of them say nothing more.
const MOST: usize = 20;
/// An event that leads to so many decisions feeds itself.
const MOST_FROM_ONE: u32 = 64;

pub(super) struct Invariants {
    pub(super) ledger: Ledger,
    pub(super) violations: Vec<Violation>,
    rules: Arc<Ruleset>,
    mode: Mode,
    /// The watch caches are behind: what they do not show cannot be known.
    pub(super) blind: bool,
    guards: guards::Book,
    pages: pages::Book,
    hands: hands::Book,
    /// Fingerprint, state and beginning of the alerts in the log.
    alerts: BTreeSet<(String, bool, Timestamp)>,
    /// Rule and event to the decision on it.
    decided: BTreeMap<(String, String, String), Id>,
    /// From the first event of a chain to the number of decisions that it led to.
    chains: BTreeMap<String, u32>,
}

impl Invariants {
    pub(super) fn new(rules: Arc<Ruleset>, mode: Mode) -> Invariants {
        Invariants {
            ledger: Ledger::default(),
            violations: vec![],
            rules,
            mode,
            blind: false,
            guards: guards::Book::default(),
            pages: pages::Book::default(),
            hands: hands::Book::default(),
            alerts: BTreeSet::new(),
            decided: BTreeMap::new(),
            chains: BTreeMap::new(),
        }
    }

    fn broken(&mut self, invariant: &'static str, at: Timestamp, text: String) {
        if self.violations.len() < MOST {
            self.violations.push(Violation { invariant, at, text });
        }
    }

    /// A record is durable; `life` wrote it.
    pub(super) fn recorded(&mut self, record: &Record, kind: &str, life: u32) {
        let at = record.at;
        let Some(opened) = ledger::open(record, kind) else {
            self.broken("I1", at, format!("record {} cannot be read", record.seq));
            return;
        };
        match &opened {
            Opened::Event(event) => {
                if let Some(alert) = &event.data.alert {
                    self.alerts.insert(key_of(alert));
                }
                self.guards.event(event);
            }
            Opened::Decision(decision) => self.decision(decision, at),
            Opened::Outcome(outcome) => self.outcome(outcome, at),
            Opened::Change(_) | Opened::Plan(_) | Opened::Dead => {}
        }
        self.ledger.take(&opened, at, life);
        if let Opened::Change(change) = &opened {
            self.guards.changed(&change.data, &self.ledger);
        }
    }

    fn decision(&mut self, decision: &Envelope<Decision>, at: Timestamp) {
        let data = &decision.data;
        let cause = decision.cause.iter().last().unwrap_or_default().to_owned();
        let first = decision.cause.iter().next().unwrap_or_default().to_owned();
        // A timer leads to a decision of its own.
        let word = data.timer.as_ref().map(|timer| timer.word.clone()).unwrap_or_default();
        let key = (data.rule.clone(), cause, word);
        if let Some(other) = self.decided.insert(key, decision.id.clone())
            && other != decision.id
        {
            let text = format!("the rule `{}` decided twice on one event", data.rule);
            self.broken("I1", at, text);
        }
        let chain = self.chains.entry(first).or_default();
        *chain += 1;
        if *chain == MOST_FROM_ONE * self.rules.rules.len().max(1) as u32 {
            let text = format!("the rule `{}` feeds itself without an end", data.rule);
            self.broken("I1", at, text);
        }
        if let Verdict::Act { reserved, .. } = &data.verdict
            && data.mode == Mode::Enforce
        {
            if self.mode == Mode::Observe {
                self.broken("I8", at, format!("`{}` acts in observe mode", data.rule));
            }
            let faults = self.guards.reserve(decision, reserved, &self.rules, &self.ledger, at);
            faults.into_iter().for_each(|text| self.broken("I3", at, text));
        }
    }

    fn outcome(&mut self, outcome: &Envelope<Outcome>, at: Timestamp) {
        match &outcome.data {
            Outcome::Remediation { plan, entry, .. } => {
                if let Entry::Ended { how } = entry {
                    self.guards.ended(plan, how);
                }
                let Some(fact) = self.ledger.plans.get(plan) else { return };
                if matches!(entry, Entry::Started { .. }) {
                    let (target, id) = (&fact.plan.target, &fact.plan.id);
                    if fact.plan.mode == Mode::Observe {
                        let text = format!("a plan that only observes begins on {target}");
                        self.broken("I8", at, text);
                        return;
                    }
                    let other = self.ledger.holders.get(target).filter(|holder| *holder != id);
                    if let Some(other) = other {
                        let text = format!(
                            "{target} is held by {} and by {}",
                            other.short(10),
                            id.short(10)
                        );
                        self.broken("I2", at, text);
                    }
                }
            }
            Outcome::Page { incident, step } => {
                let faults = self.pages.step(incident, step, &self.ledger, at);
                faults.into_iter().for_each(|text| self.broken("I6", at, text));
            }
        }
    }

    /// A daemon sends a request: what it may send is judged now, whenever it arrives. `begun` is the daemon's
    /// own time.
    pub(super) fn sends(
        &mut self,
        world: &World,
        call: &ClusterCall,
        life: u32,
        begun: Timestamp,
        now: Timestamp,
    ) {
        if self.mode == Mode::Observe {
            self.broken("I8", now, "a request was made in observe mode".into());
        }
        let faults = self.hands.sends(world, &self.ledger, call, life, begun);
        for (invariant, text) in faults {
            self.broken(invariant, now, text);
        }
    }

    /// A request is about to be carried out.
    pub(super) fn arrives(&mut self, world: &World, call: &ClusterCall, life: u32, now: Timestamp) {
        if let Some(text) = self.hands.arrives(world, &self.ledger, call, life, self.blind) {
            self.broken("I4", now, text);
        }
    }

    /// A call to the outside of the cluster has arrived.
    pub(super) fn called(&mut self, call: &WebCall, life: u32, now: Timestamp) {
        if self.mode == Mode::Observe {
            self.broken("I8", now, format!("{} was called in observe mode", call.url));
        }
        let faults = self.hands.called(&self.ledger, call, life);
        self.ledger.web.push((now, call.url.clone(), call.key.clone()));
        for (invariant, text) in faults {
            self.broken(invariant, now, text);
        }
    }

    /// A pager has rung.
    pub(super) fn rang(&mut self, key: &PageKey, life: u32, now: Timestamp) {
        if self.mode == Mode::Observe {
            self.broken("I8", now, format!("{} is called in observe mode", key.contact));
        }
        if let Some(text) = self.pages.rang(key, life) {
            self.broken("I6", now, text);
        }
        self.ledger.rings.push(super::ledger::Ring { at: now, key: key.clone() });
    }

    /// A call to the log came back with an error.
    pub(super) fn log_failed(&mut self) {
        self.pages.log_failed();
    }

    /// A process has heard that a page was taken.
    pub(super) fn answered(&mut self, key: &PageKey, life: u32) {
        self.pages.answered(key, life);
    }

    pub(super) fn rings(&self) -> usize {
        self.ledger.rings.len()
    }

    pub(super) fn world_changed(&mut self, world: &World) {
        self.ledger.cordoned_most = self.ledger.cordoned_most.max(world.cordoned());
    }

    /// A person has cordoned a node, or taken the cordon back.
    pub(super) fn person_cordons(&mut self, node: &str, closed: bool) {
        self.hands.person(node, closed);
    }

    /// A sender was told that a message was accepted: is it there?
    pub(super) fn accepted_event(&mut self, id: &Id, store: &Store, now: Timestamp) {
        if !store.knows(id) {
            let text = format!("event {} was accepted and is not in the log", id.short(10));
            self.broken("I1", now, text);
        }
    }

    /// The same for an alert.
    pub(super) fn accepted_alert(&mut self, alert: &Alert, now: Timestamp) {
        if !self.alerts.contains(&key_of(alert)) {
            let text = format!("the alert {} was accepted and is not in the log", alert.name);
            self.broken("I1", now, text);
        }
    }
}

fn key_of(alert: &Alert) -> (String, bool, Timestamp) {
    (alert.fingerprint.clone(), alert.status == AlertStatus::Firing, alert.starts_at)
}

/// The plan that holds a node, or reaches it.
fn on_node<'a>(ledger: &'a Ledger, node: &str) -> Option<&'a super::ledger::PlanFact> {
    let holder = ledger.holders.get(&Target::Node(node.to_owned()));
    let reaches = |fact: &&super::ledger::PlanFact| {
        fact.plan
            .steps
            .iter()
            .any(|step| matches!(&step.reach, crate::model::Reach::Node { name } if name == node))
    };
    match holder {
        Some(id) => ledger.plans.get(id),
        None => ledger.holders.values().filter_map(|id| ledger.plans.get(id)).find(reaches),
    }
}
