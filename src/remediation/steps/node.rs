//! What a step changes on a node, and how that is put back exactly as it was.

use crate::model::{Action, Node, NodePatch, Taint, Undo};
use jiff::Timestamp;

/// Who cordoned the node: only that incident takes the cordon back.
pub(super) const CORDONED_BY: &str = "medevac.dev/cordoned-by";
/// The taints that our cordon brought, as `KEY:EFFECT` with commas: they go with it.
const CORDONED_WITH: &str = "medevac.dev/cordoned-with";
/// Load balancers outside of the cluster leave a node with this label out. The value says that it is ours.
const LEFT_OUT: &str = "node.kubernetes.io/exclude-from-external-load-balancers";

/// Karpenter's own taint of nodes that it disrupts: it places nothing on them, in thought or in deed. It takes it away
/// from nodes that it does not end itself; nothing depends on it.
const DISRUPTED: &str = "karpenter.sh/disrupted";
/// Cluster Autoscaler's: the node is no capacity any more, and clouds' load balancers leave it out. Its value is when, in
/// seconds since 1970: after five minutes it counts as forgotten.
const TO_BE_DELETED: &str = "ToBeDeletedByClusterAutoscaler";
/// Karpenter's label of its nodes.
const NODE_POOL: &str = "karpenter.sh/nodepool";

/// What to change on the node, how that is undone, and what to say where nothing has to change.
pub(super) fn node_change(
    action: &Action,
    incident: &str,
    node: Option<&Node>,
    now: Timestamp,
) -> (Option<NodePatch>, Undo, String) {
    let mut patch = NodePatch::default();
    match action {
        Action::Cordon { taint, autoscalers } => {
            let theirs = autoscalers.then(|| theirs(node, now));
            cordon(taint.iter().cloned().chain(theirs).collect(), incident, node)
        }
        Action::Uncordon => match node {
            Some(node) if node.annotations.contains_key(CORDONED_BY) => {
                open(&mut patch, node);
                (Some(patch), Undo::Nothing, String::new())
            }
            Some(node) if node.unschedulable => {
                (None, Undo::Nothing, "left alone: a person had cordoned it".into())
            }
            _ => (None, Undo::Nothing, "it was not cordoned".into()),
        },
        Action::Taint { taint } => {
            if node.is_some_and(|node| node.taints.contains(taint)) {
                return (None, Undo::Nothing, "it was there already".into());
            }
            let undo = Undo::Untaint { taints: vec![(taint.key.clone(), taint.effect.clone())] };
            patch.taints = vec![taint.clone()];
            (Some(patch), undo, String::new())
        }
        Action::Label { key, value } => {
            let before = node.and_then(|node| node.labels.get(key)).cloned();
            patch.labels.insert(key.clone(), value.clone());
            (Some(patch), Undo::Label { key: key.clone(), value: before }, String::new())
        }
        Action::Annotate { key, value } => {
            let before = node.and_then(|node| node.annotations.get(key)).cloned();
            patch.annotations.insert(key.clone(), value.clone());
            (Some(patch), Undo::Annotate { key: key.clone(), value: before }, String::new())
        }
        _ => (None, Undo::Nothing, String::new()),
    }
}

/// The taint by which the node's own autoscaler is told that it goes.
fn theirs(node: Option<&Node>, now: Timestamp) -> Taint {
    let karpenters = node.is_some_and(|node| node.labels.contains_key(NODE_POOL));
    let (key, value) = match karpenters {
        true => (DISRUPTED, String::new()),
        false => (TO_BE_DELETED, now.as_second().to_string()),
    };
    Taint { key: key.into(), value, effect: "NoSchedule".into() }
}

/// Whether the node has all that a cordon brings, as far as one look tells.
pub(super) fn is_cordoned(action: &Action, incident: &str, node: &Node) -> bool {
    let Action::Cordon { taint, autoscalers } = action else { return false };
    let has = |key: &str| node.taints.iter().any(|taint| taint.key == key);
    node.annotations.get(CORDONED_BY).is_some_and(|by| by == incident)
        && taint.as_ref().is_none_or(|taint| node.taints.contains(taint))
        && (!autoscalers || has(DISRUPTED) || has(TO_BE_DELETED))
}

/// A person's cordon is left as it is; ours carries the incident's name.
fn cordon(
    taints: Vec<Taint>,
    incident: &str,
    node: Option<&Node>,
) -> (Option<NodePatch>, Undo, String) {
    let mut patch = NodePatch::default();
    // An older incident's cordon is ours as well: it is taken over.
    let ours = node.is_some_and(|node| node.annotations.contains_key(CORDONED_BY));
    let theirs = node.is_some_and(|node| node.unschedulable) && !ours;
    if !theirs {
        patch.unschedulable = Some(true);
        patch.annotations.insert(CORDONED_BY.into(), Some(incident.into()));
        if node.is_none_or(|node| !node.labels.contains_key(LEFT_OUT)) {
            patch.labels.insert(LEFT_OUT.into(), Some("medevac".into()));
        }
    }
    let mut untaint: Vec<(String, String)> =
        node.filter(|_| ours).map(|node| brought(node).collect()).unwrap_or_default();
    for taint in taints {
        let name = (taint.key.clone(), taint.effect.clone());
        // Another time is no other taint.
        let same = |other: &Taint| {
            *other == taint || taint.key == TO_BE_DELETED && other.key == TO_BE_DELETED
        };
        if node.is_some_and(|node| node.taints.iter().any(same)) {
            continue;
        }
        patch.taints.push(taint);
        if !untaint.contains(&name) {
            untaint.push(name);
        }
    }
    if !theirs && !untaint.is_empty() {
        let all: Vec<String> =
            untaint.iter().map(|(key, effect)| format!("{key}:{effect}")).collect();
        patch.annotations.insert(CORDONED_WITH.into(), Some(all.join(",")));
    }
    let note = if theirs { "a person had cordoned it".into() } else { String::new() };
    match (theirs, untaint.is_empty()) {
        (false, _) => (Some(patch), Undo::Uncordon { taints: untaint }, note),
        (true, false) => (Some(patch), Undo::Untaint { taints: untaint }, note),
        (true, true) => (None, Undo::Nothing, note),
    }
}

/// What our cordon brought, as the node itself says.
fn brought(node: &Node) -> impl Iterator<Item = (String, String)> {
    let all = node.annotations.get(CORDONED_WITH).map(String::as_str).unwrap_or_default();
    all.split(',').filter_map(|taint| {
        let (key, effect) = taint.rsplit_once(':')?;
        Some((key.to_owned(), effect.to_owned()))
    })
}

/// Takes our own cordon back, and the taints and the label that went with it.
pub(super) fn open(patch: &mut NodePatch, node: &Node) {
    patch.unschedulable = Some(false);
    patch.untaint.extend(brought(node));
    if node.annotations.contains_key(CORDONED_WITH) {
        patch.annotations.insert(CORDONED_WITH.into(), None);
    }
    patch.annotations.insert(CORDONED_BY.into(), None);
    if node.labels.get(LEFT_OUT).is_some_and(|by| by == "medevac") {
        patch.labels.insert(LEFT_OUT.into(), None);
    }
}
