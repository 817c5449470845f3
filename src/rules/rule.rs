//! A rule: as a value, and how it is read.

use super::condition::{Condition, Type, compile};
use super::diagnostic::{Code, Place, nearest};
use super::index::Role;
use super::names::Names;
use super::shape;
use super::steps;
use super::walk::{Entries, Faults, text};
use super::words::{By, Reading, Words};
use super::yaml::Node;
use crate::model::{Action, Mode, Severity, Span, StepSpec, kind};

#[derive(Debug, Clone)]
pub struct Rule {
    pub name: String,
    /// Where it stands.
    pub place: Place,
    pub when: Vec<String>,
    pub condition: Option<Condition>,
    /// What its incident is about, where that is not what the event is about: many events, one incident.
    pub about: Option<Condition>,
    /// `None`: the alert's own label, else warning.
    pub severity: Option<Severity>,
    pub words: Words,
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
    pub once: Once,
    pub time: Span,
    pub by: By,
}

/// When, of all that comes within the time, the rule acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Once {
    /// At once, and then it is quiet.
    Within,
    /// In the end, for all that was collected.
    After,
}

#[derive(Debug, Clone)]
pub enum Deadline {
    /// So long after the event's own time.
    After(Span),
    At(Condition),
}

impl Rule {
    /// Whether what it does depends on events before: then late and repeated ones are passed over.
    pub fn looks_back(&self) -> bool {
        let collects = |throttle: &Throttle| throttle.once == Once::After;
        self.words.windowed() || self.throttle.as_ref().is_some_and(collects)
    }

    /// Whether it hears events of type `kind` as `role`.
    pub fn hears(&self, role: Role, kind: &str) -> bool {
        fn other(other: Option<&super::words::Other>) -> Option<&[String]> {
            other.map(|it| it.when.as_slice())
        }
        let when = match role {
            Role::Own => Some(self.when.as_slice()),
            Role::Next(step) => {
                other(self.words.sequence.as_ref().and_then(|it| it.then.get(step)))
            }
            Role::Expected => other(self.words.absent.as_ref().and_then(|it| it.other.as_ref())),
        };
        when.is_some_and(|when| when.iter().any(|it| it == kind))
    }

    /// What must hold of an event that the rule hears as `role`.
    pub fn heard_as(&self, role: Role) -> Option<&Condition> {
        match role {
            Role::Own => self.condition.as_ref(),
            Role::Next(step) => self.words.sequence.as_ref()?.then.get(step)?.condition.as_ref(),
            Role::Expected => self.words.absent.as_ref()?.other.as_ref()?.condition.as_ref(),
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
        compile(clause, &node.place, Type::Bool, names.scope(&when), faults)
    });
    let guards = entries.texts("guard", faults);
    for (guard, place) in &guards {
        names.check("guard", guard, &names.guards, place, faults);
    }
    let escalate = entries.text("escalate", faults);
    if let (Some(policy), Some(node)) = (&escalate, entries.get("escalate")) {
        names.check("escalation", policy, &names.policies, &node.place, faults);
    }
    let then = steps::steps(&entries, "then", escalate.as_deref(), names, faults);
    let modes = [("enforce", Mode::Enforce), ("observe", Mode::Observe)];
    let rule = Rule {
        name: entries.text("name", faults).unwrap_or_default(),
        place: entries.get("name").map_or(entries.place(), |node| &node.place).clone(),
        condition,
        about: about(&entries, &then, &when, names, faults),
        severity: word(&entries, "severity", &super::people::severities(), faults),
        words: Words {
            version: Some(names.version(&entries)),
            ..Reading { when: &when, names }.words(&entries, faults)
        },
        throttle: entries.get("throttle").and_then(|node| throttle(node, &when, names, faults)),
        guards: guards.into_iter().map(|(guard, _)| guard).collect(),
        deadline: deadline(&entries, &when, names, faults),
        mode: word(&entries, "mode", &modes, faults).unwrap_or_default(),
        then,
        otherwise: steps::steps(&entries, "otherwise", escalate.as_deref(), names, faults),
        escalate,
        runbook: entries.text("runbook", faults),
        dashboards: entries.words("dashboards", faults),
        when,
    };
    let deadline = entries.get("deadline").map_or(&rule.place, |node| &node.place);
    super::lint::too_short(&rule, deadline, faults);
    super::lint::too_slow(&rule, deadline, faults);
    if rule.then.is_empty() && rule.escalate.is_none() && entries.get("then").is_none() {
        faults.add(Code::MissingKey, entries.place(), "a rule needs `then`, `escalate`, or both");
    }
    if rule.guards.is_empty()
        && !rule.goes_anyway()
        && rule.then.iter().any(|step| step.action.destructive())
    {
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

pub(super) fn when(entries: &Entries<'_>, faults: &mut Faults) -> Vec<String> {
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

fn about(
    entries: &Entries<'_>,
    then: &[StepSpec],
    when: &[String],
    names: &Names<'_>,
    faults: &mut Faults,
) -> Option<Condition> {
    let node = entries.get("about")?;
    let returns = then.iter().any(|step| matches!(step.action, Action::ReturnToSpot { .. }));
    // What goes back is asked for its checkpoint wherever it is, and looked for where it has gone.
    let own = |action: &Action| {
        let anywhere = matches!(action, Action::Checkpoint { .. } | Action::Verify { .. });
        action.on_target() && !(returns && anywhere)
    };
    if let (Some(step), Some(node)) =
        (then.iter().find(|step| own(&step.action)), entries.get("then"))
    {
        let verb = step.action.verb();
        let message =
            format!("`{verb}` acts on what the event is about, and `about` names something else");
        faults.add(Code::Conflict, &node.place, message);
    }
    compile(text(node, faults)?, &node.place, Type::Text, names.scope(when), faults)
}

fn throttle(
    node: &Node,
    when: &[String],
    names: &Names<'_>,
    faults: &mut Faults,
) -> Option<Throttle> {
    let entries = Entries::of(node, &shape::THROTTLE, faults)?;
    let by = Reading { when, names }.by(&entries, faults);
    let within = entries.span("once_within", faults).map(|time| (Once::Within, time));
    let after = entries.span("once_after", faults).map(|time| (Once::After, time));
    if entries.get("once_within").is_some() == entries.get("once_after").is_some() {
        let message = "`throttle` needs either `once_within` or `once_after`";
        faults.add(Code::Conflict, entries.place(), message);
        return None;
    }
    let (once, time) = within.or(after)?;
    Some(Throttle { once, time, by })
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
    compile(clause, &node.place, Type::Time, names.scope(when), faults).map(Deadline::At)
}
