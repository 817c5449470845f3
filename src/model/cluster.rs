//! The cluster as values: what a room may know of it, ask of it, and hear back.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taint {
    pub key: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub value: String,
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
    pub effect: String,
}

/// A node, without what no rule and no step needs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Node {
    pub name: String,
    #[serde(default)]
    pub uid: String,
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
    #[serde(default)]
    pub taints: Vec<Taint>,
    #[serde(default)]
    pub unschedulable: bool,
    #[serde(default)]
    pub ready: bool,
    /// The autoscaling pool it belongs to, by the well-known labels; empty where none is set.
    #[serde(default)]
    pub pool: String,
    #[serde(default)]
    pub zone: String,
    #[serde(default)]
    pub instance_type: String,
    /// `spot` or `on-demand`; empty where no label says.
    #[serde(default)]
    pub capacity_type: String,
    /// The last segment of `spec.providerID`, for example `i-0abcd1234efgh5678`.
    #[serde(default)]
    pub instance_id: String,
    #[serde(default)]
    pub internal_ip: String,
    /// The NodeClaim that Karpenter made it for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub claim: String,
    /// `status.nodeInfo.bootID`: another one each time that the machine starts.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub boot_id: String,
    /// Names of the volumes that the cloud has attached to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volumes_attached: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    pub api_version: String,
    pub kind: String,
    pub name: String,
    /// The one owner that controls it.
    #[serde(default)]
    pub controller: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum PodPhase {
    #[default]
    Pending,
    Running,
    Succeeded,
    Failed,
    Unknown,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Pod {
    pub namespace: String,
    pub name: String,
    pub uid: String,
    #[serde(default)]
    pub node: String,
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
    #[serde(default)]
    pub owners: Vec<Owner>,
    #[serde(default)]
    pub phase: PodPhase,
    #[serde(default)]
    pub ready: bool,
    /// `terminationGracePeriodSeconds`, in seconds.
    #[serde(default)]
    pub grace: u32,
    /// Its own address in the cluster.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub ip: String,
    /// When its kubelet took it on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When the API server will consider it gone: `deletionTimestamp`, which includes the grace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub finalizers: Vec<String>,
    /// Its emptyDir volumes on the node's disk: what is in them goes with the pod.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub local_volumes: Vec<String>,
    /// The daemon itself runs in it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub own: bool,
    /// GPUs that it asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpus: Option<u32>,
    /// Why it has no node, as the scheduler says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unscheduled: Option<String>,
}

/// Why a drain leaves a pod where it is (invariant I7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stay {
    /// A file on the node made it; the kubelet would make it again.
    Static,
    /// Its controller would put it straight back.
    DaemonSet,
    /// It has ended already.
    Completed,
}

const SAFE: &str = "cluster-autoscaler.kubernetes.io/safe-to-evict";
const DO_NOT_DISRUPT: &str = "karpenter.sh/do-not-disrupt";
const SAFE_VOLUMES: &str = "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes";
const EVICT_DAEMON: &str = "cluster-autoscaler.kubernetes.io/enable-ds-eviction";

impl Pod {
    /// Why a drain leaves it alone, or `None` where it has to go. A DaemonSet's pod goes where its
    /// annotation asks for it, as Cluster Autoscaler reads it.
    pub fn stays(&self) -> Option<Stay> {
        let daemons_go = self.annotations.get(EVICT_DAEMON).is_some_and(|value| value == "true");
        let by_node = |owner: &Owner| owner.kind == "Node" && owner.api_version == "v1";
        let by_daemon = |owner: &Owner| {
            owner.controller && owner.kind == "DaemonSet" && owner.api_version.starts_with("apps/")
        };
        if self.annotations.contains_key("kubernetes.io/config.mirror")
            || self.owners.iter().any(by_node)
        {
            Some(Stay::Static)
        } else if self.owners.iter().any(by_daemon) && !daemons_go {
            Some(Stay::DaemonSet)
        } else if matches!(self.phase, PodPhase::Succeeded | PodPhase::Failed) {
            Some(Stay::Completed)
        } else {
            None
        }
    }

    /// What its owner asks to keep, in Cluster Autoscaler's and Karpenter's annotations: honoured by planned drains, while
    /// a deadline takes the node away with everything on it.
    pub fn keeps(&self) -> Option<String> {
        if self.annotations.get(SAFE).is_some_and(|safe| safe == "false") {
            return Some(format!("its owner says {SAFE}: false"));
        }
        if self.annotations.get(DO_NOT_DISRUPT).is_some_and(|keep| keep == "true") {
            return Some(format!("its owner says {DO_NOT_DISRUPT}: true"));
        }
        let safe: Vec<&str> =
            self.annotations.get(SAFE_VOLUMES)?.split(',').map(str::trim).collect();
        let kept = self.local_volumes.iter().find(|volume| !safe.contains(&volume.as_str()))?;
        Some(format!("its owner does not name the volume `{kept}` in {SAFE_VOLUMES}"))
    }

    /// Nobody will make it again once it is gone.
    pub fn unmanaged(&self) -> bool {
        !self.owners.iter().any(|owner| owner.controller)
    }

    /// The latest moment at which it is told to go, where everything has to be done by `until`: it still has its
    /// whole grace, or as much of a long one as can be kept for it.
    pub fn last_call(&self, until: Timestamp) -> Timestamp {
        const MOST_KEPT: u32 = 30;
        let grace = std::time::Duration::from_secs(u64::from(self.grace.min(MOST_KEPT)));
        until.checked_sub(grace).unwrap_or(until)
    }

    /// One of each node, of a DaemonSet: it goes after all others, since they may need what it does.
    pub fn of_daemon_set(&self) -> bool {
        self.owners.iter().any(|owner| owner.controller && owner.kind == "DaemonSet")
    }

    /// Its controller as `namespace/Kind/name`: the same for the pod that replaces it.
    pub fn controller(&self) -> Option<String> {
        let owner = self.owners.iter().find(|owner| owner.controller)?;
        Some(format!("{}/{}/{}", self.namespace, owner.kind, owner.name))
    }

    /// It is ready, and nobody has told it to go.
    pub fn runs(&self) -> bool {
        self.ready && self.deleted_at.is_none()
    }

    /// What makes it anew, as `namespace/Kind/name`: its controller; one without is followed by its own name.
    pub fn maker(&self) -> String {
        self.controller().unwrap_or_else(|| format!("{}/Pod/{}", self.namespace, self.name))
    }

    pub fn full_name(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// The gang that it is of, or it alone: what is asked for one checkpoint, and suspended as one.
    pub fn unit(&self) -> String {
        self.gang().unwrap_or_else(|| format!("pod/{}", self.full_name()))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WorkloadKind {
    Deployment,
    StatefulSet,
    DaemonSet,
    Job,
}

impl WorkloadKind {
    pub const ALL: [WorkloadKind; 4] = [
        WorkloadKind::Deployment,
        WorkloadKind::StatefulSet,
        WorkloadKind::DaemonSet,
        WorkloadKind::Job,
    ];

    /// The lower-case singular, as in `deployment/inference/triton`.
    pub fn word(self) -> &'static str {
        match self {
            WorkloadKind::Deployment => "deployment",
            WorkloadKind::StatefulSet => "statefulset",
            WorkloadKind::DaemonSet => "daemonset",
            WorkloadKind::Job => "job",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workload {
    pub kind: WorkloadKind,
    pub namespace: String,
    pub name: String,
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
    /// Of the pod template, where a rolling restart leaves its mark.
    #[serde(default)]
    pub template_annotations: BTreeMap<String, String>,
    /// Wanted; of a Job, as many at a time as are still to be done.
    #[serde(default)]
    pub replicas: u32,
    #[serde(default)]
    pub ready: u32,
    /// Replicas of the newest template; of a Job, those that have not ended.
    #[serde(default)]
    pub updated: u32,
}

impl Workload {
    pub fn target(&self) -> super::Target {
        super::Target::Workload {
            kind: self.kind.word().into(),
            namespace: self.namespace.clone(),
            name: self.name.clone(),
        }
    }
}
