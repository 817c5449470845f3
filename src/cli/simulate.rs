//! `medevac simulate`: what the daemon would do, and what if it had died in the middle.

use super::{Exit, words};
use crate::adapters::rulefiles;
use crate::model::Secret;
use crate::rules::{self, Diagnostic, Ruleset, Source};
use crate::simulation::{self, Orders, Scenario};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Scenario files, or directories of them.
    #[arg(required = true)]
    scenarios: Vec<PathBuf>,
    /// Other dice than the scenario's own.
    #[arg(long)]
    seed: Option<u64>,
}

pub(super) fn run(args: &Args) -> Exit {
    let mut good = true;
    for path in &args.scenarios {
        let (scenario, rules) = match load(path) {
            Ok(loaded) => loaded,
            Err(faults) => {
                for fault in &faults {
                    words::say(&fault.render(words::colour()));
                }
                return Exit::Usage("the scenario cannot be used".into());
            }
        };
        let orders = Orders { seed: args.seed, ..Orders::default() };
        let report = simulation::play(&scenario, &rules, &orders);
        words::say(&report.transcript());
        for verdict in &report.verdicts {
            words::say(&format!("{} {} ({})", verdict.held, verdict.text, verdict.reason));
        }
        for violation in &report.violations {
            words::say(&format!("{} {} {}", violation.invariant, violation.at, violation.text));
        }
        words::say(&format!("{} calls, {:?}", report.calls, report.lasted));
        good &= report.good();
    }
    if good { Exit::Good } else { Exit::No }
}

fn load(path: &Path) -> Result<(Scenario, Arc<Ruleset>), Vec<Diagnostic>> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let source = Arc::new(Source { path: path.display().to_string(), text });
    let scenario = simulation::scenario::load(&source)?;
    let from = path.parent().unwrap_or(Path::new("."));
    let paths: Vec<PathBuf> = scenario.rules.iter().map(|rules| from.join(rules)).collect();
    let sources = rulefiles::read(&paths).unwrap_or_default();
    let rules = rules::load(&sources, &|_| Ok(Secret::new("unread")))?;
    Ok((scenario, Arc::new(rules)))
}
