//! The duplicate window: which ids were appended lately. Bounded by time and by number.

use crate::log::Seq;
use std::collections::VecDeque;

#[expect(clippy::disallowed_types, reason = "looked up per record and never gone through")]
type Seqs = std::collections::HashMap<u128, Seq>;

/// At 40 bytes each, five megabytes.
pub(super) const MOST: usize = 131_072;

#[derive(Default)]
pub(super) struct Window {
    seqs: Seqs,
    order: VecDeque<(u128, i64)>,
}

/// Ids are 32 hexadecimal digits; anything else never made it into the log.
pub(super) fn number(id: &str) -> u128 {
    u128::from_str_radix(id, 16).unwrap_or_default()
}

impl Window {
    pub(super) fn find(&self, id: u128) -> Option<Seq> {
        self.seqs.get(&id).copied()
    }

    /// Takes in an id appended at `at` microseconds, and forgets those before `horizon`.
    pub(super) fn insert(&mut self, id: u128, seq: Seq, at: i64, horizon: i64) {
        self.seqs.insert(id, seq);
        self.order.push_back((id, at));
        while let Some(&(oldest, seen)) = self.order.front() {
            if seen >= horizon && self.order.len() <= MOST {
                break;
            }
            self.order.pop_front();
            self.seqs.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_forgets_by_time_and_by_number() {
        let mut window = Window::default();
        window.insert(1, 10, 0, -1);
        window.insert(2, 11, 100, 50);
        assert_eq!((window.find(1), window.find(2)), (None, Some(11)));
        for n in 0..(MOST as u128 + 5) {
            window.insert(n + 10, 1, 100, 0);
        }
        assert_eq!(window.order.len(), MOST);
        assert_eq!(window.find(11), None);
    }
}
