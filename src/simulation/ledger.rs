//! What has happened so far, as plain facts: a fold over the log, the rings and the calls. Expectations ask it.

mod open;

use crate::model::{
    Decision, Entry, Envelope, Event, Handshake, Id, IncidentChange, Mode, Move, Outcome, PageKey,
    PageStep, Plan, PlanEnd, PodRecord, Severity, Suppression, Target, Verdict,
};
use jiff::Timestamp;
pub(super) use open::{Opened, open};
use std::collections::BTreeMap;

#[derive(Debug, Clone)]
pub struct IncidentFact {
    pub target: Target,
    pub title: String,
    pub severity: Severity,
    pub opened: Timestamp,
    pub resolved: Option<Timestamp>,
    /// A decision asked for a person, or a plan failed.
    pub needs_person: bool,
}

#[derive(Debug, Clone)]
pub struct DecisionFact {
    pub at: Timestamp,
    pub rule: String,
    pub verdict: &'static str,
    pub target: Target,
    pub incident: String,
    /// The guard that refused.
    pub guard: Option<String>,
}

/// Where a step stands, and the process that said so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepFact {
    pub word: &'static str,
    pub life: u32,
    pub at: Timestamp,
}

#[derive(Debug, Clone)]
pub struct PlanFact {
    pub plan: Plan,
    pub made: Timestamp,
    pub steps: BTreeMap<String, StepFact>,
    /// How far each has come.
    pub checkpoints: BTreeMap<String, Handshake>,
    /// What became of each pod, as the journal has it.
    pub pods: Vec<PodRecord>,
    pub began: bool,
    pub ended: Option<(Timestamp, PlanEnd)>,
}

impl PlanFact {
    /// It holds its target: something was begun, and it has not ended.
    pub fn holds(&self) -> bool {
        self.began && self.ended.is_none()
    }

    /// The steps that are under way.
    pub fn open(&self) -> impl Iterator<Item = (&String, &StepFact)> {
        self.steps.iter().filter(|(_, step)| matches!(step.word, "started" | "undoing" | "unknown"))
    }
}

/// Where the ladder of an incident stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LadderFact {
    pub level: u32,
    pub nth: u32,
    pub until: Timestamp,
}

#[derive(Debug, Clone)]
pub struct Ring {
    pub at: Timestamp,
    pub key: PageKey,
}

#[derive(Debug, Clone, Default)]
pub struct Ledger {
    pub events: u64,
    /// Every event and when the log took it, where somebody wants them.
    pub kept: Option<Vec<(Envelope<Event>, Timestamp)>>,
    pub dead_letters: u64,
    pub incidents: BTreeMap<String, IncidentFact>,
    pub decisions: Vec<DecisionFact>,
    pub plans: BTreeMap<Id, PlanFact>,
    /// The plan that holds a target.
    pub holders: BTreeMap<Target, Id>,
    pub ladders: BTreeMap<String, LadderFact>,
    pub rings: Vec<Ring>,
    pub unanswered: u64,
    /// When, URL and key of every call that arrived.
    pub web: Vec<(Timestamp, String, String)>,
    pub cordoned_most: usize,
}

/// The verdict in the word that expectations use.
pub(super) fn word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Act { .. } => "act",
        Verdict::Tell => "tell",
        Verdict::Suppressed { reason } => match reason {
            Suppression::Throttled { .. } => "throttled",
            Suppression::Guard { .. } => "guard",
            Suppression::Hours { .. } => "hours",
            Suppression::Busy { .. } => "busy",
            Suppression::Loop => "loop",
            Suppression::Paused { .. } => "paused",
        },
    }
}

impl Ledger {
    /// Takes one record in, said by process `life`.
    pub(super) fn take(&mut self, opened: &Opened, at: Timestamp, life: u32) {
        match opened {
            Opened::Event(event) => {
                self.events += 1;
                if let Some(kept) = &mut self.kept {
                    kept.push(((**event).clone(), at));
                }
            }
            Opened::Dead => self.dead_letters += 1,
            Opened::Change(change) => self.change(change, at),
            Opened::Decision(decision) => self.decision(decision, at),
            Opened::Plan(plan) => {
                let data = plan.data.clone();
                let fact = PlanFact {
                    made: at,
                    steps: BTreeMap::new(),
                    checkpoints: BTreeMap::new(),
                    pods: vec![],
                    began: false,
                    ended: None,
                    plan: data,
                };
                self.plans.entry(plan.data.id.clone()).or_insert(fact);
            }
            Opened::Outcome(outcome) => match &outcome.data {
                Outcome::Remediation { plan, incident, entry, .. } => {
                    self.journal(plan, incident, entry, at, life);
                }
                Outcome::Page { incident, step } => self.page(incident, step),
            },
        }
    }

    fn change(&mut self, change: &Envelope<IncidentChange>, at: Timestamp) {
        let id = &change.data.incident;
        match &change.data.change {
            Move::Opened { title, severity, .. } => {
                let fact = IncidentFact {
                    target: change.subject.clone(),
                    title: title.clone(),
                    severity: *severity,
                    opened: at,
                    resolved: None,
                    needs_person: false,
                };
                self.incidents.insert(id.clone(), fact);
            }
            Move::Joined { severity, .. } => {
                if let Some(incident) = self.incidents.get_mut(id) {
                    incident.severity = incident.severity.max(*severity);
                }
            }
            Move::Resolved { .. } => {
                if let Some(incident) = self.incidents.get_mut(id) {
                    incident.resolved = Some(at);
                }
                self.ladders.remove(id);
            }
            Move::Watched { .. } | Move::Cleared { .. } | Move::Acknowledged { .. } => {}
        }
    }

    fn decision(&mut self, decision: &Envelope<Decision>, at: Timestamp) {
        let data = &decision.data;
        let verdict = word(&data.verdict);
        self.decisions.push(DecisionFact {
            at,
            rule: data.rule.clone(),
            verdict,
            target: decision.subject.clone(),
            incident: data.incident.clone(),
            guard: match &data.verdict {
                Verdict::Suppressed { reason: Suppression::Guard { guard, .. } } => {
                    Some(guard.clone())
                }
                _ => None,
            },
        });
        let calls = matches!(verdict, "tell" | "guard" | "loop" | "paused");
        if calls && data.policy.is_some() && data.mode == Mode::Enforce {
            self.needs_person(&data.incident);
        }
    }

    fn needs_person(&mut self, incident: &str) {
        if let Some(incident) = self.incidents.get_mut(incident) {
            incident.needs_person = true;
        }
    }

    fn journal(&mut self, id: &Id, incident: &str, entry: &Entry, at: Timestamp, life: u32) {
        if matches!(entry, Entry::Escalate { .. }) {
            self.needs_person(incident);
        }
        let Some(fact) = self.plans.get_mut(id) else { return };
        if let Entry::Checkpoint { unit, state, .. } = entry {
            fact.checkpoints.insert(unit.clone(), state.clone());
        } else if let Entry::Climbed { .. } | Entry::Found { .. } = entry {
            // A step that has begun goes on.
        } else if let Entry::Pods { pods, .. } = entry {
            fact.pods.extend(pods.iter().cloned());
        } else if let Some(step) = entry.step() {
            let word = match entry {
                Entry::Started { .. } => "started",
                Entry::Unknown { .. } => "unknown",
                Entry::Succeeded { .. } => "succeeded",
                Entry::Failed { .. } => "failed",
                Entry::Skipped { .. } => "skipped",
                Entry::UndoStarted { .. } => "undoing",
                Entry::Undone { .. } => "undone",
                Entry::UndoFailed { .. } => "undo-failed",
                Entry::Accepted
                | Entry::Checkpoint { .. }
                | Entry::Climbed { .. }
                | Entry::Found { .. }
                | Entry::Pods { .. }
                | Entry::Escalate { .. }
                | Entry::Notify { .. }
                | Entry::Ended { .. } => "",
            };
            fact.steps.insert(step.to_owned(), StepFact { word, life, at });
        }
        let target = fact.plan.target.clone();
        if matches!(entry, Entry::Started { .. }) && !std::mem::replace(&mut fact.began, true) {
            self.holders.insert(target.clone(), id.clone());
        }
        if let Entry::Ended { how } = entry {
            fact.ended = Some((at, how.clone()));
            if self.holders.get(&target) == Some(id) {
                self.holders.remove(&target);
            }
        }
    }

    fn page(&mut self, incident: &str, step: &PageStep) {
        match step {
            PageStep::Calling { level, nth, until, .. }
            | PageStep::Held { level, nth, until, .. } => {
                let ladder = LadderFact { level: *level, nth: *nth, until: *until };
                self.ladders.insert(incident.to_owned(), ladder);
            }
            PageStep::Acknowledged { until, .. } | PageStep::Unanswered { until, .. } => {
                if let Some(ladder) = self.ladders.get_mut(incident) {
                    ladder.until = *until;
                }
                self.unanswered += u64::from(matches!(step, PageStep::Unanswered { .. }));
            }
            PageStep::StoodDown { .. } => {
                self.ladders.remove(incident);
            }
            PageStep::Intent { .. }
            | PageStep::Attempt { .. }
            | PageStep::Delivered { .. }
            | PageStep::Undelivered { .. } => {}
        }
    }

    /// Incidents that are not over.
    pub fn open_incidents(&self) -> impl Iterator<Item = (&String, &IncidentFact)> {
        self.incidents.iter().filter(|(_, incident)| incident.resolved.is_none())
    }
}
