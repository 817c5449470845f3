//! The plan: complete, immutable, printable. After it nobody has a choice.

use super::{Action, Id, Mode, Span, Target};
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
    /// Controllers of the pods that have to move, as [`super::Pod::controller`] names them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub movers: Vec<String>,
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
    /// The world outside the cluster: a page, a call, a pause.
    World,
}

impl Plan {
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
