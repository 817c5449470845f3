//! What is recorded once a plan does not go on: stop, tell people, take back what can be taken back, end.

use super::super::journal::StepState;
use super::super::steps::Machine;
use super::Saga;
use crate::model::{Action, Entry, Look, PlanEnd, PlannedStep, Undo};
use jiff::Timestamp;

impl Saga {
    /// After a failure: stop what runs, tell people, undo what can be undone, end.
    pub(super) fn backward(&mut self, look: &Look, now: Timestamp) -> Vec<Entry> {
        let busy = |(name, machine): (&String, &Machine)| machine.busy() && !self.goes_on(name);
        if self.machines.iter().any(busy) {
            // What a request under way does has to be known before it can be undone.
            return vec![];
        }
        let why = match &self.ending {
            Some(PlanEnd::Moot { why }) if !self.failed() => why.clone(),
            _ => "another step ended the plan".to_owned(),
        };
        let stop = |step: &PlannedStep| {
            if self.goes_on(&step.name) {
                return None;
            }
            let skipped = || Entry::Skipped { step: step.name.clone(), why: why.clone() };
            match self.journal.state(&step.name) {
                StepState::Waiting => Some(skipped()),
                StepState::Started { .. } => Some(self.halved(step, &why).unwrap_or_else(skipped)),
                _ => None,
            }
        };
        let stopped: Vec<Entry> = self.plan.steps.iter().filter_map(stop).collect();
        if !stopped.is_empty() {
            return stopped;
        }
        if self.failed() {
            let waiting =
                |step: &&PlannedStep| *self.journal.state(&step.name) == StepState::Waiting;
            let settled = |step: &PlannedStep| {
                step.needs.iter().all(|need| {
                    !matches!(
                        self.journal.state(need),
                        StepState::Waiting | StepState::Started { .. }
                    )
                })
            };
            let next: Vec<Entry> = self
                .plan
                .otherwise
                .iter()
                .filter(waiting)
                .filter(|step| settled(step))
                .map(|step| self.start(step, look, now))
                .collect();
            if !next.is_empty() {
                return next;
            }
            let running = |step: &PlannedStep| {
                matches!(self.journal.state(&step.name), StepState::Started { .. })
            };
            if self.plan.otherwise.iter().any(running) {
                return vec![];
            }
            if self.plan.steps.iter().any(|step| running(step) && self.goes_on(&step.name)) {
                return vec![];
            }
        }
        self.undo()
    }

    /// Who looked in vain has called a person; machines are asked for all the same, for as long as the step says: what
    /// waits for them still does.
    pub(super) fn goes_on(&self, step: &str) -> bool {
        let failed = self.journal.failure(&self.plan).and_then(|(name, _)| self.plan.step(name));
        let looked = failed.is_some_and(|of| matches!(of.action, Action::Verify { .. }));
        let asks = |of: &PlannedStep| matches!(of.action, Action::Provision { .. });
        looked && self.ending.is_none() && self.plan.step(step).is_some_and(asks)
    }

    /// Of a step that stops halfway, what it has done so far is done: it has to be undone.
    pub(super) fn halved(&self, step: &PlannedStep, why: &str) -> Option<Entry> {
        let some = matches!(step.action, Action::Suspend | Action::Provision { .. });
        let halfway = (some || step.action.moves())
            && matches!(self.journal.state(&step.name), StepState::Started { .. });
        let note = format!("stopped: {why}");
        halfway.then(|| Entry::Succeeded { step: step.name.clone(), note })
    }

    /// In reverse, one at a time, unless the point of no return was passed. What was suspended never stays so, and no
    /// machine stays that nobody needs.
    pub(super) fn undo(&self) -> Vec<Entry> {
        let passed = matches!(self.ending, Some(PlanEnd::Superseded { .. }))
            || self.plan.doomed
            || self.plan.steps.iter().any(|step| {
                step.no_return
                    && matches!(
                        self.journal.state(&step.name),
                        StepState::Succeeded { .. } | StepState::Failed { .. }
                    )
            });
        self.take_back(!passed)
    }

    /// All that has to be taken back of a plan that did what it was to do.
    pub(super) fn resume(&self) -> Vec<Entry> {
        self.take_back(false)
    }

    fn take_back(&self, all: bool) -> Vec<Entry> {
        let resumed = |step: &PlannedStep| {
            matches!(step.action, Action::Resume)
                && matches!(self.journal.state(&step.name), StepState::Succeeded { .. })
        };
        let resumed = self.all_steps().any(resumed);
        let owed = |undo: &Undo| match undo {
            Undo::Nothing => false,
            Undo::Resume => !resumed,
            Undo::GiveBack => !self.journal.climbed.is_empty() || !self.plan.brought.is_empty(),
            _ => all,
        };
        for step in self.plan.steps.iter().rev() {
            match self.journal.state(&step.name) {
                StepState::Succeeded { undo } if owed(undo) => {
                    return vec![Entry::UndoStarted { step: step.name.clone() }];
                }
                StepState::Undoing { .. } => return vec![],
                StepState::UndoFailed { why } => return self.stuck(&step.name, why),
                _ => {}
            }
        }
        let failure = self.journal.failure(&self.plan);
        let how = match (failure, &self.ending) {
            (_, Some(how @ PlanEnd::Superseded { .. })) => how.clone(),
            (Some((step, why)), _) => PlanEnd::Failed { step: step.into(), why: why.into() },
            (None, Some(how)) => how.clone(),
            (None, None) => PlanEnd::Succeeded,
        };
        vec![Entry::Ended { how }]
    }

    fn stuck(&self, step: &str, why: &str) -> Vec<Entry> {
        let how = PlanEnd::Stuck { step: step.into(), why: why.into() };
        let tell = self.plan.policy.as_ref().map(|policy| Entry::Escalate {
            policy: policy.clone(),
            level: 1,
            why: format!("`{step}` could not be undone: {why}; a person has to put it right"),
        });
        tell.into_iter().chain([Entry::Ended { how }]).collect()
    }
}
