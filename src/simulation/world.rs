//! The world as plain data: nodes, pods and what moves them as time passes. Pure.
//!
//! Nothing in it is scanned per event: what is due stands on an agenda, what has changed is reconciled, and a
//! node with room is found by its pool. So ten thousand nodes cost no more per event than ten.

mod answers;
mod apps;
mod backups;
mod births;
mod capacity;
mod cloud;
mod groups;
mod kept;
mod kubelet;
mod nodes;
mod places;
mod saving;
mod schedule;
mod view;

pub use apps::{App, Budget, Checkpoint, Kind};
pub use backups::{Backups, Ends};
pub use cloud::{Growth, Market, Offer};
pub use nodes::Pool;
pub use saving::{Asked, Saving};

use crate::cluster::News;
use crate::model::{Id, Node, Pod};
use jiff::Timestamp;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// Something that happened in the world, for transcripts and for whoever watches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    pub at: Timestamp,
    /// The node concerned, where one is.
    pub node: Option<String>,
    pub mark: Mark,
    pub text: String,
}

/// What kind of thing it was: how a drawing shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    Joined,
    Cordoned,
    Uncordoned,
    Notice,
    Gone,
    Evicted,
    Killed,
    Running,
    Note,
}

/// Sums over the whole run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sums {
    /// Pods that were ended before they had ended themselves: grace over, or the machine taken away.
    pub hard_killed: u64,
    pub evicted: u64,
    pub deleted: u64,
    /// Pods whose deletion took their app below its budget.
    pub budgets_violated: u64,
    /// Work done since the last durable checkpoint and lost, over all pods that keep checkpoints.
    pub lost_work: Duration,
    /// Checkpoints that became durable because a pod was told to stop, or asked for one.
    pub checkpoints: u64,
    /// From a machine's notice to its cordon, of all that were cordoned after one.
    pub cordons: Vec<Duration>,
    /// Dollars for machines that are gone.
    spent: f64,
}

/// A machine: the node as the API server shows it, and what only the cloud knows.
#[derive(Debug, Clone)]
struct Machine {
    node: Node,
    slots: usize,
    /// Pods that take one of its slots.
    pods: BTreeSet<String>,
    /// Pods of DaemonSets, and static ones.
    daemons: BTreeSet<String>,
    market: Market,
    price: f64,
    since: Timestamp,
    /// The kubelet answers.
    alive: bool,
}

/// A pod: as the API server shows it, and what only its kubelet knows.
#[derive(Debug, Clone)]
struct Run {
    pod: Pod,
    app: usize,
    /// Of a StatefulSet, a gang or a Job.
    ordinal: u32,
    running_since: Option<Timestamp>,
    /// When its processes end by themselves, once they were told to.
    stops_at: Option<Timestamp>,
    /// When it is gone, at the latest: told to end with that grace.
    gone_at: Option<Timestamp>,
    /// What it does before it ends becomes durable then.
    saves_at: Option<Timestamp>,
    /// Of what it is asked for.
    saves: saving::Saves,
    /// Its place among those that wait for a node.
    queued: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Due {
    /// A pod becomes ready.
    Ready(String),
    /// A pod is gone.
    Gone(String),
    /// A Job's pod has done its work.
    Finished(String),
    /// A checkpoint that was asked for is written.
    Saved(String),
    /// A machine is taken away.
    Reclaim(String),
    /// A machine that was asked for joins.
    Join(String),
    /// A pool looks whether it has to grow.
    Grow(String),
    /// A group may have waited for its hook for long enough.
    Lapse(String),
    /// Somebody outside is done with something.
    Said(String),
}

/// The whole world. [`World::pass`] moves it on.
#[derive(Debug, Clone, Default)]
pub struct World {
    now: Timestamp,
    nodes: BTreeMap<String, Machine>,
    pools: BTreeMap<String, nodes::PoolState>,
    zones: BTreeMap<String, u32>,
    /// Nodes that are cordoned.
    cordoned: usize,
    tenants: BTreeMap<String, u32>,
    /// Cloud instance to node.
    instances: BTreeMap<String, String>,
    apps: Vec<apps::AppState>,
    by_app: BTreeMap<(String, String), usize>,
    pods: BTreeMap<String, Run>,
    /// Namespace and name to UID.
    names: BTreeMap<(String, String), String>,
    /// By app, the pods that no node has taken yet, oldest first.
    pending: BTreeMap<usize, BTreeMap<u64, String>>,
    /// Something has changed for those that wait for a node.
    unscheduled: bool,
    /// Checkpoints being written, and until when.
    saving: BTreeSet<(Timestamp, String)>,
    /// Pods that are not ready, by what makes them.
    waiting: BTreeMap<String, BTreeSet<String>>,
    agenda: BTreeMap<(Timestamp, u64), Due>,
    /// Apps that may not have what they want.
    unsettled: BTreeSet<usize>,
    born: u64,
    /// Machines that got a notice, and when.
    noticed: BTreeMap<String, Timestamp>,
    cloud: cloud::Cloud,
    shelf: backups::Shelf,
    /// By UID, pods that nobody else makes anew.
    kept: BTreeMap<String, kept::Kept>,
    /// Namespaces that are being deleted.
    pub ending: BTreeSet<String>,
    pub(super) news: News,
    told: Vec<Told>,
    pub sums: Sums,
}

impl World {
    /// A world that begins at `now`.
    pub fn new(now: Timestamp) -> World {
        World { now, ..World::default() }
    }

    fn later(&self, wait: Duration) -> Timestamp {
        self.now.checked_add(wait).unwrap_or(Timestamp::MAX)
    }

    fn plan(&mut self, at: Timestamp, due: Due) {
        self.born += 1;
        self.agenda.insert((at, self.born), due);
    }

    fn fresh(&mut self, salt: &str) -> Id {
        self.born += 1;
        Id::of(&["world", salt, &self.born.to_string()])
    }

    /// When something happens next by itself.
    pub fn next_due(&self) -> Option<Timestamp> {
        if !self.unsettled.is_empty() {
            return Some(self.now);
        }
        self.agenda.keys().next().map(|(at, _)| *at)
    }

    /// Controllers, scheduler, kubelets and the cloud do what is due up to `now`.
    pub fn pass(&mut self, now: Timestamp) {
        self.settle();
        while let Some(((at, _), _)) = self.agenda.first_key_value()
            && *at <= now
        {
            let Some(((at, _), due)) = self.agenda.pop_first() else { break };
            self.now = self.now.max(at);
            match due {
                Due::Ready(uid) => self.becomes_ready(&uid),
                Due::Gone(uid) => self.is_over(&uid),
                Due::Finished(uid) => self.has_finished(&uid),
                Due::Saved(uid) => self.has_saved(&uid),
                Due::Reclaim(node) => self.taken_away(&node),
                Due::Join(node) => self.joins(&node),
                Due::Grow(pool) => self.grow(&pool),
                Due::Lapse(instance) => self.lapses(&instance),
                Due::Said(text) => self.note(None, Mark::Note, text),
            }
            self.settle();
        }
        self.now = self.now.max(now);
    }

    /// Apps get the pods they want, pods get nodes.
    fn settle(&mut self) {
        while let Some(app) = self.unsettled.pop_first() {
            self.replicate(app);
        }
        self.schedule();
    }

    /// Takes what happened since the last call.
    pub fn take_told(&mut self) -> Vec<Told> {
        std::mem::take(&mut self.told)
    }

    /// Notes something for whoever watches.
    pub fn tell(&mut self, text: String) {
        self.note(None, Mark::Note, text);
    }

    /// Notes something about a node.
    pub fn mark(&mut self, node: &str, mark: Mark, text: String) {
        if mark == Mark::Notice {
            self.noticed.entry(node.to_owned()).or_insert(self.now);
        }
        self.note(Some(node), mark, text);
    }

    /// What was there at the beginning has run for a while: pods are placed and ready.
    pub fn begin_running(&mut self) {
        self.settle();
        let starting: Vec<_> = self
            .agenda
            .iter()
            .filter(|(_, due)| matches!(due, Due::Ready(_)))
            .map(|(key, _)| *key)
            .collect();
        for key in starting {
            if let Some(Due::Ready(uid)) = self.agenda.remove(&key) {
                self.becomes_ready(&uid);
            }
        }
        self.told.clear();
    }

    fn note(&mut self, node: Option<&str>, mark: Mark, text: String) {
        let node = node.map(str::to_owned);
        self.told.push(Told { at: self.now, node, mark, text });
    }

    /// Running and wanted pods of all apps but DaemonSets.
    pub fn health(&self) -> (usize, usize) {
        let counts =
            |app: &&apps::AppState| app.spec.kind != Kind::DaemonSet && !app.spec.holds_place;
        let counted = self.apps.iter().filter(counts);
        counted.fold((0, 0), |(ready, wanted), app| {
            (ready + app.healthy, wanted + app.spec.replicas as usize)
        })
    }

    /// Dollars spent on machines so far.
    pub fn spend(&self) -> f64 {
        let running = self.nodes.values().map(|machine| self.cost(machine));
        self.sums.spent + running.sum::<f64>()
    }

    fn cost(&self, machine: &Machine) -> f64 {
        self.now.duration_since(machine.since).as_secs_f64() / 3600.0 * machine.price
    }
}

#[cfg(test)]
mod tests;
