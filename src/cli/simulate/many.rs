//! Many runs: seeds, crashes, random worlds; and the one command that repeats what failed.

use super::super::progress::{Progress, every};
use super::super::{Exit, words};
use super::load::Case;
use super::{Args, Output, show};
use crate::simulation::{
    Mishap, Orders, Report, Source, Vocabulary, complaint, crash_at, crashes, draw, first_bad,
    play, shrink,
};
use serde_json::json;
use std::sync::{Mutex, PoisonError};

/// Random worlds, or seeds of one.
pub(super) fn random(args: &Args, cases: &[Case]) -> Exit {
    let Some(case) = cases.first() else { return Exit::Good };
    let words_known = Vocabulary::of(&case.rules);
    let first = args.seed.unwrap_or(1);
    let world = |seed: u64| draw(seed, &words_known);
    let Some(count) = args.seeds else {
        let scenario = world(first);
        let report = play(&scenario, &case.rules, &Orders { seed: None, ..args.orders() });
        let case = Case { path: String::new(), scenario, rules: case.rules.clone() };
        return show(args, &[(&case, report)]);
    };
    let job = |number: u64| {
        let orders = Orders { seed: None, silent: true, ..args.orders() };
        play(&world(first + number), &case.rules, &orders)
    };
    match search("random worlds", count, job) {
        None => {
            let last = first + count - 1;
            good(args, &format!("{count} random worlds, seeds {first} to {last}"));
            Exit::Good
        }
        Some((number, report)) => {
            let scenario = world(first + number);
            let case = Case { path: String::new(), scenario, rules: case.rules.clone() };
            told(args, &case, &args.orders(), &report)
        }
    }
}

/// Seeds of scenarios, or a crash at every call.
pub(super) fn seeds_or_crashes(args: &Args, cases: &[Case]) -> Exit {
    let mut exit = Exit::Good;
    for case in cases {
        let bad = match args.seeds {
            Some(count) => seeds(args, case, count),
            None => sweep(args, case),
        };
        if let Some((orders, report)) = bad {
            exit = told(args, case, &orders, &report);
        }
    }
    exit
}

fn seeds(args: &Args, case: &Case, count: u64) -> Option<(Orders, Report)> {
    let first = args.seed.unwrap_or(case.scenario.seed);
    let orders = |number: u64| Orders { seed: Some(first + number), silent: true, ..args.orders() };
    let job = |number: u64| play(&case.scenario, &case.rules, &orders(number));
    let found = search("seeds", count, job);
    if found.is_none() {
        let last = first + count.saturating_sub(1);
        good(args, &format!("{}: {count} seeds, {first} to {last}", case.scenario.name));
    }
    found.map(|(number, report)| (orders(number), report))
}

fn sweep(args: &Args, case: &Case) -> Option<(Orders, Report)> {
    let calm = Orders { silent: true, mishaps: Some(Source::None), ..args.orders() };
    let base = play(&case.scenario, &case.rules, &calm);
    if !base.good() {
        return Some((calm, base));
    }
    let orders = |number: u64| Orders { mishaps: Some(crash_at(number)), ..calm.clone() };
    let job = |number: u64| play(&case.scenario, &case.rules, &orders(number));
    let found = search("crashes", crashes(base.calls), job);
    if found.is_none() {
        let (name, calls) = (&case.scenario.name, base.calls);
        good(args, &format!("{name}: killed before and after each of {calls} calls"));
    }
    found.map(|(number, report)| (orders(number), report))
}

fn search(
    what: &'static str,
    count: u64,
    job: impl Fn(u64) -> Report + Sync,
) -> Option<(u64, Report)> {
    let progress = Mutex::new(Progress::new(what, count));
    let found = first_bad(count, job, |done| {
        progress.lock().unwrap_or_else(PoisonError::into_inner).at(done);
    });
    progress.into_inner().unwrap_or_else(PoisonError::into_inner).end();
    found
}

/// What was played and is good: a line for people, a value for programs.
fn good(args: &Args, what: &str) {
    match args.output {
        Output::Json => words::say(&json!({ "good": true, "played": what }).to_string()),
        Output::Text | Output::Html => {
            words::say(&format!("{what}: every invariant and every expectation held."))
        }
    }
}

/// Plays all cases on every core, with a bar where somebody waits.
pub(super) fn all(cases: &[Case], job: impl Fn(&Case) -> Report + Sync) -> Vec<Report> {
    if let [case] = cases {
        return vec![job(case)];
    }
    every("scenarios", cases, job)
}

/// Makes the failing run as small as it gets, shows it, and says how to repeat it.
fn told(args: &Args, case: &Case, orders: &Orders, report: &Report) -> Exit {
    // Beside what a program reads, not in it.
    let tell = |text: &str| match args.output {
        Output::Text => words::say(text),
        Output::Json | Output::Html => words::complain(text),
    };
    tell(&format!(
        "{}: seed {} fails: {}",
        case.scenario.name,
        report.seed,
        complaint(report).unwrap_or_default()
    ));
    let loud = Orders { silent: false, ..orders.clone() };
    let (orders, report) = shrink(&case.scenario, &case.rules, &loud, report);
    let exit = show(args, &[(case, report.clone())]);
    let command = repeat(args, case, &orders, &report);
    let many = |number: usize, what: &str| match number {
        1 => format!("one {what}"),
        number => format!("{number} {what}s"),
    };
    let mishaps = many(report.mishaps.len(), "mishap");
    let events = many(case.scenario.happens.len() - orders.without.len(), "event");
    tell(&format!("\nMade smaller, to {mishaps} and {events}. It comes again with:\n  {command}"));
    exit
}

/// The one command that repeats a run.
fn repeat(args: &Args, case: &Case, orders: &Orders, report: &Report) -> String {
    let mut words = vec!["medevac simulate".to_owned()];
    if args.random {
        words.push("--random".into());
    } else {
        words.push(quoted(&case.path));
    }
    for path in &args.rules {
        words.push(format!("--rules {}", quoted(&path.display().to_string())));
    }
    words.push(format!("--seed {}", report.seed));
    if let Some(Source::Listed(listed)) = &orders.mishaps {
        let pair = |(call, mishap): (&u64, &Mishap)| format!("{call}:{}", mishap.word());
        let list: Vec<String> = listed.iter().map(pair).collect();
        words.push(format!("--mishaps {}", quoted(&list.join(","))));
    }
    if !orders.without.is_empty() {
        let list: Vec<String> = orders.without.iter().map(usize::to_string).collect();
        words.push(format!("--without {}", list.join(",")));
    }
    words.join(" ")
}

/// As a shell reads it back.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,=".contains(c);
    match !text.is_empty() && text.chars().all(plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}
