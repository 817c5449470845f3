//! One event against the rules: what matches, and what may be done about it.

use super::correlate::{self, ENGINE};
use super::guard::{Ask, slot};
use super::{News, Said, State};
use crate::model::{
    Decision, Envelope, Event, Id, Incident, Mode, Reservation, Span, Suppression, Verdict, kind,
};
use crate::planted::{Bug, planted};
use crate::rules::{Deadline, Facts, Guard, Per, Rule, Ruleset};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// A rule that had no answer for an event: no match, and the reason is counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Miscount {
    pub rule: String,
    pub why: String,
}

pub(super) fn event(
    rules: &Ruleset,
    state: &mut State,
    seq: u64,
    event: &Envelope<Event>,
    news: News,
    now: Timestamp,
    misses: &mut Vec<Miscount>,
) -> Vec<Said> {
    if matches!(event.kind.as_str(), kind::INCIDENT_ACK | kind::INCIDENT_RESOLVE) {
        return correlate::request(state, event, now);
    }
    let mut said = ended(state, event, news, now);
    if matches!(news, News::Again | News::Flapped | News::Stale) {
        return said;
    }
    let mut facts = None;
    for rule in rules.candidates(&event.kind) {
        let facts = facts.get_or_insert_with(|| Facts::new(event, now));
        match rule.condition.as_ref().map_or(Ok(true), |condition| condition.holds(facts)) {
            Ok(true) => said.extend(matched(rules, state, seq, event, rule, facts, now)),
            Ok(false) => {}
            Err(miss) => misses.push(Miscount { rule: rule.name.clone(), why: miss.to_string() }),
        }
    }
    said
}

/// Alerts that this event ends: its own, or those that a truncated body had hidden.
fn ended(state: &mut State, event: &Envelope<Event>, news: News, now: Timestamp) -> Vec<Said> {
    let own = event.data.alert.as_ref().filter(|_| news == News::Closed);
    let mut ends: Vec<String> = own.map(|alert| alert.fingerprint.clone()).into_iter().collect();
    let hidden = state.reconciled(event);
    for fingerprint in &hidden {
        state.episodes.close(fingerprint, now, now);
    }
    ends.extend(hidden);
    ends.iter().flat_map(|fingerprint| correlate::cleared(state, event, fingerprint, now)).collect()
}

fn matched(
    rules: &Ruleset,
    state: &mut State,
    seq: u64,
    event: &Envelope<Event>,
    rule: &Rule,
    facts: &Facts,
    now: Timestamp,
) -> Vec<Said> {
    // An alert opens an incident in any case: its end will close it. Nothing would close that of a mere event.
    let unbound = event.data.alert.is_none() && state.incident_of(&event.subject).is_none();
    let quiet = throttle(rule, event, facts).and_then(|(key, _)| state.quiet_until(&key, now));
    if unbound && quiet.is_some() {
        return vec![];
    }
    let (incident, opened) = correlate::incident_for(state, seq, event, rule, now);
    if let Some(said) = &opened {
        state.said(None, said);
    }
    let Some(known) = state.incidents.get(&incident) else { return opened.into_iter().collect() };
    let deadline = deadline(rule, event, facts);
    let mut quiet = None;
    let verdict = verdict(rules, state, known, event, rule, facts, deadline, now, &mut quiet);
    let acts = matches!(verdict, Verdict::Act { .. });
    let decision = Decision {
        incident: incident.clone(),
        epoch: known.epoch + u32::from(acts),
        rule: rule.name.clone(),
        severity: correlate::severity(rule, event),
        mode: rule.mode,
        deadline,
        policy: rule.escalate.clone(),
        evidence: evidence(rule, event),
        quiet,
        verdict,
    };
    let id = Id::of(&["decision", event.id.as_str(), &rule.name]);
    let mut envelope = event.follow(kind::DECISION, id, ENGINE, now, decision);
    envelope.deadline = deadline;
    envelope.traceparent = Some(known.traceparent.clone());
    let tripped = tripped(state, &envelope);
    let said = Said::Decision(envelope);
    state.said(None, &said);
    opened.into_iter().chain([said]).chain(tripped).collect()
}

/// The news that a guard has tripped with this decision.
fn tripped(state: &State, decision: &Envelope<Decision>) -> Option<Said> {
    let Verdict::Suppressed { reason: Suppression::Guard { guard, key, limit, trip: Some(_), .. } } =
        &decision.data.verdict
    else {
        return None;
    };
    let fresh = !state.guards.tripped(&slot(guard, key));
    fresh.then(|| correlate::news_of_guard(decision, kind::GUARD_TRIPPED, guard, key, limit))
}

/// The order of the questions is the order of the answers: what is never allowed comes first.
#[expect(clippy::too_many_arguments, reason = "each is one fact that the verdict rests on")]
fn verdict(
    rules: &Ruleset,
    state: &State,
    incident: &Incident,
    event: &Envelope<Event>,
    rule: &Rule,
    facts: &Facts,
    deadline: Option<Timestamp>,
    now: Timestamp,
    quiet: &mut Option<(String, Timestamp)>,
) -> Verdict {
    let suppressed = |reason| Verdict::Suppressed { reason };
    if event.cause.then(&event.id).is_none() && !planted(Bug::MatchItself) {
        return suppressed(Suppression::Loop);
    }
    if let Some((key, within)) = throttle(rule, event, facts) {
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
    match leave(rules, state, rule, event, facts, holder, now) {
        Ok(reserved) => Verdict::Act {
            steps: rule.then.clone(),
            otherwise: rule.otherwise.clone(),
            reserved,
            doomed: event.kind == kind::SPOT_INTERRUPTION,
        },
        Err(reason) => {
            *quiet = None;
            suppressed(reason)
        }
    }
}

/// The key under which the rule is quiet after it acted, and for how long.
fn throttle(rule: &Rule, event: &Envelope<Event>, facts: &Facts) -> Option<(String, Span)> {
    let throttle = rule.throttle.as_ref()?;
    let by = throttle.by.as_ref().map(|by| by.key(facts).unwrap_or_else(|_| "?".into()));
    let by = by.unwrap_or_else(|| event.subject.to_string());
    Some((format!("{}\u{1f}{by}", rule.name), throttle.within))
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
    rules: &Ruleset,
    state: &State,
    rule: &Rule,
    event: &Envelope<Event>,
    facts: &Facts,
    superseded: Option<&Id>,
    now: Timestamp,
) -> Result<Vec<Reservation>, Suppression> {
    if harmless(rule) {
        return Ok(vec![]);
    }
    let guards = rule.guards.iter().filter_map(|name| rules.guards.get(name));
    guards
        .map(|guard| {
            let (key, size) = budget(guard, rule, event, facts);
            state.guards.ask(&Ask { guard, key: &key, size, but: superseded, now })
        })
        .collect()
}

/// The key that the event has for the guard, and the number of nodes that a share is one of.
fn budget(
    guard: &Guard,
    rule: &Rule,
    event: &Envelope<Event>,
    facts: &Facts,
) -> (String, Option<u32>) {
    let context = &event.data.context;
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

fn deadline(rule: &Rule, event: &Envelope<Event>, facts: &Facts) -> Option<Timestamp> {
    match &rule.deadline {
        Some(Deadline::After(span)) => event.time.checked_add(span.0).ok(),
        // An expression without an answer falls back on what the event itself says.
        Some(Deadline::At(at)) => at.time(facts).ok().or(event.deadline),
        None => event.deadline,
    }
}

fn evidence(rule: &Rule, event: &Envelope<Event>) -> BTreeMap<String, String> {
    let annotation = |name: &str| Some(event.data.alert.as_ref()?.annotations.get(name)?.clone());
    let runbook = rule.runbook.clone().or_else(|| annotation("runbook_url"));
    let dashboards = match rule.dashboards.is_empty() {
        false => Some(rule.dashboards.join("\n")),
        true => annotation("dashboard_url"),
    };
    let events = annotation("description").or_else(|| annotation("summary"));
    let told = events.unwrap_or_else(|| format!("{} about {}", event.kind, event.subject));
    [("runbook", runbook), ("dashboards", dashboards), ("events", Some(told))]
        .into_iter()
        .filter_map(|(name, text)| Some((name.to_owned(), text?)))
        .collect()
}
