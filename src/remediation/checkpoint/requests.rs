//! The requests of a handshake: an annotation, a program, a signal, a call, a look at a file.

use super::super::saga::Work;
use super::super::{Road, WebCall};
use crate::model::{
    Claim, CloudCall, ClusterCall, Member, PlannedCheckpoint, Proof, REQUEST, Transport,
};
use jiff::Timestamp;
use serde_json::json;
use std::time::Duration;

/// An answer over HTTP or NATS says how far it is; the work goes on without it.
const ANSWER: Duration = Duration::from_secs(10);
/// Ray's client takes a few seconds to begin.
const RAY: Duration = Duration::from_secs(30);
/// A look at a file.
const LOOK: Duration = Duration::from_secs(5);

pub(super) fn patch(member: &Member, key: &str, value: String, claim: Option<Claim>) -> Work {
    Work::Cluster(ClusterCall::PatchPod {
        namespace: member.namespace.clone(),
        name: member.name.clone(),
        uid: member.uid.clone(),
        annotations: [(key.to_owned(), Some(value))].into(),
        claim,
    })
}

pub(super) fn exec(
    unit: &PlannedCheckpoint,
    member: &Member,
    command: Vec<String>,
    timeout: Duration,
) -> Work {
    Work::Cluster(ClusterCall::Exec {
        namespace: member.namespace.clone(),
        name: member.name.clone(),
        container: unit.means.container.clone(),
        command,
        timeout,
    })
}

/// A look at what proves it: its time of change in seconds.
pub(super) fn proof(unit: &PlannedCheckpoint, member: &Member) -> Option<Work> {
    match &unit.means.proof {
        Proof::Answer => None,
        Proof::File { path } => {
            let command = ["stat", "-c", "%Y", path].map(str::to_owned).to_vec();
            Some(exec(unit, member, command, LOOK))
        }
        Proof::Object { bucket, key } => {
            let (bucket, key) = (bucket.clone(), key.clone());
            Some(Work::Cloud(CloudCall::ObjectChanged { bucket, key }))
        }
    }
}

/// Ray's own command for a node that is preempted. It takes the id of a node, which only Ray on that node knows.
const DRAIN_RAY: &str = "import subprocess, sys, ray
ray.init(address='auto', log_to_driver=False, logging_level='error')
node = ray.get_runtime_context().get_node_id()
sys.exit(subprocess.call(['ray', 'drain-node', '--node-id', node, '--reason', 'DRAIN_NODE_REASON_PREEMPTION', '--reason-message', 'the machine is taken away', '--deadline-remaining-seconds', sys.argv[1]]))";

/// The request to a member, as it wants to be asked.
pub(super) fn first(
    unit: &PlannedCheckpoint,
    member: &Member,
    request: &str,
    now: Timestamp,
) -> Work {
    let left = Duration::try_from(unit.by.duration_since(now)).unwrap_or_default();
    let web = |url: String, road| {
        let request: serde_json::Value = serde_json::from_str(request).unwrap_or_default();
        let body = json!({
            "request": request, "namespace": member.namespace, "pod": member.name,
            "doomed": member.doomed, "members": unit.members.len(),
        });
        Work::Web(WebCall {
            method: "POST".into(),
            url,
            body: body.to_string(),
            timeout: ANSWER.min(left.max(Duration::from_secs(1))),
            key: unit.id.as_str().into(),
            cause: String::new(),
            road,
        })
    };
    match &unit.means.transport {
        Transport::Annotation => patch(member, REQUEST, request.to_owned(), None),
        Transport::Exec { command } => exec(unit, member, command.clone(), left),
        Transport::Signal { signal } => {
            exec(unit, member, ["kill", "-s", signal, "1"].map(str::to_owned).to_vec(), LOOK)
        }
        Transport::Http { port, path } => {
            let host = match member.ip.contains(':') {
                true => format!("[{}]", member.ip),
                false => member.ip.clone(),
            };
            web(format!("http://{host}:{port}{path}"), Road::Pod)
        }
        Transport::Ray => {
            let seconds = left.as_secs().to_string();
            let command = ["python3", "-c", DRAIN_RAY, &seconds].map(str::to_owned).to_vec();
            exec(unit, member, command, RAY.min(left))
        }
        Transport::Nats { subject } => web(format!("nats:{subject}"), Road::Nats),
    }
}
