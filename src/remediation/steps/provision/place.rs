//! A pod that holds a place: it asks for what another pod asks for, where that one is to go, and does nothing.

use super::PLACE;
use crate::model::{Extent, Made, Order, Placeholders, PlannedCapacity, Resource, Zone, label};
use serde_json::{Map, Value, json};

const TOPOLOGY: &str = "topology.kubernetes.io/zone";
const INSTANCE_TYPE: &str = "node.kubernetes.io/instance-type";
const REQUIRED: &str =
    "/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms";

/// In place of the pod at `at`, as the API server shows it; `Null` where it is gone.
pub(super) fn made(
    capacity: &PlannedCapacity,
    order: &Order,
    of: &Placeholders,
    at: usize,
    pod: &Value,
) -> Made {
    let mut spec = json!({
        "containers": containers(capacity, of, at, &pod["spec"]),
        "priorityClassName": of.priority_class,
        "terminationGracePeriodSeconds": 0,
        "automountServiceAccountToken": false,
        "enableServiceLinks": false,
        "securityContext": {
            "runAsNonRoot": true, "runAsUser": 65534, "seccompProfile": { "type": "RuntimeDefault" },
        },
    });
    if let Some(spec) = spec.as_object_mut() {
        spec.extend(directives(capacity, of, &pod["spec"]));
    }
    let tag = |name: &str| order.tags.iter().find(|(known, _)| known == name);
    let marks = ["medevac.dev/incident", "medevac.dev/rule"].into_iter().filter_map(tag);
    let mut labels: std::collections::BTreeMap<String, String> =
        marks.map(|(name, value)| (name.clone(), label(value))).collect();
    labels.insert(PLACE.into(), order.key.clone());
    Made {
        what: Resource::POD,
        namespace: of.namespace.clone(),
        name: format!("medevac-place-{}-{at}", &order.key[..16.min(order.key.len())]),
        body: json!({ "spec": spec }),
        labels,
    }
}

/// One for each of the pod's, with what it asks for.
fn containers(
    capacity: &PlannedCapacity,
    of: &Placeholders,
    at: usize,
    spec: &Value,
) -> Vec<Value> {
    let own = spec["containers"].as_array().cloned().unwrap_or_default();
    let mut resources: Vec<Value> = own.into_iter().map(|it| it["resources"].clone()).collect();
    if resources.is_empty() {
        let gpus = capacity.pods.get(at).map_or(0, |pod| pod.gpus);
        resources.push(match gpus {
            0 => Value::Null,
            gpus => json!({ "limits": { "nvidia.com/gpu": gpus.to_string() } }),
        });
    }
    let container = |(at, resources): (usize, Value)| {
        let mut container = json!({
            "name": format!("place-{at}"), "image": of.image,
            "securityContext": {
                "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
                "capabilities": { "drop": ["ALL"] },
            },
        });
        for part in ["requests", "limits"] {
            if resources[part].is_object() {
                container["resources"][part] = resources[part].clone();
            }
        }
        container
    };
    resources.into_iter().enumerate().map(container).collect()
}

/// Where the pod itself is to go, without what it wants of other pods.
fn directives(capacity: &PlannedCapacity, of: &Placeholders, spec: &Value) -> Map<String, Value> {
    let mut all = Map::new();
    for key in ["nodeSelector", "tolerations"] {
        if !spec[key].is_null() {
            all.insert(key.into(), spec[key].clone());
        }
    }
    let node = &spec["affinity"]["nodeAffinity"];
    if !node.is_null() {
        all.insert("affinity".into(), json!({ "nodeAffinity": node }));
    }
    let change = capacity.bearing.change(&Value::Object(all.clone()), Extent::Whole);
    all.extend(change);
    let zone = match of.zone {
        _ if capacity.zone.is_empty() => None,
        Zone::Any => None,
        Zone::Same => Some("In"),
        Zone::Other => Some("NotIn"),
    };
    let zone =
        zone.map(|how| json!({ "key": TOPOLOGY, "operator": how, "values": [capacity.zone] }));
    let kinds = (!of.instance_types.is_empty())
        .then(|| json!({ "key": INSTANCE_TYPE, "operator": "In", "values": of.instance_types }));
    let more: Vec<Value> = zone.into_iter().chain(kinds).collect();
    if !more.is_empty() {
        narrow(all.entry("affinity").or_insert(Value::Null), &more);
    }
    all.retain(|_, value| !value.is_null());
    all
}

/// Each of the alternatives asks for these as well.
fn narrow(affinity: &mut Value, more: &[Value]) {
    let terms = affinity.pointer(REQUIRED).and_then(Value::as_array).cloned();
    let mut terms = terms.filter(|terms| !terms.is_empty()).unwrap_or_else(|| vec![json!({})]);
    for term in &mut terms {
        let own = term["matchExpressions"].as_array().cloned().unwrap_or_default();
        term["matchExpressions"] = json!([own, more.to_vec()].concat());
    }
    let mut keys = REQUIRED.split('/').skip(1);
    let (Some(node), Some(required), Some(list)) = (keys.next(), keys.next(), keys.next()) else {
        return;
    };
    affinity[node][required][list] = json!(terms);
}
