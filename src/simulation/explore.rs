//! Many runs: seeds one after the other, a crash at every call, and the smallest run that still fails.

use super::faults::{Mishap, Source};
use super::play::{Orders, Report, play};
use super::scenario::Scenario;
use crate::rules::Ruleset;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

/// Runs that shrinking may cost.
const PATIENCE: usize = 300;

/// Plays `jobs` runs on every core, and gives the first by number that is not good. `told` hears how many are done.
pub fn first_bad(
    jobs: u64,
    job: impl Fn(u64) -> Report + Sync,
    told: impl Fn(u64) + Sync,
) -> Option<(u64, Report)> {
    let next = AtomicU64::new(0);
    let done = AtomicU64::new(0);
    let bad: Mutex<Option<(u64, Report)>> = Mutex::new(None);
    let found = || bad.lock().unwrap_or_else(PoisonError::into_inner);
    let work = || loop {
        let number = next.fetch_add(1, Ordering::SeqCst);
        let beaten = found().as_ref().is_some_and(|(known, _)| *known < number);
        if number >= jobs || beaten {
            return;
        }
        let report = job(number);
        told(done.fetch_add(1, Ordering::SeqCst) + 1);
        if !report.good() {
            let mut bad = found();
            if bad.as_ref().is_none_or(|(known, _)| number < *known) {
                *bad = Some((number, report));
            }
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    bad.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// The crash that is number `number` of a sweep: before and after each call.
pub fn crash_at(number: u64) -> Source {
    let mishap = if number.is_multiple_of(2) { Mishap::Crash } else { Mishap::CrashAfter };
    Source::Listed([(number / 2 + 1, mishap)].into())
}

/// How many crashes a sweep over a run with so many calls has.
pub fn crashes(calls: u64) -> u64 {
    calls * 2
}

/// What is wrong with a run, in one line: shrinking must not change it.
pub fn complaint(report: &Report) -> Option<String> {
    let violation = report.violations.first().map(|one| one.invariant.to_owned());
    violation.or_else(|| {
        report.verdicts.iter().find(|verdict| !verdict.held).map(|verdict| verdict.text.clone())
    })
}

/// Fewer faults and fewer events that lead to the same complaint.
pub fn shrink(
    scenario: &Scenario,
    rules: &Arc<Ruleset>,
    orders: &Orders,
    report: &Report,
) -> (Orders, Report) {
    let mut best = (orders.clone(), report.clone());
    best.0.seed = Some(report.seed);
    best.0.mishaps = Some(Source::Listed(report.mishaps.clone()));
    let wanted = complaint(report);
    let mut tries = 0;
    let mut attempt = |orders: Orders, best: &mut (Orders, Report)| -> bool {
        tries += 1;
        if tries > PATIENCE {
            return false;
        }
        let report = play(scenario, rules, &orders);
        let same = complaint(&report) == wanted;
        if same {
            *best = (orders, report);
        }
        same
    };
    // Events first: what is left out takes its calls with it, and the faults stand at other numbers then.
    // An expectation that fails because nothing happens any more is another matter: then only harm is left out.
    let broken = !report.violations.is_empty();
    let may_go = |at: &usize| broken || scenario.happens[*at].deed.harms();
    for at in (0..scenario.happens.len()).rev().filter(may_go) {
        if !best.0.without.contains(&at) {
            let mut orders = best.0.clone();
            orders.without.insert(at);
            attempt(orders, &mut best);
        }
    }
    fewer_mishaps(&mut best, &mut attempt);
    // With its transcript, also where nothing could be left out.
    best.1 = play(scenario, rules, &best.0);
    best
}

/// Leaves out halves, then quarters, then single ones.
fn fewer_mishaps(
    best: &mut (Orders, Report),
    attempt: &mut impl FnMut(Orders, &mut (Orders, Report)) -> bool,
) {
    let mut parts = 1;
    loop {
        let Some(Source::Listed(all)) = best.0.mishaps.clone() else { return };
        let entries: Vec<(u64, Mishap)> = all.into_iter().collect();
        let size = entries.len().div_ceil(parts).max(1);
        let shrunk = entries.chunks(size).any(|chunk| {
            let out: BTreeSet<u64> = chunk.iter().map(|(at, _)| *at).collect();
            let kept: BTreeMap<u64, Mishap> =
                entries.iter().filter(|(at, _)| !out.contains(at)).copied().collect();
            let mishaps = Some(Source::Listed(kept));
            attempt(Orders { mishaps, ..best.0.clone() }, best)
        });
        match shrunk {
            true => parts = parts.saturating_sub(1).max(1),
            false if parts >= entries.len() => return,
            false => parts = (parts * 2).min(entries.len()),
        }
        if entries.is_empty() {
            return;
        }
    }
}
