//! A good edit takes over; a bad one changes nothing and is said everywhere.

use crate::support::{
    client,
    daemon::{self, Door, Orders},
    metric, until,
};
use medevac::adapters::rulefiles::RuleFiles;
use medevac::clock::System;
use medevac::log::{Log, Stream};
use medevac::model::{Event, kind};
use medevac::simulation::{Practice, World};
use medevac::sources::Intake;
use serde_json::json;

fn rule(name: &str) -> String {
    format!("rules: [{{name: {name}, when: my.type, then: [{{wait: {{time: 1s}}}}]}}]\n")
}

#[tokio::test]
async fn an_edit_takes_over_and_a_bad_one_does_not() {
    let directory = tempfile::tempdir().unwrap();
    let rules = directory.path().join("rules");
    std::fs::create_dir(&rules).unwrap();
    let file = rules.join("r.yaml");
    std::fs::write(&file, rule("before")).unwrap();
    let daemon = daemon::start(
        &Orders::new(&directory.path().join("data"), 0, &rule("before")),
        Door::default(),
    )
    .await;
    let view = Practice::new(World::default(), System);
    let intake =
        Intake { log: daemon.log.clone(), clock: System, view, cluster: None, truncated: None };
    let files = RuleFiles::watch(&[rules]);
    tokio::spawn(medevac::daemon::reload(
        files,
        daemon.rules.clone(),
        intake,
        daemon.metrics.clone(),
    ));
    let send = async |id: &str| {
        let event = json!({ "specversion": "1.0", "id": id, "source": "s", "type": "my.type", "subject": format!("x/{id}") });
        client().post(format!("{}/api/v1/events", daemon.url)).json(&event).send().await.unwrap();
    };
    let acted = async |rule: &str| {
        metric(&daemon.url, "medevac_decisions_total", &[&format!("rule=\"{rule}\"")]).await > 0.0
    };
    let told = async |wanted: &str| {
        let events = daemon.log.read(0, &[Stream::Events], 100).await.unwrap();
        events
            .iter()
            .filter_map(|record| record.open::<Event>().ok())
            .find(|event| event.kind == wanted)
    };
    std::fs::write(&file, "rules: [{name: broken, wen: my.type}]\n").unwrap();
    let rejected = until("the bad edit is said in the log", || told(kind::RULES_REJECTED)).await;
    let faults = rejected.data.payload["faults"].to_string();
    assert!(
        faults.contains("unknown key `wen`") && faults.contains("did you mean `when`"),
        "{faults}"
    );
    assert_eq!(metric(&daemon.url, "medevac_rules_rejected_total", &[]).await, 1.0);
    send("1").await;
    until("the rule of before is in force", || async { acted("before").await.then_some(()) }).await;
    std::fs::write(&file, rule("after")).unwrap();
    until("the good edit takes over", || told(kind::RULES_LOADED)).await;
    send("2").await;
    until("the new rule is in force", || async { acted("after").await.then_some(()) }).await;
}
