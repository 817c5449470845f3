//! Workloads sent elsewhere, or back: one call each, repeated while it is refused for the moment; a job's pods may take
//! their time to end.

use super::super::saga::Work;
use super::super::{Journal, StepState};
use super::Status;
use super::once::{Once, Tried};
use super::suspend::STAYS;
use crate::model::{Action, Answer, ClusterCall, Handshake, Mover, Plan, PlannedMove, PlannedStep};
use jiff::Timestamp;
use std::{collections::BTreeMap, time::Duration};

/// What is not as it was is worth more than a step that is late: an API server that is down comes back.
const OUTAGE: Duration = Duration::from_secs(30 * 60);

#[derive(Debug)]
pub(in crate::remediation) struct Elsewhere {
    back: bool,
    /// Jobs that run again where they were sent stay there: only what is suspended may be changed.
    resumed: bool,
    timeout: Duration,
    /// By its place in the plan.
    calls: BTreeMap<usize, Once>,
}

impl Elsewhere {
    pub(super) fn new(timeout: Duration) -> Elsewhere {
        Elsewhere { back: false, resumed: false, timeout, calls: BTreeMap::new() }
    }

    /// All of it as it was.
    pub(super) fn back(journal: &Journal, plan: &Plan) -> Elsewhere {
        let resumes = plan.steps.iter().filter(|step| step.action == Action::Resume);
        let resumed =
            |step: &PlannedStep| matches!(journal.state(&step.name), StepState::Succeeded { .. });
        let resumed = resumes.into_iter().any(resumed);
        Elsewhere { back: true, resumed, ..Elsewhere::new(OUTAGE) }
    }

    pub(super) fn poll(
        &mut self,
        plan: &Plan,
        journal: &Journal,
        now: Timestamp,
    ) -> Vec<(String, Work)> {
        let mut work = vec![];
        for (at, of) in plan.moves.iter().enumerate() {
            let call = self.calls.entry(at).or_insert_with(|| {
                let unit = of.unit.as_ref().and_then(|unit| journal.checkpoints.get(unit));
                let reference = match unit {
                    Some(Handshake::Durable { reference, .. }) => reference.clone(),
                    _ => None,
                };
                let runs = self.resumed && matches!(of.mover, Mover::Job(_));
                let stays = of.unit.as_ref().is_some_and(|unit| super::stays(plan, journal, unit));
                let (mover, by) = (of.mover.clone(), plan.incident.clone());
                let call = match &of.to {
                    Some(_) if self.back => ClusterCall::MoveBack { mover, by: Some(by) },
                    Some(to) => ClusterCall::Move { mover, to: to.clone(), by, reference },
                    None => ClusterCall::MoveBack { mover, by: None },
                };
                let work = Some(Work::Cluster(call)).filter(|_| !(runs || stays));
                let why = if stays { STAYS } else { "it runs again where it is" };
                Once::new(work, why, None, now).patient(self.timeout, now)
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

    pub(super) fn status(&self, plan: &Plan) -> Status {
        let tried: Vec<Tried<'_>> = self.calls.values().map(Once::tried).collect();
        if tried.len() < plan.moves.len() || tried.contains(&Tried::Open) {
            return Status::Working;
        }
        let told = plan.moves.iter().zip(&tried).map(|(of, tried)| match (tried, tried.note()) {
            (Tried::Failed(why), _) => format!("{} was not sent: {why}", of.mover),
            (Tried::Gone(_), _) if lost(of) => {
                format!("{} is gone, and nothing of it is kept", of.mover)
            }
            (_, Some(note)) => format!("{}: {note}", of.mover),
            _ if self.back || of.to.is_none() => format!("{} may go back", of.mover),
            _ => format!("{} goes elsewhere", of.mover),
        });
        let told = told.collect::<Vec<String>>().join("; ");
        // Nobody's drain fails because a workload could not be sent elsewhere: it goes on where it may. One that does not
        // come back is a person's matter, and so is a pod that nobody else makes anew.
        let goes_on = |of: &PlannedMove| of.to.is_some() && !self.back && !lost(of);
        let failed = |(of, tried): (&PlannedMove, &Tried<'_>)| {
            let gone = matches!(tried, Tried::Gone(_)) && lost(of) && !self.back;
            gone || matches!(tried, Tried::Failed(_)) && !goes_on(of)
        };
        if plan.moves.iter().zip(&tried).any(failed) {
            return Status::Failed(told);
        }
        Status::Done(if told.is_empty() { "there was nothing to send".into() } else { told })
    }

    pub(super) fn wake_at(&self) -> Option<Timestamp> {
        self.calls.values().filter_map(Once::next_try).min()
    }
}

/// Nobody else makes it anew.
fn lost(of: &PlannedMove) -> bool {
    of.mover.uid().is_some()
}
