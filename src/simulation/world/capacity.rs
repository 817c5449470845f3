//! Machines that are asked for, by a group or a fleet; and workloads that are sent elsewhere.

use super::{Due, Kind, Mark, Market, World};
use crate::model::{
    Answer, Destination, Extent, Granted, Joined, MOVED, Mover, Order, Refusal, Resource, Source,
};
use serde_json::{Value, json};
use std::time::Duration;

/// Where a pool does not say it.
const BOOTS_IN: Duration = Duration::from_secs(90);

/// Who was sent elsewhere, and where it ran before.
#[derive(Debug, Clone)]
pub(super) struct Sent {
    by: String,
    from: String,
    pools: Vec<String>,
}

impl World {
    /// Machines for an order, once for its key.
    pub(super) fn provision(&mut self, order: &Order) -> Answer {
        if !self.cloud.orders.contains_key(&order.key) {
            match self.order(order) {
                Ok(nodes) => self.cloud.orders.insert(order.key.clone(), nodes),
                Err(why) => return Answer::Refused(Refusal::Invalid(why)),
            };
        }
        self.granted(order)
    }

    fn granted(&self, order: &Order) -> Answer {
        let nodes = self.cloud.orders.get(&order.key).into_iter().flatten();
        let there = nodes.filter(|node| {
            self.nodes.contains_key(*node) || self.cloud.booting.contains_key(*node)
        });
        let granted = Granted { machines: there.map(|node| instance_of(node)).collect() };
        Answer::Said(serde_json::to_string(&granted).unwrap_or_default())
    }

    /// The nodes that come, or why none does: all of it or nothing.
    fn order(&mut self, order: &Order) -> Result<Vec<String>, String> {
        let pool = match &order.source {
            Source::Group { group } => group.to_string(),
            Source::Fleet { launch_template, .. } => launch_template.clone(),
            Source::Placeholders(_) => return Err("it is no cloud's matter".into()),
        };
        let Some(state) = self.pools.get(&pool) else {
            return Err(format!("there is no group {pool}"));
        };
        let (kind, zones) = (state.spec.instance_type.clone(), state.spec.zones.clone());
        let market = state.spec.market;
        let boots_in = state.spec.grows.as_ref().map_or(BOOTS_IN, |growth| growth.boots_in);
        let mut taken: Vec<String> = vec![];
        for _ in 0..order.machines {
            let free = zones.iter().find(|zone| self.cloud.take(&kind, zone, market));
            if let Some(zone) = free {
                taken.push(zone.clone());
                continue;
            }
            for zone in &taken {
                self.cloud.give_back(&kind, zone, market);
            }
            let why = format!(
                "InsufficientInstanceCapacity: there is no {kind} {} in {}",
                market.word(),
                zones.join(", ")
            );
            self.tell(why.clone());
            return Err(why);
        }
        let boots = |zone: &String| self.boots(&pool, zone, market, boots_in);
        Ok(taken.iter().filter_map(boots).collect())
    }

    /// A machine comes: its node's name.
    pub(super) fn boots(
        &mut self,
        pool: &str,
        zone: &str,
        market: Market,
        boots_in: Duration,
    ) -> Option<String> {
        let (node, zone, market) = self.name_next(pool, Some(zone), Some(market))?;
        if let Some(pool) = self.pools.get_mut(pool) {
            pool.booting += 1;
        }
        self.cloud.booting.insert(node.clone(), (pool.to_owned(), zone, market));
        let at = self.later(boots_in);
        self.plan(at, Due::Join(node.clone()));
        Some(node)
    }

    /// What has not come is called off by nobody: all comes at once. These are ended.
    pub(super) fn give_back(&mut self, order: &Order, machines: &[String]) -> Answer {
        let nodes = self.cloud.orders.get(&order.key).cloned().unwrap_or_default();
        for node in nodes.iter().filter(|node| machines.contains(&instance_of(node))) {
            if let Some((pool, zone, market)) = self.cloud.booting.remove(node) {
                if let Some(state) = self.pools.get_mut(&pool) {
                    state.booting = state.booting.saturating_sub(1);
                    let kind = state.spec.instance_type.clone();
                    self.cloud.give_back(&kind, &zone, market);
                }
            } else if self.nodes.contains_key(node) {
                self.gives_back(node);
            }
            self.note(Some(node), Mark::Note, format!("{node} is given back"));
        }
        self.granted(order)
    }

    pub(super) fn joined(&self, machines: &[String]) -> Vec<Joined> {
        let node = |machine: &String| {
            let of = self.nodes.get(self.instances.get(machine)?)?;
            let pods = of.pods.iter().filter_map(|uid| self.pods.get(uid));
            let moves = pods.filter(|run| run.pod.stays().is_none()).count();
            Some(Joined {
                machine: machine.clone(),
                node: of.node.name.clone(),
                ready: of.node.ready && !of.node.unschedulable,
                pods: u32::try_from(moves).unwrap_or(u32::MAX),
            })
        };
        machines.iter().filter_map(node).collect()
    }

    /// Of all machines that were asked for, those that nobody has given back and nothing runs on.
    pub fn idle_orders(&self) -> Vec<String> {
        let idle = |node: &&String| {
            let empty = self.nodes.get(*node).is_some_and(|machine| machine.pods.is_empty());
            let going = self.agenda.values().any(|due| *due == Due::Reclaim((*node).clone()));
            empty && !going || self.cloud.booting.contains_key(*node)
        };
        self.cloud.orders.values().flatten().filter(idle).cloned().collect()
    }

    fn mover(&self, mover: &Mover) -> Option<usize> {
        let key = (mover.namespace().to_owned(), mover.name().to_owned());
        self.by_app.get(&key).copied()
    }

    /// A workload may run in other pools. Its pods stay where they are until they end: a rollout is nothing that the
    /// daemon decides.
    pub(super) fn sends(&mut self, mover: &Mover, to: &Destination, by: &str) -> Answer {
        let Some(at) = self.mover(mover) else { return Answer::Refused(Refusal::Gone) };
        if let Some(busy) = self.still(at) {
            return busy;
        }
        let there = self.pools_with(&to.bearing.labels);
        let pools = match to.extent {
            Extent::Whole => there,
            Extent::Lost => {
                let own = &self.apps[at].spec.pools;
                own.iter()
                    .cloned()
                    .chain(there.into_iter().filter(|it| !own.contains(it)))
                    .collect()
            }
        };
        if pools == self.apps[at].spec.pools {
            return Answer::Said("it may run there already".into());
        }
        let app = &mut self.apps[at];
        let before = std::mem::replace(&mut app.spec.pools, pools);
        app.sent.get_or_insert(Sent { by: by.into(), from: to.from.clone(), pools: before });
        self.note(None, Mark::Note, format!("{mover} may run elsewhere"));
        self.turned(at)
    }

    pub(super) fn sends_back(&mut self, mover: &Mover, by: Option<&str>) -> Answer {
        let Some(at) = self.mover(mover) else { return Answer::Refused(Refusal::Gone) };
        if let Some(busy) = self.still(at) {
            return busy;
        }
        let ours = |sent: &Sent| by.is_none_or(|by| sent.by == by);
        let Some(sent) = self.apps[at].sent.take_if(|sent| ours(sent)) else {
            return Answer::Said("left as it is: it was not ours".into());
        };
        self.apps[at].spec.pools = sent.pools;
        self.note(None, Mark::Note, format!("{mover} goes back"));
        self.turned(at)
    }

    fn turned(&mut self, at: usize) -> Answer {
        self.unscheduled = true;
        self.changed_app(at);
        Answer::Done
    }

    fn still(&self, at: usize) -> Option<Answer> {
        let app = &self.apps[at];
        let runs = matches!(app.spec.kind, Kind::Gang | Kind::Job)
            && (app.suspended_by.is_none() || !app.pods.is_empty());
        let message = "its pods have not ended yet".to_owned();
        runs.then_some(Answer::Refused(Refusal::Busy { retry_after: None, message }))
    }

    /// Workloads of that kind that were sent elsewhere.
    pub(super) fn sent(&self, what: Resource, labels: &str) -> Value {
        let from = labels.split_once('=').map(|(_, from)| from);
        let ours = self.apps.iter().filter(|app| {
            let kind = app.spec.kind.word() == what.kind.to_lowercase();
            kind && app.sent.as_ref().is_some_and(|sent| from.is_none_or(|from| sent.from == from))
        });
        let shown = |app: &super::apps::AppState| {
            let by = app.sent.as_ref().map(|sent| json!({ "by": sent.by }).to_string());
            json!({ "metadata": { "name": app.spec.name, "namespace": app.spec.namespace, "annotations": { MOVED: by } } })
        };
        ours.map(shown).collect()
    }
}

/// Of the machine that a node is.
pub(super) fn instance_of(node: &str) -> String {
    format!("i-{}", crate::model::Id::of(&["instance", node]).short(17))
}
