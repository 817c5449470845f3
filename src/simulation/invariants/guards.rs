//! I3: no guard limit is exceeded, across crash, restart and fail-over. Counted anew, from decisions and ends.

use super::super::ledger::Ledger;
use crate::model::{
    Decision, Envelope, Event, Id, IncidentChange, Move, Plan, PlanEnd, Reservation,
};
use crate::rules::{Per, Ruleset};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

type Slot = (String, String);

#[derive(Debug, Default)]
pub(super) struct Book {
    held: BTreeMap<Slot, BTreeSet<Id>>,
    started: BTreeMap<Slot, Vec<Timestamp>>,
    /// The plan that runs for an incident, by the decisions.
    running: BTreeMap<String, Id>,
    /// Event to the sizes that it was recorded with: pool, zone, tenant, cluster.
    sizes: BTreeMap<String, [Option<u32>; 4]>,
    /// The same events, oldest first.
    order: VecDeque<String>,
}

/// Events whose sizes are remembered.
const MOST: usize = 50_000;

impl Book {
    pub(super) fn event(&mut self, event: &Envelope<Event>) {
        let context = &event.data.context;
        if context.node.is_none() {
            return;
        }
        let pool = context.pool.as_ref().map(|pool| pool.size);
        let sizes = context.sizes;
        let all =
            [pool, sizes.map(|it| it.zone), sizes.map(|it| it.tenant), sizes.map(|it| it.cluster)];
        let id = event.id.as_str().to_owned();
        self.order.push_back(id.clone());
        self.sizes.insert(id, all);
        if self.order.len() > MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.sizes.remove(&oldest);
        }
    }

    /// Leave was given: every limit that it breaks, in words.
    pub(super) fn reserve(
        &mut self,
        decision: &Envelope<Decision>,
        reserved: &[Reservation],
        rules: &Ruleset,
        ledger: &Ledger,
        now: Timestamp,
    ) -> Vec<String> {
        let data = &decision.data;
        let plan = Plan::id_of(&data.incident, data.epoch);
        let cause = decision.cause.iter().last().unwrap_or_default();
        let before = self.running.insert(data.incident.clone(), plan.clone());
        // What has ended already was only not heard of yet; what runs is taken over.
        let ended = |id: &Id| ledger.plans.get(id).is_some_and(|fact| fact.ended.is_some());
        let before = before.filter(|id| !ended(id));
        let mut faults = vec![];
        for one in reserved {
            let slot = (one.guard.clone(), one.key.clone());
            let Some(guard) = rules.guards.get(&one.guard) else { continue };
            let held = self.held.entry(slot.clone()).or_default();
            let inherits = before.as_ref().is_some_and(|before| held.contains(before));
            let others = held.iter().filter(|id| Some(*id) != before.as_ref()).count();
            let of = format!("`{}` {}", one.guard, one.key);
            if let Some(most) = guard.limits.at_once
                && others >= most as usize
            {
                faults.push(format!("{of}: {} at once, {most} are allowed", others + 1));
            }
            let sizes = self.sizes.get(cause).copied().unwrap_or_default();
            let size = match &guard.per {
                Per::Pool(_) => sizes[0],
                Per::Zone(_) => sizes[1],
                Per::Tenant(_) => sizes[2],
                Per::All | Per::Rule => sizes[3],
                Per::Value(_) => None,
            };
            if let (Some(share), Some(size)) = (guard.limits.share, size) {
                let most = (u64::from(share) * u64::from(size) / 100).max(1);
                if others as u64 >= most {
                    faults.push(format!(
                        "{of}: {} of {size} at once, {share} % are allowed",
                        others + 1
                    ));
                }
            }
            let started = self.started.entry(slot).or_default();
            if let Some(rate) = guard.limits.rate {
                let since = decision.time.checked_sub(rate.within.0).unwrap_or(Timestamp::MIN);
                let lately = started.iter().filter(|at| **at > since).count();
                if lately >= rate.count as usize && !inherits {
                    let (count, within) = (rate.count, rate.within);
                    faults
                        .push(format!("{of}: {} within {within}, {count} are allowed", lately + 1));
                }
            }
            started.push(decision.time.min(now));
            held.insert(plan.clone());
        }
        faults
    }

    pub(super) fn ended(&mut self, plan: &Id, how: &PlanEnd) {
        if !matches!(how, PlanEnd::Stuck { .. }) {
            self.held.values_mut().for_each(|held| {
                held.remove(plan);
            });
        }
        self.running.retain(|_, running| running != plan);
    }

    /// A resolved incident gives back what its stuck plans held.
    pub(super) fn changed(&mut self, change: &IncidentChange, ledger: &Ledger) {
        if !matches!(change.change, Move::Resolved { .. }) {
            return;
        }
        let over = |id: &Id| {
            ledger
                .plans
                .get(id)
                .is_some_and(|fact| fact.plan.incident == change.incident && fact.ended.is_some())
        };
        self.held.values_mut().for_each(|held| held.retain(|id| !over(id)));
    }
}
