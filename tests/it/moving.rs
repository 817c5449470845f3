//! A log moves: embedded to a file, to NATS, and back; broken off and gone on; old records for ever.

use crate::contract::entry;
use crate::support::daemon::{Door, Orders, start};
use crate::support::nats::{connect, options, single};
use crate::support::{client, free_port, get, incidents, until};
use medevac::adapters::embedded::{self, Embedded};
use medevac::clock::System;
use medevac::log::{Condition, Kv, Log, Moving, Place, Record, Stream, bucket};
use medevac::model::{Decision, Event, IncidentChange, Outcome, Plan, kind};
use std::{
    path::Path,
    process::{Command, Output},
};

fn medevac(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_medevac")).args(args).output().unwrap()
}

fn good(args: &[&str]) -> String {
    let output = medevac(args);
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {said}");
    said
}

fn no(args: &[&str]) -> String {
    let output = medevac(args);
    assert!(!output.status.success(), "{args:?} went well");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn open(directory: &Path) -> Embedded {
    Embedded::open(directory, embedded::Options::default(), System).unwrap()
}

const EVENTS: usize = 1200;

/// A log with events, decisions, keys and a consumer half-way.
async fn furnish(directory: &Path) {
    let log = open(directory);
    for from in (0..EVENTS).step_by(100) {
        let one = |n: usize| {
            let stream = if n.is_multiple_of(3) { Stream::Decisions } else { Stream::Events };
            let mut entry = entry(stream, &format!("m{n}"));
            entry.body = envelope(n);
            entry
        };
        log.append((from..from + 100).map(one).collect()).await.unwrap();
    }
    log.put(bucket::INCIDENTS, "0001-inc-1", b"{}".to_vec(), Condition::Always, None)
        .await
        .unwrap();
    log.put_place(&Place { consumer: "engine".into(), floor: 700 }).await.unwrap();
}

fn envelope(n: usize) -> Vec<u8> {
    let (id, data) = (medevac::model::Id::of(&[&n.to_string()]), Event::default());
    let target = medevac::model::Target::Node("n".into());
    let at = jiff::Timestamp::UNIX_EPOCH;
    let envelope = medevac::model::Envelope::new("test.moved", id, "t", target, at, data);
    serde_json::to_vec(&envelope).unwrap()
}

async fn all(log: &impl Log) -> Vec<(u64, jiff::Timestamp, Stream, Vec<u8>)> {
    let records = log.read(0, &Stream::ALL, 10_000).await.unwrap();
    records.into_iter().map(|Record { seq, at, stream, body }| (seq, at, stream, body)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn from_embedded_to_nats_and_back_nothing_changes() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    furnish(&directory.path().join("a")).await;
    let before = all(&open(&directory.path().join("a"))).await;
    good(&["log", "export", &path("one.log"), "--data-dir", &path("a")]);
    let server = single(directory.path(), "");
    let nats = connect(&options(&[&server])).await;
    good(&["log", "import", &path("one.log"), "--nats", &server.url()]);
    assert_eq!(all(&nats).await, before, "the same positions, times and messages");
    assert_eq!(nats.places().await.unwrap(), [Place { consumer: "engine".into(), floor: 700 }]);
    assert_eq!(
        Kv::get(&nats, bucket::INCIDENTS, "0001-inc-1").await.unwrap().unwrap().value,
        b"{}"
    );
    good(&["log", "export", &path("two.log"), "--nats", &server.url()]);
    good(&["log", "import", &path("two.log"), "--data-dir", &path("b")]);
    let back = open(&directory.path().join("b"));
    assert_eq!(all(&back).await, before);
    assert_eq!(back.places().await.unwrap(), [Place { consumer: "engine".into(), floor: 700 }]);
    drop(back);
    let said = good(&["log", "import", &path("two.log"), "--data-dir", &path("b")]);
    assert!(said.contains("is in the log"), "the same again is no fault: {said}");
    furnish(&directory.path().join("other")).await;
    open(&directory.path().join("other"))
        .append(vec![entry(Stream::Events, "more")])
        .await
        .unwrap();
    let foreign = tempfile::tempdir().unwrap();
    open(foreign.path()).append(vec![entry(Stream::Events, "foreign")]).await.unwrap();
    let said = no(&[
        "log",
        "import",
        &path("two.log"),
        "--data-dir",
        &foreign.path().display().to_string(),
    ]);
    assert!(said.contains("not the beginning of this file"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_broken_off_goes_on_and_what_is_damaged_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    furnish(&directory.path().join("a")).await;
    good(&["log", "export", &path("whole.log"), "--data-dir", &path("a")]);
    let whole = std::fs::read(path("whole.log")).unwrap();
    // Broken off in the middle of a line.
    std::fs::write(path("again.log.part"), &whole[..whole.len() / 2]).unwrap();
    let said = good(&["log", "export", &path("again.log"), "--data-dir", &path("a")]);
    assert!(said.contains("going on after position"), "{said}");
    assert!(std::fs::read(path("again.log")).unwrap() == whole, "it is the same file in the end");
    // An import that was broken off.
    {
        let log = open(&directory.path().join("b"));
        let records = open(&directory.path().join("a")).read(0, &Stream::ALL, 300).await.unwrap();
        let restored = records.iter().map(|record| medevac::log::Restored {
            seq: record.seq,
            at: record.at,
            entry: medevac::log::Entry {
                id: record.open::<Event>().unwrap().id,
                body: record.body.clone(),
                subject: entry(record.stream, "x").subject,
            },
        });
        log.restore(restored.collect()).await.unwrap();
    }
    good(&["log", "import", &path("whole.log"), "--data-dir", &path("b")]);
    let (a, b) = (open(&directory.path().join("a")), open(&directory.path().join("b")));
    assert_eq!(all(&a).await, all(&b).await);
    let mut damaged = whole.clone();
    let at = damaged.len() / 3;
    damaged[at] = if damaged[at] == b'1' { b'2' } else { b'1' };
    std::fs::write(path("damaged.log"), &damaged).unwrap();
    let said = no(&["log", "verify", &path("damaged.log")]);
    assert!(said.contains("damaged.log:"), "{said}");
    std::fs::write(path("short.log"), &whole[..whole.len() - 200]).unwrap();
    let said = no(&["log", "import", &path("short.log"), "--data-dir", &path("c")]);
    assert!(
        said.contains("the export was not finished") || said.contains("before its checksum"),
        "{said}"
    );
    assert!(
        !directory.path().join("c/medevac.db").exists()
            || all(&open(&directory.path().join("c"))).await.is_empty()
    );
}

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus/logs/v1.jsonl");

/// One log of each version, written by the daemon of that version: `v1.jsonl`, `v2.jsonl`, and so on.
#[tokio::test(flavor = "multi_thread")]
async fn every_record_of_every_version_is_read() {
    for version in 1..=medevac::model::RECORD_VERSION {
        let golden = format!("{}/tests/corpus/logs/v{version}.jsonl", env!("CARGO_MANIFEST_DIR"));
        let directory = tempfile::tempdir().unwrap();
        good(&["log", "import", &golden, "--data-dir", &directory.path().display().to_string()]);
        let records = open(directory.path()).read(0, &Stream::ALL, 1000).await.unwrap();
        assert!(records.len() > 50, "{golden}: {} records", records.len());
        for record in &records {
            assert_eq!(version_of(record), version, "{golden}: record {}", record.seq);
        }
    }
}

/// Reads the record as what it is.
fn version_of(record: &Record) -> u32 {
    match record.stream {
        Stream::Events => record.open::<Event>().unwrap().record_version,
        Stream::Plans => record.open::<Plan>().unwrap().record_version,
        Stream::Outcomes => record.open::<Outcome>().unwrap().record_version,
        Stream::Decisions => match record.open::<serde_json::Value>().unwrap().kind.as_str() {
            kind::INCIDENT => record.open::<IncidentChange>().unwrap().record_version,
            _ => record.open::<Decision>().unwrap().record_version,
        },
        Stream::Dead => unreachable!("there is none in it"),
    }
}

#[test]
fn a_record_of_a_newer_version_is_not_taken_for_one_of_ours() {
    let newer = medevac::model::RECORD_VERSION + 1;
    let text = String::from_utf8(envelope(1)).unwrap();
    let current = format!("\"recordversion\":{}", medevac::model::RECORD_VERSION);
    let body = text.replace(&current, &format!("\"recordversion\":{newer}")).into_bytes();
    let at = jiff::Timestamp::UNIX_EPOCH;
    let error = Record { seq: 7, at, stream: Stream::Events, body }.open::<Event>().unwrap_err();
    assert!(error.to_string().contains(&format!("record 7 is of version {newer}")), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_goes_on_where_the_version_before_it_stopped() {
    let directory = tempfile::tempdir().unwrap();
    good(&["log", "import", GOLDEN, "--data-dir", &directory.path().display().to_string()]);
    let rules = "contacts: [{name: c, console: {}}]\nescalations: [{name: p, levels: [{contacts: c}]}]\n\
                 rules: [{name: tell, when: alertmanager.alert.firing, if: alert.name == \"New\", escalate: p}]\n";
    let daemon = start(&Orders::new(directory.path(), free_port(), rules), Door::default()).await;
    let alert = serde_json::json!({"version": "4", "status": "firing", "alerts": [
        {"status": "firing", "labels": {"alertname": "New", "node": "n1"}, "startsAt": "2026-11-23T00:00:00Z"}
    ]});
    let url = format!("{}/api/v1/alertmanager", daemon.url);
    assert!(client().post(url).json(&alert).send().await.unwrap().status().is_success());
    until("the new alert is decided on", || async {
        let all = incidents(&daemon.url).await;
        all.iter().any(|one| one["state"] == "open").then_some(())
    })
    .await;
    let all = incidents(&daemon.url).await;
    let resolved: Vec<_> = all.iter().filter(|one| one["state"] == "resolved").collect();
    // The old daemon was stopped while its third incident was open.
    assert_eq!((all.len(), resolved.len()), (4, 2), "what was over stays over: {all:?}");
    let plans = daemon.log.read(52, &[Stream::Plans], 10).await.unwrap();
    assert!(plans.is_empty(), "nothing of the past is decided again");
    let id = resolved[0]["id"].as_str().unwrap();
    let chain = get(&format!("{}/api/v1/incidents/{id}", daemon.url)).await.unwrap();
    assert!(chain["chain"].as_array().unwrap().len() > 3, "{chain}");
}
