//! What a reader of a plan wants to know about the pods that a drain meets.

use crate::model::{Look, PlannedStep, Pod, Stay};
use std::collections::BTreeSet;

/// Controllers of the pods that have to move.
pub(super) fn movers(look: &Look) -> Vec<String> {
    let go = look.pods.iter().filter(|pod| pod.stays().is_none());
    let controllers: BTreeSet<String> = go.filter_map(Pod::controller).collect();
    controllers.into_iter().collect()
}

/// What a reader of the plan will want to know about the pods that a drain meets.
pub(super) fn remarks(steps: &[PlannedStep], look: &Look) -> Vec<String> {
    if !steps.iter().any(super::build::drains) {
        return vec![];
    }
    let stay = |why: Stay| look.pods.iter().filter(move |pod| pod.stays() == Some(why));
    let go = look.pods.iter().filter(|pod| pod.stays().is_none());
    let mut remarks = vec![format!("{} pods to move", go.clone().count())];
    for (why, word) in [
        (Stay::Static, "static"),
        (Stay::DaemonSet, "of a DaemonSet"),
        (Stay::Completed, "completed"),
    ] {
        let count = stay(why).count();
        if count > 0 {
            remarks.push(format!("{count} left alone: {word}"));
        }
    }
    for pod in go.filter(|pod| pod.unmanaged()).take(10) {
        remarks.push(format!("{} has no controller: it will not come back", pod.full_name()));
    }
    remarks
}
