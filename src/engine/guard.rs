//! Guards: leave is reserved before anybody acts, and given back when the remediation has ended well or was undone.
//!
//! A guard with `storm` trips when it refuses, and stays tripped until nobody has asked for long enough. Then
//! one remediation may try; if it ends well the guard is whole again, if not the waiting starts anew.

use crate::model::{Id, PlanEnd, Reservation, Span, Suppression, Target};
use crate::rules::Guard;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What is held, and what was started lately. Part of the engine's state, so that it survives a restart.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Guards {
    /// Guard and key to the plans that hold leave.
    held: BTreeMap<String, BTreeSet<Id>>,
    #[serde(default)]
    holders: BTreeMap<Id, Holder>,
    /// Guard and key to the times of the last starts, oldest first.
    started: BTreeMap<String, Vec<Timestamp>>,
    #[serde(default)]
    trips: BTreeMap<String, Trip>,
    /// Slots changed since they were last shown.
    #[serde(skip)]
    touched: BTreeSet<String>,
    /// Slots whose guard is whole again, not yet said.
    #[serde(skip)]
    resets: Vec<String>,
}

/// Who holds leave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Holder {
    pub incident: String,
    pub rule: String,
    pub target: Target,
    pub since: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Trip {
    since: Timestamp,
    /// Whoever asks before then is refused, and moves it on.
    calm_at: Timestamp,
    release_after: Span,
    /// The one remediation that tries whether it is over.
    probe: Option<Id>,
}

/// One guard and key, as it is shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shown {
    pub guard: String,
    pub key: String,
    pub holders: BTreeMap<Id, Holder>,
    /// Starts that a rate may still count.
    pub started: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tripped_since: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calm_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<Id>,
}

/// What the question is about.
pub(super) struct Ask<'a> {
    pub(super) guard: &'a Guard,
    pub(super) key: &'a str,
    /// Nodes in what the key stands for; a size that nobody knows counts as the smallest.
    pub(super) size: Option<u32>,
    /// A plan that the new one supersedes: it does not count.
    pub(super) but: Option<&'a Id>,
    pub(super) now: Timestamp,
}

/// Starts remembered for a rate. A rate of more than this within its window is no limit.
const MOST_STARTS: usize = 10_000;

pub(super) fn slot(guard: &str, key: &str) -> String {
    format!("{guard}\u{1f}{key}")
}

impl Guards {
    /// Leave, or the limit that is reached.
    pub(super) fn ask(&self, ask: &Ask<'_>) -> Result<Reservation, Suppression> {
        let slot = slot(&ask.guard.name, ask.key);
        let held = self.held(&slot, ask.but);
        let storm = ask.guard.storm;
        let calm_at = storm.and_then(|storm| ask.now.checked_add(storm.0).ok());
        let deny = |limit: String, trip: Option<Timestamp>| {
            let (guard, key) = (ask.guard.name.clone(), ask.key.to_owned());
            Err(Suppression::Guard { guard, key, limit, held, trip, release_after: storm })
        };
        let trip = self.trips.get(&slot).filter(|_| storm.is_some());
        if let Some(trip) = trip {
            if ask.now < trip.calm_at {
                return deny(format!("tripped; it has to be calm until {}", trip.calm_at), calm_at);
            }
            if let Some(probe) = trip.probe.as_ref().filter(|probe| Some(*probe) != ask.but) {
                let limit = format!("half open: {} tries whether it is over", probe.short(10));
                return deny(limit, None);
            }
        }
        let limits = &ask.guard.limits;
        if let Some(most) = limits.at_once
            && held >= most
        {
            return deny(format!("at_once: {most}"), calm_at);
        }
        let size = ask.size.unwrap_or(0);
        if let Some(share) = limits.share
            && held >= allowed(share, size)
        {
            let limit = format!("share: {share}% of {size}, which is {}", allowed(share, size));
            return deny(limit, calm_at);
        }
        if let Some(rate) = limits.rate {
            let since = ask.now.checked_sub(rate.within.0).unwrap_or(Timestamp::MIN);
            let counted = |starts: &Vec<Timestamp>| starts.iter().filter(|at| **at > since).count();
            let starts = self.started.get(&slot).map_or(0, counted);
            // What takes over the leave of another one starts nothing new.
            let inherits = |held: &BTreeSet<Id>| ask.but.is_some_and(|but| held.contains(but));
            if starts >= rate.count as usize && !self.held.get(&slot).is_some_and(inherits) {
                return deny(format!("rate: {}/{}", rate.count, rate.within), calm_at);
            }
        }
        let (guard, key) = (ask.guard.name.clone(), ask.key.to_owned());
        Ok(Reservation { guard, key, probe: trip.is_some() })
    }

    /// How many hold leave, without that one.
    pub(super) fn held(&self, slot: &str, but: Option<&Id>) -> u32 {
        let others = |plans: &BTreeSet<Id>| plans.iter().filter(|plan| Some(*plan) != but).count();
        u32::try_from(self.held.get(slot).map_or(0, others)).unwrap_or(u32::MAX)
    }

    pub(super) fn reserve(&mut self, reservation: &Reservation, plan: &Id, holder: &Holder) {
        let slot = slot(&reservation.guard, &reservation.key);
        self.held.entry(slot.clone()).or_default().insert(plan.clone());
        self.holders.insert(plan.clone(), holder.clone());
        if let Some(trip) = self.trips.get_mut(&slot).filter(|_| reservation.probe) {
            trip.probe = Some(plan.clone());
        }
        let starts = self.started.entry(slot.clone()).or_default();
        starts.push(holder.since);
        if starts.len() > MOST_STARTS {
            starts.remove(0);
        }
        self.touched.insert(slot);
    }

    /// Somebody was refused: a guard with `storm` trips, or stays tripped for longer.
    pub(super) fn refused(
        &mut self,
        slot: String,
        calm_at: Timestamp,
        after: Span,
        now: Timestamp,
    ) {
        let fresh = Trip { since: now, calm_at, release_after: after, probe: None };
        let trip = self.trips.entry(slot.clone()).or_insert(fresh);
        trip.calm_at = trip.calm_at.max(calm_at);
        self.touched.insert(slot);
    }

    pub(super) fn tripped(&self, slot: &str) -> bool {
        self.trips.contains_key(slot)
    }

    /// The remediation has ended at `now`. One that is stuck keeps its leave until its incident is resolved:
    /// what it left half done counts.
    pub(super) fn ended(&mut self, plan: &Id, how: &PlanEnd, now: Timestamp) {
        let probed: Vec<String> = self
            .trips
            .iter()
            .filter(|(_, trip)| trip.probe.as_ref() == Some(plan))
            .map(|(slot, _)| slot.clone())
            .collect();
        for slot in probed {
            match how {
                PlanEnd::Succeeded => {
                    self.trips.remove(&slot);
                    self.resets.push(slot.clone());
                }
                PlanEnd::Failed { .. } | PlanEnd::Stuck { .. } => {
                    if let Some(trip) = self.trips.get_mut(&slot) {
                        trip.probe = None;
                        trip.calm_at = now.checked_add(trip.release_after.0).unwrap_or(now);
                    }
                }
                PlanEnd::Superseded { .. } | PlanEnd::Moot { .. } | PlanEnd::Observed => {
                    if let Some(trip) = self.trips.get_mut(&slot) {
                        trip.probe = None;
                    }
                }
            }
            self.touched.insert(slot);
        }
        if !matches!(how, PlanEnd::Stuck { .. }) {
            self.release(plan);
        }
    }

    /// The plan holds nothing any more.
    pub(super) fn release(&mut self, plan: &Id) {
        self.holders.remove(plan);
        for (slot, plans) in &mut self.held {
            if plans.remove(plan) {
                self.touched.insert(slot.clone());
            }
        }
        self.held.retain(|_, plans| !plans.is_empty());
    }

    /// Forgets starts that no rate looks at any more.
    pub(super) fn forget_before(&mut self, horizon: Timestamp) {
        self.started.retain(|_, starts| {
            starts.retain(|at| *at > horizon);
            !starts.is_empty()
        });
        // Nobody has asked for very long: whoever does finds the guard whole.
        self.trips.retain(|_, trip| trip.probe.is_some() || trip.calm_at > horizon);
    }

    /// Guard, key and number of holders, for status and metrics.
    pub fn holders(&self) -> impl Iterator<Item = (&str, &str, usize)> {
        self.held.iter().filter_map(|(slot, plans)| {
            let (guard, key) = slot.split_once('\u{1f}')?;
            Some((guard, key, plans.len()))
        })
    }

    /// Everything that can be shown counts as changed.
    pub(super) fn touch_all(&mut self) {
        self.touched = self.held.keys().chain(self.trips.keys()).cloned().collect();
    }

    /// Slots changed since the last call. `None`: there is nothing to show any more.
    pub fn take_touched(&mut self) -> Vec<(String, Option<Shown>)> {
        let touched = std::mem::take(&mut self.touched);
        touched.into_iter().map(|slot| (slot.clone(), self.shown(&slot))).collect()
    }

    fn shown(&self, slot: &str) -> Option<Shown> {
        let (guard, key) = slot.split_once('\u{1f}')?;
        let (plans, trip) = (self.held.get(slot), self.trips.get(slot));
        if plans.is_none() && trip.is_none() {
            return None;
        }
        let holder = |plan: &Id| Some((plan.clone(), self.holders.get(plan)?.clone()));
        Some(Shown {
            guard: guard.into(),
            key: key.into(),
            holders: plans.into_iter().flatten().filter_map(holder).collect(),
            started: self.started.get(slot).map_or(0, Vec::len),
            tripped_since: trip.map(|trip| trip.since),
            calm_at: trip.map(|trip| trip.calm_at),
            probe: trip.and_then(|trip| trip.probe.clone()),
        })
    }

    /// Guards that became whole since the last call: name and key.
    pub(super) fn take_resets(&mut self) -> Vec<(String, String)> {
        let resets = std::mem::take(&mut self.resets);
        let pair = |slot: String| slot.split_once('\u{1f}').map(|(g, k)| (g.into(), k.into()));
        resets.into_iter().filter_map(pair).collect()
    }
}

/// A share of a pool in whole nodes: rounded down, but never to nothing.
fn allowed(percent: u32, size: u32) -> u32 {
    u32::try_from(u64::from(percent) * u64::from(size) / 100).unwrap_or(u32::MAX).max(1)
}

#[cfg(test)]
mod tests;
