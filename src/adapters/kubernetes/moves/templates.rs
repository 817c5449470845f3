//! The pod templates of a workload: where they stand, and what they tell their pods.

use serde_json::{Map, Value};

/// On the pod template: the checkpoint to go on from.
pub(in crate::adapters::kubernetes) const REFERENCE: &str = "medevac.dev/checkpoint-reference";

/// Its pod templates, by name: those of a JobSet by that of the replicated job, else one without.
pub(super) fn templates(object: &Value) -> Vec<(String, Value)> {
    let spec = &object["spec"];
    match spec["replicatedJobs"].as_array() {
        None => vec![(String::new(), spec["template"].clone())],
        Some(parts) => {
            let name = |part: &Value| part["name"].as_str().unwrap_or_default().to_owned();
            let of = |part: &Value| part["template"]["spec"]["template"].clone();
            parts.iter().map(|part| (name(part), of(part))).collect()
        }
    }
}

/// Nothing is left of what the pods were told.
pub(super) fn forget(template: &mut Value) {
    let empty = |value: &Value| value.as_object().is_some_and(Map::is_empty);
    let Some(meta) = template.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    let told = meta.get_mut("annotations").and_then(Value::as_object_mut);
    if told.is_none_or(|all| all.remove(REFERENCE).is_none()) {
        return;
    }
    if meta.get("annotations").is_some_and(empty) {
        meta.remove("annotations");
    }
    if meta.is_empty() {
        template.as_object_mut().map(|template| template.remove("metadata"));
    }
}

/// The template of that name, to be changed.
pub(super) fn place<'a>(object: &'a mut Value, name: &str) -> Option<&'a mut Value> {
    if name.is_empty() {
        return object.pointer_mut("/spec/template");
    }
    let parts = object.pointer_mut("/spec/replicatedJobs")?.as_array_mut()?;
    parts.iter_mut().find(|part| part["name"] == name)?.pointer_mut("/template/spec/template")
}
