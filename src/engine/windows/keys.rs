//! Windows by key: so many at most, and those that are over leave while others are looked at.

use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, ops::Bound};

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Keys<C> {
    cells: BTreeMap<Box<str>, C>,
    /// Where the next look for what is over begins.
    #[serde(default)]
    hand: Box<str>,
}

impl<C> Default for Keys<C> {
    fn default() -> Keys<C> {
        Keys { cells: BTreeMap::new(), hand: "".into() }
    }
}

/// Of one time word of one rule. At about 200 bytes each, 20 MB.
const MOST: usize = 100_000;
/// Windows looked at beside the one that is wanted.
const SWEPT: usize = 2;

impl<C: Default> Keys<C> {
    /// The window of `key`, made where there is none. `None`: there are too many.
    pub(super) fn at(&mut self, key: &str, over: impl Fn(&C) -> bool) -> Option<&mut C> {
        self.sweep(over);
        if !self.cells.contains_key(key) {
            if self.cells.len() >= MOST {
                return None;
            }
            self.cells.insert(key.into(), C::default());
        }
        self.cells.get_mut(key)
    }

    pub(super) fn get(&self, key: &str) -> Option<&C> {
        self.cells.get(key)
    }

    pub(super) fn len(&self) -> usize {
        self.cells.len()
    }

    /// A few windows, from where the last look ended: those that are over leave. So nothing is kept of keys
    /// that do not come again, and no event pays for more than a few.
    fn sweep(&mut self, over: impl Fn(&C) -> bool) {
        for _ in 0..SWEPT {
            let from: (Bound<&str>, Bound<&str>) = (Bound::Excluded(&self.hand), Bound::Unbounded);
            let next = self.cells.range::<str, _>(from).next();
            let Some((key, gone)) = next.map(|(key, cell)| (key.clone(), over(cell))) else {
                self.hand = "".into();
                return;
            };
            if gone {
                self.cells.remove(&key);
            }
            self.hand = key;
        }
    }
}
