//! The log on JetStream, beside raw publishing on the same servers in the same run.

use super::double::Double;
use super::faults::{Fault, Stage};
use super::support::nats::{Server, cluster, connect, options, single};
use super::support::{self, daemon};
use super::{load, null, serve};
use async_nats::jetstream;
use futures_util::{StreamExt, stream};
use medevac::adapters::embedded::{self, Embedded};
use medevac::adapters::nats::Options;
use medevac::clock::System;
use medevac::log::{Entry, Log, Stream, Subject};
use medevac::model::{Id, Target};
use std::time::{Duration, Instant};

/// Bytes of an event with the context of a node.
const PAYLOAD: usize = 1024;
/// Messages on their way at once.
const WINDOW: usize = 512;
/// Events of one append, as a webhook body has them.
const BATCH: usize = 10;
const EVENTS: usize = 60_000;
const TURNS: usize = 4;

fn entries(turn: usize, from: usize) -> Vec<Entry> {
    let target = Target::Node("n".into());
    let one = |n: usize| Entry {
        id: Id::of(&["bench", &turn.to_string(), &n.to_string()]),
        subject: Subject::new(Stream::Events, "bench", None, &target),
        body: vec![b'x'; PAYLOAD],
    };
    (from..from + BATCH).map(one).collect()
}

async fn accept(log: &impl Log, turn: usize, events: usize) -> f64 {
    let began = Instant::now();
    let appends = (0..events).step_by(BATCH).map(|from| log.append(entries(turn, from)));
    let mut done = stream::iter(appends).buffer_unordered(WINDOW / BATCH);
    while let Some(appended) = done.next().await {
        appended.unwrap();
    }
    events as f64 / began.elapsed().as_secs_f64()
}

/// What `nats bench js pub async` does: publish with a window of acknowledgements, no id, nothing else.
async fn raw(context: &jetstream::Context, events: usize) -> f64 {
    let payload = vec![b'x'; PAYLOAD];
    let began = Instant::now();
    let one = async |_| {
        context.publish("raw.bench", payload.clone().into()).await.unwrap().await.unwrap()
    };
    let mut done = stream::iter(0..events).map(one).buffer_unordered(WINDOW);
    while done.next().await.is_some() {}
    events as f64 / began.elapsed().as_secs_f64()
}

pub(crate) async fn rates() {
    println!(
        "events of {PAYLOAD} bytes made durable per second, {WINDOW} on their way, batches of {BATCH}"
    );
    println!("{:>24} {:>12} {:>14} {:>9}", "log", "accepted/s", "raw publish/s", "ratio");
    let directory = tempfile::tempdir_in(".").unwrap();
    let server = single(directory.path(), "");
    beside("one nats-server", &[&server], EVENTS).await;
    let three = tempfile::tempdir_in(".").unwrap();
    let servers = cluster(three.path(), |_, _, port| port);
    let all: Vec<&Server> = servers.iter().collect();
    beside("three, R3", &all, EVENTS / 4).await;
    let own = tempfile::tempdir_in(".").unwrap();
    let log = Embedded::open(own.path(), embedded::Options::default(), System).unwrap();
    let rate = accept(&log, 0, EVENTS).await;
    println!(
        "{:>24} {rate:>12.0}   (its floor stands above: one writer that appends and syncs)\n",
        "embedded"
    );
}

async fn beside(name: &str, servers: &[&Server], events: usize) {
    let options = Options { views: Duration::ZERO, ..options(servers) };
    let log = connect(&options).await;
    let context = jetstream::new(log.client());
    let config = jetstream::stream::Config {
        name: "RAW".into(),
        subjects: vec!["raw.>".into()],
        num_replicas: options.replicas,
        ..Default::default()
    };
    context.create_stream(config).await.unwrap();
    let (mut ours, mut theirs) = (vec![], vec![]);
    // Turn about, so that a noisy neighbour meets both.
    for turn in 0..TURNS {
        ours.push(accept(&log, turn, events / TURNS).await);
        theirs.push(raw(&context, events / TURNS).await);
    }
    let mean =
        |rates: &[f64]| rates.len() as f64 / rates.iter().map(|rate| 1.0 / rate).sum::<f64>();
    let (ours, theirs) = (mean(&ours), mean(&theirs));
    println!("{name:>24} {ours:>12.0} {theirs:>14.0} {:>8.0}%", 100.0 * ours / theirs);
    if servers.len() == 1 {
        let (real, _stop) = serve(log).await;
        let (nothing, _stop_too) = serve(null::Null::default()).await;
        let durable = load::run(&real, 16, 4000, 90).await;
        let ceiling = load::run(&nothing, 16, 4000, 90).await;
        println!(
            "{:>24} {:>12.0} {:>14.0} {:>8.0}%   webhook bodies of ten alerts over HTTP, 16 connections, beside no log at all",
            "",
            durable.per_second(),
            ceiling.per_second(),
            100.0 * durable.per_second() / ceiling.per_second()
        );
    }
}

const TAKEOVERS: usize = 20;

/// The active one of three replicas on three servers is killed, again and again.
pub(crate) async fn takeover() {
    let double = Double::start().await;
    let mut stage = Stage::build(&double, 4).await;
    let trickle = tokio::spawn(trickle(stage.urls()));
    let mut times = vec![];
    for _ in 0..TAKEOVERS {
        times.extend(stage.suffer(Fault::KillActive, &mut || 0).await);
    }
    trickle.abort();
    times.sort_unstable();
    let at = |share: usize| times[(times.len() - 1) * share / 100].as_secs_f64();
    println!(
        "take-over, {} times: from SIGKILL to the first decision of another replica",
        times.len()
    );
    println!("  p50 {:.2} s, p99 {:.2} s, most {:.2} s\n", at(50), at(99), at(100));
}

/// An event that is decided on, to some replica, every 50 ms.
async fn trickle(urls: Vec<String>) {
    let client = support::client();
    for n in 0_usize.. {
        let event = serde_json::json!({
            "specversion": "1.0", "id": format!("t{n}"), "source": "bench", "type": "load.act",
            "subject": format!("job/t{n}"),
        });
        for url in urls.iter().cycle().skip(n % urls.len()).take(urls.len()) {
            let sent = client.post(format!("{url}/api/v1/events")).json(&event);
            if sent
                .timeout(Duration::from_secs(2))
                .send()
                .await
                .is_ok_and(|it| it.status().is_success())
            {
                break;
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

const KEYS: usize = 100_000;

/// Resident memory of a daemon that remembers so many alerts that fire.
pub(crate) async fn keys() {
    let directory = tempfile::tempdir_in(".").unwrap();
    let server = single(directory.path(), "");
    let rules = "rules: []\n";
    let mut orders = daemon::Orders::new(directory.path(), support::free_port(), rules);
    orders.nats = vec![server.url()];
    let daemon = daemon::spawn("", &orders).await;
    let idle = super::resident(daemon.pid());
    let url = format!("{}/api/v1/alertmanager", daemon.url);
    let client = support::client();
    let post = async |n: usize| {
        let text = String::from_utf8(load::body(0, n)).unwrap();
        // The ten alerts of every body are alerts of their own.
        let own = text.replace("\"job\":\"node\"", &format!("\"job\":\"node-{n}\""));
        let sent = client.post(&url).body(own).send().await.unwrap();
        assert!(sent.status().is_success());
    };
    stream::iter(0..KEYS / 10).map(post).buffer_unordered(16).count().await;
    support::until("the engine has caught up", || async {
        let known = support::metric(&daemon.url, "medevac_alert_episodes", &[]).await;
        let lag = support::metric(&daemon.url, "medevac_log_lag_records", &[]).await;
        (known >= KEYS as f64 && lag < 1.0).then_some(())
    })
    .await;
    println!(
        "resident memory on NATS: {idle:.1} MiB idle, {:.1} MiB with {KEYS} live keys (alerts that fire)",
        super::resident(daemon.pid())
    );
}
