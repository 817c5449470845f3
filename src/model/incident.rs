//! The incident: what a person is told about. One per cause and target, however many signals.

use super::{Id, Severity, Target};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IncidentState {
    Open,
    Acknowledged,
    Resolved,
}

/// An alert that keeps the incident open for as long as it fires.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Signal {
    pub fingerprint: String,
    pub name: String,
}

/// What a rule found by waiting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watch {
    /// Of the rule and its key.
    pub fingerprint: String,
    pub rule: String,
    /// When it was found: what happened before does not end it.
    pub since: Timestamp,
}

/// The incident as it stands: the fold of its changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// For people and for URLs: `inc-3f9a1c20de`.
    pub id: String,
    pub target: Target,
    /// Why it was opened, in one line.
    pub title: String,
    pub severity: Severity,
    pub state: IncidentState,
    pub opened_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged_by: Option<String>,
    /// How it ended, or where its remediation stands.
    #[serde(default)]
    pub note: String,
    /// Counts the plans made for it; a plan of an older epoch may do nothing more.
    pub epoch: u32,
    /// The alerts that still fire.
    #[serde(default)]
    pub signals: Vec<Signal>,
    /// What rules found by waiting, a state that lasts or a sign of life that does not come: over with the last of it,
    /// where no alert tells.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub watched: Vec<Watch>,
    /// The plan that holds the target, where one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running: Option<Id>,
    /// Every plan, oldest first.
    #[serde(default)]
    pub plans: Vec<Id>,
    /// An alert opened it or joined it: it ends when its alerts do.
    #[serde(default)]
    pub alerting: bool,
    /// The rule itself asks for a person: it is over when one says so, or its alerts end.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub calls: bool,
    /// How the last plan ended: the word of its [`super::PlanEnd`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_end: Option<String>,
    pub traceparent: String,
    /// Log position of the event that opened it and of the last change.
    pub first_seq: u64,
    pub last_seq: u64,
}

/// A change of an incident, recorded by the engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IncidentChange {
    pub incident: String,
    #[serde(rename = "move")]
    pub change: Move,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Move {
    Opened {
        title: String,
        severity: Severity,
        signal: Option<Signal>,
        event_seq: u64,
        traceparent: String,
    },
    Joined {
        signal: Option<Signal>,
        severity: Severity,
    },
    /// A rule that waited for something has found it.
    Watched {
        watch: Watch,
    },
    Cleared {
        fingerprint: String,
        left: usize,
    },
    Acknowledged {
        by: String,
        note: String,
        /// The calling stops until then. `None`: for as long as the policy says.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
    },
    Resolved {
        by: String,
        note: String,
    },
}
