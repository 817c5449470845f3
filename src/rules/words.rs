//! Time words: what a rule says about when and how often, besides what. As values, and how they are read.
//!
//! They stand one behind the other, in this order, whatever the order in the file: `burst`, `sequence`, `count`,
//! `for`, `absent`, then `during` and `except`, then `throttle`. What one lets through, the next one hears.

use super::condition::{Condition, Type, compile};
use super::diagnostic::Code;
use super::hours::Hours;
use super::rule::Names;
use super::shape;
use super::walk::{Entries, Faults, text};
use super::yaml::{Kind, Node};
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
    pub within: Span,
    pub by: By,
}

/// More would be a database.
const MOST_COUNTED: u32 = 10_000;
const MOST_IN_SEQUENCE: usize = 8;
/// Late by more is history. Bounds how long ids are remembered.
const LATEST: Span = Span::seconds(3600);
const LATENESS: Span = Span::seconds(300);
/// Windows longer than what the log is sure to keep could not be restored from it.
const LONGEST: Span = Span::seconds(7 * 86_400);

impl Words {
    /// Whether what it does depends on events before.
    pub fn windowed(&self) -> bool {
        self.burst.is_some()
            || self.sequence.is_some()
            || self.count.is_some()
            || self.hold.is_some()
            || self.absent.is_some()
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

/// Where the words of one rule are being read.
pub(super) struct Reading<'a> {
    pub(super) when: &'a [String],
    pub(super) names: &'a Names<'a>,
}

impl Reading<'_> {
    pub(super) fn words(&self, entries: &Entries<'_>, faults: &mut Faults) -> Words {
        let late = entries.span("lateness", faults);
        if let (Some(late), Some(node)) = (late, entries.get("lateness"))
            && late > LATEST
        {
            faults.add(Code::BadValue, &node.place, "an event is late by an hour at most");
        }
        let words = Words {
            burst: entries.get("burst").and_then(|node| self.burst(node, faults)),
            sequence: entries.get("sequence").and_then(|node| self.sequence(node, faults)),
            count: entries.get("count").and_then(|node| self.count(node, faults)),
            hold: entries.get("for").and_then(|node| self.hold(node, faults)),
            absent: entries.get("absent").and_then(|node| self.absent(node, faults)),
            during: super::hours::list(entries, "during", self.names, faults),
            except: super::hours::list(entries, "except", self.names, faults),
            lateness: late.unwrap_or(LATENESS),
            version: None,
        };
        if let (true, true, Some(node)) =
            (words.sequence.is_some(), words.burst.is_some(), entries.get("burst"))
        {
            let message = "`burst` and `sequence` do not go together";
            faults.add(Code::Conflict, &node.place, message).hint =
                Some("a sequence is let through once for each time it is complete".into());
        }
        words
    }

    pub(super) fn condition(
        &self,
        entries: &Entries<'_>,
        key: &str,
        wanted: Type,
        when: &[String],
        faults: &mut Faults,
    ) -> Option<Condition> {
        let node = entries.get(key)?;
        compile(text(node, faults)?, &node.place, wanted, self.names.scope(when), faults)
    }

    /// The key of a window: with it a window for each value, so it must not differ for each event.
    pub(super) fn by(&self, entries: &Entries<'_>, faults: &mut Faults) -> By {
        let by = self.condition(entries, "by", Type::Any, self.when, faults)?;
        if let Some(what) = by.unbounded()
            && let Some(node) = entries.get("by")
        {
            let message = format!("`{what}` is another for each event: no window ever fills");
            faults.add(Code::UnboundedKey, &node.place, message).hint =
                Some("group by what several events share, for example node.name".into());
        }
        Some(by)
    }

    fn within(&self, entries: &Entries<'_>, faults: &mut Faults) -> Option<Span> {
        let within = entries.span("within", faults)?;
        let node = entries.get("within")?;
        bounded(within, node, faults);
        Some(within)
    }

    fn burst(&self, node: &Node, faults: &mut Faults) -> Option<Burst> {
        let entries = Entries::of(node, &shape::BURST, faults)?;
        let sticky = entries.get("sticky").and_then(|node| {
            let inner = Entries::of(node, &shape::STICKY, faults)?;
            let condition = self.condition(&inner, "if", Type::Bool, self.when, faults);
            let hold = inner.span("for", faults)?;
            bounded(hold, inner.get("for")?, faults);
            Some(Sticky { condition: condition?, hold })
        });
        let gap = entries.span("gap", faults)?;
        bounded(gap, entries.get("gap")?, faults);
        Some(Burst { gap, sticky, by: self.by(&entries, faults) })
    }

    fn sequence(&self, node: &Node, faults: &mut Faults) -> Option<Sequence> {
        let entries = Entries::of(node, &shape::SEQUENCE, faults)?;
        let then: Vec<Other> = entries
            .list("then", faults)
            .iter()
            .filter_map(|node| self.other(&Entries::of(node, &shape::OTHER, faults)?, faults))
            .collect();
        if let Some(node) = entries.get("then")
            && (then.is_empty() || then.len() > MOST_IN_SEQUENCE)
        {
            let message =
                format!("a sequence has one to {MOST_IN_SEQUENCE} events after the rule's own");
            faults.add(Code::BadValue, &node.place, message);
        }
        Some(Sequence {
            then,
            within: self.within(&entries, faults)?,
            by: self.by(&entries, faults),
        })
    }

    fn other(&self, entries: &Entries<'_>, faults: &mut Faults) -> Option<Other> {
        let when = super::rule::when(entries, faults);
        let condition = self.condition(entries, "if", Type::Bool, &when, faults);
        Some(Other { when, condition })
    }

    fn count(&self, node: &Node, faults: &mut Faults) -> Option<Count> {
        let entries = Entries::of(node, &shape::COUNT, faults)?;
        let at_least = entries.number("at_least", faults)?;
        if !(2..=MOST_COUNTED).contains(&at_least) {
            let place = &entries.get("at_least")?.place;
            let message = format!("`at_least` is from 2 to {MOST_COUNTED}");
            faults.add(Code::BadValue, place, message);
        }
        Some(Count {
            at_least,
            within: self.within(&entries, faults)?,
            distinct: self.condition(&entries, "distinct", Type::Any, self.when, faults),
            by: self.by(&entries, faults),
        })
    }

    /// `for: 5m`, or a mapping where it has a key of its own.
    fn hold(&self, node: &Node, faults: &mut Faults) -> Option<Hold> {
        if let Kind::Scalar { .. } = node.kind {
            let time = text(node, faults)?.parse::<Span>();
            let time =
                time.map_err(|error| faults.add(Code::BadValue, &node.place, error.to_string()));
            let time = time.ok()?;
            bounded(time, node, faults);
            return Some(Hold { time, by: None });
        }
        let entries = Entries::of(node, &shape::HOLD, faults)?;
        let time = entries.span("time", faults)?;
        bounded(time, node, faults);
        Some(Hold { time, by: self.by(&entries, faults) })
    }

    fn absent(&self, node: &Node, faults: &mut Faults) -> Option<Absent> {
        let entries = Entries::of(node, &shape::ABSENT, faults)?;
        let other = match (entries.get("when"), entries.get("if")) {
            (Some(_), _) => Some(self.other(&entries, faults)?),
            (None, Some(node)) => {
                let message = "`if` is about the event of `when`, and there is none here";
                faults.add(Code::MissingKey, &node.place, message);
                None
            }
            (None, None) => None,
        };
        Some(Absent {
            other,
            within: self.within(&entries, faults)?,
            by: self.by(&entries, faults),
        })
    }
}

fn bounded(span: Span, node: &Node, faults: &mut Faults) {
    if span.0.is_zero() || span > LONGEST {
        faults.add(
            Code::BadValue,
            &node.place,
            format!("a window is longer than nothing and at most {LONGEST}"),
        );
    }
}
