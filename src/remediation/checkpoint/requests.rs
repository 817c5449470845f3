//! The requests of a handshake: an annotation, a program, a signal, a call, a look at a file.

use super::super::saga::Work;
use super::super::{Road, WebCall};
use crate::model::{Claim, ClusterCall, Member, PlannedCheckpoint, Proof, REQUEST, Transport};
use jiff::Timestamp;
use serde_json::json;
use std::time::Duration;

/// An answer over HTTP or NATS says how far it is; the work goes on without it.
const ANSWER: Duration = Duration::from_secs(10);
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

/// A look at the file that proves it: its time of change in seconds.
pub(super) fn proof(unit: &PlannedCheckpoint, member: &Member) -> Option<Work> {
    let Proof::File { path } = &unit.means.proof else { return None };
    let command = ["stat", "-c", "%Y", path].map(str::to_owned).to_vec();
    Some(exec(unit, member, command, LOOK))
}

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
        Transport::Nats { subject } => web(format!("nats:{subject}"), Road::Nats),
    }
}
