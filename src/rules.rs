//! Rules: from files to a checked, indexed [`Ruleset`]. All faults at once, each with its place and a hint.
//!
//! `yaml` reads text into a tree with places, `walk` reads mappings against the tables of `shape`,
//! `file`, `rule`, `guard`, `steps`, `people` turn them into values, `condition` checks and compiles CEL.
//! Time words, rule tests, explain and replay will have files of their own beside these.
//! Pure: files are read by the caller. May import: `model`.

mod condition;
mod diagnostic;
mod file;
mod guard;
mod people;
mod rule;
mod shape;
mod steps;
mod walk;
mod yaml;

pub use condition::{Condition, Facts, Miss};
pub use diagnostic::{Code, Diagnostic, Place, Source};
pub use file::load;
pub use guard::{Guard, Limits, Per, Rate};
pub use people::SecretRef;
pub use rule::{Deadline, Rule, Throttle};
pub use shape::json_schema;

/// Reading YAML with places and tables of keys: what the configuration file is read with, too.
pub(crate) mod reading {
    pub(crate) use super::shape::{Of, Shape, key, must, schema_of};
    pub(crate) use super::walk::{Entries, Faults, pairs, text};
    pub(crate) use super::yaml::{Key, Node, parse};
}

use crate::model::{Directory, Id};
use std::collections::BTreeMap;

/// Everything that the rule files say, checked and ready to use. Immutable: a reload makes a new one.
#[derive(Debug, Clone, Default)]
pub struct Ruleset {
    pub rules: Vec<Rule>,
    pub guards: BTreeMap<String, Guard>,
    pub directory: Directory,
    /// Event type to the rules that name it, in file order.
    index: BTreeMap<String, Vec<usize>>,
    /// Hash of the files: which rules decided.
    pub version: Option<Id>,
    /// Worth saying, though the rules can be used.
    pub warnings: Vec<Diagnostic>,
}

impl Ruleset {
    fn new(rules: Vec<Rule>, guards: BTreeMap<String, Guard>, directory: Directory) -> Ruleset {
        let mut index: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (at, rule) in rules.iter().enumerate() {
            for kind in &rule.when {
                index.entry(kind.clone()).or_default().push(at);
            }
        }
        Ruleset { rules, guards, directory, index, version: None, warnings: vec![] }
    }

    /// The same rules, none bolder than `mode`.
    pub fn at_most(mut self, mode: crate::model::Mode) -> Ruleset {
        for rule in &mut self.rules {
            rule.mode = rule.mode.min(mode);
        }
        self
    }

    /// The rules that an event of this type may match.
    pub fn candidates(&self, kind: &str) -> impl Iterator<Item = &Rule> {
        self.index.get(kind).into_iter().flatten().filter_map(|at| self.rules.get(*at))
    }
}
