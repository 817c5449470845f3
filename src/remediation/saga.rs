//! The saga: what has to be recorded next, and what may be asked of the world once that is durable.
//!
//! Forward until a step fails or the time is up; then `otherwise` (a person hears of it at once); then, if the
//! point of no return was not passed, what was done is undone in reverse.

mod backward;

use super::checkpoint::need;
use super::journal::{Illegal, Journal, StepState};
use super::steps::{self, Machine, Probe, Sees, Status};
use crate::model::{Action, Answer, Entry, Expect, Id, Look, Plan, PlanEnd, PlannedStep};
use jiff::Timestamp;
use std::{collections::BTreeMap, time::Duration};

/// One request to the outside, with what brings its answer home.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    pub step: String,
    pub tag: String,
    pub work: Work,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    Cluster(crate::model::ClusterCall),
    Web(super::WebCall),
    Cloud(crate::model::CloudCall),
    /// Asked of the API server itself: nothing is changed by it.
    Ask(crate::model::Question),
}

/// So long after a cordon the caches may not show it; what they show later is a person's doing.
const SHOWS: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub struct Saga {
    pub plan: Plan,
    pub journal: Journal,
    machines: BTreeMap<String, Machine>,
    /// Every alert of the incident has resolved.
    cleared: bool,
    /// How it has to end once nothing is left to do: set by the world, not by a step.
    ending: Option<PlanEnd>,
    /// A cordon of this life that no look has shown yet: its absence is the caches' delay, not a person's doing.
    unseen: Option<Timestamp>,
    /// What the checkpoints of other plans need, in bytes a second.
    elsewhere: u64,
}

impl Saga {
    pub fn new(plan: Plan, journal: Journal) -> Saga {
        // A step is only skipped where the plan is being ended.
        let stopped = journal.stopped.clone().filter(|_| journal.failure(&plan).is_none());
        let ending = stopped.map(|why| PlanEnd::Moot { why });
        Saga {
            plan,
            journal,
            machines: BTreeMap::new(),
            cleared: false,
            ending,
            unseen: None,
            elsewhere: 0,
        }
    }

    /// The last alert of the incident has resolved.
    pub fn alerts_cleared(&mut self) {
        self.cleared = true;
    }

    /// An alert of the incident fires, again or anew.
    pub fn alerts_fire(&mut self) {
        self.cleared = false;
    }

    /// A person closed the incident: nothing more is begun, and what can be undone is.
    pub fn resolved(&mut self, by: &str) {
        let why = format!("{by} resolved the incident");
        self.ending.get_or_insert(PlanEnd::Moot { why });
    }

    /// A newer plan took the target over: nothing more is started.
    pub fn superseded(&mut self, by: Id) {
        self.ending = Some(PlanEnd::Superseded { by });
    }

    /// Other plans' checkpoints need so many bytes a second.
    pub fn load(&mut self, elsewhere: u64) {
        self.elsewhere = elsewhere;
    }

    /// What its own checkpoints need now, in bytes a second.
    pub fn need(&self) -> u64 {
        need(&self.plan, &self.journal)
    }

    /// It waits for what other plans may leave.
    pub fn crowded(&self) -> bool {
        self.machines.values().any(Machine::crowded)
    }

    /// Takes in a line that is durable.
    ///
    /// # Errors
    /// Where the journal does not allow it.
    pub fn recorded(&mut self, entry: &Entry, look: &Look, now: Timestamp) -> Result<(), Illegal> {
        self.journal.take(entry)?;
        if let Entry::Succeeded { step, .. } = entry
            && let Some(Action::Cordon { .. }) = self.plan.step(step).map(|step| &step.action)
        {
            // What a probe found done was seen.
            let own = self.machines.contains_key(step);
            self.unseen = own.then(|| now.checked_add(SHOWS).unwrap_or(now));
        }
        match entry {
            Entry::Started { step, .. } => {
                if let Some(planned) = self.plan.step(step) {
                    self.machines
                        .insert(step.clone(), steps::start(&self.plan, planned, look, now));
                }
            }
            Entry::UndoStarted { step } => {
                let machine = self.undo_machine(step, look, now);
                self.machines.insert(step.clone(), machine);
            }
            Entry::Succeeded { step, .. }
            | Entry::Skipped { step, .. }
            | Entry::Failed { step, .. }
            | Entry::Undone { step }
            | Entry::UndoFailed { step, .. } => {
                self.machines.remove(step);
            }
            Entry::Accepted
            | Entry::Checkpoint { .. }
            | Entry::Climbed { .. }
            | Entry::Found { .. }
            | Entry::Pods { .. }
            | Entry::Unknown { .. }
            | Entry::Escalate { .. }
            | Entry::Notify { .. } => {}
            Entry::Ended { .. } => self.machines.clear(),
        }
        Ok(())
    }

    fn undo_machine(&self, step: &str, look: &Look, now: Timestamp) -> Machine {
        let StepState::Undoing { undo } = self.journal.state(step) else { return Machine::Nothing };
        self.plan
            .step(step)
            .and_then(|planned| steps::undo(&self.plan, planned, undo, &self.journal, look, now))
            .unwrap_or(Machine::Nothing)
    }

    /// The line that starts a step, with what undoing it has to put back.
    fn start(&self, step: &PlannedStep, look: &Look, now: Timestamp) -> Entry {
        Entry::Started { step: step.name.clone(), undo: steps::intent(&self.plan, step, look, now) }
    }

    /// The lines to record next, given one look. Nothing is done before they are durable.
    pub fn advance(&mut self, look: &Look, now: Timestamp) -> Vec<Entry> {
        let closed = look.node.as_ref().is_some_and(|node| node.unschedulable);
        self.unseen = self.unseen.filter(|until| !closed && now < *until);
        if self.journal.ended.is_some() {
            return vec![];
        }
        if self.journal.lines == 0 {
            return vec![Entry::Accepted];
        }
        if self.plan.mode == crate::model::Mode::Observe {
            return vec![Entry::Ended { how: PlanEnd::Observed }];
        }
        if let Some(entries) = self.unknown(look, now) {
            return entries;
        }
        let news = self.news(look, now);
        if !news.is_empty() {
            return news;
        }
        let finished = self.finished(look, now);
        if !finished.is_empty() {
            return finished;
        }
        if let Some(PlanEnd::Superseded { .. }) = &self.ending {
            // What the next plan builds on has to be known. It suspends for itself what it wants suspended.
            if self.machines.values().any(Machine::changing) {
                return vec![];
            }
            let halved =
                self.plan.steps.iter().filter_map(|step| self.halved(step, "a newer plan"));
            let halved: Vec<Entry> = halved.collect();
            return if halved.is_empty() { self.undo() } else { halved };
        }
        if self.ending.is_none() && self.opens_later() {
            // What a person does with the node meanwhile is that person's: it is not undone in the end.
            self.ending = self.moot(look).map(|why| PlanEnd::Moot { why });
        }
        if self.failed() || self.ending.is_some() {
            return self.backward(look, now);
        }
        self.forward(look, now)
    }

    /// Steps that had started in another life: said to be unknown, then judged by a look at the world.
    fn unknown(&mut self, look: &Look, now: Timestamp) -> Option<Vec<Entry>> {
        if look.stale {
            // Nothing can be judged yet, and nothing new may be started.
            let open = |state: &StepState| {
                matches!(state, StepState::Started { .. } | StepState::Unknown { .. })
            };
            let orphan = |(name, state): (&String, &StepState)| {
                open(state) && !self.machines.contains_key(name)
            };
            return self.journal.steps.iter().any(orphan).then(Vec::new);
        }
        let unclear = |step: &&PlannedStep| match self.journal.state(&step.name) {
            StepState::Unknown { .. } => true,
            StepState::Started { .. } | StepState::Undoing { .. } => {
                !self.machines.contains_key(&step.name)
            }
            _ => false,
        };
        let step = self.all_steps().find(unclear)?.clone();
        let name = step.name.clone();
        Some(vec![match self.journal.state(&name) {
            StepState::Started { .. } => Entry::Unknown { step: name },
            StepState::Undoing { .. } => Entry::UndoStarted { step: name },
            _ => self.judged(&step, look, now),
        }])
    }

    /// What one look makes of a step of unknown outcome.
    fn judged(&mut self, step: &PlannedStep, look: &Look, now: Timestamp) -> Entry {
        let name = step.name.clone();
        let pointless = self.moot(look).filter(|_| step.action.destructive());
        match (steps::probe(&self.plan, step, look), pointless) {
            (Probe::Done(note), _) => Entry::Succeeded { step: name, note },
            (Probe::CannotKnow(why), _) => Entry::Failed { step: name, why },
            (Probe::Again, None) => self.start(step, look, now),
            (Probe::Again, Some(why)) => {
                self.ending.get_or_insert(PlanEnd::Moot { why: why.clone() });
                Entry::Skipped { step: name, why }
            }
        }
    }

    /// What the machines have to say before they are done. What is to stop says nothing more.
    fn news(&mut self, look: &Look, now: Timestamp) -> Vec<Entry> {
        let stopped = self.stopped();
        let (plan, journal, cleared) = (&self.plan, &self.journal, self.cleared);
        let sees = Sees { plan, journal, look, cleared, elsewhere: self.elsewhere, now };
        let machines = self.machines.iter_mut().filter(|(step, _)| !stopped.contains(*step));
        machines.flat_map(|(step, machine)| machine.news(step, &sees)).collect()
    }

    /// What the machines have come to.
    fn finished(&mut self, look: &Look, now: Timestamp) -> Vec<Entry> {
        let (plan, journal, cleared) = (&self.plan, &self.journal, self.cleared);
        let sees = Sees { plan, journal, look, cleared, elsewhere: self.elsewhere, now };
        let all: Vec<(String, Status)> = self
            .machines
            .iter_mut()
            .map(|(step, machine)| (step.clone(), machine.status(&sees)))
            .collect();
        let mut entries = vec![];
        for (step, status) in all {
            if status != Status::Working {
                entries.extend(self.machines.get(&step).and_then(|machine| machine.record(&step)));
            }
            let undoing = matches!(self.journal.state(&step), StepState::Undoing { .. });
            match (status, undoing) {
                (Status::Working, _) => {}
                (Status::Done(_), true) => entries.push(Entry::Undone { step }),
                (Status::Done(note), false) => {
                    entries.extend(self.telling(&step));
                    entries.push(Entry::Succeeded { step, note });
                }
                (Status::Failed(why), true) => entries.push(Entry::UndoFailed { step, why }),
                (Status::Failed(why), false) => entries.push(Entry::Failed { step, why }),
                (Status::Moot(why), _) => {
                    self.ending.get_or_insert(PlanEnd::Moot { why: why.clone() });
                    entries.push(Entry::Skipped { step, why });
                }
            }
        }
        entries
    }

    /// The line by which `notify` and `escalate` do what they do.
    fn telling(&self, step: &str) -> Option<Entry> {
        let planned = self.plan.step(step)?;
        match &planned.action {
            Action::Escalate { policy, level } => {
                Some(Entry::Escalate { policy: policy.clone(), level: *level, why: self.why() })
            }
            Action::Notify { contact, text } => Some(Entry::Notify {
                contact: contact.clone(),
                text: text.clone(),
                key: planned.key.clone(),
            }),
            _ => None,
        }
    }

    fn why(&self) -> String {
        match self.journal.failure(&self.plan) {
            Some((step, why)) => format!("`{step}` failed: {why}"),
            None => format!("the rule `{}` asks for a person", self.plan.rule),
        }
    }

    fn failed(&self) -> bool {
        self.journal.failure(&self.plan).is_some()
    }

    fn forward(&mut self, look: &Look, now: Timestamp) -> Vec<Entry> {
        let late = self.plan.until().is_some_and(|until| now >= until);
        let mut entries = vec![];
        for step in &self.plan.steps {
            if *self.journal.state(&step.name) != StepState::Waiting || !self.ready(step) {
                continue;
            }
            if late && step.action.writes() && !step.action.recovers() {
                let why = "the deadline has come".to_owned();
                entries.push(Entry::Failed { step: step.name.clone(), why });
            } else if step.action.destructive()
                && let Some(why) = self.moot(look)
            {
                self.ending = Some(PlanEnd::Moot { why });
                return self.backward(look, now);
            } else if !(look.stale && step.action.writes()) {
                entries.push(self.start(step, look, now));
            }
        }
        let open = |step: &PlannedStep| {
            use StepState::{Failed, Started, Unknown, Waiting};
            matches!(
                self.journal.state(&step.name),
                Waiting | Started { .. } | Unknown { .. } | Failed { .. }
            )
        };
        if !entries.is_empty() {
            return entries;
        }
        let left = || self.plan.steps.iter().filter(|step| open(step));
        if left().next().is_none() {
            return self.resume();
        }
        // Whoever lost a machine has found another one: nobody waits for those that are still to come.
        let spare = |step: &PlannedStep| matches!(step.action, Action::Provision { .. });
        match self.all_run() && left().all(spare) {
            true => left().filter_map(|step| self.halved(step, "all pods are running")).collect(),
            false => vec![],
        }
    }

    fn all_run(&self) -> bool {
        self.plan.steps.iter().any(|step| {
            matches!(step.action, Action::Verify { expect: Expect::PodsRunning, .. })
                && matches!(self.journal.state(&step.name), StepState::Succeeded { .. })
        })
    }

    /// Look again before each destructive step: has it become pointless?
    fn moot(&self, look: &Look) -> Option<String> {
        if look.stale {
            return None;
        }
        let on_node = self
            .plan
            .steps
            .iter()
            .any(|step| matches!(step.reach, crate::model::Reach::Node { .. }));
        if on_node && look.node.is_none() {
            return Some("the node is gone".into());
        }
        if self.cleared && !self.plan.doomed {
            return Some("the alert has cleared".into());
        }
        let cordoned = self.plan.steps.iter().any(|step| {
            matches!(step.action, Action::Cordon { .. })
                && matches!(self.journal.state(&step.name), StepState::Succeeded { .. })
        });
        let open = look.node.as_ref().is_some_and(|node| !node.unschedulable);
        (cordoned && open && self.unseen.is_none())
            .then(|| "a person uncordoned the node".to_owned())
    }

    /// It takes its own cordon back in the end, and has not yet.
    fn opens_later(&self) -> bool {
        let opens = |step: &&PlannedStep| matches!(step.action, Action::Uncordon);
        let waits = |step: &PlannedStep| *self.journal.state(&step.name) == StepState::Waiting;
        self.plan.steps.iter().find(opens).is_some_and(waits)
    }

    fn ready(&self, step: &PlannedStep) -> bool {
        step.needs.iter().all(|need| {
            matches!(self.journal.state(need), StepState::Succeeded { .. } | StepState::Skipped)
        })
    }

    fn all_steps(&self) -> impl Iterator<Item = &PlannedStep> {
        self.plan.steps.iter().chain(&self.plan.otherwise)
    }

    /// What to ask of the world now. Only after everything recorded is durable.
    pub fn calls(&mut self, look: &Look, now: Timestamp) -> Vec<Call> {
        let mut calls = vec![];
        let still = self.stopped();
        let (plan, journal) = (&self.plan, &self.journal);
        // What is to stop asks for nothing more: its answers are waited for, and no other.
        let (cleared, elsewhere) = (self.cleared, self.elsewhere);
        let sees = Sees { plan, journal, look, cleared, elsewhere, now };
        let machines = self.machines.iter_mut().filter(|(step, _)| !still.contains(step));
        for (step, machine) in machines {
            for (tag, work) in machine.poll(&sees) {
                calls.push(Call { step: step.clone(), tag, work });
            }
        }
        calls
    }

    /// The steps under way that are to stop.
    fn stopped(&self) -> Vec<String> {
        let stopping = self.failed() || self.ending.is_some();
        let stops = |step: &&String| stopping && self.ahead(step) && !self.goes_on(step);
        self.machines.keys().filter(stops).cloned().collect()
    }

    /// A step of `then` that has begun.
    fn ahead(&self, step: &str) -> bool {
        let planned = self.plan.steps.iter().any(|planned| planned.name == step);
        planned && matches!(self.journal.state(step), StepState::Started { .. })
    }

    pub fn answer(&mut self, call: &Call, answer: Answer, now: Timestamp) {
        if let Some(machine) = self.machines.get_mut(&call.step) {
            machine.answer(&self.plan, &call.tag, answer, now);
        }
    }

    /// When to look again, if nothing happens before.
    pub fn wake_at(&self, now: Timestamp) -> Option<Timestamp> {
        let until = self.plan.until().filter(|until| *until > now);
        // What is to stop asks for nothing more: only its answers wake it.
        let stopped = self.stopped();
        let awake = self.machines.iter().filter(|(step, _)| !stopped.contains(*step));
        let wake = |machine: &Machine| machine.wake_at(&self.plan, &self.journal, now);
        awake.filter_map(|(_, machine)| wake(machine)).chain(until).min()
    }

    /// What whoever watches should know before a step ends.
    pub fn remarks(&mut self, now: Timestamp) -> Vec<String> {
        self.machines.values_mut().flat_map(|machine| machine.remark(now)).collect()
    }
}

#[cfg(test)]
mod tests;
