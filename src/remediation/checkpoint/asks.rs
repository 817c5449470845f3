//! One unit's requests: first the claim on its leader, then each member as it wants to be asked, then the proof.

use super::super::saga::Work;
use super::requests::{first, patch, proof};
use super::{SAME, earlier};
use crate::model::{
    Answer, Claim, Member, PlannedCheckpoint, Proof, REQUEST, Refusal, STATE, Said, Transport,
};
use jiff::Timestamp;
use serde_json::json;
use std::{collections::BTreeMap, time::Duration};

/// Whoever has only acknowledged is asked again so much later.
const AGAIN: Duration = Duration::from_secs(2);
/// A request that did not come through is made again after so long, so often.
const RETRY: Duration = Duration::from_secs(1);
const TRIES: u32 = 5;

/// One request, to one member.
#[derive(Debug, Clone, Default)]
struct Ask {
    in_flight: bool,
    next_at: Option<Timestamp>,
    tries: u32,
    /// What came back, where something did.
    said: Option<Said>,
    /// The file that proves it is as new as it has to be.
    proved: bool,
    /// It will not come through.
    failed: Option<String>,
}

/// One unit, as this life knows it.
#[derive(Debug, Clone, Default)]
pub(super) struct Unit {
    /// Whether the request that stands on the leader is this plan's.
    ours: Option<bool>,
    claim: Ask,
    asks: BTreeMap<usize, Ask>,
    asked_at: Option<Timestamp>,
    /// The leader is told of the end: other plans look there.
    telling: Ask,
    told: bool,
}

impl Unit {
    /// Another plan has asked already.
    pub(super) fn is_anothers(&self) -> bool {
        self.ours == Some(false)
    }

    pub(super) fn busy(&self) -> bool {
        self.claim.in_flight
            || self.telling.in_flight
            || self.asks.values().any(|ask| ask.in_flight)
    }

    /// When one of its requests is made again.
    pub(super) fn next_at(&self) -> Option<Timestamp> {
        let all = self.asks.values().chain([&self.claim]);
        all.filter_map(Ask::again_at).min()
    }

    /// When its leader is told again.
    pub(super) fn tells_at(&self) -> Option<Timestamp> {
        self.telling.again_at().filter(|_| !self.told)
    }

    /// Why it cannot become durable.
    pub(super) fn failure(&self) -> Option<String> {
        self.asks.values().chain([&self.claim]).find_map(|ask| ask.failed.clone())
    }

    /// Who is asked: all members, or the leader alone. Ray drains the nodes that go, and no other.
    fn asked(unit: &PlannedCheckpoint) -> impl Iterator<Item = (usize, &Member)> {
        let rays = unit.means.transport == Transport::Ray;
        let most = if unit.means.all || rays { unit.members.len() } else { 1 };
        unit.members.iter().enumerate().take(most).filter(move |(_, it)| !rays || it.doomed)
    }

    /// What all who were asked have answered, taken together. Of annotations the caches tell.
    pub(super) fn answered(&self, unit: &PlannedCheckpoint) -> Option<Said> {
        if self.ours != Some(true) || unit.means.transport == Transport::Annotation {
            return None;
        }
        let said: Vec<Option<Said>> =
            Unit::asked(unit).map(|(at, _)| self.asks.get(&at)?.result(unit)).collect();
        let all: Option<Vec<&Said>> = said.iter().map(Option::as_ref).collect();
        match all.filter(|all| all.iter().all(|said| said.durable)) {
            Some(all) => all
                .iter()
                .find(|said| said.reference.is_some())
                .or(all.first())
                .map(|it| (*it).clone()),
            None => said.iter().flatten().next().map(|it| Said { durable: false, ..it.clone() }),
        }
    }

    /// What to ask now, each with its tag.
    pub(super) fn ask(
        &mut self,
        unit: &PlannedCheckpoint,
        at: Timestamp,
        now: Timestamp,
    ) -> Vec<(String, Work)> {
        self.asked_at = Some(at);
        let Some(leader) = unit.members.first() else { return vec![] };
        let request =
            json!({ "id": unit.id, "at": at, "by": unit.by, "unit": unit.unit }).to_string();
        match self.ours {
            Some(false) => vec![],
            None if self.claim.due(now) => {
                self.claim.in_flight = true;
                let claim = Claim { id: unit.id.as_str().into(), since: earlier(at, SAME) };
                vec![("claim".into(), patch(leader, REQUEST, request, Some(claim)))]
            }
            None => vec![],
            Some(true) => self.members(unit, &request, now),
        }
    }

    fn members(
        &mut self,
        unit: &PlannedCheckpoint,
        request: &str,
        now: Timestamp,
    ) -> Vec<(String, Work)> {
        let mut work = vec![];
        for (at, member) in Unit::asked(unit) {
            let ask = self.asks.entry(at).or_default();
            if !ask.due(now) {
                continue;
            }
            let next = match (&unit.means.transport, &ask.said) {
                // The claim was the leader's request already.
                (Transport::Annotation, Some(_)) => None,
                (Transport::Annotation, None) if at == 0 => None,
                (_, Some(said)) if said.durable && unit.means.proof == Proof::Answer => None,
                (_, Some(_)) if ask.proved => None,
                (Transport::Http { .. } | Transport::Nats { .. }, Some(said)) if !said.durable => {
                    Some(first(unit, member, request, now))
                }
                (_, Some(_)) => proof(unit, member),
                (_, None) => Some(first(unit, member, request, now)),
            };
            // Whoever has nothing more to ask is not woken for it.
            ask.next_at = None;
            if let Some(call) = next {
                ask.in_flight = true;
                work.push((at.to_string(), call));
            }
        }
        work
    }

    /// It is durable, and its leader has not been told so.
    pub(super) fn owes(&self, unit: &PlannedCheckpoint) -> bool {
        let ours = self.ours == Some(true) && unit.means.transport != Transport::Annotation;
        ours && !self.told && self.telling.failed.is_none()
    }

    /// The leader is told that it is durable: other plans look there.
    pub(super) fn tell(
        &mut self,
        unit: &PlannedCheckpoint,
        reference: Option<&str>,
        step: Option<u64>,
        now: Timestamp,
    ) -> Option<(String, Work)> {
        let leader = unit.members.first()?;
        if !self.owes(unit) || !self.telling.due(now) {
            return None;
        }
        self.telling.in_flight = true;
        let state = json!({ "state": "durable", "id": unit.id, "at": now, "reference": reference, "step": step });
        Some(("told".into(), patch(leader, STATE, state.to_string(), None)))
    }

    pub(super) fn hears(
        &mut self,
        unit: &PlannedCheckpoint,
        tag: &str,
        answer: Answer,
        now: Timestamp,
    ) {
        match tag.parse::<usize>() {
            Ok(at) => {
                let since = self.asked_at;
                if let Some(ask) = self.asks.get_mut(&at) {
                    ask.hears(unit, since, answer, now);
                }
            }
            Err(_) if tag == "told" => match answer {
                Answer::Done | Answer::Said(_) => {
                    (self.told, self.telling) = (true, Ask::default())
                }
                other => self.telling.refused(other, now),
            },
            Err(_) => match answer {
                Answer::Done | Answer::Said(_) => {
                    (self.ours, self.claim) = (Some(true), Ask::default())
                }
                Answer::Refused(Refusal::Changed(_)) => {
                    (self.ours, self.claim) = (Some(false), Ask::default());
                }
                other => self.claim.refused(other, now),
            },
        }
    }
}

impl Ask {
    fn due(&self, now: Timestamp) -> bool {
        !self.in_flight && self.failed.is_none() && self.next_at.is_none_or(|at| at <= now)
    }

    fn again_at(&self) -> Option<Timestamp> {
        self.next_at.filter(|_| !self.in_flight && self.failed.is_none())
    }

    fn result(&self, unit: &PlannedCheckpoint) -> Option<Said> {
        let said = self.said.clone()?;
        Some(match unit.means.proof {
            Proof::Answer => said,
            Proof::File { .. } | Proof::Object { .. } => Said { durable: self.proved, ..said },
        })
    }

    fn hears(
        &mut self,
        unit: &PlannedCheckpoint,
        since: Option<Timestamp>,
        answer: Answer,
        now: Timestamp,
    ) {
        self.in_flight = false;
        let text = match answer {
            Answer::Done => String::new(),
            Answer::Said(text) => text,
            // What is not there yet is no failure.
            Answer::Refused(Refusal::Invalid(_)) if self.said.is_some() => String::new(),
            Answer::Refused(Refusal::Gone) if self.said.is_some() && unit.means.is_object() => {
                String::new()
            }
            other => return self.refused(other, now),
        };
        (self.next_at, self.tries) = (now.checked_add(AGAIN).ok(), 0);
        // These only hear that they shall.
        let is_durable = !matches!(
            unit.means.transport,
            Transport::Signal { .. } | Transport::Annotation | Transport::Ray
        );
        let looked_at_file = self.said.as_ref().is_some_and(|said| {
            !matches!(unit.means.transport, Transport::Http { .. } | Transport::Nats { .. })
                || said.durable
        });
        if looked_at_file {
            let changed = text.trim().parse().ok().and_then(|at| Timestamp::from_second(at).ok());
            // Files and objects tell whole seconds.
            self.proved = changed
                .is_some_and(|at| since.is_some_and(|since| at.as_second() >= since.as_second()));
            return;
        }
        // The last line that says something counts; who ends well without a word has done what was asked.
        let said = text.lines().rev().find_map(Said::read);
        self.said = Some(said.unwrap_or(Said { durable: is_durable, ..Said::default() }));
    }

    fn refused(&mut self, answer: Answer, now: Timestamp) {
        self.in_flight = false;
        match answer {
            Answer::Refused(Refusal::Gone | Refusal::Changed(_)) => {
                self.failed = Some("the pod is gone".into());
            }
            Answer::Refused(
                Refusal::Forbidden(why) | Refusal::Invalid(why) | Refusal::TwoBudgets(why),
            ) => self.failed = Some(why),
            Answer::Refused(Refusal::NamespaceEnding) => {
                self.failed = Some("its namespace is being deleted".into());
            }
            Answer::Refused(
                Refusal::Busy { message, .. }
                | Refusal::Budget { message, .. }
                | Refusal::Admission(message),
            )
            | Answer::Unknown(message) => {
                self.tries += 1;
                self.next_at = now.checked_add(RETRY).ok();
                if self.tries >= TRIES {
                    self.failed = Some(message);
                }
            }
            Answer::Done | Answer::Said(_) => {}
        }
    }
}
