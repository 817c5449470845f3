//! The engine's state: a fold over events, over what the engine said, and over outcomes.

use super::decide::{Heard, hear};
use super::guard::{Holder, slot};
use super::{Episodes, Guards, Input, News, Notices, Said, Windows};
use crate::model::{
    Action, Decision, Entry, Envelope, Event, Id, Incident, IncidentChange, IncidentState, Mode,
    Move, Outcome, Pause, Plan, PlanEnd, StepSpec, Suppression, Target, Verdict, kind,
};
use crate::rules::{Facts, Ruleset};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct State {
    /// Inputs up to here are folded in.
    pub inputs_upto: u64,
    /// What was said up to here is folded in.
    pub said_upto: u64,
    pub episodes: Episodes,
    /// What AWS has said about machines.
    #[serde(default)]
    pub notices: Notices,
    pub guards: Guards,
    /// Open incidents by id. A resolved one leaves.
    pub incidents: BTreeMap<String, Incident>,
    /// The open incident of a target.
    by_target: BTreeMap<Target, String>,
    /// Rule and key to the time until which the rule is quiet.
    throttles: BTreeMap<String, Timestamp>,
    /// Deadlines of the plans that run.
    pub(super) deadlines: BTreeMap<Id, Option<Timestamp>>,
    /// Decisions that found the target busy: when it is free and an alert still fires, a person is told.
    #[serde(default)]
    pub(super) parked: BTreeMap<String, Decision>,
    /// What the time words remember.
    #[serde(default)]
    pub windows: Windows,
    /// What people have paused, by id.
    #[serde(default)]
    pub pauses: BTreeMap<String, Pause>,
    /// Incidents changed since they were last indexed, as they stand.
    #[serde(skip)]
    touched: BTreeMap<String, Incident>,
}

/// Longest window that a rate or a throttle may look back on.
const HORIZON: Duration = Duration::from_secs(7 * 86_400);
/// Throttle keys remembered. A key that is pushed out lets its rule act once more.
const MOST_KEYS: usize = 50_000;

impl State {
    /// Folds one input in, and tells what is new about its alert.
    pub(super) fn take(&mut self, seq: u64, input: &Input, now: Timestamp) -> News {
        if seq <= self.inputs_upto {
            return News::Stale;
        }
        self.inputs_upto = seq;
        match input {
            Input::Event(event) => self.take_event(event, now),
            Input::Outcome(outcome) => {
                self.take_outcome(outcome, now);
                News::Other
            }
        }
    }

    /// Folds an input in whose decisions are recorded already.
    pub fn replay(&mut self, rules: &Ruleset, seq: u64, input: &Input, now: Timestamp) {
        while self.windows.next_due(rules, now).is_some() {}
        let news = self.take(seq, input, now);
        // What was reset then was said then.
        self.guards.take_resets();
        let Input::Event(event) = input else { return };
        if news == News::Other {
            for fingerprint in self.reconciled(event) {
                self.episodes.close(&fingerprint, now, now);
                self.windows.cleared(&fingerprint);
            }
        }
        if let (News::Closed, Some(alert)) = (news, &event.data.alert) {
            self.windows.cleared(&alert.fingerprint);
        }
        let facts = Facts::new(event, now);
        hear(rules, &mut self.windows, news, &facts, true, &mut Heard::default());
    }

    fn take_event(&mut self, event: &Envelope<Event>, now: Timestamp) -> News {
        self.tidy(now);
        self.pause(event);
        match &event.data.alert {
            Some(alert) => self.episodes.take(alert, now),
            None if self.notices.confirms(event, now) => News::Again,
            None => News::Other,
        }
    }

    /// The fingerprints that a reconciliation with Alertmanager shows to be over.
    pub(super) fn reconciled(&self, event: &Envelope<Event>) -> Vec<String> {
        if event.kind != kind::GROUP_RECONCILED {
            return vec![];
        }
        let payload = &event.data.payload;
        let group = payload["group_key"].as_str().unwrap_or_default();
        let active: Vec<String> = payload["active"]
            .as_array()
            .map(|all| all.iter().filter_map(|one| one.as_str().map(str::to_owned)).collect())
            .unwrap_or_default();
        self.episodes.hidden_ends(group, &active, event.time)
    }

    /// A person pauses, or takes a pause back.
    fn pause(&mut self, event: &Envelope<Event>) {
        let payload = || event.data.payload.clone();
        match event.kind.as_str() {
            kind::PAUSE => match serde_json::from_value::<Pause>(payload()) {
                Ok(pause) => drop(self.pauses.insert(pause.id.clone(), pause)),
                Err(error) => tracing::warn!(%error, "a pause that cannot be read is passed over"),
            },
            kind::RESUME => {
                let id = event.data.payload["pause"].as_str().unwrap_or_default();
                self.pauses.remove(id);
            }
            _ => {}
        }
    }

    fn take_outcome(&mut self, outcome: &Envelope<Outcome>, now: Timestamp) {
        let Outcome::Remediation { plan, incident, entry: Entry::Ended { how }, .. } =
            &outcome.data
        else {
            return;
        };
        self.guards.ended(plan, how, now);
        if !self.incidents.contains_key(incident) {
            // Nobody will resolve it again: what is stuck is somebody's already.
            self.guards.release(plan);
        }
        self.deadlines.remove(plan);
        if let Some(known) = self.incidents.get_mut(incident) {
            if known.running.as_ref() == Some(plan) {
                known.running = None;
            }
            if !matches!(how, PlanEnd::Superseded { .. }) {
                known.last_end = Some(how.word().into());
                known.note = note(how);
            }
            self.touched.insert(incident.clone(), known.clone());
        }
    }

    /// Folds in what the engine itself said, at `seq` (or not yet recorded: `None`).
    pub fn said(&mut self, seq: Option<u64>, said: &Said) {
        if let Some(seq) = seq {
            if seq <= self.said_upto {
                return;
            }
            self.said_upto = seq;
        }
        match said {
            Said::Change(change) => self.change(change, seq),
            // What was just said needs no telling that its timer went off.
            Said::Decision(decision) => self.decided(decision, seq.is_some()),
            Said::Event(_) => {}
        }
    }

    fn change(&mut self, envelope: &Envelope<IncidentChange>, seq: Option<u64>) {
        let IncidentChange { incident: id, change } = &envelope.data;
        if let Move::Opened { title, severity, signal, event_seq, traceparent } = change {
            let incident = Incident {
                id: id.clone(),
                target: envelope.subject.clone(),
                title: title.clone(),
                severity: *severity,
                state: IncidentState::Open,
                opened_at: envelope.time,
                resolved_at: None,
                acknowledged_by: None,
                note: String::new(),
                epoch: 0,
                signals: signal.iter().cloned().collect(),
                watched: vec![],
                running: None,
                plans: vec![],
                calls: false,
                alerting: signal.is_some(),
                last_end: None,
                traceparent: traceparent.clone(),
                first_seq: *event_seq,
                last_seq: seq.unwrap_or(*event_seq),
            };
            self.by_target.insert(incident.target.clone(), id.clone());
            self.incidents.insert(id.clone(), incident);
        }
        let Some(incident) = self.incidents.get_mut(id) else { return };
        apply(incident, change, envelope.time);
        incident.last_seq = incident.last_seq.max(seq.unwrap_or(0));
        self.touched.insert(id.clone(), incident.clone());
        if incident.state == IncidentState::Resolved {
            // What was stuck is somebody's now, and in order again.
            for plan in
                incident.plans.iter().filter(|plan| incident.running.as_ref() != Some(*plan))
            {
                self.guards.release(plan);
            }
            self.by_target.remove(&incident.target);
            self.incidents.remove(id);
            self.parked.remove(id);
        }
    }

    fn decided(&mut self, envelope: &Envelope<Decision>, read: bool) {
        let decision = &envelope.data;
        if read {
            self.windows.went_off(envelope);
        }
        let Some(incident) = self.incidents.get_mut(&decision.incident) else { return };
        if let Verdict::Act { reserved, steps, .. } = &decision.verdict {
            let plan = Plan::id_of(&decision.incident, decision.epoch);
            incident.epoch = decision.epoch;
            if !incident.plans.contains(&plan) {
                incident.plans.push(plan.clone());
            }
            if decision.mode == Mode::Enforce {
                let asks = |step: &StepSpec| matches!(step.action, Action::Escalate { .. });
                incident.calls |= steps.iter().any(asks);
                incident.running = Some(plan.clone());
                self.deadlines.insert(plan.clone(), decision.deadline);
                let holder = Holder {
                    incident: incident.id.clone(),
                    rule: decision.rule.clone(),
                    target: envelope.subject.clone(),
                    since: envelope.time,
                };
                for reservation in reserved {
                    self.guards.reserve(reservation, &plan, &holder);
                }
            }
            self.touched.insert(incident.id.clone(), incident.clone());
        }
        if let Verdict::Suppressed {
            reason:
                Suppression::Guard { guard, key, trip: Some(calm), release_after: Some(after), .. },
        } = &decision.verdict
        {
            self.guards.refused(slot(guard, key), *calm, *after, envelope.time);
        }
        match &decision.verdict {
            Verdict::Suppressed { reason: Suppression::Busy { .. } } => {
                self.parked.insert(decision.incident.clone(), decision.clone());
            }
            Verdict::Tell => {
                self.parked.remove(&decision.incident);
            }
            Verdict::Suppressed { .. } | Verdict::Act { .. } => {}
        }
        if let Some((key, until)) = decision.quiet.clone() {
            self.throttles.insert(key, until);
        }
    }

    /// The open incident of `target`.
    pub fn incident_of(&self, target: &Target) -> Option<&Incident> {
        self.incidents.get(self.by_target.get(target)?)
    }

    /// Until when the rule is quiet for that key, if it is.
    pub(super) fn quiet_until(&self, key: &str, now: Timestamp) -> Option<Timestamp> {
        self.throttles.get(key).copied().filter(|until| *until > now)
    }

    /// The incidents changed since the last call, as they stand.
    pub fn take_touched(&mut self) -> Vec<Incident> {
        std::mem::take(&mut self.touched).into_values().collect()
    }

    /// Drops what no decision can look at any more.
    fn tidy(&mut self, now: Timestamp) {
        if self.throttles.len() >= MOST_KEYS {
            self.throttles.retain(|_, until| *until > now);
            while self.throttles.len() >= MOST_KEYS {
                self.throttles.pop_first();
            }
        }
        self.pauses.retain(|_, pause| now < pause.until);
        self.guards.forget_before(now.checked_sub(HORIZON).unwrap_or(Timestamp::MIN));
    }
}

fn apply(incident: &mut Incident, change: &Move, at: Timestamp) {
    match change {
        Move::Opened { .. } => {}
        Move::Joined { signal, severity } => {
            incident.severity = incident.severity.max(*severity);
            if let Some(signal) = signal {
                incident.alerting = true;
                if !incident.signals.contains(signal) {
                    incident.signals.push(signal.clone());
                }
            }
        }
        Move::Watched { watch } => {
            incident.watched.retain(|known| known.fingerprint != watch.fingerprint);
            incident.watched.push(watch.clone());
        }
        Move::Cleared { fingerprint, .. } => {
            incident.signals.retain(|signal| signal.fingerprint != *fingerprint);
            incident.watched.retain(|watch| watch.fingerprint != *fingerprint);
        }
        Move::Acknowledged { by, .. } => {
            incident.state = IncidentState::Acknowledged;
            incident.acknowledged_by = Some(by.clone());
        }
        Move::Resolved { by, note } => {
            incident.state = IncidentState::Resolved;
            incident.resolved_at = Some(at);
            incident.note = format!("{note} ({by})");
        }
    }
}

fn note(how: &PlanEnd) -> String {
    match how {
        PlanEnd::Succeeded => "remediated".into(),
        PlanEnd::Failed { step, why } => format!("remediation failed at `{step}`: {why}"),
        PlanEnd::Stuck { step, why } => format!("remediation is stuck at `{step}`: {why}"),
        PlanEnd::Superseded { .. } => "superseded".into(),
        PlanEnd::Moot { why } => format!("remediation ended: {why}"),
        PlanEnd::Observed => "observed only".into(),
    }
}
