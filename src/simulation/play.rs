//! One run: a scenario, a seed and the faults, played to the end and judged.

use super::alertmanager::{Alertmanager, Heard};
use super::crew::Crew;
use super::faults::{Faults, Mishap, Rates, Source};
use super::invariants::{Invariants, Violation};
use super::judge::{Judge, Verdict};
use super::ledger::Ledger;
use super::people;
use super::queue::Queue;
use super::scenario::Scenario;
use super::script::Player;
use super::service::Service;
use super::stage::Stage;
use super::tape::Line;
use super::time::Virtual;
use super::world::World;
use crate::clock::Clock;
use crate::model::PageKey;
use crate::rules::Ruleset;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{sync::mpsc, task::JoinSet};

/// How a scenario is to be played.
#[derive(Debug, Clone, Default)]
pub struct Orders {
    /// Instead of the scenario's own.
    pub seed: Option<u64>,
    /// Instead of what the scenario draws.
    pub mishaps: Option<Source>,
    /// Things that happen, by their place in the scenario, which are left out.
    pub without: BTreeSet<usize>,
    /// No transcript is kept.
    pub silent: bool,
    /// The ledger keeps every event, with its time.
    pub keep_events: bool,
}

/// What came of it.
#[derive(Debug, Clone)]
pub struct Report {
    pub scenario: String,
    pub seed: u64,
    pub verdicts: Vec<Verdict>,
    pub violations: Vec<Violation>,
    pub lines: Vec<Line>,
    /// Calls to the outside, and what went wrong with which.
    pub calls: u64,
    pub mishaps: BTreeMap<u64, Mishap>,
    pub ledger: Ledger,
    pub world: World,
    pub begins: jiff::Timestamp,
    /// Virtual time that passed.
    pub lasted: Duration,
}

impl Report {
    pub fn good(&self) -> bool {
        self.violations.is_empty() && self.verdicts.iter().all(|verdict| verdict.held)
    }

    /// The transcript as text.
    pub fn transcript(&self) -> String {
        self.lines.iter().map(|line| format!("{line}\n")).collect()
    }
}

/// After an invariant was broken the run goes on for so long, for the transcript.
const AFTERMATH: Duration = Duration::from_secs(10);
/// After the end everything is mended; then it has so long to come to rest.
const REST: Duration = Duration::from_secs(4 * 3600);
/// What is said to be at rest has been so for that long.
const QUIET: Duration = Duration::from_secs(90);

/// Plays a scenario with these rules.
///
/// # Panics
/// Where the machine cannot give a runtime.
pub fn play(scenario: &Scenario, rules: &Arc<Ruleset>, orders: &Orders) -> Report {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    match runtime {
        Ok(runtime) => runtime.block_on(run(scenario, rules, orders)),
        Err(error) => panic!("no runtime: {error}"),
    }
}

/// The world of a scenario, before anything has happened.
fn world_of(scenario: &Scenario) -> World {
    let mut world = World::new(scenario.begins);
    for offer in &scenario.offers {
        world.offer(offer.clone());
    }
    world.keeps_backups(scenario.backups.clone());
    if let Some(writers) = scenario.writers {
        world.storage(writers);
    }
    for pool in &scenario.pools {
        world.add_pool(pool.clone());
    }
    let own = |app: &super::world::App| {
        scenario
            .daemon
            .app
            .as_ref()
            .is_some_and(|(space, name)| *space == app.namespace && *name == app.name)
    };
    for app in &scenario.apps {
        world.add_app(super::world::App { own: own(app), ..app.clone() });
    }
    world.begin_running();
    world
}

async fn run(scenario: &Scenario, rules: &Arc<Ruleset>, orders: &Orders) -> Report {
    let seed = orders.seed.unwrap_or(scenario.seed);
    let rules = Arc::new((**rules).clone().at_most(scenario.mode));
    let drawn = match &scenario.rates {
        Rates(rates) if rates.is_empty() => Source::None,
        rates => Source::Drawn(rates.clone()),
    };
    let faults = Faults::new(seed, orders.mishaps.clone().unwrap_or(drawn), vec![]);
    let time = Virtual::begin(scenario.begins);
    let invariants = Invariants::new(Arc::clone(&rules), scenario.mode);
    let (rung, rings) = mpsc::unbounded_channel();
    let (echoed, echoes) = mpsc::unbounded_channel();
    let stage = Stage::new(time, world_of(scenario), faults, invariants, rung, echoed);
    stage.tape().off = orders.silent;
    stage.invariants().ledger.kept = orders.keep_events.then(Vec::new);
    let judge = Arc::new(Mutex::new(Judge::new(scenario)));
    let (crew, mut tasks) = cast(scenario, orders, seed, &stage, rules, (rings, echoes));
    tasks.spawn(Judge::run(Arc::clone(&judge), Arc::clone(&stage)));
    tokio::select! {
        biased;
        () = stage.broken.notified() => time.after(AFTERMATH).await,
        () = time.until(scenario.begins.checked_add(scenario.lasts).ok()) => {}
    }
    let verdicts = {
        let mut judge = judge.lock().unwrap_or_else(PoisonError::into_inner);
        judge.look(&stage, true);
        judge.verdicts()
    };
    let lasted = time.steady();
    let (world, ledger) = (stage.world().clone(), stage.invariants().ledger.clone());
    if stage.invariants().violations.is_empty() {
        rest(&stage, &crew).await;
        let now = time.now();
        stage.invariants().settled(&stage.store(), now);
    }
    tasks.shutdown().await;
    let (store, faults) = (stage.store(), stage.faults());
    Report {
        scenario: scenario.name.clone(),
        seed,
        verdicts,
        violations: stage.invariants().violations.clone(),
        lines: stage.tape().lines(&store, scenario.begins),
        calls: faults.calls(),
        mishaps: faults.happened.clone(),
        ledger,
        world,
        begins: scenario.begins,
        lasted,
    }
}

/// Everybody who acts in it: the daemons, the world, and all the others.
fn cast(
    scenario: &Scenario,
    orders: &Orders,
    seed: u64,
    stage: &Arc<Stage>,
    rules: Arc<Ruleset>,
    (rings, echoes): (mpsc::UnboundedReceiver<PageKey>, mpsc::UnboundedReceiver<Value>),
) -> (Arc<Mutex<Crew>>, JoinSet<()>) {
    let service = Service::new(Arc::clone(stage));
    let (tells, inbox) = mpsc::unbounded_channel::<Heard>();
    let queue = Queue::new(stage.time, scenario.manners.clone(), seed);
    let alertmanager = Alertmanager::new(service.clone(), scenario.route.clone(), inbox);
    let daemon = scenario.daemon.clone();
    let mut crew = Crew::new(Arc::clone(stage), service.clone(), queue.clone(), rules, daemon);
    crew.start_all();
    let crew = Arc::new(Mutex::new(crew));
    let player = Player {
        stage: Arc::clone(stage),
        service: service.clone(),
        queue,
        tells,
        crew: Arc::clone(&crew),
    };
    let mut tasks = JoinSet::new();
    tasks.spawn(Arc::clone(stage).turn());
    tasks.spawn(tend(Arc::clone(stage), Arc::clone(&crew)));
    tasks.spawn(alertmanager.run());
    tasks.spawn(people::run(service, scenario.people.clone(), rings));
    tasks.spawn(player.clone().carry(echoes));
    tasks.spawn(player.run(scenario.happens.clone(), orders.without.clone(), scenario.begins));
    (crew, tasks)
}

/// Looks after the daemons for as long as it is polled.
async fn tend(stage: Arc<Stage>, crew: Arc<Mutex<Crew>>) {
    loop {
        let (next, within) = {
            let mut crew = crew.lock().unwrap_or_else(PoisonError::into_inner);
            (crew.tend(), crew.lives_in_the_cluster())
        };
        tokio::select! {
            biased;
            () = stage.died.notified() => {}
            () = stage.seen.notified(), if within => {}
            () = stage.time.until(next) => {}
        }
    }
}

/// Mends everything, and waits until nothing is under way.
async fn rest(stage: &Arc<Stage>, crew: &Arc<Mutex<Crew>>) {
    stage.faults().heal();
    crew.lock().unwrap_or_else(PoisonError::into_inner).heal();
    stage.thaw();
    let end = stage.time.now().checked_add(REST).unwrap_or_default();
    while stage.time.now() < end {
        stage.time.after(QUIET).await;
        if !stage.invariants().busy() {
            break;
        }
    }
    stage.time.after(QUIET).await;
}
