//! The operating commands against a running daemon: guards, pauses, dead letters, status.

use crate::support::daemon::{Door, Orders, Running, start};
use crate::support::{client, free_port, get, incidents, until};
use serde_json::{Value, json};
use std::process::{Command, Output};

const RULES: &str = r"
guards: [{name: gpu-nodes, per: node.pool, limits: {at_once: 1}, storm: {release_after: 10m}}]
rules:
  - name: slow
    when: test.ill
    guard: gpu-nodes
    then: [{cordon: {}}, {wait: {time: 1h}}]
";

async fn daemon(directory: &tempfile::TempDir) -> Running {
    start(&Orders::new(directory.path(), free_port(), RULES), Door::default()).await
}

async fn medevac(daemon: &Running, args: &[&str]) -> Output {
    let (args, url) =
        (args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>(), daemon.url.clone());
    let run = move || {
        Command::new(env!("CARGO_BIN_EXE_medevac"))
            .args(args)
            .args(["--url", &url])
            .env("USER", "ada")
            .output()
            .unwrap()
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

async fn ill(daemon: &Running, id: &str, node: &str) {
    let event = json!({
        "specversion": "1.0", "id": id, "source": "t", "type": "test.ill", "subject": format!("node/{node}"),
    });
    let sent = client()
        .post(format!("{}/api/v1/events", daemon.url))
        .header("content-type", "application/cloudevents+json")
        .body(event.to_string())
        .send();
    assert!(sent.await.unwrap().status().is_success());
}

/// The verdicts of the incident about that node.
async fn verdicts(daemon: &Running, target: &str) -> Vec<Value> {
    until("a decision is made", || async {
        let all = incidents(&daemon.url).await;
        let id = all.iter().find(|one| one["target"] == *target)?["id"].as_str()?.to_owned();
        let chain = get(&format!("{}/api/v1/incidents/{id}", daemon.url)).await?;
        let links = chain["chain"].as_array()?.iter();
        let said: Vec<Value> = links
            .map(|link| link["record"]["data"]["verdict"].clone())
            .filter(|it| !it.is_null())
            .collect();
        (!said.is_empty()).then_some(said)
    })
    .await
}

#[tokio::test]
async fn guards_say_who_holds_what_and_pauses_keep_the_robot_still() {
    let directory = tempfile::tempdir().unwrap();
    let daemon = daemon(&directory).await;
    assert!(text(&medevac(&daemon, &["guards"]).await).contains("No guard is held"));
    ill(&daemon, "1", "n1").await;
    assert_eq!(verdicts(&daemon, "node/n1").await[0]["is"], "act");
    let shown = text(&medevac(&daemon, &["guards"]).await);
    for wanted in ["gpu-nodes", "training", "node/n1", "slow", "whole"] {
        assert!(shown.contains(wanted), "{wanted} is missing in\n{shown}");
    }
    ill(&daemon, "2", "n2").await;
    // What the guard holds back is one incident.
    let storm = verdicts(&daemon, "storm/gpu-nodes/training").await;
    assert_eq!(storm[0]["reason"]["why"], "guard");
    let shown = text(&medevac(&daemon, &["guards"]).await);
    assert!(shown.contains("tripped, until"), "{shown}");
    let paused =
        medevac(&daemon, &["pause", "--rule", "slow", "--for", "2h", "--reason", "maintenance"])
            .await;
    let said = text(&paused);
    assert!(paused.status.success() && said.contains("rule slow is paused until"), "{said}");
    let id = said.split(':').next().unwrap().to_owned();
    ill(&daemon, "3", "n3").await;
    let reason = &verdicts(&daemon, "node/n3").await[0]["reason"];
    assert_eq!((&reason["why"], &reason["by"]), (&json!("paused"), &json!("ada")));
    let shown = text(&medevac(&daemon, &["guards"]).await);
    assert!(shown.contains(&id) && shown.contains("maintenance"), "{shown}");
    assert!(medevac(&daemon, &["resume", &id]).await.status.success());
    until("the pause has ended", || async {
        let shown = get(&format!("{}/api/v1/guards", daemon.url)).await?;
        shown["pauses"].as_array()?.is_empty().then_some(())
    })
    .await;
    let again = medevac(&daemon, &["resume", &id]).await;
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again).contains("there is no pause"), "{}", text(&again));
}

#[tokio::test]
async fn an_incident_that_is_put_off_is_owned_until_then() {
    let directory = tempfile::tempdir().unwrap();
    let daemon = daemon(&directory).await;
    ill(&daemon, "1", "n1").await;
    ill(&daemon, "2", "n2").await;
    verdicts(&daemon, "storm/gpu-nodes/training").await;
    let all = incidents(&daemon.url).await;
    let storm = all.iter().find(|one| one["target"] == "storm/gpu-nodes/training").unwrap();
    let id = storm["id"].as_str().unwrap();
    let put_off = medevac(&daemon, &["snooze", id, "--for", "2h", "--note", "known"]).await;
    assert!(put_off.status.success(), "{}", text(&put_off));
    let owned = until("somebody owns it", || async {
        let all = incidents(&daemon.url).await;
        all.into_iter().find(|one| one["id"] == id && one["state"] == "acknowledged")
    })
    .await;
    assert_eq!(owned["acknowledged_by"], "ada");
    let chain = get(&format!("{}/api/v1/incidents/{id}", daemon.url)).await.unwrap();
    let until_when = chain["chain"]
        .as_array()
        .unwrap()
        .iter()
        .find_map(|link| link["record"]["data"]["move"]["until"].as_str().map(str::to_owned));
    let until_when: jiff::Timestamp = until_when.unwrap().parse().unwrap();
    let left = until_when.duration_since(jiff::Timestamp::now()).as_secs();
    assert!((7000..=7200).contains(&left), "{left}");
    let never = medevac(&daemon, &["snooze", "inc-0000000000"]).await;
    assert_eq!(never.status.code(), Some(1), "{}", text(&never));
}

#[tokio::test]
async fn a_pause_without_a_reason_or_an_end_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let daemon = daemon(&directory).await;
    let post = async |body: Value| {
        let sent =
            client().post(format!("{}/api/v1/pauses", daemon.url)).body(body.to_string()).send();
        let answer = sent.await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let (status, why) = post(json!({"scope": "everything", "reason": " ", "by": "a"})).await;
    assert_eq!((status, why.contains("reason")), (400, true), "{why}");
    let (status, why) =
        post(json!({"scope": "everything", "reason": "r", "by": "a", "for": "30d"})).await;
    assert_eq!((status, why.contains("14d")), (400, true), "{why}");
    let (status, why) = post(json!({"scope": {"planet": "x"}, "reason": "r", "by": "a"})).await;
    assert_eq!((status, why.contains("tenant")), (400, true), "{why}");
}

#[tokio::test]
async fn dead_letters_are_listed_shown_requeued_and_dropped() {
    let directory = tempfile::tempdir().unwrap();
    let daemon = daemon(&directory).await;
    assert!(text(&medevac(&daemon, &["dead-letters", "list"]).await).contains("No dead letters"));
    let batch = json!([{"id": "x"}, {"specversion": "1.0", "id": "y", "source": "s", "type": "t"}]);
    let sent = client()
        .post(format!("{}/api/v1/events", daemon.url))
        .header("content-type", "application/cloudevents-batch+json")
        .body(batch.to_string())
        .send();
    assert!(sent.await.unwrap().status().is_success());
    let listed = get(&format!("{}/api/v1/dead-letters", daemon.url)).await.unwrap();
    let seq = listed["dead_letters"][0]["seq"].as_u64().unwrap().to_string();
    let shown = text(&medevac(&daemon, &["dead-letters", "show", &seq]).await);
    assert!(shown.contains("specversion") && shown.contains(r#"{"id":"x"}"#), "{shown}");
    let still = medevac(&daemon, &["dead-letters", "requeue", &seq]).await;
    assert_eq!(still.status.code(), Some(1));
    assert!(text(&still).contains("still refused"), "{}", text(&still));
    assert!(medevac(&daemon, &["dead-letters", "drop", &seq]).await.status.success());
    assert!(text(&medevac(&daemon, &["dead-letters", "list"]).await).contains("No dead letters"));
    let all = text(&medevac(&daemon, &["dead-letters", "list", "--all"]).await);
    assert!(all.contains("dropped by ada"), "{all}");
    let twice = medevac(&daemon, &["dead-letters", "drop", &seq]).await;
    assert!(text(&twice).contains("already"), "{}", text(&twice));
}

#[tokio::test]
async fn an_event_that_a_consumer_gave_up_can_be_taken_again() {
    use medevac::log::{DeadLetter, Log, Stream};
    use medevac::model::{Envelope, Event, Id, Target, kind};
    let directory = tempfile::tempdir().unwrap();
    let daemon = daemon(&directory).await;
    let at = "2026-11-22T00:00:00Z".parse().unwrap();
    let target = Target::Node("n4".into());
    let event = Envelope::new("test.ill", Id::given("t", "9"), "t", target, at, Event::default());
    let body = serde_json::to_string(&event).unwrap();
    let source = "consumer/engine".to_owned();
    let letter = DeadLetter { source, reason: "delivered 5 times".into(), body, at };
    let seq = daemon.log.dead_letter(letter).await.unwrap().to_string();
    let requeued = medevac(&daemon, &["dead-letters", "requeue", &seq]).await;
    assert!(requeued.status.success(), "{}", text(&requeued));
    assert_eq!(verdicts(&daemon, "node/n4").await[0]["is"], "act");
    let events = daemon.log.read(0, &[Stream::Events], 100).await.unwrap();
    let audited =
        |it: &medevac::log::Record| it.open::<Event>().unwrap().kind == kind::DEAD_REQUEUED;
    assert!(events.iter().any(audited), "who did it stands in the log");
}

#[tokio::test]
async fn status_shows_what_runs_and_says_no_where_a_person_should_look() {
    let directory = tempfile::tempdir().unwrap();
    let daemon = daemon(&directory).await;
    ill(&daemon, "1", "n1").await;
    let shown = until("the remediation is shown", || async {
        let shown = medevac(&daemon, &["status"]).await;
        text(&shown).contains("wait started").then_some(shown)
    })
    .await;
    let said = text(&shown);
    assert!(shown.status.success(), "{said}");
    for wanted in ["active replica", "engine", "node/n1", "slow", "1 held", "oldest undecided"] {
        assert!(said.contains(wanted), "{wanted} is missing in\n{said}");
    }
    let json = medevac(&daemon, &["status", "--output", "json"]).await;
    let status: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(status["remediations"][0]["stuck"], Value::Null);
}

#[tokio::test]
async fn names_that_are_too_long_for_a_subject_are_set_aside() {
    let directory = tempfile::tempdir().unwrap();
    let daemon = daemon(&directory).await;
    let event = json!({
        "specversion": "1.0", "id": "long", "source": "t", "type": "t", "tenant": "x".repeat(5000),
    });
    let sent = client()
        .post(format!("{}/api/v1/events", daemon.url))
        .header("content-type", "application/cloudevents+json")
        .body(event.to_string())
        .send();
    let tally: Value = serde_json::from_str(&sent.await.unwrap().text().await.unwrap()).unwrap();
    assert_eq!((&tally["accepted"], &tally["dead_letters"]), (&json!(0), &json!(1)), "{tally}");
    let listed = text(&medevac(&daemon, &["dead-letters", "list"]).await);
    assert!(listed.contains("2000 is the limit"), "{listed}");
}
