//! Who is called, in which order, over which road. Read from rule files; secrets by reference only.

use super::{Secret, Severity, Span};
use crate::calendar::{Hours, Rota};
use jiff::Timestamp;
use std::{collections::BTreeMap, sync::Arc};

#[derive(Debug, Clone)]
pub struct Policy {
    pub name: String,
    /// The first is level 1.
    pub levels: Vec<Level>,
    /// How often the whole ladder is climbed before nobody-answered is cried out. At least 1.
    pub rounds: u32,
    /// How long an acknowledgement holds before the calling starts again.
    pub ack_expires: Span,
    /// Then nobody is called for what is less severe than `quiet_below`: it waits for their end.
    pub quiet: Vec<Arc<Hours>>,
    pub quiet_below: Severity,
}

impl Policy {
    /// Until when nobody is called for something as severe as that. `None`: somebody is.
    pub fn quiet_until(&self, severity: Severity, now: Timestamp) -> Option<Timestamp> {
        let until = |at: Timestamp| self.quiet.iter().filter_map(|it| it.open_until(at)).max();
        let mut last = until(now).filter(|_| severity < self.quiet_below)?;
        // One may begin before another one ends.
        for _ in 0..16 {
            match until(last) {
                Some(later) => last = later,
                None => break,
            }
        }
        Some(last)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Level {
    /// How long a level rings before the next.
    pub delay: Span,
    /// Names of contacts, and of duties: then whoever has it.
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
    Webhook {
        url: String,
        headers: BTreeMap<String, Secret>,
        /// With it the body is signed.
        sign: Option<Secret>,
    },
    PagerDuty {
        routing_key: Secret,
        url: String,
    },
    Slack {
        /// Of the app: with it pages have buttons, and what they send is believed.
        signing: Option<Secret>,
        token: Secret,
        channel: String,
        url: String,
    },
    Alertmanager {
        urls: Vec<String>,
    },
    Opsgenie {
        api_key: Secret,
        responders: Vec<String>,
        url: String,
    },
    GoAlert {
        token: Secret,
        url: String,
    },
    Email(Box<Mailbox>),
}

/// A mail server, and who hears by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailbox {
    pub server: String,
    pub port: u16,
    pub tls: MailTls,
    /// User and password.
    pub login: Option<(String, Secret)>,
    pub from: String,
    pub to: Vec<String>,
}

/// How a mail server is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MailTls {
    /// STARTTLS, and nothing without it. Usually port 587.
    #[default]
    StartTls,
    /// From the first byte. Usually port 465.
    Wrapped,
    /// In clear text: for a relay on this machine.
    Off,
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
            Pager::Opsgenie { .. } => "opsgenie",
            Pager::GoAlert { .. } => "goalert",
            Pager::Email(_) => "email",
        }
    }
}

/// All policies, contacts and duties of the rule files in force.
#[derive(Debug, Clone, Default)]
pub struct Directory {
    pub policies: BTreeMap<String, Policy>,
    pub contacts: BTreeMap<String, Contact>,
    pub on_call: BTreeMap<String, Rota>,
}

impl Directory {
    /// The contact that is meant by a name: its own, or who has the duty of that name. `None`: nobody has.
    pub fn meant<'a>(&'a self, name: &'a str, at: Timestamp) -> Option<&'a str> {
        self.on_call.get(name).map_or(Some(name), |rota| rota.who(at))
    }
}
