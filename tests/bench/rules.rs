//! What rules cost, as ratios measured side by side on this machine, on one core. No assertion: machines differ.
//!
//! - loading and checking 10, 100, 1,000 and 10,000 rules;
//! - events matched per second with so many rules, and what an event costs compared with a hundred rules;
//! - one condition, beside the interpreter of the crate `cel` on the same values;
//! - bytes per live window.
//!
//! `rules engine EVENTS RULES` sends a file of events through the engine and prints rate and memory: what
//! `tests/bench/eda.sh` compares with ansible-rulebook.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a benchmark")]
#![expect(clippy::print_stdout, reason = "a benchmark")]

use jiff::Timestamp;
use medevac::engine::{self, Input, State};
use medevac::model::{
    Alert, AlertStatus, Context, Envelope, Event, Id, Node, Secret, Target, kind,
};
use medevac::rules::{self, Facts, Ruleset, Source};
use medevac::sources::cloudevents;
use serde_json::{Map, json};
use std::{
    hint::black_box,
    io::{BufRead, BufReader},
    sync::Arc,
    time::Instant,
};

fn load(text: String) -> Ruleset {
    let source = Arc::new(Source { path: "bench.yaml".into(), text });
    rules::load(&[source], &|_| Ok(Secret::new("s"))).unwrap_or_else(|faults| {
        panic!("{}", faults.first().map(|fault| fault.line()).unwrap_or_default())
    })
}

const HEAD: &str = "contacts: [{name: c, console: {}}]\nescalations: [{name: p, levels: [{contacts: c}]}]\nrules:\n";

/// Rules as a platform has them: each about one alert, with two more clauses.
fn many(count: usize) -> String {
    let rule = |n: usize| {
        format!(
            "  - name: rule-{n}\n    when: alertmanager.alert.firing\n    if: alert.name == \"Alert{n}\" && alert.labels[\"severity\"] in [\"critical\", \"page\"] && node.labels[\"workload\"] == \"training\"\n    escalate: p\n"
        )
    };
    HEAD.to_owned() + &(0..count).map(rule).collect::<String>()
}

fn event(n: usize, name: &str) -> Envelope<Event> {
    let mut labels: std::collections::BTreeMap<String, String> =
        ["alertname", "severity", "node", "namespace", "pod", "container", "gpu", "uuid", "job"]
            .into_iter()
            .map(|label| (label.to_owned(), format!("{label}-{}", n % 97)))
            .collect();
    labels.insert("severity".into(), "critical".into());
    let node = Node {
        name: format!("ip-10-0-{}-{}.ec2.internal", n / 250 % 250, n % 250),
        pool: "gpu".into(),
        labels: [("workload", "training"), ("zone", "a")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
        ..Node::default()
    };
    let at = Timestamp::UNIX_EPOCH;
    let alert = Alert {
        status: AlertStatus::Firing,
        name: name.into(),
        labels,
        annotations: [].into(),
        starts_at: at,
        ends_at: None,
        fingerprint: format!("{n:016x}"),
        generator_url: String::new(),
        receiver: String::new(),
        external_url: String::new(),
        group_key: String::new(),
    };
    let target = Target::Node(node.name.clone());
    let context = Context { node: Some(node), ..Context::default() };
    let data = Event { alert: Some(alert), context, ..Event::default() };
    Envelope::new(kind::ALERT_FIRING, Id::of(&[&n.to_string()]), "bench", target, at, data)
}

/// Median of five, in seconds.
fn timed(mut work: impl FnMut()) -> f64 {
    let mut all: Vec<f64> = (0..5)
        .map(|_| {
            let begin = Instant::now();
            work();
            begin.elapsed().as_secs_f64()
        })
        .collect();
    all.sort_by(f64::total_cmp);
    all[2]
}

const EVENTS: usize = 20_000;

fn matching() {
    println!("rules      load     events/s   ns/event   of 100");
    let mut of_hundred = 0.0;
    for count in [100, 10, 100, 1_000, 10_000] {
        let text = many(count);
        let loading = timed(|| drop(black_box(load(text.clone()))));
        let ruleset = load(text);
        // One event in ten is one that a rule is about.
        let events: Vec<Envelope<Event>> = (0..EVENTS)
            .map(|n| match n % 10 {
                0 => event(n, &format!("Alert{}", n / 10 % count)),
                _ => event(n, &format!("Other{}", n % 1000)),
            })
            .collect();
        let mut matched = 0;
        let seconds = timed(|| {
            matched = 0;
            for event in &events {
                let facts = Facts::new(event, event.time);
                for (rule, role) in ruleset.candidates(&facts) {
                    let holds =
                        rule.heard_as(role).is_none_or(|it| matches!(it.holds(&facts), Ok(true)));
                    matched += usize::from(holds);
                }
            }
            black_box(matched);
        });
        assert_eq!(matched, EVENTS / 10);
        let each = seconds * 1e9 / EVENTS as f64;
        if of_hundred == 0.0 {
            // The first round warms up, and is what the others are compared with.
            of_hundred = each;
            continue;
        }
        if count == 100 {
            of_hundred = each;
        }
        println!(
            "{count:>6}  {:>6.0} ms  {:>10.0}  {each:>9.0}  {:>6.2}x",
            loading * 1e3,
            EVENTS as f64 / seconds,
            each / of_hundred
        );
    }
}

fn condition() {
    const TEXT: &str = "alert.labels[\"severity\"] == \"critical\" && node.pool == \"gpu\" && alert.name.startsWith(\"Gpu\")";
    let ruleset = load(format!(
        "{HEAD}  - {{name: one, when: alertmanager.alert.firing, if: {TEXT:?}, escalate: p}}\n"
    ));
    let event = event(1, "GpuXid");
    let facts = Facts::new(&event, event.time);
    let ours = ruleset.rules[0].condition.as_ref().unwrap();
    assert!(matches!(ours.holds(&facts), Ok(true)));
    const ROUNDS: u32 = 200_000;
    let own = timed(|| {
        (0..ROUNDS).for_each(|_| {
            black_box(ours.holds(black_box(&facts)).is_ok());
        });
    });
    let program = cel::Program::compile(TEXT).unwrap();
    let filled = || {
        let mut context = cel::Context::default();
        context.add_variable("alert", json!(event.data.alert)).unwrap();
        context.add_variable("node", json!(event.data.context.node)).unwrap();
        context
    };
    let context = filled();
    assert_eq!(program.execute(&context).unwrap(), cel::Value::Bool(true));
    let theirs = timed(|| (0..ROUNDS).for_each(|_| drop(black_box(program.execute(&context)))));
    let with = timed(|| (0..ROUNDS / 20).for_each(|_| drop(black_box(program.execute(&filled())))));
    let each = |seconds: f64| seconds * 1e9 / f64::from(ROUNDS);
    println!("\none condition of three clauses, all holding");
    println!("  ours, on the event itself      {:>8.0} ns", each(own));
    println!("  cel, values converted before   {:>8.0} ns  {:.1}x", each(theirs), theirs / own);
    println!(
        "  cel, values converted for it   {:>8.0} ns  {:.1}x",
        each(with) * 20.0,
        with * 20.0 / own
    );
}

fn status(key: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find(|line| line.starts_with(key)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

const WORDS: [&str; 4] = [
    "count: {at_least: 5, within: 1h}",
    "count: {at_least: 5, within: 1h, distinct: event.gpu}",
    "sequence: {then: [{when: y}, {when: z}], within: 1h}",
    "burst: {gap: 5m}, count: {at_least: 5, within: 1h}",
];

/// Each in a process of its own: memory that was used before would hide what is used now.
fn windows() {
    println!("bytes per live window, key and all");
    for word in WORDS {
        let own = std::env::current_exe().unwrap();
        let output = std::process::Command::new(own).args(["windows", word]).output().unwrap();
        print!("{}", String::from_utf8_lossy(&output.stdout));
    }
}

/// 100,000 windows of one word less two thousand, each with one event in it.
fn window(word: &str) {
    let ruleset =
        load(format!("{HEAD}  - {{name: one, when: x, {word}, lateness: 1s, escalate: p}}\n"));
    let mut state = State::default();
    let mut feed = |range: std::ops::Range<u64>| {
        for n in range {
            // Nodes come in no order.
            let key = n.wrapping_mul(0x9e37_79b1) & 0xff_ffff;
            let name = format!("ip-10-{}-{}-{}.ec2.internal", key >> 16, key >> 8 & 255, key & 255);
            let at = Timestamp::UNIX_EPOCH + std::time::Duration::from_millis(n);
            let data = Event { payload: json!({ "gpu": 1 }), ..Event::default() };
            let event =
                Envelope::new("x", Id::of(&[&n.to_string()]), "b", Target::Node(name), at, data);
            engine::step(
                &ruleset,
                &mut state,
                n + 1,
                &Input::Event(Box::new(event)),
                at,
                &mut vec![],
            );
        }
    };
    feed(0..2_000);
    let before = status("VmRSS:");
    feed(2_000..98_000);
    let live = state.windows.live() as f64 * 96.0 / 98.0;
    let bytes = (status("VmRSS:") - before) as f64 * 1024.0 / live;
    println!("  {word:<56} {bytes:>6.0}  ({} live)", state.windows.live());
}

/// Sends events, one JSON object a line, through the engine; prints what `eda.sh` reads.
fn through(events: &str, rules: &str) {
    let ruleset = load(std::fs::read_to_string(rules).unwrap());
    let lines = BufReader::new(std::fs::File::open(events).unwrap()).lines();
    let begin = Instant::now();
    let (mut state, mut decided, mut count) = (State::default(), 0, 0u64);
    for line in lines {
        count += 1;
        let body = format!(
            r#"{{"specversion":"1.0","id":"{count}","source":"b","type":"eda.event","data":{}}}"#,
            line.unwrap()
        );
        let now = Timestamp::UNIX_EPOCH + std::time::Duration::from_millis(count);
        let read =
            cloudevents::read("application/cloudevents+json", Map::new(), body.as_bytes(), now);
        for event in read.unwrap().0 {
            let input = Input::Event(Box::new(event));
            let said = engine::step(&ruleset, &mut state, count, &input, now, &mut vec![]);
            decided += said.iter().filter(|it| matches!(it, engine::Said::Decision(_))).count();
        }
    }
    let seconds = begin.elapsed().as_secs_f64();
    println!(
        "events={count} decisions={decided} seconds={seconds:.3} rate={:.0} peak_kib={}",
        count as f64 / seconds,
        status("VmHWM:")
    );
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    match args.as_slice() {
        [word, events, rules] if word == "engine" => through(events, rules),
        [word, of] if word == "windows" => window(of),
        _ => {
            windows();
            condition();
            println!();
            matching();
        }
    }
}
