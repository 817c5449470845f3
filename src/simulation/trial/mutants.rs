//! Rules with one thing changed: a test should notice each.

use crate::rules::{Rule, Ruleset};
use std::sync::Arc;

/// The rules with one thing changed.
pub struct Mutant {
    pub rule: String,
    /// In words: what was changed.
    pub text: String,
    pub rules: Arc<Ruleset>,
}

type Change = Box<dyn Fn(&mut Rule)>;

/// Every rule with one clause, time word, guard, step or branch left out, or one clause turned round.
pub fn mutants(rules: &Ruleset) -> impl Iterator<Item = Mutant> {
    rules.rules.iter().enumerate().flat_map(move |(at, rule)| {
        changes(rule).into_iter().map(move |(text, change)| {
            let changed = rules.with_rules(|all| {
                if let Some(rule) = all.get_mut(at) {
                    change(rule);
                }
            });
            Mutant { rule: rule.name.clone(), text, rules: Arc::new(changed) }
        })
    })
}

fn changes(rule: &Rule) -> Vec<(String, Change)> {
    let mut all: Vec<(String, Change)> = vec![];
    let mut add = |text: String, change: Change| all.push((text, change));
    let clauses = rule.condition.iter().flat_map(|condition| condition.clauses()).enumerate();
    for (at, clause) in clauses {
        add(
            format!("without the clause `{}`", clause.text),
            Box::new(move |rule| {
                rule.condition = rule.condition.take().and_then(|condition| condition.without(at));
            }),
        );
        add(
            format!("with the clause `{}` turned round", clause.text),
            Box::new(move |rule| {
                rule.condition = rule.condition.take().map(|condition| condition.turned(at));
            }),
        );
    }
    for word in rule.words.in_use() {
        add(format!("without `{word}`"), Box::new(move |rule| rule.words.leave_out(word)));
    }
    if rule.throttle.is_some() {
        add("without `throttle`".into(), Box::new(|rule| rule.throttle = None));
    }
    for (at, guard) in rule.guards.iter().enumerate() {
        let change = move |rule: &mut Rule| drop(rule.guards.remove(at));
        add(format!("without the guard `{guard}`"), Box::new(change));
    }
    for (at, step) in rule.then.iter().enumerate() {
        let name = step.name.clone();
        let change = move |rule: &mut Rule| {
            rule.then.remove(at);
            rule.then.iter_mut().for_each(|other| other.needs.retain(|need| *need != name));
        };
        add(format!("without the step `{}`", step.name), Box::new(change));
    }
    if !rule.otherwise.is_empty() {
        add("without `otherwise`".into(), Box::new(|rule| rule.otherwise.clear()));
    }
    if rule.escalate.is_some() {
        add("without `escalate`".into(), Box::new(|rule| rule.escalate = None));
    }
    if rule.deadline.is_some() {
        add("without `deadline`".into(), Box::new(|rule| rule.deadline = None));
    }
    all
}
