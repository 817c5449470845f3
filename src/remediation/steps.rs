//! One small machine per kind of step: what it asks, what it makes of the answer, how it is probed and undone.

mod node;
mod once;
mod verify;

use super::checkpoint::Checkpoint;
use super::drain::{self, Drain, Progress};
use super::saga::Work;
use super::{Journal, StepState};
use super::{Road, WebCall};
use crate::model::{
    Action, Answer, ClusterCall, Entry, Look, Node, NodePatch, Plan, PlannedCheckpoint,
    PlannedStep, Reach, Undo,
};
use crate::planted::{Bug, planted};
use jiff::Timestamp;
use node::{CORDONED_BY, node_change, open};
use once::Once;
use verify::Verify;

/// The mark of a rolling restart: a second one with the same key changes nothing.
pub const RESTART_KEY: &str = "medevac.dev/restart-key";

/// What became of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Status {
    Working,
    Done(String),
    Failed(String),
    /// The world made the whole plan pointless.
    Moot(String),
}

/// What a look tells about a step that had started before a crash.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Probe {
    Done(String),
    /// Starting it again does no harm.
    Again,
    CannotKnow(String),
}

#[derive(Debug)]
pub(super) enum Machine {
    /// A single call, repeated while it is refused for the moment.
    Call(Once),
    Drain(Drain),
    Checkpoint(Checkpoint),
    Until(Timestamp),
    Verify(Verify),
    /// Nothing to do but to be recorded: `notify`, `escalate`.
    Nothing,
}

/// The machine that carries `step` out, given what is true now.
pub(super) fn start(plan: &Plan, step: &PlannedStep, look: &Look, now: Timestamp) -> Machine {
    let node = look.node.as_ref();
    let once = |work, note: &str| Once::machine(work, note, plan.deadline, now);
    match &step.action {
        Action::Cordon { .. }
        | Action::Taint { .. }
        | Action::Label { .. }
        | Action::Annotate { .. }
        | Action::Uncordon => {
            let Reach::Node { name } = &step.reach else { return Machine::Nothing };
            let (patch, undo, note) = node_change(&step.action, &plan.incident, node);
            let call = patch
                .map(|patch| Work::Cluster(ClusterCall::PatchNode { name: name.clone(), patch }));
            let shows = matches!(undo, Undo::Uncordon { .. });
            once(call, &note).map_call(|call| if shows { call.shown() } else { call })
        }
        Action::Checkpoint { .. } => Machine::Checkpoint(Checkpoint::new(&step.name)),
        Action::Drain { timeout, force } => {
            let Reach::Node { name } = &step.reach else { return Machine::Nothing };
            let limits = drain::limits(*timeout, *force, plan.until(), now);
            Machine::Drain(Drain::new(name, limits, now))
        }
        Action::Restart { .. } | Action::Scale { .. } => {
            let Reach::Workload { kind, namespace, name } = &step.reach else {
                return Machine::Nothing;
            };
            let (kind, namespace, name) = (*kind, namespace.clone(), name.clone());
            let call = match step.action {
                Action::Scale { replicas, .. } => {
                    ClusterCall::Scale { kind, namespace, name, replicas }
                }
                _ => ClusterCall::Restart { kind, namespace, name, key: step.key.as_str().into() },
            };
            once(Some(Work::Cluster(call)), "")
        }
        Action::Wait { time } => Machine::Until(now.checked_add(time.0).unwrap_or(now)),
        Action::Verify { expect, hold, within } => {
            // Looking has no deadline but its own: what replaces a doomed machine comes after it.
            let until = now.checked_add(within.0).unwrap_or(now);
            let movers = plan.movers.clone();
            Machine::Verify(Verify::new(*expect, hold.0, until, movers))
        }
        Action::Http { method, url, body, timeout, idempotent } => {
            let call = Work::Web(WebCall {
                method: method.clone(),
                url: url.clone(),
                body: body.clone().unwrap_or_else(|| plan.to_json()),
                timeout: timeout.0,
                key: step.key.as_str().to_owned(),
                cause: String::new(),
                road: Road::Listed,
            });
            once(Some(call), "").map_call(|call| if *idempotent { call } else { call.once_only() })
        }
        Action::Notify { .. } | Action::Escalate { .. } => Machine::Nothing,
    }
}

/// What undoing `step` would have to put back, seen before it is done. It goes into the journal with the start.
pub(super) fn intent(plan: &Plan, step: &PlannedStep, look: &Look) -> Undo {
    match (&step.action, &look.workload) {
        (Action::Scale { .. }, Some(workload)) => Undo::Scale { replicas: workload.replicas },
        (action, _) => node_change(action, &plan.incident, look.node.as_ref()).1,
    }
}

/// The machine that takes a step back, or `None` where nothing has to be.
pub(super) fn undo(
    plan: &Plan,
    step: &PlannedStep,
    undo: &Undo,
    look: &Look,
    now: Timestamp,
) -> Option<Machine> {
    let once = |work| Once::machine(Some(work), "", None, now);
    if let (Undo::Scale { replicas }, Reach::Workload { kind, namespace, name }) =
        (undo, &step.reach)
    {
        let (kind, namespace, name, replicas) = (*kind, namespace.clone(), name.clone(), *replicas);
        return Some(once(Work::Cluster(ClusterCall::Scale { kind, namespace, name, replicas })));
    }
    let Reach::Node { name } = &step.reach else { return None };
    let mut patch = NodePatch::default();
    match undo {
        Undo::Nothing | Undo::Scale { .. } => return None,
        Undo::Uncordon { taint } => {
            let by = look.node.as_ref().and_then(|node| node.annotations.get(CORDONED_BY));
            if let Some(node) =
                look.node.as_ref().filter(|_| by.is_some_and(|by| *by == plan.incident))
            {
                open(&mut patch, node);
                if !node.unschedulable {
                    // Whoever opened it may close it again at any moment: only our mark goes.
                    patch.unschedulable = None;
                }
            }
            patch.untaint = taint.clone();
        }
        Undo::Untaint { key, effect } => patch.untaint = Some((key.clone(), effect.clone())),
        Undo::Label { key, value } => {
            patch.labels.insert(key.clone(), value.clone());
        }
        Undo::Annotate { key, value } => {
            patch.annotations.insert(key.clone(), value.clone());
        }
    }
    if patch == NodePatch::default() || look.node.is_none() && !look.stale {
        return None;
    }
    Some(once(Work::Cluster(ClusterCall::PatchNode { name: name.clone(), patch })))
}

/// What one look tells about a step of unknown outcome (invariant I4).
pub(super) fn probe(plan: &Plan, step: &PlannedStep, look: &Look) -> Probe {
    let node = look.node.as_ref();
    if planted(Bug::DropProbe) {
        return Probe::Again;
    }
    match &step.action {
        Action::Cordon { taint } => {
            let by = node.and_then(|node| node.annotations.get(CORDONED_BY));
            let tainted =
                |node: &Node| taint.as_ref().is_none_or(|taint| node.taints.contains(taint));
            if by.is_some_and(|by| *by == plan.incident) && node.is_some_and(tainted) {
                return Probe::Done("found done".into());
            }
            Probe::Again
        }
        Action::Restart { .. } => {
            let mark =
                look.workload.as_ref().and_then(|of| of.template_annotations.get(RESTART_KEY));
            match mark.is_some_and(|key| key == step.key.as_str()) {
                true => Probe::Done("found done".into()),
                false => Probe::Again,
            }
        }
        Action::Http { idempotent: false, .. } => {
            Probe::CannotKnow("the call may have been made; it is not made twice".into())
        }
        // Repeating these changes nothing that is done already.
        Action::Uncordon
        | Action::Taint { .. }
        | Action::Label { .. }
        | Action::Annotate { .. }
        | Action::Checkpoint { .. }
        | Action::Drain { .. }
        | Action::Scale { .. }
        | Action::Wait { .. }
        | Action::Verify { .. }
        | Action::Http { .. }
        | Action::Notify { .. }
        | Action::Escalate { .. } => Probe::Again,
    }
}

/// What a machine may look at.
pub(super) struct Sees<'a> {
    pub(super) plan: &'a Plan,
    pub(super) journal: &'a Journal,
    pub(super) look: &'a Look,
    /// Every alert of the incident has resolved.
    pub(super) cleared: bool,
    pub(super) now: Timestamp,
}

impl Machine {
    /// A change is under way that a newer plan might contradict.
    pub(super) fn changing(&self) -> bool {
        matches!(self, Machine::Call(call) if call.busy())
    }

    /// A request is under way whose effect is not known yet.
    pub(super) fn busy(&self) -> bool {
        match self {
            Machine::Drain(drain) => drain.busy(),
            Machine::Checkpoint(checkpoint) => checkpoint.busy(),
            Machine::Call(_) | Machine::Until(_) | Machine::Verify(_) | Machine::Nothing => {
                self.changing()
            }
        }
    }

    fn map_call(self, change: impl FnOnce(Once) -> Once) -> Machine {
        match self {
            Machine::Call(call) => Machine::Call(change(call)),
            other => other,
        }
    }

    /// What to ask now, with a tag that the answer brings back.
    pub(super) fn poll(&mut self, sees: &Sees<'_>) -> Vec<(String, Work)> {
        let Sees { plan, journal, look, now, .. } = *sees;
        match self {
            Machine::Call(once) => {
                once.poll(now).map(|work| (String::new(), work)).into_iter().collect()
            }
            Machine::Drain(drain) => drain.poll(look, &|pod| waits(plan, journal, &pod.uid), now),
            Machine::Checkpoint(checkpoint) => checkpoint.poll(plan, journal, look, now),
            Machine::Until(_) | Machine::Verify(_) | Machine::Nothing => vec![],
        }
    }

    pub(super) fn answer(&mut self, plan: &Plan, tag: &str, answer: Answer, now: Timestamp) {
        match self {
            Machine::Call(once) => once.answer(answer, now),
            Machine::Drain(drain) => drain.answer(tag, answer, now),
            Machine::Checkpoint(checkpoint) => checkpoint.answer(plan, tag, answer, now),
            Machine::Until(_) | Machine::Verify(_) | Machine::Nothing => {}
        }
    }

    /// Lines of the journal that are not about the step as a whole.
    pub(super) fn news(&mut self, sees: &Sees<'_>) -> Vec<Entry> {
        match self {
            Machine::Checkpoint(checkpoint) => {
                checkpoint.news(sees.plan, sees.journal, sees.look, sees.now)
            }
            _ => vec![],
        }
    }

    pub(super) fn status(&mut self, sees: &Sees<'_>) -> Status {
        let Sees { plan, journal, look, cleared, now } = *sees;
        let done = Status::Done;
        match self {
            Machine::Call(once) => once.status(look, now),
            Machine::Drain(drain) => match drain.progress(look, now) {
                Progress::Working => Status::Working,
                Progress::Done(report) => done(report),
                Progress::Failed(why) => Status::Failed(why),
                Progress::Moot(why) => Status::Moot(why),
            },
            Machine::Checkpoint(checkpoint) => {
                checkpoint.over(plan, journal).map_or(Status::Working, done)
            }
            Machine::Until(at) if now >= *at => done(String::new()),
            Machine::Until(_) => Status::Working,
            Machine::Verify(verify) => verify.status(look, cleared, now),
            Machine::Nothing => done(String::new()),
        }
    }

    /// What its end leaves in the journal besides the end itself.
    pub(super) fn record(&self, step: &str) -> Option<Entry> {
        let Machine::Drain(drain) = self else { return None };
        let pods = drain.records();
        (!pods.is_empty()).then(|| Entry::Pods { step: step.to_owned(), pods })
    }

    /// When to look again, if nothing happens before.
    pub(super) fn wake_at(
        &self,
        plan: &Plan,
        journal: &Journal,
        now: Timestamp,
    ) -> Option<Timestamp> {
        match self {
            Machine::Call(once) => once.wake_at(),
            Machine::Drain(drain) => Some(drain.wake_at(now)),
            Machine::Checkpoint(checkpoint) => checkpoint.wake_at(plan, journal),
            Machine::Until(at) => Some(*at),
            Machine::Verify(verify) => Some(verify.wake_at()),
            Machine::Nothing => Some(now),
        }
    }

    /// Something that whoever watches should know before the step ends.
    pub(super) fn remark(&mut self, now: Timestamp) -> Vec<String> {
        match self {
            Machine::Drain(drain) => drain.stuck(now),
            _ => vec![],
        }
    }
}

/// Whether the pod waits for a checkpoint that the plan asks for and that is not over yet.
fn waits(plan: &Plan, journal: &Journal, uid: &str) -> bool {
    let member = |unit: &&PlannedCheckpoint| unit.members.iter().any(|it| it.uid == uid);
    let asked = |step: &PlannedStep| {
        let asks = matches!(step.action, Action::Checkpoint { .. });
        asks && matches!(
            journal.state(&step.name),
            StepState::Waiting | StepState::Started { .. } | StepState::Unknown { .. }
        )
    };
    plan.steps.iter().any(asked)
        && plan.checkpoints.iter().find(member).is_some_and(|unit| {
            journal.checkpoints.get(&unit.unit).is_none_or(|state| !state.is_over())
        })
}
