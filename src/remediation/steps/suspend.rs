//! Gangs' jobs suspended, each once its checkpoint is over, or resumed: one call a job, repeated while it is refused for
//! the moment.

use super::super::saga::Work;
use super::Status;
use super::once::{Once, Tried};
use crate::model::{Answer, ClusterCall, Plan};
use jiff::Timestamp;
use std::{collections::BTreeMap, time::Duration};

/// A job that stays suspended is worth more than a step that is late: an API server that is down comes back.
const OUTAGE: Duration = Duration::from_secs(30 * 60);

/// Of what only goes back, where its work would be lost for that.
pub(super) const STAYS: &str = "it stays where it is: it has no checkpoint to go on from";

#[derive(Debug)]
pub(in crate::remediation) struct Suspend {
    suspended: bool,
    /// By the gang's place in the plan.
    calls: BTreeMap<usize, Once>,
}

impl Suspend {
    pub(super) fn new(suspended: bool) -> Suspend {
        Suspend { suspended, calls: BTreeMap::new() }
    }

    /// What to ask now. `is_open` says of which units the checkpoint is still waited for, `stays` which are left alone.
    pub(super) fn poll(
        &mut self,
        plan: &Plan,
        is_open: &dyn Fn(&str) -> bool,
        stays: &dyn Fn(&str) -> bool,
        now: Timestamp,
    ) -> Vec<(String, Work)> {
        let mut work = vec![];
        for (at, gang) in plan.gangs.iter().enumerate() {
            if self.suspended && is_open(&gang.unit) {
                continue;
            }
            let call = self.calls.entry(at).or_insert_with(|| {
                let by = plan.incident.clone();
                let call =
                    ClusterCall::Suspend { job: gang.job.clone(), suspended: self.suspended, by };
                let work = Some(Work::Cluster(call)).filter(|_| !stays(&gang.unit));
                let call = Once::new(work, STAYS, None, now);
                if self.suspended { call } else { call.patient(OUTAGE, now) }
            });
            work.extend(call.poll(now).map(|work| (at.to_string(), work)));
        }
        work
    }

    pub(super) fn answer(&mut self, tag: &str, answer: Answer, now: Timestamp) {
        if let Some(call) = tag.parse().ok().and_then(|at: usize| self.calls.get_mut(&at)) {
            call.answer(answer, now);
        }
    }

    pub(super) fn busy(&self) -> bool {
        self.calls.values().any(Once::busy)
    }

    /// A job that is gone, or that somebody else has suspended, is left to whoever did that.
    pub(super) fn status(&self, plan: &Plan) -> Status {
        let tried: Vec<Tried<'_>> = self.calls.values().map(Once::tried).collect();
        let open = tried.iter().any(|tried| matches!(tried, Tried::Open));
        if tried.len() < plan.gangs.len() || open {
            return Status::Working;
        }
        let told = plan.gangs.iter().zip(&tried).map(|(gang, tried)| {
            let name = gang.job.full_name();
            match (tried, self.suspended) {
                (Tried::Failed(why), true) => format!("{name} is not suspended: {why}"),
                (Tried::Failed(why), false) => format!("{name} is still suspended: {why}"),
                (tried, suspended) => match (tried.note(), suspended) {
                    (Some(note), _) => format!("{name}: {note}"),
                    (None, true) => format!("{name} is suspended"),
                    (None, false) => format!("{name} runs again"),
                },
            }
        });
        let told = told.collect::<Vec<String>>().join("; ");
        let failed = tried.iter().any(|tried| matches!(tried, Tried::Failed(_)));
        match (failed, told.is_empty()) {
            // Nobody's drain fails because a job goes on; a job that does not is a person's matter.
            (true, _) if !self.suspended => Status::Failed(told),
            (_, true) => Status::Done("no gang here can be suspended".into()),
            (_, false) => Status::Done(told),
        }
    }

    pub(super) fn wake_at(&self) -> Option<Timestamp> {
        self.calls.values().filter_map(Once::next_try).min()
    }
}

#[cfg(test)]
mod tests;
