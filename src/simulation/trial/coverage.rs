//! What of the rules no test has looked at.

use super::super::play::Report;
use super::read::own;
use crate::rules::{Facts, Role, Rule, Ruleset};
use std::collections::BTreeMap;

/// Something of a rule that a test can look at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Item {
    pub rule: String,
    /// Of the rule: `clause`, `word`, `guard`, `otherwise`, `rule`.
    pub part: &'static str,
    /// In words: `a clause that never fails`.
    pub text: String,
}

/// Everything there is, and whether it was looked at.
#[derive(Debug, Clone, Default)]
pub struct Coverage(pub BTreeMap<Item, bool>);

impl Coverage {
    /// What either has looked at.
    pub fn join(&mut self, other: &Coverage) {
        for (item, seen) in &other.0 {
            *self.0.entry(item.clone()).or_default() |= seen;
        }
    }

    pub fn seen(&self) -> usize {
        self.0.values().filter(|seen| **seen).count()
    }

    pub fn missing(&self) -> impl Iterator<Item = &Item> {
        self.0.iter().filter(|(_, seen)| !**seen).map(|(item, _)| item)
    }
}

/// What one run has looked at.
pub(super) fn of(rules: &Ruleset, report: &Report) -> Coverage {
    let mut coverage = Coverage::default();
    for rule in &rules.rules {
        let mut add = |part, text: String, seen: bool| {
            *coverage.0.entry(Item { rule: rule.name.clone(), part, text }).or_default() |= seen;
        };
        let decided = report.ledger.decisions.iter().filter(|fact| fact.rule == rule.name);
        let decided: Vec<_> = decided.collect();
        let matches = clauses(rule, report, &mut add);
        let through = decided.iter().any(|fact| fact.verdict != "hours");
        add("rule", "it never decides".into(), through);
        for word in rule.words.in_use() {
            let let_through =
                if matches!(word, "during" | "except") { through } else { !decided.is_empty() };
            add("word", format!("`{word}` never lets anything through"), let_through);
            let held = match word {
                "during" | "except" => decided.iter().any(|fact| fact.verdict == "hours"),
                _ => matches > decided.len(),
            };
            add("word", format!("`{word}` never holds anything back"), held);
        }
        if rule.throttle.is_some() {
            let held =
                decided.iter().any(|fact| fact.verdict == "throttled") || matches > decided.len();
            add("word", "`throttle` never holds anything back".into(), held);
        }
        for guard in &rule.guards {
            let refused = decided.iter().any(|fact| fact.guard.as_ref() == Some(guard));
            let asked = refused || decided.iter().any(|fact| fact.verdict == "act");
            add("guard", format!("guard `{guard}` is never asked"), asked);
            add("guard", format!("guard `{guard}` never refuses"), refused);
        }
        if !rule.otherwise.is_empty() {
            let mut plans = report.ledger.plans.values().filter(|fact| fact.plan.rule == rule.name);
            let ran =
                plans.any(|fact| fact.steps.keys().any(|step| step.starts_with("otherwise-")));
            add("otherwise", "`otherwise` never runs".into(), ran);
        }
    }
    coverage
}

/// Looks at every clause for every event: how many events matched the rule as its own.
fn clauses(
    rule: &Rule,
    report: &Report,
    add: &mut impl FnMut(&'static str, String, bool),
) -> usize {
    let mut roles = vec![Role::Own];
    roles.extend(rule.words.sequence.iter().flat_map(|it| (0..it.then.len()).map(Role::Next)));
    roles.extend(rule.words.absent.iter().filter(|it| it.other.is_some()).map(|_| Role::Expected));
    let mut matched = 0;
    for role in roles {
        let condition = rule.heard_as(role);
        for clause in condition.iter().flat_map(|condition| condition.clauses()) {
            add("clause", format!("`{}` never holds", clause.text), false);
            add("clause", format!("`{}` never fails", clause.text), false);
        }
        for (event, now) in report.ledger.kept.iter().flatten() {
            if own(&event.kind) || !rule.hears(role, &event.kind) {
                continue;
            }
            let facts = Facts::new(event, *now);
            for clause in condition.iter().flat_map(|condition| condition.clauses()) {
                let holds = matches!(clause.holds(&facts), Ok(true));
                let word = if holds { "holds" } else { "fails" };
                add("clause", format!("`{}` never {word}", clause.text), true);
            }
            let holds = condition.is_none_or(|it| matches!(it.holds(&facts), Ok(true)));
            matched += usize::from(holds && role == Role::Own);
        }
    }
    matched
}
