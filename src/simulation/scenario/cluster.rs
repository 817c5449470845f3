//! Pools, apps and what the cloud has left, as a scenario file says them.

use super::super::world::{
    App, Asked, Backups, Budget, Checkpoint, Ends, Growth, Kind, Market, Offer, Pool,
};
use super::read::{full_name, labels, word};
use super::shape;
use crate::rules::Code;
use crate::rules::reading::{Entries, Faults, Node, text};
use std::time::Duration;

/// Where nothing else is said.
const INSTANCE: &str = "p4d.24xlarge";

fn number(entries: &Entries<'_>, key: &str, faults: &mut Faults) -> Option<f64> {
    let node = entries.get(key)?;
    let parsed: Option<f64> = text(node, faults)?.trim_start_matches('$').parse().ok();
    let parsed = parsed.filter(|number| number.is_finite() && *number >= 0.0);
    if parsed.is_none() {
        faults.add(Code::WrongType, &node.place, "expected a number");
    }
    parsed
}

pub(super) fn pool(node: &Node, faults: &mut Faults) -> Option<Pool> {
    let entries = Entries::of(node, &shape::POOL, faults)?;
    let zones: Vec<String> =
        entries.texts("zones", faults).into_iter().map(|(zone, _)| zone).collect();
    let grows = entries.get("grows").and_then(|node| {
        let entries = Entries::of(node, &shape::GROWS, faults)?;
        Some(Growth {
            most: entries.number("most", faults)?,
            boots_in: entries.span("boots_in", faults).map_or(Duration::from_secs(90), |it| it.0),
            market: word(&entries, "market", &Market::ALL, faults).unwrap_or_default(),
        })
    });
    let (name, nodes) = (entries.text("name", faults), entries.number("nodes", faults));
    let pool = Pool {
        zones: if zones.is_empty() { three() } else { zones },
        instance_type: entries.text("instance", faults).unwrap_or_else(|| INSTANCE.into()),
        market: word(&entries, "market", &Market::ALL, faults).unwrap_or_default(),
        slots: entries.number("slots", faults).unwrap_or(8),
        labels: labels(&entries, "labels", faults),
        annotations: labels(&entries, "annotations", faults),
        price: number(&entries, "price", faults).unwrap_or(10.0),
        grows,
        ..Pool::default()
    };
    Some(Pool { name: name?, nodes: nodes?, ..pool })
}

fn three() -> Vec<String> {
    ["a", "b", "c"].map(|letter| format!("eu-west-1{letter}")).to_vec()
}

/// A pool with nothing special about it.
pub(super) fn plain_pool(name: &str, nodes: u32) -> Pool {
    Pool {
        name: name.into(),
        nodes,
        zones: three(),
        instance_type: INSTANCE.into(),
        slots: 8,
        price: 10.0,
        ..Pool::default()
    }
}

pub(super) fn app(node: &Node, pools: &[&str], faults: &mut Faults) -> Option<App> {
    let entries = Entries::of(node, &shape::APP, faults)?;
    let full_name = full_name(&entries, "name", faults);
    let mut wanted = vec![];
    for (pool, place) in entries.texts("pools", faults) {
        if !pools.contains(&pool.as_str()) {
            let fault = faults.add(Code::UnknownName, place, format!("there is no pool `{pool}`"));
            fault.hint = Some(format!("there are: {}", pools.join(", ")));
        }
        wanted.push(pool);
    }
    if wanted.is_empty() {
        wanted.extend(pools.first().map(|pool| (*pool).to_owned()));
    }
    let span = |key, default: u64, faults: &mut Faults| {
        entries.span(key, faults).map_or(Duration::from_secs(default), |span| span.0)
    };
    let budgets = entries.list("budgets", faults);
    let app = App {
        kind: word(&entries, "kind", &Kind::ALL, faults).unwrap_or_default(),
        replicas: entries.number("replicas", faults).unwrap_or(1),
        pools: wanted,
        budgets: budgets.iter().filter_map(|node| budget(node, faults)).collect(),
        labels: labels(&entries, "labels", faults),
        annotations: labels(&entries, "annotations", faults),
        grace: entries.number("grace", faults).unwrap_or(30),
        starts_in: span("starts_in", 5, faults),
        stops_in: span("stops_in", 2, faults),
        works_for: span("works_for", 600, faults),
        checkpoint: entries.get("checkpoint").and_then(|node| checkpoint(node, faults)),
        ..App::default()
    };
    let (namespace, name) = full_name?;
    Some(App { namespace, name, ..app })
}

fn budget(node: &Node, faults: &mut Faults) -> Option<Budget> {
    let entries = Entries::of(node, &shape::BUDGET, faults)?;
    let (least, most) =
        (entries.number("min_available", faults), entries.number("max_unavailable", faults));
    match (least, most) {
        (Some(least), None) => Some(Budget::MinAvailable(least)),
        (None, Some(most)) => Some(Budget::MaxUnavailable(most)),
        _ => {
            let message = "a budget has either min_available or max_unavailable";
            faults.add(Code::Conflict, &node.place, message);
            None
        }
    }
}

fn checkpoint(node: &Node, faults: &mut Faults) -> Option<Checkpoint> {
    let entries = Entries::of(node, &shape::CHECKPOINT, faults)?;
    let bytes = |key: &str, suffix: &str, faults: &mut Faults| -> Option<f64> {
        let node = entries.get(key)?;
        let given = text(node, faults)?;
        let parsed = given
            .strip_suffix(suffix)
            .and_then(|it| it.strip_suffix("GB"))
            .and_then(|number| number.trim().parse().ok())
            .filter(|number: &f64| *number > 0.0);
        if parsed.is_none() {
            let message = format!("write gigabytes, for example 108GB{suffix}");
            faults.add(Code::BadValue, &node.place, message);
        }
        parsed
    };
    let (size, speed) = (bytes("size", "", faults), bytes("bandwidth", "/s", faults));
    let takes = match (entries.span("takes", faults), size, speed) {
        (None, Some(size), Some(speed)) => Duration::from_secs_f64((size / speed).min(1e6)),
        (Some(takes), None, None) => takes.0,
        (None, None, None) => Duration::from_secs(20),
        _ => {
            let message = "a checkpoint has either `takes`, or `size` and `bandwidth`";
            faults.add(Code::Conflict, &node.place, message);
            return None;
        }
    };
    Some(Checkpoint {
        every: entries.span("every", faults).map_or(Duration::ZERO, |span| span.0),
        takes,
        on_stop: entries.boolean("on_stop", faults).unwrap_or(false),
        asked: word(&entries, "asked", &Asked::ALL, faults),
        fails: entries.boolean("fails", faults).unwrap_or(false),
    })
}

pub(super) fn offer(node: &Node, faults: &mut Faults) -> Option<Offer> {
    let entries = Entries::of(node, &shape::OFFER, faults)?;
    Some(Offer {
        instance_type: entries.text("instance", faults).unwrap_or_else(|| INSTANCE.into()),
        zone: entries.text("zone", faults)?,
        market: word(&entries, "market", &Market::ALL, faults).unwrap_or_default(),
        free: entries.number("free", faults)?,
    })
}

pub(super) fn backups(node: &Node, faults: &mut Faults) -> Option<Backups> {
    let entries = Entries::of(node, &shape::BACKUPS, faults)?;
    let own = Backups::default();
    Some(Backups {
        takes: entries.span("takes", faults).map_or(own.takes, |span| span.0),
        ends: word(&entries, "ends", &Ends::ALL, faults).unwrap_or_default(),
        reachable: entries.boolean("reachable", faults).unwrap_or(true),
        claims: entries.texts("claims", faults).into_iter().map(|(claim, _)| claim).collect(),
        last: entries.span("last", faults).map(|span| span.0),
    })
}
