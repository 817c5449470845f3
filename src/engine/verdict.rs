//! What may be done about an event that a rule matches.

use super::State;
use super::guard::{Ask, slot};
use crate::model::{
    Envelope, Event, Id, Incident, Mode, Reservation, Span, Suppression, Target, Timer, Verdict,
};
use crate::planted::{Bug, planted};
use crate::rules::{Deadline, Facts, Guard, Once, Per, Rule, Ruleset};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// One event and one rule that it matches.
pub(super) struct Case<'a> {
    pub(super) rules: &'a Ruleset,
    pub(super) rule: &'a Rule,
    pub(super) facts: Facts<'a>,
    /// Log position of the event, or of what came before its timer went off.
    pub(super) seq: u64,
    /// The timer that went off, and whom it had collected.
    pub(super) timer: Option<Timer>,
    pub(super) group: Vec<String>,
    /// It is outside of the rule's hours.
    pub(super) outside: Option<Suppression>,
}

/// The order of the questions is the order of the answers: what is never allowed comes first.
pub(super) fn verdict(
    state: &State,
    incident: &Incident,
    case: &Case<'_>,
    deadline: Option<Timestamp>,
    quiet: &mut Option<(String, Timestamp)>,
) -> Verdict {
    let Case { rule, facts: Facts { event, now }, .. } = *case;
    let suppressed = |reason| Verdict::Suppressed { reason };
    if event.cause.then(&event.id).is_none() && !planted(Bug::MatchItself) {
        return suppressed(Suppression::Loop);
    }
    if let Some((key, within)) = throttle(case) {
        if let Some(until) = state.quiet_until(&key, now) {
            return suppressed(Suppression::Throttled { key, until });
        }
        let until = now.checked_add(within.0).unwrap_or(Timestamp::MAX);
        *quiet = Some((key, until));
    }
    if rule.then.is_empty() {
        return Verdict::Tell;
    }
    if let Some(reason) = paused(state, event, rule, now) {
        *quiet = None;
        return suppressed(reason);
    }
    let holder = incident.running.as_ref();
    // What only observes neither waits for the target nor takes it over.
    if let Some(plan) = holder
        && rule.mode == Mode::Enforce
        && !supersedes(state, plan, deadline)
    {
        *quiet = None;
        return suppressed(Suppression::Busy { plan: plan.clone() });
    }
    match leave(state, case, holder) {
        Ok(reserved) => Verdict::Act {
            steps: rule.then.clone(),
            otherwise: rule.otherwise.clone(),
            reserved,
            doomed: rule.about.is_none() && event.data.dooms(&event.kind),
        },
        Err(reason) => {
            *quiet = None;
            suppressed(reason)
        }
    }
}

/// What a guard with `storm` holds back is one incident, however much it is: nobody is called for each.
pub(super) fn storm(state: &State, case: &Case<'_>) -> Option<Target> {
    let Case { rules, rule, facts: Facts { event, now }, .. } = *case;
    let mut guards = rule.guards.iter().filter_map(|name| rules.guards.get(name));
    if guards.all(|guard| guard.storm.is_none()) {
        return None;
    }
    let quiet = throttle(case).is_some_and(|(key, _)| state.quiet_until(&key, now).is_some());
    if rule.then.is_empty() || case.outside.is_some() || quiet {
        return None;
    }
    if paused(state, event, rule, now).is_some() {
        return None;
    }
    match leave(state, case, None) {
        Err(Suppression::Guard { guard, key, trip: Some(_), .. }) => {
            let name = if key.is_empty() { guard } else { format!("{guard}/{key}") };
            Some(Target::Other { kind: "storm".into(), name })
        }
        _ => None,
    }
}

/// The key under which the rule is quiet after it acted, and for how long.
pub(super) fn throttle(case: &Case<'_>) -> Option<(String, Span)> {
    let (name, _) = throttle_key(case.rule, &case.facts)?;
    Some((name, case.rule.throttle.as_ref()?.time))
}

/// The name of the throttle for this event, and its key alone.
pub(super) fn throttle_key(rule: &Rule, facts: &Facts<'_>) -> Option<(String, String)> {
    let throttle = rule.throttle.as_ref().filter(|it| it.once == Once::Within)?;
    // Where the key has no value, each target is throttled for itself.
    let by = throttle.by.as_ref().and_then(|by| by.key(facts).ok());
    let by = by.unwrap_or_else(|| facts.event.subject.to_string());
    Some((format!("{}\u{1f}{by}", rule.name), by))
}

/// The key that an event has for a guard; how many hold leave, or the limit that is reached.
pub(super) fn ask_guard(
    state: &State,
    guard: &Guard,
    rule: &Rule,
    facts: &Facts<'_>,
) -> (String, Result<u32, String>) {
    let (key, size) = budget(guard, rule, facts);
    let held = state.guards.held(&slot(&guard.name, &key), None);
    let ask = Ask { guard, key: &key, size, but: None, now: facts.now };
    let answer = match state.guards.ask(&ask) {
        Ok(_) => Ok(held),
        Err(Suppression::Guard { limit, .. }) => Err(limit),
        Err(_) => Err("it refuses".into()),
    };
    (key, answer)
}

/// A newer remediation takes the target over where it has a deadline and the running one has none, or a later one.
fn supersedes(state: &State, running: &Id, deadline: Option<Timestamp>) -> bool {
    let Some(deadline) = deadline else { return false };
    state.deadlines.get(running).is_none_or(|held| held.is_none_or(|held| deadline < held))
}

/// What only helps or tells needs no leave and is never paused.
fn harmless(rule: &Rule) -> bool {
    let harmless = |step: &crate::model::StepSpec| {
        !step.action.writes() || matches!(step.action, crate::model::Action::Uncordon)
    };
    rule.mode == Mode::Observe || rule.then.iter().all(harmless)
}

/// The pause that holds the rule back.
fn paused(
    state: &State,
    event: &Envelope<Event>,
    rule: &Rule,
    now: Timestamp,
) -> Option<Suppression> {
    let pause = state.pauses.values().find(|pause| pause.holds(&rule.name, event, now))?;
    (!harmless(rule)).then(|| Suppression::Paused {
        pause: pause.id.clone(),
        by: pause.by.clone(),
        reason: pause.reason.clone(),
        until: pause.until,
    })
}

/// Leave from every guard of the rule, or the first refusal. What only helps or tells needs none.
fn leave(
    state: &State,
    case: &Case<'_>,
    superseded: Option<&Id>,
) -> Result<Vec<Reservation>, Suppression> {
    if harmless(case.rule) {
        return Ok(vec![]);
    }
    let guards = case.rule.guards.iter().filter_map(|name| case.rules.guards.get(name));
    guards
        .map(|guard| {
            let (key, size) = budget(guard, case.rule, &case.facts);
            let now = case.facts.now;
            state.guards.ask(&Ask { guard, key: &key, size, but: superseded, now })
        })
        .collect()
}

/// The key that the event has for the guard, and the number of nodes that a share is one of.
fn budget(guard: &Guard, rule: &Rule, facts: &Facts<'_>) -> (String, Option<u32>) {
    let context = &facts.event.data.context;
    let key = match (&guard.per, guard.per.condition()) {
        (Per::Rule, _) => rule.name.clone(),
        // A node without a pool counts with all others that have none: never without a limit.
        (_, Some(of)) => of.key(facts).unwrap_or_else(|_| "?".into()),
        (_, None) => String::new(),
    };
    let size = match &guard.per {
        Per::Pool(_) => context.pool.as_ref().map(|pool| pool.size),
        Per::Zone(_) => context.sizes.map(|sizes| sizes.zone),
        Per::Tenant(_) => context.sizes.map(|sizes| sizes.tenant),
        Per::All | Per::Rule => context.sizes.map(|sizes| sizes.cluster),
        Per::Value(_) => None,
    };
    (key, size)
}

pub(super) fn deadline(case: &Case<'_>) -> Option<Timestamp> {
    let event = case.facts.event;
    // What the event is about has to be done by then; something else has not.
    let own = event.deadline.filter(|_| case.rule.about.is_none());
    match &case.rule.deadline {
        Some(Deadline::After(span)) => event.time.checked_add(span.0).ok(),
        // An expression without an answer falls back on what the event itself says.
        Some(Deadline::At(at)) => at.time(&case.facts).ok().or(event.deadline),
        None => own,
    }
}

pub(super) fn evidence(case: &Case<'_>) -> BTreeMap<String, String> {
    let (rule, event) = (case.rule, case.facts.event);
    let annotation = |name: &str| Some(event.data.alert.as_ref()?.annotations.get(name)?.clone());
    let runbook = rule.runbook.clone().or_else(|| annotation("runbook_url"));
    let dashboards = match rule.dashboards.is_empty() {
        false => Some(rule.dashboards.join("\n")),
        true => annotation("dashboard_url"),
    };
    let events = annotation("description").or_else(|| annotation("summary"));
    let told = events.unwrap_or_else(|| format!("{} about {}", event.kind, event.subject));
    // What `once_after` has collected.
    let told = match case.group.as_slice() {
        [] | [_] => told,
        all => format!("{told}\ncollected, the first {} by name: {}", all.len(), all.join(", ")),
    };
    [("runbook", runbook), ("dashboards", dashboards), ("events", Some(told))]
        .into_iter()
        .filter_map(|(name, text)| Some((name.to_owned(), text?)))
        .collect()
}
