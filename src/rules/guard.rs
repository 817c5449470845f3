//! A guard: as a value, and how it is read.

use super::condition::{Condition, Definitions, Scope, compile_key};
use super::diagnostic::Code;
use super::shape;
use super::walk::{Entries, Faults, text};
use super::yaml::Node;
use crate::model::Span;

#[derive(Debug, Clone)]
pub struct Guard {
    pub name: String,
    pub per: Per,
    pub limits: Limits,
    /// Once it has refused, it refuses until nobody has asked for this long.
    pub storm: Option<Span>,
}

/// What has a budget of its own.
#[derive(Debug, Clone)]
pub enum Per {
    All,
    Rule,
    Pool(Condition),
    Zone(Condition),
    Tenant(Condition),
    /// Anything else: a share of it is not known.
    Value(Condition),
}

impl Per {
    /// The condition whose value is the key, where there is one.
    pub fn condition(&self) -> Option<&Condition> {
        match self {
            Per::All | Per::Rule => None,
            Per::Pool(of) | Per::Zone(of) | Per::Tenant(of) | Per::Value(of) => Some(of),
        }
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    pub at_once: Option<u32>,
    /// Percent of the nodes that the guard is `per`, 1 to 100. At least one: three nodes at 20 % allow one.
    pub share: Option<u32>,
    pub rate: Option<Rate>,
}

/// So many within so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    pub count: u32,
    pub within: Span,
}

pub(super) fn guard(node: &Node, definitions: &Definitions, faults: &mut Faults) -> Option<Guard> {
    let entries = Entries::of(node, &shape::GUARD, faults)?;
    let per = match entries.get("per") {
        Some(node) => per(node, definitions, faults),
        None => Per::All,
    };
    let storm = entries
        .get("storm")
        .and_then(|node| Entries::of(node, &shape::STORM, faults)?.span("release_after", faults));
    let limits = entries.get("limits").and_then(|node| limits(node, faults)).unwrap_or_default();
    if let (Per::Value(_), Some(_), Some(node)) = (&per, limits.share, entries.get("per")) {
        let fault = faults.add(Code::BadValue, &node.place, "a share of what?");
        fault.hint = Some(
            "a share is one of nodes: per node.pool, node.zone, tenant, or no `per` for all nodes"
                .into(),
        );
    }
    Some(Guard { name: entries.text("name", faults)?, per, limits, storm })
}

fn per(node: &Node, definitions: &Definitions, faults: &mut Faults) -> Per {
    let Some(clause) = text(node, faults).map(str::trim) else { return Per::All };
    if clause == "rule" {
        return Per::Rule;
    }
    let of =
        compile_key(clause, &node.place, Scope { definitions, when: &[], known: None }, faults);
    match (clause, of) {
        (_, None) => Per::All,
        ("node.pool" | "pool.name", Some(of)) => Per::Pool(of),
        ("node.zone", Some(of)) => Per::Zone(of),
        ("tenant" | "event.tenant", Some(of)) => Per::Tenant(of),
        (_, Some(of)) => Per::Value(of),
    }
}

fn limits(node: &Node, faults: &mut Faults) -> Option<Limits> {
    let entries = Entries::of(node, &shape::LIMITS, faults)?;
    let at_once = entries.number("at_once", faults);
    let share = entries.get("share").and_then(|node| {
        let share = text(node, faults)?;
        let percent = share.strip_suffix('%').and_then(|number| number.trim().parse().ok());
        let percent = percent.filter(|percent| (1..=100).contains(percent));
        if percent.is_none() {
            let fault =
                faults.add(Code::BadValue, &node.place, format!("`{share}` is not a share"));
            fault.hint = Some("write a percentage from 1% to 100%".into());
        }
        percent
    });
    let rate = entries.get("rate").and_then(|node| {
        let rate = text(node, faults)?;
        let parsed = rate.split_once('/').and_then(|(count, within)| {
            Some(Rate { count: count.trim().parse().ok()?, within: within.parse().ok()? })
        });
        let parsed = parsed.filter(|rate| rate.count > 0 && !rate.within.0.is_zero());
        if parsed.is_none() {
            let fault = faults.add(Code::BadValue, &node.place, format!("`{rate}` is not a rate"));
            fault.hint = Some("write a number and a duration, for example 20/1h".into());
        }
        parsed
    });
    let limits = Limits { at_once, share, rate };
    if limits == Limits::default()
        && entries.get("share").is_none()
        && entries.get("rate").is_none()
    {
        faults.add(Code::MissingKey, entries.place(), "a guard needs at_once, share or rate");
    }
    if at_once == Some(0) {
        faults.add(
            Code::BadValue,
            entries.place(),
            "at_once: 0 forbids everything; use `mode: observe` for that",
        );
    }
    Some(limits)
}
