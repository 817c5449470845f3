//! One small machine per kind of step: what it asks, what it makes of the answer, how it is probed and undone.

use super::WebCall;
use super::drain::{self, Drain, Progress};
use super::saga::Work;
use crate::model::{
    Action, Answer, ClusterCall, Expect, Look, Node, NodePatch, Plan, PlannedStep, Reach, Refusal,
    Taint, Undo,
};
use jiff::Timestamp;
use std::time::Duration;

/// Who cordoned the node: only that incident takes the cordon back.
pub(super) const CORDONED_BY: &str = "medevac.dev/cordoned-by";
/// The mark of a rolling restart: a second one with the same key changes nothing.
pub(super) const RESTART_KEY: &str = "medevac.dev/restart-key";
/// How long a step that is only refused for being inconvenient is tried.
const PATIENCE: Duration = Duration::from_secs(120);

/// What became of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Status {
    Working,
    Done {
        note: String,
        undo: Undo,
    },
    Failed(String),
    /// The world made the whole plan pointless.
    Moot(String),
}

/// What a look tells about a step that had started before a crash.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Probe {
    Done {
        note: String,
        undo: Undo,
    },
    /// Starting it again does no harm.
    Again,
    CannotKnow(String),
}

#[derive(Debug)]
pub(super) enum Machine {
    /// A single call, repeated while it is refused for the moment.
    Call(Once),
    Drain(Drain),
    Until(Timestamp),
    Verify(Verify),
    /// Nothing to do but to be recorded: `notify`, `escalate`.
    Nothing,
}

/// Waits until something holds, for long enough.
#[derive(Debug)]
pub(super) struct Verify {
    expect: Expect,
    hold: Duration,
    until: Timestamp,
    since: Option<Timestamp>,
    movers: Vec<String>,
}

#[derive(Debug)]
pub(super) struct Once {
    work: Option<Work>,
    done: Option<Result<String, String>>,
    undo: Undo,
    in_flight: bool,
    next_at: Timestamp,
    give_up: Timestamp,
    tries: u32,
    idempotent: bool,
}

impl Once {
    fn machine(
        work: Option<Work>,
        undo: Undo,
        note: &str,
        until: Option<Timestamp>,
        now: Timestamp,
    ) -> Machine {
        let own = now.checked_add(PATIENCE).unwrap_or(now);
        let done = work.is_none().then(|| Ok(note.to_owned()));
        let give_up = until.map_or(own, |until| until.min(own)).max(now);
        Machine::Call(Once {
            work,
            done,
            undo,
            in_flight: false,
            next_at: now,
            give_up,
            tries: 0,
            idempotent: true,
        })
    }

    fn poll(&mut self, now: Timestamp) -> Option<Work> {
        if self.in_flight || self.done.is_some() || self.next_at > now {
            return None;
        }
        self.in_flight = true;
        self.work.clone()
    }

    fn answer(&mut self, answer: Answer, now: Timestamp) {
        self.in_flight = false;
        self.tries += 1;
        let (why, again) = match answer {
            Answer::Done => {
                self.done = Some(Ok(String::new()));
                return;
            }
            Answer::Refused(
                Refusal::Busy { message, .. }
                | Refusal::Admission(message)
                | Refusal::Changed(message),
            ) => (message, true),
            Answer::Refused(Refusal::Gone) => ("it is gone".into(), false),
            Answer::Refused(
                Refusal::Forbidden(why) | Refusal::Invalid(why) | Refusal::TwoBudgets(why),
            ) => (why, false),
            Answer::Refused(Refusal::Budget { message, .. }) => (message, true),
            Answer::Refused(Refusal::NamespaceEnding) => {
                ("its namespace is being deleted".into(), false)
            }
            Answer::Unknown(why) if self.idempotent => (why, true),
            Answer::Unknown(why) => (format!("nobody knows whether it happened: {why}"), false),
        };
        if !again || now >= self.give_up {
            self.done = Some(Err(why));
            return;
        }
        let pause = Duration::from_millis(250 << self.tries.min(5));
        self.next_at = now.checked_add(pause).unwrap_or(now);
    }
}

/// The machine that carries `step` out, given what is true now.
pub(super) fn start(plan: &Plan, step: &PlannedStep, look: &Look, now: Timestamp) -> Machine {
    let node = look.node.as_ref();
    let once = |work, undo, note: &str| Once::machine(work, undo, note, plan.deadline, now);
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
            once(call, undo, &note)
        }
        Action::Drain { timeout, force } => {
            Machine::Drain(Drain::new(drain::limits(*timeout, *force, plan.until(), now), now))
        }
        Action::Restart { .. } | Action::Scale { .. } => {
            let Reach::Workload { kind, namespace, name } = &step.reach else {
                return Machine::Nothing;
            };
            let (kind, namespace, name) = (*kind, namespace.clone(), name.clone());
            let before =
                look.workload.as_ref().map_or(Undo::Nothing, |workload| match step.action {
                    Action::Scale { .. } => Undo::Scale { replicas: workload.replicas },
                    _ => Undo::Nothing,
                });
            let call = match step.action {
                Action::Scale { replicas, .. } => {
                    ClusterCall::Scale { kind, namespace, name, replicas }
                }
                _ => ClusterCall::Restart { kind, namespace, name, key: step.key.as_str().into() },
            };
            once(Some(Work::Cluster(call)), before, "")
        }
        Action::Wait { time } => Machine::Until(now.checked_add(time.0).unwrap_or(now)),
        Action::Verify { expect, hold, within } => {
            let own = now.checked_add(within.0).unwrap_or(now);
            let until = plan.deadline.map_or(own, |deadline| deadline.max(now).min(own));
            let movers = plan.movers.clone();
            Machine::Verify(Verify { expect: *expect, hold: hold.0, until, since: None, movers })
        }
        Action::Http { method, url, body, timeout, idempotent } => {
            let body =
                body.clone().unwrap_or_else(|| serde_json::to_string(plan).unwrap_or_default());
            let key = step.key.as_str().to_owned();
            let call =
                WebCall { method: method.clone(), url: url.clone(), body, timeout: timeout.0, key };
            match once(Some(Work::Web(call)), Undo::Nothing, "") {
                Machine::Call(call) => Machine::Call(Once { idempotent: *idempotent, ..call }),
                other => other,
            }
        }
        Action::Notify { .. } | Action::Escalate { .. } => Machine::Nothing,
    }
}

/// What to change on the node, how that is undone, and what to say where nothing has to change.
fn node_change(
    action: &Action,
    incident: &str,
    node: Option<&Node>,
) -> (Option<NodePatch>, Undo, String) {
    let mut patch = NodePatch::default();
    match action {
        Action::Cordon { taint } => cordon(taint.as_ref(), incident, node),
        Action::Uncordon => match node {
            Some(node) if node.annotations.contains_key(CORDONED_BY) => {
                patch.unschedulable = Some(false);
                patch.annotations.insert(CORDONED_BY.into(), None);
                (Some(patch), Undo::Nothing, String::new())
            }
            Some(node) if node.unschedulable => {
                (None, Undo::Nothing, "left alone: a person had cordoned it".into())
            }
            _ => (None, Undo::Nothing, "it was not cordoned".into()),
        },
        Action::Taint { taint } => {
            if node.is_some_and(|node| node.taints.contains(taint)) {
                return (None, Undo::Nothing, "it was there already".into());
            }
            let undo = Undo::Untaint { key: taint.key.clone(), effect: taint.effect.clone() };
            patch.taint = Some(taint.clone());
            (Some(patch), undo, String::new())
        }
        Action::Label { key, value } => {
            let before = node.and_then(|node| node.labels.get(key)).cloned();
            patch.labels.insert(key.clone(), value.clone());
            (Some(patch), Undo::Label { key: key.clone(), value: before }, String::new())
        }
        Action::Annotate { key, value } => {
            let before = node.and_then(|node| node.annotations.get(key)).cloned();
            patch.annotations.insert(key.clone(), value.clone());
            (Some(patch), Undo::Annotate { key: key.clone(), value: before }, String::new())
        }
        _ => (None, Undo::Nothing, String::new()),
    }
}

/// A person's cordon is left as it is; ours carries the incident's name.
fn cordon(
    taint: Option<&Taint>,
    incident: &str,
    node: Option<&Node>,
) -> (Option<NodePatch>, Undo, String) {
    let mut patch = NodePatch::default();
    let by = node.and_then(|node| node.annotations.get(CORDONED_BY));
    let ours = by.is_some_and(|by| by == incident);
    let theirs = node.is_some_and(|node| node.unschedulable) && !ours;
    if !theirs {
        patch.unschedulable = Some(true);
        patch.annotations.insert(CORDONED_BY.into(), Some(incident.into()));
    }
    let there = |taint: &&Taint| node.is_some_and(|node| node.taints.contains(taint));
    patch.taint = taint.filter(|taint| ours || !there(taint)).cloned();
    let untaint = patch.taint.as_ref().map(|taint| (taint.key.clone(), taint.effect.clone()));
    let note = if theirs { "a person had cordoned it".into() } else { String::new() };
    match (theirs, untaint) {
        (false, taint) => (Some(patch), Undo::Uncordon { taint }, note),
        (true, Some((key, effect))) => (Some(patch), Undo::Untaint { key, effect }, note),
        (true, None) => (None, Undo::Nothing, note),
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
    let once = |work| Once::machine(Some(work), Undo::Nothing, "", None, now);
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
            if by.is_some_and(|by| *by == plan.incident) {
                patch.unschedulable = Some(false);
                patch.annotations.insert(CORDONED_BY.into(), None);
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
    match &step.action {
        Action::Cordon { taint } => {
            let by = node.and_then(|node| node.annotations.get(CORDONED_BY));
            let tainted =
                |node: &Node| taint.as_ref().is_none_or(|taint| node.taints.contains(taint));
            if by.is_some_and(|by| *by == plan.incident) && node.is_some_and(tainted) {
                let taint = taint.as_ref().map(|taint| (taint.key.clone(), taint.effect.clone()));
                return Probe::Done { note: "found done".into(), undo: Undo::Uncordon { taint } };
            }
            Probe::Again
        }
        Action::Restart { .. } => {
            let mark =
                look.workload.as_ref().and_then(|of| of.template_annotations.get(RESTART_KEY));
            match mark.is_some_and(|key| key == step.key.as_str()) {
                true => Probe::Done { note: "found done".into(), undo: Undo::Nothing },
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
        | Action::Drain { .. }
        | Action::Scale { .. }
        | Action::Wait { .. }
        | Action::Verify { .. }
        | Action::Http { .. }
        | Action::Notify { .. }
        | Action::Escalate { .. } => Probe::Again,
    }
}

impl Machine {
    /// What to ask now, with a tag that the answer brings back.
    pub(super) fn poll(&mut self, look: &Look, now: Timestamp) -> Vec<(String, Work)> {
        match self {
            Machine::Call(once) => {
                once.poll(now).map(|work| (String::new(), work)).into_iter().collect()
            }
            Machine::Drain(drain) => drain.poll(look, now),
            Machine::Until(_) | Machine::Verify(_) | Machine::Nothing => vec![],
        }
    }

    pub(super) fn answer(&mut self, tag: &str, answer: Answer, now: Timestamp) {
        match self {
            Machine::Call(once) => once.answer(answer, now),
            Machine::Drain(drain) => drain.answer(tag, answer, now),
            Machine::Until(_) | Machine::Verify(_) | Machine::Nothing => {}
        }
    }

    pub(super) fn status(&mut self, look: &Look, cleared: bool, now: Timestamp) -> Status {
        let done = |note: String| Status::Done { note, undo: Undo::Nothing };
        match self {
            Machine::Call(once) => match &once.done {
                Some(Ok(note)) => Status::Done { note: note.clone(), undo: once.undo.clone() },
                Some(Err(why)) => Status::Failed(why.clone()),
                None => Status::Working,
            },
            Machine::Drain(drain) => match drain.progress(look, now) {
                Progress::Working => Status::Working,
                Progress::Done(report) => done(report),
                Progress::Failed(why) => Status::Failed(why),
                Progress::Moot(why) => Status::Moot(why),
            },
            Machine::Until(at) if now >= *at => done(String::new()),
            Machine::Until(_) => Status::Working,
            Machine::Verify(verify) => verify.status(look, cleared, now),
            Machine::Nothing => done(String::new()),
        }
    }

    /// When to look again, if nothing happens before.
    pub(super) fn wake_at(&self, now: Timestamp) -> Option<Timestamp> {
        match self {
            Machine::Call(once) => (!once.in_flight).then_some(once.next_at),
            Machine::Drain(drain) => Some(drain.wake_at(now)),
            Machine::Until(at) => Some(*at),
            Machine::Verify(verify) => Some(verify.wake_at()),
            Machine::Nothing => Some(now),
        }
    }

    /// Something that whoever watches should know before the step ends.
    pub(super) fn remark(&mut self, now: Timestamp) -> Vec<String> {
        match self {
            Machine::Drain(drain) => drain.stuck(now),
            Machine::Call(_) | Machine::Until(_) | Machine::Verify(_) | Machine::Nothing => vec![],
        }
    }
}

impl Verify {
    fn status(&mut self, look: &Look, cleared: bool, now: Timestamp) -> Status {
        if !self.holds(look, cleared) {
            self.since = None;
            let missing = self.missing(look);
            return if now >= self.until { Status::Failed(missing) } else { Status::Working };
        }
        let from = *self.since.get_or_insert(now);
        if now.duration_since(from) >= self.hold.try_into().unwrap_or_default() {
            return Status::Done { note: self.met().into(), undo: Undo::Nothing };
        }
        if now < self.until {
            return Status::Working;
        }
        Status::Failed("it did not hold for long enough".into())
    }

    fn wake_at(&self) -> Timestamp {
        let held = self.since.and_then(|since| since.checked_add(self.hold).ok());
        held.map_or(self.until, |held| held.min(self.until))
    }

    fn met(&self) -> &'static str {
        match self.expect {
            Expect::AlertCleared => "the alert has cleared",
            Expect::NodeReady => "the node is Ready",
            Expect::NodeEmpty => "nothing is left on the node",
            Expect::PodsRunning => "all pods are running",
        }
    }

    fn holds(&self, look: &Look, cleared: bool) -> bool {
        if look.stale {
            return false;
        }
        match self.expect {
            Expect::AlertCleared => cleared,
            Expect::NodeReady => look.node.as_ref().is_some_and(|node| node.ready),
            Expect::NodeEmpty => look.pods.iter().all(|pod| pod.stays().is_some()),
            Expect::PodsRunning => {
                let whole = |of: &crate::model::Workload| {
                    of.ready >= of.replicas && of.updated >= of.replicas
                };
                look.workload.as_ref().is_none_or(whole) && self.waiting(look).next().is_none()
            }
        }
    }

    /// The replacements that are not running yet.
    fn waiting<'a>(&'a self, look: &'a Look) -> impl Iterator<Item = String> + 'a {
        let ours =
            |pod: &&crate::model::Pod| pod.controller().is_some_and(|by| self.movers.contains(&by));
        look.waiting.iter().filter(ours).map(crate::model::Pod::full_name)
    }

    fn missing(&self, look: &Look) -> String {
        match self.expect {
            Expect::AlertCleared => "the alert still fires".into(),
            Expect::NodeReady => "the node is not Ready".into(),
            Expect::NodeEmpty => {
                let left = look.pods.iter().filter(|pod| pod.stays().is_none()).count();
                format!("{left} pods are left on the node")
            }
            Expect::PodsRunning => {
                let waiting: Vec<String> = self.waiting(look).take(5).collect();
                match (&look.workload, waiting.is_empty()) {
                    (Some(of), true) => {
                        format!("{} of {} replicas are ready", of.ready, of.replicas)
                    }
                    _ => format!("not running yet: {}", waiting.join(", ")),
                }
            }
        }
    }
}
