//! A rule: as a value, and how it is read.

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
