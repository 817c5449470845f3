//! `medevac check`: every fault of every file at once.

use super::{Exit, logs, words};
use crate::adapters::rulefiles;
use crate::model::Secret;
use crate::rules::{self, Diagnostic};
use crate::simulation::trial;
use serde_json::json;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Rule files, or directories of them.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Configuration file: its `policy` is checked, too.
    #[arg(long, env = "MEDEVAC_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Output {
    Text,
    Json,
}

pub(super) fn run(args: &Args) -> Exit {
    let sources = match rulefiles::read(&args.paths) {
        Ok(sources) => sources,
        Err(why) => return Exit::Usage(why),
    };
    // Only the form of secrets is checked: where rules are edited, there are none.
    let policy = match args.config.as_deref().map(logs::read).transpose() {
        Ok(settings) => settings.unwrap_or_default().policy,
        Err(exit) => return exit,
    };
    let loaded = rules::load_under(&policy, &sources, &|_| Ok(Secret::new("unread")));
    // The tests are read, too: a test that cannot be played is no test.
    let loaded = loaded.and_then(|rules| trial::load(&rules).map(|tests| (rules, tests.len())));
    let (faults, summary) = match &loaded {
        Ok((ruleset, tests)) => (
            ruleset.warnings.as_slice(),
            format!(
                "{} files: {} rules, {} guards, {} escalations, {tests} tests. No fault.",
                sources.len(),
                ruleset.rules.len(),
                ruleset.guards.len(),
                ruleset.directory.policies.len()
            ),
        ),
        Err(faults) => (faults.as_slice(), format!("{} faults.", faults.len())),
    };
    match args.output {
        Output::Text => {
            for fault in faults {
                words::say(&format!("{}\n", fault.render(words::colour())));
            }
            words::say(&summary);
        }
        Output::Json => {
            let faults: Vec<_> = faults.iter().map(as_json).collect();
            words::say(&json!({ "good": loaded.is_ok(), "faults": faults }).to_string());
        }
    }
    if loaded.is_ok() { Exit::Good } else { Exit::No }
}

/// The JSON Schema of rule files, with their tests.
pub(super) fn schema() -> serde_json::Value {
    let mut schema = rules::json_schema();
    let tests = &mut schema["properties"]["tests"];
    tests["type"] = json!("array");
    tests["items"] = trial::json_schema();
    schema
}

fn as_json(fault: &Diagnostic) -> serde_json::Value {
    let (line, column) = fault.place.line_column();
    json!({
        "file": fault.place.source.path, "line": line, "column": column, "code": fault.code.word(),
        "severity": if fault.warning { "warning" } else { "error" },
        "message": fault.message, "hint": fault.hint,
    })
}
