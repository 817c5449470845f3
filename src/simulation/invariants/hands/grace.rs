//! The grace that a pod is told to go with.

use super::{CLOCKS, Fault, PlanFact, SLACK};
use crate::model::{Action, Pod};
use jiff::Timestamp;
use std::time::Duration;

/// Grace is `min(spec, deadline - now - reserve)`, never longer, never zero; what has to stay is left alone.
pub(super) fn gentle(
    pod: &Pod,
    stays: bool,
    plan: Option<&PlanFact>,
    grace: u32,
    begun: Timestamp,
) -> Vec<Fault> {
    let mut faults = vec![];
    let name = pod.full_name();
    if stays {
        faults.push(("I7", format!("{name} is asked to go and has to stay")));
    }
    if grace == 0 || grace > pod.grace.max(1) {
        let text = format!("{name} gets {grace} s of grace, its spec says {}", pod.grace);
        faults.push(("I7", text));
    }
    let Some(plan) = plan else { return faults };
    let drain = plan.plan.steps.iter().find_map(|step| match step.action {
        Action::Drain { timeout, .. } => {
            let from = plan.steps.get(&step.name)?.at;
            from.checked_add(timeout.0).ok()
        }
        _ => None,
    });
    let most = plan.plan.steps.iter().find_map(|step| match step.action {
        Action::Drain { grace: Some(most), .. } => u32::try_from(most.0.as_secs()).ok(),
        _ => None,
    });
    let Some(until) = plan.plan.until().into_iter().chain(drain).min() else { return faults };
    let left = u32::try_from(until.duration_since(begun).as_secs().max(0)).unwrap_or(u32::MAX);
    let least = pod.grace.min(most.unwrap_or(u32::MAX)).min(left.saturating_sub(CLOCKS)).max(1);
    if grace < least {
        let text = format!("{name} gets {grace} s of grace where {least} s are left for it");
        faults.push(("I7", text));
    }
    let Some(hard) = plan.plan.until() else { return faults };
    let ends = begun.checked_add(Duration::from_secs(u64::from(grace)));
    let late = ends.is_ok_and(|ends| ends > hard.checked_add(SLACK).unwrap_or(hard));
    if late && grace > 1 {
        let text = format!("{name} gets {grace} s of grace, which ends after the deadline");
        faults.push(("I7", text));
    }
    faults
}
