//! A remediation as every replica can show it.

use super::{Journal, StepState};
use crate::model::{Id, Plan, Target};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Shown {
    pub plan: Id,
    pub incident: String,
    pub rule: String,
    pub target: Target,
    pub deadline: Option<Timestamp>,
    pub made_at: Timestamp,
    /// When its journal got its last line.
    pub last_at: Timestamp,
    /// Steps in their order, and the word for how they stand.
    pub steps: Vec<(String, String)>,
}

/// A journal without a new line for so long belongs to a remediation that is stuck.
const SILENT: Duration = Duration::from_secs(15 * 60);

impl Shown {
    pub fn of(plan: &Plan, journal: &Journal, now: Timestamp) -> Shown {
        let all = plan.steps.iter().chain(&plan.otherwise);
        let step = |name: &String| (name.clone(), word(journal.state(name)).to_owned());
        Shown {
            plan: plan.id.clone(),
            incident: plan.incident.clone(),
            rule: plan.rule.clone(),
            target: plan.target.clone(),
            deadline: plan.deadline,
            made_at: plan.made_at,
            last_at: now,
            steps: all.map(|planned| step(&planned.name)).collect(),
        }
    }

    /// Why it has to be looked at, if it has.
    pub fn stuck(&self, now: Timestamp) -> Option<String> {
        if self.deadline.is_some_and(|deadline| deadline < now) {
            return Some("its deadline has passed".into());
        }
        let silent: Duration = now.duration_since(self.last_at).try_into().unwrap_or_default();
        (silent > SILENT).then(|| format!("nothing for {} min", silent.as_secs() / 60))
    }
}

fn word(state: &StepState) -> &'static str {
    match state {
        StepState::Waiting => "waiting",
        StepState::Started { .. } => "started",
        StepState::Unknown { .. } => "unknown",
        StepState::Succeeded { .. } => "succeeded",
        StepState::Skipped => "skipped",
        StepState::Failed { .. } => "failed",
        StepState::Undoing { .. } => "undoing",
        StepState::Undone => "undone",
        StepState::UndoFailed { .. } => "undo failed",
    }
}
