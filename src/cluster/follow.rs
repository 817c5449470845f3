//! What a cluster can be asked to tell, besides what the caches keep.

use serde_json::Value;

/// Objects of one kind, followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Followed {
    /// Events of the API; only warnings, or all.
    Events {
        all: bool,
    },
    Nodes,
    Pods,
    Objects(Custom),
}

/// A kind that the configuration names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Custom {
    /// `group/version`, or `v1`.
    pub api_version: String,
    pub kind: String,
    /// As the API server's paths have it.
    pub plural: String,
}

impl Followed {
    /// Of the place where it is kept how far it has been heard.
    pub fn name(&self) -> String {
        match self {
            // One place for both: who asks for more goes on from there.
            Followed::Events { .. } => "feed-events".into(),
            Followed::Nodes => "feed-nodes".into(),
            Followed::Pods => "feed-pods".into(),
            Followed::Objects(custom) => {
                format!("feed-{}-{}", custom.api_version.replace(['/', '.'], "-"), custom.plural)
            }
        }
    }

    /// Whether it can be gone on with where another life was. What tells how things are is listed anew.
    pub fn resumes(&self) -> bool {
        matches!(self, Followed::Events { .. })
    }
}

/// What is followed: what rules ask for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Follows {
    pub events: bool,
    /// Events that are no warnings, too.
    pub all_events: bool,
    pub conditions: bool,
    pub phases: bool,
    pub objects: Vec<Custom>,
}

impl Follows {
    pub fn feeds(&self) -> Vec<Followed> {
        let one = |wanted: bool, what: Followed| wanted.then_some(what);
        [
            one(self.events, Followed::Events { all: self.all_events }),
            one(self.conditions, Followed::Nodes),
            one(self.phases, Followed::Pods),
        ]
        .into_iter()
        .flatten()
        .chain(self.objects.iter().cloned().map(Followed::Objects))
        .collect()
    }
}

/// What is heard of those objects.
#[derive(Debug, Clone, PartialEq)]
pub enum Heard {
    /// `listed`: it was there when everything was listed; else it has just changed.
    Object { object: Box<Value>, listed: bool },
    /// As it was at last.
    Gone { object: Box<Value> },
    /// Everything up to that version has been told.
    Version(String),
    /// Everything that is there has been told, as of that version.
    Listed(String),
}
