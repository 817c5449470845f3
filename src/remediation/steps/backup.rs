//! Backups: begun under a name or token that is the same for ever, watched until their tool is done, and verified.
//!
//! `find` resolves what is to be backed up, `many` has one small machine for each of it.

mod aws;
mod find;
mod many;
mod require;
mod snapshot;
mod velero;

use super::super::saga::Work;
use super::Status;
use crate::model::{Action, Answer, Plan, PlannedStep};
use jiff::Timestamp;
use std::fmt::Debug;

/// A machine that asks, and asks again, until there is an end of it.
pub(in crate::remediation) trait Asking: Debug + Send {
    /// What to ask now, with a tag that the answer brings back.
    fn poll(&mut self, now: Timestamp) -> Vec<(String, Work)>;
    fn answer(&mut self, tag: &str, answer: Answer, now: Timestamp);
    fn status(&self, now: Timestamp) -> Status;
    fn wake_at(&self) -> Option<Timestamp>;
    /// A request is under way whose effect is not known yet.
    fn busy(&self) -> bool;
}

/// The machine of a step that has to do with backups.
pub(super) fn start(plan: &Plan, step: &PlannedStep, now: Timestamp) -> Option<Box<dyn Asking>> {
    let within = |timeout: crate::model::Span| {
        let own = now.checked_add(timeout.0).unwrap_or(now);
        plan.until().map_or(own, |until| until.min(own))
    };
    Some(match &step.action {
        Action::VeleroBackup(of) => {
            Box::new(velero::Velero::new(plan, &step.key, of, within(of.timeout), now))
        }
        Action::AwsBackup(of) => aws::start(plan, &step.key, of, within(of.timeout), now),
        Action::Snapshot(of) => snapshot::start(plan, &step.key, of, within(of.timeout), now),
        Action::RequireBackup(of) => Box::new(require::Require::new(of, within(of.timeout), now)),
        _ => return None,
    })
}

/// By whom it was made, for whoever finds it.
fn marks(plan: &Plan) -> [(String, String); 2] {
    [("medevac.dev/incident", &plan.incident), ("medevac.dev/rule", &plan.rule)]
        .map(|(name, value)| (name.to_owned(), value.clone()))
}

#[cfg(test)]
mod tests;
