//! I4 and I7: what was asked of the world was written down first, looked at again after a crash, and is gentle.

mod grace;

use super::super::ledger::{Ledger, PlanFact, StepFact};
use super::super::world::World;
use super::on_node;
use crate::model::{Action, ClusterCall, Id, NodePatch, Reach};
use crate::remediation::WebCall;
use jiff::Timestamp;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

type Fault = (&'static str, String);

#[derive(Debug, Default)]
pub(super) struct Book {
    /// Nodes that a person has cordoned.
    by_person: BTreeSet<String>,
    /// The process and plan that changed a node or workload last.
    last: BTreeMap<String, (u32, Option<Id>)>,
    /// Key to the calls that arrived under it.
    web: BTreeMap<String, u32>,
}

/// Between the decision and the request.
const SLACK: Duration = Duration::from_secs(1);
/// By so many seconds may what the log says of a beginning be later than what the daemon goes by: clocks differ,
/// and a slow log takes its time.
const CLOCKS: u32 = 12;

impl Book {
    pub(super) fn person(&mut self, node: &str, closed: bool) {
        match closed {
            true => self.by_person.insert(node.to_owned()),
            false => self.by_person.remove(node),
        };
    }

    /// Whether the same plan has changed it before, in another life.
    fn note(&mut self, name: &str, life: u32, plan: Option<&PlanFact>) -> bool {
        let plan = plan.map(|fact| fact.plan.id.clone());
        let before = self.last.insert(name.to_owned(), (life, plan.clone()));
        before.is_some_and(|(other, of)| other != life && of.is_some() && of == plan)
    }

    /// What is wrong with sending that request.
    pub(super) fn sends(
        &self,
        world: &World,
        ledger: &Ledger,
        call: &ClusterCall,
        life: u32,
        begun: Timestamp,
    ) -> Vec<Fault> {
        match call {
            ClusterCall::PatchNode { name, patch } => {
                let mut faults =
                    journaled(on_node(ledger, name), life, &format!("node {name}"), patches);
                if patch.unschedulable == Some(false) && self.by_person.contains(name) {
                    faults.push(("I7", format!("a person's cordon of {name} is taken back")));
                }
                faults
            }
            ClusterCall::Evict { namespace, name, uid, grace }
            | ClusterCall::Delete { namespace, name, uid, grace } => {
                goes(world, ledger, (namespace, name, uid), *grace, life, begun)
            }
            ClusterCall::Announce { .. } => vec![],
            ClusterCall::Make(made) => {
                let by = made.labels.get("medevac.dev/incident").map_or("", String::as_str);
                let makes = |action: &Action| {
                    matches!(action, Action::VeleroBackup(_) | Action::Provision { .. })
                };
                journaled(of_incident(ledger, by), life, &made.name, makes)
            }
            ClusterCall::Keep { name, by, .. } => {
                journaled(of_incident(ledger, by), life, name, suspends)
            }
            ClusterCall::Move { mover, by, .. } | ClusterCall::MoveBack { mover, by: Some(by) } => {
                let fits = |action: &Action| action.moves() || suspends(action);
                journaled(of_incident(ledger, by), life, &mover.to_string(), fits)
            }
            // Its plan is known to nobody but whoever made it.
            ClusterCall::MoveBack { by: None, .. } | ClusterCall::Unmake { .. } => vec![],
            ClusterCall::Suspend { job, by, .. } => {
                journaled(of_incident(ledger, by), life, &job.full_name(), suspends)
            }
            ClusterCall::Release { claim, .. } => {
                let gives = |action: &Action| matches!(action, Action::TerminateInstance);
                let node = world.node_of_claim(claim);
                node.map_or(vec![], |node| journaled(on_node(ledger, &node), life, claim, gives))
            }
            ClusterCall::PatchPod { namespace, name, .. }
            | ClusterCall::Exec { namespace, name, .. } => {
                let slot = format!("{namespace}/{name}");
                journaled(by_member(ledger, namespace, name, life), life, &slot, asks)
            }
            ClusterCall::Restart { namespace, name, .. }
            | ClusterCall::Scale { namespace, name, .. } => {
                let slot = format!("{namespace}/{name}");
                journaled(by_workload(ledger, namespace, name), life, &slot, turns)
            }
        }
    }

    /// Whether what arrives was done already by another life of the same plan, and a look would have told.
    pub(super) fn arrives(
        &mut self,
        world: &World,
        ledger: &Ledger,
        call: &ClusterCall,
        life: u32,
        blind: bool,
    ) -> Option<String> {
        let (slot, again, done) = match call {
            ClusterCall::PatchNode { name, patch } => {
                let again = self.note(name, life, on_node(ledger, name));
                let done = patch.unschedulable == Some(true) && stands(world, name, patch);
                (name.clone(), again, done)
            }
            ClusterCall::Restart { namespace, name, key, .. } => {
                let slot = format!("{namespace}/{name}");
                let again = self.note(&slot, life, by_workload(ledger, namespace, name));
                let mark = world.restarted_with(namespace, name);
                (slot, again, mark.is_some_and(|mark| mark == key))
            }
            // The same annotation twice is the same, and a checkpoint too many harms nobody.
            ClusterCall::PatchPod { .. }
            | ClusterCall::Announce { .. }
            | ClusterCall::Exec { .. }
            | ClusterCall::Evict { .. }
            | ClusterCall::Delete { .. }
            | ClusterCall::Suspend { .. }
            | ClusterCall::Release { .. }
            | ClusterCall::Make(_)
            | ClusterCall::Keep { .. }
            | ClusterCall::Move { .. }
            | ClusterCall::MoveBack { .. }
            | ClusterCall::Unmake { .. }
            | ClusterCall::Scale { .. } => {
                return None;
            }
        };
        (again && done && !blind)
            .then(|| format!("{slot} was so already by another life, and a look would have told"))
    }

    /// A call to the outside has arrived.
    pub(super) fn called(&mut self, ledger: &Ledger, call: &WebCall, life: u32) -> Vec<Fault> {
        let step = |fact: &'_ PlanFact| {
            let mut all = fact.plan.steps.iter().chain(&fact.plan.otherwise);
            all.find(|step| step.key.as_str() == call.key).map(|step| step.action.clone())
        };
        let plan = ledger.holders.values().filter_map(|id| ledger.plans.get(id));
        let found = plan.filter_map(|fact| Some((fact, step(fact)?))).next();
        let Some((fact, action)) = found else {
            return vec![("I4", format!("{} is called under a key that no plan has", call.url))];
        };
        let mut faults =
            journaled(Some(fact), life, &call.url, |action| matches!(action, Action::Http { .. }));
        let calls = self.web.entry(call.key.clone()).or_default();
        *calls += 1;
        if *calls > 1 && matches!(action, Action::Http { idempotent: false, .. }) {
            let text =
                format!("{} is called again, and nobody says that this is harmless", call.url);
            faults.push(("I4", text));
        }
        faults
    }
}

/// What is wrong with asking a pod, by its namespace, name and UID, to go.
fn goes(
    world: &World,
    ledger: &Ledger,
    (namespace, name, uid): (&str, &str, &str),
    grace: u32,
    life: u32,
    begun: Timestamp,
) -> Vec<Fault> {
    if uid.is_empty() {
        return vec![("I7", format!("{namespace}/{name} is asked to go without its UID"))];
    }
    let pod = world.pod(namespace, name).filter(|pod| pod.uid == *uid);
    let Some(pod) = pod else { return vec![] };
    let plan = on_node(ledger, &pod.node);
    let mut faults = journaled(plan, life, &format!("pod {}", pod.full_name()), drains);
    faults.extend(grace::gentle(pod, world.has_to_stay(&pod.uid), plan, grace, begun));
    faults
}

/// The plan of an incident that holds its target.
fn of_incident<'l>(ledger: &'l Ledger, incident: &str) -> Option<&'l PlanFact> {
    let mut plans = ledger.holders.values().filter_map(|id| ledger.plans.get(id));
    plans.rfind(|fact| fact.plan.incident == incident)
}

/// Record, then act: a plan that holds the target, with a step of that kind under way, begun by this process.
fn journaled(
    plan: Option<&PlanFact>,
    life: u32,
    what: &str,
    fits: impl Fn(&Action) -> bool,
) -> Vec<Fault> {
    let Some(plan) = plan else {
        return vec![("I4", format!("{what} is acted upon, and no journal says so"))];
    };
    let ours = |(name, _): &(&String, &StepFact)| {
        plan.plan.step(name).is_some_and(|step| fits(&step.action))
    };
    let mut open = plan.open().filter(ours).peekable();
    if open.peek().is_none() {
        let id = plan.plan.id.short(10);
        return vec![(
            "I4",
            format!("{what} is acted upon, and no step of plan {id} is about that"),
        )];
    }
    let foreign = open.find(|(_, step)| step.word == "started" && step.life != life);
    foreign
        .map(|(name, _)| {
            ("I4", format!("the step `{name}` of another process goes on without a probe: {what}"))
        })
        .into_iter()
        .collect()
}

/// What patches nodes.
fn patches(action: &Action) -> bool {
    matches!(
        action,
        Action::Cordon { .. }
            | Action::Uncordon
            | Action::Taint { .. }
            | Action::Label { .. }
            | Action::Annotate { .. }
    )
}

fn suspends(action: &Action) -> bool {
    matches!(action, Action::Suspend | Action::Resume)
}

fn drains(action: &Action) -> bool {
    matches!(action, Action::Drain { .. })
}

fn asks(action: &Action) -> bool {
    matches!(action, Action::Checkpoint { .. })
}

/// A plan that asks that pod for a checkpoint. Those of a gang on several nodes that go have it all: one that this life has
/// begun to carry out is meant.
fn by_member<'a>(
    ledger: &'a Ledger,
    namespace: &str,
    name: &str,
    life: u32,
) -> Option<&'a PlanFact> {
    let plans = ledger.holders.values().filter_map(|id| ledger.plans.get(id));
    let has = |fact: &&PlanFact| {
        let members = fact.plan.checkpoints.iter().flat_map(|unit| &unit.members);
        members.into_iter().any(|it| it.namespace == namespace && it.name == name)
    };
    let asking = |fact: &PlanFact| {
        let asks = |name: &String| fact.plan.step(name).is_some_and(|step| asks(&step.action));
        fact.open().filter(|(name, _)| asks(name)).map(|(_, step)| step.life == life).max()
    };
    plans.filter(has).max_by_key(|fact| asking(fact))
}

fn turns(action: &Action) -> bool {
    matches!(action, Action::Restart { .. } | Action::Scale { .. })
}

fn by_workload<'a>(ledger: &'a Ledger, namespace: &str, name: &str) -> Option<&'a PlanFact> {
    let plans = ledger.holders.values().filter_map(|id| ledger.plans.get(id));
    let reaches = |fact: &&PlanFact| {
        fact.plan.steps.iter().any(|step| {
            matches!(&step.reach, Reach::Workload { namespace: ns, name: n, .. } if ns == namespace && n == name)
        })
    };
    plans.filter(reaches).max_by_key(|fact| fact.plan.epoch)
}

/// Whether the node is exactly as the patch would make it.
fn stands(world: &World, name: &str, patch: &NodePatch) -> bool {
    let Some(node) = world.node(name) else { return false };
    let same = |map: &BTreeMap<String, String>, wanted: &BTreeMap<String, Option<String>>| {
        wanted.iter().all(|(key, value)| map.get(key) == value.as_ref())
    };
    patch.unschedulable.is_none_or(|closed| closed == node.unschedulable)
        && patch.taints.iter().all(|taint| node.taints.contains(taint))
        && same(&node.annotations, &patch.annotations)
}
