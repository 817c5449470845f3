//! What a rule may refer to: definitions, guards, policies, contacts, windows, profiles, ladders.

use super::condition::{Definitions, Known, Scope};
use super::diagnostic::{Code, Place, suggest};
use super::hours;
use super::walk::{Entries, Faults};
use crate::model::{Id, Ladder, Profile};
use std::collections::{BTreeMap, BTreeSet};

/// What a rule may refer to.
pub(super) struct Names<'a> {
    pub(super) definitions: &'a Definitions,
    pub(super) guards: Vec<&'a str>,
    pub(super) policies: Vec<&'a str>,
    pub(super) contacts: Vec<&'a str>,
    /// Of `on_call`.
    pub(super) duties: Vec<&'a str>,
    pub(super) windows: &'a hours::Named,
    pub(super) known: Known,
    /// How workloads are asked for a checkpoint that do not say so themselves.
    pub(super) profiles: Vec<Profile>,
    pub(super) ladders: Vec<Ladder>,
    /// Definitions and windows as they are written, by name.
    pub(super) written: BTreeMap<String, String>,
}

/// What of a rule its windows depend on.
const REMEMBERED: &[&str] = &[
    "when", "if", "burst", "sequence", "count", "for", "absent", "lateness", "during", "except",
    "throttle",
];

impl Names<'_> {
    /// Of what the rule remembers by: another where anything of it, or of what it names, is another.
    pub(super) fn version(&self, entries: &Entries<'_>) -> Id {
        let mut all = entries.written(REMEMBERED);
        let word = |c: char| c.is_alphanumeric() || "_-".contains(c);
        let mut at = 0;
        let mut named: BTreeSet<&str> = BTreeSet::new();
        while let Some(text) = all.get(at).cloned() {
            for name in text.split(|c| !word(c)) {
                if let Some((name, written)) = self.written.get_key_value(name)
                    && named.insert(name)
                {
                    all.push(written.clone());
                }
            }
            at += 1;
        }
        let parts: Vec<&str> = all.iter().map(String::as_str).collect();
        Id::of(&parts)
    }

    /// What the conditions of a rule about events of the types `when` may name.
    pub(super) fn scope<'s>(&'s self, when: &'s [String]) -> Scope<'s> {
        Scope { definitions: self.definitions, when, known: Some(&self.known) }
    }

    /// Faults where `name` is not in `known`.
    pub(super) fn check(
        &self,
        what: &str,
        name: &str,
        known: &[&str],
        place: &Place,
        faults: &mut Faults,
    ) {
        if !known.contains(&name) {
            let hint = suggest(name, known.iter().copied());
            faults.add(Code::UnknownName, place, format!("there is no {what} `{name}`")).hint =
                Some(hint);
        }
    }
}
