//! The ladder: one per incident that needs a person.

mod fold;

use super::{Case, Outbox};
use crate::model::{
    Decision, Directory, Entry, IncidentChange, Mode, Move, PageKey, PageKind, PageStep, Policy,
    Report, Severity, Suppression, Verdict,
};
use crate::planted::{Bug, planted};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// What the room hears.
#[derive(Debug, Clone)]
pub enum Input<'a> {
    Change(&'a IncidentChange, &'a str),
    Decision(&'a Decision),
    Journal {
        incident: &'a str,
        entry: &'a Entry,
    },
    /// A provider refused for good, or too often.
    Undelivered(&'a PageKey),
    /// The clock reached `wake_at`. Harmless when early, late or repeated.
    Woke,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
enum Stand {
    /// Ringing. At `until` it climbs.
    Calling { until: Timestamp },
    /// Quiet hours: the level rings at `until`.
    Held { until: Timestamp },
    /// Somebody owns it. If it still burns at `until`, the calling starts over.
    Owned { until: Timestamp },
    /// Every level was called in vain. At `until` the calling starts over.
    Unanswered { until: Timestamp },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Ladder {
    policy: String,
    level: u32,
    nth: u32,
    /// Rounds since somebody last answered.
    round: u32,
    why: String,
    stand: Stand,
    /// Who took a page, so that they hear when it is over.
    rung: BTreeSet<(u32, String)>,
    /// The first page to each contact, as its provider calls it.
    #[serde(default)]
    threads: BTreeMap<String, String>,
    /// Level, round and name of the contacts that could not be reached: a fallback is not tried in a circle.
    #[serde(default)]
    dead: BTreeSet<(u32, u32, String)>,
}

/// The fold of everything that escalation has to know.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    cases: BTreeMap<String, Case>,
    ladders: BTreeMap<String, Ladder>,
    pub outbox: Outbox,
    /// Notes that were decided to be sent: a repetition after a restart is not another one.
    #[serde(default)]
    noted: BTreeSet<PageKey>,
    /// Position up to which inputs are folded in.
    pub upto: u64,
}

/// Notes remembered.
const MOST_NOTES: usize = 10_000;
/// After nobody answered, the calling starts over so often.
const AGAIN: Duration = Duration::from_secs(1800);

/// Decides what has to be recorded. The caller records it, folds it with [`State::fold`], and only then sends.
pub fn step(
    state: &mut State,
    directory: &Directory,
    input: &Input<'_>,
    now: Timestamp,
) -> Vec<(String, PageStep)> {
    match input {
        Input::Change(change, target) => state.changed(directory, change, target, now),
        Input::Decision(decision) => state.decided(directory, decision, now),
        Input::Journal { incident, entry } => state.journal(directory, incident, entry, now),
        Input::Undelivered(key) => state.undelivered(directory, key, now),
        Input::Woke => state.woke(directory, now),
    }
}

type Said = Vec<(String, PageStep)>;

impl State {
    fn changed(
        &mut self,
        directory: &Directory,
        change: &IncidentChange,
        target: &str,
        now: Timestamp,
    ) -> Said {
        let incident = &change.incident;
        match &change.change {
            Move::Opened { title, severity, traceparent, .. } => {
                let case = Case {
                    title: title.clone(),
                    target: target.into(),
                    severity: *severity,
                    traceparent: traceparent.clone(),
                    ..Case::default()
                };
                self.cases.insert(incident.clone(), case);
                vec![]
            }
            Move::Joined { severity, .. } => {
                if let Some(case) = self.cases.get_mut(incident) {
                    case.severity = case.severity.max(*severity);
                }
                self.too_severe(directory, incident, *severity, now)
            }
            Move::Watched { .. } | Move::Cleared { .. } => vec![],
            Move::Acknowledged { by, until, .. } => {
                self.acknowledged(directory, incident, by, *until, now)
            }
            Move::Resolved { by, .. } => self.resolved(incident, &format!("resolved by {by}")),
        }
    }

    /// What waits for the end of quiet hours, and has become too severe for that, rings.
    fn too_severe(
        &self,
        directory: &Directory,
        incident: &str,
        severity: Severity,
        now: Timestamp,
    ) -> Said {
        let held = self.ladders.get(incident).filter(|it| matches!(it.stand, Stand::Held { .. }));
        let Some(Ladder { policy, level, why, .. }) = held else { return vec![] };
        let quiet = directory.policies.get(policy).and_then(|it| it.quiet_until(severity, now));
        if quiet.is_some() {
            return vec![];
        }
        self.call(directory, incident, policy, *level, severity, why, now)
    }

    fn acknowledged(
        &self,
        directory: &Directory,
        incident: &str,
        by: &str,
        until: Option<Timestamp>,
        now: Timestamp,
    ) -> Said {
        let Some(ladder) = self.ladders.get(incident) else { return vec![] };
        let policy = directory.policies.get(&ladder.policy);
        let holds = policy.map_or(AGAIN, |policy| policy.ack_expires.0);
        let until = until.unwrap_or_else(|| now.checked_add(holds).unwrap_or(now));
        let said = PageStep::Acknowledged { by: by.into(), until };
        self.cancel(incident, "acknowledged")
            .into_iter()
            .chain([(incident.to_owned(), said)])
            .collect()
    }

    /// Pages that are not out yet need not go out any more.
    fn cancel(&self, incident: &str, why: &str) -> Said {
        let undelivered = |key| PageStep::Undelivered { key, why: why.into() };
        self.outbox
            .pending(incident)
            .into_iter()
            .map(|key| (incident.to_owned(), undelivered(key)))
            .collect()
    }

    fn resolved(&mut self, incident: &str, why: &str) -> Said {
        let Some(ladder) = self.ladders.get(incident) else {
            self.cases.remove(incident);
            return vec![];
        };
        let mut said = self.cancel(incident, why);
        // Who took a page, and who may just be getting one.
        let called = self.outbox.tried(incident).chain(ladder.rung.iter().cloned());
        for (level, contact) in called.collect::<BTreeSet<_>>() {
            let key = PageKey {
                incident: incident.into(),
                level,
                nth: ladder.nth,
                contact,
                kind: PageKind::Resolve,
            };
            let mut report = self.report(incident, ladder, None, why);
            report.thread = self.thread(incident, &key.contact);
            said.push((incident.into(), PageStep::Intent { key, report }));
        }
        said.push((incident.into(), PageStep::StoodDown { why: why.into() }));
        said
    }

    fn decided(&mut self, directory: &Directory, decision: &Decision, now: Timestamp) -> Said {
        let case = self.cases.entry(decision.incident.clone()).or_default();
        case.decided(decision);
        let severity = case.severity;
        let Some(policy) = decision.policy.as_ref().filter(|_| decision.mode == Mode::Enforce)
        else {
            return vec![];
        };
        let why = match &decision.verdict {
            Verdict::Tell => format!("the rule `{}` asks for a person", decision.rule),
            Verdict::Suppressed { reason: Suppression::Guard { guard, limit, .. } } => {
                format!("the guard `{guard}` does not let the robot act ({limit})")
            }
            Verdict::Suppressed { reason: Suppression::Paused { by, reason, until, .. } } => {
                format!("the robot keeps still: {by} paused it until {until} ({reason})")
            }
            Verdict::Suppressed { reason: Suppression::Loop } => {
                format!("the rule `{}` feeds itself; it was stopped", decision.rule)
            }
            Verdict::Suppressed { .. } | Verdict::Act { .. } => return vec![],
        };
        self.call(directory, &decision.incident, policy, 1, severity, &why, now)
    }

    fn journal(
        &mut self,
        directory: &Directory,
        incident: &str,
        entry: &Entry,
        now: Timestamp,
    ) -> Said {
        // Without a case the incident is over: what its remediation still says wakes nobody.
        let Some(case) = self.cases.get_mut(incident) else { return vec![] };
        case.acted(entry);
        let severity = case.severity;
        match entry {
            Entry::Escalate { policy, level, why } => {
                self.call(directory, incident, policy, *level, severity, why, now)
            }
            Entry::Notify { contact, text, key } => {
                let case = &self.cases[incident];
                let report = Report {
                    incident: incident.into(),
                    title: text.clone(),
                    target: case.target.clone(),
                    severity,
                    policy: String::new(),
                    level: 0,
                    why: text.clone(),
                    evidence: vec![],
                    missing: vec![],
                    thread: self.thread(incident, contact),
                };
                // One per step: the step's own key makes the repetition of a restart the same page.
                let nth = u32::from_str_radix(key.short(7), 16).unwrap_or(0);
                let (incident, contact) = (incident.to_owned(), contact.clone());
                let key = PageKey {
                    incident: incident.clone(),
                    level: 0,
                    nth,
                    contact,
                    kind: PageKind::Note,
                };
                if self.noted.contains(&key) {
                    vec![]
                } else {
                    vec![(incident, PageStep::Intent { key, report })]
                }
            }
            _ => vec![],
        }
    }

    /// Calls at `level`, unless that level or a higher one rings already or somebody owns it.
    #[expect(clippy::too_many_arguments, reason = "each is one fact of the call")]
    fn call(
        &self,
        directory: &Directory,
        incident: &str,
        policy: &str,
        level: u32,
        severity: Severity,
        why: &str,
        now: Timestamp,
    ) -> Said {
        let Some(found) = directory.policies.get(policy) else {
            return vec![self.unanswered(
                incident,
                &format!("the escalation `{policy}` does not exist: {why}"),
                now,
            )];
        };
        let top = u32::try_from(found.levels.len()).unwrap_or(1);
        // Critical goes straight to the top of the ladder.
        let level = if severity == Severity::Critical { top } else { level.clamp(1, top) };
        match self.ladders.get(incident) {
            // It has become too severe to wait.
            Some(Ladder { stand: Stand::Held { .. }, level: held, nth, .. })
                if found.quiet_until(severity, now).is_none() =>
            {
                self.ring(directory, incident, found, level.max(*held), *nth, why, now)
            }
            Some(ladder)
                if ladder.level >= level || matches!(ladder.stand, Stand::Owned { .. }) =>
            {
                vec![]
            }
            Some(ladder) => self.ring(directory, incident, found, level, ladder.nth, why, now),
            None => self.ring(directory, incident, found, level, 1, why, now),
        }
    }

    /// Calls that level: its contacts, and whoever has the duties that it names. In quiet hours it waits.
    #[expect(clippy::too_many_arguments, reason = "each is one fact of the call")]
    fn ring(
        &self,
        directory: &Directory,
        incident: &str,
        policy: &Policy,
        number: u32,
        nth: u32,
        why: &str,
        now: Timestamp,
    ) -> Said {
        let Some(level) = policy.levels.get(number.saturating_sub(1) as usize) else {
            return vec![];
        };
        let case = self.cases.get(incident).cloned().unwrap_or_default();
        if let Some(until) = policy.quiet_until(case.severity, now) {
            let (policy, why) = (policy.name.clone(), why.to_owned());
            let held = PageStep::Held { policy, level: number, nth, until, why };
            return vec![(incident.to_owned(), held)];
        }
        let mut until = now.checked_add(level.delay.0).unwrap_or(now);
        let called: BTreeSet<&str> =
            level.contacts.iter().filter_map(|name| directory.meant(name, now)).collect();
        // Where nobody has the duty, nobody is waited for.
        if called.is_empty() {
            until = now;
        }
        let calling = PageStep::Calling {
            policy: policy.name.clone(),
            level: number,
            nth,
            until,
            why: why.into(),
        };
        let mut said = vec![(incident.to_owned(), calling)];
        for contact in called {
            let (incident, contact) = (incident.to_owned(), contact.to_owned());
            let mut report = case.report(&incident, &policy.name, number, level, why);
            report.thread = self.thread(&incident, &contact);
            let key = PageKey {
                incident: incident.clone(),
                level: number,
                nth,
                contact,
                kind: PageKind::Trigger,
            };
            said.push((incident, PageStep::Intent { key, report }));
        }
        said
    }

    /// What was told to the contact about the incident before.
    fn thread(&self, incident: &str, contact: &str) -> Option<String> {
        self.ladders.get(incident)?.threads.get(contact).cloned()
    }

    fn report(
        &self,
        incident: &str,
        ladder: &Ladder,
        level: Option<&crate::model::Level>,
        why: &str,
    ) -> Report {
        let case = self.cases.get(incident).cloned().unwrap_or_default();
        let none = crate::model::Level {
            delay: crate::model::Span::default(),
            contacts: vec![],
            evidence: vec![],
        };
        case.report(incident, &ladder.policy, ladder.level, level.unwrap_or(&none), why)
    }

    fn unanswered(&self, incident: &str, why: &str, now: Timestamp) -> (String, PageStep) {
        let until = now.checked_add(AGAIN).unwrap_or(now);
        (incident.to_owned(), PageStep::Unanswered { until, why: why.into() })
    }

    /// A dead line deserves no patience: the fallback is called, else the next level.
    fn undelivered(&mut self, directory: &Directory, key: &PageKey, now: Timestamp) -> Said {
        let Some(ladder) = self.ladders.get(&key.incident) else { return vec![] };
        let current =
            ladder.level == key.level && ladder.nth == key.nth && key.kind == PageKind::Trigger;
        if !current || !matches!(ladder.stand, Stand::Calling { .. }) {
            return vec![];
        }
        let fallback =
            directory.contacts.get(&key.contact).and_then(|contact| contact.fallback.clone());
        let policy = directory.policies.get(&ladder.policy);
        let level =
            policy.and_then(|policy| policy.levels.get(ladder.level.saturating_sub(1) as usize));
        if let Some(contact) = fallback {
            let other = PageKey { contact, ..key.clone() };
            let dead = ladder.dead.contains(&(other.level, other.nth, other.contact.clone()));
            if !dead
                && !self.outbox.knows(&other)
                && !ladder.rung.contains(&(other.level, other.contact.clone()))
            {
                let report = self.report(&key.incident, ladder, level, &ladder.why);
                return vec![(key.incident.clone(), PageStep::Intent { key: other, report })];
            }
        }
        let hope = ladder.rung.iter().any(|(level, _)| *level == key.level)
            || self.outbox.pending(&key.incident).iter().any(|other| other != key);
        if hope { vec![] } else { self.climb(directory, &key.incident.clone(), now) }
    }

    /// The next level; after the last, the next round; after the last round, nobody answered.
    fn climb(&self, directory: &Directory, incident: &str, now: Timestamp) -> Said {
        let Some(ladder) = self.ladders.get(incident) else { return vec![] };
        let Some(policy) = directory.policies.get(&ladder.policy) else {
            return vec![self.unanswered(incident, "its escalation is not defined any more", now)];
        };
        if (ladder.level as usize) < policy.levels.len() {
            let next = ladder.level + 1;
            return self.ring(directory, incident, policy, next, ladder.nth, &ladder.why, now);
        }
        if ladder.round < policy.rounds {
            let nth = ladder.nth + u32::from(!planted(Bug::ReusePageKey));
            return self.ring(directory, incident, policy, 1, nth, &ladder.why, now);
        }
        vec![self.unanswered(
            incident,
            &format!("nobody answered on any level of `{}`", policy.name),
            now,
        )]
    }

    fn woke(&self, directory: &Directory, now: Timestamp) -> Said {
        let mut said = vec![];
        for (incident, ladder) in &self.ladders {
            match &ladder.stand {
                Stand::Calling { until } if *until <= now => {
                    said.extend(self.climb(directory, incident, now))
                }
                Stand::Held { until } if *until <= now => {
                    if let Some(policy) = directory.policies.get(&ladder.policy) {
                        let (level, nth, why) = (ladder.level, ladder.nth, &ladder.why);
                        said.extend(self.ring(directory, incident, policy, level, nth, why, now));
                    } else {
                        let why = "its escalation is not defined any more";
                        said.push(self.unanswered(incident, why, now));
                    }
                }
                Stand::Owned { until } | Stand::Unanswered { until } if *until <= now => {
                    match directory.policies.get(&ladder.policy) {
                        Some(policy) => {
                            let why = format!(
                                "still open: {}",
                                ladder.why.trim_start_matches("still open: ")
                            );
                            let nth = ladder.nth + 1;
                            said.extend(self.ring(directory, incident, policy, 1, nth, &why, now));
                        }
                        None => said.push(self.unanswered(
                            incident,
                            "its escalation is not defined any more",
                            now,
                        )),
                    }
                }
                _ => {}
            }
        }
        said
    }

    /// The deadline is part of the state, so a restart cannot lose it.
    pub fn wake_at(&self) -> Option<Timestamp> {
        let ladders = self.ladders.values().map(|ladder| match &ladder.stand {
            Stand::Calling { until }
            | Stand::Held { until }
            | Stand::Owned { until }
            | Stand::Unanswered { until } => *until,
        });
        ladders.min()
    }

    /// What is known about an incident that may need a person.
    pub fn case(&self, incident: &str) -> Option<&Case> {
        self.cases.get(incident)
    }
}
