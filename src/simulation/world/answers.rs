//! What the API server does with a request, and what it answers: its own reasons, in its own order.

use super::{Mark, Run, Saving, World};
use crate::model::{
    Answer, ClusterCall, Mover, PodPhase, Question, Refusal, Resource, WorkloadKind,
};
use serde_json::{Value, json};

impl World {
    /// What the API server answers to a question.
    pub fn asked(&self, question: &Question) -> Answer {
        let said = |value: Option<Value>| match value {
            Some(value) => Answer::Said(value.to_string()),
            None => Answer::Refused(Refusal::Gone),
        };
        match question {
            Question::Empty { node } => self.is_empty(node),
            Question::Machines { machines } => said(Some(json!(self.joined(machines)))),
            Question::Events { namespace, kind: "Pod", name } => {
                said(Some(self.told_of_pod(namespace, name)))
            }
            // Nobody keeps logs here, and what the world tells is in its transcript.
            Question::Events { .. } => said(Some(json!([]))),
            Question::Logs { .. } => Answer::Refused(Refusal::Gone),
            Question::One { what: Resource::NODE, name, .. } => said(self.one_node(name)),
            Question::One { what: Resource::POD, namespace, name } => {
                said(self.one_pod(namespace.as_deref(), name))
            }
            Question::Many { what: Resource::POD, namespace, labels, .. } => {
                said(Some(self.many_pods(namespace.as_deref(), labels)))
            }
            Question::Many { what, labels, .. } if Mover::KINDS.contains(what) => {
                said(Some(self.sent(*what, labels)))
            }
            Question::One { .. } | Question::Many { .. } => self.asked_of_backups(question),
        }
    }

    /// Carries a request out.
    pub fn call(&mut self, call: &ClusterCall) -> Answer {
        let found = |found: bool| match found {
            true => Answer::Done,
            false => Answer::Refused(Refusal::Gone),
        };
        match call {
            ClusterCall::PatchNode { name, patch } => self.patch(name, patch),
            ClusterCall::Evict { namespace, name, uid, grace } => {
                match self.evictable(namespace, name, uid) {
                    Ok(uid) => {
                        self.sums.evicted += 1;
                        self.ends(&uid, *grace, "is evicted from")
                    }
                    Err(refusal) => Answer::Refused(refusal),
                }
            }
            ClusterCall::Delete { namespace, name, uid, grace } => {
                match self.preconditions(namespace, name, uid) {
                    Ok(uid) => {
                        self.sums.deleted += 1;
                        if self.pods.get(&uid).is_some_and(|run| self.budget(run).is_err()) {
                            self.sums.budgets_violated += 1;
                        }
                        self.ends(&uid, *grace, "is deleted from")
                    }
                    Err(refusal) => Answer::Refused(refusal),
                }
            }
            ClusterCall::PatchPod { namespace, name, uid, annotations, claim } => {
                match self.preconditions(namespace, name, uid) {
                    Ok(uid) => self.patch_pod(&uid, annotations, claim.as_ref()),
                    Err(refusal) => Answer::Refused(refusal),
                }
            }
            ClusterCall::Suspend { job, suspended, by } => self.suspend(job, *suspended, by),
            ClusterCall::Release { claim, .. } => self.release(claim),
            ClusterCall::Make(made) if made.what == Resource::POD => self.make_pod(made),
            ClusterCall::Make(made) => self.make_object(made),
            ClusterCall::Unmake { namespace, labels, .. } => self.unmake(namespace, labels),
            ClusterCall::Keep { .. } | ClusterCall::Move { .. } | ClusterCall::MoveBack { .. } => {
                self.moves(call)
            }
            // Nobody in the world reads them.
            ClusterCall::Announce { .. } => Answer::Done,
            // Whoever waits for the end asks again.
            ClusterCall::Exec { namespace, name, .. } => {
                match self.asked_to_save(namespace, name) {
                    Saving::Durable => Answer::Done,
                    Saving::Until(_) => Answer::Unknown("it is still at it".into()),
                    Saving::Never => Answer::Refused(Refusal::Invalid("exit code 1".into())),
                }
            }
            ClusterCall::Restart { kind, namespace, name, key } => {
                found(self.is_kind(*kind, namespace, name) && self.restart(namespace, name, key))
            }
            ClusterCall::Scale { kind, namespace, name, replicas } => found(
                self.is_kind(*kind, namespace, name) && self.scale(namespace, name, *replicas),
            ),
        }
    }

    fn is_kind(&self, kind: WorkloadKind, namespace: &str, name: &str) -> bool {
        let at = self.by_app.get(&(namespace.to_owned(), name.to_owned()));
        at.and_then(|at| self.workload_at(*at)).is_some_and(|of| of.kind == kind)
    }

    /// The pod that is meant: 404 where there is none of that name, 409 where it is another one.
    pub(super) fn preconditions(
        &self,
        namespace: &str,
        name: &str,
        uid: &str,
    ) -> Result<String, Refusal> {
        let known =
            self.names.get(&(namespace.to_owned(), name.to_owned())).ok_or(Refusal::Gone)?;
        if !uid.is_empty() && known != uid {
            return Err(Refusal::Changed(format!(
                "the UID in the precondition ({uid}) does not match the UID in record ({known})"
            )));
        }
        Ok(known.clone())
    }

    fn evictable(&self, namespace: &str, name: &str, uid: &str) -> Result<String, Refusal> {
        if self.ending.contains(namespace) {
            return Err(Refusal::NamespaceEnding);
        }
        let uid = self.preconditions(namespace, name, uid)?;
        if let Some(run) = self.pods.get(&uid) {
            self.budget(run)?;
        }
        Ok(uid)
    }

    /// Budgets are not asked for pods that do not run, nor for those that go already.
    fn budget(&self, run: &Run) -> Result<(), Refusal> {
        let pod = &run.pod;
        if pod.phase != PodPhase::Running || pod.deleted_at.is_some() {
            return Ok(());
        }
        let app = &self.apps[run.app];
        if app.spec.budgets.len() > 1 {
            let message = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
            return Err(Refusal::TwoBudgets(message.into()));
        }
        let Some(budget) = app.spec.budgets.first() else { return Ok(()) };
        let needs = app.needs(*budget);
        if pod.ready && app.healthy <= needs {
            let message = format!(
                "Cannot evict pod as it would violate the pod's disruption budget. The disruption budget {} needs {needs} healthy pods and has {} currently",
                app.spec.name, app.healthy
            );
            return Err(Refusal::Budget { retry_after: None, message });
        }
        Ok(())
    }

    fn ends(&mut self, uid: &str, grace: u32, how: &str) -> Answer {
        let Some(run) = self.pods.get(uid) else { return Answer::Refused(Refusal::Gone) };
        let (name, node) = (run.pod.full_name(), run.pod.node.clone());
        let first = run.pod.deleted_at.is_none();
        self.told_to_stop(uid, grace);
        if first {
            self.note(Some(&node), Mark::Evicted, format!("{name} {how} {node}"));
        }
        Answer::Done
    }

    /// Whether nothing is left on the node that has to go: the server's own list.
    pub fn is_empty(&self, node: &str) -> Answer {
        let Some(machine) = self.nodes.get(node) else { return Answer::Done };
        let stays = |run: &&Run| run.pod.deleted_at.is_none() && run.pod.stays().is_none();
        match machine.pods.iter().filter_map(|uid| self.pods.get(uid)).find(stays) {
            None => Answer::Done,
            Some(run) => {
                let message = format!("{} has just come to the node", run.pod.full_name());
                Answer::Refused(Refusal::Busy { retry_after: None, message })
            }
        }
    }

    /// The pod of that name, as it is.
    pub fn pod(&self, namespace: &str, name: &str) -> Option<&crate::model::Pod> {
        let uid = self.names.get(&(namespace.to_owned(), name.to_owned()))?;
        self.pods.get(uid).map(|run| &run.pod)
    }
}
