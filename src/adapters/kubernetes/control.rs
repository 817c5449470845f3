//! Changing things: bounded, with time-outs, cordons first.

use super::{answer::answer, claims, convert, events, exec, jobs, moves, objects, turns::Turns};
use crate::cluster::ClusterControl;
use crate::model::{Answer, Claim, ClusterCall, NodePatch, Refusal, WorkloadKind};
use jiff::Timestamp;
use k8s_openapi::api::{apps::v1 as apps, batch::v1 as batch, core::v1 as core};
use kube::{
    Api, Client,
    api::{DeleteParams, EvictParams, Patch, PatchParams, Preconditions},
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};

/// Our field manager: what we set is recognisably ours.
pub(super) const MANAGER: &str = "medevac";
/// One eviction may be held by the server for 10 s while it retries conflicts; the client waits longer.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Requests in flight. A storm must not starve the API server, nor a slow one the storm.
const IN_FLIGHT: usize = 64;
/// Cordons have places of their own: they stop new work from landing on doomed nodes.
const URGENT: usize = 32;
/// Programs in pods that are waited for.
const EXECS: usize = 256;
/// How often a change of a node is tried again when somebody else changed it meanwhile.
const CONFLICTS: u32 = 5;

#[derive(Clone)]
pub struct KubernetesControl {
    client: Client,
    places: Turns,
    urgent: Turns,
    execs: Turns,
}

impl KubernetesControl {
    pub fn new(client: Client) -> KubernetesControl {
        KubernetesControl {
            client,
            places: Turns::new(IN_FLIGHT),
            urgent: Turns::new(URGENT),
            execs: Turns::new(EXECS),
        }
    }

    async fn perform(&self, call: ClusterCall) -> Answer {
        match call {
            ClusterCall::PatchNode { name, patch } => self.patch_node(&name, &patch).await,
            ClusterCall::Evict { namespace, name, uid, grace } => {
                let pods: Api<core::Pod> = Api::namespaced(self.client.clone(), &namespace);
                let params = EvictParams {
                    delete_options: Some(deletion(uid, grace)),
                    ..EvictParams::default()
                };
                answer(pods.evict(&name, &params).await)
            }
            ClusterCall::Delete { namespace, name, uid, grace } => {
                let pods: Api<core::Pod> = Api::namespaced(self.client.clone(), &namespace);
                answer(pods.delete(&name, &deletion(uid, grace)).await)
            }
            ClusterCall::PatchPod { namespace, name, uid, annotations, claim } => {
                let pods: Api<core::Pod> = Api::namespaced(self.client.clone(), &namespace);
                patch_pod(&pods, &name, &uid, &annotations, claim.as_ref()).await
            }
            ClusterCall::Exec { namespace, name, container, command, timeout } => {
                let pods: Api<core::Pod> = Api::namespaced(self.client.clone(), &namespace);
                exec::exec(&pods, &name, container, command, timeout).await
            }
            ClusterCall::Suspend { job, suspended, by } => {
                jobs::suspend(&self.client, job, suspended, &by).await
            }
            ClusterCall::Release { claim, by } => claims::release(&self.client, &claim, by).await,
            ClusterCall::Make(made) => objects::make(&self.client, &made).await,
            call @ (ClusterCall::Keep { .. }
            | ClusterCall::Move { .. }
            | ClusterCall::MoveBack { .. }) => moves::perform(&self.client, call).await,
            ClusterCall::Unmake { what, namespace, labels } => {
                objects::unmake(&self.client, what, &namespace, &labels).await
            }
            call @ ClusterCall::Announce { .. } => events::announce(&self.client, &call).await,
            ClusterCall::Restart { kind, namespace, name, key } => {
                let mark = json!({ "medevac.dev/restart-key": key });
                let patch =
                    json!({ "spec": { "template": { "metadata": { "annotations": mark } } } });
                self.patch_workload(kind, &namespace, &name, &patch).await
            }
            ClusterCall::Scale { kind, namespace, name, replicas } => {
                self.patch_workload(
                    kind,
                    &namespace,
                    &name,
                    &json!({ "spec": { "replicas": replicas } }),
                )
                .await
            }
        }
    }

    /// One optimistic change: read, compute, write if nobody else wrote in between.
    async fn patch_node(&self, name: &str, patch: &NodePatch) -> Answer {
        let nodes: Api<core::Node> = Api::all(self.client.clone());
        let mut last = Answer::Unknown("not tried".into());
        for _ in 0..CONFLICTS {
            let node = match nodes.get(name).await {
                Ok(node) => node,
                Err(error) => return answer::<()>(Err(error)),
            };
            let body = node_body(&node, patch);
            let params =
                PatchParams { field_manager: Some(MANAGER.into()), ..PatchParams::default() };
            last = answer(nodes.patch(name, &params, &Patch::Merge(&body)).await);
            if !matches!(last, Answer::Refused(Refusal::Busy { retry_after: None, .. })) {
                return last;
            }
        }
        last
    }

    async fn patch_workload(
        &self,
        kind: WorkloadKind,
        namespace: &str,
        name: &str,
        body: &Value,
    ) -> Answer {
        let params = PatchParams { field_manager: Some(MANAGER.into()), ..PatchParams::default() };
        let (client, patch) = (self.client.clone(), Patch::Merge(body));
        match kind {
            WorkloadKind::Deployment => answer(
                Api::<apps::Deployment>::namespaced(client, namespace)
                    .patch(name, &params, &patch)
                    .await,
            ),
            WorkloadKind::StatefulSet => answer(
                Api::<apps::StatefulSet>::namespaced(client, namespace)
                    .patch(name, &params, &patch)
                    .await,
            ),
            WorkloadKind::DaemonSet => answer(
                Api::<apps::DaemonSet>::namespaced(client, namespace)
                    .patch(name, &params, &patch)
                    .await,
            ),
            WorkloadKind::Job => answer(
                Api::<batch::Job>::namespaced(client, namespace).patch(name, &params, &patch).await,
            ),
        }
    }
}

impl ClusterControl for KubernetesControl {
    async fn call(&self, call: ClusterCall, due: Option<Timestamp>) -> Answer {
        let (places, timeout) = match &call {
            // It takes as long as the workload's checkpoint: nobody else waits behind it.
            ClusterCall::Exec { timeout, .. } => (&self.execs, *timeout + TIMEOUT),
            call if call.urgent() => (&self.urgent, TIMEOUT),
            _ => (&self.places, TIMEOUT),
        };
        let _place = places.take(due).await;
        match tokio::time::timeout(timeout, self.perform(call)).await {
            Ok(answer) => answer,
            Err(_) => Answer::Unknown(format!("no answer within {} s", timeout.as_secs())),
        }
    }
}

/// The annotations of a pod, if it is still that one; with a claim, if nobody else has made one since.
async fn patch_pod(
    pods: &Api<core::Pod>,
    name: &str,
    uid: &str,
    annotations: &BTreeMap<String, Option<String>>,
    claim: Option<&Claim>,
) -> Answer {
    let mut body = json!({ "metadata": { "uid": uid, "annotations": annotations } });
    let params = PatchParams { field_manager: Some(MANAGER.into()), ..PatchParams::default() };
    for _ in 0..CONFLICTS {
        if let Some(claim) = claim {
            let pod = match pods.get(name).await {
                Ok(pod) => pod,
                Err(error) => return answer::<()>(Err(error)),
            };
            let held = convert::pod(&pod).checkpoint_asked();
            if held.is_some_and(|(id, at)| id != claim.id && at >= claim.since) {
                return Answer::Refused(Refusal::Changed("somebody else has asked".into()));
            }
            body["metadata"]["resourceVersion"] = json!(pod.metadata.resource_version);
        }
        let last = answer(pods.patch_metadata(name, &params, &Patch::Merge(&body)).await);
        let conflict = matches!(last, Answer::Refused(Refusal::Busy { retry_after: None, .. }));
        if !(conflict && claim.is_some()) {
            return last;
        }
    }
    Answer::Refused(Refusal::Busy { retry_after: None, message: "it changes all the time".into() })
}

/// Grace is never zero: that would take the pod out of the API while it still runs.
fn deletion(uid: String, grace: u32) -> DeleteParams {
    DeleteParams {
        grace_period_seconds: Some(grace.max(1)),
        preconditions: Some(Preconditions { uid: Some(uid), resource_version: None }),
        ..DeleteParams::default()
    }
}

/// The merge patch, bound to the version that was read. Taints are a list: it is written whole.
fn node_body(node: &core::Node, patch: &NodePatch) -> Value {
    let spec = node.spec.clone().unwrap_or_default();
    let mut body = json!({ "metadata": { "resourceVersion": node.metadata.resource_version } });
    if let Some(unschedulable) = patch.unschedulable {
        body["spec"]["unschedulable"] = json!(unschedulable);
    }
    if !patch.taints.is_empty() || !patch.untaint.is_empty() {
        let mut taints = spec.taints.unwrap_or_default();
        for (key, effect) in &patch.untaint {
            taints.retain(|taint| !(taint.key == *key && taint.effect == *effect));
        }
        for new in &patch.taints {
            taints.retain(|taint| !(taint.key == new.key && taint.effect == new.effect));
            taints.push(core::Taint {
                key: new.key.clone(),
                value: Some(new.value.clone()).filter(|value| !value.is_empty()),
                effect: new.effect.clone(),
                time_added: None,
            });
        }
        body["spec"]["taints"] = json!(taints);
    }
    for (key, value) in &patch.labels {
        body["metadata"]["labels"][key] = json!(value);
    }
    for (key, value) in &patch.annotations {
        body["metadata"]["annotations"][key] = json!(value);
    }
    body
}
