//! Machines: they join, are cordoned, fall silent and go.

use super::{Due, Growth, Machine, Mark, Market, World};
use crate::model::{Answer, Node, NodePatch, Refusal, Target};
use std::collections::{BTreeMap, BTreeSet};

/// A pool of like machines.
#[derive(Debug, Clone, Default)]
pub struct Pool {
    pub name: String,
    /// Nodes are called by it and a number. Empty: the pool's name and a dash.
    pub prefix: String,
    pub nodes: u32,
    /// One after the other.
    pub zones: Vec<String>,
    pub instance_type: String,
    pub market: Market,
    /// Pods that a node has room for.
    pub slots: u32,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    /// Dollars for a machine and hour.
    pub price: f64,
    pub grows: Option<Growth>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct PoolState {
    pub(super) spec: Pool,
    /// Counts the names that were given.
    pub(super) named: u32,
    pub(super) size: u32,
    pub(super) booting: u32,
    /// Nodes that take pods: how many they have, and their names.
    pub(super) open: BTreeSet<(usize, String)>,
    /// Looks again soon whether it has to grow.
    pub(super) looking: bool,
    /// The cloud had no machine for it the last time.
    pub(super) refused: bool,
}

impl World {
    /// Adds a pool with all of its nodes, ready.
    pub fn add_pool(&mut self, spec: Pool) {
        let (name, nodes) = (spec.name.clone(), spec.nodes);
        self.pools.insert(name.clone(), PoolState { spec, ..PoolState::default() });
        for _ in 0..nodes {
            let Some((node, zone, market)) = self.name_next(&name, None, None) else { return };
            self.place(&name, &node, &zone, market);
        }
    }

    /// Name, zone and market of the pool's next node.
    pub(super) fn name_next(
        &mut self,
        pool: &str,
        zone: Option<&str>,
        market: Option<Market>,
    ) -> Option<(String, String, Market)> {
        let state = self.pools.get_mut(pool)?;
        state.named += 1;
        let at = state.named as usize - 1;
        let zones = &state.spec.zones;
        let zone = zone.map(str::to_owned).or_else(|| zones.get(at % zones.len().max(1)).cloned());
        let market = market.unwrap_or(state.spec.market);
        let prefix = match state.spec.prefix.as_str() {
            "" => format!("{pool}-"),
            prefix => prefix.to_owned(),
        };
        Some((format!("{prefix}{}", state.named), zone.unwrap_or_default(), market))
    }

    /// Puts a machine into the cluster.
    pub(super) fn place(&mut self, pool: &str, name: &str, zone: &str, market: Market) {
        let Some(state) = self.pools.get_mut(pool) else { return };
        state.size += 1;
        let spec = &state.spec;
        let mut labels = spec.labels.clone();
        for (key, value) in [
            ("karpenter.sh/nodepool", pool),
            ("karpenter.sh/capacity-type", market.word()),
            ("topology.kubernetes.io/zone", zone),
            ("node.kubernetes.io/instance-type", &spec.instance_type),
        ] {
            labels.insert(key.into(), value.into());
        }
        let instance_id = super::capacity::instance_of(name);
        let node = Node {
            name: name.into(),
            uid: format!("uid-{name}"),
            ready: true,
            pool: pool.into(),
            zone: zone.into(),
            instance_type: spec.instance_type.clone(),
            capacity_type: market.word().into(),
            instance_id: instance_id.clone(),
            labels,
            annotations: spec.annotations.clone(),
            claim: format!("{name}-claim"),
            boot_id: "first".into(),
            ..Node::default()
        };
        if let Some(tenant) = node.labels.get("tenant") {
            *self.tenants.entry(tenant.clone()).or_default() += 1;
        }
        *self.zones.entry(zone.into()).or_default() += 1;
        let price = match market {
            Market::Spot => spec.price,
            // What the same machine costs on demand, roughly, where the pool is one of spot machines.
            Market::OnDemand if spec.market == Market::Spot => spec.price * 3.0,
            Market::OnDemand => spec.price,
        };
        let machine = Machine {
            node,
            slots: spec.slots as usize,
            pods: BTreeSet::new(),
            daemons: BTreeSet::new(),
            market,
            price,
            since: self.now,
            alive: true,
        };
        self.instances.insert(instance_id, name.into());
        self.nodes.insert(name.into(), machine);
        self.changed_node(name);
        self.daemons(name);
    }

    /// A node's state has changed: who looks at it hears of it, and it takes pods, or does not.
    pub(super) fn changed_node(&mut self, name: &str) {
        self.news.target(Target::Node(name.to_owned()));
        self.seat(name);
    }

    /// Whether the node takes pods, and after which others. To be called before and after its pods change.
    pub(super) fn unseat(&mut self, name: &str) {
        if let Some(machine) = self.nodes.get(name)
            && let Some(pool) = self.pools.get_mut(&machine.node.pool)
        {
            pool.open.remove(&(machine.pods.len(), name.to_owned()));
        }
    }

    pub(super) fn seat(&mut self, name: &str) {
        self.unseat(name);
        if let Some(machine) = self.nodes.get(name)
            && machine.node.ready
            && !machine.node.unschedulable
            && machine.pods.len() < machine.slots
            && let Some(pool) = self.pools.get_mut(&machine.node.pool)
        {
            pool.open.insert((machine.pods.len(), name.to_owned()));
            self.unscheduled = !self.pending.is_empty();
        }
    }

    /// A kubelet that falls silent, or answers again.
    pub fn silence(&mut self, name: &str, silent: bool) {
        let Some(machine) = self.nodes.get_mut(name) else { return };
        machine.alive = !silent;
        machine.node.ready = !silent;
        let word = if silent { "does not answer any more" } else { "answers again" };
        self.note(Some(name), Mark::Note, format!("the kubelet of {name} {word}"));
        self.changed_node(name);
        if !silent {
            let now = self.now;
            let uids: Vec<String> = self.nodes[name].pods.iter().cloned().collect();
            for uid in uids {
                if self.pods.get(&uid).is_some_and(|run| run.gone_at.is_some_and(|at| at <= now)) {
                    self.plan(now, Due::Gone(uid));
                }
            }
        }
    }

    /// A machine that has started anew answers again.
    pub fn rebooted(&mut self, name: &str) {
        if let Some(machine) = self.nodes.get_mut(name) {
            machine.node.boot_id = format!("{}+", machine.node.boot_id);
        }
        self.silence(name, false);
    }

    /// A person cordons the node, or takes the cordon back, past the daemon.
    pub fn person_cordons(&mut self, name: &str, closed: bool) {
        let Some(machine) = self.nodes.get_mut(name) else { return };
        let before = std::mem::replace(&mut machine.node.unschedulable, closed);
        self.cordoned = self.cordoned + usize::from(closed) - usize::from(before);
        let (mark, word) = match closed {
            true => (Mark::Cordoned, "cordons"),
            false => (Mark::Uncordoned, "uncordons"),
        };
        self.note(Some(name), mark, format!("a person {word} {name}"));
        self.changed_node(name);
    }

    pub(super) fn patch(&mut self, name: &str, patch: &NodePatch) -> Answer {
        let Some(machine) = self.nodes.get_mut(name) else { return Answer::Refused(Refusal::Gone) };
        let node = &mut machine.node;
        for (key, effect) in &patch.untaint {
            node.taints.retain(|taint| taint.key != *key || taint.effect != *effect);
        }
        for taint in &patch.taints {
            if !node.taints.contains(taint) {
                node.taints.push(taint.clone());
            }
        }
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
        let before = node.unschedulable;
        node.unschedulable = patch.unschedulable.unwrap_or(before);
        let after = node.unschedulable;
        self.cordoned = self.cordoned + usize::from(after) - usize::from(before);
        match (before, after) {
            (false, true) => {
                if let Some(noticed) = self.noticed.remove(name) {
                    let after = self.now.duration_since(noticed).try_into().unwrap_or_default();
                    self.sums.cordons.push(after);
                }
                let text = format!("{name} is cordoned: no new work lands on it");
                self.note(Some(name), Mark::Cordoned, text);
            }
            (true, false) => {
                self.note(Some(name), Mark::Uncordoned, format!("{name} takes work again"));
            }
            _ => {}
        }
        self.changed_node(name);
        Answer::Done
    }

    pub fn node(&self, name: &str) -> Option<&Node> {
        self.nodes.get(name).map(|machine| &machine.node)
    }

    /// The nodes of a pool, or of all, in order of their names' numbers.
    pub fn nodes_of(&self, pool: Option<&str>) -> Vec<String> {
        let ours = |machine: &&Machine| pool.is_none_or(|pool| machine.node.pool == pool);
        let mut names: Vec<String> =
            self.nodes.values().filter(ours).map(|machine| machine.node.name.clone()).collect();
        let number = |name: &str| {
            let digits = name.len() - name.trim_end_matches(|c: char| c.is_ascii_digit()).len();
            name[name.len() - digits..].parse::<u32>().ok()
        };
        names.sort_by_key(|name| number(name));
        names
    }

    /// Nodes that are cordoned now.
    pub fn cordoned(&self) -> usize {
        self.cordoned
    }

    /// The node of `pool` with most pods on it, the first by name among equals.
    pub fn busiest(&self, pool: &str) -> Option<String> {
        let most = self.nodes.values().filter(|machine| machine.node.pool == pool);
        most.rev().max_by_key(|machine| machine.pods.len()).map(|machine| machine.node.name.clone())
    }
}
