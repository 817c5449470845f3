//! From the paths of scenarios to scenarios with their rules, or to every fault of every file.

use super::super::{Exit, rulesets, words};
use super::Args;
use crate::rules::{Diagnostic, Ruleset, Source};
use crate::simulation::{Scenario, scenario};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// A scenario with the rules that it is played with.
pub(in crate::cli) struct Case {
    /// As the user named it, for repeating.
    pub(super) path: String,
    pub(super) scenario: Scenario,
    pub(super) rules: Arc<Ruleset>,
}

pub(super) fn cases(args: &Args) -> Result<Vec<Case>, Exit> {
    if args.random {
        let rules = ruleset(&args.rules)?;
        let path = String::new();
        return Ok(vec![Case { path, scenario: Scenario::default(), rules }]);
    }
    let sources = files(&args.scenarios)?;
    let (mut cases, mut faults) = (vec![], vec![]);
    for source in sources {
        match scenario::load(&source) {
            Ok(scenario) => {
                let from = Path::new(&source.path).parent().unwrap_or(Path::new("."));
                let own = scenario.rules.iter().map(|rules| from.join(rules)).collect();
                let paths: Vec<PathBuf> =
                    if args.rules.is_empty() { own } else { args.rules.clone() };
                let rules = ruleset(&paths)
                    .map_err(|exit| exit.about(&format!("the rules of {}", source.path)))?;
                // Other rules than its own may well have other names.
                if args.rules.is_empty() {
                    faults.extend(scenario.against(&rules));
                }
                cases.push(Case { path: source.path.clone(), scenario, rules });
            }
            Err(more) => faults.extend(more),
        }
    }
    if faults.is_empty() { Ok(cases) } else { Err(refuse(&faults)) }
}

/// Scenario files; of a directory those that lie in it, not those below.
fn files(paths: &[PathBuf]) -> Result<Vec<Arc<Source>>, Exit> {
    let mut found = vec![];
    for path in paths {
        if path.is_dir() {
            let read = std::fs::read_dir(path).map_err(|error| unreadable(path, &error))?;
            let mut inside: Vec<PathBuf> =
                read.filter_map(|entry| Some(entry.ok()?.path())).collect();
            inside.retain(|path| path.extension().is_some_and(|of| of == "yaml" || of == "yml"));
            inside.sort();
            found.extend(inside);
        } else {
            found.push(path.clone());
        }
    }
    if found.is_empty() {
        return Err(Exit::Usage("there is no scenario: a scenario is a YAML file".into()));
    }
    let source = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
        Ok(Arc::new(Source { path: path.display().to_string(), text }))
    };
    found.iter().map(source).collect()
}

fn unreadable(path: &Path, error: &std::io::Error) -> Exit {
    Exit::Usage(format!("cannot read {}: {error}", path.display()))
}

pub(super) fn ruleset(paths: &[PathBuf]) -> Result<Arc<Ruleset>, Exit> {
    rulesets::load(paths)?.map(Arc::new).map_err(|faults| refuse(&faults))
}

fn refuse(faults: &[Diagnostic]) -> Exit {
    for fault in faults {
        words::say(&format!("{}\n", fault.render(words::colour())));
    }
    let many =
        if faults.len() == 1 { "one fault".to_owned() } else { format!("{} faults", faults.len()) };
    Exit::Usage(format!("{many}; nothing was played"))
}
