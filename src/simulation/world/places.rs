//! Pods that hold a place: what they ask for, whom they leave it to, and how they are found.

use super::{App, Kind, Pool, Run, World};
use crate::model::{Answer, Made, Pod, PodPhase, Refusal};
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};

/// Of placeholders, from bound to running.
const HOLDS_IN: Duration = Duration::from_secs(2);

impl World {
    /// Placeholders that are there.
    pub fn places_held(&self) -> usize {
        self.pods.values().filter(|run| self.apps[run.app].spec.holds_place).count()
    }

    /// A pod that holds a place in the first pool that it asks for.
    pub(super) fn make_pod(&mut self, made: &Made) -> Answer {
        let key = (made.namespace.clone(), made.name.clone());
        if self.names.contains_key(&key) {
            let message = format!("pods \"{}\" already exists", made.name);
            return Answer::Refused(Refusal::Changed(message));
        }
        let asked = &made.body["spec"];
        let mut wanted: BTreeMap<String, String> = BTreeMap::new();
        let selector = asked["nodeSelector"].as_object().into_iter().flatten();
        wanted.extend(selector.map(|(key, it)| (key.clone(), it.as_str().unwrap_or("").into())));
        let required = "/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms/0/matchExpressions";
        for one in asked.pointer(required).and_then(Value::as_array).into_iter().flatten() {
            let has_to = one["operator"] == "In";
            if let (true, Some(key), Some(value)) =
                (has_to, one["key"].as_str(), one["values"][0].as_str())
            {
                wanted.insert(key.into(), value.into());
            }
        }
        self.add_app(App {
            namespace: made.namespace.clone(),
            name: made.name.clone(),
            kind: Kind::Bare,
            replicas: 1,
            pools: self.pools_with(&wanted),
            labels: made.labels.clone(),
            starts_in: HOLDS_IN,
            holds_place: true,
            ..App::default()
        });
        Answer::Done
    }

    /// Pools whose nodes have these labels.
    pub(super) fn pools_with(&self, wanted: &BTreeMap<String, String>) -> Vec<String> {
        let has = |pool: &Pool, key: &str, value: &str| match key {
            "karpenter.sh/nodepool" => pool.name == value,
            "karpenter.sh/capacity-type" => pool.market.word() == value,
            "node.kubernetes.io/instance-type" => pool.instance_type == value,
            "topology.kubernetes.io/zone" => pool.zones.iter().any(|zone| zone == value),
            _ => pool.labels.get(key).is_some_and(|known| known == value),
        };
        let fits = |pool: &&Pool| wanted.iter().all(|(key, value)| has(pool, key, value));
        let all = self.pools.values().map(|state| &state.spec);
        all.filter(fits).map(|pool| pool.name.clone()).collect()
    }

    /// A pod of lower priority leaves its node to who finds no room.
    pub(super) fn preempts(&mut self, app: usize) -> Option<String> {
        let spec = &self.apps[app].spec;
        if spec.holds_place {
            return None;
        }
        let held = self.apps.iter().filter(|app| app.spec.holds_place).flat_map(|app| &app.pods);
        let holds = |run: &&Run| {
            let node = self.nodes.get(&run.pod.node).map(|machine| &machine.node);
            node.is_some_and(|node| spec.pools.contains(&node.pool) && !node.unschedulable)
        };
        let (uid, node) = held
            .filter_map(|uid| self.pods.get(uid))
            .find(holds)
            .map(|run| (run.pod.uid.clone(), run.pod.node.clone()))?;
        self.forget(&uid);
        Some(node)
    }

    /// What Karpenter says of a pod that waits for a node, where the cloud had none for it.
    pub(super) fn told_of_pod(&self, namespace: &str, name: &str) -> Value {
        let uid = self.names.get(&(namespace.to_owned(), name.to_owned()));
        let run = uid.and_then(|uid| self.pods.get(uid)).filter(|run| run.queued.is_some());
        let Some(run) = run else { return json!([]) };
        let none = |name: &String| self.pools.get(name).is_some_and(|pool| pool.refused);
        let pools = &self.apps[run.app].spec.pools;
        if !pools.iter().all(none) {
            return json!([]);
        }
        json!([{
            "reason": "FailedScheduling", "reportingComponent": "karpenter",
            "message": "Failed to schedule pod, no instance type met the requirements and had an offering",
            "lastTimestamp": self.now.to_string(),
        }])
    }

    pub(super) fn unmake(&mut self, namespace: &str, labels: &str) -> Answer {
        let ours: Vec<String> = self
            .pods_with(Some(namespace), labels)
            .filter(|run| self.apps[run.app].spec.holds_place)
            .map(|run| run.pod.uid.clone())
            .collect();
        for uid in ours {
            self.forget(&uid);
        }
        Answer::Done
    }

    fn pods_with<'a>(
        &'a self,
        namespace: Option<&'a str>,
        labels: &'a str,
    ) -> impl Iterator<Item = &'a Run> {
        let (key, value) = labels.split_once('=').unwrap_or((labels, ""));
        let here = move |pod: &Pod| {
            let all = key.is_empty() || pod.labels.get(key).is_some_and(|known| known == value);
            all && namespace.is_none_or(|namespace| pod.namespace == namespace)
        };
        self.pods.values().filter(move |run| here(&run.pod))
    }

    pub(super) fn one_pod(&self, namespace: Option<&str>, name: &str) -> Option<Value> {
        let pod = self.pod(namespace.unwrap_or_default(), name)?;
        let containers = json!([{ "name": "main", "resources": {} }]);
        Some(json!({ "metadata": { "name": pod.name }, "spec": { "containers": containers } }))
    }

    pub(super) fn many_pods(&self, namespace: Option<&str>, labels: &str) -> Value {
        let shown = |run: &Run| {
            let phase = match run.pod.phase {
                PodPhase::Running => "Running",
                _ => "Pending",
            };
            let (name, namespace) = (&run.pod.name, &run.pod.namespace);
            let mut pod = json!({ "metadata": { "name": name, "namespace": namespace }, "spec": { "nodeName": run.pod.node }, "status": { "phase": phase } });
            if run.queued.is_some() {
                let all = self.nodes.len();
                let message = format!("0/{all} nodes are available: {all} Too many pods.");
                pod["status"]["conditions"] = json!([{ "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message }]);
            }
            pod
        };
        self.pods_with(namespace, labels).map(shown).collect()
    }
}
