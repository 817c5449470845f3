//! Objects of the API server that are not watched: named, asked for and made by kind.

use serde_json::Value;

/// A kind that the API server serves, or may serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Resource {
    /// `v1`, or `group/version`.
    pub api_version: &'static str,
    pub kind: &'static str,
    /// As the server's paths have it.
    pub plural: &'static str,
}

const fn resource(api_version: &'static str, kind: &'static str, plural: &'static str) -> Resource {
    Resource { api_version, kind, plural }
}

impl Resource {
    pub const BACKUP: Resource = resource("velero.io/v1", "Backup", "backups");
    pub const BACKUP_LOCATION: Resource =
        resource("velero.io/v1", "BackupStorageLocation", "backupstoragelocations");
    pub const CLAIM: Resource = resource("v1", "PersistentVolumeClaim", "persistentvolumeclaims");
    pub const VOLUME: Resource = resource("v1", "PersistentVolume", "persistentvolumes");
    pub const NODE: Resource = resource("v1", "Node", "nodes");
    pub const NAMESPACE: Resource = resource("v1", "Namespace", "namespaces");
    pub const SERVICE: Resource = resource("v1", "Service", "services");
    pub const QUOTA: Resource = resource("v1", "ResourceQuota", "resourcequotas");
    pub const LIMIT_RANGE: Resource = resource("v1", "LimitRange", "limitranges");
    pub const NETWORK_POLICY: Resource =
        resource("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies");
    pub const PRIORITY_CLASS: Resource =
        resource("scheduling.k8s.io/v1", "PriorityClass", "priorityclasses");
    pub const STORAGE_CLASS: Resource =
        resource("storage.k8s.io/v1", "StorageClass", "storageclasses");
    pub const CSI_DRIVER: Resource = resource("storage.k8s.io/v1", "CSIDriver", "csidrivers");
    pub const CSI_NODE: Resource = resource("storage.k8s.io/v1", "CSINode", "csinodes");
    pub const ATTACHMENT: Resource =
        resource("storage.k8s.io/v1", "VolumeAttachment", "volumeattachments");
    pub const CLUSTER_POLICY: Resource =
        resource("nvidia.com/v1", "ClusterPolicy", "clusterpolicies");
    pub const SERVICE_PROFILE: Resource =
        resource("linkerd.io/v1alpha2", "ServiceProfile", "serviceprofiles");
    pub const DAEMON_SET: Resource = resource("apps/v1", "DaemonSet", "daemonsets");
    pub const POD: Resource = resource("v1", "Pod", "pods");
    pub const DEPLOYMENT: Resource = resource("apps/v1", "Deployment", "deployments");
    pub const STATEFUL_SET: Resource = resource("apps/v1", "StatefulSet", "statefulsets");
    pub const JOB: Resource = resource("batch/v1", "Job", "jobs");
    pub const JOB_SET: Resource = resource("jobset.x-k8s.io/v1alpha2", "JobSet", "jobsets");

    /// By the lower-case kind that a target has.
    pub fn of_workload(kind: &str) -> Option<Resource> {
        [Resource::DEPLOYMENT, Resource::STATEFUL_SET, Resource::DAEMON_SET, Resource::JOB]
            .into_iter()
            .find(|it| it.kind.eq_ignore_ascii_case(kind))
    }
}

/// Labels, as a JSON object, in the way in which a label selector is written.
pub fn selector(labels: &Value) -> String {
    let pair = |(key, value): (&String, &Value)| Some(format!("{key}={}", value.as_str()?));
    let all: Vec<String> = labels.as_object().into_iter().flatten().filter_map(pair).collect();
    all.join(",")
}

/// What the API server itself is asked, because no cache has it, or not surely. Nothing is changed by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// Whether nothing that has to go is left on the node. [`super::Answer::Done`]: nothing is.
    Empty { node: String },
    /// One object, as JSON in [`super::Answer::Said`]. [`super::Refusal::Gone`]: there is none, or nothing of its kind.
    One { what: Resource, namespace: Option<String>, name: String },
    /// Which nodes these EC2 instances are: [`super::Answer::Said`], a JSON list of [`super::Joined`]. Those that the cluster
    /// does not know are not in it.
    Machines { machines: Vec<String> },
    /// Objects with these labels, as a JSON list in [`super::Answer::Said`]: at most `limit`.
    Many { what: Resource, namespace: Option<String>, labels: String, limit: u32 },
    /// The events of the API about one object, as a JSON list.
    Events { namespace: String, kind: &'static str, name: String },
    /// The end of a container's log: [`super::Answer::Said`], so many lines of it. Of a pod with several, the one that
    /// restarted last, or the first. `before`: of the one that ended before.
    Logs { namespace: String, name: String, before: bool, lines: u32 },
}

/// An object to be made under a name that nobody else uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    pub what: Resource,
    pub namespace: String,
    pub name: String,
    /// `spec`, and whatever else stands beside the metadata.
    pub body: Value,
    pub labels: std::collections::BTreeMap<String, String>,
}
