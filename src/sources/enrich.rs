//! What an event is about, and what was known about it when it came.

use crate::cluster::ClusterView;
use crate::model::{Alert, Envelope, Event, Target};

/// The labels by which exporters name the node that an alert is about.
const NODE_LABELS: [&str; 6] =
    ["node", "kubernetes_node", "node_name", "nodename", "exported_node", "Hostname"];
const WORKLOADS: [&str; 3] = ["deployment", "statefulset", "daemonset"];

/// The target of an alert, by its labels.
pub(super) fn target(alert: &Alert, view: &impl ClusterView) -> Target {
    let label = |name: &str| alert.labels.get(name).filter(|value| !value.is_empty());
    if let Some(node) = NODE_LABELS.iter().find_map(|name| label(name)) {
        return Target::Node(view.node_named(node).unwrap_or_else(|| node.clone()));
    }
    if let Some(namespace) = label("namespace").or_else(|| label("exported_namespace")) {
        if let Some(name) = label("pod").or_else(|| label("exported_pod")) {
            return Target::Pod { namespace: namespace.clone(), name: name.clone() };
        }
        let named = WORKLOADS.iter().find_map(|kind| Some((*kind, label(kind)?)));
        if let Some((kind, name)) = named {
            return Target::Workload {
                kind: kind.into(),
                namespace: namespace.clone(),
                name: name.clone(),
            };
        }
    }
    // `instance` is address and port of whatever was scraped: a node's own exporter, if the address is a node's.
    let address =
        label("instance").and_then(|instance| instance.rsplit_once(':').map(|(host, _)| host));
    if let Some(node) = address.and_then(|address| view.node_named(address)) {
        return Target::Node(node);
    }
    Target::Other { kind: "alert".into(), name: alert.fingerprint.clone() }
}

/// Attaches the context, and turns an instance that is a node into that node.
pub(super) fn enrich(event: &mut Envelope<Event>, view: &impl ClusterView) {
    if let Target::Instance(id) = &event.subject
        && let Some(node) = view.node_named(id)
    {
        event.subject = Target::Node(node);
    }
    let cloud = std::mem::take(&mut event.data.context.cloud);
    event.data.context = view.context(&event.subject);
    event.data.context.cloud = cloud;
    if event.tenant.is_none() {
        let context = &event.data.context;
        let labels = [
            context.pod.as_ref().map(|pod| &pod.labels),
            context.node.as_ref().map(|node| &node.labels),
        ];
        event.tenant =
            labels.into_iter().flatten().find_map(|labels| labels.get("tenant")).cloned();
    }
}
