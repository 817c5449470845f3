//! Building: every step resolved to what it acts on, in an order that can be run.

use super::remarks::{movers, remarks, too_slow};
use super::{History, checkpoints, elsewhere, lint};
use crate::model::{
    Action, Decision, Envelope, Hook, Id, Look, Mover, Order, Plan, PlannedStep, Profile, Reach,
    Span, StepSpec, Target, Verdict, WorkloadKind,
};
use jiff::Timestamp;
use std::time::Duration;

/// Kept free before a deadline: kubelet's tear-down and the unmounting of volumes take 3 to 8 s.
const RESERVE: Duration = Duration::from_secs(12);

/// What a notice gives.
const NOTICE: Duration = Duration::from_secs(120);
/// Clocks that differ by more are not a matter of reserve.
const SKEW_MOST: Duration = Duration::from_secs(30);

/// The decision cannot be carried out: why, in the words that a person is told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("; "))]
pub struct Refused(pub Vec<String>);

/// Builds the plan of a decision that acts. `None` where the decision does not. `moved` is what was sent elsewhere before
/// and may go back; `brought` the machines that were asked for then.
///
/// # Errors
/// Where a step has nothing to act on, or the plan would break an invariant.
pub fn build(
    decision: &Envelope<Decision>,
    look: &Look,
    history: &History,
    (moved, brought): (&[Mover], &[Order]),
    skew: Duration,
    now: Timestamp,
) -> Option<Result<Plan, Refused>> {
    let Verdict::Act { steps, otherwise, doomed, .. } = &decision.data.verdict else { return None };
    let (data, mut faults) = (&decision.data, vec![]);
    let (mut planned, last) = resolved(decision, steps, otherwise, look, &mut faults);
    let (id, reserve) = (Plan::id_of(&data.incident, data.epoch), reserve(decision, skew, now));
    let until = data.deadline.map(|at| at.checked_sub(reserve.0).unwrap_or(at));
    let slow = too_slow(&mut planned, until, now);
    let profiles = planned.iter().find_map(profiles);
    let asked = profiles.map(|of| checkpoints::checkpoints(&id, look, of, history, until, now));
    let (asked, unusable) = asked.unwrap_or_default();
    let late = (data.deadline.is_some() && reserve.0 > RESERVE)
        .then(|| format!("the clocks differ: {reserve} are kept free before the deadline"));
    let (capacity, without) = elsewhere::capacity(look, steps);
    let (moves, unmoved) = elsewhere::moves(look, steps, moved, &asked);
    elsewhere::suspended_meanwhile(&mut planned, &moves, &data.incident, data.epoch);
    let remarks = remarks(&planned, &moves, look).into_iter().chain(unusable).chain(late);
    let remarks = remarks.chain(slow).chain(without).chain(unmoved).collect();
    let until = until.filter(|_| planned.iter().any(drains));
    let pods = until.map(|until| checkpoints::pods(look, &asked, until, now));
    let suspends = planned.iter().any(|step| matches!(step.action, Action::Suspend));
    let gangs_here = || checkpoints::gangs(look, &asked);
    let mut gangs = if suspends { gangs_here() } else { vec![] };
    elsewhere::jobs(look, &moves, &mut gangs);
    let movers = movers(look, &moves);
    let plan = Plan {
        id,
        incident: data.incident.clone(),
        epoch: data.epoch,
        rule: data.rule.clone(),
        target: decision.subject.clone(),
        mode: data.mode,
        deadline: data.deadline,
        reserve,
        remarks,
        gangs,
        capacity,
        moves,
        brought: brought.to_vec(),
        checkpoints: asked,
        pods: pods.unwrap_or_default(),
        steps: planned,
        otherwise: last,
        doomed: *doomed,
        policy: data.policy.clone(),
        made_at: now,
        caused_at: decision.time,
        movers,
        boot_id: look.node.as_ref().map(|node| node.boot_id.clone()).unwrap_or_default(),
    };
    faults.extend(lint(&plan));
    Some(if faults.is_empty() { Ok(plan) } else { Err(Refused(faults)) })
}

/// The steps of `then` and of `otherwise`, each with what it acts on; and why some have nothing.
fn resolved(
    decision: &Envelope<Decision>,
    steps: &[StepSpec],
    otherwise: &[StepSpec],
    look: &Look,
    faults: &mut Vec<String>,
) -> (Vec<PlannedStep>, Vec<PlannedStep>) {
    let mut resolve = |specs: &[StepSpec], prefix: &str| -> Vec<PlannedStep> {
        in_order(specs)
            .into_iter()
            .filter_map(|spec| step(spec, specs, prefix, decision, look, faults))
            .collect()
    };
    let mut planned = resolve(steps, "");
    let mut last = resolve(otherwise, "otherwise-");
    if let Some(spec) = tells_at_last(&decision.data, &last) {
        last.extend(step(&spec, &[], "otherwise-", decision, look, faults));
    }
    if let Some(first) = planned.iter_mut().find(|step| step.action.destructive()) {
        first.no_return = true;
    }
    (planned, last)
}

/// Whoever the rule escalates to hears of every failure, also where `otherwise` does not say so.
fn tells_at_last(decision: &Decision, last: &[PlannedStep]) -> Option<StepSpec> {
    let policy = decision.policy.clone()?;
    let told = last.iter().any(|step| matches!(step.action, Action::Escalate { .. }));
    let action = Action::Escalate { policy, level: 1 };
    (!told).then(|| StepSpec { name: "escalate".into(), action, needs: vec![] })
}

pub(super) fn drains(step: &PlannedStep) -> bool {
    matches!(step.action, Action::Drain { .. })
}

fn profiles(step: &PlannedStep) -> Option<&[Profile]> {
    match &step.action {
        Action::Checkpoint { profiles, .. } => Some(profiles),
        _ => None,
    }
}

/// With what the clocks differ by. A quarter of the time at most: a short deadline is not all reserve.
fn reserve(decision: &Envelope<Decision>, skew: Duration, now: Timestamp) -> Span {
    let Some(deadline) = decision.data.deadline else { return Span::default() };
    let Ok(left) = Duration::try_from(deadline.duration_since(now)) else { return Span::default() };
    // Nobody is given more than two minutes: what is over them is the difference of two clocks. A hook has its own time.
    let doomed = matches!(decision.data.verdict, Verdict::Act { doomed: true, .. });
    let notice = doomed && !decision.data.cloud.contains_key("transition");
    let ahead = if notice { left.saturating_sub(NOTICE).min(SKEW_MOST) } else { Duration::ZERO };
    Span((RESERVE + skew.max(ahead)).min(left / 4))
}

/// Each step after those that it needs; otherwise as written.
fn in_order(specs: &[StepSpec]) -> Vec<&StepSpec> {
    let mut ordered: Vec<&StepSpec> = vec![];
    while let Some(next) = specs.iter().find(|spec| {
        let placed = |name: &String| ordered.iter().any(|other| other.name == *name);
        !placed(&spec.name) && spec.needs.iter().all(placed)
    }) {
        ordered.push(next);
    }
    ordered
}

/// A drain does not wait for the checkpoints as a whole: each of its pods waits for its own, and so does each gang that
/// is suspended. Nor does a drain wait for gangs that are. A hook is told of what goes on from the beginning.
fn needs(spec: &StepSpec, all: &[StepSpec]) -> Vec<String> {
    let beside = |name: &String| {
        let step = all.iter().find(|other| other.name == *name).map(|step| &step.action);
        use Action::{Checkpoint, CompleteLifecycleAction, Drain, Suspend};
        matches!(
            (&spec.action, step),
            (CompleteLifecycleAction { .. }, _)
                | (Drain { .. }, Some(Checkpoint { .. } | Suspend))
                | (Suspend, Some(Checkpoint { .. }))
        )
    };
    spec.needs.iter().filter(|name| !beside(name)).cloned().collect()
}

/// With what only the plan knows.
fn action(spec: &StepSpec, prefix: &str) -> Action {
    match &spec.action {
        Action::CompleteLifecycleAction { result, .. } => Action::CompleteLifecycleAction {
            result: *result,
            after: spec.needs.iter().map(|need| format!("{prefix}{need}")).collect(),
        },
        other => elsewhere::without_ladders(other),
    }
}

fn step(
    spec: &StepSpec,
    all: &[StepSpec],
    prefix: &str,
    decision: &Envelope<Decision>,
    look: &Look,
    faults: &mut Vec<String>,
) -> Option<PlannedStep> {
    let returns = all.iter().any(|it| matches!(it.action, Action::ReturnToSpot { .. }));
    let reach = match reach(&spec.action, returns, decision, look) {
        Ok(reach) => reach,
        Err(why) => {
            faults.push(format!("`{}` {why}", spec.name));
            return None;
        }
    };
    let name = format!("{prefix}{}", spec.name);
    let on = format!("{reach:?}");
    let epoch = decision.data.epoch.to_string();
    Some(PlannedStep {
        key: Id::of(&["step", &decision.data.incident, &epoch, &name, &on]),
        action: action(spec, prefix),
        reach,
        needs: needs(spec, all).iter().map(|need| format!("{prefix}{need}")).collect(),
        no_return: false,
        name,
    })
}

fn reach(
    action: &Action,
    returns: bool,
    decision: &Envelope<Decision>,
    look: &Look,
) -> Result<Reach, String> {
    let target = &decision.subject;
    let node = || match &look.node {
        Some(node) => Ok(Reach::Node { name: node.name.clone() }),
        None => Err(format!("acts on a node, and {target} is none that the cluster knows")),
    };
    match action {
        Action::Cordon { .. }
        | Action::Uncordon
        | Action::Taint { .. }
        | Action::Label { .. }
        | Action::Annotate { .. }
        | Action::Provision { .. }
        | Action::Reschedule { .. }
        | Action::Suspend
        | Action::Resume
        | Action::TerminateInstance
        | Action::Drain { .. } => node(),
        Action::ReturnToSpot { .. } => Ok(elsewhere::reach(look)),
        // Of what goes back, wherever it is.
        Action::Checkpoint { .. } if returns => Ok(elsewhere::reach(look)),
        Action::Checkpoint { .. } => node(),
        Action::CompleteLifecycleAction { .. } => {
            Ok(Hook::of(&decision.data.cloud).map_or(Reach::World, |hook| Reach::Hook { hook }))
        }
        Action::Restart { workload } | Action::Scale { workload, .. } => {
            workload_reach(workload.as_deref(), target, look)
        }
        Action::Verify { .. } => {
            Ok(node()
                .unwrap_or_else(|_| workload_reach(None, target, look).unwrap_or(Reach::World)))
        }
        Action::VeleroBackup(_)
        | Action::AwsBackup(_)
        | Action::Snapshot(_)
        | Action::RequireBackup(_)
        | Action::Diagnose { .. }
        | Action::Wait { .. }
        | Action::Http { .. }
        | Action::Notify { .. }
        | Action::Escalate { .. } => Ok(Reach::World),
    }
}

fn workload_reach(named: Option<&str>, target: &Target, look: &Look) -> Result<Reach, String> {
    let named = named.and_then(|named| named.parse().ok());
    let own = matches!(target, Target::Workload { .. }).then(|| target.clone());
    if let Some(Target::Workload { kind, namespace, name }) = named.or(own) {
        let known = WorkloadKind::ALL.into_iter().find(|known| known.word() == kind);
        return known
            .map(|kind| Reach::Workload { kind, namespace, name })
            .ok_or_else(|| format!("does not know the kind `{kind}`"));
    }
    match &look.workload {
        Some(of) => Ok(Reach::Workload {
            kind: of.kind,
            namespace: of.namespace.clone(),
            name: of.name.clone(),
        }),
        None => {
            Err(format!("acts on a workload, and {target} belongs to none; name one in `workload`"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Mode, Node, Severity, kind};
    use std::collections::BTreeMap;

    fn decision(steps: Vec<StepSpec>, deadline: Option<Timestamp>) -> Envelope<Decision> {
        let data = Decision {
            incident: "inc-1".into(),
            epoch: 1,
            rule: "r".into(),
            severity: Severity::Warning,
            mode: Mode::Enforce,
            deadline,
            policy: Some("p".into()),
            evidence: BTreeMap::new(),
            cloud: BTreeMap::new(),
            quiet: None,
            timer: None,
            verdict: Verdict::Act { steps, otherwise: vec![], reserved: vec![], doomed: false },
        };
        let at = Timestamp::UNIX_EPOCH;
        Envelope::new(kind::DECISION, Id::of(&["d"]), "t", Target::Node("n".into()), at, data)
    }

    fn spec(name: &str, action: Action, needs: &[&str]) -> StepSpec {
        StepSpec {
            name: name.into(),
            action,
            needs: needs.iter().map(|need| (*need).to_owned()).collect(),
        }
    }

    fn drain() -> Action {
        Action::Drain { timeout: Span::seconds(60), force: false, grace: None }
    }

    #[test]
    fn a_plan_is_complete_ordered_and_escalates_by_default() {
        let look =
            Look { node: Some(Node { name: "n".into(), ..Node::default() }), ..Look::default() };
        let steps = vec![
            spec("drain", drain(), &["cordon"]),
            spec("cordon", Action::Cordon { taint: None, autoscalers: false }, &[]),
        ];
        let now = Timestamp::UNIX_EPOCH;
        let deadline = now + Duration::from_secs(120);
        let plan = build(
            &decision(steps, Some(deadline)),
            &look,
            &History::new(),
            (&[], &[]),
            Duration::ZERO,
            now,
        )
        .unwrap()
        .unwrap();
        let names: Vec<&str> = plan.steps.iter().map(|step| step.name.as_str()).collect();
        assert_eq!(names, ["cordon", "drain"]);
        assert!(plan.steps[1].no_return && !plan.steps[0].no_return);
        assert_eq!(plan.otherwise[0].name, "otherwise-escalate");
        assert_eq!(plan.reserve, Span::seconds(12));
        assert_eq!(plan.until(), Some(now + Duration::from_secs(108)));
    }

    #[test]
    fn what_may_begin_in_an_hour_is_left_out_before_a_nearer_deadline() {
        let look =
            Look { node: Some(Node { name: "n".into(), ..Node::default() }), ..Look::default() };
        let backup = Action::AwsBackup(Box::new(crate::model::AwsBackup {
            vault: Default::default(),
            sought: Default::default(),
            delete_after_days: None,
            start_within: Span::seconds(3600),
            complete_within: Span::seconds(7200),
            timeout: Span::seconds(9000),
        }));
        let names = |after: u64| {
            let hook = Action::CompleteLifecycleAction {
                result: crate::model::HookResult::Continue,
                after: vec![],
            };
            let steps = vec![
                spec("backup", backup.clone(), &[]),
                spec("drain", drain(), &["backup"]),
                spec("hook", hook, &["backup", "drain"]),
            ];
            let now = Timestamp::UNIX_EPOCH;
            let decision = decision(steps, Some(now + Duration::from_secs(after)));
            let plan = build(&decision, &look, &History::new(), (&[], &[]), Duration::ZERO, now);
            let plan = plan.unwrap().unwrap();
            let names: Vec<String> = plan.steps.iter().map(|step| step.name.clone()).collect();
            (names, plan.remarks.join("; "))
        };
        let (near, told) = names(120);
        assert_eq!(near, ["drain", "hook"], "and nothing waits for it");
        assert!(told.contains("`backup` is left out"), "{told}");
        assert_eq!(names(9000).0, ["backup", "drain", "hook"]);
    }

    #[test]
    fn a_step_without_anything_to_act_on_is_refused_in_words() {
        let steps = vec![spec("drain", drain(), &[])];
        let refused = build(
            &decision(steps, None),
            &Look::default(),
            &History::new(),
            (&[], &[]),
            Duration::ZERO,
            Timestamp::UNIX_EPOCH,
        )
        .unwrap();
        assert!(refused.unwrap_err().to_string().contains("acts on a node, and node/n is none"));
    }
}
