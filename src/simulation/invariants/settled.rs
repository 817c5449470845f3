//! What has to be true once everything has come to rest: I1 and I5, and the same decisions by a second reading.

use super::super::ledger::{self, PlanFact};
use super::super::store::Store;
use super::Invariants;
use crate::engine::{self, Input, Said, State};
use crate::log::{Record, Stream};
use crate::model::{Action, Decision, Envelope, Id, Mode, Plan, PlanEnd, PlannedStep, kind};
use jiff::Timestamp;
use std::{collections::BTreeMap, time::Duration};

/// What is due is done within so long, where nothing stands in the way.
const PATIENCE: Duration = Duration::from_secs(60);
/// After the deadline only looking is left.
const VERIFY: Duration = Duration::from_secs(1800);
/// No step without a deadline waits for longer.
const LONGEST: Duration = Duration::from_secs(3 * 3600);

impl Invariants {
    /// The run is over, and nothing has stood in the way for a while.
    pub(in crate::simulation) fn settled(&mut self, store: &Store, now: Timestamp) {
        self.all_decided(store, now);
        self.plans_move(now);
        self.incidents_call(now);
        self.read_again(store, now);
    }

    /// I1: the engine has heard all of the log.
    fn all_decided(&mut self, store: &Store, now: Timestamp) {
        let floor = store.stands().find(|(name, _)| *name == engine::run::NAME);
        let floor = floor.map_or(0, |(_, stand)| stand.floor);
        let streams = [Stream::Events, Stream::Outcomes];
        if let Some(next) = store.read(floor, &streams, 1).first()
            && late(next.at, now, PATIENCE)
        {
            let text = format!("record {} is in the log and was never decided on", next.seq);
            self.broken("I1", now, text);
        }
    }

    /// A plan that has a deadline is over after it; one without moves.
    fn plans_move(&mut self, now: Timestamp) {
        let stalls = |fact: &&PlanFact| {
            if fact.ended.is_some() {
                return false;
            }
            let last = fact.steps.values().map(|step| step.at).max().unwrap_or(fact.made);
            match fact.plan.deadline {
                Some(deadline) => late(deadline.max(last), now, VERIFY.max(waits(&fact.plan))),
                None => late(last, now, LONGEST.max(waits(&fact.plan))),
            }
        };
        let stalled: Vec<String> = self
            .ledger
            .plans
            .values()
            .filter(stalls)
            .map(|fact| format!("the remediation of {} neither ends nor moves", fact.plan.target))
            .collect();
        stalled.into_iter().for_each(|text| self.broken("I5", now, text));
    }

    /// I5: an open incident that needs a person is calling.
    fn incidents_call(&mut self, now: Timestamp) {
        let mut faults = vec![];
        for (id, incident) in self.ledger.open_incidents() {
            match self.ledger.ladders.get(id) {
                Some(ladder) if late(ladder.until, now, PATIENCE) => {
                    faults.push(format!(
                        "{id} rang at level {} and calls nobody since",
                        ladder.level
                    ));
                }
                None if incident.needs_person && late(incident.opened, now, PATIENCE) => {
                    faults.push(format!(
                        "{id} about {} needs a person and calls nobody",
                        incident.target
                    ));
                }
                _ => {}
            }
        }
        let failed = self.ledger.plans.values().filter(|fact| {
            let incident = self.ledger.incidents.get(&fact.plan.incident);
            let open = incident.is_some_and(|incident| incident.resolved.is_none());
            let how = fact.ended.as_ref().filter(|(at, _)| late(*at, now, PATIENCE));
            let bad = how.is_some_and(|(_, how)| {
                matches!(how, PlanEnd::Failed { .. } | PlanEnd::Stuck { .. })
            });
            let last = incident.is_some() && !self.ledger.holders.contains_key(&fact.plan.target);
            open && bad
                && last
                && fact.plan.policy.is_some()
                && !self.ledger.ladders.contains_key(&fact.plan.incident)
        });
        faults.extend(failed.map(|fact| {
            format!("the remediation of {} failed, and nobody is called", fact.plan.target)
        }));
        faults.into_iter().for_each(|text| self.broken("I5", now, text));
    }

    /// The log, read a second time in one go, leads to the same decisions: whatever died in between.
    fn read_again(&mut self, store: &Store, now: Timestamp) {
        let mut state = State::default();
        let (mut anew, mut said) = (BTreeMap::new(), BTreeMap::new());
        let mut after = 0;
        loop {
            let page = store.read(after, &Stream::ALL, 4096);
            for record in &page {
                after = record.seq;
                if let Some(input) = input(record) {
                    let (at, seq) = (record.at, record.seq);
                    let answers =
                        engine::step(&self.rules, &mut state, seq, &input, at, &mut vec![]);
                    anew.extend(answers.iter().filter_map(decision));
                }
                if record.stream == Stream::Decisions
                    && let Ok(envelope) = record.open::<Decision>()
                    && envelope.kind == kind::DECISION
                {
                    said.insert(envelope.id.clone(), name(&envelope));
                }
            }
            if page.is_empty() {
                break;
            }
        }
        let missing = anew.iter().find(|(id, _)| !said.contains_key(*id));
        let extra = said.iter().find(|(id, name)| anew.get(*id) != Some(*name));
        // The last inputs may not be decided on yet.
        let last = store.get(store.last());
        let fresh = last.is_some_and(|record| !late(record.at, now, PATIENCE));
        if let Some((id, name)) = extra {
            let instead = anew.get(id).map_or("nothing", String::as_str);
            let text = format!("read again, the log leads to {instead} instead of {name}");
            self.broken("I9", now, text);
        } else if let Some((_, name)) = missing.filter(|_| !fresh) {
            let text = format!("read again, the log leads to one more decision: {name}");
            self.broken("I9", now, text);
        }
    }

    /// Whether anything is under way whose end has to be waited for.
    pub(in crate::simulation) fn busy(&self) -> bool {
        self.ledger
            .plans
            .values()
            .any(|fact| fact.ended.is_none() && fact.plan.mode == Mode::Enforce)
    }
}

fn late(since: Timestamp, now: Timestamp, by: Duration) -> bool {
    since.checked_add(by).is_ok_and(|limit| limit < now)
}

fn input(record: &Record) -> Option<Input> {
    match record.stream {
        Stream::Events => record.open().ok().map(|event| Input::Event(Box::new(event))),
        Stream::Outcomes => record.open().ok().map(|it| Input::Outcome(Box::new(it))),
        Stream::Decisions | Stream::Plans | Stream::Dead => None,
    }
}

fn name(decision: &Envelope<Decision>) -> String {
    let verdict = ledger::word(&decision.data.verdict);
    format!("{} about {}: {verdict}", decision.data.rule, decision.subject)
}

fn decision(said: &Said) -> Option<(Id, String)> {
    match said {
        Said::Decision(decision) => Some((decision.id.clone(), name(decision))),
        Said::Change(_) | Said::Event(_) => None,
    }
}

/// What its longest step may take by itself, and some time more.
fn waits(plan: &Plan) -> Duration {
    let of = |step: &PlannedStep| match &step.action {
        Action::Verify { within, hold, .. } => within.0 + hold.0,
        Action::Wait { time } => time.0,
        _ => Duration::ZERO,
    };
    plan.steps.iter().map(of).max().unwrap_or_default() + PATIENCE
}
