//! What one window remembers for one key. Times are the events' own, in milliseconds.

use serde::{Deserialize, Serialize};

/// The newest events, as many as are wanted: each with its time, in order, and with its value where only values
/// that differ are counted.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Counted(Vec<(i64, u64)>);

/// Events up to which a window takes just the room that it needs: most windows never fill.
const FEW: usize = 16;

/// Puts it in its place.
fn insert<T>(all: &mut Vec<(i64, T)>, one: (i64, T)) {
    let place = all.partition_point(|(time, _)| *time <= one.0);
    if all.len() < FEW {
        all.reserve_exact(1);
    }
    all.insert(place, one);
}

impl Counted {
    /// Takes an event in: whether there are `wanted` within `within` of the newest. If so they are used up.
    pub(super) fn take(&mut self, at: i64, value: Option<u64>, wanted: usize, within: i64) -> bool {
        let mut at = at;
        if let Some(value) = value
            && let Some(same) = self.0.iter().position(|(_, known)| *known == value)
        {
            at = at.max(self.0.remove(same).0);
        }
        insert(&mut self.0, (at, value.unwrap_or_default()));
        let newest = self.0.last().map_or(at, |(time, _)| *time);
        let old = self.0.partition_point(|(time, _)| *time <= newest - within);
        let surplus = self.0.len().saturating_sub(wanted);
        self.0.drain(..old.max(surplus));
        let full = self.0.len() >= wanted;
        if full {
            *self = Counted::default();
        }
        full
    }

    pub(super) fn count(&self, now: i64, within: i64) -> usize {
        self.0.iter().filter(|(time, _)| *time > now - within).count()
    }

    pub(super) fn over(&self, horizon: i64, within: i64) -> bool {
        self.0.last().is_none_or(|(newest, _)| *newest + within <= horizon)
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

/// The newest events of each place in a sequence: time and place, in order.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Steps(Vec<(i64, u8)>);

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
        self.0.retain(|(time, _)| *time + within >= horizon);
        let step = u8::try_from(step).unwrap_or(u8::MAX);
        insert(&mut self.0, (at, step));
        if self.0.iter().filter(|(_, of)| *of == step).count() > MOST_OF_A_STEP
            && let Some(oldest) = self.0.iter().position(|(_, of)| *of == step)
        {
            self.0.remove(oldest);
        }
        let whole = self.whole(places, within);
        if whole {
            self.0 = vec![];
        }
        whole
    }

    fn of(&self, step: usize) -> impl Iterator<Item = i64> {
        self.0.iter().filter(move |(_, of)| usize::from(*of) == step).map(|(time, _)| *time)
    }

    /// For each time of a place, the latest beginning from which it can be reached.
    fn whole(&self, places: usize, within: i64) -> bool {
        let mut reached: Vec<(i64, i64)> = self.of(0).map(|time| (time, time)).collect();
        for step in 1..places {
            let from = |time: i64| {
                let before = reached.iter().filter(|(earlier, _)| *earlier < time);
                before.map(|(_, began)| *began).max()
            };
            reached = self.of(step).filter_map(|time| Some((time, from(time)?))).collect();
        }
        reached.iter().any(|(time, began)| time - began <= within)
    }

    /// How many places are filled, from the first one on.
    pub(super) fn filled(&self) -> usize {
        (0..).take_while(|step| self.of(*step).next().is_some()).count()
    }

    pub(super) fn over(&self, horizon: i64, within: i64) -> bool {
        self.0.iter().all(|(time, _)| *time + within < horizon)
    }
}
