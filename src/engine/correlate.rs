//! Incidents: which signal belongs to which, and when one is over.

use super::verdict::Case;
use super::{Said, State};
use crate::model::{
    Alert, Decision, Entry, Envelope, Event, Id, Incident, IncidentChange, Move, Outcome, Severity,
    Signal, Target, Verdict, Watch, kind,
};
use crate::rules::{Facts, Rule};
use jiff::Timestamp;

/// As who the engine speaks.
pub const ENGINE: &str = "medevac/engine";

/// A change of `incident`, caused by `cause`.
pub(super) fn change<T>(
    cause: &Envelope<T>,
    incident: &str,
    target: &Target,
    salt: &str,
    change: Move,
    now: Timestamp,
) -> Said {
    let id = Id::of(&["incident", cause.id.as_str(), incident, salt]);
    let data = IncidentChange { incident: incident.to_owned(), change };
    let mut envelope = cause.follow(kind::INCIDENT, id, ENGINE, now, data);
    envelope.subject = target.clone();
    Said::Change(envelope)
}

/// The incident that `event` belongs to, opened or joined: its id, and what has to be said.
pub(super) fn incident_for(
    state: &State,
    seq: u64,
    event: &Envelope<Event>,
    about: &Target,
    rule: &Rule,
    now: Timestamp,
) -> (String, Option<Said>) {
    let severity = severity(rule, event);
    let signal = event.data.alert.as_ref().map(signal);
    if let Some(open) = state.incident_of(about) {
        let news = signal.as_ref().is_some_and(|signal| !open.signals.contains(signal))
            || severity > open.severity;
        let joined = Move::Joined { signal, severity };
        let said = news.then(|| change(event, &open.id, &open.target, &rule.name, joined, now));
        return (open.id.clone(), said);
    }
    let subject = about.to_string();
    let id = format!("inc-{}", Id::of(&["incident", event.id.as_str(), &subject]).short(10));
    let traceparent = trace(&id);
    let opened =
        Move::Opened { title: title(event, about), severity, signal, event_seq: seq, traceparent };
    let said = change(event, &id, about, "opened", opened, now);
    (id, Some(said))
}

fn signal(alert: &Alert) -> Signal {
    Signal { fingerprint: alert.fingerprint.clone(), name: alert.name.clone() }
}

/// One trace per incident, derived from its name (W3C trace context, sampled).
fn trace(incident: &str) -> String {
    let (trace, span) = (Id::of(&["trace", incident]), Id::of(&["span", incident]));
    format!("00-{}-{}-01", trace.as_str(), span.short(16))
}

pub(super) fn severity(rule: &Rule, event: &Envelope<Event>) -> Severity {
    let label = event.data.alert.as_ref().and_then(|alert| alert.labels.get("severity"));
    let told = label.and_then(|word| match word.as_str() {
        "critical" | "page" | "emergency" => Some(Severity::Critical),
        "error" | "major" => Some(Severity::Error),
        "warning" | "warn" | "minor" => Some(Severity::Warning),
        "info" | "none" => Some(Severity::Info),
        _ => None,
    });
    rule.severity.or(told).unwrap_or_default()
}

/// Why the incident was opened, in one line of outside text without control characters.
fn title(event: &Envelope<Event>, about: &Target) -> String {
    let clean =
        |text: &str| -> String { text.chars().filter(|c| !c.is_control()).take(200).collect() };
    if let Target::Other { kind, name } = about
        && kind == "storm"
    {
        return clean(&format!("{name}: more than the robot may touch at once"));
    }
    match &event.data.alert {
        Some(alert) => {
            let summary = alert.annotations.get("summary").filter(|text| !text.trim().is_empty());
            let name = if alert.name.is_empty() { "an alert" } else { &alert.name };
            clean(summary.map_or(name, String::as_str))
        }
        None => clean(&format!("{} on {about}", event.kind)),
    }
}

/// What led here by waiting, as the incident remembers it: once.
pub(super) fn watches(state: &State, incident: &str, case: &Case<'_>) -> Option<Said> {
    let Case { rule, facts: Facts { event, now }, .. } = *case;
    let timer = case.timer.as_ref().filter(|it| it.word == "for" || it.word == "absent")?;
    // The end of an alert is told by the alert.
    let open = state.incidents.get(incident).filter(|_| event.data.alert.is_none())?;
    let fingerprint = watch(&rule.name, &timer.key);
    let watch = Watch { fingerprint, rule: rule.name.clone(), since: timer.due };
    let salt = watch.fingerprint.clone();
    let news = !open.watched.contains(&watch);
    news.then(|| change(event, incident, &open.target, &salt, Move::Watched { watch }, now))
}

/// What a rule watches for, by its key.
pub(super) fn watch(rule: &str, key: &str) -> String {
    Id::of(&["watch", rule, key]).as_str().to_owned()
}

/// An alert has ended, or what a rule watched for: every incident that it kept open hears of it.
pub(super) fn cleared(
    state: &mut State,
    event: &Envelope<Event>,
    fingerprint: &str,
    now: Timestamp,
) -> Vec<Said> {
    let mut said = vec![];
    let holds = |incident: &&Incident| {
        let fires = incident.signals.iter().any(|signal| signal.fingerprint == fingerprint);
        let lasts = |of: &Watch| of.fingerprint == fingerprint && event.time >= of.since;
        fires || incident.watched.iter().any(lasts)
    };
    let concerned: Vec<Incident> = state.incidents.values().filter(holds).cloned().collect();
    for incident in concerned {
        let left = incident.signals.len() + incident.watched.len() - 1;
        let cleared = Move::Cleared { fingerprint: fingerprint.to_owned(), left };
        let first = change(event, &incident.id, &incident.target, fingerprint, cleared, now);
        state.said(None, &first);
        said.push(first);
        said.extend(over(state, event, &incident.id, now).or_else(|| {
            let watched = !incident.watched.is_empty() && !incident.alerting && left == 0;
            watched.then(|| well_again(state, event, &incident.id, now)).flatten()
        }));
    }
    said
}

/// A remediation has ended: is the incident over?
pub(super) fn outcome(state: &mut State, outcome: &Envelope<Outcome>, now: Timestamp) -> Vec<Said> {
    match &outcome.data {
        Outcome::Remediation { incident, entry: Entry::Ended { .. }, .. } => {
            let over = over(state, outcome, incident, now);
            let next = over.or_else(|| parked(state, outcome, incident, now));
            let resets = state.guards.take_resets();
            let whole = resets.iter().map(|(guard, key)| {
                news_of_guard(outcome, kind::GUARD_RESET, guard, key, "a probe went well")
            });
            next.into_iter().chain(whole).collect()
        }
        Outcome::Remediation { .. } | Outcome::Page { .. } => vec![],
    }
}

/// News of a guard, as an event that rules may react to.
pub(super) fn news_of_guard<T>(
    cause: &Envelope<T>,
    kind: &str,
    guard: &str,
    key: &str,
    why: &str,
) -> Said {
    let id = Id::of(&["guard", kind, cause.id.as_str(), guard, key]);
    let payload = serde_json::json!({ "guard": guard, "key": key, "why": why });
    let data = Event { payload, ..Event::default() };
    let mut envelope = cause.follow(kind, id, ENGINE, cause.time, data);
    envelope.subject = Target::Other { kind: "guard".into(), name: guard.to_owned() };
    envelope.deadline = None;
    Said::Event(Box::new(envelope))
}

/// What was held back because the target was busy, and still fires now that it is free: a person is told.
fn parked(
    state: &mut State,
    outcome: &Envelope<Outcome>,
    incident: &str,
    now: Timestamp,
) -> Option<Said> {
    let open = state
        .incidents
        .get(incident)
        .filter(|open| open.running.is_none() && !open.signals.is_empty())?;
    let held = state.parked.get(incident)?;
    let decision = Decision { verdict: Verdict::Tell, quiet: None, timer: None, ..held.clone() };
    let id = Id::of(&["decision", outcome.id.as_str(), &held.rule]);
    let mut envelope = outcome.follow(kind::DECISION, id, ENGINE, now, decision);
    envelope.subject = open.target.clone();
    let said = Said::Decision(envelope);
    state.said(None, &said);
    Some(said)
}

/// Over when nothing fires and nothing runs; and, where no alert can tell, when the last plan went well.
fn over<T>(state: &mut State, cause: &Envelope<T>, incident: &str, now: Timestamp) -> Option<Said> {
    let incident = state.incidents.get(incident)?;
    let quiet = incident.signals.is_empty() && incident.running.is_none();
    let well = matches!(incident.last_end.as_deref(), Some("succeeded" | "moot" | "observed"));
    if !quiet || !(incident.alerting || well && !incident.calls) {
        return None;
    }
    let note = match (incident.alerting, incident.note.as_str()) {
        (true, "") => "its alerts have cleared".into(),
        (true, note) => format!("its alerts have cleared; {note}"),
        (false, note) => note.to_owned(),
    };
    let incident = incident.id.clone();
    ends(state, cause, &incident, "resolved", note, now)
}

/// Nobody has to say that it is over: said by the daemon itself.
fn ends<T>(
    state: &mut State,
    cause: &Envelope<T>,
    incident: &str,
    salt: &str,
    note: String,
    now: Timestamp,
) -> Option<Said> {
    let open = state.incidents.get(incident)?;
    let resolved = Move::Resolved { by: "medevac".into(), note };
    let said = change(cause, &open.id, &open.target, salt, resolved, now);
    state.said(None, &said);
    Some(said)
}

/// Nothing that rules watched for is left, and nothing runs.
fn well_again(
    state: &mut State,
    event: &Envelope<Event>,
    incident: &str,
    now: Timestamp,
) -> Option<Said> {
    state.incidents.get(incident).filter(|open| open.running.is_none())?;
    ends(state, event, incident, "well", "what was watched for is over".into(), now)
}

/// A person acknowledges or resolves. A request for what is not open is no news.
pub(super) fn request(state: &mut State, event: &Envelope<Event>, now: Timestamp) -> Vec<Said> {
    let payload = &event.data.payload;
    let text = |key: &str| payload[key].as_str().unwrap_or_default().to_owned();
    let Some(incident) = state.incidents.get(&text("incident")) else { return vec![] };
    let (by, note) = (text("by"), text("note"));
    let asked = if event.kind == kind::INCIDENT_ACK {
        let until = payload["until"].as_str().and_then(|until| until.parse().ok());
        Move::Acknowledged { by, note, until }
    } else {
        Move::Resolved { by, note: if note.is_empty() { "resolved".into() } else { note } }
    };
    let said = change(event, &incident.id, &incident.target, "request", asked, now);
    state.said(None, &said);
    vec![said]
}
