//! What a reader of a plan wants to know: about the pods that a drain meets, and about what is left out.

use crate::model::{Action, Look, PlannedMove, PlannedStep, Pod, Stay};
use jiff::Timestamp;
use std::collections::BTreeSet;

/// What makes the pods anew that have to move.
pub(super) fn movers(look: &Look, moves: &[PlannedMove]) -> Vec<String> {
    let go = look.pods.iter().filter(|pod| pod.stays().is_none());
    let anew = go.filter(|pod| !pod.unmanaged() || made_anew(pod, moves));
    let makers: BTreeSet<String> = anew.map(Pod::maker).collect();
    makers.into_iter().collect()
}

/// It has no controller, and is made anew all the same.
fn made_anew(pod: &Pod, moves: &[PlannedMove]) -> bool {
    moves.iter().any(|of| of.mover.uid() == Some(&pod.uid))
}

/// What a reader of the plan will want to know about the pods that a drain meets.
pub(super) fn remarks(steps: &[PlannedStep], moves: &[PlannedMove], look: &Look) -> Vec<String> {
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
    let lost = |pod: &&Pod| pod.unmanaged() && !made_anew(pod, moves);
    for pod in go.filter(lost).take(10) {
        remarks.push(format!("{} has no controller: it will not come back", pod.full_name()));
    }
    remarks
}

/// A job of AWS Backup may wait for an hour before it begins: where the deadline is nearer it is left out, and nothing waits
/// for it. To empty a machine that goes is worth more.
pub(super) fn too_slow(
    steps: &mut Vec<PlannedStep>,
    until: Option<Timestamp>,
    now: Timestamp,
) -> Vec<String> {
    let Some(left) = until.map(|until| until.duration_since(now)) else { return vec![] };
    let late = |step: &PlannedStep| match &step.action {
        Action::AwsBackup(of) => left < of.start_within.0.try_into().unwrap_or_default(),
        _ => false,
    };
    let names: Vec<String> =
        steps.iter().filter(|step| late(step)).map(|it| it.name.clone()).collect();
    steps.retain(|step| !names.contains(&step.name));
    for step in steps {
        step.needs.retain(|need| !names.contains(need));
        if let Action::CompleteLifecycleAction { after, .. } = &mut step.action {
            after.retain(|need| !names.contains(need));
        }
    }
    let told =
        |name: String| format!("`{name}` is left out: the deadline is nearer than it may begin");
    names.into_iter().map(told).collect()
}
