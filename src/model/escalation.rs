//! Who is called, in which order, over which road. Read from rule files; secrets by reference only.

use super::{Secret, Span};
use std::collections::BTreeMap;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    pub name: String,
    /// The first is level 1.
    pub levels: Vec<Level>,
    /// How often the whole ladder is climbed before nobody-answered is cried out. At least 1.
    pub rounds: u32,
    /// How long an acknowledgement holds before the calling starts again.
    pub ack_expires: Span,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Level {
    /// How long a level rings before the next.
    pub delay: Span,
    /// Names of contacts.
    pub contacts: Vec<String>,
    /// What it has to carry: `logs`, `events`, `runbook`, `dashboards`, `remediation`.
    pub evidence: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contact {
    pub name: String,
    pub pager: Pager,
    /// A second road, for when this one does not accept.
    pub fallback: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pager {
    Console,
    Webhook { url: String, headers: BTreeMap<String, Secret> },
    PagerDuty { routing_key: Secret, url: String },
    Slack { token: Secret, channel: String, url: String },
    Alertmanager { urls: Vec<String> },
}

impl Pager {
    /// The provider's name in metrics.
    pub fn word(&self) -> &'static str {
        match self {
            Pager::Console => "console",
            Pager::Webhook { .. } => "webhook",
            Pager::PagerDuty { .. } => "pagerduty",
            Pager::Slack { .. } => "slack",
            Pager::Alertmanager { .. } => "alertmanager",
        }
    }
}

/// All policies and contacts of the rule files in force.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Directory {
    pub policies: BTreeMap<String, Policy>,
    pub contacts: BTreeMap<String, Contact>,
}
