//! Events of the API's, written on nodes.

use super::answer::answer;
use crate::model::{Answer, ClusterCall};
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::events::v1::Event;
use kube::{Api, Client, api::PostParams};
use serde_json::json;

/// Where events about what has no namespace are kept.
const NAMESPACE: &str = "default";
/// The API takes no longer ones.
const LONGEST: usize = 1024;

/// Writes an event on the node; one of the same key is there already, and is the same.
pub(super) async fn announce(client: &Client, call: &ClusterCall) -> Answer {
    let ClusterCall::Announce { node, key, at, good, reason, message } = call else {
        return Answer::Unknown("nothing to announce".into());
    };
    let nodes: Api<core::Node> = Api::all(client.clone());
    let uid = match nodes.get_metadata_opt(node).await {
        Ok(found) => found.and_then(|node| node.metadata.uid),
        Err(error) => return answer::<()>(Err(error)),
    };
    let note: String = message.chars().take(LONGEST).collect();
    let event = serde_json::from_value::<Event>(json!({
        "metadata": { "name": format!("medevac.{}", &key[..key.len().min(16)]), "namespace": NAMESPACE },
        "eventTime": at,
        "reportingController": "medevac.dev/medevac",
        "reportingInstance": std::env::var("POD_NAME").unwrap_or_else(|_| "medevac".into()),
        "action": "Remediate", "reason": reason, "note": note,
        "type": if *good { "Normal" } else { "Warning" },
        "regarding": { "apiVersion": "v1", "kind": "Node", "name": node, "uid": uid },
    }));
    let event = match event {
        Ok(event) => event,
        Err(error) => return Answer::Unknown(error.to_string()),
    };
    let events: Api<Event> = Api::namespaced(client.clone(), NAMESPACE);
    match events.create(&PostParams::default(), &event).await {
        Err(kube::Error::Api(status)) if status.code == 409 => Answer::Done,
        created => answer(created),
    }
}
