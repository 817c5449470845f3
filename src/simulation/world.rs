//! A small cluster: nodes in pools, apps with replicas and budgets, a scheduler, kubelets. Pure.

use crate::model::{
    Answer, ClusterCall, Context, Look, Node, NodePatch, Owner, Pod, PodPhase, Pool, Refusal,
    Sizes, Target, Workload, WorkloadKind,
};
use jiff::Timestamp;
use std::{collections::BTreeMap, time::Duration};

/// A Deployment, as far as this world needs one.
#[derive(Debug, Clone)]
pub struct App {
    pub namespace: String,
    pub name: String,
    pub replicas: u32,
    /// The pools it may run in.
    pub pools: Vec<String>,
    /// Of its pods, so many stay available whatever is evicted.
    pub min_available: u32,
    /// Seconds a pod takes to end once it was told to.
    pub stops_in: u32,
    pub grace: u32,
}

#[derive(Debug, Clone)]
struct Run {
    pod: Pod,
    app: usize,
    /// Becomes ready then.
    ready_at: Option<Timestamp>,
    /// Is gone then.
    gone_at: Option<Timestamp>,
}

/// The whole world. [`World::pass`] moves it on.
#[derive(Debug, Default)]
pub struct World {
    nodes: BTreeMap<String, Node>,
    apps: Vec<App>,
    pods: BTreeMap<String, Run>,
    born: u64,
    /// What happened, for whoever watches.
    history: Vec<(Timestamp, String)>,
}

/// Pods that a node of this world has room for.
const ROOM: usize = 6;
/// From bound to ready.
const START: Duration = Duration::from_millis(900);

impl World {
    /// A node of `pool`, in `zone`, `spot` or `on-demand`.
    pub fn add_node(&mut self, name: &str, pool: &str, zone: &str, capacity: &str) {
        let workload = if pool.contains("inference") { "inference" } else { "training" };
        let labels = [
            ("karpenter.sh/nodepool", pool),
            ("karpenter.sh/capacity-type", capacity),
            ("topology.kubernetes.io/zone", zone),
            ("workload", workload),
        ];
        let node = Node {
            name: name.into(),
            uid: format!("uid-{name}"),
            labels: labels
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
            ready: true,
            pool: pool.into(),
            zone: zone.into(),
            instance_type: "p4d.24xlarge".into(),
            capacity_type: capacity.into(),
            instance_id: format!("i-{}", crate::model::Id::of(&[name]).short(17)),
            ..Node::default()
        };
        self.nodes.insert(name.into(), node);
    }

    pub fn add_app(&mut self, app: App) {
        self.apps.push(app);
    }

    /// The cloud takes a node away.
    pub fn reclaim(&mut self, name: &str, now: Timestamp) {
        let lost = self.pods.values().filter(|run| run.pod.node == name).count();
        self.pods.retain(|_, run| run.pod.node != name);
        if self.nodes.remove(name).is_some() {
            self.tell(now, format!("{name} was taken away by the cloud, with {lost} pods on it"));
        }
    }

    pub fn node(&self, name: &str) -> Option<&Node> {
        self.nodes.get(name)
    }

    /// The node of `pool` with most pods on it.
    pub fn busiest(&self, pool: &str) -> Option<String> {
        let load =
            |node: &&Node| self.pods.values().filter(|run| run.pod.node == node.name).count();
        self.nodes
            .values()
            .filter(|node| node.pool == pool)
            .max_by_key(load)
            .map(|node| node.name.clone())
    }

    /// The node on which a pod of that app runs.
    pub fn home_of(&self, app: &str) -> Option<String> {
        let at = self.apps.iter().position(|known| known.name == app)?;
        self.pods
            .values()
            .find(|run| run.app == at && !run.pod.node.is_empty())
            .map(|run| run.pod.node.clone())
    }

    /// Running and wanted.
    pub fn health(&self) -> (usize, usize) {
        let wanted = self.apps.iter().map(|app| app.replicas as usize).sum();
        (self.pods.values().filter(|run| run.pod.ready).count(), wanted)
    }

    /// Takes what happened since the last call.
    pub fn take_history(&mut self) -> Vec<(Timestamp, String)> {
        std::mem::take(&mut self.history)
    }

    /// Notes something for whoever watches.
    pub fn tell(&mut self, now: Timestamp, what: String) {
        self.history.push((now, what));
    }

    /// Controllers, scheduler and kubelets do what is due at `now`. True: something changed.
    pub fn pass(&mut self, now: Timestamp) -> bool {
        let before = self.history.len();
        let mut changed = false;
        let due = |at: &Option<Timestamp>| at.is_some_and(|at| at <= now);
        self.pods.retain(|_, run| {
            changed |= due(&run.gone_at);
            !due(&run.gone_at)
        });
        let mut started = vec![];
        for run in self.pods.values_mut().filter(|run| due(&run.ready_at) && !run.pod.ready) {
            (run.pod.ready, run.pod.phase, run.ready_at) = (true, PodPhase::Running, None);
            started.push(format!(
                "{} is rescheduled: it runs on {}",
                run.pod.full_name(),
                run.pod.node
            ));
        }
        changed |= !started.is_empty();
        started.into_iter().for_each(|line| self.tell(now, line));
        changed |= self.replicate();
        changed |= self.schedule(now);
        changed || self.history.len() != before
    }

    fn replicate(&mut self) -> bool {
        let mut changed = false;
        for (at, app) in self.apps.iter().enumerate() {
            let alive = |run: &&Run| run.app == at && run.pod.deleted_at.is_none();
            let missing =
                (app.replicas as usize).saturating_sub(self.pods.values().filter(alive).count());
            for _ in 0..missing {
                self.born += 1;
                let name = format!(
                    "{}-{}",
                    app.name,
                    crate::model::Id::of(&[&self.born.to_string()]).short(5)
                );
                let owner = Owner {
                    api_version: "apps/v1".into(),
                    kind: "ReplicaSet".into(),
                    name: format!("{}-1", app.name),
                    controller: true,
                };
                let pod = Pod {
                    namespace: app.namespace.clone(),
                    uid: format!("uid-{name}"),
                    name,
                    owners: vec![owner],
                    grace: app.grace,
                    ..Pod::default()
                };
                self.pods
                    .insert(pod.uid.clone(), Run { pod, app: at, ready_at: None, gone_at: None });
                changed = true;
            }
        }
        changed
    }

    fn schedule(&mut self, now: Timestamp) -> bool {
        let mut load: BTreeMap<String, usize> = BTreeMap::new();
        for run in self.pods.values() {
            *load.entry(run.pod.node.clone()).or_default() += 1;
        }
        let mut changed = false;
        for run in self.pods.values_mut().filter(|run| run.pod.node.is_empty()) {
            let app = &self.apps[run.app];
            let fits = |node: &&Node| {
                node.ready
                    && !node.unschedulable
                    && app.pools.contains(&node.pool)
                    && load.get(&node.name).copied().unwrap_or(0) < ROOM
            };
            let emptiest = |node: &&Node| load.get(&node.name).copied().unwrap_or(0);
            if let Some(node) = self.nodes.values().filter(fits).min_by_key(emptiest) {
                run.pod.node = node.name.clone();
                run.ready_at = now.checked_add(START).ok();
                *load.entry(node.name.clone()).or_default() += 1;
                changed = true;
            }
        }
        changed
    }

    pub fn call(&mut self, call: &ClusterCall, now: Timestamp) -> Answer {
        match call {
            ClusterCall::PatchNode { name, patch } => self.patch(name, patch, now),
            ClusterCall::Evict { uid, grace, .. } => match self.budget(uid) {
                Err(refusal) => Answer::Refused(refusal),
                Ok(()) => self.end(uid, *grace, "is evicted from", now),
            },
            ClusterCall::Delete { uid, grace, .. } => self.end(uid, *grace, "is deleted from", now),
            ClusterCall::Restart { .. } => Answer::Done,
            ClusterCall::Scale { namespace, name, replicas, .. } => {
                let app = self
                    .apps
                    .iter_mut()
                    .find(|app| app.namespace == *namespace && app.name == *name);
                match app {
                    Some(app) => {
                        app.replicas = *replicas;
                        Answer::Done
                    }
                    None => Answer::Refused(Refusal::Gone),
                }
            }
        }
    }

    fn patch(&mut self, name: &str, patch: &NodePatch, now: Timestamp) -> Answer {
        let Some(node) = self.nodes.get_mut(name) else { return Answer::Refused(Refusal::Gone) };
        if let Some((key, effect)) = &patch.untaint {
            node.taints.retain(|taint| taint.key != *key || taint.effect != *effect);
        }
        node.taints.extend(patch.taint.clone());
        for (map, changes) in
            [(&mut node.labels, &patch.labels), (&mut node.annotations, &patch.annotations)]
        {
            for (key, value) in changes {
                match value {
                    Some(value) => map.insert(key.clone(), value.clone()),
                    None => map.remove(key),
                };
            }
        }
        if let Some(closed) = patch.unschedulable {
            node.unschedulable = closed;
            let word =
                if closed { "is cordoned: no new work lands on it" } else { "takes work again" };
            self.tell(now, format!("{name} {word}"));
        }
        Answer::Done
    }

    fn budget(&self, uid: &str) -> Result<(), Refusal> {
        let run = self.pods.get(uid).ok_or(Refusal::Gone)?;
        let app = &self.apps[run.app];
        let healthy = self
            .pods
            .values()
            .filter(|other| {
                other.app == run.app && other.pod.ready && other.pod.deleted_at.is_none()
            })
            .count();
        if run.pod.ready && healthy <= app.min_available as usize {
            let message = format!(
                "The disruption budget {} needs {} healthy pods and has {healthy} currently",
                app.name, app.min_available
            );
            return Err(Refusal::Budget { retry_after: None, message });
        }
        Ok(())
    }

    fn end(&mut self, uid: &str, grace: u32, how: &str, now: Timestamp) -> Answer {
        let Some(run) = self.pods.get_mut(uid) else { return Answer::Refused(Refusal::Gone) };
        let first = run.pod.deleted_at.is_none();
        let takes = self.apps[run.app].stops_in.min(grace);
        let at = |seconds: u32| now.checked_add(Duration::from_secs(u64::from(seconds))).ok();
        run.pod.deleted_at = at(grace);
        run.gone_at = at(takes).into_iter().chain(run.gone_at).min();
        run.pod.ready = false;
        let line = format!("{} {how} {}", run.pod.full_name(), run.pod.node);
        if first {
            self.tell(now, line);
        }
        Answer::Done
    }

    pub fn look(&self, target: &Target) -> Look {
        let context = self.context(target);
        let on_node =
            |run: &&Run| context.node.as_ref().is_some_and(|node| node.name == run.pod.node);
        Look {
            stale: false,
            pods: self.pods.values().filter(on_node).map(|run| run.pod.clone()).collect(),
            waiting: self
                .pods
                .values()
                .filter(|run| !run.pod.ready && run.pod.deleted_at.is_none())
                .map(|run| run.pod.clone())
                .collect(),
            workload: context.workload,
            node: context.node,
        }
    }

    pub fn context(&self, target: &Target) -> Context {
        let pod = match target {
            Target::Pod { namespace, name } => self
                .pods
                .values()
                .find(|run| run.pod.namespace == *namespace && run.pod.name == *name)
                .map(|run| run.pod.clone()),
            _ => None,
        };
        let node = match target {
            Target::Node(name) => self.nodes.get(name),
            _ => pod.as_ref().and_then(|pod| self.nodes.get(&pod.node)),
        };
        let size = |pool: &str| self.nodes.values().filter(|node| node.pool == pool).count();
        let pool = node.map(|node| Pool {
            name: node.pool.clone(),
            size: u32::try_from(size(&node.pool)).unwrap_or(u32::MAX),
        });
        let sizes = node.map(|node| {
            let tenant = node.labels.get("tenant");
            let like = |same: &dyn Fn(&Node) -> bool| {
                u32::try_from(self.nodes.values().filter(|other| same(other)).count())
                    .unwrap_or(u32::MAX)
            };
            Sizes {
                cluster: like(&|_| true),
                zone: like(&|other| other.zone == node.zone),
                tenant: like(&|other| tenant.is_some() && other.labels.get("tenant") == tenant),
            }
        });
        Context {
            sizes,
            node: node.cloned(),
            pool,
            workload: self.workload(target),
            pod,
            cloud: BTreeMap::new(),
        }
    }

    fn workload(&self, target: &Target) -> Option<Workload> {
        let Target::Workload { namespace, name, .. } = target else { return None };
        let at =
            self.apps.iter().position(|app| app.namespace == *namespace && app.name == *name)?;
        let ready = self.pods.values().filter(|run| run.app == at && run.pod.ready).count();
        let ready = u32::try_from(ready).unwrap_or(u32::MAX);
        Some(Workload {
            kind: WorkloadKind::Deployment,
            namespace: namespace.clone(),
            name: name.clone(),
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            template_annotations: BTreeMap::new(),
            replicas: self.apps[at].replicas,
            ready,
            updated: ready,
        })
    }

    /// The node with that cloud instance.
    pub fn node_named(&self, alias: &str) -> Option<String> {
        let is = |node: &&Node| node.instance_id == alias || node.name == alias;
        self.nodes.values().find(is).map(|node| node.name.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_evicted_pod_runs_again_elsewhere_and_a_budget_holds() {
        let mut world = World::default();
        for node in ["a", "b"] {
            world.add_node(node, "p", "z", "spot");
        }
        world.add_app(App {
            namespace: "ns".into(),
            name: "app".into(),
            replicas: 2,
            pools: vec!["p".into()],
            min_available: 2,
            stops_in: 1,
            grace: 30,
        });
        let at = |millis: u64| Timestamp::UNIX_EPOCH + Duration::from_millis(millis);
        world.pass(at(0));
        world.pass(at(1000));
        assert_eq!(world.health(), (2, 2));
        let pod = world.look(&Target::Node("a".into())).pods.remove(0);
        let evict = ClusterCall::Evict {
            namespace: pod.namespace,
            name: pod.name,
            uid: pod.uid,
            grace: 30,
        };
        assert!(matches!(world.call(&evict, at(1000)), Answer::Refused(Refusal::Budget { .. })));
        world.apps[0].min_available = 1;
        assert_eq!(world.call(&evict, at(1000)), Answer::Done);
        for millis in [1000, 2000, 3000, 4000] {
            world.pass(at(millis));
        }
        assert_eq!(world.health(), (2, 2));
    }
}
