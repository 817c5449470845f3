//! A rule and a guard: as values, and how they are read.

use super::condition::{Condition, Definitions, Type, compile};
use super::diagnostic::{Code, nearest};
use super::shape;
use super::steps;
use super::walk::{Entries, Faults, text};
use super::yaml::Node;
use crate::model::{Mode, Severity, Span, StepSpec, kind};

#[derive(Debug, Clone)]
pub struct Rule {
    pub name: String,
    pub when: Vec<String>,
    pub condition: Option<Condition>,
    /// `None`: the alert's own label, else warning.
    pub severity: Option<Severity>,
    pub throttle: Option<Throttle>,
    pub guards: Vec<String>,
    pub deadline: Option<Deadline>,
    pub mode: Mode,
    pub then: Vec<StepSpec>,
    pub otherwise: Vec<StepSpec>,
    pub escalate: Option<String>,
    pub runbook: Option<String>,
    pub dashboards: Vec<String>,
}

#[derive(Debug, Clone)]
pub struct Throttle {
    pub within: Span,
    /// `None`: per target.
    pub by: Option<Condition>,
}

#[derive(Debug, Clone)]
pub enum Deadline {
    /// So long after the event's own time.
    After(Span),
    At(Condition),
}

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

/// What a rule may refer to.
pub(super) struct Names<'a> {
    pub(super) definitions: &'a Definitions,
    pub(super) guards: Vec<&'a str>,
    pub(super) policies: Vec<&'a str>,
    pub(super) contacts: Vec<&'a str>,
}

impl Names<'_> {
    /// Faults where `name` is not in `known`.
    pub(super) fn check(
        &self,
        what: &str,
        name: &str,
        known: &[&str],
        place: &super::diagnostic::Place,
        faults: &mut Faults,
    ) {
        if !known.contains(&name) {
            let hint = super::diagnostic::suggest(name, known.iter().copied());
            faults.add(Code::UnknownName, place, format!("there is no {what} `{name}`")).hint =
                Some(hint);
        }
    }
}

/// One of a closed list of words.
pub(super) fn word<T>(
    entries: &Entries<'_>,
    key: &str,
    words: &[(&str, T)],
    faults: &mut Faults,
) -> Option<T>
where
    T: Copy,
{
    let node = entries.get(key)?;
    let found = text(node, faults)?;
    let value = words.iter().find(|(word, _)| *word == found).map(|(_, value)| *value);
    if value.is_none() {
        let hint = super::diagnostic::suggest(found, words.iter().map(|(word, _)| *word));
        faults.add(Code::BadValue, &node.place, format!("`{found}` is not a {key}")).hint =
            Some(hint);
    }
    value
}

pub(super) fn rule(node: &Node, names: &Names<'_>, faults: &mut Faults) -> Option<Rule> {
    let entries = Entries::of(node, &shape::RULE, faults)?;
    let when = when(&entries, faults);
    let condition = entries.get("if").and_then(|node| {
        let clause = text(node, faults)?;
        compile(clause, &node.place, Type::Bool, names.definitions, &when, faults)
    });
    let guards = entries.texts("guard", faults);
    for (guard, place) in &guards {
        names.check("guard", guard, &names.guards, place, faults);
    }
    let escalate = entries.text("escalate", faults);
    if let (Some(policy), Some(node)) = (&escalate, entries.get("escalate")) {
        names.check("escalation", policy, &names.policies, &node.place, faults);
    }
    let severities: Vec<(&str, Severity)> =
        Severity::ALL.iter().map(|it| (it.word(), *it)).collect();
    let modes = [("enforce", Mode::Enforce), ("observe", Mode::Observe)];
    let rule = Rule {
        name: entries.text("name", faults).unwrap_or_default(),
        condition,
        severity: word(&entries, "severity", &severities, faults),
        throttle: entries.get("throttle").and_then(|node| throttle(node, &when, names, faults)),
        guards: guards.into_iter().map(|(guard, _)| guard).collect(),
        deadline: deadline(&entries, &when, names, faults),
        mode: word(&entries, "mode", &modes, faults).unwrap_or_default(),
        then: steps::steps(&entries, "then", escalate.as_deref(), names, faults),
        otherwise: steps::steps(&entries, "otherwise", escalate.as_deref(), names, faults),
        escalate,
        runbook: entries.text("runbook", faults),
        dashboards: entries.texts("dashboards", faults).into_iter().map(|(url, _)| url).collect(),
        when,
    };
    if rule.then.is_empty() && rule.escalate.is_none() && entries.get("then").is_none() {
        faults.add(Code::MissingKey, entries.place(), "a rule needs `then`, `escalate`, or both");
    }
    if rule.guards.is_empty() && rule.then.iter().any(|step| step.action.destructive()) {
        let message = format!("the rule `{}` takes things away and has no guard", rule.name);
        let fault = faults.add(
            Code::Unguarded,
            entries.get("then").map_or(entries.place(), |n| &n.place),
            message,
        );
        fault.warning = true;
        fault.hint = Some("name a `guard` that limits how many nodes it may touch at once".into());
    }
    Some(rule)
}

fn when(entries: &Entries<'_>, faults: &mut Faults) -> Vec<String> {
    let kinds = entries.texts("when", faults);
    for (name, place) in &kinds {
        if !kind::KNOWN.contains(&name.as_str())
            && let Some(meant) = nearest(name, kind::KNOWN.iter().copied())
        {
            let fault =
                faults.add(Code::UnknownName, place, format!("no source of ours sends `{name}`"));
            fault.hint = Some(format!(
                "did you mean `{meant}`? A type of your own is free to differ by more"
            ));
        }
    }
    kinds.into_iter().map(|(name, _)| name).collect()
}

fn throttle(
    node: &Node,
    when: &[String],
    names: &Names<'_>,
    faults: &mut Faults,
) -> Option<Throttle> {
    let entries = Entries::of(node, &shape::THROTTLE, faults)?;
    let by = entries.get("by").and_then(|node| {
        compile(text(node, faults)?, &node.place, Type::Any, names.definitions, when, faults)
    });
    Some(Throttle { within: entries.span("once_within", faults)?, by })
}

fn deadline(
    entries: &Entries<'_>,
    when: &[String],
    names: &Names<'_>,
    faults: &mut Faults,
) -> Option<Deadline> {
    let node = entries.get("deadline")?;
    let clause = text(node, faults)?;
    if clause.starts_with(|c: char| c.is_ascii_digit()) {
        return entries.span("deadline", faults).map(Deadline::After);
    }
    compile(clause, &node.place, Type::Time, names.definitions, when, faults).map(Deadline::At)
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
    let of = compile(clause, &node.place, Type::Any, definitions, &[], faults);
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
