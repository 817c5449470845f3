//! Rules as software: the commands that an SRE has at hand, on the program itself and on a real log.

use crate::support::daemon::{Door, Orders, Running, start};
use crate::support::{client, free_port, incidents, until};
use serde_json::{Value, json};
use std::{
    path::Path,
    process::{Command, Output},
};

fn medevac(arguments: &[&str], directory: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_medevac"))
        .args(arguments)
        .current_dir(directory)
        .env_remove("MEDEVAC_DATA_DIR")
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn write(directory: &Path, name: &str, text: &str) {
    std::fs::write(directory.join(name), text).unwrap();
}

const RULES: &str = r#"contacts: [{name: ann, console: {}}]
escalations: [{name: p, levels: [{contacts: ann, delay: 30m}]}]
guards: [{name: g, per: node.pool, limits: {at_once: 1}}]
rules:
  - name: xid-burst
    when: kubernetes.event
    if: event.reason == "NodeXid"
    count: {at_least: 3, within: 10m, by: node.name}
    guard: g
    then: [{cordon: {}}]
    escalate: p
"#;

const TESTS: &str = r#"tests:
  - name: three make a burst
    events:
      - {at: 1s, every: 1m, times: 3, event: {type: kubernetes.event, node: node-1, data: {reason: NodeXid}}}
    expect:
      - {acts: xid-burst, on: node/node-1, steps: [cordon], after: 2m}
  - name: two make none
    events:
      - {at: 1s, every: 1m, times: 2, event: {type: kubernetes.event, node: node-1, data: {reason: NodeXid}}}
      - {at: 2s, event: {type: kubernetes.event, node: node-2, data: {reason: NodeXid}, twice: true}}
"#;

#[test]
fn tests_pass_fail_and_are_measured() {
    let here = tempfile::tempdir().unwrap();
    write(here.path(), "rules.yaml", RULES);
    write(here.path(), "rules_test.yaml", TESTS);
    let good = medevac(&["test", "."], here.path());
    assert!(good.status.success(), "{}", said(&good));
    assert!(said(&good).contains("2 tests passed, 0 failed."));

    write(here.path(), "rules.yaml", &RULES.replace("at_least: 3", "at_least: 2"));
    let bad = medevac(&["test", "."], here.path());
    assert_eq!(bad.status.code(), Some(1));
    let told = said(&bad);
    assert!(told.contains("FAILED  two make none"), "{told}");
    assert!(told.contains("+ {acts: xid-burst, on: node/node-1, steps: [cordon]"), "{told}");
    assert!(
        told.contains("- {acts: xid-burst, on: node/node-1, steps: [cordon], after: 2m}"),
        "{told}"
    );
    let junit = said(&medevac(&["test", ".", "--output", "junit"], here.path()));
    assert!(junit.contains(r#"<testsuites tests="2" failures="2">"#), "{junit}");
    assert!(junit.contains("<failure message=") && !junit.contains("\u{1b}"));

    write(here.path(), "rules.yaml", RULES);
    let measured =
        medevac(&["test", ".", "--coverage", "--mutate", "--output", "json"], here.path());
    assert_eq!(measured.status.code(), Some(1), "the guard is not tested");
    let lines: Vec<Value> =
        said(&measured).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let missing = lines[0]["coverage"]["missing"].to_string();
    assert!(missing.contains("guard `g` never refuses"), "{missing}");
    assert!(missing.contains("`event.reason == \\\"NodeXid\\\"` never fails"), "{missing}");
    let unnoticed = lines[1]["unnoticed"].to_string();
    assert!(unnoticed.contains("without the guard `g`"), "{unnoticed}");
    assert!(!unnoticed.contains("without `count`"), "{unnoticed}");
}

#[test]
fn a_test_that_names_nothing_is_refused() {
    let here = tempfile::tempdir().unwrap();
    let tests = "tests:\n  - {name: t, events: [{at: 1s, alert: {name: a}}], expect: [{acts: xid-brust}, {pages: bob}, {acts: xid-burst, why: guard}, {}]}\n";
    write(here.path(), "rules.yaml", &format!("{RULES}{tests}"));
    for command in ["test", "check"] {
        let refused = medevac(&[command, "."], here.path());
        let told = said(&refused);
        assert!(!refused.status.success());
        for wanted in [
            "there is no rule `xid-brust`",
            "did you mean `xid-burst`?",
            "there is no contact `bob`",
            "`why` goes with `suppressed`",
            "exactly one of acts, tells, suppressed, pages, notifies is expected",
        ] {
            assert!(told.contains(wanted), "missing {wanted} in {told}");
        }
    }
}

#[test]
fn the_packs_that_ship_are_tested_and_every_change_is_noticed() {
    let tested = medevac(&["test", "rules", "--mutate"], Path::new("."));
    assert!(tested.status.success(), "{}", said(&tested));
    let covered = medevac(&["test", "rules", "--coverage", "--output", "json"], Path::new("."));
    let report: serde_json::Value = serde_json::from_slice(&covered.stdout).unwrap();
    let number = |key: &str| report["coverage"][key].as_f64().unwrap();
    assert!(number("seen") / number("all") > 0.9, "{}", report["coverage"]);
    let policy = tempfile::tempdir().unwrap();
    write(policy.path(), "medevac.yaml", "policy: {production: true}\n");
    let config = policy.path().join("medevac.yaml");
    let checked =
        medevac(&["check", "rules", "--config", config.to_str().unwrap()], Path::new("."));
    assert!(checked.status.success(), "{}", said(&checked));
    let form =
        medevac(&["fmt", "--check", "rules", "simulations", "simulations/rules"], Path::new("."));
    assert!(form.status.success(), "{}", said(&form));
}

#[test]
fn whoever_is_called_by_a_pack_is_told_what_to_do() {
    let packs = medevac::adapters::rulefiles::read(&[Path::new("rules").into()]).unwrap();
    let rules = medevac::rules::load(&packs, &|_| Ok(medevac::model::Secret::new("s"))).unwrap();
    let text = std::fs::read_to_string("rules/runbooks.md").unwrap();
    let sections: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    for rule in &rules.rules {
        let mut steps = rule.then.iter().chain(&rule.otherwise);
        let calls = |step: &medevac::model::StepSpec| step.action.verb() == "escalate";
        if rule.escalate.is_none() && !steps.any(calls) {
            continue;
        }
        let named = rule.runbook.as_deref().unwrap_or_else(|| panic!("{} has none", rule.name));
        let section = named.strip_prefix("runbooks.md#").unwrap();
        assert!(sections.contains(&section), "{}: {named}", rule.name);
    }
}

const LIVE: &str = r#"
contacts: [{name: ann, console: {}}]
escalations: [{name: p, levels: [{contacts: ann, delay: 30m}]}]
guards: [{name: g, per: node.pool, limits: {at_once: 1}}]
rules:
  - {name: burst, when: test.error, if: event.data_ok && node.ready, count: {at_least: 3, within: 10m, by: node.name}, guard: g, then: [{cordon: {}}], escalate: p}
  - {name: watching, mode: observe, when: test.error, then: [{cordon: {}}, {wait: {time: 1h}}]}
  - {name: other, when: test.other, escalate: p}
"#;

async fn post(daemon: &Running, number: u32) {
    let event = json!({
        "specversion": "1.0", "id": number.to_string(), "source": "t", "type": "test.error",
        "subject": "node/n1", "data": { "data_ok": true },
    });
    let sent = client()
        .post(format!("{}/api/v1/events", daemon.url))
        .header("content-type", "application/cloudevents+json")
        .body(event.to_string())
        .send();
    assert!(sent.await.unwrap().status().is_success());
}

async fn asked(daemon: &Running, arguments: &[&str], directory: &Path) -> Output {
    let all = [arguments, &["--url", &daemon.url]].concat();
    let all: Vec<String> = all.into_iter().map(str::to_owned).collect();
    let directory = directory.to_owned();
    let run = move || medevac(&all.iter().map(String::as_str).collect::<Vec<_>>(), &directory);
    tokio::task::spawn_blocking(run).await.unwrap()
}

/// A live daemon explains and says what observing rules would have done; its log is explained and replayed after it
/// has ended, by other rules too.
#[test]
fn explained_live_and_from_the_log_and_replayed() {
    let (here, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let here = here.path();
    write(here, "live.yaml", LIVE);
    write(here, "eager.yaml", &LIVE.replace("at_least: 3", "at_least: 2"));
    let event = json!({
        "specversion": "1.0", "id": "asked", "source": "t", "type": "test.error", "subject": "node/n1",
        "data": { "data_ok": true },
    });
    write(here, "event.json", &event.to_string());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(live(here, data.path()));
    // Everything of the daemon ends with it, and lets the log go.
    runtime.shutdown_timeout(std::time::Duration::from_secs(10));
    recorded(here, data.path());
}

async fn live(here: &Path, data: &Path) {
    let daemon = start(&Orders::new(data, free_port(), LIVE), Door::default()).await;
    for number in 0..3 {
        post(&daemon, number).await;
    }
    until("the burst is decided on", || async {
        let all = incidents(&daemon.url).await;
        all.iter().any(|one| one["plans"].as_array().is_some_and(|all| all.len() > 1)).then_some(())
    })
    .await;

    let live = said(&asked(&daemon, &["explain", "event.json"], here).await);
    for wanted in [
        "+ event.data_ok",
        "+ node.ready",
        "node.ready = true",
        "count: 0 of 3 within 10m (key \"n1\")",
        "guard g for \"training\": would",
        "=> remembered by its time words; not yet complete",
        "watching  (observe; hears it as its own event)",
        "1 rules are about events of other types.",
    ] {
        assert!(live.contains(wanted), "missing {wanted} in\n{live}");
    }
    let one = said(&asked(&daemon, &["explain", "event.json", "--rule", "watching"], here).await);
    assert!(one.contains("watching") && !one.contains("burst"), "{one}");
    let none = asked(&daemon, &["explain", "event.json", "--rule", "nobody"], here).await;
    assert!(String::from_utf8_lossy(&none.stderr).contains("there is no rule `nobody`"));
    let observed = said(&asked(&daemon, &["observed"], here).await);
    assert!(observed.contains("only observing: watching"), "{observed}");
    assert!(observed.contains("watching: 0 added, 0 removed, 3 changed"), "{observed}");
}

fn recorded(here: &Path, data: &Path) {
    let log = data.to_str().unwrap();
    let same =
        medevac(&["replay", "--rules", "live.yaml", "--data-dir", log, "--expect-same"], here);
    assert!(same.status.success(), "{}{:?}", said(&same), same);
    assert!(said(&same).contains("every decision is the same"), "{}", said(&same));
    let eager = ["replay", "--rules", "eager.yaml", "--data-dir", log];
    let other = medevac(&[eager.as_slice(), &["--expect-same"]].concat(), here);
    assert_eq!(other.status.code(), Some(1), "{}", said(&other));
    assert!(said(&other).contains("burst: 1 added"), "{}", said(&other));
    let json = medevac(&[eager.as_slice(), &["--output", "json"]].concat(), here);
    let value: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(value["events"], 3);
    let old = medevac(&["explain", "1", "--rules", "live.yaml", "--data-dir", log], here);
    assert!(said(&old).contains("count: 0 of 3"), "{}{:?}", said(&old), old);
}

/// YAML as JSON, as the language server reads it.
fn as_json(text: &str) -> Value {
    let source =
        std::sync::Arc::new(medevac::rules::Source { path: "t".into(), text: text.into() });
    medevac::rules::as_json(&source).unwrap()
}

#[test]
fn the_schema_says_what_the_reader_says() {
    let printed = medevac(&["schema", "rules"], Path::new("."));
    let schema: Value = serde_json::from_slice(&printed.stdout).unwrap();
    assert!(jsonschema::meta::is_valid(&schema));
    let validator = jsonschema::validator_for(&schema).unwrap();
    let mut seen = 0;
    for directory in ["rules", "simulations/rules"] {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "yaml") {
                let value = as_json(&std::fs::read_to_string(&path).unwrap());
                let faults: Vec<String> = validator
                    .iter_errors(&value)
                    .map(|fault| format!("{fault} at {}", fault.instance_path()))
                    .collect();
                assert!(faults.is_empty(), "{path:?}: {faults:?}");
                seen += 1;
            }
        }
    }
    assert!(seen >= 6, "{seen}");
    for text in [RULES, LIVE, TESTS] {
        assert!(validator.is_valid(&as_json(text)));
    }
    for (wrong, right) in [
        ("wen: x", "when: x"),
        ("severity: fatal, when: x", "severity: error, when: x"),
        (
            "when: x, count: {at_least: many, within: 1h}",
            "when: x, count: {at_least: 3, within: 1h}",
        ),
        ("when: x, for: [5m]", "when: x, for: 5m"),
        ("when: x, for: 5 minutes", "when: x, for: {time: 5m, by: node.name}"),
        ("when: x, then: [{cordn: {}}]", "when: x, then: [{cordon: {}}]"),
        ("when: x, during: {form: a}", "when: x, during: [night, {days: sat}]"),
        ("when: x, throttle: {once_within: 5}", "when: x, throttle: {once_within: 5m}"),
    ] {
        let rule = |keys: &str| as_json(&format!("rules: [{{name: a, {keys}}}]\n"));
        assert!(!validator.is_valid(&rule(wrong)), "{wrong}");
        assert!(validator.is_valid(&rule(right)), "{right}");
    }
}
