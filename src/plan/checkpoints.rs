//! Which workloads are asked for a checkpoint before their node is emptied, how, and by when.

use crate::model::{
    Id, Job, Learned, Look, Means, Member, PlannedCheckpoint, PlannedGang, PlannedPod, Pod, Profile,
};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// What the planner knows of checkpoints before, by unit.
pub type History = BTreeMap<String, Learned>;

/// The units that have a member on the node, for whoever looks up what their checkpoints took.
pub fn units(look: &Look) -> Vec<String> {
    let mut all: Vec<String> = going(look).map(Pod::unit).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// What goes: what runs on the node; of a plan that has none, the gangs that it looks at, wherever they are.
pub(super) fn going(look: &Look) -> impl Iterator<Item = &Pod> {
    let gangs = look.peers.iter().map(AsRef::as_ref).filter(|_| look.node.is_none());
    look.pods.iter().chain(gangs).filter(|pod| pod.stays().is_none())
}

/// What is asked for, the slowest first; and what a reader should know of what cannot be asked.
pub(super) fn checkpoints(
    plan: &Id,
    look: &Look,
    profiles: &[Profile],
    history: &History,
    until: Option<Timestamp>,
    now: Timestamp,
) -> (Vec<PlannedCheckpoint>, Vec<String>) {
    let mut found: BTreeMap<String, (Means, Vec<&Pod>)> = BTreeMap::new();
    let mut remarks = vec![];
    for pod in going(look).filter(|pod| pod.deleted_at.is_none()) {
        match Means::of(pod, profiles) {
            None => {}
            Some(Ok(means)) => found.entry(pod.unit()).or_insert((means, vec![])).1.push(pod),
            Some(Err(why)) => {
                remarks.push(format!("{} is not asked for a checkpoint: {why}", pod.full_name()));
            }
        }
    }
    let mut all: Vec<PlannedCheckpoint> = found
        .into_iter()
        .map(|(name, (means, doomed))| {
            let learned = history.get(&name);
            let (takes, bytes) = (learned.map(|it| it.takes), learned.and_then(|it| it.bytes));
            let id = Id::of(&["checkpoint", plan.as_str(), &name]);
            let peers = look.peers.iter().map(AsRef::as_ref).filter(|_| look.node.is_some());
            let peers = peers.filter(|pod| pod.deleted_at.is_none() && pod.unit() == name);
            let mut members: Vec<(&Pod, bool)> = doomed.iter().map(|pod| (*pod, true)).collect();
            members.extend(peers.map(|pod| (pod, false)));
            members.sort_by(|(one, _), (other, _)| by_rank(one, other));
            let latest = |pod: &&Pod| until.map(|until| pod.last_call(until));
            let own = now.checked_add(means.timeout.0).unwrap_or(now);
            let by = doomed.iter().filter_map(latest).min().unwrap_or(own).min(own);
            let saved = members.iter().filter_map(|(pod, _)| pod.last_checkpoint()).max();
            let begun = members.iter().filter_map(|(pod, _)| pod.started_at).min();
            PlannedCheckpoint {
                id,
                members: members.into_iter().map(member).collect(),
                by,
                since: saved.or(begun),
                saved: saved.is_some(),
                takes,
                bytes,
                unit: name,
                means,
            }
        })
        .collect();
    all.sort_by_key(|one| std::cmp::Reverse(one.takes));
    (all, remarks)
}

/// The gangs with a member on the node whose jobs can be suspended: one that waits for a lost rank does not go on. The
/// pods of an indexed Job may be equals with a number each: they count where they are asked for a checkpoint, or say so.
pub(super) fn gangs(look: &Look, asked: &[PlannedCheckpoint]) -> Vec<PlannedGang> {
    let mut found: BTreeMap<String, Job> = BTreeMap::new();
    let here: Vec<String> = going(look).filter_map(Pod::gang).collect();
    for pod in going(look).chain(look.peers.iter().map(AsRef::as_ref)) {
        let Some(unit) = pod.gang().filter(|unit| here.contains(unit)) else { continue };
        let Some(job) = Job::of(pod) else { continue };
        if job.kind != "Job" || pod.says_its_gang() || asked.iter().any(|it| it.unit == unit) {
            found.entry(unit).or_insert(job);
        }
    }
    let planned = |(unit, job): (String, Job)| PlannedGang { ranks: ranks(look, &unit), unit, job };
    found.into_iter().map(planned).collect()
}

/// Pods of the gang, wherever they are.
pub(super) fn ranks(look: &Look, unit: &str) -> u32 {
    let all = going(look).chain(look.peers.iter().map(AsRef::as_ref));
    let members = all.filter(|pod| pod.gang().as_deref() == Some(unit)).map(|pod| &pod.uid);
    u32::try_from(members.collect::<BTreeSet<_>>().len()).unwrap_or(u32::MAX)
}

/// Ranks in their order: `llm-2` before `llm-10`.
fn by_rank(one: &Pod, other: &Pod) -> std::cmp::Ordering {
    let key = |pod: &Pod| (pod.name.len(), pod.name.clone(), pod.uid.clone());
    key(one).cmp(&key(other))
}

fn member((pod, doomed): (&Pod, bool)) -> Member {
    Member {
        namespace: pod.namespace.clone(),
        name: pod.name.clone(),
        uid: pod.uid.clone(),
        ip: pod.ip.clone(),
        doomed,
    }
}

/// Each pod that has to go, by when, the most urgent first.
pub(super) fn pods(
    look: &Look,
    checkpoints: &[PlannedCheckpoint],
    until: Timestamp,
    now: Timestamp,
) -> Vec<PlannedPod> {
    let waits = |pod: &Pod| {
        let of = |it: &&PlannedCheckpoint| it.members.iter().any(|member| member.uid == pod.uid);
        checkpoints.iter().find(of).map(|it| it.unit.clone())
    };
    let planned = |pod: &Pod| PlannedPod {
        name: pod.full_name(),
        uid: pod.uid.clone(),
        grace: pod.grace,
        evict_by: pod.last_call(until).max(now),
        unit: waits(pod),
    };
    let mut all: Vec<PlannedPod> = going(look).map(planned).collect();
    all.sort_by(|one, other| (one.evict_by, &one.name).cmp(&(other.evict_by, &other.name)));
    all
}
