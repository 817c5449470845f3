//! From a scenario file to a scenario, or to all its faults.

use super::super::alertmanager::Route;
use super::super::faults::{Mishap, Rates};
use super::super::queue::Manners;
use super::super::world::{App, Pool};
use super::cluster::{app, offer, pool};
use super::{Daemon, Person, Reaction, Scenario, When, expect, script, shape, steps};
use crate::model::Mode;
use crate::rules::reading::{Entries, Faults, Node, pairs, parse, text};
use crate::rules::{Code, Diagnostic, Source};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// Reads one scenario.
///
/// # Errors
/// Every fault of the file.
pub fn load(source: &Arc<Source>) -> Result<Scenario, Vec<Diagnostic>> {
    let mut faults = Faults::default();
    let documents = parse(source, &mut faults.0);
    let scenario = documents.first().and_then(|document| scenario(document, source, &mut faults));
    match scenario {
        Some(scenario) if faults.0.is_empty() => {
            let place = crate::rules::Place { source: Arc::clone(source), span: 0..0 };
            bounded(&scenario, &place, &mut faults);
            consistent(&scenario, &mut faults);
            names(&scenario, &place, &mut faults);
            if faults.0.is_empty() { Ok(scenario) } else { Err(faults.0) }
        }
        _ => {
            if faults.0.is_empty() {
                let place = crate::rules::Place { source: Arc::clone(source), span: 0..0 };
                faults.add(Code::MissingKey, &place, "the file is empty; a scenario is wanted");
            }
            faults.0.sort_by_key(|fault| fault.place.span.start);
            Err(faults.0)
        }
    }
}

fn scenario(node: &Node, source: &Source, faults: &mut Faults) -> Option<Scenario> {
    let entries = Entries::of(node, &shape::SCENARIO, faults)?;
    let file = source.path.rsplit('/').next().unwrap_or_default();
    let called = file.trim_end_matches(".yaml").trim_end_matches(".yml").to_owned();
    let fresh = Scenario::default();
    let begins = entries.get("begins").and_then(|node| {
        let parsed = text(node, faults)?.parse().ok();
        if parsed.is_none() {
            faults.add(Code::BadValue, &node.place, "this is no time").hint =
                Some("write for example 2026-03-02T09:00:00Z".into());
        }
        parsed
    });
    let cluster = entries.get("cluster").and_then(|it| Entries::of(it, &shape::CLUSTER, faults));
    let pools: Vec<Pool> = cluster
        .iter()
        .flat_map(|it| it.list("pools", faults))
        .collect::<Vec<_>>()
        .into_iter()
        .filter_map(|node| pool(node, faults))
        .collect();
    let names: Vec<&str> = pools.iter().map(|pool| pool.name.as_str()).collect();
    let nodes: Vec<&Node> = cluster.iter().flat_map(|it| it.list("apps", faults)).collect();
    let apps: Vec<App> = nodes.into_iter().filter_map(|node| app(node, &names, faults)).collect();
    let cloud = entries.get("cloud").and_then(|node| Entries::of(node, &shape::CLOUD, faults));
    let offers: Vec<&Node> = cloud.iter().flat_map(|it| it.list("capacity", faults)).collect();
    let modes = [("enforce", Mode::Enforce), ("observe", Mode::Observe)];
    let stage = steps::Stage { pools: &pools, apps: &apps };
    Some(Scenario {
        name: entries.text("name", faults).unwrap_or(called),
        about: entries.text("about", faults).unwrap_or_default(),
        seed: entries.number("seed", faults).map_or(fresh.seed, u64::from),
        begins: begins.unwrap_or(fresh.begins),
        lasts: entries.span("lasts", faults).map_or(fresh.lasts, |span| span.0),
        rules: entries.texts("rules", faults).into_iter().map(|(path, _)| path).collect(),
        mode: word(&entries, "mode", &modes, faults).unwrap_or(fresh.mode),
        offers: offers.into_iter().filter_map(|node| offer(node, faults)).collect(),
        writers: cluster
            .as_ref()
            .and_then(|it| it.number("storage_writers", faults))
            .and_then(|number| usize::try_from(number).ok()),
        route: entries.get("alertmanager").map_or(fresh.route, |node| route(node, faults)),
        manners: entries.get("queue").map_or(fresh.manners, |node| manners(node, faults)),
        people: entries.list("people", faults).iter().filter_map(|it| person(it, faults)).collect(),
        daemon: entries.get("daemon").map_or(fresh.daemon, |node| daemon(node, faults)),
        rates: entries.get("faults").map_or(fresh.rates, |node| rates(node, faults)),
        happens: entries
            .list("happens", faults)
            .iter()
            .filter_map(|node| steps::step(node, &stage, faults))
            .collect(),
        expect: expectations(&entries, "expect", faults),
        never: expectations(&entries, "never", faults),
        pools,
        apps,
    })
}

/// Names that stand twice, or for nothing.
fn names(scenario: &Scenario, place: &crate::rules::Place, faults: &mut Faults) {
    let pools = scenario.pools.iter().map(|pool| ("pool", pool.name.clone()));
    let apps = scenario.apps.iter().map(|app| ("app", format!("{}/{}", app.namespace, app.name)));
    let mut seen = std::collections::BTreeSet::new();
    for (what, name) in pools.chain(apps) {
        if !seen.insert((what, name.clone())) {
            faults.add(Code::Duplicate, place, format!("another {what} is called `{name}`"));
        }
    }
    if let Some((space, name)) = &scenario.daemon.app
        && !seen.contains(&("app", format!("{space}/{name}")))
    {
        let message = format!("the daemon is to run as `{space}/{name}`, and there is no such app");
        faults.add(Code::UnknownName, place, message);
    }
    for step in &scenario.happens {
        if let Some(replica) = step.deed.replica().filter(|one| *one >= scenario.daemon.replicas) {
            let message = format!(
                "there is no daemon {replica}: they are counted from 0, and there are {}",
                scenario.daemon.replicas
            );
            faults.add(Code::UnknownName, place, message);
        }
    }
    let span = scenario.lasts + Duration::from_secs(86_400);
    if scenario.begins.checked_add(span).is_err() {
        faults.add(Code::BadValue, place, "it would end after the end of the calendar");
    }
}

/// What a machine with some gigabytes can hold; what goes beyond is a slip of the keyboard.
const MOST_NODES: u64 = 100_000;
const MOST_PODS: u64 = 2_000_000;
const MOST_STEPS: u64 = 1_000_000;
const LONGEST: Duration = Duration::from_secs(366 * 86_400);

/// What is said of the scenario as a whole: moments after its end, names that nothing has, names twice.
fn consistent(scenario: &Scenario, faults: &mut Faults) {
    let end = crate::model::Span(scenario.lasts);
    for one in scenario.expect.iter().chain(&scenario.never) {
        if let When::At(at) | When::By(at) = one.when
            && at > scenario.lasts
        {
            let message = format!("the run is over after {end}: nobody looks at that moment");
            faults.add(Code::BadValue, &one.place, message).hint =
                Some("`lasts` is how long it is".into());
        }
        let known = |name: &String| {
            scenario.apps.iter().any(|app| format!("{}/{}", app.namespace, app.name) == *name)
        };
        if let Some(name) = one.filter.app.as_ref().filter(|name| !known(name)) {
            faults.add(Code::UnknownName, &one.place, format!("there is no app `{name}`"));
        }
        let known = |name: &String| scenario.pools.iter().any(|pool| pool.name == *name);
        if let Some(name) = one.filter.pool.as_ref().filter(|name| !known(name)) {
            faults.add(Code::UnknownName, &one.place, format!("there is no pool `{name}`"));
        }
    }
}

/// Whether all of it together is of a size that can be played.
fn bounded(scenario: &Scenario, place: &crate::rules::Place, faults: &mut Faults) {
    let nodes: u64 = scenario.pools.iter().map(|pool| u64::from(pool.nodes)).sum();
    let pods: u64 = scenario.apps.iter().map(|app| u64::from(app.replicas)).sum();
    let steps: u64 = scenario.happens.iter().map(script::Step::size).sum();
    let sums = [
        (nodes, MOST_NODES, "nodes"),
        (pods, MOST_PODS, "pods"),
        (steps, MOST_STEPS, "things that happen"),
        (scenario.lasts.as_secs(), LONGEST.as_secs(), "seconds"),
    ];
    for (sum, most, what) in sums.into_iter().filter(|(sum, most, _)| sum > most) {
        let message = format!("{sum} {what} are more than can be played; {most} at most");
        faults.add(Code::TooLarge, place, message);
    }
}

fn expectations(entries: &Entries<'_>, key: &str, faults: &mut Faults) -> Vec<super::Expectation> {
    let nodes = entries.list(key, faults);
    nodes.iter().filter_map(|node| expect::expectation(node, faults)).collect()
}

/// One of a few words.
pub(super) fn word<T: Copy>(
    entries: &Entries<'_>,
    key: &str,
    known: &[(&'static str, T)],
    faults: &mut Faults,
) -> Option<T> {
    let node = entries.get(key)?;
    let given = text(node, faults)?;
    let found = known.iter().find(|(name, _)| *name == given).map(|(_, value)| *value);
    if found.is_none() {
        let all: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        let fault = faults.add(Code::BadValue, &node.place, format!("`{given}` is not known here"));
        fault.hint = Some(format!("one of {}", all.join(", ")));
    }
    found
}

pub(super) fn labels(
    entries: &Entries<'_>,
    key: &str,
    faults: &mut Faults,
) -> BTreeMap<String, String> {
    let Some(node) = entries.get(key) else { return BTreeMap::new() };
    let pairs = pairs(node, faults);
    let pair = |(key, value): (&crate::rules::reading::Key, &Node)| {
        Some((key.text.clone(), text(value, faults)?.to_owned()))
    };
    pairs.into_iter().filter_map(pair).collect()
}

/// `namespace/name`
pub(super) fn full_name(
    entries: &Entries<'_>,
    key: &str,
    faults: &mut Faults,
) -> Option<(String, String)> {
    let node = entries.get(key)?;
    let given = text(node, faults)?;
    let parts = given.split_once('/').filter(|(space, name)| !space.is_empty() && !name.is_empty());
    if parts.is_none() {
        let fault = faults.add(Code::BadValue, &node.place, format!("`{given}` names no app"));
        fault.hint = Some("write namespace/name".into());
    }
    parts.map(|(space, name)| (space.to_owned(), name.to_owned()))
}

/// `2.5%`, in a thousand.
pub(super) fn permille(entries: &Entries<'_>, key: &str, faults: &mut Faults) -> Option<u32> {
    let node = entries.get(key)?;
    let given = text(node, faults)?;
    let share: Option<f64> = given.strip_suffix('%').and_then(|number| number.trim().parse().ok());
    let share = share.filter(|share| (0.0..=100.0).contains(share));
    if share.is_none() {
        let fault = faults.add(Code::BadValue, &node.place, format!("`{given}` is not a share"));
        fault.hint = Some("write a percentage, for example 2%".into());
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 1000")]
    share.map(|share| (share * 10.0).round() as u32)
}

fn route(node: &Node, faults: &mut Faults) -> Route {
    let fresh = Route::default();
    let Some(entries) = Entries::of(node, &shape::ROUTE, faults) else { return fresh };
    let by: Vec<String> =
        entries.texts("group_by", faults).into_iter().map(|(label, _)| label).collect();
    let mut span = |key, default| entries.span(key, faults).map_or(default, |span| span.0);
    Route {
        group_wait: span("group_wait", fresh.group_wait),
        group_interval: span("group_interval", fresh.group_interval),
        repeat_interval: span("repeat_interval", fresh.repeat_interval),
        twin: entries.span("twin", faults).map(|span| span.0),
        group_by: if by.is_empty() { fresh.group_by } else { by },
    }
}

fn manners(node: &Node, faults: &mut Faults) -> Manners {
    let fresh = Manners::default();
    let Some(entries) = Entries::of(node, &shape::QUEUE, faults) else { return fresh };
    Manners {
        visibility: entries.span("visibility", faults).map_or(fresh.visibility, |span| span.0),
        delay: entries.span("delay", faults).map_or(fresh.delay, |span| span.0),
        duplicates: permille(&entries, "duplicates", faults).unwrap_or(0),
        disorder: entries.boolean("disorder", faults).unwrap_or(false),
    }
}

fn person(node: &Node, faults: &mut Faults) -> Option<Person> {
    let entries = Entries::of(node, &shape::PERSON, faults)?;
    let does = [("acknowledges", Reaction::Acknowledges), ("resolves", Reaction::Resolves)];
    Some(Person {
        contact: entries.text("contact", faults)?,
        after: entries.span("after", faults).map_or(Duration::from_secs(120), |span| span.0),
        does: word(&entries, "does", &does, faults)?,
    })
}

fn daemon(node: &Node, faults: &mut Faults) -> Daemon {
    let fresh = Daemon::default();
    let Some(entries) = Entries::of(node, &shape::DAEMON, faults) else { return fresh };
    let replicas = entries.number("replicas", faults).unwrap_or(1);
    if !(1..=9).contains(&replicas) {
        faults.add(Code::BadValue, entries.place(), "there are one to nine replicas");
    }
    Daemon {
        replicas: usize::try_from(replicas).unwrap_or(1),
        restarts_in: entries.span("restarts_in", faults).map_or(fresh.restarts_in, |span| span.0),
        app: full_name(&entries, "app", faults),
    }
}

fn rates(node: &Node, faults: &mut Faults) -> Rates {
    let Some(entries) = Entries::of(node, &shape::RATES, faults) else { return Rates::default() };
    let rate = |(name, mishap): &(&'static str, Mishap)| {
        Some((*mishap, permille(&entries, name, faults)?))
    };
    Rates(Mishap::ALL.iter().filter_map(rate).collect())
}
