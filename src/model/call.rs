//! What may be asked of the cluster, and what comes back.

use super::{
    Destination, Hook, HookResult, Job, Made, Mover, Order, Protected, Resource, Span, Taint,
    Vault, WorkloadKind,
};
use jiff::Timestamp;
use std::{collections::BTreeMap, time::Duration};

/// What to change on a node, in one request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NodePatch {
    pub unschedulable: Option<bool>,
    pub taints: Vec<Taint>,
    /// Key and effect of the taints to take away.
    pub untaint: Vec<(String, String)>,
    /// `None` takes the label away.
    pub labels: BTreeMap<String, Option<String>>,
    pub annotations: BTreeMap<String, Option<String>>,
}

/// A request that changes the cluster. Every verb carries what makes a repetition harmless.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClusterCall {
    PatchNode {
        name: String,
        patch: NodePatch,
    },
    /// Through the eviction API, with the UID as a precondition. Grace in seconds, at least 1.
    Evict {
        namespace: String,
        name: String,
        uid: String,
        grace: u32,
    },
    /// Past the disruption budgets, with the UID as a precondition. Grace in seconds, at least 1.
    Delete {
        namespace: String,
        name: String,
        uid: String,
        grace: u32,
    },
    /// Annotations of a pod, with the UID as a precondition; with a claim, only where nobody else has one.
    PatchPod {
        namespace: String,
        name: String,
        uid: String,
        annotations: BTreeMap<String, Option<String>>,
        claim: Option<Claim>,
    },
    /// A program in a pod's container, waited for. It ends well with 0; [`Answer::Said`] is what it printed.
    Exec {
        namespace: String,
        name: String,
        container: Option<String>,
        command: Vec<String>,
        timeout: Duration,
    },
    /// An event of the API's on a node; the same key is the same event.
    Announce {
        node: String,
        key: String,
        at: Timestamp,
        good: bool,
        /// One word in camel case.
        reason: String,
        message: String,
    },
    /// A rolling restart, marked with the step's key so that a second one changes nothing.
    Restart {
        kind: WorkloadKind,
        namespace: String,
        name: String,
        key: String,
    },
    Scale {
        kind: WorkloadKind,
        namespace: String,
        name: String,
        replicas: u32,
    },
    /// Suspends a job, or lets it run again: only where nobody else has suspended it, and only who has resumes it.
    Suspend {
        job: Job,
        suspended: bool,
        /// Who does: an incident.
        by: String,
    },
    /// Gives a Karpenter node's NodeClaim back. Karpenter has until `by`, where that is given, to end what is left on it.
    Release {
        claim: String,
        by: Option<Timestamp>,
    },
    /// Keeps what a pod that nobody makes anew is made of, beside it: `Move` and `MoveBack` make it from that.
    Keep {
        namespace: String,
        name: String,
        uid: String,
        /// Who does: an incident.
        by: String,
    },
    /// Lets a workload run elsewhere, or only there, and remembers on it what was before. A job has to be suspended, and
    /// its pods gone; a pod has to be kept, and gone.
    Move {
        mover: Mover,
        to: Destination,
        /// Who does: an incident.
        by: String,
        /// The checkpoint that its pods are to go on from.
        reference: Option<String>,
    },
    /// Puts back what was before, where nobody else has changed it since.
    MoveBack {
        mover: Mover,
        /// Only what this incident has done. `None`: whoever did.
        by: Option<String>,
    },
    /// Takes away objects that we have made, by their labels.
    Unmake {
        what: Resource,
        namespace: String,
        labels: String,
    },
    /// Makes an object. [`Refusal::Changed`]: there is one of that name; whoever made it under a name of its own did so
    /// in another life.
    Make(Made),
}

/// A request to the cloud.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CloudCall {
    /// The action of a hook is over: its group goes on with the instance.
    CompleteHook {
        hook: Hook,
        result: HookResult,
    },
    /// The action of a hook goes on: its time begins anew.
    Heartbeat {
        hook: Hook,
    },
    /// When an object, or the newest one below a prefix that ends with `/`, was written: [`Answer::Said`], in seconds
    /// since 1970. [`Refusal::Gone`]: there is none.
    ObjectChanged {
        bucket: String,
        key: String,
    },
    /// Asks for machines, once for that key, and says what has come so far: [`Answer::Said`], a [`super::Granted`].
    /// [`Refusal::Invalid`]: there are none to be had that way.
    Provision(Order),
    /// Gives back what was asked for and has not come, and ends these of its machines.
    GiveBack {
        order: Order,
        machines: Vec<String>,
    },
    /// Begins a backup job of AWS Backup; the same token is the same job. [`Answer::Said`]: a [`super::Standing`].
    /// [`Refusal::Changed`]: another job works on the resource.
    StartBackup {
        vault: Vault,
        resource: Protected,
        token: String,
        start_within: Span,
        complete_within: Span,
        delete_after_days: Option<u32>,
        tags: Vec<(String, String)>,
    },
    /// The job that works on the resource now, as a [`super::Standing`].
    RunningBackup {
        vault: Vault,
        resource: Protected,
    },
    BackupJob {
        id: String,
    },
    RecoveryPoint {
        vault: Vault,
        arn: String,
    },
    /// The newest of the resource that is good, as a [`super::Standing`].
    NewestRecoveryPoint {
        vault: Vault,
        resource: Protected,
    },
    /// ARNs of everything that has all of these tags, as a JSON list.
    Tagged {
        tags: BTreeMap<String, String>,
    },
    /// A snapshot of a volume, tagged with the key: the one that has it already, or a new one. As a [`super::Standing`].
    TakeSnapshot {
        volume: String,
        key: String,
        tags: Vec<(String, String)>,
    },
    SnapshotState {
        id: String,
    },
    /// The newest of the volume that is complete.
    NewestSnapshot {
        volume: String,
    },
}

/// Refused, as [`Refusal::Changed`], where the pod carries a checkpoint request of another id that was made since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    pub id: String,
    pub since: Timestamp,
}

impl ClusterCall {
    /// Cordons and taints go before everything else: they stop new work from landing.
    pub fn urgent(&self) -> bool {
        matches!(self, ClusterCall::PatchNode { .. })
    }
}

/// What the API server, or any other outside party, answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Done,
    /// Done, and this was said: the end of it, where it is long.
    Said(String),
    Refused(Refusal),
    /// No answer came: the effect may or may not have happened.
    Unknown(String),
}

/// Each refusal asks for another reaction: see the drain checklist in the operator's documentation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// 429: the disruption budget is used up; with seconds, it is "still being processed".
    Budget { retry_after: Option<u32>, message: String },
    /// 500: more than one budget selects the pod. It will not change by itself.
    TwoBudgets(String),
    /// 404.
    Gone,
    /// 409: another object has that name now, or the object changed under us.
    Changed(String),
    /// 403 by RBAC: names the verb and resource that are missing.
    Forbidden(String),
    /// 403 while the namespace is being deleted.
    NamespaceEnding,
    /// An admission webhook said no.
    Admission(String),
    /// 5xx, 504, a lost connection before anything was sent: try again.
    Busy { retry_after: Option<u32>, message: String },
    /// Anything else: trying again would not help.
    Invalid(String),
}
