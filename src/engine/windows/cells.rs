//! What one window remembers for one key. Times are the events' own, in milliseconds.

use serde::{Deserialize, Serialize};

/// The newest events, as many as are wanted.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Counted {
    /// In order.
    times: Vec<i64>,
    /// Of each time its value, where only values that differ are counted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    values: Vec<u64>,
}

/// Times up to which a window takes just the room that it needs.
const FEW: usize = 16;

impl Counted {
    /// Takes an event in: whether there are `wanted` within `within` of the newest. If so they are used up.
    pub(super) fn take(&mut self, at: i64, value: Option<u64>, wanted: usize, within: i64) -> bool {
        let mut at = at;
        if let Some(value) = value
            && let Some(same) = self.values.iter().position(|known| *known == value)
        {
            at = at.max(self.times.remove(same));
            self.values.remove(same);
        }
        let place = self.times.partition_point(|time| *time <= at);
        if self.times.len() < FEW {
            // Most windows never fill: they have no room to spare.
            self.times.reserve_exact(1);
        }
        self.times.insert(place, at);
        if let Some(value) = value {
            self.values.insert(place, value);
        }
        let newest = self.times.last().copied().unwrap_or(at);
        let old = self.times.partition_point(|time| *time <= newest - within);
        let surplus = self.times.len().saturating_sub(wanted);
        let gone = old.max(surplus);
        self.times.drain(..gone);
        self.values.drain(..gone.min(self.values.len()));
        let full = self.times.len() >= wanted;
        if full {
            *self = Counted::default();
        }
        full
    }

    pub(super) fn count(&self, now: i64, within: i64) -> usize {
        self.times.iter().filter(|time| **time > now - within).count()
    }

    pub(super) fn over(&self, horizon: i64, within: i64) -> bool {
        self.times.last().is_none_or(|newest| *newest + within <= horizon)
    }
}

/// When bursts were open: from the first event to when the last one is forgotten.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Bursts(Vec<(i64, i64)>);

/// Bursts of one key that an event may still be late for. More are taken for one.
const MOST_BURSTS: usize = 16;

impl Bursts {
    /// Takes an event in that keeps a burst open for `hold`: whether it is the first of one.
    pub(super) fn take(&mut self, at: i64, hold: i64, horizon: i64) -> bool {
        self.0.retain(|(_, end)| *end >= horizon);
        let (mut start, mut end) = (at, at + hold);
        let first = !self.0.iter().any(|(from, to)| *from <= end && start <= *to);
        // What it touches is one burst with it.
        self.0.retain(|(from, to)| {
            let apart = *from > end || *to < start;
            if !apart {
                (start, end) = (start.min(*from), end.max(*to));
            }
            apart
        });
        let place = self.0.partition_point(|(from, _)| *from < start);
        self.0.insert(place, (start, end));
        if self.0.len() > MOST_BURSTS {
            let (_, end) = self.0.remove(1);
            self.0[0].1 = self.0[0].1.max(end);
        }
        first
    }

    pub(super) fn open(&self, now: i64) -> bool {
        self.0.iter().any(|(from, to)| *from <= now && now <= *to)
    }

    pub(super) fn over(&self, horizon: i64) -> bool {
        self.0.iter().all(|(_, end)| *end < horizon)
    }
}

/// The newest events of each place in a sequence.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Steps(Vec<Vec<i64>>);

/// Events of one place that are remembered.
const MOST_OF_A_STEP: usize = 16;

impl Steps {
    /// Takes an event in that may stand at `step` of `places`: whether there is one of each, one after the
    /// other, within `within`. If so they are used up. What was before `horizon` is forgotten.
    pub(super) fn take(
        &mut self,
        step: usize,
        at: i64,
        places: usize,
        within: i64,
        horizon: i64,
    ) -> bool {
        self.0.resize(places, vec![]);
        for times in &mut self.0 {
            times.retain(|time| *time + within >= horizon);
        }
        let Some(times) = self.0.get_mut(step) else { return false };
        let place = times.partition_point(|time| *time <= at);
        times.insert(place, at);
        if times.len() > MOST_OF_A_STEP {
            times.remove(0);
        }
        let whole = self.whole(within);
        if whole {
            self.0.clear();
        }
        whole
    }

    /// For each time of a place, the latest beginning from which it can be reached.
    fn whole(&self, within: i64) -> bool {
        let Some((first, rest)) = self.0.split_first() else { return false };
        let mut reached: Vec<(i64, i64)> = first.iter().map(|time| (*time, *time)).collect();
        for times in rest {
            let from = |time: i64| {
                let before = reached.iter().filter(|(earlier, _)| *earlier < time);
                before.map(|(_, began)| *began).max()
            };
            reached = times.iter().filter_map(|time| Some((*time, from(*time)?))).collect();
        }
        reached.iter().any(|(time, began)| time - began <= within)
    }

    /// How many places are filled, from the first one on.
    pub(super) fn filled(&self) -> usize {
        self.0.iter().take_while(|times| !times.is_empty()).count()
    }

    pub(super) fn over(&self, horizon: i64, within: i64) -> bool {
        self.0.iter().flatten().all(|time| *time + within < horizon)
    }
}
