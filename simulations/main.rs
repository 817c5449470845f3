//! Every scenario twice, golden transcripts, a crash at every call, random worlds, and the bugs on purpose.
//!
//! `MEDEVAC_SEEDS` says how many random worlds (200), `UPDATE_GOLDEN=1` writes the transcripts anew; an argument
//! keeps to the scenarios whose name contains it, and `MEDEVAC_BUG` to one bug.

#![expect(clippy::unwrap_used, reason = "a failed expectation is a failed test")]
#![expect(clippy::print_stdout, reason = "it is a program")]

use medevac::adapters::rulefiles;
use medevac::model::Secret;
use medevac::planted::{Bug, plant};
use medevac::rules::{self, Diagnostic, Ruleset, Source};
use medevac::simulation::{
    Orders, Report, Scenario, Source as Mishaps, Vocabulary, complaint, crash_at, crashes, draw,
    first_bad, play, scenario,
};
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/simulations");
/// Transcripts that a person can review; longer ones are only compared with themselves.
const READABLE: usize = 220;
/// Runs with more calls are not crashed at every one of them here.
const SWEPT: u64 = 170;

struct Case {
    scenario: Scenario,
    rules: Arc<Ruleset>,
}

fn text(faults: &[Diagnostic]) -> String {
    faults.iter().map(|fault| fault.render(false)).collect()
}

fn ruleset(paths: &[PathBuf]) -> Arc<Ruleset> {
    let sources = rulefiles::read(paths).unwrap();
    let loaded = rules::load(&sources, &|_| Ok(Secret::new("unread")));
    Arc::new(loaded.unwrap_or_else(|faults| panic!("{}", text(&faults))))
}

fn cases(only: Option<&String>) -> Vec<Case> {
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(HERE).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|of| of == "yaml"));
    paths.retain(|path| only.is_none_or(|only| path.to_string_lossy().contains(only.as_str())));
    paths.sort();
    let case = |path: &PathBuf| {
        let source = Source {
            path: path.display().to_string(),
            text: std::fs::read_to_string(path).unwrap(),
        };
        let scenario =
            scenario::load(&Arc::new(source)).unwrap_or_else(|faults| panic!("{}", text(&faults)));
        let own: Vec<PathBuf> = scenario.rules.iter().map(|of| Path::new(HERE).join(of)).collect();
        let rules = ruleset(&own);
        let faults = scenario.against(&rules);
        assert!(faults.is_empty(), "{}", text(&faults));
        Case { rules, scenario }
    };
    paths.iter().map(case).collect()
}

/// What was found, and how much of it was good.
#[derive(Default)]
struct Tally {
    passed: u32,
    failed: u32,
}

impl Tally {
    fn check(&mut self, name: &str, outcome: Result<String, String>) {
        match outcome {
            Ok(note) => {
                self.passed += 1;
                println!("ok      {name}: {note}");
            }
            Err(why) => {
                self.failed += 1;
                println!("FAILED  {name}: {why}");
            }
        }
    }
}

fn verdict(report: &Report) -> Result<(), String> {
    let broken = report.violations.iter().map(|one| format!("{}: {}", one.invariant, one.text));
    let missed = report
        .verdicts
        .iter()
        .filter(|verdict| !verdict.held)
        .map(|verdict| format!("{} ({})", verdict.text, verdict.reason));
    let all: Vec<String> = broken.chain(missed).collect();
    if all.is_empty() { Ok(()) } else { Err(all.join("; ")) }
}

/// Plays a scenario twice: good, the same both times (invariant I9), and as it was reviewed.
fn scenario_holds(case: &Case) -> Result<(String, u64), String> {
    let report = play(&case.scenario, &case.rules, &Orders::default());
    let again = play(&case.scenario, &case.rules, &Orders::default());
    verdict(&report)?;
    let transcript = report.transcript();
    same(&transcript, &again.transcript())
        .map_err(|why| format!("one seed, two histories: {why}"))?;
    if report.lines.len() <= READABLE {
        golden(&case.scenario.name, &transcript)?;
    }
    Ok((format!("{} lines, {} calls", report.lines.len(), report.calls), report.calls))
}

/// Two at a time, the last first: what takes longest is called a storm.
fn all_hold(cases: &[Case]) -> Vec<Result<(String, u64), String>> {
    let next = AtomicUsize::new(cases.len());
    let work = || {
        let mut done = vec![];
        while let Ok(left) = next.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)) {
            done.push((left - 1, scenario_holds(&cases[left - 1])));
        }
        done
    };
    let mut all: Vec<_> = std::thread::scope(|scope| {
        let workers = [scope.spawn(work), scope.spawn(work)];
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    all.sort_by_key(|(at, _)| *at);
    all.into_iter().map(|(_, outcome)| outcome).collect()
}

fn same(one: &str, other: &str) -> Result<(), String> {
    if one == other {
        return Ok(());
    }
    let differ = one.lines().zip(other.lines()).enumerate().find(|(_, (a, b))| a != b);
    Err(match differ {
        Some((at, (a, b))) => format!("line {} is\n  {a}\nand\n  {b}", at + 1),
        None => format!("{} and {} lines", one.lines().count(), other.lines().count()),
    })
}

fn golden(name: &str, transcript: &str) -> Result<(), String> {
    let path = Path::new(HERE).join("golden").join(format!("{name}.txt"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, transcript).unwrap();
        return Ok(());
    }
    let reviewed = std::fs::read_to_string(&path).unwrap_or_default();
    same(&reviewed, transcript).map_err(|why| {
        format!("not as it was reviewed; UPDATE_GOLDEN=1 writes it anew, and the change is looked at: {why}")
    })
}

/// Kills the daemon before and after every call, one run each.
fn crashes_hold(case: &Case) -> Option<Result<String, String>> {
    let calm = Orders { silent: true, mishaps: Some(Mishaps::None), ..Orders::default() };
    let calls = play(&case.scenario, &case.rules, &calm).calls;
    if calls > SWEPT {
        return None;
    }
    let job = |number| {
        let orders = Orders { mishaps: Some(crash_at(number)), ..calm.clone() };
        play(&case.scenario, &case.rules, &orders)
    };
    Some(match first_bad(crashes(calls), job, |_| {}) {
        None => Ok(format!("killed at each of {calls} calls, before and after")),
        Some((_, report)) => {
            let (call, mishap) = report.mishaps.iter().next().unwrap();
            let why = complaint(&report).unwrap_or_default();
            Err(format!("--mishaps {call}:{}: {why}", mishap.word()))
        }
    })
}

fn everything() -> Arc<Ruleset> {
    ruleset(&[Path::new(HERE).join("../rules"), Path::new(HERE).join("rules/everything.yaml")])
}

/// Random worlds, each twice.
fn worlds_hold(count: u64) -> Result<String, String> {
    let rules = everything();
    let words = Vocabulary::of(&rules);
    let job = |number: u64| {
        let scenario = draw(number + 1, &words);
        let one = play(&scenario, &rules, &Orders::default());
        let mut other = play(&scenario, &rules, &Orders::default());
        if let Err(why) = same(&one.transcript(), &other.transcript()) {
            other.violations.push(medevac::simulation::Violation {
                invariant: "I9",
                at: other.begins,
                text: why,
            });
        }
        other
    };
    match first_bad(count, job, |_| {}) {
        None => Ok(format!("{count} seeds, each twice: every invariant held")),
        Some((number, report)) => {
            let rules = "--rules rules --rules simulations/rules/everything.yaml";
            let why = verdict(&report).unwrap_err();
            Err(format!("medevac simulate --random {rules} --seed {}: {why}", number + 1))
        }
    }
}

/// Puts a bug in and looks where it shows: in the scenarios, then in crashes of them.
fn is_caught(bug: Bug, cases: &[Case]) -> Result<String, String> {
    plant(Some(bug));
    let small = cases.iter().filter(|case| !case.scenario.name.starts_with("storm-"));
    let silent = Orders { silent: true, ..Orders::default() };
    let by_scenario = small.clone().find_map(|case| {
        let why = complaint(&play(&case.scenario, &case.rules, &silent))?;
        Some(format!("{}: {why}", case.scenario.name))
    });
    let found = by_scenario.or_else(|| {
        small.clone().find_map(|case| {
            let why = crashes_hold(case)?.err()?;
            Some(format!("{} {why}", case.scenario.name))
        })
    });
    plant(None);
    found.ok_or_else(|| "nobody has noticed it".into())
}

fn main() -> ExitCode {
    let only = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    if std::env::args().any(|arg| arg == "--list") {
        return ExitCode::SUCCESS;
    }
    let seeds = std::env::var("MEDEVAC_SEEDS").map_or(200, |text| text.parse().unwrap());
    let cases = cases(only.as_ref());
    let mut tally = Tally::default();
    if let Ok(name) = std::env::var("MEDEVAC_BUG") {
        let bug = Bug::ALL.into_iter().find(|bug| format!("{bug:?}") == name).unwrap();
        println!("{:?}", is_caught(bug, &cases));
        return ExitCode::SUCCESS;
    }
    let outcomes = all_hold(&cases);
    let mut small = vec![];
    for (case, outcome) in cases.iter().zip(outcomes) {
        // What did not go well is swept as well: it says where it goes wrong.
        if outcome.as_ref().map_or(true, |(_, calls)| *calls <= SWEPT) {
            small.push(case);
        }
        tally.check(&case.scenario.name, outcome.map(|(note, _)| note));
    }
    let mut swept = 0;
    for case in small {
        if let Some(outcome) = crashes_hold(case) {
            swept += 1;
            tally.check(&format!("crashes in {}", case.scenario.name), outcome);
        }
    }
    if only.is_none() {
        let enough = if swept >= 5 { Ok(format!("{swept}")) } else { Err(format!("only {swept}")) };
        tally.check("scenarios crashed at every call", enough);
        tally.check("random worlds", worlds_hold(seeds));
        for bug in Bug::ALL {
            tally.check(&format!("planted {bug:?}"), is_caught(bug, &cases));
        }
    }
    println!("\n{} passed, {} failed", tally.passed, tally.failed);
    if tally.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
