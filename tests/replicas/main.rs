//! Three replicas on three NATS servers under a steady load, while everything is killed, paused, cut and filled.
//!
//! At the end: no accepted event is lost, no effect happened under two keys, no guard was exceeded; how long
//! take-overs took is printed. `MEDEVAC_ROUNDS` and `MEDEVAC_SEED` repeat a run,
//! `MEDEVAC_FAULT=paused` keeps to one kind of fault.

#![expect(clippy::unwrap_used, reason = "a failed expectation is a failed test")]
#![expect(clippy::disallowed_methods, reason = "it measures and waits for real processes")]
#![expect(clippy::print_stdout, reason = "it is a program")]

mod double;
mod faults;
mod load;
#[path = "../support/mod.rs"]
mod support;

use double::Double;
use faults::{Fault, Stage};
use load::Load;
use medevac::log::{Log, Seq, Stream};
use medevac::model::{Envelope, Event, Id};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

/// What the rule may have running at once.
const AT_ONCE: usize = 4;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

#[tokio::main]
async fn main() {
    // The same program is the replica, where it is told so.
    support::daemon::child().await;
    let args: Vec<String> = std::env::args().skip(1).collect();
    let other = |arg: &String| !arg.starts_with('-') && !"replicas".contains(arg.as_str());
    if args.iter().any(|arg| arg == "--list" || other(arg)) {
        return;
    }
    let (rounds, seed) = (number("MEDEVAC_ROUNDS", 50), number("MEDEVAC_SEED", 20_261_122));
    println!("three replicas, three NATS servers, {rounds} rounds, seed {seed}");
    let double = Double::start().await;
    let mut stage = Stage::build(&double, AT_ONCE).await;
    let load = Load::start(stage.urls());
    let mut dice = fastdice(seed);
    let only = std::env::var("MEDEVAC_FAULT").unwrap_or_default();
    let pool: Vec<Fault> =
        Fault::ALL.into_iter().filter(|fault| fault.word().contains(&only)).collect();
    let mut takeovers: BTreeMap<&str, Vec<Duration>> = BTreeMap::new();
    let began = Instant::now();
    for round in 1..=rounds {
        let fault = pool[usize::try_from(dice()).unwrap() % pool.len()];
        let at = Instant::now();
        let took = stage.suffer(fault, &mut dice).await;
        println!(
            "round {round:2}: {:<22} {:5.1} s{}",
            fault.word(),
            at.elapsed().as_secs_f64(),
            took.map_or(String::new(), |took| format!(
                ", taken over in {:.2} s",
                took.as_secs_f64()
            ))
        );
        takeovers.entry(fault.word()).or_default().extend(took);
    }
    let accepted = load.end().await;
    println!(
        "{} events accepted in {:.0} s; {} requests were refused and sent again",
        accepted.len(),
        began.elapsed().as_secs_f64(),
        load.refused.load(std::sync::atomic::Ordering::SeqCst)
    );
    let faults = judge(&stage, &double, &accepted).await;
    distribution(&takeovers);
    for fault in &faults {
        println!("FAULT: {fault}");
    }
    let passed = faults.is_empty();
    println!("{} passed, {} failed", u8::from(passed), u8::from(!passed));
    drop(stage);
    std::process::exit(i32::from(!passed));
}

/// A small generator (xorshift64*): the same seed, the same rounds.
fn fastdice(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed | 1;
    move || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33
    }
}

/// Everything that has to be true, against the log and the double.
async fn judge(stage: &Stage, double: &Double, accepted: &BTreeSet<String>) -> Vec<String> {
    let mut faults = vec![];
    let log = &stage.log;
    let (events, last) = ids(log, Stream::Events).await;
    let missing: Vec<_> = accepted
        .iter()
        .filter(|id| !events.contains(Id::given(load::source(), id).as_str()))
        .collect();
    if !missing.is_empty() {
        faults.push(format!("{} accepted events are not in the log: {missing:?}", missing.len()));
    }
    stage.decided_upto(last).await;
    let decided = causes(log).await;
    let acting: Vec<Id> = accepted.iter().filter_map(|id| load::acts(id)).collect();
    let undecided = acting.iter().filter(|id| !decided.contains(id.as_str())).count();
    if undecided > 0 {
        faults.push(format!("{undecided} of {} events were not decided on", acting.len()));
    }
    stage.settled().await;
    double.look(|ledger| {
        let twice: Vec<_> = ledger.effects.iter().filter(|(_, keys)| keys.len() > 1).collect();
        if !twice.is_empty() {
            faults.push(format!("effects under two keys: {twice:?}"));
        }
        if ledger.most_running > AT_ONCE {
            faults.push(format!("{} ran at once, {AT_ONCE} may", ledger.most_running));
        }
        let done = |verb: &str| ledger.effects.keys().filter(|(_, word)| word == verb).count();
        println!(
            "{} events asked for a remediation: {} begun, {} ended, at most {} at once (of {AT_ONCE}); {} calls repeated under their key",
            acting.len(), done("begin"), done("end"), ledger.most_running, ledger.repeated
        );
        if done("begin") == 0 {
            faults.push("nothing was remediated: the test shows nothing".into());
        }
        if done("begin") != done("end") {
            faults.push(format!("{} begun and {} ended", done("begin"), done("end")));
        }
    });
    faults
}

/// Ids in a stream of the log, and the last position.
async fn ids(log: &impl Log, stream: Stream) -> (BTreeSet<String>, Seq) {
    let (mut all, mut after) = (BTreeSet::new(), 0);
    loop {
        let page = log.read(after, &[stream], 2000).await.unwrap();
        let Some(last) = page.last() else { return (all, after) };
        after = last.seq;
        let id = |record: &medevac::log::Record| record.open::<Event>().unwrap().id;
        all.extend(page.iter().map(|record| id(record).as_str().to_owned()));
    }
}

/// The events that decisions answer.
async fn causes(log: &impl Log) -> BTreeSet<String> {
    let (mut all, mut after) = (BTreeSet::new(), 0);
    loop {
        let page = log.read(after, &[Stream::Decisions], 2000).await.unwrap();
        let Some(last) = page.last() else { return all };
        after = last.seq;
        for record in &page {
            let decision: Envelope<Value> = record.open().unwrap();
            all.extend(decision.cause.iter().map(str::to_owned));
        }
    }
}

fn distribution(takeovers: &BTreeMap<&str, Vec<Duration>>) {
    println!("take-over, from the fault to the first decision of another replica:");
    for (fault, times) in takeovers.iter().filter(|(_, times)| !times.is_empty()) {
        let mut times = times.clone();
        times.sort_unstable();
        let at = |share: usize| times[(times.len() - 1) * share / 100].as_secs_f64();
        println!(
            "  {fault:<22} {:3} times: p50 {:.2} s, p90 {:.2} s, p99 {:.2} s, most {:.2} s",
            times.len(),
            at(50),
            at(90),
            at(99),
            at(100)
        );
    }
}
