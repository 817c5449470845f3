//! What is to be backed up: ARNs as they stand, what has tags, and what stands behind claims, one question at a time.

use super::super::super::saga::Work;
use super::super::turn::{Turn, Weighed};
use crate::model::{Answer, CloudCall, Protected, Question, Resource, Sought};
use jiff::Timestamp;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// More at once is not one step's business.
pub(super) const MOST: usize = 500;

#[derive(Debug)]
enum Ask {
    Tags(BTreeMap<String, String>),
    Namespace(String),
    Claim { namespace: String, name: String },
    Volume { name: String, claim: String },
}

#[derive(Debug)]
pub(super) struct Find {
    open: VecDeque<Ask>,
    found: BTreeSet<Protected>,
    failed: Option<String>,
    pub(super) turn: Turn,
    pub(super) last: String,
}

impl Find {
    pub(super) fn new(sought: &Sought, now: Timestamp) -> Find {
        let claims = sought.claims.iter().filter_map(|claim| claim.split_once('/'));
        let claims = claims.map(|(namespace, name)| Ask::Claim {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        });
        let tags = (!sought.tags.is_empty()).then(|| Ask::Tags(sought.tags.clone()));
        let namespaces = sought.namespaces.iter().cloned().map(Ask::Namespace);
        Find {
            open: tags.into_iter().chain(namespaces).chain(claims).collect(),
            found: sought.resources.iter().map(|it| Protected::named(it)).collect(),
            failed: None,
            turn: Turn::new(now),
            last: "what is to be backed up is not known yet".into(),
        }
    }

    /// Everything, once it is known.
    pub(super) fn found(&self) -> Option<Result<Vec<Protected>, String>> {
        if let Some(why) = &self.failed {
            return Some(Err(why.clone()));
        }
        if !self.open.is_empty() {
            return None;
        }
        Some(match self.found.len() {
            0 => {
                Err("there is nothing to back up: nothing has these tags, and no claim is there"
                    .into())
            }
            many if many > MOST => Err(format!("{many} at once are too many: {MOST} at most")),
            _ => Ok(self.found.iter().cloned().collect()),
        })
    }

    pub(super) fn poll(&mut self, now: Timestamp) -> Option<Work> {
        let first = self.open.front().filter(|_| self.failed.is_none())?;
        if !self.turn.take(now) {
            return None;
        }
        Some(match first {
            Ask::Tags(tags) => Work::Cloud(CloudCall::Tagged { tags: tags.clone() }),
            Ask::Namespace(namespace) => Work::Ask(Question::Many {
                what: Resource::CLAIM,
                namespace: Some(namespace.clone()),
                labels: String::new(),
                limit: MOST as u32 + 1,
            }),
            Ask::Claim { namespace, name } => Work::Ask(Question::One {
                what: Resource::CLAIM,
                namespace: Some(namespace.clone()),
                name: name.clone(),
            }),
            Ask::Volume { name, .. } => Work::Ask(Question::One {
                what: Resource::VOLUME,
                namespace: None,
                name: name.clone(),
            }),
        })
    }

    pub(super) fn answer(&mut self, answer: Answer, now: Timestamp) {
        match self.turn.weigh(answer, now) {
            Weighed::Again(why) => self.last = why,
            Weighed::Said(said) => {
                self.turn.on(now);
                if let Some(asked) = self.open.pop_front() {
                    self.take(asked, &said);
                }
            }
            Weighed::Gone => {
                self.failed = Some(match self.open.front() {
                    Some(Ask::Claim { namespace, name }) => {
                        format!("there is no claim `{name}` in the namespace `{namespace}`")
                    }
                    Some(Ask::Volume { name, claim }) => {
                        format!("the volume `{name}` of the claim `{claim}` is gone")
                    }
                    _ => "what is to be backed up is gone".into(),
                });
            }
            Weighed::Never(why) | Weighed::Changed(why) => self.failed = Some(why),
        }
    }

    fn take(&mut self, asked: Ask, said: &str) {
        let told: Value = serde_json::from_str(said).unwrap_or_default();
        match asked {
            Ask::Tags(_) => {
                let arns = told.as_array().into_iter().flatten().filter_map(Value::as_str);
                // Backups have the tags of what they are of: they are not backed up again.
                let made = [":snapshot/", ":image/", ":recovery-point:", ":backup:"];
                let arns = arns.filter(|arn| !made.iter().any(|it| arn.contains(it)));
                self.found.extend(arns.map(Protected::named));
            }
            Ask::Namespace(namespace) => {
                if told.as_array().is_some_and(|all| all.len() > MOST) {
                    let why = format!("the namespace `{namespace}` has more than {MOST} claims");
                    self.failed = Some(why);
                }
                for claim in told.as_array().into_iter().flatten() {
                    // What nobody has bound holds nothing.
                    if claim["status"]["phase"] == "Bound" {
                        self.bound(claim);
                    }
                }
            }
            Ask::Claim { namespace, name } => {
                if !self.bound(&told) {
                    self.failed = Some(format!("the claim `{namespace}/{name}` is not bound"));
                }
            }
            Ask::Volume { claim, .. } => match Protected::behind(&told) {
                Ok(found) => {
                    self.found.insert(found);
                }
                Err(why) => self.failed = Some(format!("the claim `{claim}`: {why}")),
            },
        }
    }

    fn bound(&mut self, claim: &Value) -> bool {
        let Some(volume) = claim["spec"]["volumeName"].as_str().filter(|it| !it.is_empty()) else {
            return false;
        };
        let name = claim["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        self.open.push_back(Ask::Volume { name: volume.to_owned(), claim: name });
        true
    }
}
