//! A scenario: the world, what happens when, and what must be true. Read from YAML, or drawn from a seed.

mod cluster;
mod expect;
mod read;
mod sane;
mod script;
mod shape;

/// The keys of a scenario, for whatever is read like one.
pub(super) mod shapes {
    pub(in crate::simulation) use super::shape::{CLOUD, CLUSTER, PERSON, ROUTE, STEP};
}

mod steps;

pub use expect::{Bound, Expectation, Fact, Filter, When};
pub use read::load;
pub(super) use read::world as read_world;
pub use script::{Deed, Pick, Step, Tool};

use super::alertmanager::Route;
use super::faults::Rates;
use super::queue::Manners;
use super::world::{App, Backups, Offer, Pool};
use crate::model::Mode;
use crate::rules::{Code, Diagnostic, Ruleset};
use jiff::Timestamp;
use std::time::Duration;

#[derive(Debug, Clone)]
pub struct Scenario {
    pub name: String,
    pub about: String,
    pub seed: u64,
    pub begins: Timestamp,
    pub lasts: Duration,
    /// Files or directories of rules, as the scenario names them: from where the scenario stands.
    pub rules: Vec<String>,
    pub mode: Mode,
    pub pools: Vec<Pool>,
    pub apps: Vec<App>,
    pub offers: Vec<Offer>,
    /// Checkpoints that the storage writes at full speed at the same time.
    pub writers: Option<usize>,
    pub backups: Backups,
    pub route: Route,
    pub manners: Manners,
    pub people: Vec<Person>,
    pub daemon: Daemon,
    pub rates: Rates,
    pub happens: Vec<Step>,
    pub expect: Vec<Expectation>,
    pub never: Vec<Expectation>,
}

impl Scenario {
    /// Rules and contacts that it names and these rules do not have: such an expectation says nothing.
    pub fn against(&self, rules: &Ruleset) -> Vec<Diagnostic> {
        let mut faults = vec![];
        for one in self.expect.iter().chain(&self.never) {
            let rule = one.filter.rule.as_ref();
            if let Some(name) = rule.filter(|name| rules.rules.iter().all(|it| it.name != **name)) {
                let message = format!("there is no rule `{name}`");
                faults.push(Diagnostic::new(Code::UnknownName, one.place.clone(), message));
            }
            let to = one.filter.to.as_ref();
            if let Some(name) = to.filter(|name| !rules.directory.contacts.contains_key(*name)) {
                let message = format!("there is no contact `{name}`");
                faults.push(Diagnostic::new(Code::UnknownName, one.place.clone(), message));
            }
        }
        faults
    }
}

/// The JSON Schema of scenario files, for editors.
pub fn json_schema() -> serde_json::Value {
    crate::rules::reading::schema_of(&shape::SCENARIO, "Medevac scenario")
}

/// What somebody does who is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    pub contact: String,
    pub after: Duration,
    pub does: Reaction,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reaction {
    Acknowledges,
    Resolves,
}

/// How the daemon runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Daemon {
    pub replicas: usize,
    /// After it died, it is up again so much later.
    pub restarts_in: Duration,
    /// The app that it runs as, where it runs in the cluster itself.
    pub app: Option<(String, String)>,
}

impl Default for Daemon {
    fn default() -> Self {
        Daemon { replicas: 1, restarts_in: Duration::from_secs(2), app: None }
    }
}

impl Scenario {
    /// A cluster for whoever needs any: three nodes of one pool.
    pub(super) fn three_nodes() -> Vec<Pool> {
        vec![cluster::plain_pool("node", 3)]
    }
}

impl Default for Scenario {
    fn default() -> Self {
        Scenario {
            name: String::new(),
            about: String::new(),
            seed: 1,
            begins: "2026-03-02T09:00:00Z".parse().unwrap_or_default(),
            lasts: Duration::from_secs(1800),
            rules: vec![],
            mode: Mode::Enforce,
            pools: vec![],
            apps: vec![],
            offers: vec![],
            writers: None,
            backups: Backups::default(),
            route: Route::default(),
            manners: Manners::default(),
            people: vec![],
            daemon: Daemon::default(),
            rates: Rates::default(),
            happens: vec![],
            expect: vec![],
            never: vec![],
        }
    }
}
