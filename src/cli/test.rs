//! `medevac test`: the tests that stand beside rules, what they leave out, and what they would not notice.

mod junit;

use super::progress::every;
use super::{Exit, rulesets, words};
use crate::rules::{Diagnostic, Ruleset};
use crate::simulation::trial::{self, Coverage, Mutant, Outcome, Test};
use serde_json::json;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Rule files, or directories of them, with their tests.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Only tests whose name contains this.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Say what of the rules no test has looked at.
    #[arg(long)]
    coverage: bool,
    /// Change one thing of the rules at a time, and say which changes no test has noticed.
    #[arg(long)]
    mutate: bool,
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    Text,
    Json,
    Junit,
}

/// What the tests came to.
struct Ran {
    outcomes: Vec<Outcome>,
    coverage: Coverage,
}

pub(super) fn run(args: &Args) -> Exit {
    let (rules, tests) = match load(args) {
        Ok(loaded) => loaded,
        Err(exit) => return exit,
    };
    let outcomes = every("tests", &tests, |test| test.run(&rules));
    let mut coverage = Coverage::default();
    outcomes.iter().for_each(|outcome| coverage.join(&outcome.coverage));
    let ran = Ran { outcomes, coverage };
    let good = ran.outcomes.iter().all(Outcome::good);
    match args.output {
        Output::Text => text(args, &ran),
        Output::Json => words::say(&as_json(args, &ran).to_string()),
        Output::Junit => words::say(&junit::report(&ran.outcomes)),
    }
    if !good {
        return Exit::No;
    }
    if args.mutate { mutate(args, &rules, &tests) } else { Exit::Good }
}

fn load(args: &Args) -> Result<(Arc<Ruleset>, Vec<Test>), Exit> {
    let refuse = |faults: Vec<Diagnostic>| {
        faults.iter().for_each(|it| words::say(&format!("{}\n", it.render(words::colour()))));
        Exit::Usage(format!("{} faults; nothing was tested", faults.len()))
    };
    let rules = rulesets::load(&args.paths)?.map_err(refuse)?;
    let mut tests = trial::load(&rules).map_err(refuse)?;
    for test in &mut tests {
        let beside = Path::new(&test.place.source.path).parent().unwrap_or(Path::new("."));
        let beside = beside.to_owned();
        let read = |path: &str| {
            let path = beside.join(path);
            std::fs::read_to_string(&path)
                .map_err(|error| format!("cannot read {}: {error}", path.display()))
        };
        test.fill(read).map_err(|why| Exit::Usage(format!("{}: {why}", test.name)))?;
    }
    if let Some(only) = &args.only {
        tests.retain(|test| test.name.contains(only));
    }
    if tests.is_empty() {
        let hint = "write `tests:` in a rule file, or in a file beside it called `*_test.yaml`";
        return Err(Exit::Usage(format!("there is no test; {hint}")));
    }
    Ok((Arc::new(rules), tests))
}

fn text(args: &Args, ran: &Ran) {
    for outcome in ran.outcomes.iter().filter(|outcome| !outcome.good()) {
        words::say(&format!("FAILED  {}", words::plain(&outcome.name)));
        outcome.broken.iter().for_each(|it| words::say(&format!("  ! {}", words::plain(it))));
        outcome.missing.iter().for_each(|it| words::say(&format!("  - {}", words::plain(it))));
        outcome.surplus.iter().for_each(|it| words::say(&format!("  + {}", words::plain(it))));
        words::say("");
    }
    let failed = ran.outcomes.iter().filter(|outcome| !outcome.good()).count();
    if failed > 0 {
        words::say("  - expected, and did not happen    + happened, and was not expected\n");
    }
    if args.coverage {
        let mut rule = "";
        for item in ran.coverage.missing() {
            if rule != item.rule {
                words::say(&item.rule);
                rule = &item.rule;
            }
            words::say(&format!("  {}", item.text));
        }
        let (seen, all) = (ran.coverage.seen(), ran.coverage.0.len());
        let percent = (seen * 100).checked_div(all).unwrap_or(100);
        words::say(&format!("{percent} % of the rules were looked at: {seen} of {all}.\n"));
    }
    let passed = ran.outcomes.len() - failed;
    words::say(&format!("{passed} tests passed, {failed} failed."));
}

fn as_json(args: &Args, ran: &Ran) -> serde_json::Value {
    let tests: Vec<_> = ran
        .outcomes
        .iter()
        .map(|it| {
            json!({ "name": it.name, "good": it.good(), "missing": it.missing,
                "surplus": it.surplus, "broken": it.broken })
        })
        .collect();
    let mut report = json!({ "good": ran.outcomes.iter().all(Outcome::good), "tests": tests });
    if args.coverage {
        let missing: Vec<_> = ran
            .coverage
            .missing()
            .map(|item| json!({ "rule": item.rule, "part": item.part, "text": item.text }))
            .collect();
        report["coverage"] =
            json!({ "seen": ran.coverage.seen(), "all": ran.coverage.0.len(), "missing": missing });
    }
    report
}

/// A rule of which a change hangs a run would hold everything up.
const LONGEST: Duration = Duration::from_secs(7 * 86_400);

fn mutate(args: &Args, rules: &Arc<Ruleset>, tests: &[Test]) -> Exit {
    let bounded: Vec<&Test> = tests.iter().filter(|it| it.scenario.lasts <= LONGEST).collect();
    let all: Vec<Mutant> = trial::mutants(rules).collect();
    // Whoever expects something of a rule notices first what becomes of it; the shorter, the sooner.
    let notices = |mutant: &Mutant| {
        let mut order = bounded.clone();
        order.sort_by_key(|test| (!test.names(&mutant.rule), test.scenario.lasts));
        order.iter().any(|test| !test.run(&mutant.rules).good())
    };
    let noticed = every("changes", &all, notices);
    let survived: Vec<&Mutant> =
        all.iter().zip(&noticed).filter(|(_, noticed)| !**noticed).map(|(it, _)| it).collect();
    match args.output {
        Output::Json => {
            let list: Vec<_> =
                survived.iter().map(|it| json!({ "rule": it.rule, "change": it.text })).collect();
            words::say(&json!({ "changes": all.len(), "unnoticed": list }).to_string());
        }
        Output::Text | Output::Junit => {
            for mutant in &survived {
                words::say(&format!("nobody noticed: {} {}", mutant.rule, mutant.text));
            }
            let noticed = all.len() - survived.len();
            words::say(&format!("{noticed} of {} changes were noticed.", all.len()));
        }
    }
    if survived.is_empty() { Exit::Good } else { Exit::No }
}
