//! What a call is about, in a few words: for the transcript, and for faults that name one.

use crate::model::{CloudCall, ClusterCall, Question};

/// A request to the API server.
pub(super) fn cluster(call: &ClusterCall) -> String {
    match call {
        ClusterCall::PatchNode { name, .. } => format!("patch node {name}"),
        ClusterCall::Evict { namespace, name, .. } => format!("evict {namespace}/{name}"),
        ClusterCall::Delete { namespace, name, .. } => format!("delete {namespace}/{name}"),
        ClusterCall::PatchPod { namespace, name, .. } => format!("patch pod {namespace}/{name}"),
        ClusterCall::Announce { node, .. } => format!("announce on {node}"),
        ClusterCall::Exec { namespace, name, .. } => format!("exec in {namespace}/{name}"),
        ClusterCall::Restart { namespace, name, .. } => format!("restart {namespace}/{name}"),
        ClusterCall::Scale { namespace, name, .. } => format!("scale {namespace}/{name}"),
        ClusterCall::Suspend { job, suspended: true, .. } => format!("suspend {}", job.full_name()),
        ClusterCall::Suspend { job, .. } => format!("resume {}", job.full_name()),
        ClusterCall::Release { claim, .. } => format!("release {claim}"),
        ClusterCall::Keep { namespace, name, .. } => format!("keep {namespace}/{name}"),
        ClusterCall::Move { mover, .. } => format!("send {mover} elsewhere"),
        ClusterCall::MoveBack { mover, .. } => format!("let {mover} go back"),
        ClusterCall::Unmake { what, labels, .. } => format!("take {} {labels} away", what.plural),
        ClusterCall::Make(made) => format!("make {} {}", made.what.kind, made.name),
    }
}

/// A question to the API server.
pub(super) fn question(question: &Question) -> String {
    match question {
        Question::Empty { node } => format!("list pods of {node}"),
        Question::One { what, name, .. } => format!("get {} {name}", what.kind),
        Question::Many { what, .. } => format!("list {}", what.plural),
        Question::Events { namespace, name, .. } => {
            format!("list events of {namespace}/{name}")
        }
        Question::Logs { namespace, name, .. } => format!("read the log of {namespace}/{name}"),
        Question::Machines { machines } => format!("look for nodes of {}", machines.join(", ")),
    }
}

/// A request to the cloud.
pub(super) fn cloud(call: &CloudCall) -> String {
    match call {
        CloudCall::CompleteHook { hook, .. } => format!("complete the hook of {}", hook.group),
        CloudCall::Heartbeat { hook } => format!("heartbeat of {}", hook.group),
        CloudCall::ObjectChanged { bucket, key } => format!("look at s3://{bucket}/{key}"),
        CloudCall::StartBackup { resource, .. } => format!("begin a backup of {resource}"),
        CloudCall::RunningBackup { resource, .. } => format!("look for a backup of {resource}"),
        CloudCall::BackupJob { id } => format!("look at the backup job {id}"),
        CloudCall::RecoveryPoint { arn, .. } => format!("look at the recovery point {arn}"),
        CloudCall::NewestRecoveryPoint { resource, .. } => {
            format!("look for recovery points of {resource}")
        }
        CloudCall::Provision(order) => {
            format!("ask for {} of {}", order.machines, order.source)
        }
        CloudCall::GiveBack { order, machines } if machines.is_empty() => {
            format!("call off what has not come of {}", order.source)
        }
        CloudCall::GiveBack { machines, .. } => format!("give back {}", machines.join(", ")),
        CloudCall::Tagged { .. } => "look for what has tags".into(),
        CloudCall::TakeSnapshot { volume, .. } => format!("take a snapshot of {volume}"),
        CloudCall::SnapshotState { id } => format!("look at {id}"),
        CloudCall::NewestSnapshot { volume } => format!("look for snapshots of {volume}"),
    }
}
