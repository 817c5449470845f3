//! Tests of rules: what is given, what must come of it, and that nothing else does.
//!
//! A test is a small scenario: a cluster, events at offsets, people. It is played with calm weather, and every
//! remediation, every page, everything held back must be one that the test names. So an empty list of
//! expectations says that the rules keep silent.

mod coverage;
mod expect;
mod mutants;
mod read;
mod shape;

pub use coverage::{Coverage, Item};
pub use expect::{Happened, Wanted};
pub use mutants::{Mutant, mutants};
pub use read::load;

use super::play::{Orders, Report, play};
use super::scenario::{Deed, Scenario};
use crate::rules::{Place, Ruleset};
use std::sync::Arc;

/// One test of the rule files.
#[derive(Debug, Clone)]
pub struct Test {
    pub name: String,
    pub place: Place,
    pub scenario: Scenario,
    pub wanted: Vec<Wanted>,
}

/// What came of a test.
#[derive(Debug, Clone)]
pub struct Outcome {
    pub name: String,
    /// As one would write what was expected and did not happen.
    pub missing: Vec<String>,
    /// What happened and nobody expected.
    pub surplus: Vec<String>,
    /// Invariants that did not hold.
    pub broken: Vec<String>,
    pub coverage: Coverage,
}

impl Outcome {
    pub fn good(&self) -> bool {
        self.missing.is_empty() && self.surplus.is_empty() && self.broken.is_empty()
    }
}

impl Test {
    /// Reads the files that it posts as they are: `read` gives the text of a path as the test names it.
    ///
    /// # Errors
    /// What `read` says of the first file that it cannot read.
    pub fn fill(&mut self, read: impl Fn(&str) -> Result<String, String>) -> Result<(), String> {
        for step in &mut self.scenario.happens {
            if let Deed::Body { text, file, .. } = &mut step.deed
                && let Some(path) = file.take()
            {
                *text = read(&path)?;
            }
        }
        Ok(())
    }

    /// Whether it expects something of that rule.
    pub fn names(&self, rule: &str) -> bool {
        self.wanted.iter().any(|wanted| wanted.name == rule)
    }

    /// Plays it with these rules.
    pub fn run(&self, rules: &Arc<Ruleset>) -> Outcome {
        let orders = Orders { silent: true, keep_events: true, ..Orders::default() };
        let report = play(&self.scenario, rules, &orders);
        let happened = expect::happened(&report);
        let (missing, surplus) = expect::compare(&self.wanted, &happened, &report);
        Outcome {
            name: self.name.clone(),
            missing,
            surplus,
            broken: broken(&report),
            coverage: coverage::of(rules, &report),
        }
    }
}

fn broken(report: &Report) -> Vec<String> {
    report
        .violations
        .iter()
        .map(|broken| format!("{}: {}", broken.invariant, broken.text))
        .collect()
}

/// The JSON Schema of one test, for editors.
pub fn json_schema() -> serde_json::Value {
    let mut schema = crate::rules::reading::schema_of(&shape::TEST, "");
    if let Some(schema) = schema.as_object_mut() {
        schema.retain(|key, _| !key.starts_with('$') && key != "title");
    }
    schema
}
