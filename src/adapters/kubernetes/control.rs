//! Changing things: bounded, with time-outs, cordons first.

use super::answer::answer;
use crate::cluster::ClusterControl;
use crate::model::{Answer, ClusterCall, NodePatch, Refusal, WorkloadKind};
use k8s_openapi::api::{apps::v1 as apps, batch::v1 as batch, core::v1 as core};
use kube::{
    Api, Client,
    api::{DeleteParams, EvictParams, Patch, PatchParams, Preconditions},
};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use tokio::sync::Semaphore;

/// Our field manager: what we set is recognisably ours.
const MANAGER: &str = "medevac";
/// One eviction may be held by the server for 10 s while it retries conflicts; the client waits longer.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Requests in flight. A storm must not starve the API server, nor a slow one the storm.
const IN_FLIGHT: usize = 64;
/// Cordons have places of their own: they stop new work from landing on doomed nodes.
const URGENT: usize = 32;
/// How often a change of a node is tried again when somebody else changed it meanwhile.
const CONFLICTS: u32 = 5;

#[derive(Clone)]
pub struct KubernetesControl {
    client: Client,
    places: Arc<Semaphore>,
    urgent: Arc<Semaphore>,
}

impl KubernetesControl {
    pub fn new(client: Client) -> KubernetesControl {
        let (places, urgent) =
            (Arc::new(Semaphore::new(IN_FLIGHT)), Arc::new(Semaphore::new(URGENT)));
        KubernetesControl { client, places, urgent }
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
    async fn call(&self, call: ClusterCall) -> Answer {
        let places = if call.urgent() { &self.urgent } else { &self.places };
        let Ok(_place) = places.acquire().await else {
            return Answer::Unknown("closing down".into());
        };
        match tokio::time::timeout(TIMEOUT, self.perform(call)).await {
            Ok(answer) => answer,
            Err(_) => Answer::Unknown(format!("no answer within {} s", TIMEOUT.as_secs())),
        }
    }
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
    if patch.taint.is_some() || patch.untaint.is_some() {
        let mut taints = spec.taints.unwrap_or_default();
        if let Some((key, effect)) = &patch.untaint {
            taints.retain(|taint| !(taint.key == *key && taint.effect == *effect));
        }
        if let Some(new) = &patch.taint {
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
