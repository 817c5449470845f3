//! What an event is about and a remediation acts on: the CloudEvents `subject`.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// The thing concerned. One remediation at a time holds a target (invariant I2).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Target {
    Node(String),
    Pod {
        namespace: String,
        name: String,
    },
    /// A workload by its lower-case kind, for example `deployment/inference/triton`.
    Workload {
        kind: String,
        namespace: String,
        name: String,
    },
    /// A cloud instance that is not a node, or not yet.
    Instance(String),
    /// Anything else, named by its sender: `alert/9d06ad20acb3f6e2`, `volume/data-0`.
    Other {
        kind: String,
        name: String,
    },
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "`{0}` is not a target; write `node/NAME`, `pod/NAMESPACE/NAME` or `deployment/NAMESPACE/NAME`"
)]
pub struct BadTarget(String);

/// A subject longer than this is cut by no system that we know, and written by none.
const LONGEST: usize = 1024;

impl Target {
    pub fn node(&self) -> Option<&str> {
        match self {
            Target::Node(name) => Some(name),
            Target::Pod { .. }
            | Target::Workload { .. }
            | Target::Instance(_)
            | Target::Other { .. } => None,
        }
    }

    /// A target for whatever a sender wrote: what is not in our grammar is kept as `Other`.
    pub fn lenient(text: &str) -> Target {
        text.parse().unwrap_or_else(|_| Target::Other {
            kind: "subject".into(),
            name: text.chars().filter(|c| !c.is_control()).take(LONGEST).collect(),
        })
    }
}

impl FromStr for Target {
    type Err = BadTarget;

    fn from_str(text: &str) -> Result<Target, BadTarget> {
        let bad = || BadTarget(text.chars().take(80).collect());
        if text.len() > LONGEST || text.chars().any(char::is_control) {
            return Err(bad());
        }
        let parts: Vec<&str> = text.splitn(3, '/').collect();
        match parts.as_slice() {
            [_, ..] if parts.iter().any(|part| part.is_empty()) => Err(bad()),
            ["node", name] => Ok(Target::Node((*name).into())),
            ["instance", name] => Ok(Target::Instance((*name).into())),
            ["pod", namespace, name] => {
                Ok(Target::Pod { namespace: (*namespace).into(), name: (*name).into() })
            }
            [kind @ ("deployment" | "statefulset" | "daemonset" | "job"), namespace, name] => {
                Ok(Target::Workload {
                    kind: (*kind).into(),
                    namespace: (*namespace).into(),
                    name: (*name).into(),
                })
            }
            [kind, name @ ..] if !name.is_empty() && *kind != "node" && *kind != "pod" => {
                Ok(Target::Other { kind: (*kind).into(), name: name.join("/") })
            }
            _ => Err(bad()),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Node(name) => write!(f, "node/{name}"),
            Target::Pod { namespace, name } => write!(f, "pod/{namespace}/{name}"),
            Target::Workload { kind, namespace, name } => write!(f, "{kind}/{namespace}/{name}"),
            Target::Instance(name) => write!(f, "instance/{name}"),
            Target::Other { kind, name } => write!(f, "{kind}/{name}"),
        }
    }
}

impl TryFrom<String> for Target {
    type Error = BadTarget;
    fn try_from(text: String) -> Result<Target, BadTarget> {
        text.parse()
    }
}

impl From<Target> for String {
    fn from(target: Target) -> String {
        target.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        for text in ["node/a", "pod/ns/a", "deployment/ns/a", "instance/i-0", "alert/9d", "x/y/z"] {
            assert_eq!(text.parse::<Target>().unwrap().to_string(), text);
        }
        for text in ["", "node", "node/", "pod/a", "/x", "a\n/b"] {
            assert!(text.parse::<Target>().is_err(), "{text:?}");
        }
    }
}
