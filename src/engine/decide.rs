//! One event against the rules: what matches, and what may be done about it.

use super::correlate::{self, ENGINE};
use super::guard::slot;
use super::verdict::{Case, deadline, evidence, throttle, verdict};
use super::windows::{Passage, watched};
use super::{News, Said, State, Windows};
use crate::model::{Decision, Envelope, Event, Id, Suppression, Target, Verdict, kind};
use crate::rules::{Facts, Role, Rule, Ruleset};
use jiff::Timestamp;

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
    let facts = Facts::new(event, now);
    let mut heard = Heard::default();
    hear(rules, &mut state.windows, news, &facts, false, &mut heard);
    misses.append(&mut heard.misses);
    for fingerprint in heard.over {
        said.extend(correlate::cleared(state, event, &fingerprint, now));
    }
    for (rule, passage) in heard.matched {
        let case = Case { rules, rule, facts, seq, timer: None, group: vec![], outside: None };
        said.extend(passed(state, case, passage, misses));
    }
    said
}

/// What rules make of one event.
#[derive(Default)]
pub(super) struct Heard<'r> {
    /// Those that it matches, and what their time words make of that.
    matched: Vec<(&'r Rule, Passage)>,
    /// What rules watched for and is over: a state that has ended, a sign of life that has come.
    over: Vec<String>,
    misses: Vec<Miscount>,
}

/// `again`: it is read once more after a crash, and a rule that came into force later has not heard it.
pub(super) fn hear<'r>(
    rules: &'r Ruleset,
    windows: &mut Windows,
    news: News,
    facts: &Facts<'_>,
    again: bool,
    heard: &mut Heard<'r>,
) {
    if matches!(news, News::Again | News::Flapped | News::Stale) {
        return;
    }
    let mut known = None;
    for (rule, role) in rules.candidates(facts) {
        if again && !windows.was_in_force(rule) {
            continue;
        }
        match rule.heard_as(role).map_or(Ok(true), |condition| condition.holds(facts)) {
            Ok(true) => {
                let twice = rule.looks_back()
                    && *known.get_or_insert_with(|| {
                        !windows.first_time(&facts.event.id, rules, facts.now)
                    });
                let lives = rule.words.absent.as_ref().is_some_and(|it| it.other.is_none());
                if lives && role == Role::Own {
                    heard.over.extend(watched(rule, facts));
                }
                heard.matched.push((rule, windows.hear(rule, role, facts, twice)));
            }
            Ok(false) if role == Role::Own => {
                windows.broken(rule, facts);
                heard.over.extend(watched(rule, facts));
            }
            Ok(false) => {}
            Err(miss) => {
                let why = miss.to_string();
                heard.misses.push(Miscount { rule: rule.name.clone(), why });
            }
        }
    }
}

/// The timers that have gone off by `now`, each decided on as of the moment when it was due.
pub(super) fn due(
    rules: &Ruleset,
    state: &mut State,
    now: Timestamp,
    misses: &mut Vec<Miscount>,
) -> Vec<Said> {
    let mut said = vec![];
    while let Some((due, passage)) = state.windows.next_due(rules, now) {
        let facts = Facts::new(&due.event, due.timer.due);
        let (seq, timer) = (state.inputs_upto, Some(due.timer));
        let (rule, group) = (due.rule, due.group);
        let case = Case { rules, rule, facts, seq, timer, group, outside: None };
        said.extend(passed(state, case, passage, misses));
    }
    said
}

fn passed(
    state: &mut State,
    case: Case<'_>,
    passage: Passage,
    misses: &mut Vec<Miscount>,
) -> Vec<Said> {
    match passage {
        Passage::Through => matched(state, &case),
        Passage::Kept => vec![],
        Passage::Ignored(why) => {
            misses.push(Miscount { rule: case.rule.name.clone(), why });
            vec![]
        }
        Passage::Outside { hours, until } => {
            let outside = Some(Suppression::Hours { hours, until });
            matched(state, &Case { outside, ..case })
        }
    }
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
    ends.iter().for_each(|fingerprint| state.windows.cleared(fingerprint));
    ends.iter().flat_map(|fingerprint| correlate::cleared(state, event, fingerprint, now)).collect()
}

fn matched(state: &mut State, case: &Case<'_>) -> Vec<Said> {
    let Case { rule, facts: Facts { event, now }, .. } = *case;
    // An alert opens an incident in any case: its end will close it. Nothing would close that of a mere event.
    let mut about = about(case);
    if state.incident_of(&about).is_none()
        && let Some(storm) = super::verdict::storm(state, case)
    {
        about = storm;
    }
    let unbound = event.data.alert.is_none() && state.incident_of(&about).is_none();
    let quiet = throttle(case).and_then(|(key, _)| state.quiet_until(&key, now));
    if unbound && (quiet.is_some() || case.outside.is_some()) {
        return vec![];
    }
    let (incident, opened) = correlate::incident_for(state, case.seq, event, &about, rule, now);
    if let Some(said) = &opened {
        state.said(None, said);
    }
    let watches = correlate::watches(state, &incident, case);
    if let Some(said) = &watches {
        state.said(None, said);
    }
    let opened = opened.into_iter().chain(watches);
    let Some(known) = state.incidents.get(&incident) else { return opened.collect() };
    let deadline = deadline(case);
    let mut quiet = None;
    let verdict = match &case.outside {
        Some(reason) => Verdict::Suppressed { reason: reason.clone() },
        None => verdict(state, known, case, deadline, &mut quiet),
    };
    let acts = matches!(verdict, Verdict::Act { .. });
    let decision = Decision {
        incident: incident.clone(),
        epoch: known.epoch + u32::from(acts),
        rule: rule.name.clone(),
        severity: correlate::severity(rule, event),
        mode: rule.mode,
        deadline,
        policy: rule.escalate.clone(),
        evidence: evidence(case),
        cloud: event.data.context.cloud.clone(),
        quiet,
        timer: case.timer.clone().map(Box::new),
        verdict,
    };
    let id = match &case.timer {
        None => Id::of(&["decision", event.id.as_str(), &rule.name]),
        Some(timer) => Id::of(&["decision", event.id.as_str(), &rule.name, &timer.word]),
    };
    let mut envelope = event.follow(kind::DECISION, id, ENGINE, now, decision);
    envelope.subject = about;
    envelope.deadline = deadline;
    envelope.traceparent = Some(known.traceparent.clone());
    let tripped = tripped(state, &envelope);
    let said = Said::Decision(envelope);
    state.said(None, &said);
    opened.chain([said]).chain(tripped).collect()
}

/// What the incident is about: what the event is, unless the rule says otherwise and has an answer.
fn about(case: &Case<'_>) -> Target {
    let said = case.rule.about.as_ref().and_then(|about| about.key(&case.facts).ok());
    match said.filter(|said| !said.is_empty()) {
        Some(said) => Target::lenient(&said),
        None => case.facts.event.subject.clone(),
    }
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
