//! One small machine per kind of step: what it asks, what it makes of the answer, how it is probed and undone.

mod backup;
mod diagnose;
mod elsewhere;
mod hook;
mod node;
mod once;
mod provision;
mod suspend;
mod turn;
mod verify;
mod waiting;

use super::checkpoint::Checkpoint;
use super::drain::{self, Drain, Progress};
use super::saga::Work;
use super::{Journal, Road, WebCall};
use crate::model::{
    Action, Answer, ClusterCall, Entry, Look, Node, NodePatch, Plan, PlannedStep, Reach, Undo,
};
use crate::planted::{Bug, planted};
use backup::Asking;
use diagnose::Diagnose;
use elsewhere::Elsewhere;
use hook::HookMachine;
use jiff::Timestamp;
use node::{CORDONED_BY, is_cordoned, node_change};
use once::Once;
use provision::{GiveBack, Provision};
use suspend::Suspend;
use verify::Verify;
use waiting::{is_open, stays, waits};

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
    Suspend(Suspend),
    Hook(Box<HookMachine>),
    Until(Timestamp),
    Verify(Verify),
    Provision(Provision),
    GiveBack(GiveBack),
    Elsewhere(Elsewhere),
    /// A tool outside is asked, and asked again.
    Asking(Box<dyn Asking>),
    Diagnose(Box<Diagnose>),
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
        | Action::Uncordon => on_node(plan, step, node, now),
        Action::Checkpoint { .. } => Machine::Checkpoint(Checkpoint::new(&step.name)),
        Action::Drain { timeout, force, grace } => {
            let Reach::Node { name } = &step.reach else { return Machine::Nothing };
            let limits = drain::limits(*timeout, *force, *grace, plan.until(), now);
            let made_anew = plan.moves.iter().filter_map(|of| of.mover.uid()).map(str::to_owned);
            Machine::Drain(Drain::new(name, limits, now).made_anew(made_anew.collect()))
        }
        Action::Suspend => Machine::Suspend(Suspend::stop()),
        Action::Resume => Machine::Suspend(Suspend::resume()),
        Action::Provision { within, .. } => {
            let until = now.checked_add(within.0).unwrap_or(now);
            Machine::Provision(Provision::new(plan, step, until, now))
        }
        Action::Reschedule { timeout, .. } | Action::ReturnToSpot { timeout, .. } => {
            Machine::Elsewhere(Elsewhere::new(timeout.0))
        }
        Action::TerminateInstance => {
            let (call, note) = release(plan, node);
            once(call.map(Work::Cluster), note).map_call(Once::or_gone)
        }
        Action::CompleteLifecycleAction { result, after } => match &step.reach {
            Reach::Hook { hook } => {
                let hook = HookMachine::new(hook.clone(), *result, after.clone(), now);
                Machine::Hook(Box::new(hook))
            }
            _ => once(None, "nobody named the hook: instance metadata does not"),
        },
        Action::Restart { .. } | Action::Scale { .. } => {
            workload_call(step).map_or(Machine::Nothing, |call| once(Some(Work::Cluster(call)), ""))
        }
        Action::Wait { time } => Machine::Until(now.checked_add(time.0).unwrap_or(now)),
        Action::Verify { expect, hold, within } => {
            // Looking has no deadline but its own: what replaces a doomed machine comes after it.
            let until = now.checked_add(within.0).unwrap_or(now);
            Machine::Verify(Verify::new(*expect, hold.0, until, plan))
        }
        Action::Http { .. } => request(plan, step, now),
        Action::VeleroBackup(_)
        | Action::AwsBackup(_)
        | Action::Snapshot(_)
        | Action::RequireBackup(_) => {
            backup::start(plan, step, now).map_or(Machine::Nothing, Machine::Asking)
        }
        Action::Diagnose { topic, about } => {
            let subject = about.clone().unwrap_or_else(|| plan.target.clone());
            Machine::Diagnose(Box::new(Diagnose::new(*topic, subject, now)))
        }
        Action::Notify { .. } | Action::Escalate { .. } => Machine::Nothing,
    }
}

/// A call that a rule makes of its own. Without a body it is told the plan.
fn request(plan: &Plan, step: &PlannedStep, now: Timestamp) -> Machine {
    let Action::Http { method, url, body, timeout, idempotent } = &step.action else {
        return Machine::Nothing;
    };
    let call = WebCall {
        method: method.clone(),
        url: url.clone(),
        body: body.clone().unwrap_or_else(|| plan.to_json()),
        timeout: timeout.0,
        key: step.key.as_str().to_owned(),
        cause: String::new(),
        road: Road::Listed,
    };
    let machine = Once::machine(Some(Work::Web(call)), "", plan.deadline, now);
    machine.map_call(|call| if *idempotent { call } else { call.once_only() })
}

/// A change of the node itself.
fn on_node(plan: &Plan, step: &PlannedStep, node: Option<&Node>, now: Timestamp) -> Machine {
    let Reach::Node { name } = &step.reach else { return Machine::Nothing };
    let (patch, undo, note) = node_change(&step.action, &plan.incident, node, now);
    let call =
        patch.map(|patch| Work::Cluster(ClusterCall::PatchNode { name: name.clone(), patch }));
    let shows = matches!(undo, Undo::Uncordon { .. });
    let machine = Once::machine(call, &note, plan.deadline, now);
    machine.map_call(|call| if shows { call.shown() } else { call })
}

fn workload_call(step: &PlannedStep) -> Option<ClusterCall> {
    let Reach::Workload { kind, namespace, name } = &step.reach else { return None };
    let (kind, namespace, name) = (*kind, namespace.clone(), name.clone());
    Some(match step.action {
        Action::Scale { replicas, .. } => ClusterCall::Scale { kind, namespace, name, replicas },
        _ => ClusterCall::Restart { kind, namespace, name, key: step.key.as_str().into() },
    })
}

/// The claim of a node that Karpenter brought; of any other the machine is not ours to end.
fn release(plan: &Plan, node: Option<&Node>) -> (Option<ClusterCall>, &'static str) {
    let Some(node) = node else { return (None, "the node is gone") };
    if node.claim.is_empty() {
        return (None, "left alone: Karpenter did not bring it");
    }
    (Some(ClusterCall::Release { claim: node.claim.clone(), by: plan.until() }), "")
}

/// What undoing `step` would have to put back, seen before it is done. It goes into the journal with the start.
pub(super) fn intent(plan: &Plan, step: &PlannedStep, look: &Look, now: Timestamp) -> Undo {
    match (&step.action, &look.workload) {
        (Action::Scale { .. }, Some(workload)) => Undo::Scale { replicas: workload.replicas },
        (Action::Suspend, _) if plan.suspends() => Undo::Resume,
        (Action::Provision { .. }, _) if !plan.capacity.is_empty() => Undo::GiveBack,
        (Action::ReturnToSpot { .. }, _) if !plan.brought.is_empty() => Undo::GiveBack,
        (Action::Reschedule { .. }, _) if !plan.moves.is_empty() => Undo::MoveBack,
        (action, _) => node_change(action, &plan.incident, look.node.as_ref(), now).1,
    }
}

/// The machine that takes a step back, or `None` where nothing has to be.
pub(super) fn undo(
    plan: &Plan,
    step: &PlannedStep,
    undo: &Undo,
    journal: &Journal,
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
    match undo {
        Undo::Resume => return Some(Machine::Suspend(Suspend::undo())),
        Undo::GiveBack => {
            let give_back = GiveBack::new(plan, journal, &step.name, look, now);
            return Some(Machine::GiveBack(give_back));
        }
        Undo::MoveBack => return Some(Machine::Elsewhere(Elsewhere::back(journal, plan))),
        _ => {}
    }
    let Reach::Node { name } = &step.reach else { return None };
    let mut patch = NodePatch::default();
    match undo {
        Undo::Nothing | Undo::Scale { .. } | Undo::GiveBack | Undo::MoveBack | Undo::Resume => {
            return None;
        }
        Undo::Uncordon { taints } => {
            let by = look.node.as_ref().and_then(|node| node.annotations.get(CORDONED_BY));
            if let Some(node) =
                look.node.as_ref().filter(|_| by.is_some_and(|by| *by == plan.incident))
            {
                node::open(&mut patch, node);
                if !node.unschedulable {
                    // Whoever opened it may close it again at any moment: only our mark goes.
                    patch.unschedulable = None;
                }
            }
            patch.untaint.retain(|taint| !taints.contains(taint));
            patch.untaint.extend(taints.iter().cloned());
        }
        Undo::Untaint { taints } => patch.untaint = taints.clone(),
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
        action @ Action::Cordon { .. } => {
            match node.is_some_and(|node| is_cordoned(action, &plan.incident, node)) {
                true => Probe::Done("found done".into()),
                false => Probe::Again,
            }
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
        | Action::Suspend
        | Action::Resume
        | Action::Provision { .. }
        | Action::Reschedule { .. }
        | Action::ReturnToSpot { .. }
        | Action::TerminateInstance
        | Action::CompleteLifecycleAction { .. }
        | Action::Scale { .. }
        | Action::VeleroBackup(_)
        | Action::AwsBackup(_)
        | Action::Snapshot(_)
        | Action::RequireBackup(_)
        | Action::Diagnose { .. }
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
    /// What the checkpoints of other plans need, in bytes a second.
    pub(super) elsewhere: u64,
    pub(super) now: Timestamp,
}

impl Machine {
    /// A change is under way that a newer plan might contradict.
    pub(super) fn changing(&self) -> bool {
        match self {
            Machine::Call(call) => call.busy(),
            Machine::Suspend(suspend) => suspend.busy(),
            Machine::Provision(provision) => provision.busy(),
            Machine::GiveBack(give_back) => give_back.busy(),
            Machine::Elsewhere(elsewhere) => elsewhere.busy(),
            _ => false,
        }
    }

    /// A request is under way whose effect is not known yet.
    pub(super) fn busy(&self) -> bool {
        match self {
            Machine::Drain(drain) => drain.busy(),
            Machine::Checkpoint(checkpoint) => checkpoint.busy(),
            Machine::Hook(hook) => hook.busy(),
            Machine::Asking(asking) => asking.busy(),
            _ => self.changing(),
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
            Machine::Drain(drain) => drain.poll(look, &|pod| waits(plan, journal, pod), now),
            Machine::Checkpoint(checkpoint) => checkpoint.poll(plan, journal, look, now),
            Machine::Suspend(suspend) => {
                let (open, stays) = (
                    |unit: &str| is_open(plan, journal, unit),
                    |unit: &str| stays(plan, journal, unit),
                );
                suspend.poll(plan, &open, &stays, now)
            }
            Machine::Hook(hook) => hook.poll(journal, look, now),
            Machine::Provision(provision) => provision.poll(plan, journal, now),
            Machine::GiveBack(give_back) => give_back.poll(now),
            Machine::Elsewhere(elsewhere) => elsewhere.poll(plan, journal, now),
            Machine::Asking(asking) => asking.poll(now),
            Machine::Diagnose(diagnose) => diagnose.poll(),
            Machine::Until(_) | Machine::Verify(_) | Machine::Nothing => vec![],
        }
    }

    pub(super) fn answer(&mut self, plan: &Plan, tag: &str, answer: Answer, now: Timestamp) {
        match self {
            Machine::Call(once) => once.answer(answer, now),
            Machine::Drain(drain) => drain.answer(tag, answer, now),
            Machine::Checkpoint(checkpoint) => checkpoint.answer(plan, tag, answer, now),
            Machine::Suspend(suspend) => suspend.answer(tag, answer, now),
            Machine::Hook(hook) => hook.answer(tag, answer, now),
            Machine::Provision(provision) => provision.answer(tag, answer, now),
            Machine::GiveBack(give_back) => give_back.answer(tag, answer, now),
            Machine::Elsewhere(elsewhere) => elsewhere.answer(tag, answer, now),
            Machine::Asking(asking) => asking.answer(tag, answer, now),
            Machine::Diagnose(diagnose) => diagnose.answer(tag, answer),
            Machine::Until(_) | Machine::Verify(_) | Machine::Nothing => {}
        }
    }

    /// Lines of the journal that are not about the step as a whole.
    pub(super) fn news(&mut self, step: &str, sees: &Sees<'_>) -> Vec<Entry> {
        match self {
            Machine::Diagnose(diagnose) => diagnose.news(step, sees.now),
            Machine::Checkpoint(checkpoint) => {
                let Sees { plan, journal, look, elsewhere, now, .. } = *sees;
                checkpoint.news(plan, journal, look, elsewhere, now)
            }
            Machine::Hook(hook) => hook.news(sees.plan, sees.now),
            Machine::Provision(provision) => {
                provision.news(sees.plan, sees.journal, sees.look, sees.now)
            }
            _ => vec![],
        }
    }

    pub(super) fn status(&mut self, sees: &Sees<'_>) -> Status {
        let Sees { plan, journal, look, cleared, now, .. } = *sees;
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
            Machine::Suspend(suspend) => suspend.status(plan),
            Machine::Hook(hook) => hook.status(),
            Machine::Provision(provision) => provision.status(now),
            Machine::GiveBack(give_back) => give_back.status(now),
            Machine::Elsewhere(elsewhere) => elsewhere.status(plan),
            Machine::Asking(asking) => asking.status(now),
            Machine::Diagnose(diagnose) => diagnose.status(),
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
            Machine::Suspend(suspend) => suspend.wake_at(),
            Machine::Hook(hook) => hook.wake_at(journal),
            Machine::Provision(provision) => provision.wake_at(),
            Machine::GiveBack(give_back) => give_back.wake_at(),
            Machine::Elsewhere(elsewhere) => elsewhere.wake_at(),
            Machine::Asking(asking) => asking.wake_at(),
            Machine::Diagnose(diagnose) => Some(diagnose.wake_at()),
            Machine::Until(at) => Some(*at),
            Machine::Verify(verify) => Some(verify.wake_at()),
            Machine::Nothing => Some(now),
        }
    }

    /// It waits for what other plans may leave.
    pub(super) fn crowded(&self) -> bool {
        matches!(self, Machine::Checkpoint(checkpoint) if checkpoint.crowded())
    }

    /// Something that whoever watches should know before the step ends.
    pub(super) fn remark(&mut self, now: Timestamp) -> Vec<String> {
        match self {
            Machine::Drain(drain) => drain.stuck(now),
            _ => vec![],
        }
    }
}
