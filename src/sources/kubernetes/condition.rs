//! Conditions: of nodes, by kubelet, node-problem-detector, EKS's monitoring agent or NVSentinel; and of whatever objects
//! the configuration names.

use super::{Happening, happening, message, moment, target, text};
use crate::cluster::Custom;
use crate::model::{Target, kind};
use serde_json::{Value, json};

pub(super) fn of_node(object: &Value) -> Vec<Happening> {
    let about = Target::Node(text(object, "/metadata/name").to_owned());
    conditions(object, kind::NODE_CONDITION, &about, &|payload| payload)
}

pub(super) fn of_object(custom: &Custom, object: &Value) -> Vec<Happening> {
    let (namespace, name) = (text(object, "/metadata/namespace"), text(object, "/metadata/name"));
    let about = target(&custom.kind, namespace, name);
    let with = |mut payload: Value| {
        payload["kind"] = json!(custom.kind);
        payload["api_version"] = json!(custom.api_version);
        payload
    };
    conditions(object, kind::OBJECT, &about, &with)
}

fn conditions(
    object: &Value,
    kind: &str,
    about: &Target,
    with: &dyn Fn(Value) -> Value,
) -> Vec<Happening> {
    let uid = text(object, "/metadata/uid");
    let all = object.pointer("/status/conditions").and_then(Value::as_array);
    let of = |condition: &Value| {
        let (name, status) = (text(condition, "/type"), text(condition, "/status"));
        let time = moment(condition, "/lastTransitionTime")?;
        let payload = with(json!({
            "condition": name, "status": status,
            "reason": text(condition, "/reason"), "message": message(condition, "/message"),
        }));
        // Another reason under the same status is news: one fault after the other.
        let parts = [uid, name, status, text(condition, "/reason"), &time.to_string()];
        Some(happening(name.to_owned(), kind, &parts, about.clone(), time, payload))
    };
    all.into_iter().flatten().filter_map(of).collect()
}
