//! Pages: what one says, which one it is, and how far it has come.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What a page says. Built once, when the level is reached, so that a retry says the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub incident: String,
    pub title: String,
    pub target: String,
    pub severity: super::Severity,
    pub policy: String,
    pub level: u32,
    pub why: String,
    /// What was asked for and is here: name and text.
    #[serde(default)]
    pub evidence: Vec<(String, String)>,
    /// What was asked for and could not be had: name and why.
    #[serde(default)]
    pub missing: Vec<(String, String)>,
    /// The provider's reference of the first page to this contact about the incident: what follows belongs to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread: Option<String>,
}

/// One ring: sent twice, it rings once (invariant I6).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PageKey {
    pub incident: String,
    pub level: u32,
    /// Counts every round of the ladder; never starts again.
    pub nth: u32,
    pub contact: String,
    pub kind: PageKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PageKind {
    /// Somebody has to answer.
    Trigger,
    /// What was triggered is over.
    Resolve,
    /// For information; nobody has to answer.
    Note,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "page", rename_all = "snake_case")]
pub enum PageStep {
    /// The ladder stands here from now on, and climbs at `until`.
    Calling {
        policy: String,
        level: u32,
        nth: u32,
        until: Timestamp,
        why: String,
    },
    /// Quiet hours: the level waits for their end.
    Held {
        policy: String,
        level: u32,
        nth: u32,
        until: Timestamp,
        why: String,
    },
    Intent {
        key: PageKey,
        report: Report,
    },
    Attempt {
        key: PageKey,
        attempt: u32,
    },
    Delivered {
        key: PageKey,
        reference: String,
    },
    Undelivered {
        key: PageKey,
        why: String,
    },
    Acknowledged {
        by: String,
        until: Timestamp,
    },
    /// Nobody answered on any level: said by another road.
    Unanswered {
        until: Timestamp,
        why: String,
    },
    StoodDown {
        why: String,
    },
}

/// What a provider did with a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// Taken, with the provider's reference.
    Accepted(String),
    /// Not now: again after so many seconds.
    Retry { after: Option<u32>, why: String },
    /// Never: another road has to be found.
    Refused(String),
}
