//! Who ends with machines in an orderly way: Auto Scaling groups, which wait for a hook, and Karpenter, which waits until
//! its claim is given back. And jobs, which are suspended.

use super::{Due, Kind, Mark, World};
use crate::model::{Answer, CloudCall, Job, Refusal};
use jiff::Timestamp;
use std::time::Duration;

/// A group that waits.
#[derive(Debug, Clone)]
pub(super) struct Waits {
    node: String,
    patience: Duration,
    until: Timestamp,
}

/// From given up to taken away.
const ENDS: Duration = Duration::from_secs(20);

impl World {
    /// The group of the node's pool ends with it once its hook is done with, or nothing more is heard of it: group and
    /// instance.
    pub fn ends_with(&mut self, node: &str, patience: Duration) -> Option<(String, String)> {
        let machine = self.nodes.get(node)?;
        let (group, instance) = (machine.node.pool.clone(), machine.node.instance_id.clone());
        let until = self.later(patience);
        let waits = Waits { node: node.to_owned(), patience, until };
        self.cloud.hooks.insert(instance.clone(), waits);
        self.plan(until, Due::Lapse(instance.clone()));
        Some((group, instance))
    }

    /// How long a group waits for its hook.
    pub fn patience(&self, group: &str) -> Option<Duration> {
        let ours = |waits: &&Waits| {
            self.nodes.get(&waits.node).is_some_and(|machine| machine.node.pool == group)
        };
        self.cloud.hooks.values().find(ours).map(|waits| waits.patience)
    }

    pub(super) fn lapses(&mut self, instance: &str) {
        let Some(waits) = self.cloud.hooks.get(instance) else { return };
        if waits.until > self.now {
            let until = waits.until;
            return self.plan(until, Due::Lapse(instance.to_owned()));
        }
        let node = waits.node.clone();
        self.cloud.hooks.remove(instance);
        self.note(Some(&node), Mark::Note, format!("nothing is heard of the hook of {node}"));
        self.taken_away(&node);
    }

    /// What AWS answers. What is in S3 is nobody's matter here.
    pub fn cloud_call(&mut self, call: &CloudCall) -> Answer {
        let hook = match call {
            CloudCall::CompleteHook { hook, .. } | CloudCall::Heartbeat { hook } => hook,
            CloudCall::ObjectChanged { .. } => return Answer::Refused(Refusal::Gone),
            CloudCall::Provision(order) => return self.provision(order),
            CloudCall::GiveBack { order, machines } => return self.give_back(order, machines),
            call => return self.backup_call(call),
        };
        let Some(waits) = self.cloud.hooks.get_mut(&hook.instance) else {
            return Answer::Refused(Refusal::Gone);
        };
        if matches!(call, CloudCall::Heartbeat { .. }) {
            waits.until = self.now.checked_add(waits.patience).unwrap_or(self.now);
            return Answer::Done;
        }
        let node = waits.node.clone();
        self.cloud.hooks.remove(&hook.instance);
        self.note(Some(&node), Mark::Note, format!("the hook of {node} is done with"));
        self.gives_back(&node);
        Answer::Done
    }

    pub(super) fn gives_back(&mut self, node: &str) {
        let at = self.later(ENDS);
        self.plan(at, Due::Reclaim(node.to_owned()));
    }

    /// The node that Karpenter made for that claim.
    pub fn node_of_claim(&self, claim: &str) -> Option<String> {
        let mut all = self.nodes.values();
        all.find(|machine| machine.node.claim == claim).map(|machine| machine.node.name.clone())
    }

    pub(super) fn release(&mut self, claim: &str) -> Answer {
        let Some(node) = self.node_of_claim(claim) else { return Answer::Refused(Refusal::Gone) };
        self.note(Some(&node), Mark::Note, format!("{node} is given back to Karpenter"));
        self.gives_back(&node);
        Answer::Done
    }

    /// A gang's job is suspended, or runs again: its controller ends its pods, or makes them.
    pub(super) fn suspend(&mut self, job: &Job, suspended: bool, by: &str) -> Answer {
        let key = (job.namespace.clone(), job.name.clone());
        let Some(&at) = self.by_app.get(&key) else { return Answer::Refused(Refusal::Gone) };
        if self.apps[at].spec.kind != Kind::Gang {
            return Answer::Refused(Refusal::Invalid("it cannot be suspended".into()));
        }
        match (suspended, self.apps[at].suspended_by.as_deref()) {
            (true, Some(holder)) if holder == by => return Answer::Done,
            (true, Some(_)) => {
                return Answer::Said("another incident has suspended it".into());
            }
            (false, holder) if holder != Some(by) => {
                return Answer::Said("left as it is: it was not ours".into());
            }
            _ => {}
        }
        self.apps[at].suspended_by = suspended.then(|| by.to_owned());
        let word = if suspended { "is suspended" } else { "runs again" };
        self.note(None, Mark::Note, format!("{}/{} {word}", job.namespace, job.name));
        self.unsettled.insert(at);
        self.changed_app(at);
        Answer::Done
    }
}
