//! The index: from an event to the rules that it may match, so that rules that cannot cost nothing.
//!
//! A rule whose condition wants one of a few texts at a known place stands under those texts; of several such
//! places the one where the fewest other rules want the same. All others stand under their event type alone.

use super::condition::{Expr, Facts};
use super::rule::Rule;
use crate::model::fnv1a;
use std::collections::BTreeMap;

/// As what a rule hears an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Its own `when`.
    Own,
    /// The event at that place of `sequence.then`, from 0.
    Next(usize),
    /// The event that `absent` expects.
    Expected,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Index {
    by_kind: BTreeMap<String, OfKind>,
}

/// The rules for one event type.
#[derive(Debug, Clone, Default)]
struct OfKind {
    /// Each place that some rule looks at, with the texts wanted there.
    places: Vec<Place>,
    /// Those that no text picks out.
    rest: Vec<(usize, Role)>,
}

#[derive(Debug, Clone)]
struct Place {
    expr: Expr,
    texts: Texts,
}

/// Rules by the text that they want, as its hash: of two texts with one hash both are asked, and their conditions
/// tell them apart. Most events are about something that no rule wants: a few bits say so without a look at the
/// table, however many rules it holds.
#[derive(Debug, Clone, Default)]
struct Texts {
    bits: Vec<u64>,
    table: Table,
    /// The texts while they are being added.
    all: Vec<u64>,
}

#[expect(clippy::disallowed_types, reason = "asked for one key at a time, never gone through")]
type Table = std::collections::HashMap<u64, Vec<(usize, Role)>>;

/// Bits for each text: with so many, one text in sixteen that nobody wants has to be looked up.
const BITS: usize = 16;

/// FNV-1a, with its low bits mixed.
fn hash(text: &str) -> u64 {
    let hash = fnv1a(text.bytes());
    hash ^ (hash >> 29)
}

/// Which word of so many, and which bit of it.
fn bit(hash: u64, words: usize) -> (usize, u64) {
    let at = usize::try_from((hash >> 6) % words.max(1) as u64).unwrap_or(0);
    (at, 1 << (hash & 63))
}

impl Texts {
    fn find(&self, text: &str) -> &[(usize, Role)] {
        let hash = hash(text);
        let (at, mask) = bit(hash, self.bits.len());
        match self.bits.get(at) {
            Some(word) if word & mask != 0 => self.table.get(&hash).map_or(&[], Vec::as_slice),
            _ => &[],
        }
    }

    fn add(&mut self, text: &str, rule: (usize, Role)) {
        let hash = hash(text);
        self.all.push(hash);
        self.table.entry(hash).or_default().push(rule);
    }

    /// Sets the bits, once every text is in the table.
    fn close(&mut self) {
        let mut all = std::mem::take(&mut self.all);
        all.sort_unstable();
        all.dedup();
        self.bits = vec![0; (all.len() * BITS).div_ceil(64)];
        for hash in all {
            let (at, mask) = bit(hash, self.bits.len());
            if let Some(word) = self.bits.get_mut(at) {
                *word |= mask;
            }
        }
    }
}

/// One rule as it hears one event type, with the places and texts it could stand under.
struct Entry<'a> {
    kind: &'a str,
    rule: usize,
    role: Role,
    wants: Vec<(String, &'a Expr, Vec<&'a str>)>,
}

impl Index {
    pub(super) fn new(rules: &[Rule]) -> Index {
        let entries: Vec<Entry<'_>> =
            rules.iter().enumerate().flat_map(|(at, rule)| entries(at, rule)).collect();
        // How many rules of a type want a text at a place: the fewer, the better it picks.
        let mut wanted: BTreeMap<(&str, &str, &str), usize> = BTreeMap::new();
        for entry in &entries {
            for (path, _, texts) in &entry.wants {
                for text in texts {
                    *wanted.entry((entry.kind, path, text)).or_default() += 1;
                }
            }
        }
        let cost = |entry: &Entry<'_>, (path, _, texts): &(String, &Expr, Vec<&str>)| -> usize {
            texts.iter().filter_map(|text| wanted.get(&(entry.kind, path.as_str(), *text))).sum()
        };
        let mut index = Index::default();
        let mut places: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for entry in &entries {
            let of_kind = index.by_kind.entry(entry.kind.to_owned()).or_default();
            let Some((path, expr, texts)) = entry.wants.iter().min_by_key(|want| cost(entry, want))
            else {
                of_kind.rest.push((entry.rule, entry.role));
                continue;
            };
            let at = *places.entry((entry.kind, path)).or_insert_with(|| {
                of_kind.places.push(Place { expr: (*expr).clone(), texts: Texts::default() });
                of_kind.places.len() - 1
            });
            for text in texts {
                if let Some(place) = of_kind.places.get_mut(at) {
                    place.texts.add(text, (entry.rule, entry.role));
                }
            }
        }
        let all = index.by_kind.values_mut().flat_map(|of_kind| &mut of_kind.places);
        all.for_each(|place| place.texts.close());
        index
    }

    /// The rules that the event may match, in the order of the files.
    pub(super) fn find(&self, facts: &Facts<'_>) -> Vec<(usize, Role)> {
        let Some(of_kind) = self.by_kind.get(&facts.event.kind) else { return vec![] };
        let mut found = vec![];
        for place in &of_kind.places {
            if let Some(text) = place.expr.text(facts) {
                found.extend_from_slice(place.texts.find(&text));
            }
        }
        if found.is_empty() {
            return of_kind.rest.clone();
        }
        found.extend_from_slice(&of_kind.rest);
        found.sort_unstable();
        found.dedup();
        found
    }
}

fn entries(at: usize, rule: &Rule) -> Vec<Entry<'_>> {
    // What ends a hold is an event of which the condition does not hold: it has to be heard.
    let ends_by_itself = |kind: &str| kind.starts_with("alertmanager.alert.");
    let held = rule.words.hold.is_some();
    let own = rule.when.iter().map(|kind| {
        let all = held && !ends_by_itself(kind);
        let wants = if all { vec![] } else { wants(rule.condition.as_ref()) };
        Entry { kind, rule: at, role: Role::Own, wants }
    });
    let next = rule.words.sequence.iter().flat_map(|sequence| sequence.then.iter().enumerate());
    let next = next.map(|(step, other)| (Role::Next(step), other));
    let expected = rule.words.absent.iter().filter_map(|absent| absent.other.as_ref());
    let others = next.chain(expected.map(|other| (Role::Expected, other)));
    let others = others.flat_map(move |(role, other)| {
        other.when.iter().map(move |kind| Entry {
            kind,
            rule: at,
            role,
            wants: wants(other.condition.as_ref()),
        })
    });
    own.chain(others).collect()
}

fn wants(condition: Option<&super::Condition>) -> Vec<(String, &Expr, Vec<&str>)> {
    let conjuncts = condition.map(super::Condition::conjuncts).unwrap_or_default();
    conjuncts
        .into_iter()
        .filter_map(|part| {
            let (of, texts) = part.one_of()?;
            Some((of.path()?, of, texts))
        })
        .collect()
}
