//! `medevac simulate`: what the daemon would do, and what if it had died in the middle.

mod diff;
mod drawing;
mod load;
mod many;
mod page;
mod text;

use super::{Exit, words};
use crate::simulation::{Mishap, Orders, Report, Source, play};
use load::Case;
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Scenario files, or directories of them.
    #[arg(required_unless_present = "random")]
    pub(super) scenarios: Vec<PathBuf>,
    /// Play these rules instead of those that the scenario names.
    #[arg(long, value_name = "PATH")]
    pub(super) rules: Vec<PathBuf>,
    /// Worlds drawn from seeds instead of scenarios: needs `--rules`. Only the invariants are checked.
    #[arg(long, requires = "rules", conflicts_with = "scenarios")]
    pub(super) random: bool,
    /// Other dice than the scenario's own.
    #[arg(long, value_parser = clap::value_parser!(u64).range(..=9_000_000_000_000_000_000))]
    pub(super) seed: Option<u64>,
    /// Play so many seeds, beginning with `--seed`. The first that fails is made smaller and told.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    pub(super) seeds: Option<u64>,
    /// Play once for every call to the outside, and kill the daemon before it, and once more after it.
    #[arg(long, conflicts_with_all = ["seeds", "random", "mishaps"])]
    pub(super) crash_everywhere: bool,
    /// What another directory of rules would have decided. Exit 1 where it is something else.
    #[arg(long, value_name = "OTHER_RULES", conflicts_with_all = ["seeds", "crash_everywhere", "random", "output", "quiet"])]
    pub(super) diff: Vec<PathBuf>,
    /// Only these mishaps, by number of the call: `12:lost-after,40:crash`.
    #[arg(long, value_delimiter = ',', value_parser = mishap)]
    pub(super) mishaps: Option<Vec<(u64, Mishap)>>,
    /// Leave out what happens at these places of `happens`, from 0.
    #[arg(long, value_delimiter = ',')]
    pub(super) without: Vec<usize>,
    /// `html` writes one page with the timeline drawn per node and per incident.
    #[arg(long, value_enum, default_value = "text")]
    pub(super) output: Output,
    /// Only the verdicts, no timeline.
    #[arg(long, short)]
    pub(super) quiet: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Output {
    Text,
    Json,
    Html,
}

fn mishap(text: &str) -> Result<(u64, Mishap), String> {
    if text.is_empty() {
        return Ok((0, Mishap::Slow));
    }
    let all = || Mishap::ALL.map(|(word, _)| word).join(", ");
    let wanted = || format!("write CALL:MISHAP with one of {}", all());
    let (call, word) = text.split_once(':').ok_or_else(wanted)?;
    let known = Mishap::ALL.iter().find(|(known, _)| *known == word).map(|(_, it)| *it);
    Ok((call.parse().map_err(|_| wanted())?, known.ok_or_else(wanted)?))
}

impl Args {
    fn orders(&self) -> Orders {
        let listed = |all: &Vec<(u64, Mishap)>| {
            let all: BTreeMap<u64, Mishap> =
                all.iter().copied().filter(|(call, _)| *call > 0).collect();
            Source::Listed(all)
        };
        let without: BTreeSet<usize> = self.without.iter().copied().collect();
        let mishaps = self.mishaps.as_ref().map(listed);
        Orders { seed: self.seed, mishaps, without, ..Orders::default() }
    }
}

pub(super) fn run(args: &Args) -> Exit {
    let cases = match load::cases(args) {
        Ok(cases) => cases,
        Err(exit) => return exit,
    };
    if args.random {
        return many::random(args, &cases);
    }
    if args.seeds.is_some() || args.crash_everywhere {
        return many::seeds_or_crashes(args, &cases);
    }
    if !args.diff.is_empty() {
        return diff::run(args, &cases);
    }
    let silent = args.output == Output::Text && cases.len() > 1;
    let orders = Orders { silent, ..args.orders() };
    let reports = many::all(&cases, |case| play(&case.scenario, &case.rules, &orders));
    let reports: Vec<(&Case, Report)> = cases.iter().zip(reports).collect();
    show(args, &reports)
}

/// Prints what came of the runs; whether all were good.
pub(super) fn show(args: &Args, reports: &[(&Case, Report)]) -> Exit {
    match args.output {
        Output::Text => text::print(args, reports),
        Output::Json => {
            let all: Vec<_> = reports.iter().map(|(case, report)| as_json(case, report)).collect();
            words::say(&json!({ "good": all_good(reports), "scenarios": all }).to_string());
        }
        Output::Html => words::say(&page::render(reports)),
    }
    if all_good(reports) { Exit::Good } else { Exit::No }
}

fn all_good(reports: &[(&Case, Report)]) -> bool {
    reports.iter().all(|(_, report)| report.good())
}

fn as_json(case: &Case, report: &Report) -> serde_json::Value {
    let place = |verdict: &crate::simulation::Verdict| {
        let (line, column) = verdict.place.line_column();
        json!({ "file": verdict.place.source.path, "line": line, "column": column })
    };
    let verdicts: Vec<_> = report
        .verdicts
        .iter()
        .map(|one| json!({ "expected": one.text, "held": one.held, "found": one.reason, "place": place(one) }))
        .collect();
    let violations: Vec<_> = report
        .violations
        .iter()
        .map(|one| json!({ "invariant": one.invariant, "at": one.at, "what": one.text }))
        .collect();
    json!({
        "name": report.scenario, "about": case.scenario.about, "seed": report.seed, "good": report.good(),
        "seconds": report.lasted.as_secs(), "calls": report.calls, "mishaps": report.mishaps,
        "verdicts": verdicts, "violations": violations, "timeline": report.lines,
    })
}
