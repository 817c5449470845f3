//! What a pod, or a whole unit, still waits for before it goes.

use super::super::{Journal, StepState};
use crate::model::{Action, Handshake, Plan, PlannedCheckpoint, PlannedStep, Pod};

/// Whether the pod waits for a checkpoint that the plan asks for and that is not over yet; or for its job to be
/// suspended, since one that was evicted counts as a failure of its job, and one that was suspended does not; or to be
/// kept, where nobody else makes it anew.
pub(super) fn waits(plan: &Plan, journal: &Journal, pod: &Pod) -> bool {
    let member = |unit: &&PlannedCheckpoint| unit.members.iter().any(|it| it.uid == pod.uid);
    let suspends = |step: &&PlannedStep| matches!(step.action, Action::Suspend);
    let suspending = plan.steps.iter().find(suspends).is_some_and(|step| open(journal, step));
    let of_gang = || plan.gangs.iter().any(|it| it.unit == pod.unit());
    let is_kept = || plan.moves.iter().any(|of| of.mover.uid() == Some(&pod.uid));
    suspending && (of_gang() || is_kept())
        || plan
            .checkpoints
            .iter()
            .find(member)
            .is_some_and(|unit| is_open(plan, journal, &unit.unit))
}

/// The step has not come to its end.
fn open(journal: &Journal, step: &PlannedStep) -> bool {
    matches!(
        journal.state(&step.name),
        StepState::Waiting | StepState::Started { .. } | StepState::Unknown { .. }
    )
}

/// Whether a checkpoint of that unit is still waited for.
pub(super) fn is_open(plan: &Plan, journal: &Journal, unit: &str) -> bool {
    let asked = |step: &PlannedStep| {
        matches!(step.action, Action::Checkpoint { .. }) && open(journal, step)
    };
    plan.steps.iter().any(asked)
        && plan.checkpoints.iter().any(|it| it.unit == unit)
        && journal.checkpoints.get(unit).is_none_or(|state| !state.is_over())
}

/// What only goes back, and has no checkpoint to go on from, stays where it is.
pub(super) fn stays(plan: &Plan, journal: &Journal, unit: &str) -> bool {
    let expired = matches!(journal.checkpoints.get(unit), Some(Handshake::Expired { .. }));
    expired && plan.may_stay(unit)
}
