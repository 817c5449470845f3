//! What no plan may contain, whoever wrote it.

use crate::model::{Action, Plan, PlannedStep, Reach};
use std::collections::BTreeSet;

/// More steps than any remediation has.
const MOST_STEPS: usize = 64;

/// The invariants that `plan` breaks, in words. Empty: it may be run.
pub fn lint(plan: &Plan) -> Vec<String> {
    let mut faults = vec![];
    if plan.steps.len() + plan.otherwise.len() > MOST_STEPS {
        faults.push(format!("a plan has at most {MOST_STEPS} steps"));
    }
    for steps in [&plan.steps, &plan.otherwise] {
        let mut before = BTreeSet::new();
        for step in steps {
            for need in step.needs.iter().filter(|need| !before.contains(need.as_str())) {
                faults
                    .push(format!("`{}` needs `{need}`, which does not come before it", step.name));
            }
            if !before.insert(step.name.as_str()) {
                faults.push(format!("two steps are called `{}`", step.name));
            }
            faults.extend(reaches(step));
            if let Action::CompleteLifecycleAction { after, .. } = &step.action {
                for need in after.iter().filter(|need| !before.contains(need.as_str())) {
                    faults.push(format!(
                        "`{}` comes after `{need}`, which is not before it",
                        step.name
                    ));
                }
            }
        }
    }
    let returns: Vec<&PlannedStep> = plan.steps.iter().filter(|step| step.no_return).collect();
    if returns.len() > 1 || returns.iter().any(|step| !step.action.destructive()) {
        faults.push("the point of no return is the first destructive step, and no other".into());
    }
    if plan.until().is_some_and(|until| until < plan.made_at) {
        faults.push("its deadline has passed already".into());
    }
    faults
}

/// A step acts on the kind of thing that it was made for.
fn reaches(step: &PlannedStep) -> Option<String> {
    let right = match (&step.action, &step.reach) {
        (Action::Restart { .. } | Action::Scale { .. }, Reach::Workload { .. }) => true,
        (Action::Verify { .. }, _) => true,
        // What goes back to where it was before is on many nodes.
        (
            Action::ReturnToSpot { .. }
            | Action::Checkpoint { .. }
            | Action::Suspend
            | Action::Resume,
            Reach::World,
        ) => true,
        (Action::CompleteLifecycleAction { .. }, Reach::Hook { .. } | Reach::World) => true,
        (
            Action::VeleroBackup(_)
            | Action::AwsBackup(_)
            | Action::Snapshot(_)
            | Action::RequireBackup(_)
            | Action::Diagnose { .. }
            | Action::Wait { .. }
            | Action::Http { .. }
            | Action::Notify { .. }
            | Action::Escalate { .. },
            Reach::World,
        ) => true,
        (action, Reach::Node { .. }) => {
            action.writes()
                && !matches!(
                    action,
                    Action::Restart { .. }
                        | Action::Scale { .. }
                        | Action::Http { .. }
                        | Action::VeleroBackup(_)
                        | Action::AwsBackup(_)
                        | Action::Snapshot(_)
                )
        }
        _ => false,
    };
    (!right).then(|| format!("`{}` cannot act on {:?}", step.name, step.reach))
}
