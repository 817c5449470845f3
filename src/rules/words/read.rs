//! How time words are read.

use super::super::condition::{Condition, Type, compile, compile_key};
use super::super::diagnostic::Code;
use super::super::names::Names;
use super::super::shape;
use super::super::walk::{Entries, Faults, text};
use super::super::yaml::{Kind, Node};
use super::{Absent, Burst, By, ByWhen, Count, Hold, Other, Sequence, Sticky, Words};
use crate::model::Span;

/// More would be a database.
const MOST_COUNTED: u32 = 10_000;
const MOST_IN_SEQUENCE: usize = 8;
/// Late by more is history. Bounds how long ids are remembered.
const LATEST: Span = Span::seconds(3600);
const LATENESS: Span = Span::seconds(300);
/// Windows longer than what the log is sure to keep could not be restored from it.
const LONGEST: Span = Span::seconds(7 * 86_400);

/// Where the words of one rule are being read.
pub(in crate::rules) struct Reading<'a> {
    pub(in crate::rules) when: &'a [String],
    pub(in crate::rules) names: &'a Names<'a>,
}

impl Reading<'_> {
    pub(in crate::rules) fn words(&self, entries: &Entries<'_>, faults: &mut Faults) -> Words {
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
            during: super::super::hours::list(entries, "during", self.names, faults),
            except: super::super::hours::list(entries, "except", self.names, faults),
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

    pub(in crate::rules) fn condition(
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

    fn key(&self, entries: &Entries<'_>, key: &str, faults: &mut Faults) -> Option<Condition> {
        let node = entries.get(key)?;
        compile_key(text(node, faults)?, &node.place, self.names.scope(self.when), faults)
    }

    /// The key of a window: with it a window for each value, so it must not differ for each event.
    pub(in crate::rules) fn by(&self, entries: &Entries<'_>, faults: &mut Faults) -> By {
        let by = self.key(entries, "by", faults)?;
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
        let when = super::super::rule::when(entries, faults);
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
            distinct: self.key(&entries, "distinct", faults),
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
        let by_when = match (entries.get("within"), entries.get("until")) {
            (Some(_), None) => ByWhen::Within(self.within(&entries, faults)?),
            (None, Some(_)) => {
                ByWhen::Until(self.condition(&entries, "until", Type::Time, self.when, faults)?)
            }
            _ => {
                let message = "`absent` needs either `within` or `until`";
                faults.add(Code::Conflict, entries.place(), message);
                return None;
            }
        };
        Some(Absent { other, by_when, by: self.by(&entries, faults) })
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
