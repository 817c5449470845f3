//! What happened: the journal of a remediation, and the outbox of pages.

use super::{Climbed, Handshake, Id, PageStep, Plan};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The outcome message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "of", rename_all = "snake_case")]
pub enum Outcome {
    Remediation { plan: Id, incident: String, epoch: u32, entry: Entry },
    Page { incident: String, step: PageStep },
}

/// One line of a remediation's journal. Recorded before it is acted upon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "snake_case")]
pub enum Entry {
    Accepted,
    /// With what undoing it has to put back, known before it is done.
    Started {
        step: String,
        #[serde(default)]
        undo: Undo,
    },
    /// After a crash: it had started, and nobody knows how far it came.
    Unknown {
        step: String,
    },
    Succeeded {
        step: String,
        note: String,
    },
    Skipped {
        step: String,
        why: String,
    },
    Failed {
        step: String,
        why: String,
    },
    /// A checkpoint has come a step further.
    Checkpoint {
        step: String,
        unit: String,
        state: Handshake,
    },
    /// A ladder was climbed further.
    Climbed {
        step: String,
        ladder: String,
        climbed: Climbed,
    },
    /// What a look has found.
    Found {
        step: String,
        topic: super::Topic,
        findings: Vec<super::Finding>,
    },
    /// What became of each pod that a drain has met.
    Pods {
        step: String,
        pods: Vec<PodRecord>,
    },
    UndoStarted {
        step: String,
    },
    Undone {
        step: String,
    },
    UndoFailed {
        step: String,
        why: String,
    },
    /// A person must hear of it. The step `escalate` asks for it, and so does a remediation that is stuck.
    Escalate {
        policy: String,
        level: u32,
        why: String,
    },
    Notify {
        contact: String,
        text: String,
        key: Id,
    },
    Ended {
        how: PlanEnd,
    },
}

/// What became of one pod that had to go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodRecord {
    pub name: String,
    pub uid: String,
    /// When it was told to go. None: it went by itself, or was never told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told_at: Option<Timestamp>,
    /// Seconds that it had to end.
    #[serde(default)]
    pub grace: u32,
    /// Past its disruption budget.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub forced: bool,
    /// When it was seen to be gone. None: it was still there when the drain ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gone_at: Option<Timestamp>,
    /// It did not end by itself: its grace was used up, or the machine was taken away first.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub killed: bool,
}

/// What undoing a step has to put back.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "undo", rename_all = "snake_case")]
pub enum Undo {
    /// Nothing was changed, or nothing can be put back.
    #[default]
    Nothing,
    Uncordon {
        /// Key and effect.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        taints: Vec<(String, String)>,
    },
    Untaint {
        taints: Vec<(String, String)>,
    },
    Label {
        key: String,
        value: Option<String>,
    },
    Annotate {
        key: String,
        value: Option<String>,
    },
    Scale {
        replicas: u32,
    },
    /// Machines that nobody needs, and the pods that held a place: whatever becomes of the plan, they do not stay so.
    GiveBack,
    /// Where workloads may run, as it was before.
    MoveBack,
    /// The gangs of the plan that it suspended: whatever becomes of the plan, they do not stay so.
    Resume,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "how", rename_all = "snake_case")]
pub enum PlanEnd {
    Succeeded,
    Failed {
        step: String,
        why: String,
    },
    /// An undo failed: a person has to put it right.
    Stuck {
        step: String,
        why: String,
    },
    /// A newer plan for the same target took over.
    Superseded {
        by: Id,
    },
    /// The world made it pointless: the node is gone, a person took over, the fault is over.
    Moot {
        why: String,
    },
    /// Observe mode: recorded, nothing done.
    Observed,
}

impl Entry {
    /// The step that the entry is about.
    pub fn step(&self) -> Option<&str> {
        match self {
            Entry::Started { step, .. }
            | Entry::Unknown { step }
            | Entry::Succeeded { step, .. }
            | Entry::Skipped { step, .. }
            | Entry::Failed { step, .. }
            | Entry::Checkpoint { step, .. }
            | Entry::Climbed { step, .. }
            | Entry::Found { step, .. }
            | Entry::Pods { step, .. }
            | Entry::UndoStarted { step }
            | Entry::Undone { step }
            | Entry::UndoFailed { step, .. } => Some(step),
            Entry::Accepted
            | Entry::Escalate { .. }
            | Entry::Notify { .. }
            | Entry::Ended { .. } => None,
        }
    }
}

impl PlanEnd {
    /// The word that metrics and lists use.
    pub fn word(&self) -> &'static str {
        match self {
            PlanEnd::Succeeded => "succeeded",
            PlanEnd::Failed { .. } => "failed",
            PlanEnd::Stuck { .. } => "stuck",
            PlanEnd::Superseded { .. } => "superseded",
            PlanEnd::Moot { .. } => "moot",
            PlanEnd::Observed => "observed",
        }
    }
}

impl Outcome {
    /// A journal line of `plan`.
    pub fn of(plan: &Plan, entry: Entry) -> Outcome {
        Outcome::Remediation {
            plan: plan.id.clone(),
            incident: plan.incident.clone(),
            epoch: plan.epoch,
            entry,
        }
    }
}
