//! A person tells the robot to keep its hands still for a while.

use super::{Envelope, Event};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What keeps still.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    Everything,
    Tenant(String),
    Pool(String),
    Rule(String),
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scope::Everything => f.write_str("everything"),
            Scope::Tenant(name) => write!(f, "tenant {name}"),
            Scope::Pool(name) => write!(f, "pool {name}"),
            Scope::Rule(name) => write!(f, "rule {name}"),
        }
    }
}

/// Recovery, uncordoning and calling people go on; everything else that changes something waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    pub id: String,
    pub scope: Scope,
    pub by: String,
    pub reason: String,
    pub since: Timestamp,
    /// It ends by itself: nobody has to remember it.
    pub until: Timestamp,
}

impl Pause {
    /// Whether it holds back `rule` about `event` at `now`.
    pub fn holds(&self, rule: &str, event: &Envelope<Event>, now: Timestamp) -> bool {
        let about = match &self.scope {
            Scope::Everything => true,
            Scope::Tenant(name) => event.tenant.as_ref() == Some(name),
            Scope::Pool(name) => {
                event.data.context.pool.as_ref().is_some_and(|pool| pool.name == *name)
            }
            Scope::Rule(name) => rule == name,
        };
        about && now < self.until
    }
}
