//! Conditions against a table: the value, or the exact words of the fault and where its caret stands.

use super::super::diagnostic::{Place, Source};
use super::super::walk::Faults;
use super::*;
use crate::model::{
    Alert, AlertStatus, Context, Envelope, Event, Id, Node, Pod, PodPhase, Pool, Taint, Target,
    kind,
};
use jiff::Timestamp;
use serde_json::json;
use std::fmt::Write;

const TABLE: &str = include_str!("tests/table.txt");

fn definitions() -> Definitions {
    let mut definitions = Definitions::new();
    for (name, text) in [
        ("trains", "node.labels[\"workload\"] == \"training\""),
        ("leave_me", "\"medevac.dev/leave-me\" in node.annotations"),
        ("loud", "alert.labels.severity in [\"critical\", \"page\"]"),
    ] {
        let place = place(text);
        let mut faults = Faults::default();
        let definition = define(text, &place, &definitions, &mut faults);
        definitions.insert(name.into(), definition);
    }
    definitions
}

fn place(text: &str) -> Place {
    let source = Arc::new(Source { path: "t".into(), text: text.into() });
    Place { source, span: 0..text.len() }
}

/// The condition, or its faults and warnings as the table writes them.
fn compiled(text: &str, when: &str) -> (Option<Condition>, String) {
    let (definitions, when) = (definitions(), [when.to_owned()]);
    let scope = Scope { definitions: &definitions, when: &when, known: None };
    let mut faults = Faults::default();
    let condition = compile(text, &place(text), Type::Bool, scope, &mut faults);
    let mut told = String::new();
    for fault in &faults.0 {
        let level = if fault.warning { "warning" } else { "error" };
        let (start, end) = (fault.place.span.start + 1, fault.place.span.end);
        let hint = fault.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
        let code = fault.code.word();
        write!(told, "; {level}[{code}] {start}-{end}: {}{hint}", fault.message).unwrap();
    }
    (condition, told.trim_start_matches("; ").to_owned())
}

fn node() -> Node {
    let text = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    };
    Node {
        name: "gpu-7".into(),
        pool: "gpu".into(),
        zone: "us-east-1a".into(),
        capacity_type: "spot".into(),
        ready: true,
        labels: text(&[("workload", "training"), ("rack", "12")]),
        annotations: text(&[("owner", "ml")]),
        taints: vec![Taint { key: "gpu".into(), value: "yes".into(), effect: "NoSchedule".into() }],
        ..Node::default()
    }
}

fn event(about: &str) -> Envelope<Event> {
    let context = Context {
        node: Some(node()),
        pool: Some(Pool { name: "gpu".into(), size: 10 }),
        pod: Some(Pod {
            namespace: "ml".into(),
            name: "llm-0".into(),
            phase: PodPhase::Running,
            grace: 30,
            ..Pod::default()
        }),
        cloud: [("region".to_owned(), "us-east-1".to_owned())].into(),
        ..Context::default()
    };
    let at: Timestamp = "2026-09-18T08:20:00Z".parse().unwrap();
    let label = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let alert = Alert {
        status: AlertStatus::Firing,
        name: "GpuXid".into(),
        labels: [label("severity", "critical"), label("xid", "79")].into(),
        annotations: [].into(),
        starts_at: at,
        ends_at: None,
        fingerprint: "f".into(),
        generator_url: String::new(),
        receiver: "medevac".into(),
        external_url: String::new(),
        group_key: String::new(),
    };
    let payload = match about {
        kind::ALERT_FIRING => serde_json::Value::Null,
        kind::SPOT_INTERRUPTION => {
            json!({ "detail": { "instance-id": "i-0b66", "instance-action": "terminate" } })
        }
        _ => json!({ "reason": "NodeXid", "count": 3, "tags": ["a", "b"], "ratio": 0.5, "n": null,
                "deep": { "list": [1, 2.5, "x"], "flag": true }, "day": "2026-09-18" }),
    };
    let alert = (about == kind::ALERT_FIRING).then_some(alert);
    let data = Event { payload, context, alert };
    let target = Target::Node("gpu-7".into());
    let mut event = Envelope::new(about, Id::of(&["x"]), "test", target, at, data);
    event.tenant = Some("ml".into());
    event.deadline = "2026-09-18T08:22:00Z".parse().ok();
    event
}

/// What the table should say of a condition.
fn outcome(text: &str, when: &str) -> String {
    let (condition, told) = compiled(text, when);
    let Some(condition) = condition else { return told };
    let event = event(when);
    let now = "2026-09-18T08:20:05Z".parse().unwrap();
    let value = match condition.holds(&Facts::new(&event, now)) {
        Ok(holds) => holds.to_string(),
        Err(miss) => format!("no answer: {miss}"),
    };
    if told.is_empty() { value } else { format!("{value}; {told}") }
}

#[test]
fn every_condition_of_the_table_comes_out_as_it_says() {
    let (mut when, mut seen, mut wrong, mut written) = ("", 0, vec![], String::new());
    for line in TABLE.lines() {
        if let Some(kind) = line.strip_prefix("## ") {
            when = kind;
        }
        let Some((text, wanted)) = line.split_once("  =>").filter(|_| !line.starts_with('#'))
        else {
            writeln!(written, "{line}").unwrap();
            continue;
        };
        let (text, wanted) = (text.trim_end(), wanted.trim());
        let found = outcome(text, when);
        writeln!(written, "{text}  => {found}").unwrap();
        seen += 1;
        if found != wanted {
            wrong.push(format!("{text}\n  wanted {wanted}\n  found  {found}"));
        }
    }
    if std::env::var_os("UPDATE_TABLE").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/rules/condition/tests/table.txt");
        std::fs::write(path, written).unwrap();
        return;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen >= 150, "only {seen} conditions");
}

#[test]
fn a_clause_shows_what_it_was_decided_on() {
    let (condition, _) = compiled("trains && event.count > 5 && has(node.labels.nope)", "custom");
    let (condition, event) = (condition.unwrap(), event("custom"));
    let facts = Facts::new(&event, event.time);
    let shown: Vec<String> = condition
        .clauses()
        .iter()
        .map(|clause| format!("{}: {:?}", clause.text, clause.seen(&facts)))
        .collect();
    assert_eq!(
        shown,
        [
            r#"trains: [("node.labels.workload", "\"training\"")]"#,
            r#"event.count > 5: [("event.count", "3")]"#,
            r#"has(node.labels.nope): [("node.labels.nope", "(not there)")]"#,
        ]
    );
}

proptest::proptest! {
    /// Whatever is written, it is either refused or evaluated: never a panic.
    #[test]
    fn nothing_panics(text in r#"([a-z."'\[\]()&|!<>=+*/?: 0-9\\-]|node|event|in|has|exists){0,60}"#) {
        let (condition, told) = compiled(&text, "custom");
        let event = event("custom");
        match condition {
            Some(condition) => drop(condition.holds(&Facts::new(&event, event.time))),
            None => proptest::prop_assert!(!told.is_empty()),
        }
    }
}
