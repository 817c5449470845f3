//! What is sent elsewhere, and back: workloads by their templates, jobs while they are suspended, pods by being made anew.

use super::{Bearing, Extent, Job, Resource, WorkloadKind};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{collections::BTreeSet, fmt};

/// Something whose pods can be sent elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "as", rename_all = "snake_case")]
pub enum Mover {
    /// Its template is changed, and its own strategy says how it rolls.
    Rolls { kind: WorkloadKind, namespace: String, name: String },
    /// Its template can be changed while it is suspended.
    Job(Job),
    /// A pod that no controller makes anew: what it is made of is kept while it goes, and it is made from that.
    Pod { namespace: String, name: String, uid: String },
}

impl fmt::Display for Mover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Mover::Rolls { kind, namespace, name } => {
                write!(f, "{}/{namespace}/{name}", kind.word())
            }
            Mover::Job(job) => {
                write!(f, "{}/{}/{}", job.kind.to_lowercase(), job.namespace, job.name)
            }
            Mover::Pod { namespace, name, .. } => write!(f, "pod/{namespace}/{name}"),
        }
    }
}

/// On what was sent elsewhere: by which incident, and what was before. JSON.
pub const MOVED: &str = "medevac.dev/moved";
/// What was sent elsewhere has it, with the pool that it left.
pub const MOVED_FROM: &str = "medevac.dev/moved-from";

impl Mover {
    /// Those that are found again by what they were marked with. A pod that was made anew has nothing to go back to.
    pub const KINDS: [Resource; 4] =
        [Resource::DEPLOYMENT, Resource::STATEFUL_SET, Resource::JOB, Resource::JOB_SET];

    /// The label selector of what has left that pool, or any.
    pub fn marked(pool: Option<&str>) -> String {
        pool.map_or_else(|| MOVED_FROM.to_owned(), |pool| format!("{MOVED_FROM}={}", label(pool)))
    }

    /// API version, kind and plural.
    pub fn api(&self) -> [String; 3] {
        let of = match self {
            Mover::Job(job) => return [job.api_version.clone(), job.kind.clone(), job.plural()],
            Mover::Rolls { kind: WorkloadKind::Deployment, .. } => Resource::DEPLOYMENT,
            Mover::Rolls { .. } => Resource::STATEFUL_SET,
            Mover::Pod { .. } => Resource::POD,
        };
        [of.api_version, of.kind, of.plural].map(str::to_owned)
    }

    pub fn job(&self) -> Option<&Job> {
        match self {
            Mover::Job(job) => Some(job),
            Mover::Rolls { .. } | Mover::Pod { .. } => None,
        }
    }

    /// Of a pod that no controller makes anew.
    pub fn uid(&self) -> Option<&str> {
        match self {
            Mover::Pod { uid, .. } => Some(uid),
            Mover::Rolls { .. } | Mover::Job(_) => None,
        }
    }

    /// What the watch caches know of it by itself.
    pub fn watched(&self) -> Option<super::Target> {
        let kind = match self {
            Mover::Rolls { kind, .. } => *kind,
            Mover::Job(job) if job.kind == "Job" => WorkloadKind::Job,
            Mover::Job(_) | Mover::Pod { .. } => return None,
        };
        let (namespace, name) = (self.namespace().to_owned(), self.name().to_owned());
        Some(super::Target::Workload { kind: kind.word().into(), namespace, name })
    }

    pub fn namespace(&self) -> &str {
        match self {
            Mover::Rolls { namespace, .. }
            | Mover::Job(Job { namespace, .. })
            | Mover::Pod { namespace, .. } => namespace,
        }
    }

    pub fn name(&self) -> &str {
        match self {
            Mover::Rolls { name, .. } | Mover::Job(Job { name, .. }) | Mover::Pod { name, .. } => {
                name
            }
        }
    }

    /// The incidents by which objects in a JSON list were sent elsewhere.
    pub fn senders(list: &str) -> BTreeSet<String> {
        let all: Vec<Value> = serde_json::from_str(list).unwrap_or_default();
        let by = |object: &Value| {
            let mark = object["metadata"]["annotations"][MOVED].as_str()?;
            let mark: Value = serde_json::from_str(mark).ok()?;
            Some(mark["by"].as_str()?.to_owned())
        };
        all.iter().filter_map(by).collect()
    }

    /// Those in a JSON list of objects of one kind.
    pub fn read(what: Resource, list: &str) -> Vec<Mover> {
        let all: Vec<Value> = serde_json::from_str(list).unwrap_or_default();
        let kind = WorkloadKind::ALL.into_iter().find(|it| it.word() == what.kind.to_lowercase());
        let mover = |object: &Value| {
            let name = object["metadata"]["name"].as_str()?.to_owned();
            let namespace = object["metadata"]["namespace"].as_str()?.to_owned();
            Some(match kind {
                Some(kind) if kind != WorkloadKind::Job => Mover::Rolls { kind, namespace, name },
                _ => Mover::Job(Job {
                    api_version: what.api_version.into(),
                    kind: what.kind.into(),
                    namespace,
                    name,
                }),
            })
        };
        all.iter().filter_map(mover).collect()
    }
}

/// As a label's value may be written: what does not fit is left out.
pub fn label(text: &str) -> String {
    let good = |c: &char| c.is_ascii_alphanumeric() || "-_.".contains(*c);
    let text: String = text.chars().filter(good).take(63).collect();
    text.trim_matches(|c: char| !c.is_ascii_alphanumeric()).to_owned()
}

/// One that is sent elsewhere, or back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedMove {
    pub mover: Mover,
    /// `None`: back to where it may have run before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Destination>,
    /// The checkpoint that its pods are told of, once it is durable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Destination {
    pub bearing: Bearing,
    pub extent: Extent,
    /// The pool that it leaves.
    pub from: String,
}
