//! What happened against what was expected, both ways.

use super::super::play::Report;
use crate::model::{Action, PageKind, PlannedStep, Span};
use crate::rules::Place;
use jiff::Timestamp;
use serde_json::Value;
use std::{
    collections::{BTreeSet, VecDeque},
    time::Duration,
};

/// What one can expect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    Acts,
    Tells,
    Suppressed,
    Pages,
    Notifies,
}

impl Call {
    pub(super) const ALL: [Call; 5] =
        [Call::Acts, Call::Tells, Call::Suppressed, Call::Pages, Call::Notifies];

    pub(super) fn word(self) -> &'static str {
        match self {
            Call::Acts => "acts",
            Call::Tells => "tells",
            Call::Suppressed => "suppressed",
            Call::Pages => "pages",
            Call::Notifies => "notifies",
        }
    }
}

#[derive(Debug, Clone)]
pub struct Wanted {
    pub(super) call: Call,
    /// The rule, or the contact.
    pub(super) name: String,
    pub(super) on: Option<String>,
    /// Verbs, each with the arguments that it must have.
    pub(super) steps: Option<Vec<(String, Value)>>,
    pub(super) ends: Option<String>,
    pub(super) why: Option<String>,
    pub(super) guard: Option<String>,
    pub(super) level: Option<u32>,
    pub(super) after: Option<Duration>,
    pub(super) by: Option<Duration>,
    pub(super) times: usize,
    pub(super) place: Place,
}

/// One thing that came of it.
#[derive(Debug, Clone)]
pub struct Happened {
    pub(super) call: Call,
    pub(super) name: String,
    pub(super) at: Timestamp,
    pub(super) on: String,
    pub(super) steps: Vec<PlannedStep>,
    /// How a remediation ended, why a rule was held back.
    pub(super) detail: String,
    pub(super) guard: Option<String>,
    pub(super) level: u32,
}

/// All that came of it, in order.
pub(super) fn happened(report: &Report) -> Vec<Happened> {
    let ledger = &report.ledger;
    let of = |call, name: &str, at, on: String| Happened {
        call,
        name: name.to_owned(),
        at,
        on,
        steps: vec![],
        detail: String::new(),
        guard: None,
        level: 0,
    };
    let plans = ledger.plans.values().map(|fact| Happened {
        steps: fact.plan.steps.clone(),
        detail: fact.ended.as_ref().map_or("open", |(_, how)| how.word()).to_owned(),
        ..of(Call::Acts, &fact.plan.rule, fact.made, fact.plan.target.to_string())
    });
    let decisions = ledger.decisions.iter().filter(|fact| fact.verdict != "act").map(|fact| {
        let call = if fact.verdict == "tell" { Call::Tells } else { Call::Suppressed };
        Happened {
            detail: fact.verdict.to_owned(),
            guard: fact.guard.clone(),
            ..of(call, &fact.rule, fact.at, fact.target.to_string())
        }
    });
    let mut rung = BTreeSet::new();
    let rings =
        ledger.rings.iter().filter(|ring| rung.insert(ring.key.clone())).filter_map(|ring| {
            let call = match ring.key.kind {
                PageKind::Trigger => Call::Pages,
                PageKind::Note => Call::Notifies,
                PageKind::Resolve => return None,
            };
            let target = ledger.incidents.get(&ring.key.incident).map(|it| it.target.to_string());
            let level = ring.key.level;
            Some(Happened {
                level,
                ..of(call, &ring.key.contact, ring.at, target.unwrap_or_default())
            })
        });
    let mut all: Vec<Happened> = plans.chain(decisions).chain(rings).collect();
    all.sort_by_key(|one| one.at);
    all
}

/// What was expected and is missing, and what happened and was not expected.
pub(super) fn compare(
    wanted: &[Wanted],
    happened: &[Happened],
    report: &Report,
) -> (Vec<String>, Vec<String>) {
    // One place for each thing that is expected, and who may take it.
    let places: Vec<&Wanted> =
        wanted.iter().flat_map(|wanted| std::iter::repeat_n(wanted, wanted.times)).collect();
    let fits = |place: usize, one: usize| places[place].is(&happened[one], report.begins);
    let taken = assigned(places.len(), happened.len(), &fits);
    let mut missing = vec![];
    let mut at = 0;
    for wanted in wanted {
        let own = &taken[at..at + wanted.times];
        at += wanted.times;
        let found = own.iter().filter(|one| one.is_some()).count();
        if found < wanted.times {
            let (line, _) = wanted.place.line_column();
            let path = &wanted.place.source.path;
            let times = match wanted.times {
                1 => String::new(),
                times => format!(" ({found} of {times})"),
            };
            missing.push(format!("{}{times}  # {path}:{line}", wanted.describe()));
        }
    }
    let surplus = (0..happened.len()).filter(|one| !taken.contains(&Some(*one)));
    (missing, surplus.map(|one| happened[one].describe(report.begins)).collect())
}

/// As many places as can be are given to somebody who fits: for each place who has it.
fn assigned(places: usize, all: usize, fits: &dyn Fn(usize, usize) -> bool) -> Vec<Option<usize>> {
    let (mut taken, mut place_of) = (vec![None; places], vec![None; all]);
    for first in 0..places {
        // Somebody who has another place may give it up where there is one for it elsewhere.
        let (mut from, mut open) = (vec![None; all], VecDeque::from([first]));
        let mut free = None;
        while let Some(place) = open.pop_front() {
            for one in (0..all).filter(|one| fits(place, *one)) {
                if from[one].is_some() {
                    continue;
                }
                from[one] = Some(place);
                match place_of[one] {
                    Some(other) => open.push_back(other),
                    None => {
                        free = Some(one);
                        open.clear();
                        break;
                    }
                }
            }
        }
        while let Some(one) = free
            && let Some(place) = from[one]
        {
            free = taken[place];
            (taken[place], place_of[one]) = (Some(one), Some(place));
            if place == first {
                break;
            }
        }
    }
    taken
}

fn is_on(target: &str, wanted: &str) -> bool {
    match wanted.strip_suffix('*') {
        Some(beginning) => target.starts_with(beginning),
        None => target == wanted,
    }
}

impl Wanted {
    fn is(&self, one: &Happened, begins: Timestamp) -> bool {
        let at = Duration::try_from(one.at.duration_since(begins)).unwrap_or_default();
        self.call == one.call
            && self.name == one.name
            && self.on.as_ref().is_none_or(|on| is_on(&one.on, on))
            && self.ends.as_ref().is_none_or(|ends| *ends == one.detail)
            && self.why.as_ref().is_none_or(|why| *why == one.detail)
            && self.guard.as_ref().is_none_or(|guard| Some(guard) == one.guard.as_ref())
            && self.level.is_none_or(|level| level == one.level)
            && self.after.is_none_or(|after| at >= after)
            && self.by.is_none_or(|by| at <= by)
            && self.steps.as_ref().is_none_or(|steps| same_steps(steps, &one.steps))
    }

    fn describe(&self) -> String {
        let mut words = vec![format!("{}: {}", self.call.word(), self.name)];
        let mut add = |key: &str, value: Option<String>| {
            words.extend(value.map(|value| format!("{key}: {value}")));
        };
        add("on", self.on.clone());
        let step = |(verb, arguments): &(String, Value)| match arguments {
            Value::Null => verb.clone(),
            arguments => format!("{{{verb}: {arguments}}}"),
        };
        let steps = self.steps.as_ref();
        add(
            "steps",
            steps.map(|steps| {
                format!("[{}]", steps.iter().map(step).collect::<Vec<_>>().join(", "))
            }),
        );
        add("ends", self.ends.clone());
        add("why", self.why.clone());
        add("guard", self.guard.clone());
        add("level", self.level.map(|level| level.to_string()));
        add("after", self.after.map(|at| Span(at).to_string()));
        add("by", self.by.map(|at| Span(at).to_string()));
        format!("{{{}}}", words.join(", "))
    }
}

impl Happened {
    /// As one would write it down as expected, with the time.
    fn describe(&self, begins: Timestamp) -> String {
        let mut words =
            vec![format!("{}: {}", self.call.word(), self.name), format!("on: {}", self.on)];
        match self.call {
            Call::Acts => {
                let verbs: Vec<&str> = self.steps.iter().map(|step| step.action.verb()).collect();
                words.push(format!("steps: [{}]", verbs.join(", ")));
                words.push(format!("ends: {}", self.detail));
            }
            Call::Suppressed => {
                words.push(format!("why: {}", self.detail));
                words.extend(self.guard.as_ref().map(|guard| format!("guard: {guard}")));
            }
            Call::Pages => words.push(format!("level: {}", self.level)),
            Call::Tells | Call::Notifies => {}
        }
        let at = Span(Duration::try_from(self.at.duration_since(begins)).unwrap_or_default());
        format!("{{{}}}  # after {at}", words.join(", "))
    }
}

fn same_steps(wanted: &[(String, Value)], found: &[PlannedStep]) -> bool {
    wanted.len() == found.len()
        && wanted.iter().zip(found).all(|((verb, arguments), step)| {
            verb == step.action.verb() && has(&step.action, arguments)
        })
}

/// Whether the action has these arguments, as rule files write them.
fn has(action: &Action, arguments: &Value) -> bool {
    let Value::Object(wanted) = arguments else { return true };
    let mut found = serde_json::to_value(action).unwrap_or_default();
    if let Action::Cordon { taint: Some(taint), .. } = action {
        let value =
            if taint.value.is_empty() { String::new() } else { format!("={}", taint.value) };
        found["taint"] = format!("{}{value}:{}", taint.key, taint.effect).into();
    }
    wanted.iter().all(|(key, value)| {
        let of = |value: &Value| match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let (found, value) = (of(&found[if key == "for" { "hold" } else { key }]), of(value));
        let time = |text: &str| text.parse::<Span>().ok();
        found == value
            || (key == "taint" && found == format!("{value}:NoSchedule"))
            || (time(&found).is_some() && time(&found) == time(&value))
    })
}
