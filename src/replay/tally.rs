//! What was decided and what became of it, on one side.

use super::{OfRule, Range, Shown};
use crate::engine::in_words;
use crate::model::{Decision, Entry, Envelope, Id, Mode, Outcome, Plan, Verdict};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) decisions: BTreeMap<Id, Envelope<Decision>>,
    /// Plans with node, begin and end.
    plans: BTreeMap<Id, (String, Timestamp, Option<Timestamp>)>,
    /// Events that were said.
    pub(super) said: BTreeSet<Id>,
}

impl Tally {
    pub(super) fn decided(&mut self, decision: &Envelope<Decision>, at: Timestamp) {
        let data = &decision.data;
        if matches!(data.verdict, Verdict::Act { .. }) && data.mode == Mode::Enforce {
            let plan = Plan::id_of(&data.incident, data.epoch);
            self.plans.insert(plan, (decision.subject.to_string(), at, None));
        }
        self.decisions.insert(decision.id.clone(), decision.clone());
    }

    pub(super) fn outcome(&mut self, outcome: &Envelope<Outcome>, at: Timestamp) {
        if let Outcome::Remediation { plan, entry: Entry::Ended { .. }, .. } = &outcome.data
            && let Some((_, _, ended)) = self.plans.get_mut(plan)
        {
            ended.get_or_insert(at);
        }
    }

    /// Whether the remediation that it is about was begun on this side.
    pub(super) fn knows(&self, outcome: &Envelope<Outcome>) -> bool {
        match &outcome.data {
            Outcome::Remediation { plan, .. } => self.plans.contains_key(plan),
            Outcome::Page { .. } => false,
        }
    }

    /// Most nodes that were held at the same time.
    pub(super) fn peak(&self, from: Timestamp, to: Timestamp) -> usize {
        let mut moves: Vec<(Timestamp, bool, &str)> = vec![];
        for (node, begun, ended) in self.plans.values() {
            if *begun < to && ended.is_none_or(|ended| ended > from) {
                moves.push((*begun, true, node));
                moves.extend(ended.map(|ended| (ended, false, node.as_str())));
            }
        }
        // At the same moment what ends makes room first.
        moves.sort();
        let (mut held, mut most): (BTreeMap<&str, usize>, usize) = (BTreeMap::new(), 0);
        for (_, begins, node) in moves {
            let count = held.entry(node).or_default();
            *count = if begins { *count + 1 } else { count.saturating_sub(1) };
            held.retain(|_, count| *count > 0);
            most = most.max(held.len());
        }
        most
    }
}

fn shown(decision: &Envelope<Decision>) -> Shown {
    Shown {
        at: decision.time,
        on: decision.subject.to_string(),
        verdict: in_words(&decision.data.verdict),
        mode: decision.data.mode,
    }
}

/// Decision by decision, by rule.
pub(super) fn compare(was: &Tally, would: &Tally, range: &Range) -> BTreeMap<String, OfRule> {
    let mut rules: BTreeMap<String, OfRule> = BTreeMap::new();
    let inside = |decision: &&Envelope<Decision>| range.has(decision.time);
    for old in was.decisions.values().filter(inside) {
        let of = rules.entry(old.data.rule.clone()).or_default();
        match would.decisions.get(&old.id) {
            None => of.removed.push(shown(old)),
            Some(new) if shown(new) == shown(old) && new.data.verdict == old.data.verdict => {
                of.same += 1
            }
            Some(new) => of.changed.push((shown(old), shown(new))),
        }
    }
    for new in would.decisions.values().filter(inside) {
        if !was.decisions.contains_key(&new.id) {
            rules.entry(new.data.rule.clone()).or_default().added.push(shown(new));
        }
    }
    for of in rules.values_mut() {
        of.added.sort_by_key(|one| one.at);
        of.removed.sort_by_key(|one| one.at);
        of.changed.sort_by_key(|(one, _)| one.at);
    }
    rules
}
