//! What another rule directory would have decided.

use super::super::{Exit, words};
use super::{Args, Case, load};
use crate::model::PageKind;
use crate::simulation::{Report, play};
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn run(args: &Args, cases: &[Case]) -> Exit {
    let other = match load::ruleset(&args.diff) {
        Ok(rules) => rules,
        Err(exit) => return exit,
    };
    let mut same = true;
    for case in cases {
        let mine = play(&case.scenario, &case.rules, &args.orders());
        let theirs = play(&case.scenario, &other, &args.orders());
        words::say(&format!("{}: these rules | those of {}", case.scenario.name, named(args)));
        same &= decisions(&mine, &theirs) & numbers(&mine, &theirs);
        words::say("");
    }
    if same {
        words::say("No difference.");
        Exit::Good
    } else {
        Exit::No
    }
}

fn named(args: &Args) -> String {
    let paths: Vec<String> = args.diff.iter().map(|path| path.display().to_string()).collect();
    paths.join(", ")
}

/// What was decided about each target, in order: rule, verdict and what became of the plan.
fn by_target(report: &Report) -> BTreeMap<String, Vec<String>> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for one in &report.ledger.decisions {
        let line = format!("{}: {}", one.rule, one.verdict);
        all.entry(one.target.to_string()).or_default().push(line);
    }
    for fact in report.ledger.plans.values() {
        let steps: Vec<&str> = fact.plan.steps.iter().map(|step| step.name.as_str()).collect();
        let ended = fact.ended.as_ref().map_or("open", |(_, how)| how.word());
        let line = format!("plan {}: {ended}", steps.join(", "));
        all.entry(fact.plan.target.to_string()).or_default().push(line);
    }
    all
}

fn decisions(mine: &Report, theirs: &Report) -> bool {
    let (mine, theirs) = (by_target(mine), by_target(theirs));
    let targets: BTreeSet<&String> = mine.keys().chain(theirs.keys()).collect();
    let mut same = true;
    for target in targets {
        let none = vec![];
        let (before, after) =
            (mine.get(target).unwrap_or(&none), theirs.get(target).unwrap_or(&none));
        if before == after {
            continue;
        }
        same = false;
        words::say(&format!("  {target}"));
        for line in before.iter().filter(|line| !after.contains(line)) {
            words::say(&format!("    - {line}"));
        }
        for line in after.iter().filter(|line| !before.contains(line)) {
            words::say(&format!("    + {line}"));
        }
    }
    same
}

/// The sums that differ.
fn numbers(mine: &Report, theirs: &Report) -> bool {
    let (before, after) = (sums(mine), sums(theirs));
    let rows: Vec<Vec<String>> = before
        .iter()
        .zip(&after)
        .filter(|((_, one), (_, other))| one != other)
        .map(|((name, one), (_, other))| vec![format!("  {name}"), one.clone(), other.clone()])
        .collect();
    if !rows.is_empty() {
        words::table(&["  NUMBER", "THESE", "THOSE"], &rows);
    }
    rows.is_empty()
}

fn sums(report: &Report) -> Vec<(&'static str, String)> {
    let (ledger, world) = (&report.ledger, &report.world.sums);
    let called = |ring: &&crate::simulation::Ring| ring.key.kind == PageKind::Trigger;
    let pages = ledger.rings.iter().filter(called).count();
    vec![
        ("decisions", ledger.decisions.len().to_string()),
        ("remediations", ledger.plans.len().to_string()),
        ("people called", pages.to_string()),
        ("nodes cordoned at once", ledger.cordoned_most.to_string()),
        ("pods evicted", world.evicted.to_string()),
        ("pods deleted past budgets", world.deleted.to_string()),
        ("pods killed", world.hard_killed.to_string()),
        ("seconds of work lost", world.lost_work.as_secs().to_string()),
        ("incidents open at the end", ledger.open_incidents().count().to_string()),
        ("dollars", format!("{:.2}", report.world.spend())),
    ]
}
