//! From the API's objects to ours: only what rules and steps need.

use crate::model::{Node, Owner, Pod, PodPhase, Taint, Workload, WorkloadKind};
use k8s_openapi::api::{apps::v1 as apps, batch::v1 as batch, core::v1 as core};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use std::collections::BTreeMap;

/// The labels that name a node's pool, in the order in which they are believed.
const POOLS: [&str; 7] = [
    "medevac.dev/pool",
    "karpenter.sh/nodepool",
    "eks.amazonaws.com/nodegroup",
    "alpha.eksctl.io/nodegroup-name",
    "cloud.google.com/gke-nodepool",
    "kubernetes.azure.com/agentpool",
    "node.kubernetes.io/instance-type",
];
const CAPACITY: [&str; 3] = [
    "karpenter.sh/capacity-type",
    "eks.amazonaws.com/capacityType",
    "node.kubernetes.io/lifecycle",
];

fn first(labels: &BTreeMap<String, String>, keys: &[&str]) -> String {
    keys.iter().find_map(|key| labels.get(*key)).cloned().unwrap_or_default()
}

pub(super) fn node(node: &core::Node) -> Node {
    let labels = node.metadata.labels.clone().unwrap_or_default();
    let spec = node.spec.clone().unwrap_or_default();
    let status = node.status.as_ref();
    let taint = |taint: core::Taint| Taint {
        key: taint.key,
        value: taint.value.unwrap_or_default(),
        effect: taint.effect,
    };
    let conditions = status.and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let addresses = status.and_then(|status| status.addresses.as_deref()).unwrap_or_default();
    let instance = spec.provider_id.as_deref().unwrap_or_default();
    Node {
        name: node.metadata.name.clone().unwrap_or_default(),
        uid: node.metadata.uid.clone().unwrap_or_default(),
        annotations: annotations(&node.metadata),
        taints: spec.taints.into_iter().flatten().map(taint).collect(),
        unschedulable: spec.unschedulable.unwrap_or(false),
        ready: conditions.iter().any(|is| is.type_ == "Ready" && is.status == "True"),
        pool: first(&labels, &POOLS),
        zone: first(&labels, &["topology.kubernetes.io/zone"]),
        instance_type: first(&labels, &["node.kubernetes.io/instance-type"]),
        capacity_type: first(&labels, &CAPACITY).to_lowercase().replace('_', "-"),
        // Fargate's and hybrid ids have this form too; they name no EC2 instance and match none.
        instance_id: instance
            .rsplit('/')
            .next()
            .filter(|id| id.starts_with("i-"))
            .unwrap_or_default()
            .into(),
        internal_ip: addresses
            .iter()
            .find(|address| address.type_ == "InternalIP")
            .map(|address| address.address.clone())
            .unwrap_or_default(),
        volumes_attached: status
            .and_then(|status| status.volumes_attached.as_ref())
            .map(|all| all.iter().map(|volume| volume.name.clone()).collect())
            .unwrap_or_default(),
        // Karpenter owns its nodes by their claims, without being their controller.
        claim: node
            .metadata
            .owner_references
            .iter()
            .flatten()
            .find(|owner| {
                owner.kind == "NodeClaim" && owner.api_version.starts_with("karpenter.sh/")
            })
            .map(|owner| owner.name.clone())
            .unwrap_or_default(),
        boot_id: status
            .and_then(|status| status.node_info.as_ref())
            .map(|info| info.boot_id.clone())
            .unwrap_or_default(),
        labels,
    }
}

/// Without the largest and least useful one, which repeats the whole object.
fn annotations(meta: &ObjectMeta) -> BTreeMap<String, String> {
    let mut annotations = meta.annotations.clone().unwrap_or_default();
    annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
    annotations
}

pub(super) fn pod(pod: &core::Pod) -> Pod {
    let spec = pod.spec.as_ref();
    let status = pod.status.as_ref();
    let owner = |owner: &k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference| Owner {
        api_version: owner.api_version.clone(),
        kind: owner.kind.clone(),
        name: owner.name.clone(),
        controller: owner.controller.unwrap_or(false),
    };
    let conditions = status.and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let grace = spec.and_then(|spec| spec.termination_grace_period_seconds).unwrap_or(30);
    Pod {
        namespace: pod.metadata.namespace.clone().unwrap_or_default(),
        name: pod.metadata.name.clone().unwrap_or_default(),
        uid: pod.metadata.uid.clone().unwrap_or_default(),
        node: spec.and_then(|spec| spec.node_name.clone()).unwrap_or_default(),
        labels: pod.metadata.labels.clone().unwrap_or_default(),
        annotations: annotations(&pod.metadata),
        owners: pod.metadata.owner_references.iter().flatten().map(owner).collect(),
        phase: match status.and_then(|status| status.phase.as_deref()) {
            Some("Running") => PodPhase::Running,
            Some("Succeeded") => PodPhase::Succeeded,
            Some("Failed") => PodPhase::Failed,
            Some("Unknown") => PodPhase::Unknown,
            _ => PodPhase::Pending,
        },
        ready: conditions.iter().any(|is| is.type_ == "Ready" && is.status == "True"),
        grace: u32::try_from(grace).unwrap_or(30),
        ip: status.and_then(|status| status.pod_ip.clone()).unwrap_or_default(),
        started_at: status.and_then(|status| status.start_time.as_ref()).map(|time| time.0),
        deleted_at: pod.metadata.deletion_timestamp.as_ref().map(|time| time.0),
        finalizers: pod.metadata.finalizers.clone().unwrap_or_default(),
        local_volumes: spec.map(local_volumes).unwrap_or_default(),
        own: false,
        gpus: spec.map(gpus).filter(|gpus| *gpus > 0),
        unscheduled: conditions
            .iter()
            .find(|is| is.type_ == "PodScheduled" && is.status == "False")
            .and_then(|is| is.message.clone()),
    }
}

/// Extended resources that are GPUs, or chips that do their work.
const GPUS: [&str; 3] = ["nvidia.com/gpu", "amd.com/gpu", "aws.amazon.com/neuron"];

/// An extended resource is asked for by its limit. Those that start a pod have ended when the others begin.
fn gpus(spec: &core::PodSpec) -> u32 {
    let of = |container: &core::Container| {
        let limits = container.resources.as_ref().and_then(|it| it.limits.as_ref());
        let each = |name: &str| limits?.get(name)?.0.parse::<u32>().ok();
        GPUS.iter().filter_map(|name| each(name)).sum::<u32>()
    };
    let first = spec.init_containers.iter().flatten().map(of).max().unwrap_or(0);
    spec.containers.iter().map(of).sum::<u32>().max(first)
}

/// An emptyDir in memory is gone with its process anyway.
fn local_volumes(spec: &core::PodSpec) -> Vec<String> {
    let on_disk = |volume: &&core::Volume| {
        volume.empty_dir.as_ref().is_some_and(|empty| empty.medium.as_deref() != Some("Memory"))
    };
    spec.volumes.iter().flatten().filter(on_disk).map(|volume| volume.name.clone()).collect()
}

fn count(number: Option<i32>) -> u32 {
    number.and_then(|number| u32::try_from(number).ok()).unwrap_or(0)
}

fn workload(kind: WorkloadKind, meta: &ObjectMeta, template: Option<&ObjectMeta>) -> Workload {
    Workload {
        kind,
        namespace: meta.namespace.clone().unwrap_or_default(),
        name: meta.name.clone().unwrap_or_default(),
        labels: meta.labels.clone().unwrap_or_default(),
        annotations: annotations(meta),
        template_annotations: template
            .and_then(|meta| meta.annotations.clone())
            .unwrap_or_default(),
        replicas: 0,
        ready: 0,
        updated: 0,
    }
}

pub(super) fn deployment(of: &apps::Deployment) -> Workload {
    let (spec, status) = (of.spec.as_ref(), of.status.as_ref());
    let template = spec.and_then(|spec| spec.template.metadata.as_ref());
    Workload {
        replicas: spec.and_then(|spec| spec.replicas).map_or(1, |number| count(Some(number))),
        ready: count(status.and_then(|status| status.ready_replicas)),
        updated: count(status.and_then(|status| status.updated_replicas)),
        ..workload(WorkloadKind::Deployment, &of.metadata, template)
    }
}

pub(super) fn stateful_set(of: &apps::StatefulSet) -> Workload {
    let (spec, status) = (of.spec.as_ref(), of.status.as_ref());
    let template = spec.and_then(|spec| spec.template.metadata.as_ref());
    Workload {
        replicas: spec.and_then(|spec| spec.replicas).map_or(1, |number| count(Some(number))),
        ready: count(status.and_then(|status| status.ready_replicas)),
        updated: count(status.and_then(|status| status.updated_replicas)),
        ..workload(WorkloadKind::StatefulSet, &of.metadata, template)
    }
}

pub(super) fn daemon_set(of: &apps::DaemonSet) -> Workload {
    let status = of.status.as_ref();
    let template = of.spec.as_ref().and_then(|spec| spec.template.metadata.as_ref());
    Workload {
        replicas: count(status.map(|status| status.desired_number_scheduled)),
        ready: count(status.map(|status| status.number_ready)),
        updated: count(status.and_then(|status| status.updated_number_scheduled)),
        ..workload(WorkloadKind::DaemonSet, &of.metadata, template)
    }
}

pub(super) fn job(of: &batch::Job) -> Workload {
    let (spec, status) = (of.spec.as_ref(), of.status.as_ref());
    let template = spec.and_then(|spec| spec.template.metadata.as_ref());
    let conditions = status.and_then(|status| status.conditions.as_ref()).into_iter().flatten();
    let is_over = |it: &batch::JobCondition| {
        it.status == "True" && (it.type_ == "Complete" || it.type_ == "Failed")
    };
    let at_once = spec.and_then(|spec| spec.parallelism).map_or(1, |number| count(Some(number)));
    let succeeded = count(status.and_then(|status| status.succeeded));
    // Without completions it is over when the first of its pods has succeeded.
    let left = match spec.and_then(|spec| spec.completions) {
        Some(all) => count(Some(all)).saturating_sub(succeeded),
        None if succeeded > 0 => 0,
        None => at_once,
    };
    Workload {
        replicas: if conditions.into_iter().any(is_over) { 0 } else { at_once.min(left) },
        ready: count(status.and_then(|status| status.ready)),
        updated: count(status.and_then(|status| status.active)),
        ..workload(WorkloadKind::Job, &of.metadata, template)
    }
}
