//! Gangs' jobs suspended, each once its checkpoint is over, or resumed: one call a job, repeated while it is refused for
//! the moment. Pods that nobody else makes anew are kept meanwhile, so that a drain loses none of them.

use super::super::saga::Work;
use super::Status;
use super::once::{Once, Tried};
use crate::model::{Answer, ClusterCall, Mover, Plan, PlannedGang, PlannedMove};
use jiff::Timestamp;
use std::{collections::BTreeMap, time::Duration};

/// A job that stays suspended is worth more than a step that is late: an API server that is down comes back.
const OUTAGE: Duration = Duration::from_secs(30 * 60);

/// Of what only goes back, where its work would be lost for that.
pub(super) const STAYS: &str = "it stays where it is: it has no checkpoint to go on from";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Suspend,
    Resume,
    /// As `Resume`; and what was kept and is not there any more is made anew where it may run.
    Undo,
}

#[derive(Debug)]
pub(in crate::remediation) struct Suspend {
    way: Way,
    /// By the place among [`Suspend::tasks`].
    calls: BTreeMap<usize, Once>,
}

/// A job, or a pod.
struct Task<'a> {
    call: ClusterCall,
    name: String,
    /// Whose checkpoint has to be over before it is suspended.
    after: Option<&'a str>,
    done: &'static str,
    failed: &'static str,
}

impl Suspend {
    pub(super) fn stop() -> Suspend {
        Suspend { way: Way::Suspend, calls: BTreeMap::new() }
    }

    pub(super) fn resume() -> Suspend {
        Suspend { way: Way::Resume, calls: BTreeMap::new() }
    }

    pub(super) fn undo() -> Suspend {
        Suspend { way: Way::Undo, calls: BTreeMap::new() }
    }

    /// The gangs of the plan, then the pods. Always the same of one plan.
    fn tasks<'a>(&self, plan: &'a Plan) -> Vec<Task<'a>> {
        let gangs = plan.gangs.iter().map(|gang| self.gang(plan, gang));
        gangs.chain(plan.moves.iter().filter_map(|of| self.pod(plan, of))).collect()
    }

    fn gang<'a>(&self, plan: &Plan, gang: &'a PlannedGang) -> Task<'a> {
        let (suspended, by) = (self.way == Way::Suspend, plan.incident.clone());
        let (done, failed) = match suspended {
            true => ("is suspended", "is not suspended"),
            false => ("runs again", "is still suspended"),
        };
        Task {
            call: ClusterCall::Suspend { job: gang.job.clone(), suspended, by },
            name: gang.job.full_name(),
            after: Some(gang.unit.as_str()),
            done,
            failed,
        }
    }

    fn pod<'a>(&self, plan: &Plan, of: &PlannedMove) -> Option<Task<'a>> {
        let Mover::Pod { namespace, name, uid } = &of.mover else { return None };
        let by = plan.incident.clone();
        let (call, done, failed) = match self.way {
            Way::Resume => return None,
            Way::Suspend => {
                let (namespace, name, uid) = (namespace.clone(), name.clone(), uid.clone());
                (ClusterCall::Keep { namespace, name, uid, by }, "is kept", "is not kept")
            }
            Way::Undo => {
                let call = ClusterCall::MoveBack { mover: of.mover.clone(), by: Some(by) };
                (call, "is made anew", "is not made anew")
            }
        };
        Some(Task { call, name: of.mover.to_string(), after: None, done, failed })
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
        let suspends = self.way == Way::Suspend;
        for (at, task) in self.tasks(plan).into_iter().enumerate() {
            if suspends && task.after.is_some_and(is_open) {
                continue;
            }
            let call = self.calls.entry(at).or_insert_with(|| {
                let stays = task.after.is_some_and(stays);
                let work = Some(Work::Cluster(task.call)).filter(|_| !stays);
                let call = Once::new(work, STAYS, None, now);
                if suspends { call } else { call.patient(OUTAGE, now) }
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
        let (tasks, tried) = (self.tasks(plan), self.calls.values().map(Once::tried));
        let tried: Vec<Tried<'_>> = tried.collect();
        let open = tried.iter().any(|tried| matches!(tried, Tried::Open));
        if tried.len() < tasks.len() || open {
            return Status::Working;
        }
        let told = tasks.iter().zip(&tried).map(|(of, tried)| match (tried, tried.note()) {
            (Tried::Failed(why), _) => format!("{} {}: {why}", of.name, of.failed),
            (_, Some(note)) => format!("{}: {note}", of.name),
            (_, None) => format!("{} {}", of.name, of.done),
        });
        let told = told.collect::<Vec<String>>().join("; ");
        let failed = tried.iter().any(|tried| matches!(tried, Tried::Failed(_)));
        match (failed, told.is_empty()) {
            // Nobody's drain fails because a job goes on; a job that does not is a person's matter.
            (true, _) if self.way != Way::Suspend => Status::Failed(told),
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
