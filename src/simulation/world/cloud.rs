//! The cloud: machines to be had or not, how long they take to come, what they cost; and the storage.

use super::{Due, Mark, World};
use crate::model::Target;
use jiff::Timestamp;
use std::{collections::BTreeMap, time::Duration};

/// How a machine is paid for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Market {
    Spot,
    #[default]
    OnDemand,
}

impl Market {
    pub const ALL: [(&'static str, Market); 2] =
        [("spot", Market::Spot), ("on-demand", Market::OnDemand)];

    pub fn word(self) -> &'static str {
        match self {
            Market::Spot => "spot",
            Market::OnDemand => "on-demand",
        }
    }
}

/// How a pool grows when pods find no room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Growth {
    /// Nodes at most.
    pub most: u32,
    /// From asked for to in the cluster.
    pub boots_in: Duration,
    pub market: Market,
}

/// Machines of a type that a zone has left. What is not listed never runs out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    pub instance_type: String,
    pub zone: String,
    pub market: Market,
    pub free: u32,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Cloud {
    free: BTreeMap<(String, String, Market), u32>,
    /// Machines that were asked for: pool, zone and market.
    pub(super) booting: BTreeMap<String, (String, String, Market)>,
    /// Nodes that an order has brought, by its key.
    pub(super) orders: BTreeMap<String, Vec<String>>,
    /// Hooks that are waited for, by instance.
    pub(super) hooks: BTreeMap<String, super::groups::Waits>,
    /// Checkpoints that the storage writes at full speed at the same time.
    pub(super) writers: Option<usize>,
}

/// A cloud that has nothing is asked again after so long.
const ICE: Duration = Duration::from_secs(30);

impl Cloud {
    pub(super) fn give_back(&mut self, instance_type: &str, zone: &str, market: Market) {
        let key = (instance_type.to_owned(), zone.to_owned(), market);
        // Spot machines are taken because somebody else pays more: they do not come back.
        if market == Market::OnDemand
            && let Some(free) = self.free.get_mut(&key)
        {
            *free += 1;
        }
    }

    pub(super) fn take(&mut self, instance_type: &str, zone: &str, market: Market) -> bool {
        match self.free.get_mut(&(instance_type.to_owned(), zone.to_owned(), market)) {
            Some(0) => false,
            Some(free) => {
                *free -= 1;
                true
            }
            None => true,
        }
    }

    /// How long a checkpoint takes while `others` are written as well.
    pub(super) fn storage_takes(&self, takes: Duration, others: usize) -> Duration {
        let share = self.writers.map_or(1.0, |writers| (others + 1) as f64 / writers.max(1) as f64);
        takes.mul_f64(share.max(1.0))
    }
}

impl World {
    /// The cloud takes a machine away at `at`.
    pub fn reclaim_at(&mut self, name: &str, at: Timestamp) {
        self.plan(at, Due::Reclaim(name.to_owned()));
    }

    pub(super) fn taken_away(&mut self, name: &str) {
        self.unseat(name);
        let Some(machine) = self.nodes.remove(name) else { return };
        let node = &machine.node;
        self.cordoned -= usize::from(node.unschedulable);
        self.sums.spent += self.cost(&machine);
        self.instances.remove(&node.instance_id);
        self.cloud.give_back(&node.instance_type, &node.zone, machine.market);
        if let Some(pool) = self.pools.get_mut(&node.pool) {
            pool.size = pool.size.saturating_sub(1);
        }
        let tenant = node.labels.get("tenant").cloned();
        for (counts, key) in
            [(&mut self.zones, Some(node.zone.clone())), (&mut self.tenants, tenant)]
        {
            if let Some(count) = key.and_then(|key| counts.get_mut(&key)) {
                *count = count.saturating_sub(1);
            }
        }
        let text = match machine.pods.len() {
            0 => format!("{name} is taken away; it was empty"),
            1 => format!("{name} is taken away, with one pod on it"),
            n => format!("{name} is taken away, with {n} pods on it"),
        };
        self.note(Some(name), Mark::Gone, text);
        self.news.target(Target::Node(name.to_owned()));
        for uid in machine.pods {
            self.dies(&uid, true);
        }
        for uid in machine.daemons {
            self.forget(&uid);
        }
    }

    /// What the cloud has left, instead of plenty.
    pub fn offer(&mut self, offer: Offer) {
        let key = (offer.instance_type, offer.zone, offer.market);
        self.cloud.free.insert(key, offer.free);
    }

    /// The storage writes so many checkpoints at full speed at the same time; more share it.
    pub fn storage(&mut self, writers: usize) {
        self.cloud.writers = Some(writers);
    }

    /// A pool asks for the machines that its waiting pods need.
    pub(super) fn grow(&mut self, name: &str) {
        let waiting = self.waiting_for(name);
        let Some(pool) = self.pools.get_mut(name) else { return };
        pool.looking = false;
        pool.refused = false;
        let Some(growth) = pool.spec.grows.clone() else { return };
        let slots = pool.spec.slots.max(1) as usize;
        let wanted = u32::try_from(waiting.div_ceil(slots)).unwrap_or(u32::MAX);
        let room = growth.most.saturating_sub(pool.size + pool.booting);
        let count = wanted.saturating_sub(pool.booting).min(room);
        let (kind, zones) = (pool.spec.instance_type.clone(), pool.spec.zones.clone());
        for _ in 0..count {
            let free =
                zones.iter().find(|zone| self.cloud.take(&kind, zone, growth.market)).cloned();
            let Some(zone) = free else {
                let market = growth.market.word();
                self.tell(format!("the cloud has no {kind} {market} left in {}", zones.join(", ")));
                if let Some(pool) = self.pools.get_mut(name) {
                    pool.looking = true;
                    pool.refused = true;
                }
                let at = self.later(ICE);
                self.plan(at, Due::Grow(name.to_owned()));
                return;
            };
            if self.boots(name, &zone, growth.market, growth.boots_in).is_none() {
                return;
            }
        }
    }

    pub(super) fn joins(&mut self, node: &str) {
        let Some((pool, zone, market)) = self.cloud.booting.remove(node) else { return };
        if let Some(state) = self.pools.get_mut(&pool) {
            state.booting = state.booting.saturating_sub(1);
        }
        self.place(&pool, node, &zone, market);
        self.note(Some(node), Mark::Joined, format!("{node} joins: {} in {zone}", market.word()));
    }
}
