//! Our conditions beside the crate `cel`, the reference: what both give a value for has the same value.

use jiff::Timestamp;
use medevac::model::{Envelope, Event, Id, Secret, Target};
use medevac::rules::{self, Facts, Source};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::Arc;

fn payload() -> Value {
    json!({ "i": 3, "j": -7, "d": 2.5, "s": "abc", "t": "b", "yes": true, "no": false,
        "list": [1, 2, 3], "words": ["a", "b"], "map": { "k": "v", "n": 4 }, "big": 9_000_000_000_i64 })
}

/// What ours says: true, false, or nothing.
fn ours(text: &str) -> Option<Result<bool, String>> {
    let quoted = serde_json::to_string(text).unwrap();
    let file = format!(
        "contacts: [{{name: c, console: {{}}}}]\nescalations: [{{name: p, levels: [{{contacts: c}}]}}]\nrules: [{{name: r, when: x, if: {quoted}, escalate: p}}]\n"
    );
    let source = Arc::new(Source { path: "t".into(), text: file });
    let ruleset = rules::load(&[source], &|_| Ok(Secret::new("s"))).ok()?;
    let data = Event { payload: payload(), ..Event::default() };
    let at = Timestamp::UNIX_EPOCH;
    let event = Envelope::new("x", Id::of(&["x"]), "t", Target::Node("n".into()), at, data);
    let condition = ruleset.rules[0].condition.as_ref()?;
    Some(condition.holds(&Facts::new(&event, at)).map_err(|miss| miss.to_string()))
}

fn theirs(text: &str) -> Option<bool> {
    let program = std::panic::catch_unwind(|| cel::Program::compile(text)).ok()?.ok()?;
    let mut context = cel::Context::default();
    context.add_variable("event", payload()).unwrap();
    match program.execute(&context) {
        Ok(cel::Value::Bool(value)) => Some(value),
        _ => None,
    }
}

/// Expressions of what both know, of about that depth.
fn expression() -> impl Strategy<Value = String> {
    let number = prop_oneof![
        Just("event.i".to_owned()),
        Just("event.j".to_owned()),
        Just("event.map.n".to_owned()),
        Just("event.list[1]".to_owned()),
        Just("event.nope".to_owned()),
        (-9i64..9).prop_map(|n| n.to_string()),
        Just("size(event.words)".to_owned()),
        Just("event.s.size()".to_owned()),
        Just("event.big".to_owned()),
    ];
    let number = number.prop_recursive(2, 8, 2, |inner| {
        (inner.clone(), prop_oneof![Just("+"), Just("-"), Just("*"), Just("/"), Just("%")], inner)
            .prop_map(|(a, sign, b)| format!("({a} {sign} {b})"))
    });
    let text = prop_oneof![
        Just("event.s".to_owned()),
        Just("event.t".to_owned()),
        Just("event.map.k".to_owned()),
        Just("event.words[0]".to_owned()),
        Just("\"abc\"".to_owned()),
        Just("'b'".to_owned()),
        Just("event.none".to_owned()),
    ];
    let compare =
        || prop_oneof![Just("=="), Just("!="), Just("<"), Just("<="), Just(">"), Just(">=")];
    let leaf = prop_oneof![
        Just("true".to_owned()),
        Just("false".to_owned()),
        Just("event.yes".to_owned()),
        Just("event.no".to_owned()),
        (number.clone(), compare(), number).prop_map(|(a, sign, b)| format!("{a} {sign} {b}")),
        (text.clone(), compare(), text.clone()).prop_map(|(a, sign, b)| format!("{a} {sign} {b}")),
        (
            text.clone(),
            prop_oneof![Just("contains"), Just("startsWith"), Just("endsWith")],
            text.clone()
        )
            .prop_map(|(a, name, b)| format!("{a}.{name}({b})")),
        text.clone().prop_map(|a| format!("{a} in event.words")),
        text.prop_map(|a| format!("event.words.exists(w, w == {a})")),
        Just("has(event.map.k)".to_owned()),
        Just("has(event.map.z)".to_owned()),
        Just("event.list.all(n, n > 0)".to_owned()),
        Just("event.list.exists_one(n, n == 2)".to_owned()),
        Just("event.d > 2.0".to_owned()),
        Just("event.d == event.i".to_owned()),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|a| format!("!({a})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} && {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} || {b})")),
            (inner.clone(), inner.clone(), inner)
                .prop_map(|(a, b, c)| format!("({a} ? {b} : {c})")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn what_both_answer_is_the_same(text in expression()) {
        // What is refused when it is loaded, because it never holds, is no answer.
        if let (Some(Ok(ours)), Some(theirs)) = (ours(&text), theirs(&text)) {
            prop_assert_eq!(ours, theirs, "{}", text);
        }
    }
}
