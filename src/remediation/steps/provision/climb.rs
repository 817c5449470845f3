//! One ladder: asked rung by rung, the next one at once where there is nothing to be had. After the last it begins anew,
//! until its time is up.

mod outlook;

use super::super::super::Journal;
use super::super::super::saga::Work;
use super::super::turn::{Turn, Weighed};
use super::spare::Spare;
use super::{PLACE, place};
use crate::model::{
    Answer, Climbed, Climbing, CloudCall, ClusterCall, Granted, Joined, Order, Placeholders, Plan,
    PlannedCapacity, Question, Resource, Source,
};
use jiff::Timestamp;
use serde_json::Value;
use std::time::Duration;

/// From the end of a ladder to its beginning: capacity that is gone comes back in minutes.
const ANEW: Duration = Duration::from_secs(60);

#[derive(Debug)]
enum Stage {
    /// What comes next is not recorded yet.
    Waiting,
    /// A pod that needs a place: what does it ask for?
    Read(usize),
    Make(usize, Value),
    /// Do all placeholders run?
    Held,
    /// Has whoever brings nodes given this one up?
    GivenUp(String),
    Ask,
    /// These have come: have they joined?
    Join(Vec<String>),
    Leave(Box<Spare>),
    Over(Vec<String>),
}

#[derive(Debug)]
pub(super) struct Climb {
    pub(super) of: PlannedCapacity,
    /// As the journal has it.
    at: Option<Climbed>,
    order: Option<Order>,
    stage: Stage,
    turn: Turn,
    /// Nodes of placeholders that have run.
    held: Vec<String>,
    /// Set where the rung is over, and not recorded yet.
    end: Option<Climbing>,
    left: bool,
    refusals: Vec<String>,
    last: String,
    until: Timestamp,
}

impl Climb {
    pub(super) fn new(of: PlannedCapacity, until: Timestamp, now: Timestamp) -> Climb {
        Climb {
            of,
            at: None,
            order: None,
            stage: Stage::Waiting,
            turn: Turn::new(now),
            held: vec![],
            end: None,
            left: false,
            refusals: vec![],
            last: "nobody has answered yet".into(),
            until,
        }
    }

    /// Takes up what the journal has.
    pub(super) fn catch_up(&mut self, plan: &Plan, step: &str, journal: &Journal, now: Timestamp) {
        let recorded = journal.climbed.get(&self.of.ladder);
        if recorded == self.at.as_ref() {
            return;
        }
        let Some(climbed) = recorded.cloned() else { return };
        self.order = plan.order(step, &self.of, climbed.round, climbed.rung);
        self.end = None;
        self.left = false;
        self.turn.on(now);
        self.stage = match (&climbed.state, &self.order) {
            (Climbing::Ready { nodes }, _) => Stage::Over(nodes.clone()),
            (Climbing::Asked, Some(order)) => match order.source {
                Source::Placeholders(_) => Stage::Read(0),
                _ => Stage::Ask,
            },
            (Climbing::Yielded, Some(order)) => {
                Stage::Leave(Box::new(Spare::new(order.clone(), now)))
            }
            (Climbing::Refused { why }, Some(order)) => {
                self.refusals.push(format!("{}: {why}", order.source));
                Stage::Leave(Box::new(Spare::new(order.clone(), now)))
            }
            (_, None) => Stage::Waiting,
        };
        self.at = Some(climbed);
    }

    fn late(&self, now: Timestamp) -> bool {
        let Some(at) = &self.at else { return false };
        let within = self.of.rungs.get(at.rung as usize).map_or(Duration::ZERO, |it| it.within.0);
        let rung = at.at.checked_add(within).unwrap_or(now);
        now >= rung.min(self.until)
    }

    fn holds_places(&self) -> bool {
        let source = self.order.as_ref().map(|order| &order.source);
        matches!(source, Some(Source::Placeholders(_)))
    }

    /// What is recorded next. `waits`: those whom places are held for wait for a node themselves.
    pub(super) fn news(&mut self, waits: bool, now: Timestamp) -> Option<Climbed> {
        let (round, rung, state) = match &self.at {
            None => (0, 0, Climbing::Asked),
            Some(Climbed { round, rung, state: Climbing::Asked, .. }) => {
                if self.end.is_none() && waits && self.holds_places() && !self.turn.busy() {
                    self.end = Some(Climbing::Yielded);
                }
                if self.end.is_none() && self.late(now) && !self.turn.busy() {
                    let why = format!("no node was ready in time: {}", self.last);
                    self.end = Some(Climbing::Refused { why });
                }
                (*round, *rung, self.end.clone()?)
            }
            Some(Climbed { round, rung, state: Climbing::Refused { .. }, at }) => {
                if !self.left || now >= self.until {
                    return None;
                }
                let last = *rung as usize + 1 >= self.of.rungs.len();
                match last {
                    false => (*round, rung + 1, Climbing::Asked),
                    true if now < at.checked_add(ANEW).unwrap_or(now) => return None,
                    true => (round + 1, 0, Climbing::Asked),
                }
            }
            Some(Climbed { state: Climbing::Ready { .. } | Climbing::Yielded, .. }) => return None,
        };
        Some(Climbed { round, rung, at: now, state })
    }

    pub(super) fn poll(&mut self, now: Timestamp) -> Option<Work> {
        if self.end.is_some() {
            return None;
        }
        let order = self.order.as_ref()?;
        let places = match &order.source {
            Source::Placeholders(of) => Some(of),
            _ => None,
        };
        let work = match (&mut self.stage, places) {
            (Stage::Leave(spare), _) => return spare.poll(now),
            (Stage::Read(at), Some(_)) => {
                let pod = self.of.pods.get(*at)?;
                let (namespace, name) = (Some(pod.namespace.clone()), pod.name.clone());
                Work::Ask(Question::One { what: Resource::POD, namespace, name })
            }
            (Stage::Make(at, pod), Some(of)) => {
                Work::Cluster(ClusterCall::Make(place::made(&self.of, order, of, *at, pod)))
            }
            (Stage::Held, Some(of)) => Work::Ask(held(order, of)),
            (Stage::GivenUp(name), Some(of)) => {
                let (namespace, name) = (of.namespace.clone(), name.clone());
                Work::Ask(Question::Events { namespace, kind: "Pod", name })
            }
            (Stage::Ask, None) => Work::Cloud(CloudCall::Provision(order.clone())),
            (Stage::Join(machines), None) => {
                Work::Ask(Question::Machines { machines: machines.clone() })
            }
            _ => return None,
        };
        self.turn.take(now).then_some(work)
    }

    pub(super) fn answer(&mut self, answer: Answer, now: Timestamp) {
        if let Stage::Leave(spare) = &mut self.stage {
            spare.answer(answer, now);
            if let Some(how) = spare.over() {
                if let Err(why) = how {
                    self.refusals.push(format!("it was not given back: {why}"));
                }
                self.left = true;
            }
            return;
        }
        let weighed = self.turn.weigh(answer, now);
        let said = match (weighed, &self.stage) {
            (Weighed::Said(said), _) => said,
            // It went before anybody could ask what it needs; or a life before has made it.
            (Weighed::Gone, Stage::Read(_)) | (Weighed::Changed(_), Stage::Make(..)) => {
                String::new()
            }
            // Who may not read events waits for as long as the rung has.
            (_, Stage::GivenUp(_)) => "[]".into(),
            (Weighed::Again(why), _) => return self.last = why,
            (Weighed::Gone, _) => return self.refused("it is not there".into()),
            (Weighed::Never(why) | Weighed::Changed(why), _) => return self.refused(why),
        };
        self.said(&said, now);
    }

    fn refused(&mut self, why: String) {
        self.end = Some(Climbing::Refused { why });
    }

    fn said(&mut self, said: &str, now: Timestamp) {
        let wanted = self.order.as_ref().map_or(0, |order| order.machines) as usize;
        match &self.stage {
            Stage::Read(at) => {
                let pod = serde_json::from_str(said).unwrap_or_default();
                self.go(Stage::Make(*at, pod), now);
            }
            Stage::Make(at, _) => {
                let next = at + 1;
                let more = next < self.of.pods.len();
                self.go(if more { Stage::Read(next) } else { Stage::Held }, now);
            }
            Stage::Held => self.hold(said),
            Stage::GivenUp(_) => {
                let told: Vec<Value> = serde_json::from_str(said).unwrap_or_default();
                if let Some(why) = self.given_up(&told) {
                    return self.refused(why);
                }
                self.stage = Stage::Held;
                self.turn.later(now);
            }
            Stage::Ask => {
                let granted: Granted = serde_json::from_str(said).unwrap_or_default();
                if granted.machines.len() >= wanted {
                    return self.go(Stage::Join(granted.machines), now);
                }
                self.last = format!("{} of {wanted} machines have come", granted.machines.len());
                self.turn.later(now);
            }
            Stage::Join(machines) => {
                let known: Vec<Joined> = serde_json::from_str(said).unwrap_or_default();
                let ready: Vec<String> =
                    known.iter().filter(|it| it.ready).map(|it| it.node.clone()).collect();
                if ready.len() >= machines.len() {
                    self.end = Some(Climbing::Ready { nodes: ready });
                    return;
                }
                let all = machines.join(", ");
                self.last = format!("{} of {wanted} nodes are Ready; asked for {all}", ready.len());
                self.turn.later(now);
            }
            Stage::Waiting | Stage::Leave(_) | Stage::Over(_) => {}
        }
    }

    /// A placeholder that has run and is gone has given its place to whom it was for.
    fn hold(&mut self, said: &str) {
        let all: Vec<Value> = serde_json::from_str(said).unwrap_or_default();
        let runs = |pod: &&Value| pod["status"]["phase"] == "Running";
        for pod in all.iter().filter(runs) {
            let node = pod["spec"]["nodeName"].as_str().unwrap_or_default().to_owned();
            if !self.held.contains(&node) {
                self.held.push(node);
            }
        }
        let waiting = all.len() - all.iter().filter(runs).count();
        if waiting == 0 && !self.held.is_empty() {
            self.end = Some(Climbing::Ready { nodes: self.held.clone() });
        } else if all.is_empty() {
            self.refused("somebody has taken the placeholders away".into());
        } else {
            self.last = format!("{waiting} placeholder pods have no node");
            let first = all.iter().find(|pod| !runs(pod)).map(|pod| &pod["metadata"]["name"]);
            self.stage = Stage::GivenUp(first.and_then(Value::as_str).unwrap_or_default().into());
        }
    }

    fn go(&mut self, stage: Stage, now: Timestamp) {
        self.stage = stage;
        self.turn.on(now);
    }
}

fn held(order: &Order, of: &Placeholders) -> Question {
    Question::Many {
        what: Resource::POD,
        namespace: Some(of.namespace.clone()),
        labels: format!("{PLACE}={}", order.key),
        limit: order.machines.saturating_add(1),
    }
}
