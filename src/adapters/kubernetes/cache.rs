//! The cluster in memory: indexed by what is asked for, never scanned per event.

use crate::cluster::{News, Sight};
use crate::model::{
    Context, Joined, Look, Node, Pod, Pool, Sizes, Target, Waiting, Workload, WorkloadKind,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

type PodKey = (String, String);
type WorkloadKey = (WorkloadKind, String, String);

#[derive(Debug, Default)]
pub(super) struct Cache {
    nodes: BTreeMap<String, Node>,
    /// Cloud instance or internal address to node.
    aliases: BTreeMap<String, String>,
    pools: BTreeMap<String, u32>,
    zones: BTreeMap<String, u32>,
    /// By the label `tenant`.
    tenants: BTreeMap<String, u32>,
    pods: BTreeMap<PodKey, Arc<Pod>>,
    /// Members by gang.
    gangs: BTreeMap<String, BTreeSet<PodKey>>,
    by_node: BTreeMap<String, BTreeSet<PodKey>>,
    /// Pods that are not ready, by what makes them.
    waiting: BTreeMap<String, BTreeSet<PodKey>>,
    workloads: BTreeMap<WorkloadKey, Workload>,
    /// The pod that this daemon runs in, where it runs in one.
    own: Option<PodKey>,
    pub(super) news: News,
}

impl Cache {
    pub(super) fn new(own: Option<PodKey>) -> Cache {
        Cache { own, ..Cache::default() }
    }

    pub(super) fn put_node(&mut self, node: Node) {
        self.drop_node(&node.name);
        self.news.target(Target::Node(node.name.clone()));
        for alias in
            [&node.instance_id, &node.internal_ip].into_iter().filter(|alias| !alias.is_empty())
        {
            self.aliases.insert(alias.clone(), node.name.clone());
        }
        for (counts, group) in self.groups(&node) {
            *counts.entry(group).or_default() += 1;
        }
        self.nodes.insert(node.name.clone(), node);
    }

    pub(super) fn drop_node(&mut self, name: &str) {
        let Some(node) = self.nodes.remove(name) else { return };
        self.news.target(Target::Node(name.to_owned()));
        self.aliases.retain(|_, of| of != name);
        for (counts, group) in self.groups(&node) {
            if let Some(size) = counts.get_mut(&group) {
                *size = size.saturating_sub(1);
            }
        }
    }

    /// What the node counts for, and where that is counted.
    fn groups(&mut self, node: &Node) -> [(&mut BTreeMap<String, u32>, String); 3] {
        let tenant = node.labels.get("tenant").cloned().unwrap_or_default();
        [
            (&mut self.pools, node.pool.clone()),
            (&mut self.zones, node.zone.clone()),
            (&mut self.tenants, tenant),
        ]
    }

    pub(super) fn put_pod(&mut self, mut pod: Pod) {
        let key = (pod.namespace.clone(), pod.name.clone());
        pod.own = self.own.as_ref() == Some(&key);
        self.drop_pod(&key);
        if !pod.node.is_empty() {
            self.by_node.entry(pod.node.clone()).or_default().insert(key.clone());
        }
        if !pod.ready && pod.stays().is_none() && pod.deleted_at.is_none() {
            self.waiting.entry(pod.maker()).or_default().insert(key.clone());
        }
        if let Some(gang) = pod.gang() {
            self.gangs.entry(gang).or_default().insert(key.clone());
        }
        self.news.pod(&pod);
        self.pods.insert(key, Arc::new(pod));
    }

    pub(super) fn drop_pod(&mut self, key: &PodKey) {
        let Some(pod) = self.pods.remove(key) else { return };
        self.news.pod(&pod);
        for (index, group) in [
            (&mut self.waiting, Some(pod.maker())),
            (&mut self.gangs, pod.gang()),
            (&mut self.by_node, Some(pod.node.clone())),
        ] {
            if let Some(group) = group
                && let Some(members) = index.get_mut(&group)
            {
                members.remove(key);
                if members.is_empty() {
                    index.remove(&group);
                }
            }
        }
    }

    pub(super) fn put_workload(&mut self, of: Workload) {
        self.news.target(of.target());
        self.workloads.insert((of.kind, of.namespace.clone(), of.name.clone()), of);
    }

    pub(super) fn drop_workload(&mut self, key: &WorkloadKey) {
        if let Some(of) = self.workloads.remove(key) {
            self.news.target(of.target());
        }
    }

    pub(super) fn node_names(&self) -> Vec<String> {
        self.nodes.keys().cloned().collect()
    }

    pub(super) fn pod_keys(&self) -> Vec<PodKey> {
        self.pods.keys().cloned().collect()
    }

    pub(super) fn workload_keys(&self, kind: WorkloadKind) -> Vec<WorkloadKey> {
        self.workloads.keys().filter(|key| key.0 == kind).cloned().collect()
    }

    pub(super) fn node_named(&self, alias: &str) -> Option<String> {
        match self.nodes.contains_key(alias) {
            true => Some(alias.to_owned()),
            false => self.aliases.get(alias).cloned(),
        }
    }

    /// The nodes that these EC2 instances are.
    pub(super) fn joined(&self, machines: &[String]) -> Vec<Joined> {
        let ours = self.nodes.values().filter(|node| machines.contains(&node.instance_id));
        let pods = |node: &Node| {
            let on = self.by_node.get(&node.name).into_iter().flatten();
            let moves = on.filter_map(|key| self.pods.get(key)).filter(|pod| pod.stays().is_none());
            u32::try_from(moves.count()).unwrap_or(u32::MAX)
        };
        let joined = |node: &Node| Joined {
            machine: node.instance_id.clone(),
            node: node.name.clone(),
            ready: node.ready && !node.unschedulable,
            pods: pods(node),
        };
        ours.map(joined).collect()
    }

    pub(super) fn look(&self, sight: &Sight) -> Look {
        let pod = sight.target.as_ref().and_then(|target| self.pod(target));
        let node = sight.target.as_ref().and_then(|target| self.node(target, pod));
        let on_node = node.and_then(|node| self.by_node.get(&node.name));
        let of = sight.workload.as_ref().or(sight.target.as_ref());
        let waiting = |of: &String| {
            let keys = self.waiting.get(of)?;
            let name = |(namespace, name): &PodKey| format!("{namespace}/{name}");
            let names = keys.iter().take(Waiting::NAMED).map(name).collect();
            let why = keys.iter().find_map(|key| self.pods.get(key)?.unscheduled.clone());
            Some((of.clone(), Waiting { count: keys.len(), names, why }))
        };
        let pods: Vec<&Arc<Pod>> =
            on_node.into_iter().flatten().filter_map(|key| self.pods.get(key)).collect();
        let here = pods.iter().filter_map(|pod| pod.gang());
        let gangs: BTreeSet<String> = here.chain(sight.controllers.iter().cloned()).collect();
        let members = gangs.iter().filter_map(|gang| self.gangs.get(gang)).flatten();
        let elsewhere = |pod: &&Arc<Pod>| node.is_none_or(|node| pod.node != node.name);
        Look {
            stale: false,
            peers: members
                .filter_map(|key| self.pods.get(key))
                .filter(elsewhere)
                .cloned()
                .collect(),
            pods: pods.into_iter().map(|pod| Pod::clone(pod)).collect(),
            workload: of.and_then(|of| self.workload(of, pod)).cloned(),
            waiting: sight.controllers.iter().filter_map(waiting).collect(),
            moved: sight.moved.iter().filter_map(|of| self.workload(of, None)).cloned().collect(),
            node: node.cloned(),
        }
    }

    pub(super) fn context(&self, target: &Target) -> Context {
        let pod = self.pod(target);
        let node = self.node(target, pod);
        let pool = node.filter(|node| !node.pool.is_empty()).map(|node| Pool {
            name: node.pool.clone(),
            size: self.pools.get(&node.pool).copied().unwrap_or(0),
        });
        let count = |counts: &BTreeMap<String, u32>, group: &str| {
            if group.is_empty() { 0 } else { counts.get(group).copied().unwrap_or(0) }
        };
        let tenant = node.and_then(|node| node.labels.get("tenant"));
        let sizes = node.map(|node| Sizes {
            cluster: u32::try_from(self.nodes.len()).unwrap_or(u32::MAX),
            zone: count(&self.zones, &node.zone),
            tenant: tenant.map_or(0, |tenant| count(&self.tenants, tenant)),
        });
        Context {
            sizes,
            node: node.cloned(),
            pod: pod.cloned(),
            workload: self.workload(target, pod).cloned(),
            pool,
            cloud: BTreeMap::new(),
        }
    }

    fn pod(&self, target: &Target) -> Option<&Pod> {
        match target {
            Target::Pod { namespace, name } => {
                self.pods.get(&(namespace.clone(), name.clone())).map(AsRef::as_ref)
            }
            _ => None,
        }
    }

    fn node(&self, target: &Target, pod: Option<&Pod>) -> Option<&Node> {
        match target {
            Target::Node(name) => self.nodes.get(name),
            Target::Instance(id) => self.nodes.get(self.aliases.get(id)?),
            _ => self.nodes.get(&pod?.node),
        }
    }

    fn workload(&self, target: &Target, pod: Option<&Pod>) -> Option<&Workload> {
        if let Target::Workload { kind, namespace, name } = target {
            let kind = WorkloadKind::ALL.into_iter().find(|known| known.word() == kind)?;
            return self.workloads.get(&(kind, namespace.clone(), name.clone()));
        }
        let pod = pod?;
        let owner = pod.owners.iter().find(|owner| owner.controller)?;
        let (kind, name) = match owner.kind.as_str() {
            // A ReplicaSet is named after its Deployment and the hash of the pod template.
            "ReplicaSet" => {
                let hash = pod.labels.get("pod-template-hash")?;
                (WorkloadKind::Deployment, owner.name.strip_suffix(hash)?.trim_end_matches('-'))
            }
            "StatefulSet" => (WorkloadKind::StatefulSet, owner.name.as_str()),
            "DaemonSet" => (WorkloadKind::DaemonSet, owner.name.as_str()),
            "Job" => (WorkloadKind::Job, owner.name.as_str()),
            _ => return None,
        };
        self.workloads.get(&(kind, pod.namespace.clone(), name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_that_moves_or_goes_leaves_no_trace() {
        let mut cache = Cache::default();
        let node = |name: &str| Node {
            name: name.into(),
            pool: "p".into(),
            instance_id: format!("i-{name}"),
            ..Node::default()
        };
        cache.put_node(node("a"));
        cache.put_node(node("b"));
        let pod = |on: &str| Pod {
            namespace: "ns".into(),
            name: "x".into(),
            node: on.into(),
            ..Pod::default()
        };
        cache.put_pod(pod("a"));
        cache.put_pod(pod("b"));
        assert!(cache.look(&Sight::of(&Target::Node("a".into()))).pods.is_empty());
        assert_eq!(cache.look(&Sight::of(&Target::Instance("i-b".into()))).pods.len(), 1);
        assert_eq!(cache.context(&Target::Node("a".into())).pool.map(|pool| pool.size), Some(2));
        cache.drop_pod(&("ns".into(), "x".into()));
        cache.drop_node("b");
        assert_eq!((cache.by_node.len(), cache.node_named("i-b")), (0, None));
        assert_eq!(cache.context(&Target::Node("a".into())).pool.map(|pool| pool.size), Some(1));
    }
}
