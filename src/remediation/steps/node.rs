//! What a step changes on a node, and how that is put back exactly as it was.

use crate::model::{Action, Node, NodePatch, Taint, Undo};

/// Who cordoned the node: only that incident takes the cordon back.
pub(super) const CORDONED_BY: &str = "medevac.dev/cordoned-by";
/// Load balancers outside of the cluster leave a node with this label out. The value says that it is ours.
const LEFT_OUT: &str = "node.kubernetes.io/exclude-from-external-load-balancers";

/// What to change on the node, how that is undone, and what to say where nothing has to change.
pub(super) fn node_change(
    action: &Action,
    incident: &str,
    node: Option<&Node>,
) -> (Option<NodePatch>, Undo, String) {
    let mut patch = NodePatch::default();
    match action {
        Action::Cordon { taint } => cordon(taint.as_ref(), incident, node),
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
            let undo = Undo::Untaint { key: taint.key.clone(), effect: taint.effect.clone() };
            patch.taint = Some(taint.clone());
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

/// A person's cordon is left as it is; ours carries the incident's name.
fn cordon(
    taint: Option<&Taint>,
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
    let there = |taint: &&Taint| node.is_some_and(|node| node.taints.contains(taint));
    patch.taint = taint.filter(|taint| ours || !there(taint)).cloned();
    let untaint = patch.taint.as_ref().map(|taint| (taint.key.clone(), taint.effect.clone()));
    let note = if theirs { "a person had cordoned it".into() } else { String::new() };
    match (theirs, untaint) {
        (false, taint) => (Some(patch), Undo::Uncordon { taint }, note),
        (true, Some((key, effect))) => (Some(patch), Undo::Untaint { key, effect }, note),
        (true, None) => (None, Undo::Nothing, note),
    }
}

/// Takes our own cordon back, and the label that went with it.
pub(super) fn open(patch: &mut NodePatch, node: &Node) {
    patch.unschedulable = Some(false);
    patch.annotations.insert(CORDONED_BY.into(), None);
    if node.labels.get(LEFT_OUT).is_some_and(|by| by == "medevac") {
        patch.labels.insert(LEFT_OUT.into(), None);
    }
}
