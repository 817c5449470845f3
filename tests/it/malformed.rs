//! Two thousand bodies that are wrong in every way: each gets a 4xx or a dead letter, and nothing panics.

use crate::support::{
    client,
    daemon::{self, Door, Orders},
    get,
};
use medevac::log::{Log, Stream};
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use serde_json::{Value, json};

const RULES: &str = "rules: [{name: r, when: alertmanager.alert.firing, if: alert.labels.x == \"1\", then: [{wait: {time: 1s}}]}]";

/// JSON of any shape.
fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        "\\PC{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-zA-Z]{0,8}", inner, 0..4).prop_map(|map| json!(map)),
        ]
    })
}

/// A body that is almost right: one field of one alert, or of the envelope, is something else.
fn almost() -> impl Strategy<Value = Vec<u8>> {
    let field = prop::sample::select(vec![
        "status",
        "labels",
        "annotations",
        "startsAt",
        "endsAt",
        "fingerprint",
        "alerts",
        "receiver",
        "truncatedAlerts",
        "groupKey",
    ]);
    (field, json_value(), any::<bool>()).prop_map(|(field, value, outside)| {
        let mut body = json!({ "version": "4", "receiver": "r", "groupKey": "g", "alerts": [
            { "status": "firing", "labels": { "alertname": "A" }, "startsAt": "2026-09-18T08:20:00Z", "endsAt": "0001-01-01T00:00:00Z" },
            { "status": "firing", "labels": { "alertname": "B" } },
        ] });
        if outside { body[field] = value } else { body["alerts"][0][field] = value }
        body.to_string().into_bytes()
    })
}

/// A right body with its end cut off, or a byte turned.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let right = include_bytes!("../corpus/alertmanager/02-firing-group-of-3.json");
    (0..right.len(), any::<u8>(), any::<bool>()).prop_map(move |(at, byte, cut)| {
        let mut bytes = right.to_vec();
        if cut {
            bytes.truncate(at)
        } else {
            bytes[at] = byte
        }
        bytes
    })
}

#[tokio::test]
async fn two_thousand_malformed_bodies_get_a_4xx_or_a_dead_letter() {
    let directory = tempfile::tempdir().unwrap();
    let daemon = daemon::start(&Orders::new(directory.path(), 0, RULES), Door::default()).await;
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let bodies = prop_oneof![
        3 => almost(),
        2 => damaged(),
        1 => prop::collection::vec(any::<u8>(), 0..200),
        1 => json_value().prop_map(|value| value.to_string().into_bytes()),
    ];
    let (mut refused, mut letters, mut taken) = (0, 0, 0);
    let http = client();
    for n in 0..2000 {
        let body = bodies.new_tree(&mut runner).unwrap().current();
        let path = if n % 5 == 0 { "/api/v1/events" } else { "/api/v1/alertmanager" };
        let response =
            http.post(format!("{}{path}", daemon.url)).body(body.clone()).send().await.unwrap();
        let status = response.status().as_u16();
        let answer: Value = response.json().await.unwrap();
        match status {
            200 => {
                letters += answer["dead_letters"].as_u64().unwrap();
                taken += 1;
            }
            400..=499 => {
                assert!(!answer["error"].as_str().unwrap().is_empty());
                refused += 1;
            }
            other => panic!("{other} for {}", String::from_utf8_lossy(&body)),
        }
    }
    assert!(
        refused > 500 && letters > 100 && taken > 100,
        "{refused} refused, {letters} letters, {taken} taken"
    );
    let kept = daemon.log.read(0, &[Stream::Dead], 10_000).await.unwrap().len();
    assert!(
        kept > 0 && kept as u64 <= letters,
        "{kept} of {letters}: the same letter twice is kept once"
    );
    assert_eq!(get(&format!("{}/readyz", daemon.url)).await.unwrap()["ready"], true, "it goes on");
}
