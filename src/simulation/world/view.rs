//! What watch caches would show of the world.

use super::{Kind, Run, World};
use crate::cluster::Sight;
use crate::model::{Context, Look, Node, Pod, Pool, Sizes, Target, Waiting, Workload, gpus_of};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

impl World {
    /// One look, as the watch caches would answer it.
    pub fn look(&self, sight: &Sight) -> Look {
        let pod = sight.target.as_ref().and_then(|target| self.pod_of(target));
        let node = sight.target.as_ref().and_then(|target| self.node_of(target, pod));
        let machine = node.and_then(|node| self.nodes.get(&node.name));
        let on_node =
            machine.into_iter().flat_map(|machine| machine.pods.iter().chain(&machine.daemons));
        let runs = on_node.filter_map(|uid| self.pods.get(uid));
        let waiting = |of: &String| {
            let uids = self.waiting.get(of)?;
            let few = uids.iter().take(Waiting::NAMED).filter_map(|uid| self.pods.get(uid));
            let names = few.map(|run| run.pod.full_name()).collect();
            let mut runs = uids.iter().filter_map(|uid| self.pods.get(uid));
            let unplaced = runs.any(|run| run.queued.is_some());
            let why = unplaced.then(|| "no node has room".to_owned());
            Some((of.clone(), Waiting { count: uids.len(), names, why }))
        };
        let of = sight.workload.as_ref().or(sight.target.as_ref());
        let runs: Vec<&Run> = runs.collect();
        let here = runs.iter().filter(|run| run.pod.gang().is_some()).map(|run| run.app);
        let named = sight.controllers.iter().filter_map(|of| self.gang_named(of));
        let gangs: BTreeSet<usize> = here.chain(named).collect();
        let members = gangs.iter().flat_map(|app| &self.apps[*app].pods);
        let elsewhere = |run: &&Run| node.is_none_or(|node| run.pod.node != node.name);
        let peers = members.filter_map(|uid| self.pods.get(uid)).filter(elsewhere);
        Look {
            stale: false,
            peers: peers.map(|run| Arc::new(run.pod.clone())).collect(),
            pods: runs.into_iter().map(|run| run.pod.clone()).collect(),
            workload: of.and_then(|of| self.workload_of(of, pod)),
            waiting: sight.controllers.iter().filter_map(waiting).collect(),
            moved: sight.moved.iter().filter_map(|of| self.workload_of(of, None)).collect(),
            node: node.cloned(),
        }
    }

    /// The app whose pods are the gang of that name.
    fn gang_named(&self, name: &str) -> Option<usize> {
        let mut parts = name.split('/');
        let (namespace, app) = (parts.next()?, parts.next_back()?);
        let at = *self.by_app.get(&(namespace.to_owned(), app.to_owned()))?;
        let pod = &self.pods.get(self.apps[at].pods.first()?)?.pod;
        (pod.gang().as_deref() == Some(name)).then_some(at)
    }

    /// Another number after every change of what `sight` shows.
    pub fn version(&self, sight: &Sight) -> u64 {
        self.news.version(sight)
    }

    /// What an event about `target` carries.
    pub fn context(&self, target: &Target) -> Context {
        let pod = self.pod_of(target);
        let node = self.node_of(target, pod);
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let sizes = node.map(|node| Sizes {
            cluster: count(self.nodes.len()),
            zone: self.zones.get(&node.zone).copied().unwrap_or(0),
            tenant: node
                .labels
                .get("tenant")
                .and_then(|tenant| self.tenants.get(tenant))
                .copied()
                .unwrap_or(0),
        });
        Context {
            sizes,
            pool: node.map(|node| Pool {
                name: node.pool.clone(),
                size: self.pools.get(&node.pool).map_or(0, |pool| pool.size),
            }),
            node: node.cloned(),
            workload: self.workload_of(target, pod),
            pod: pod.map(|run| run.pod.clone()),
            cloud: BTreeMap::new(),
        }
    }

    /// A node as the API server would have it, as far as anybody asks.
    pub(super) fn one_node(&self, name: &str) -> Option<serde_json::Value> {
        let node = self.node(name)?;
        let gpus = gpus_of(&node.instance_type).unwrap_or(0).to_string();
        let ready = if node.ready { "True" } else { "False" };
        Some(serde_json::json!({
            "metadata": { "name": name, "labels": node.labels, "annotations": node.annotations },
            "spec": { "unschedulable": node.unschedulable },
            "status": {
                "capacity": { "nvidia.com/gpu": gpus }, "allocatable": { "nvidia.com/gpu": gpus },
                "conditions": [{ "type": "Ready", "status": ready }],
            },
        }))
    }

    fn pod_of(&self, target: &Target) -> Option<&Run> {
        let Target::Pod { namespace, name } = target else { return None };
        self.pods.get(self.names.get(&(namespace.clone(), name.clone()))?)
    }

    fn node_of(&self, target: &Target, pod: Option<&Run>) -> Option<&Node> {
        match target {
            Target::Node(name) => self.node(name),
            Target::Instance(id) => self.node(self.instances.get(id)?),
            _ => self.node(&pod?.pod.node),
        }
    }

    fn workload_of(&self, target: &Target, pod: Option<&Run>) -> Option<Workload> {
        match target {
            Target::Workload { kind, namespace, name } => {
                let at = *self.by_app.get(&(namespace.clone(), name.clone()))?;
                self.workload_at(at).filter(|of| of.kind.word() == kind)
            }
            _ => self.workload_at(pod?.app),
        }
    }

    /// The node with that cloud instance.
    pub fn node_named(&self, alias: &str) -> Option<String> {
        match self.nodes.contains_key(alias) {
            true => Some(alias.to_owned()),
            false => self.instances.get(alias).cloned(),
        }
    }

    /// The cloud instance of a node.
    pub fn instance_of(&self, node: &str) -> Option<String> {
        self.node(node).map(|node| node.instance_id.clone())
    }

    /// The pods of an app, those that end included, in order of their names.
    pub fn pods_of(&self, namespace: &str, name: &str) -> Vec<Pod> {
        let Some(&at) = self.by_app.get(&(namespace.to_owned(), name.to_owned())) else {
            return vec![];
        };
        let runs = self.apps[at].pods.iter().filter_map(|uid| self.pods.get(uid));
        let mut pods: Vec<Pod> = runs.map(|run| run.pod.clone()).collect();
        pods.sort_by(|one, other| one.name.cmp(&other.name));
        pods
    }

    /// A DaemonSet's pod, or a static one: nobody may tell it to go.
    pub fn has_to_stay(&self, uid: &str) -> bool {
        let kind = self.pods.get(uid).map(|run| self.apps[run.app].spec.kind);
        matches!(kind, Some(Kind::DaemonSet | Kind::Static))
    }
}
