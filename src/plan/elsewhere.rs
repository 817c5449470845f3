//! What runs on a node that goes, elsewhere: the machines that are asked for in its place, and what is sent there.

use super::checkpoints::going;
use crate::model::{
    Action, Bearing, Destination, Displaced, Extent, Id, Job, Look, Mover, PlannedCapacity,
    PlannedCheckpoint, PlannedGang, PlannedMove, PlannedStep, Pod, Reach, StepSpec, WorkloadKind,
};
use std::collections::BTreeMap;

const TEMPLATE_HASH: &str = "pod-template-hash";

/// What was found, and what a reader should know of what was not.
type Found<T> = (Vec<T>, Vec<String>);

/// The machines for what runs here, by the first ladder that fits each pod. Where gangs go as a whole, for all of them.
pub(super) fn capacity(look: &Look, steps: &[StepSpec]) -> Found<PlannedCapacity> {
    let ladders = steps.iter().find_map(|spec| match &spec.action {
        Action::Provision { ladders, .. } => Some(ladders),
        _ => None,
    });
    let Some(ladders) = ladders else { return (vec![], vec![]) };
    let whole =
        |spec: &StepSpec| matches!(spec.action, Action::Reschedule { extent: Extent::Whole, .. });
    let (whole, moves) = (steps.iter().any(whole), steps.iter().any(|it| it.action.moves()));
    // A JobSet goes as a whole, whatever is asked: its templates have no other way.
    let sets: Vec<String> = going(look)
        .filter(|pod| moves && Job::of(pod).is_some_and(|job| job.kind == "JobSet"))
        .map(Pod::unit)
        .collect();
    let peers = look.peers.iter().map(AsRef::as_ref);
    let peers = peers.filter(|pod: &&Pod| whole || sets.contains(&pod.unit()));
    let mut pods: BTreeMap<&str, Vec<Displaced>> = BTreeMap::new();
    for pod in going(look).chain(peers) {
        if let Some(ladder) = ladders.iter().find(|ladder| ladder.fits(pod)) {
            let displaced = Displaced {
                namespace: pod.namespace.clone(),
                name: pod.name.clone(),
                gpus: pod.gpus.unwrap_or(0),
                maker: pod.maker(),
                node: pod.node.clone(),
            };
            pods.entry(&ladder.name).or_default().push(displaced);
        }
    }
    let zone = look.node.as_ref().map(|node| node.zone.clone()).unwrap_or_default();
    let (mut found, mut remarks) = (vec![], vec![]);
    for (ladder, pods) in pods {
        let Some(of) = ladders.iter().find(|it| it.name == ladder) else { continue };
        let (rungs, left_out) = of.planned(&pods, &zone);
        remarks.extend(left_out);
        if rungs.is_empty() {
            remarks.push(format!("no rung of {ladder} is for what runs here"));
            continue;
        }
        found.push(PlannedCapacity {
            ladder: ladder.to_owned(),
            bearing: of.bearing.clone(),
            zone: zone.clone(),
            pods,
            rungs,
        });
    }
    if found.is_empty() && remarks.is_empty() {
        remarks.push("no ladder of `capacity` is for what runs here".into());
    }
    (found, remarks)
}

/// What is sent elsewhere; or what is let go back, of those that are known to have been.
pub(super) fn moves(
    look: &Look,
    steps: &[StepSpec],
    moved: &[Mover],
    asked: &[PlannedCheckpoint],
) -> Found<PlannedMove> {
    let mut all: BTreeMap<Mover, PlannedMove> = BTreeMap::new();
    let mut remarks = vec![];
    for spec in steps {
        match &spec.action {
            Action::ReturnToSpot { .. } => {
                let saves = steps.iter().any(|it| matches!(it.action, Action::Checkpoint { .. }));
                for mover in moved {
                    let unit = unit_of(look, mover);
                    let asked = asked.iter().any(|it| Some(&it.unit) == unit.as_ref());
                    // A job is stopped for it: where checkpoints are asked for, not without one.
                    if saves && unit.is_some() && !asked {
                        remarks.push(format!("{mover} stays: it cannot be asked for a checkpoint"));
                        continue;
                    }
                    let unit = unit.filter(|_| asked);
                    all.insert(mover.clone(), PlannedMove { mover: mover.clone(), to: None, unit });
                }
            }
            Action::Reschedule { extent, bare_pods, ladders, .. } => {
                for pod in going(look) {
                    let Some(ladder) = ladders.iter().find(|it| it.fits(pod)) else { continue };
                    let bare = || bare(pod).filter(|_| *bare_pods);
                    let Some(mover) = mover(pod).or_else(bare) else {
                        let name = pod.full_name();
                        remarks.push(match pod.owners.is_empty() {
                            true => format!(
                                "{name} has no controller: `bare_pods` would make it anew elsewhere"
                            ),
                            false => format!("nobody knows how to send {name} elsewhere"),
                        });
                        continue;
                    };
                    let to = Some(destination(look, &ladder.bearing, *extent));
                    let unit =
                        Some(pod.unit()).filter(|unit| asked.iter().any(|it| it.unit == *unit));
                    all.entry(mover.clone()).or_insert(PlannedMove { mover, to, unit });
                }
            }
            _ => {}
        }
    }
    (all.into_values().collect(), remarks)
}

/// Of a job that runs.
fn unit_of(look: &Look, of: &Mover) -> Option<String> {
    let Mover::Job(job) = of else { return None };
    let member = |pod: &&Pod| mover(pod).as_ref() == Some(of) || pod.unit() == job.full_name();
    going(look).find(member).map(Pod::unit)
}

fn destination(look: &Look, bearing: &Bearing, extent: Extent) -> Destination {
    let from = look.node.as_ref().map(|node| node.pool.clone()).unwrap_or_default();
    Destination { bearing: bearing.clone(), extent, from }
}

/// What makes the pod, where its template can be changed.
fn mover(pod: &Pod) -> Option<Mover> {
    let owner = pod.owners.iter().find(|owner| owner.controller)?;
    let rolls = |kind, name: &str| {
        let (namespace, name) = (pod.namespace.clone(), name.to_owned());
        Some(Mover::Rolls { kind, namespace, name })
    };
    match (owner.kind.as_str(), owner.api_version.split('/').next()?) {
        ("ReplicaSet", "apps") => {
            let hash = pod.labels.get(TEMPLATE_HASH)?;
            let name = owner.name.strip_suffix(hash.as_str())?.strip_suffix('-')?;
            rolls(WorkloadKind::Deployment, name)
        }
        ("StatefulSet", "apps") => rolls(WorkloadKind::StatefulSet, &owner.name),
        ("Job", "batch") => match Job::of(pod) {
            Some(job) => Some(Mover::Job(job)).filter(can_move),
            None => Some(Mover::Job(Job {
                api_version: owner.api_version.clone(),
                kind: owner.kind.clone(),
                namespace: pod.namespace.clone(),
                name: owner.name.clone(),
            })),
        },
        _ => None,
    }
}

/// What nobody owns: a pod that something else follows is not made by us.
fn bare(pod: &Pod) -> Option<Mover> {
    let (namespace, name, uid) = (pod.namespace.clone(), pod.name.clone(), pod.uid.clone());
    pod.owners.is_empty().then_some(Mover::Pod { namespace, name, uid })
}

/// Kinds whose templates may change while they are suspended, and say so.
fn can_move(mover: &Mover) -> bool {
    matches!(mover, Mover::Job(job) if matches!(job.kind.as_str(), "Job" | "JobSet"))
}

/// The jobs among what moves: they are suspended meanwhile.
pub(super) fn jobs(look: &Look, moves: &[PlannedMove], gangs: &mut Vec<PlannedGang>) {
    for of in moves {
        let Mover::Job(job) = &of.mover else { continue };
        if gangs.iter().any(|gang| gang.job == *job) {
            continue;
        }
        let unit = unit_of(look, &of.mover).unwrap_or_else(|| job.full_name());
        let ranks = super::checkpoints::ranks(look, &unit);
        gangs.push(PlannedGang { unit, job: job.clone(), ranks });
    }
}

/// Whoever sends a job elsewhere has it suspended before and resumed after, and a bare pod kept before: by the steps that
/// there are, else by steps of its own.
pub(super) fn suspended_meanwhile(
    steps: &mut Vec<PlannedStep>,
    moves: &[PlannedMove],
    incident: &str,
    epoch: u32,
) {
    if moves.iter().all(|of| matches!(of.mover, Mover::Rolls { .. })) {
        return;
    }
    let Some(at) = steps.iter().position(|step| step.action.moves()) else { return };
    let (name, reach) = (steps[at].name.clone(), steps[at].reach.clone());
    let own = |verb: &str, action: Action, needs: Vec<String>| {
        let named = format!("{name}-{verb}");
        let on = format!("{reach:?}");
        let key = Id::of(&["step", incident, &epoch.to_string(), &named, &on]);
        let reach = reach.clone();
        PlannedStep { name: named, action, reach, needs, key, no_return: false }
    };
    let find = |steps: &[PlannedStep], of: &Action| {
        steps.iter().find(|step| step.action == *of).map(|step| step.name.clone())
    };
    match find(steps, &Action::Resume) {
        Some(resume) => {
            let step = steps.iter_mut().find(|step| step.name == resume);
            if let Some(step) = step.filter(|step| !step.needs.contains(&name)) {
                step.needs.push(name.clone());
            }
        }
        None if moves.iter().any(|of| of.mover.job().is_some()) => {
            steps.insert(at + 1, own("resume", Action::Resume, vec![name.clone()]));
        }
        None => {}
    }
    let suspend = find(steps, &Action::Suspend).unwrap_or_else(|| {
        // A drain waits for what is suspended: it does not come before.
        let drains = |step: &PlannedStep| matches!(step.action, Action::Drain { .. });
        let first = steps.iter().position(drains).map_or(at, |drain| drain.min(at));
        let step = own("suspend", Action::Suspend, vec![]);
        let named = step.name.clone();
        steps.insert(first, step);
        named
    });
    let step = steps.iter_mut().find(|step| step.name == name);
    if let Some(step) = step.filter(|step| !step.needs.contains(&suspend)) {
        step.needs.push(suspend);
    }
    order(steps);
}

/// Each step after those that it needs; otherwise as before.
fn order(steps: &mut Vec<PlannedStep>) {
    let mut open = std::mem::take(steps);
    while let Some(next) = open.iter().position(|step| {
        step.needs.iter().all(|need| steps.iter().any(|placed| placed.name == *need))
    }) {
        steps.push(open.remove(next));
    }
    // A circle: whoever lints the plan says so.
    steps.append(&mut open);
}

/// As the plan has it: what the ladders came to stands beside the steps.
pub(super) fn without_ladders(action: &Action) -> Action {
    match action {
        Action::Provision { within, .. } => Action::Provision { ladders: vec![], within: *within },
        Action::Reschedule { extent, bare_pods, timeout, .. } => Action::Reschedule {
            extent: *extent,
            bare_pods: *bare_pods,
            timeout: *timeout,
            ladders: vec![],
        },
        other => other.clone(),
    }
}

/// Whether it stands on a node, where there is one.
pub(super) fn reach(look: &Look) -> Reach {
    look.node.as_ref().map_or(Reach::World, |node| Reach::Node { name: node.name.clone() })
}
