//! What comes: whose turn it is and what runs next, as the command says it of rule files, and of a daemon.

use crate::support::daemon::{self, Door, Orders};
use serde_json::{Value, json};
use std::process::Command;

const RULES: &str = r#"
contacts: [{name: ann, console: {}}, {name: bob, console: {}}]
on_call:
  - {name: duty, zone: Europe/Berlin, people: [ann, bob], shift: daily, starts: 2026-03-28, hand_off: "9:00"}
escalations: [{name: p, levels: [{contacts: duty}]}]
schedules:
  - {name: nightly, schedule: cron(0 3 * * ? *), zone: Europe/Berlin}
  - {name: often, schedule: every 6h}
rules: [{name: r, when: schedule.due, escalate: p}]
"#;

/// What the command says, of these rule files or of the daemon there.
async fn said(words: &[&str], of: (&str, &str)) -> (Option<i32>, String) {
    let mut all: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    all.extend([of.0.to_owned(), of.1.to_owned()]);
    let asked = tokio::task::spawn_blocking(move || {
        Command::new(env!("CARGO_BIN_EXE_medevac")).args(all).output().unwrap()
    });
    let output = asked.await.unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&text).into_owned())
}

async fn read(words: &[&str], of: (&str, &str)) -> Value {
    let (code, text) = said(&[words, &["--output", "json"]].concat(), of).await;
    assert_eq!(code, Some(0), "{text}");
    serde_json::from_str(&text).unwrap()
}

#[tokio::test]
async fn turns_and_runs_are_told_ahead_by_the_files_and_by_the_daemon_alike() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("rules.yaml");
    std::fs::write(&file, RULES).unwrap();
    let orders = Orders::new(&directory.path().join("data"), 0, RULES);
    let daemon = daemon::start(&orders, Door::default()).await;
    let places = [("--rules", file.to_str().unwrap()), ("--url", daemon.url.as_str())];
    for of in places {
        // The night in which the clocks go forward.
        let turns = read(&["oncall", "--at", "2026-03-28T20:00:00Z", "--next", "2d"], of).await;
        let duty = &turns["on_call"][0];
        assert_eq!((&duty["name"], &duty["who"]), (&json!("duty"), &json!("ann")));
        let turns: Vec<[&str; 2]> = duty["duties"]
            .as_array()
            .unwrap()
            .iter()
            .map(|turn| ["who", "until"].map(|key| turn[key].as_str().unwrap()))
            .collect();
        assert_eq!(
            turns,
            [
                ["ann", "2026-03-29T09:00:00+02:00"],
                ["bob", "2026-03-30T09:00:00+02:00"],
                ["ann", "2026-03-30T22:00:00+02:00"],
            ]
        );
        let runs = read(&["schedules", "--from", "2026-03-28T12:00:00Z", "--next", "2"], of).await;
        let next = |at: usize| runs["schedules"][at]["next"].clone();
        assert_eq!(next(0), json!(["2026-03-29T03:00:00+02:00", "2026-03-30T03:00:00+02:00"]));
        assert_eq!(next(1), json!(["2026-03-28T18:00:00Z", "2026-03-29T00:00:00Z"]));
        let (code, text) = said(&["oncall", "dutty", "--at", "2026-03-28T20:00:00Z"], of).await;
        assert_eq!(code, Some(1), "{text}");
        assert!(text.contains("There is no duty `dutty`; there are: duty"), "{text}");
    }
}
