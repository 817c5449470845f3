//! What the engine decided about one event and one rule.

use super::{Mode, Span, StepSpec};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Info,
    #[default]
    Warning,
    Error,
    Critical,
}

impl Severity {
    pub const ALL: [Severity; 4] =
        [Severity::Info, Severity::Warning, Severity::Error, Severity::Critical];

    pub fn word(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Error => "error",
            Severity::Critical => "critical",
        }
    }
}

/// Leave from a guard, held until the remediation ends (invariant I3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    pub guard: String,
    /// The value of the guard's `per` for this event: `pool-a`.
    pub key: String,
    /// It tries whether the storm is over that tripped the guard.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub probe: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    pub incident: String,
    pub epoch: u32,
    pub rule: String,
    pub severity: Severity,
    pub mode: Mode,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
    /// Who hears of it when the robot is not enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// What the rule and the event say that a person will want to see: `runbook`, `dashboards`, `events`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub evidence: BTreeMap<String, String>,
    /// What the event said of the machine, as a rule's `cloud` has it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub cloud: BTreeMap<String, String>,
    /// The throttle that starts with this decision: its key, and until when it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quiet: Option<(String, Timestamp)>,
    /// The timer that led to it: with this decision it has gone off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timer: Option<Box<Timer>>,
    pub verdict: Verdict,
}

/// What a time word waited for, until when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timer {
    pub word: String,
    pub key: String,
    pub due: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Verdict {
    Act {
        steps: Vec<StepSpec>,
        otherwise: Vec<StepSpec>,
        reserved: Vec<Reservation>,
        /// The target is doomed anyway: nothing is undone.
        doomed: bool,
    },
    /// The rule has no steps: a person is told.
    Tell,
    Suppressed {
        reason: Suppression,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum Suppression {
    Throttled {
        key: String,
        until: Timestamp,
    },
    Guard {
        guard: String,
        key: String,
        limit: String,
        held: u32,
        /// The guard has `storm`: it stays tripped until then, if nobody asks in between.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        trip: Option<Timestamp>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        release_after: Option<Span>,
    },
    /// A person has paused it.
    Paused {
        pause: String,
        by: String,
        reason: String,
        until: Timestamp,
    },
    /// Outside of the rule's hours. An alert waits until then.
    Hours {
        hours: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
    },
    /// Another remediation holds the target.
    Busy {
        plan: super::Id,
    },
    /// The chain of causes is at its limit: the rule feeds itself.
    Loop,
}
