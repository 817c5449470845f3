//! Time words: what a rule says about when and how often, besides what. As values, and how they are read.
//!
//! They stand one behind the other, in this order, whatever the order in the file: `burst`, `sequence`, `count`,
//! `for`, `absent`, then `during` and `except`, then `throttle`. What one lets through, the next one hears.

mod read;

pub(super) use read::Reading;

use super::condition::Condition;
use crate::calendar::Hours;
use crate::model::{Id, Span};
use std::sync::Arc;

/// The time words of a rule.
#[derive(Debug, Clone, Default)]
pub struct Words {
    pub burst: Option<Burst>,
    pub sequence: Option<Sequence>,
    pub count: Option<Count>,
    pub hold: Option<Hold>,
    pub absent: Option<Absent>,
    pub during: Vec<Arc<Hours>>,
    pub except: Vec<Arc<Hours>>,
    /// Events older than this when the log took them are passed over.
    pub lateness: Span,
    /// Of everything above as it is written, and of the condition: a rule that changes begins anew.
    pub version: Option<Id>,
}

/// What has a window of its own. `None`: the event's subject.
pub type By = Option<Condition>;

/// Events closer together than `gap` are one: the first is let through.
#[derive(Debug, Clone)]
pub struct Burst {
    pub gap: Span,
    pub sticky: Option<Sticky>,
    pub by: By,
}

/// An event of which this holds keeps the burst open for longer.
#[derive(Debug, Clone)]
pub struct Sticky {
    pub condition: Condition,
    pub hold: Span,
}

/// The rule's own event, then these, one after the other, all within a time.
#[derive(Debug, Clone)]
pub struct Sequence {
    pub then: Vec<Other>,
    pub within: Span,
    pub by: By,
}

/// An event besides the rule's own.
#[derive(Debug, Clone)]
pub struct Other {
    pub when: Vec<String>,
    pub condition: Option<Condition>,
}

/// So many within a time. Those that were counted are not counted again.
#[derive(Debug, Clone)]
pub struct Count {
    pub at_least: u32,
    pub within: Span,
    /// Only values that differ are counted.
    pub distinct: Option<Condition>,
    pub by: By,
}

/// It holds that long: no event of the rule's types says otherwise, and its alert does not end.
#[derive(Debug, Clone)]
pub struct Hold {
    pub time: Span,
    pub by: By,
}

/// What was expected did not come: `other`, or, where there is none, the rule's own event again.
#[derive(Debug, Clone)]
pub struct Absent {
    pub other: Option<Other>,
    pub by_when: ByWhen,
    pub by: By,
}

/// Until when it is waited for.
#[derive(Debug, Clone)]
pub enum ByWhen {
    /// So long after the rule's own event.
    Within(Span),
    /// A moment that the event tells.
    Until(Condition),
}

impl Words {
    /// Whether what it does depends on events before.
    pub fn windowed(&self) -> bool {
        self.burst.is_some()
            || self.sequence.is_some()
            || self.count.is_some()
            || self.hold.is_some()
            || self.absent.is_some()
    }

    /// The rule without that word.
    pub fn leave_out(&mut self, word: &str) {
        match word {
            "burst" => self.burst = None,
            "sequence" => self.sequence = None,
            "count" => self.count = None,
            "for" => self.hold = None,
            "absent" => self.absent = None,
            "during" => self.during.clear(),
            "except" => self.except.clear(),
            _ => {}
        }
    }

    /// The words in use, for coverage and for people.
    pub fn in_use(&self) -> Vec<&'static str> {
        [
            ("burst", self.burst.is_some()),
            ("sequence", self.sequence.is_some()),
            ("count", self.count.is_some()),
            ("for", self.hold.is_some()),
            ("absent", self.absent.is_some()),
            ("during", !self.during.is_empty()),
            ("except", !self.except.is_empty()),
        ]
        .into_iter()
        .filter_map(|(word, used)| used.then_some(word))
        .collect()
    }
}
