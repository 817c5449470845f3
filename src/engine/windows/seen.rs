//! Which events have come already.

use crate::model::{Id, fnv1a};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, VecDeque};

/// Ids of events, in the order in which the log took them.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Seen {
    ids: BTreeSet<u64>,
    order: VecDeque<(Timestamp, u64)>,
}

/// More are forgotten early: an event that comes twice may then count twice.
const MOST_SEEN: usize = 200_000;

impl Seen {
    pub(super) fn first_time(&mut self, id: &Id, now: Timestamp, horizon: Timestamp) -> bool {
        while let Some((at, old)) = self.order.front().copied()
            && (at < horizon || self.order.len() >= MOST_SEEN)
        {
            self.order.pop_front();
            self.ids.remove(&old);
        }
        let id = fnv1a(id.as_str().bytes());
        let fresh = self.ids.insert(id);
        if fresh {
            self.order.push_back((now, id));
        }
        fresh
    }
}
