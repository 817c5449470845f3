//! Rules: from files to a checked, indexed [`Ruleset`]. All faults at once, each with its place and a hint.
//!
//! `yaml` reads text into a tree with places, `walk` reads mappings against the tables of `shape`,
//! `file`, `rule`, `words`, `hours`, `guard`, `steps`, `people`, `rota`, `profiles`, `capacity`, `schedules` turn them
//! into values, `condition` checks and compiles CEL, `lint` and `policy` look at rules as a whole, `index` finds those that an event may match. `fmt`
//! gives files their form, `import` reads other tools' rules. The tests of rule files are the simulator's.
//! Pure: files are read by the caller. May import: `model`, `calendar`.

mod capacity;
mod condition;
mod diagnostic;
mod file;
mod fmt;
mod guard;
mod hours;
mod import;
mod index;
mod lint;
mod names;
mod people;
mod policy;
mod profiles;
mod rota;
mod rule;
mod schedules;
mod shape;
mod steps;
mod walk;
mod words;
mod yaml;

pub use crate::calendar::{Hours, allowed};
pub use condition::{Clause, Condition, Facts, Miss};
pub(crate) use diagnostic::suggest;
pub use diagnostic::{Code, Diagnostic, Place, Source};
pub use file::load;
pub use fmt::{Unformatted, format};
pub use guard::{Guard, Limits, Per, Rate};
pub use import::{Foreign, Imported, import};
pub use index::Role;
pub use people::SecretRef;
pub use policy::{Policy, load_under};
pub use rule::{Deadline, Once, Rule, Throttle};
pub use shape::json_schema;
pub use words::{Absent, Burst, By, ByWhen, Count, Hold, Other, Sequence, Sticky, Words};

/// Reading YAML with places and tables of keys: what the configuration file is read with, too.
pub(crate) mod reading {
    pub(crate) use super::shape::{Of, Shape, key, must, schema_of};
    pub(crate) use super::walk::{Entries, Faults, json, pairs, text};
    pub(crate) use super::yaml::{Key, Kind, Node, parse};
}

/// A rule file as JSON, its values as they look: what an editor's validator sees.
///
/// # Errors
/// Where it is no YAML.
pub fn as_json(source: &std::sync::Arc<Source>) -> Result<serde_json::Value, Vec<Diagnostic>> {
    let mut faults = vec![];
    let documents = yaml::parse(source, &mut faults);
    match documents.first() {
        Some(document) if faults.is_empty() => Ok(walk::json(document)),
        _ => Err(faults),
    }
}

use crate::model::{Directory, Id, Schedule};
use index::Index;
use std::{collections::BTreeMap, sync::Arc};

/// Everything that the rule files say, checked and ready to use. Immutable: a reload makes a new one.
#[derive(Debug, Clone, Default)]
pub struct Ruleset {
    pub rules: Vec<Rule>,
    pub guards: BTreeMap<String, Guard>,
    pub directory: Directory,
    /// In the order of the files.
    pub schedules: Arc<Vec<Schedule>>,
    index: Index,
    names: BTreeMap<String, usize>,
    lateness: crate::model::Span,
    /// The tests, as they are written: the simulator reads them.
    pub(crate) tests: Vec<reading::Node>,
    /// Hash of the files: which rules decided.
    pub version: Option<Id>,
    /// Worth saying, though the rules can be used.
    pub warnings: Vec<Diagnostic>,
}

impl Ruleset {
    fn new(rules: Vec<Rule>, guards: BTreeMap<String, Guard>, directory: Directory) -> Ruleset {
        let index = Index::new(&rules);
        let names = rules.iter().enumerate().map(|(at, rule)| (rule.name.clone(), at)).collect();
        let looks_back = rules.iter().filter(|rule| rule.looks_back());
        let lateness = looks_back.map(|rule| rule.words.lateness).max().unwrap_or_default();
        Ruleset {
            rules,
            guards,
            directory,
            schedules: Arc::default(),
            index,
            names,
            lateness,
            tests: vec![],
            version: None,
            warnings: vec![],
        }
    }

    /// The same rules, none bolder than `mode`.
    pub fn at_most(mut self, mode: crate::model::Mode) -> Ruleset {
        for rule in &mut self.rules {
            rule.mode = rule.mode.min(mode);
        }
        self
    }

    /// The same, with other rules.
    pub fn with_rules(&self, change: impl FnOnce(&mut Vec<Rule>)) -> Ruleset {
        let mut rules = self.rules.clone();
        change(&mut rules);
        let version = self.version.clone();
        let fresh = Ruleset::new(rules, self.guards.clone(), self.directory.clone());
        Ruleset { version, schedules: Arc::clone(&self.schedules), ..fresh }
    }

    /// Whether any rule waits for events of that type.
    pub fn hears(&self, kind: &str) -> bool {
        let is = |when: &[String]| when.iter().any(|it| it == kind);
        self.rules.iter().any(|rule| {
            let (sequence, absent) = (rule.words.sequence.as_ref(), rule.words.absent.as_ref());
            is(&rule.when)
                || sequence.is_some_and(|it| it.then.iter().any(|other| is(&other.when)))
                || absent.and_then(|it| it.other.as_ref()).is_some_and(|other| is(&other.when))
        })
    }

    pub fn named(&self, name: &str) -> Option<&Rule> {
        self.names.get(name).and_then(|at| self.rules.get(*at))
    }

    /// By how much an event may be late at most, over all rules that look back.
    pub fn lateness(&self) -> crate::model::Span {
        self.lateness
    }

    /// The rules that the event may match, in file order, and as what they hear it.
    pub fn candidates(&self, facts: &Facts<'_>) -> impl Iterator<Item = (&Rule, Role)> {
        self.index
            .find(facts)
            .into_iter()
            .filter_map(|(at, role)| Some((self.rules.get(at)?, role)))
    }
}
