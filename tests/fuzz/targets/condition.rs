//! Conditions: parsed, checked, evaluated, explained, changed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use medevac::engine::{State, explain};
use medevac::model::{Envelope, Event, Id, Node, Secret, Target};
use medevac::rules::{self, Facts, Source};
use std::sync::Arc;

fuzz_target!(|text: &str| {
    let quoted = serde_json::to_string(text).unwrap();
    for kind in ["custom", "alertmanager.alert.firing", "aws.ec2.spot.interruption"] {
        let file = format!(
            "contacts: [{{name: c, console: {{}}}}]\nescalations: [{{name: p, levels: [{{contacts: c}}]}}]\nrules: [{{name: r, when: {kind}, if: {quoted}, escalate: p}}]\n"
        );
        let source = Arc::new(Source { path: "f".into(), text: file });
        let loaded = rules::load(&[source], &|_| Ok(Secret::new("s")));
        let ruleset = match loaded {
            Ok(ruleset) => ruleset,
            Err(faults) => {
                assert!(!faults.is_empty());
                faults.iter().for_each(|fault| drop(fault.render(false)));
                continue;
            }
        };
        let mut event = Event {
            payload: serde_json::json!({ "a": 1, "b": "x", "c": [1, "y", null], "d": { "e": 0.5 } }),
            ..Event::default()
        };
        event.context.node = Some(Node { name: "n".into(), ..Node::default() });
        let at = jiff::Timestamp::UNIX_EPOCH;
        let event = Envelope::new(kind, Id::of(&["x"]), "f", Target::Node("n".into()), at, event);
        let facts = Facts::new(&event, at);
        let condition = ruleset.rules[0].condition.as_ref().unwrap();
        let held = condition.holds(&facts).is_ok_and(|held| held);
        // What the index leaves out could not have matched.
        assert!(!held || ruleset.candidates(&facts).next().is_some());
        explain(&ruleset, &State::default(), 1, &event, at, None);
        for at in 0..condition.clauses().len() {
            condition.clone().turned(at).holds(&facts).ok();
            condition.clone().without(at);
        }
    }
});
