//! Guards: leave is reserved before anybody acts, and given back when the remediation has ended.

use crate::model::{Id, Reservation, Suppression};
use crate::rules::Guard;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What is held, and what was started lately. Part of the engine's state, so that it survives a restart.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Guards {
    /// Guard and key to the plans that hold leave.
    held: BTreeMap<String, BTreeSet<Id>>,
    /// Guard and key to the times of the last starts, oldest first.
    started: BTreeMap<String, Vec<Timestamp>>,
}

/// Starts remembered for a rate. A rate of more than this within its window is no limit.
const MOST_STARTS: usize = 10_000;

fn slot(guard: &str, key: &str) -> String {
    format!("{guard}\u{1f}{key}")
}

impl Guards {
    /// Whether `guard` gives leave for `key` at `now`, or the limit that is reached.
    /// `but` is a plan that the new one supersedes: it does not count.
    pub fn ask(
        &self,
        guard: &Guard,
        key: &str,
        pool_size: Option<u32>,
        but: Option<&Id>,
        now: Timestamp,
    ) -> Result<(), Suppression> {
        let slot = slot(&guard.name, key);
        let held = self
            .held
            .get(&slot)
            .map_or(0, |plans| plans.iter().filter(|plan| Some(*plan) != but).count());
        let held = u32::try_from(held).unwrap_or(u32::MAX);
        let deny = |limit: String| {
            Err(Suppression::Guard { guard: guard.name.clone(), key: key.to_owned(), limit, held })
        };
        if let Some(most) = guard.limits.at_once
            && held >= most
        {
            return deny(format!("at_once: {most}"));
        }
        // A pool that nobody knows counts as the smallest: never without a limit.
        let size = pool_size.unwrap_or(0);
        if let Some(share) = guard.limits.share
            && held >= allowed(share, size)
        {
            return deny(format!("share: {share}% of {size}, which is {}", allowed(share, size)));
        }
        if let Some(rate) = guard.limits.rate {
            let since = now.checked_sub(rate.within.0).unwrap_or(Timestamp::MIN);
            let starts = self
                .started
                .get(&slot)
                .map_or(0, |starts| starts.iter().filter(|at| **at > since).count());
            if starts >= rate.count as usize && but.is_none() {
                return deny(format!("rate: {}/{}", rate.count, rate.within));
            }
        }
        Ok(())
    }

    pub fn reserve(&mut self, reservation: &Reservation, plan: &Id, now: Timestamp) {
        let slot = slot(&reservation.guard, &reservation.key);
        self.held.entry(slot.clone()).or_default().insert(plan.clone());
        let starts = self.started.entry(slot).or_default();
        starts.push(now);
        if starts.len() > MOST_STARTS {
            starts.remove(0);
        }
    }

    /// The remediation has ended, however it ended.
    pub fn release(&mut self, plan: &Id) {
        self.held.retain(|_, plans| {
            plans.remove(plan);
            !plans.is_empty()
        });
    }

    /// Forgets starts that no rate looks at any more.
    pub fn forget_before(&mut self, horizon: Timestamp) {
        self.started.retain(|_, starts| {
            starts.retain(|at| *at > horizon);
            !starts.is_empty()
        });
    }

    /// Guard, key and number of holders, for status and metrics.
    pub fn holders(&self) -> impl Iterator<Item = (&str, &str, usize)> {
        self.held.iter().filter_map(|(slot, plans)| {
            let (guard, key) = slot.split_once('\u{1f}')?;
            Some((guard, key, plans.len()))
        })
    }
}

/// A share of a pool in whole nodes: rounded down, but never to nothing.
fn allowed(percent: u32, size: u32) -> u32 {
    u32::try_from(u64::from(percent) * u64::from(size) / 100).unwrap_or(u32::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::Limits;

    fn guard(limits: Limits) -> Guard {
        Guard { name: "g".into(), per: None, limits }
    }

    #[test]
    fn a_small_pool_allows_one() {
        assert_eq!(
            [allowed(20, 3), allowed(30, 10), allowed(30, 0), allowed(100, 4)],
            [1, 3, 1, 4]
        );
    }

    #[test]
    fn what_is_released_may_be_held_again_but_still_counts_for_the_rate() {
        let now = Timestamp::UNIX_EPOCH;
        let one = guard(Limits { at_once: Some(1), ..Limits::default() });
        let (mut guards, plan) = (Guards::default(), Id::of(&["p"]));
        let leave = Reservation { guard: "g".into(), key: "k".into() };
        assert_eq!(guards.ask(&one, "k", None, None, now), Ok(()));
        guards.reserve(&leave, &plan, now);
        assert!(guards.ask(&one, "k", None, None, now).is_err());
        assert_eq!(guards.ask(&one, "other", None, None, now), Ok(()));
        assert_eq!(guards.ask(&one, "k", None, Some(&plan), now), Ok(()));
        guards.release(&plan);
        assert_eq!(guards.ask(&one, "k", None, None, now), Ok(()));
        let share = guard(Limits { share: Some(20), ..Limits::default() });
        guards.reserve(&leave, &plan, now);
        assert!(
            guards.ask(&share, "k", None, None, now).is_err(),
            "an unknown pool is the smallest"
        );
        guards.release(&plan);
        let rate = crate::rules::Rate { count: 1, within: crate::model::Span::seconds(60) };
        let rated = guard(Limits { rate: Some(rate), ..Limits::default() });
        assert!(guards.ask(&rated, "k", None, None, now).is_err());
        let later = now + std::time::Duration::from_secs(61);
        assert_eq!(guards.ask(&rated, "k", None, None, later), Ok(()));
    }
}
