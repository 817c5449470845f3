//! Both feeds of AWS's notices, on the program itself: the agent beside a metadata double, SQS by moto.

use crate::support::{
    client,
    daemon::{self, Door, Orders, Running},
    free_port, get,
    imds::{ACTION, Imds},
    incidents, metric,
    moto::{self, Moto},
    nats::{connect, options, single},
    servers::Process,
    until,
    weather::Weather,
};
use medevac::adapters::aws::Sqs;
use medevac::adapters::nats::{FEED_STREAM, FEED_SUBJECT};
use medevac::clock::System;
use medevac::config::{Format, Leftover, QueueSource, SubjectSource};
use medevac::log::{DeadLetter, Log, Stream};
use medevac::model::{Envelope, Event, Id};
use medevac::simulation::Practice;
use medevac::sources::{Intake, sqs};
use serde_json::{Value, json};
use std::{
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

const RULES: &str = r#"
contacts: [{name: c, console: {}}]
escalations: [{name: p, levels: [{contacts: c}]}]
guards: [{name: g, limits: {at_once: 4}}]
rules:
  - name: lost
    when: aws.ec2.spot.interruption
    if: has(node.name)
    guard: g
    then: [{cordon: {taint: medevac.dev/lost}}, {drain: {}}]
    escalate: p
"#;

/// The machine of a practice node.
fn instance(node: &str) -> String {
    format!("i-{}", Id::of(&["instance", node]).short(17))
}

fn agent(imds: &Imds, to: &[&str]) -> Process {
    let child = Command::new(env!("CARGO_BIN_EXE_medevac"))
        .args(["agent", "--metadata", &imds.url])
        .args(to)
        .stderr(Stdio::null())
        .spawn();
    Process(child.unwrap())
}

fn in_two_minutes() -> jiff::Timestamp {
    jiff::Timestamp::now() + Duration::from_secs(120)
}

async fn events(log: &impl Log) -> Vec<Envelope<Event>> {
    let records = log.read(0, &[Stream::Events], 1000).await.unwrap();
    let events = records.iter().map(|record| record.open::<Event>().unwrap());
    events.filter(|event| event.kind.starts_with("aws.")).collect()
}

async fn ended(daemon: &Running, count: usize) -> Vec<Value> {
    until("the remediations have ended", || async {
        let all = incidents(&daemon.url).await;
        let ended = all.iter().filter(|one| !one["last_end"].is_null()).count();
        (ended >= count).then_some(all)
    })
    .await
}

fn notice(instance: &str, at: jiff::Timestamp) -> String {
    let at = jiff::Timestamp::from_second(at.as_second()).unwrap();
    json!({
        "version": "0", "id": format!("notice-{instance}-{at}"), "source": "aws.ec2", "time": at,
        "detail-type": "EC2 Spot Instance Interruption Warning", "account": "1", "region": "eu-west-1",
        "detail": { "instance-id": instance, "instance-action": "terminate" },
    })
    .to_string()
}

#[tokio::test]
async fn the_agent_tells_until_the_daemon_has_it() {
    let directory = tempfile::tempdir().unwrap();
    let imds = Imds::start(&instance("n1")).await;
    imds.throttles(2);
    let port = free_port();
    let _agent = agent(&imds, &["--url", &format!("http://127.0.0.1:{port}")]);
    until("the agent asks", || async { (imds.answered(ACTION, 404) > 0).then_some(()) }).await;
    // Nobody listens yet, and the token is dropped in between.
    imds.interrupts("terminate", in_two_minutes());
    until("it has heard of it", || async { (imds.answered(ACTION, 200) > 0).then_some(()) }).await;
    imds.drops_tokens();
    let daemon = daemon::start(&Orders::new(directory.path(), port, RULES), Door::default()).await;
    let all = ended(&daemon, 1).await;
    assert_eq!(
        (all[0]["target"].as_str(), all[0]["last_end"].as_str()),
        (Some("node/n1"), Some("succeeded"))
    );
    let told = events(&daemon.log).await;
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].data.context.cloud["feed"], "metadata");
    assert!(told[0].deadline.is_some() && told[0].source.starts_with("metadata/i-"));
    // The same notice goes on being there. Then it is another one.
    imds.interrupts("hibernate", jiff::Timestamp::now());
    until("another action is told", || async {
        (events(&daemon.log).await.len() == 2).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_agent_tells_nats_and_every_replica_hears_it_once() {
    let directory = tempfile::tempdir().unwrap();
    let server = single(directory.path(), "");
    let log = connect(&options(&[&server])).await;
    let imds = Imds::start(&instance("n2")).await;
    imds.interrupts("stop", in_two_minutes());
    let _agent = agent(&imds, &["--nats", &options(&[&server]).servers[0]]);
    let practice = Practice::new(daemon::world(), System);
    let intake =
        Intake { log: log.clone(), clock: System, view: practice, cluster: None, truncated: None };
    for _ in 0..2 {
        let source = SubjectSource {
            name: "agents".into(),
            subject: format!("{FEED_SUBJECT}.>"),
            stream: Some(FEED_STREAM.into()),
            format: Format::CloudEvents,
        };
        tokio::spawn(medevac::sources::subjects::run(log.client(), source, intake.clone()));
    }
    let told = until("it is in the log", || async {
        Some(events(&log).await).filter(|told| !told.is_empty())
    })
    .await;
    assert_eq!(told[0].subject.to_string(), "node/n2");
    assert_eq!(told[0].data.payload["detail"]["instance-action"], "stop");
}

#[tokio::test]
async fn both_feeds_are_one_notice_and_one_remediation() {
    let directory = tempfile::tempdir().unwrap();
    let moto = Moto::start().await;
    let queue = moto.queue("notices").await;
    let mut orders = Orders::new(directory.path(), 0, RULES);
    // SQS is busy at first, and what it deletes it does not always say.
    let weather = Weather::start(&moto.url).await;
    weather.throttles("ReceiveMessage", 3);
    weather.loses("DeleteMessage", 1);
    weather.loses("DeleteMessageBatch", 1);
    orders.queues = vec![(weather.url.clone(), queue.url.clone())];
    let daemon = daemon::start(&orders, Door::default()).await;
    let imds = Imds::start(&instance("n3")).await;
    let given = jiff::Timestamp::now();
    imds.interrupts("terminate", given + Duration::from_secs(119));
    let _agent = agent(&imds, &["--url", &daemon.url]);
    for _ in 0..2 {
        queue.send(&notice(&instance("n3"), given)).await;
    }
    until("both are in the log", || async { (events(&daemon.log).await.len() == 2).then_some(()) })
        .await;
    queue.empties().await;
    let all = ended(&daemon, 1).await;
    assert_eq!(all.len(), 1, "{all:#?}");
    assert_eq!((all[0]["epoch"].as_u64(), all[0]["plans"].as_array().unwrap().len()), (Some(1), 1));
    let lag = |feed: &str| {
        let (url, feed) = (daemon.url.clone(), format!("feed=\"{feed}\""));
        async move { metric(&url, "medevac_feed_lag_seconds_count", &[&feed]).await }
    };
    assert_eq!((lag("metadata").await, lag("eventbridge").await), (1.0, 1.0));
    assert_eq!(metric(&daemon.url, "medevac_feed_confirmed_total", &[]).await, 1.0);
    assert!(weather.asked("ReceiveMessage") > 3, "it went on after it was refused");
    assert!(weather.asked("DeleteMessage") + weather.asked("DeleteMessageBatch") > 0);
    let explained = client()
        .post(format!("{}/api/v1/explain", daemon.url))
        .body(notice(&instance("n3"), given));
    assert!(explained.send().await.unwrap().status().as_u16() < 500);
}

#[tokio::test]
async fn the_queue_is_read_by_its_rules() {
    let directory = tempfile::tempdir().unwrap();
    let moto = Moto::start().await;
    let queue = moto.queue("mixed").await;
    let mut orders = Orders::new(directory.path(), 0, RULES);
    orders.queues = vec![(moto.url.clone(), queue.url.clone())];
    let daemon = daemon::start(&orders, Door::default()).await;
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/aws");
    let mut files = 0;
    for file in std::fs::read_dir(corpus).unwrap() {
        queue.send(&std::fs::read_to_string(file.unwrap().path()).unwrap()).await;
        files += 1;
    }
    for broken in
        ["no json", "{}", r#"{"detail-type":"EC2 Spot Instance Interruption Warning","detail":{}}"#]
    {
        queue.send(broken).await;
    }
    queue.send(r#"{"detail-type":"ECS Task State Change"}"#).await;
    queue.empties().await;
    // One body is a test, two are the same action, one is about two machines.
    assert_eq!(events(&daemon.log).await.len(), files - 1);
    let dead = daemon.log.read(0, &[Stream::Dead], 10).await.unwrap();
    let letters: Vec<DeadLetter> =
        dead.iter().map(|record| record.open::<DeadLetter>().unwrap().data).collect();
    assert_eq!(letters.len(), 3, "{letters:?}");
    assert!(letters.iter().all(|letter| letter.source == "sqs"));
    assert!(metric(&daemon.url, "medevac_events_total", &["sqs", "foreign"]).await >= 2.0);
    // What was mended elsewhere is taken again by a person.
    let again = format!("{}/api/v1/dead-letters/{}/requeue", daemon.url, dead[0].seq);
    let refused = client().post(again).send().await.unwrap();
    assert!(refused.status().is_client_error(), "{}", refused.status());
    assert!(get(&format!("{}/api/v1/dead-letters", daemon.url)).await.is_some());
}

/// Nobody counts.
#[derive(Clone)]
struct Silent;

impl sqs::Witness for Silent {
    fn received(&self, _: &medevac::sources::Tally) {}
    fn passed_over(&self, _: &'static str, _: usize) {}
}

#[tokio::test]
async fn a_shared_queue_keeps_what_is_not_ours_and_gives_it_to_whoever_it_is_for() {
    let directory = tempfile::tempdir().unwrap();
    let moto = Moto::start().await;
    let queue = moto.queue("shared").await;
    let orders = Orders::new(directory.path(), 0, RULES);
    let daemon = daemon::start(&orders, Door::default()).await;
    let sqs = Sqs::new(&moto::cloud(&moto.url).await, &queue.url, Duration::from_secs(4)).await;
    let read = |view: Practice<System>| {
        let source = QueueSource {
            foreign: Leftover::Leave,
            broken: Leftover::Leave,
            ..moto::source(&queue.url)
        };
        let intake =
            Intake { log: daemon.log.clone(), clock: System, view, cluster: None, truncated: None };
        tokio::spawn(sqs::run(sqs.clone(), source, intake, Silent))
    };
    queue.send(&notice("i-0theirs", jiff::Timestamp::now())).await;
    queue.send("broken").await;
    queue.send(&notice(&instance("n1"), jiff::Timestamp::now())).await;
    let ours = read(Practice::new(daemon::world(), System));
    until("ours is taken", || async { (events(&daemon.log).await.len() == 1).then_some(()) }).await;
    until("the others stay", || async {
        let (visible, hidden) = queue.count().await;
        (visible + hidden == 2).then_some(())
    })
    .await;
    assert_eq!(daemon.log.read(0, &[Stream::Dead], 10).await.unwrap().len(), 0);
    ours.abort();
}

#[tokio::test]
async fn a_machine_that_joins_after_its_notice_is_emptied() {
    let directory = tempfile::tempdir().unwrap();
    let log = medevac::adapters::embedded::Embedded::open(
        directory.path(),
        medevac::adapters::embedded::Options::default(),
        System,
    )
    .unwrap();
    let log = crate::support::dying::Dying::new(log, None);
    let practice = Practice::new(daemon::world(), System);
    tokio::spawn(practice.clone().run());
    let orders = Orders::new(directory.path(), 0, RULES);
    let daemon = daemon::serve(
        &orders,
        Door::default(),
        log,
        medevac::daemon::Alone,
        practice.clone(),
        practice.clone(),
    )
    .await;
    let late = instance("late-1");
    let event = json!({
        "specversion": "1.0", "id": "1", "source": "aws.ec2", "type": "aws.ec2.spot.interruption",
        "data": serde_json::from_str::<Value>(&notice(&late, jiff::Timestamp::now())).unwrap(),
    });
    let post = client()
        .post(format!("{}/api/v1/events", daemon.url))
        .header("content-type", "application/cloudevents+json");
    assert!(post.body(event.to_string()).send().await.unwrap().status().is_success());
    assert_eq!(events(&daemon.log).await[0].subject.to_string(), format!("instance/{late}"));
    assert_eq!(incidents(&daemon.url).await.len(), 0, "there is nothing to empty yet");
    practice.world().add_pool(medevac::simulation::world::Pool {
        name: "late".into(),
        nodes: 1,
        zones: vec!["z".into()],
        slots: 2,
        ..Default::default()
    });
    let all = ended(&daemon, 1).await;
    assert_eq!(all[0]["target"], "node/late-1");
}
