//! The plan: complete, immutable, printable. After it nobody has a choice.

use super::{Action, Id, Means, Mode, Order, PlannedCapacity, PlannedRung, Source, Span, Target};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    pub id: Id,
    pub incident: String,
    pub epoch: u32,
    pub rule: String,
    pub target: Target,
    pub mode: Mode,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
    /// What is kept free before the deadline, for kubelet and volumes.
    pub reserve: Span,
    /// Topologically ordered.
    pub steps: Vec<PlannedStep>,
    /// Runs when a step failed or the deadline is about to pass.
    pub otherwise: Vec<PlannedStep>,
    pub doomed: bool,
    /// Who hears of it when the robot is not enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    pub made_at: Timestamp,
    /// When the log took the event that led here.
    pub caused_at: Timestamp,
    /// What makes the pods anew that have to move, as [`super::Pod::maker`] names it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub movers: Vec<String>,
    /// The jobs of gangs with a member on the node: what `suspend` suspends.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gangs: Vec<PlannedGang>,
    /// What is asked for in place of the machine that goes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capacity: Vec<super::PlannedCapacity>,
    /// What is sent elsewhere, or back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub moves: Vec<super::PlannedMove>,
    /// What was asked for when they were sent elsewhere: given back once nothing runs on it any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub brought: Vec<super::Order>,
    /// Of the node's machine: another one tells that it has started anew.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub boot_id: String,
    /// The checkpoints that are asked for, the slowest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checkpoints: Vec<PlannedCheckpoint>,
    /// Each pod that a drain meets, and the latest moment at which it is told to go.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pods: Vec<PlannedPod>,
    /// What the linter and the builder want a reader to know: pods that will not come back, pods left alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedStep {
    pub name: String,
    pub action: Action,
    /// What it acts on: resolved now, so that the executor has nothing to look up.
    pub reach: Reach,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<String>,
    /// Hash of incident, epoch, step and target. The same effect has the same key, for ever.
    pub key: Id,
    /// The first step after which nothing is undone.
    #[serde(default)]
    pub no_return: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "on", rename_all = "snake_case")]
pub enum Reach {
    Node {
        name: String,
    },
    Workload {
        kind: super::WorkloadKind,
        namespace: String,
        name: String,
    },
    /// The hook of an Auto Scaling group that waits for us.
    Hook {
        hook: super::Hook,
    },
    /// The world outside the cluster: a page, a call, a pause.
    World,
}

/// A gang whose job can be suspended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedGang {
    /// As [`super::Pod::gang`] names it.
    pub unit: String,
    pub job: super::Job,
    /// Pods that it had when the plan was made. 0: nobody counted.
    #[serde(default)]
    pub ranks: u32,
}

/// One gang, or one pod, that is asked for a checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedCheckpoint {
    /// The gang as [`super::Pod::gang`] names it, or the pod.
    pub unit: String,
    /// Of the request: the same for ever.
    pub id: Id,
    pub means: Means,
    /// By name; the first is the leader.
    pub members: Vec<Member>,
    /// Has to be durable by then.
    pub by: Timestamp,
    /// From there work would be lost: the last checkpoint that is known, or the beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// That is a checkpoint, and not the beginning.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub saved: bool,
    /// As its checkpoints took before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub takes: Option<Span>,
    /// As large as they were before, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    pub namespace: String,
    pub name: String,
    pub uid: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub ip: String,
    /// On the node that is emptied.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub doomed: bool,
}

/// What a drain means to do with one pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedPod {
    pub name: String,
    pub uid: String,
    /// Seconds that it has to end.
    pub grace: u32,
    /// Told to go by then, whatever it waits for.
    pub evict_by: Timestamp,
    /// Waits for that checkpoint until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
}

impl Plan {
    /// It is only let go back to where it was: rather than lose work for that, it stays where it is.
    pub fn may_stay(&self, unit: &str) -> bool {
        self.moves.iter().any(|of| of.to.is_none() && of.unit.as_deref() == Some(unit))
    }

    /// What a rung asks for: another order for each step, ladder, round and rung.
    pub fn order(&self, step: &str, of: &PlannedCapacity, round: u32, rung: u32) -> Option<Order> {
        let PlannedRung { source, machines, .. } = of.rungs.get(rung as usize)?.clone();
        let (round, rung) = (round.to_string(), rung.to_string());
        let key = Id::of(&["capacity", self.id.as_str(), step, &of.ladder, &round, &rung]);
        let tag = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let tags = vec![
            tag("medevac.dev/incident", &self.incident),
            tag("medevac.dev/rule", &self.rule),
            tag("medevac.dev/key", key.short(32)),
        ];
        Some(Order { key: key.short(32).to_owned(), source, machines, tags })
    }

    /// Everything that it may have asked the cloud for.
    pub fn orders(&self) -> Vec<Order> {
        /// The ladder from its beginning to its end, and again: more than half an hour of it.
        const ROUNDS: u32 = 3;
        let mut all = vec![];
        let steps =
            self.steps.iter().filter(|step| matches!(step.action, Action::Provision { .. }));
        for (step, of) in steps.flat_map(|step| self.capacity.iter().map(move |of| (step, of))) {
            for (round, rung) in
                (0..ROUNDS).flat_map(|round| (0..).zip(&of.rungs).map(move |(at, _)| (round, at)))
            {
                let order = self.order(&step.name, of, round, rung);
                all.extend(order.filter(|it| !matches!(it.source, Source::Placeholders(_))));
            }
        }
        all
    }

    /// Something is suspended, or kept, until it is elsewhere.
    pub fn suspends(&self) -> bool {
        !self.gangs.is_empty() || self.moves.iter().any(|of| of.mover.uid().is_some())
    }

    /// The id of the plan of that epoch: known before the plan is built.
    pub fn id_of(incident: &str, epoch: u32) -> Id {
        Id::of(&["plan", incident, &epoch.to_string()])
    }

    /// When every step has to be done: the deadline less the reserve.
    pub fn until(&self) -> Option<Timestamp> {
        self.deadline.map(|at| at.checked_sub(self.reserve.0).unwrap_or(at))
    }

    /// As an outside party is told of it.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    pub fn step(&self, name: &str) -> Option<&PlannedStep> {
        self.steps.iter().chain(&self.otherwise).find(|step| step.name == name)
    }
}
