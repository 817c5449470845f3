//! What a diagnosis finds: how it stands with something, by which evidence, and what to do about it.

use serde::{Deserialize, Serialize};
use std::fmt;

/// What is looked into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Topic {
    /// GPUs that are not available: operator, labels, device plugin, health.
    Gpu,
    /// Pods that get no node: quotas, selectors, taints, priorities.
    Scheduling,
    /// Volumes that do not come: drivers, access points, zones, attachments.
    Storage,
    /// Linkerd: control plane, proxies, profiles, certificates.
    Mesh,
    /// What a namespace or tenant may use, and what it uses.
    Quota,
}

impl Topic {
    pub const ALL: [(&'static str, Topic); 5] = [
        ("gpu", Topic::Gpu),
        ("scheduling", Topic::Scheduling),
        ("storage", Topic::Storage),
        ("mesh", Topic::Mesh),
        ("quota", Topic::Quota),
    ];

    pub fn word(self) -> &'static str {
        Topic::ALL.iter().find(|(_, it)| *it == self).map_or("", |(word, _)| *word)
    }
}

/// How it stands with what was looked at, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// This is wrong.
    Bad,
    /// This may be why.
    Suspect,
    /// It could not be looked at.
    Unknown,
    Good,
}

impl Health {
    pub fn word(self) -> &'static str {
        match self {
            Health::Bad => "bad",
            Health::Suspect => "suspect",
            Health::Unknown => "unknown",
            Health::Good => "good",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Finding {
    pub health: Health,
    /// In one sentence.
    pub what: String,
    /// What was seen, as it was seen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<String>,
    /// What to do. Empty: nothing.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub advice: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.health.word(), self.what)?;
        for line in &self.evidence {
            write!(f, "\n  seen: {line}")?;
        }
        if self.advice.is_empty() { Ok(()) } else { write!(f, "\n  do: {}", self.advice) }
    }
}
