//! From a scenario file to a scenario, or to all its faults.

use super::super::alertmanager::Route;
use super::super::faults::{Mishap, Rates};
use super::super::queue::Manners;
use super::super::world::{App, Pool};
use super::cluster::{app, backups, offer, pool};
use super::sane::{bounded, consistent, names};
use super::{Daemon, Person, Reaction, Scenario, Step, expect, shape, steps};
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
    let name = entries.text("name", faults).unwrap_or(called);
    let world = world(&entries, name, faults);
    Some(Scenario {
        about: entries.text("about", faults).unwrap_or_default(),
        rules: entries.texts("rules", faults).into_iter().map(|(path, _)| path).collect(),
        expect: expectations(&entries, "expect", faults),
        never: expectations(&entries, "never", faults),
        ..world
    })
}

/// The world and what happens in it: all but the rules and what is expected of them.
pub(in crate::simulation) fn world(
    entries: &Entries<'_>,
    name: String,
    faults: &mut Faults,
) -> Scenario {
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
    let nodes = ["happens", "events"].map(|key| entries.list(key, faults));
    let stage = steps::Stage { pools: &pools, apps: &apps };
    let happens: Vec<Step> =
        nodes.into_iter().flatten().filter_map(|node| steps::step(node, &stage, faults)).collect();
    Scenario {
        name,
        happens,
        seed: entries.number("seed", faults).map_or(fresh.seed, u64::from),
        begins: begins.unwrap_or(fresh.begins),
        lasts: entries.span("lasts", faults).map_or(fresh.lasts, |span| span.0),
        mode: word(entries, "mode", &modes, faults).unwrap_or(fresh.mode),
        offers: offers.into_iter().filter_map(|node| offer(node, faults)).collect(),
        writers: cluster
            .as_ref()
            .and_then(|it| it.number("storage_writers", faults))
            .and_then(|number| usize::try_from(number).ok()),
        backups: cluster
            .as_ref()
            .and_then(|it| it.get("backups"))
            .and_then(|node| backups(node, faults))
            .unwrap_or(fresh.backups),
        route: entries.get("alertmanager").map_or(fresh.route, |node| route(node, faults)),
        manners: entries.get("queue").map_or(fresh.manners, |node| manners(node, faults)),
        people: entries.list("people", faults).iter().filter_map(|it| person(it, faults)).collect(),
        daemon: entries.get("daemon").map_or(fresh.daemon, |node| daemon(node, faults)),
        rates: entries.get("faults").map_or(fresh.rates, |node| rates(node, faults)),
        pools,
        apps,
        ..fresh
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
