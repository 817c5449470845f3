//! From the `tests` of rule files to tests, or to all their faults.

use super::super::scenario::{Scenario, read_world};
use super::expect::{Call, Wanted};
use super::{Test, shape};
use crate::model::kind;
use crate::rules::reading::{Entries, Faults, Kind, Node, json, text};
use crate::rules::{Code, Diagnostic, Ruleset};
use serde_json::Value;
use std::time::Duration;

/// After the last event, where a test does not say how long it lasts.
const AFTERWARDS: Duration = Duration::from_secs(60);

/// Reads the tests that `rules` came with.
///
/// # Errors
/// Every fault of every test: unknown keys, rules and contacts that there are not.
pub fn load(rules: &Ruleset) -> Result<Vec<Test>, Vec<Diagnostic>> {
    let mut faults = Faults::default();
    let tests: Vec<Test> =
        rules.tests.iter().filter_map(|node| test(node, rules, &mut faults)).collect();
    for (number, test) in tests.iter().enumerate() {
        if tests[..number].iter().any(|other| other.name == test.name) {
            let message = format!("another test is called `{}`", test.name);
            faults.add(Code::Duplicate, &test.place, message);
        }
    }
    if faults.0.is_empty() { Ok(tests) } else { Err(faults.0) }
}

fn test(node: &Node, rules: &Ruleset, faults: &mut Faults) -> Option<Test> {
    let before = faults.0.len();
    let entries = Entries::of(node, &shape::TEST, faults)?;
    let name = entries.text("name", faults)?;
    let mut scenario = read_world(&entries, name.clone(), faults);
    if entries.get("cluster").is_none() {
        scenario.pools = Scenario::three_nodes();
    }
    if entries.get("alertmanager").is_none() {
        scenario.route.group_wait = Duration::ZERO;
        scenario.route.group_interval = Duration::from_secs(1);
    }
    if entries.get("lasts").is_none() {
        let ends = |step: &super::super::scenario::Step| step.at + step.every * (step.times - 1);
        let last = scenario.happens.iter().map(ends).max().unwrap_or_default();
        scenario.lasts = last + AFTERWARDS;
    }
    let wanted: Vec<Wanted> = entries
        .list("expect", faults)
        .iter()
        .filter_map(|node| wanted(node, rules, faults))
        .collect();
    (faults.0.len() == before).then_some(Test { name, place: node.place.clone(), scenario, wanted })
}

fn wanted(node: &Node, rules: &Ruleset, faults: &mut Faults) -> Option<Wanted> {
    let entries = Entries::of(node, &shape::WANTED, faults)?;
    let calls: Vec<(Call, &Node)> =
        Call::ALL.into_iter().filter_map(|call| Some((call, entries.get(call.word())?))).collect();
    let [(call, named)] = calls.as_slice() else {
        let all: Vec<&str> = Call::ALL.iter().map(|call| call.word()).collect();
        let message = format!("exactly one of {} is expected", all.join(", "));
        faults.add(Code::Conflict, &node.place, message);
        return None;
    };
    let name = text(named, faults)?;
    let known: Vec<&str> = match call {
        Call::Acts | Call::Tells | Call::Suppressed => {
            rules.rules.iter().map(|rule| rule.name.as_str()).collect()
        }
        Call::Pages | Call::Notifies => {
            rules.directory.contacts.keys().map(String::as_str).collect()
        }
    };
    if !known.contains(&name) {
        let what = if matches!(call, Call::Pages | Call::Notifies) { "contact" } else { "rule" };
        let hint = crate::rules::suggest(name, known);
        faults.add(Code::UnknownName, &named.place, format!("there is no {what} `{name}`")).hint =
            Some(hint);
    }
    for (key, of) in OF_ONE {
        if let Some(node) = entries.get(key).filter(|_| of != call) {
            let message = format!("`{key}` goes with `{}`", of.word());
            faults.add(Code::Conflict, &node.place, message);
        }
    }
    Some(Wanted {
        call: *call,
        name: name.to_owned(),
        on: entries.text("on", faults),
        steps: entries.get("steps").and_then(|node| steps(node, faults)),
        ends: entries.text("ends", faults),
        why: entries.text("why", faults),
        guard: entries.text("guard", faults),
        level: entries.number("level", faults),
        after: entries.span("after", faults).map(|span| span.0),
        by: entries.span("by", faults).map(|span| span.0),
        times: entries.number("times", faults).unwrap_or(1) as usize,
        place: node.place.clone(),
    })
}

/// Keys that go with one kind of expectation only.
const OF_ONE: [(&str, &Call); 5] = [
    ("steps", &Call::Acts),
    ("ends", &Call::Acts),
    ("why", &Call::Suppressed),
    ("guard", &Call::Suppressed),
    ("level", &Call::Pages),
];

/// `[cordon, {drain: {timeout: 5m}}]`
fn steps(node: &Node, faults: &mut Faults) -> Option<Vec<(String, Value)>> {
    let Kind::List(items) = &node.kind else {
        faults.wrong(node, "a list of steps");
        return None;
    };
    let one = |item: &Node, faults: &mut Faults| match &item.kind {
        Kind::Map(pairs) if pairs.len() == 1 => {
            pairs.first().map(|(verb, arguments)| (verb.text.clone(), json(arguments)))
        }
        _ => text(item, faults).map(|verb| (verb.to_owned(), Value::Null)),
    };
    items.iter().map(|item| one(item, faults)).collect()
}

/// Events of the daemon's own make no test: they follow from others.
pub(super) fn own(event: &str) -> bool {
    event.starts_with("medevac.") || event == kind::GROUP_RECONCILED
}
