//! `make bench`: what it costs, as ratios measured side by side on this machine. No assertion: machines differ.
//!
//! - webhook bodies of ten alerts made durable per second, between a ceiling (the same server without the log)
//!   and a floor (a plain loop of append and fdatasync on the same disk);
//! - from a posted event to the first request that changes the cluster;
//! - resident memory of the daemon, idle and after a million events, and with 100,000 alerts that fire;
//! - events made durable on JetStream, beside raw publishing on the same servers;
//! - from the death of the active replica to the first decision of another one.
//!
//! `MEDEVAC_BENCH=embedded`, `nats` or `keys` runs a part of it.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a benchmark")]
#![expect(clippy::print_stdout, reason = "a benchmark")]

#[path = "../support/mod.rs"]
mod support;

#[path = "../replicas/double.rs"]
#[allow(dead_code, reason = "nobody judges here")]
mod double;
#[path = "../replicas/faults.rs"]
#[allow(dead_code, reason = "the benchmark uses one of the faults")]
mod faults;
mod jetstream;
mod load;
mod null;

use load::Load;
use medevac::adapters::embedded::{Embedded, Options};
use medevac::api::{Gate, Readiness, Server, Site, router};
use medevac::clock::System;
use medevac::config::Auth;
use medevac::log::{Kv, Log};
use medevac::simulation::{Practice, World};
use medevac::sources::Intake;
use medevac::telemetry::Metrics;
use serde_json::json;
use std::{
    io::Write,
    path::Path,
    time::{Duration, Instant},
};
use support::daemon::{self, Orders};

#[derive(Clone)]
struct Always;

impl Readiness for Always {
    fn not_ready(&self) -> Vec<String> {
        vec![]
    }
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    if std::env::var_os("MEDEVAC_TEST_ORDERS").is_some() {
        return runtime.block_on(daemon::child());
    }
    runtime.block_on(async {
        let only = std::env::var("MEDEVAC_BENCH").unwrap_or_default();
        if only.is_empty() || only == "embedded" {
            webhooks().await;
            first_call().await;
            memory().await;
        }
        if only.is_empty() || only == "nats" {
            jetstream::rates().await;
            jetstream::takeover().await;
        }
        if only.is_empty() || only == "keys" {
            jetstream::keys().await;
        }
    });
}

/// Serves the intake alone, on whatever log.
async fn serve(log: impl Log + Kv) -> (String, tokio::sync::watch::Sender<bool>) {
    let view = Practice::new(World::default(), System);
    let intake = Intake { log, clock: System, view, cluster: None, truncated: None };
    let auth = Auth::default();
    let site = Site {
        intake,
        gate: Gate::new(&auth),
        metrics: Metrics::default(),
        readiness: Always,
        rules: tokio::sync::watch::channel(Default::default()).1,
    };
    let server = Server::bind(([127, 0, 0, 1], 0).into(), None, &auth).await.unwrap();
    let address = server.address().unwrap().to_string();
    let (stop, stopped) = tokio::sync::watch::channel(false);
    tokio::spawn(server.run(router(site), stopped));
    (address, stop)
}

const BODIES: usize = 8000;

async fn webhooks() {
    println!("webhook bodies of ten alerts ({} bytes), new ones all", load::body(0, 0).len());
    println!(
        "{:>12} {:>14} {:>14} {:>9} {:>14}",
        "connections", "durable/s", "ceiling/s", "ratio", "p99 ms (of)"
    );
    for connections in [1, 16, 64] {
        let directory = tempfile::tempdir_in(".").unwrap();
        let log = Embedded::open(directory.path(), Options::default(), System).unwrap();
        let bodies = if connections == 1 { BODIES / 4 } else { BODIES };
        // Turn about, so that a noisy neighbour meets both.
        let (mut durable, mut ceiling) = (Load::default(), Load::default());
        let (real, _stop) = serve(log).await;
        let (nothing, _stop_too) = serve(null::Null::default()).await;
        for turn in 0..4 {
            durable.add(load::run(&real, connections, bodies / 4, turn).await);
            ceiling.add(load::run(&nothing, connections, bodies / 4, turn).await);
        }
        println!(
            "{connections:>12} {:>14.0} {:>14.0} {:>8.0}% {:>6.2} ({:.2})",
            durable.per_second(),
            ceiling.per_second(),
            100.0 * durable.per_second() / ceiling.per_second(),
            durable.p99_ms(),
            ceiling.p99_ms()
        );
    }
    println!(
        "{:>12} {:>14.0}   a plain loop of append and fdatasync, one writer\n",
        "floor",
        floor()
    );
}

/// Bodies per second that one writer can append and sync, one after the other.
fn floor() -> f64 {
    let directory = tempfile::tempdir_in(".").unwrap();
    let mut file = std::fs::File::create(directory.path().join("floor")).unwrap();
    let body = load::body(0, 0);
    let began = Instant::now();
    let count = 2000;
    for _ in 0..count {
        file.write_all(&body).unwrap();
        file.sync_data().unwrap();
    }
    f64::from(count) / began.elapsed().as_secs_f64()
}

const NOTICES: u32 = 200;

/// From the post of a notice to the cordon that it leads to.
async fn first_call() {
    let rules =
        "rules: [{name: r, when: aws.ec2.spot.interruption, then: [{label: {key: k, value: v}}]}]";
    let directory = tempfile::tempdir_in(".").unwrap();
    let daemon =
        daemon::start(&Orders::new(directory.path(), 0, rules), daemon::Door::default()).await;
    let http = support::client();
    let mut waits = vec![];
    for n in 0..NOTICES {
        let event = json!({ "specversion": "1.0", "id": n.to_string(), "source": "s", "type": "aws.ec2.spot.interruption",
            "subject": format!("node/n{}", 1 + n % 4), "deadline": jiff::Timestamp::now() + Duration::from_secs(120) });
        let before =
            support::metric(&daemon.url, "medevac_event_first_call_seconds_count", &[]).await;
        let began = Instant::now();
        http.post(format!("{}/api/v1/events", daemon.url)).json(&event).send().await.unwrap();
        while support::metric(&daemon.url, "medevac_event_first_call_seconds_count", &[]).await
            <= before
        {
            tokio::task::yield_now().await;
        }
        waits.push(began.elapsed());
        support::until("the plan has ended", || async {
            let ended = support::metric(&daemon.url, "medevac_remediations_total", &[]).await;
            (ended >= f64::from(n + 1)).then_some(())
        })
        .await;
    }
    waits.sort();
    let ms = |at: usize| waits[at].as_secs_f64() * 1000.0;
    println!(
        "from a posted event to the first request to the cluster, {NOTICES} events, one at a time"
    );
    println!(
        "  p50 {:.2} ms, p99 {:.2} ms (three commits on the way: event, decision, plan, journal)\n",
        ms(waits.len() / 2),
        ms(waits.len() * 99 / 100)
    );
}

const EVENTS: usize = 1_000_000;

/// Resident memory of a daemon of its own, in MiB.
async fn memory() {
    let rules = "contacts: [{name: c, console: {}}]\nrules: [{name: r, when: alertmanager.alert.firing, if: alert.name == \"Other\", then: [{wait: {time: 1s}}]}]";
    let directory = tempfile::tempdir_in(".").unwrap();
    let orders = Orders::new(Path::new(directory.path()), support::free_port(), rules);
    let daemon = daemon::spawn("", &orders).await;
    let resident = || resident(daemon.pid());
    println!("resident memory of the daemon: {:.1} MiB idle", resident());
    let address = format!("127.0.0.1:{}", orders.port);
    let began = Instant::now();
    for part in 1..=4 {
        load::run(&address, 16, EVENTS / 40, part + 10).await;
        support::until("the engine has caught up", || async {
            (support::metric(&daemon.url, "medevac_log_lag_records", &[]).await < 1.0).then_some(())
        })
        .await;
        println!(
            "  {:>8} events: {:.1} MiB, {:.0} s",
            part * EVENTS / 4,
            resident(),
            began.elapsed().as_secs_f64()
        );
    }
}

/// MiB of a process.
fn resident(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap().to_owned();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}
