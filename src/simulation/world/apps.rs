//! Apps and their controllers: what is wanted, and the pods made for it.

use super::{Mark, World};
use crate::model::{Workload, WorkloadKind};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Kind {
    #[default]
    Deployment,
    StatefulSet,
    DaemonSet,
    /// Each pod works for a while and has done its part then.
    Job,
    /// Ranks that work together or not at all: one that is lost takes all back to the last checkpoint.
    Gang,
    /// Pods that nobody makes again.
    Bare,
    /// Pods that a file on the node makes.
    Static,
}

impl Kind {
    pub const ALL: [(&'static str, Kind); 7] = [
        ("deployment", Kind::Deployment),
        ("statefulset", Kind::StatefulSet),
        ("daemonset", Kind::DaemonSet),
        ("job", Kind::Job),
        ("gang", Kind::Gang),
        ("bare", Kind::Bare),
        ("static", Kind::Static),
    ];

    /// The kind of workload that the API server knows it as.
    pub fn word(self) -> &'static str {
        self.workload().map_or("pod", WorkloadKind::word)
    }

    fn workload(self) -> Option<WorkloadKind> {
        match self {
            Kind::Deployment => Some(WorkloadKind::Deployment),
            Kind::StatefulSet => Some(WorkloadKind::StatefulSet),
            Kind::DaemonSet => Some(WorkloadKind::DaemonSet),
            Kind::Job | Kind::Gang => Some(WorkloadKind::Job),
            Kind::Bare | Kind::Static => None,
        }
    }
}

/// How an app keeps what it has worked out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    pub every: Duration,
    /// How long one takes, where the storage has nothing else to do.
    pub takes: Duration,
    /// One more is made when the pod is told to stop.
    pub on_stop: bool,
    /// How it wants to be asked for one.
    pub asked: Option<super::Asked>,
    /// Whatever is asked for never becomes durable.
    pub fails: bool,
}

/// A disruption budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Budget {
    MinAvailable(u32),
    MaxUnavailable(u32),
}

#[derive(Debug, Clone, Default)]
pub struct App {
    pub namespace: String,
    pub name: String,
    pub kind: Kind,
    pub replicas: u32,
    /// The pools it may run in, the best first.
    pub pools: Vec<String>,
    /// More than one is a misconfiguration that the API server answers with 500.
    pub budgets: Vec<Budget>,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    /// `terminationGracePeriodSeconds`.
    pub grace: u32,
    /// From bound to ready.
    pub starts_in: Duration,
    /// From told to stop to stopped.
    pub stops_in: Duration,
    /// Of a Job: how long its work takes.
    pub works_for: Duration,
    pub checkpoint: Option<Checkpoint>,
    /// The daemon itself runs in it.
    pub own: bool,
    /// Its pod does nothing but hold a place.
    pub holds_place: bool,
}

#[derive(Debug, Clone, Default)]
pub(super) struct AppState {
    pub(super) spec: App,
    /// UIDs of its pods, those that end included.
    pub(super) pods: BTreeSet<String>,
    /// Of them, those that were told to go, or have done their work.
    pub(super) going: usize,
    /// Ready, and not told to go.
    pub(super) healthy: usize,
    /// Of a Job: parts that are done.
    pub(super) done: u32,
    /// Of a gang: since when all ranks run.
    pub(super) together_since: Option<jiff::Timestamp>,
    /// Of a gang: what it is asked for.
    pub(super) saves: super::saving::Saves,
    /// Marks of rolling restarts on the template.
    pub(super) template_annotations: BTreeMap<String, String>,
    /// How often it was restarted, for whoever counts.
    pub(super) restarts: u32,
    /// Of a gang: who has suspended its job.
    pub(super) suspended_by: Option<String>,
    pub(super) sent: Option<super::capacity::Sent>,
}

impl AppState {
    /// Pods that have to stay ready.
    pub(super) fn needs(&self, budget: Budget) -> usize {
        match budget {
            Budget::MinAvailable(least) => least as usize,
            Budget::MaxUnavailable(most) => self.spec.replicas.saturating_sub(most) as usize,
        }
    }
}

impl World {
    pub fn add_app(&mut self, spec: App) {
        let at = self.apps.len();
        self.by_app.insert((spec.namespace.clone(), spec.name.clone()), at);
        let daemon = matches!(spec.kind, Kind::DaemonSet | Kind::Static);
        self.apps.push(AppState { spec, ..AppState::default() });
        if daemon {
            let names: Vec<String> = self.nodes.keys().cloned().collect();
            names.iter().for_each(|node| self.daemons(node));
        } else {
            self.unsettled.insert(at);
        }
    }

    /// Makes the pods that are missing.
    pub(super) fn replicate(&mut self, at: usize) {
        let app = &self.apps[at];
        let wanted = match app.spec.kind {
            Kind::DaemonSet | Kind::Static => return,
            Kind::Bare if app.restarts > 0 => return,
            Kind::Gang if app.suspended_by.is_some() => 0,
            Kind::Job => app.spec.replicas.saturating_sub(app.done) as usize,
            _ => app.spec.replicas as usize,
        };
        let ordered = matches!(app.spec.kind, Kind::StatefulSet | Kind::Gang);
        let counted = app.pods.len() - if ordered { 0 } else { app.going };
        if counted == wanted && app.spec.kind != Kind::Bare {
            return;
        }
        if counted > wanted {
            self.fewer(at, counted - wanted);
            return;
        }
        let ordinals: Vec<u32> = match ordered {
            true => {
                let runs = app.pods.iter().filter_map(|uid| self.pods.get(uid));
                let there: BTreeSet<u32> = runs.map(|run| run.ordinal).collect();
                (0..app.spec.replicas).filter(|ordinal| !there.contains(ordinal)).collect()
            }
            false => (0..u32::try_from(wanted - counted).unwrap_or(0)).collect(),
        };
        for ordinal in ordinals {
            self.make(at, ordinal, String::new());
        }
        if self.apps[at].spec.kind == Kind::Bare {
            self.apps[at].restarts = 1;
        }
    }

    /// Scaled down: the newest go first.
    fn fewer(&mut self, at: usize, count: usize) {
        let going: Vec<(String, u32)> = self.apps[at]
            .pods
            .iter()
            .rev()
            .filter_map(|uid| self.pods.get(uid))
            .filter(|run| run.pod.deleted_at.is_none())
            .take(count)
            .map(|run| (run.pod.uid.clone(), run.pod.grace))
            .collect();
        for (uid, grace) in going {
            self.told_to_stop(&uid, grace);
        }
    }

    /// A rolling restart: the same mark twice changes nothing.
    pub(super) fn restart(&mut self, namespace: &str, name: &str, key: &str) -> bool {
        let Some(&at) = self.by_app.get(&(namespace.to_owned(), name.to_owned())) else {
            return false;
        };
        let mark = (crate::remediation::RESTART_KEY.to_owned(), key.to_owned());
        let before = self.apps[at].template_annotations.insert(mark.0, mark.1);
        if before.as_deref() == Some(key) {
            return true;
        }
        self.apps[at].restarts += 1;
        self.note(None, Mark::Note, format!("{namespace}/{name} is restarted"));
        // All at once: how a rollout goes pod by pod is nothing that the daemon decides.
        let going: Vec<(String, u32)> = self.apps[at]
            .pods
            .iter()
            .filter_map(|uid| self.pods.get(uid))
            .map(|run| (run.pod.uid.clone(), run.pod.grace))
            .collect();
        for (uid, grace) in going {
            self.told_to_stop(&uid, grace);
        }
        self.changed_app(at);
        true
    }

    pub fn scale(&mut self, namespace: &str, name: &str, replicas: u32) -> bool {
        let Some(&at) = self.by_app.get(&(namespace.to_owned(), name.to_owned())) else {
            return false;
        };
        self.apps[at].spec.replicas = replicas;
        self.note(None, Mark::Note, format!("{namespace}/{name} is scaled to {replicas}"));
        self.unsettled.insert(at);
        self.changed_app(at);
        true
    }

    pub(super) fn changed_app(&mut self, at: usize) {
        if let Some(of) = self.workload_at(at) {
            self.news.target(of.target());
        }
    }

    pub(super) fn workload_at(&self, at: usize) -> Option<Workload> {
        let app = self.apps.get(at)?;
        let spec = &app.spec;
        let ready = u32::try_from(app.healthy).unwrap_or(u32::MAX);
        let job = spec.kind == Kind::Job;
        Some(Workload {
            kind: spec.kind.workload()?,
            namespace: spec.namespace.clone(),
            name: spec.name.clone(),
            labels: spec.labels.clone(),
            annotations: spec.annotations.clone(),
            template_annotations: app.template_annotations.clone(),
            replicas: spec.replicas,
            ready,
            updated: if job { app.done } else { ready },
        })
    }

    /// Ready pods of an app, and how many it wants.
    pub fn app_health(&self, namespace: &str, name: &str) -> Option<(usize, usize)> {
        let at = *self.by_app.get(&(namespace.to_owned(), name.to_owned()))?;
        Some((self.apps[at].healthy, self.apps[at].spec.replicas as usize))
    }

    /// How often an app was restarted as a whole.
    pub fn restarts(&self, namespace: &str, name: &str) -> Option<u32> {
        let at = *self.by_app.get(&(namespace.to_owned(), name.to_owned()))?;
        Some(self.apps[at].restarts)
    }

    /// The mark of the last rolling restart.
    pub fn restarted_with(&self, namespace: &str, name: &str) -> Option<&String> {
        let at = *self.by_app.get(&(namespace.to_owned(), name.to_owned()))?;
        self.apps[at].template_annotations.get(crate::remediation::RESTART_KEY)
    }

    /// The node on which a pod of that app runs.
    pub fn home_of(&self, app: &str) -> Option<String> {
        let state = self.apps.iter().find(|known| known.spec.name == app)?;
        let run = state.pods.iter().filter_map(|uid| self.pods.get(uid));
        run.map(|run| run.pod.node.clone()).find(|node| !node.is_empty())
    }
}
