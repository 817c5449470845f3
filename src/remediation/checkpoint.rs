//! The checkpoint handshake: what to ask of which workload, and what its answers and the caches prove.
//!
//! Requested, acknowledged, durable; or expired, and what it would have saved is counted. Where several plans have
//! members of one gang, the first asks and the others watch: the request stands on the gang's leader. How far each
//! has come is in the journal, so that another life goes on where this one ended.

mod asks;
mod requests;
mod room;
mod seen;

use super::Journal;
use super::saga::Work;
use crate::model::{
    Answer, Entry, Handshake, Look, Member, Plan, PlannedCheckpoint, Said, Span, work_since,
};
use asks::Unit;
use jiff::Timestamp;
use room::Room;
pub(super) use room::need;
use seen::Seen;
use std::{collections::BTreeMap, time::Duration};

/// What another plan asked for within this time is this very interruption. A checkpoint of one before it is old.
const SAME: Duration = Duration::from_secs(120);

#[derive(Debug)]
pub(super) struct Checkpoint {
    step: String,
    units: BTreeMap<String, Unit>,
    /// One waits for room.
    crowded: bool,
}

impl Checkpoint {
    pub(super) fn new(step: &str) -> Checkpoint {
        Checkpoint { step: step.to_owned(), units: BTreeMap::new(), crowded: false }
    }

    /// The lines that the journal should have next. `elsewhere`: what the checkpoints of other plans need, in bytes a
    /// second.
    pub(super) fn news(
        &mut self,
        plan: &Plan,
        journal: &Journal,
        look: &Look,
        elsewhere: u64,
        now: Timestamp,
    ) -> Vec<Entry> {
        if look.stale {
            return vec![];
        }
        let mut room = Room::of(plan, journal, &self.step, elsewhere);
        let fresh = room.fresh;
        let mut entries = vec![];
        self.crowded = false;
        for unit in &plan.checkpoints {
            let seen = Seen::of(unit, look);
            let next = match journal.checkpoints.get(&unit.unit) {
                None => {
                    let begun = begin(unit, &seen, fresh, room.has(unit), now);
                    match &begun {
                        Some(Handshake::Requested { .. }) => room.take(unit),
                        Some(_) => {}
                        None => self.crowded = true,
                    }
                    begun
                }
                Some(state) => self.goes_on(unit, state, &seen, now),
            };
            let Some(mut state) = next else { continue };
            let stays = plan.may_stay(&unit.unit);
            if let (true, Handshake::Expired { lost, .. }) = (stays, &mut state) {
                *lost = Span::default();
            }
            let lost = match (&state, plan.policy.as_ref().filter(|_| !stays)) {
                (Handshake::Expired { why, lost }, Some(policy)) => Some(Entry::Escalate {
                    policy: policy.clone(),
                    level: 1,
                    why: format!(
                        "no checkpoint of {} in time: {why}; about {lost} of work are lost with it",
                        unit.unit
                    ),
                }),
                _ => None,
            };
            entries.push(Entry::Checkpoint {
                step: self.step.clone(),
                unit: unit.unit.clone(),
                state,
            });
            entries.extend(lost);
        }
        entries
    }

    /// One waits for room that others may leave.
    pub(super) fn crowded(&self) -> bool {
        self.crowded
    }

    /// What has become of a unit that was asked.
    fn goes_on(
        &self,
        unit: &PlannedCheckpoint,
        state: &Handshake,
        seen: &Seen<'_>,
        now: Timestamp,
    ) -> Option<Handshake> {
        let asked_at = match state {
            Handshake::Requested { at } | Handshake::Acknowledged { at, .. } => *at,
            Handshake::Durable { .. } | Handshake::Expired { .. } => return None,
        };
        let own = self.units.get(&unit.unit);
        // Where another plan asked first, its request is as good as ours.
        let theirs = own.is_some_and(Unit::is_anothers);
        let since = if theirs { earlier(asked_at, SAME) } else { asked_at };
        let told = seen.says(since).or_else(|| own.and_then(|own| own.answered(unit)));
        if let Some(said) = told.as_ref().filter(|said| said.durable) {
            let took = now.duration_since(asked_at).try_into().unwrap_or_default();
            let begun = match state {
                Handshake::Acknowledged { bytes, .. } => *bytes,
                _ => None,
            };
            return Some(Handshake::Durable {
                reference: said.reference.clone(),
                step: said.step,
                bytes: said.bytes.or(begun),
                took: Some(Span(took)),
            });
        }
        if let Some(why) = own.and_then(Unit::failure) {
            return Some(expired(unit, why, now));
        }
        let doomed = |member: &&Member| member.doomed;
        if !unit.members.iter().filter(doomed).any(|it| seen.pods.contains_key(it.uid.as_str())) {
            return Some(expired(unit, "its pods on the node are gone".into(), now));
        }
        if now >= unit.by {
            let why = match state {
                Handshake::Acknowledged { .. } => "it was begun, and is not durable yet",
                _ => "it did not answer",
            };
            return Some(expired(unit, why.into(), now));
        }
        match (state, told) {
            (Handshake::Requested { .. }, Some(said)) => Some(Handshake::Acknowledged {
                at: asked_at,
                ready_at: said.eta.and_then(|eta| now.checked_add(Duration::from_secs(eta)).ok()),
                bytes: said.bytes,
            }),
            _ => None,
        }
    }

    /// What to ask now, each with the unit and the member as its tag.
    pub(super) fn poll(
        &mut self,
        plan: &Plan,
        journal: &Journal,
        look: &Look,
        now: Timestamp,
    ) -> Vec<(String, Work)> {
        let mut work = vec![];
        if look.stale {
            return work;
        }
        for (number, unit) in plan.checkpoints.iter().enumerate() {
            let Some(state) = journal.checkpoints.get(&unit.unit) else { continue };
            let own = self.units.entry(unit.unit.clone()).or_default();
            let asks = match state {
                Handshake::Requested { at } | Handshake::Acknowledged { at, .. } => {
                    own.ask(unit, *at, now)
                }
                Handshake::Durable { reference, step, took: Some(_), .. } => {
                    own.tell(unit, reference.as_deref(), *step, now).into_iter().collect()
                }
                Handshake::Durable { .. } | Handshake::Expired { .. } => vec![],
            };
            work.extend(asks.into_iter().map(|(tag, work)| (format!("{number}/{tag}"), work)));
        }
        work
    }

    pub(super) fn answer(&mut self, plan: &Plan, tag: &str, answer: Answer, now: Timestamp) {
        let Some((number, tag)) = tag.split_once('/') else { return };
        let unit = number.parse().ok().and_then(|at: usize| plan.checkpoints.get(at));
        if let Some(unit) = unit
            && let Some(own) = self.units.get_mut(&unit.unit)
        {
            own.hears(unit, tag, answer, now);
        }
    }

    /// A request is under way whose effect is not known yet.
    pub(super) fn busy(&self) -> bool {
        self.units.values().any(Unit::busy)
    }

    /// Nothing is left to ask or to hear: what came of all of them.
    pub(super) fn over(&self, plan: &Plan, journal: &Journal) -> Option<String> {
        let owes = |unit: &PlannedCheckpoint| {
            let durable = matches!(
                journal.checkpoints.get(&unit.unit),
                Some(Handshake::Durable { took: Some(_), .. })
            );
            durable && self.units.get(&unit.unit).is_some_and(|own| own.owes(unit))
        };
        if self.busy() || plan.checkpoints.iter().any(owes) {
            return None;
        }
        let states = plan.checkpoints.iter().map(|it| journal.checkpoints.get(&it.unit));
        let states: Option<Vec<&Handshake>> = states.collect();
        let states = states.filter(|all| all.iter().all(|state| state.is_over()))?;
        let durable =
            states.iter().filter(|state| matches!(state, Handshake::Durable { .. })).count();
        Some(match (states.len(), states.len() - durable) {
            (0, _) => "nobody asks for one".into(),
            (_, 0) => format!("{durable} durable"),
            (_, expired) => format!("{durable} durable, {expired} expired"),
        })
    }

    /// When to look again, if nothing happens before. Of what is over nothing is waited for.
    pub(super) fn wake_at(&self, plan: &Plan, journal: &Journal) -> Option<Timestamp> {
        let of = |unit: &PlannedCheckpoint| {
            let own = self.units.get(&unit.unit);
            match journal.checkpoints.get(&unit.unit) {
                Some(state) if state.is_over() => own.and_then(Unit::tells_at),
                Some(_) => own.and_then(Unit::next_at).into_iter().chain([unit.by]).min(),
                None => Some(unit.by),
            }
        };
        plan.checkpoints.iter().filter_map(of).min()
    }
}

fn earlier(at: Timestamp, by: Duration) -> Timestamp {
    at.checked_sub(by).unwrap_or(at)
}

/// Whether a unit is asked: not where it is fresh enough, nor where it cannot be ready in time.
fn begin(
    unit: &PlannedCheckpoint,
    seen: &Seen<'_>,
    fresh: Duration,
    room: bool,
    now: Timestamp,
) -> Option<Handshake> {
    let last = seen.pods.values().filter_map(|pod| pod.last_checkpoint()).max();
    let age = last.map(|at| Duration::try_from(now.duration_since(at)).unwrap_or_default());
    if age.is_some_and(|age| age <= fresh) {
        let said =
            seen.pods.values().find_map(|pod| pod.says_of_checkpoint().filter(|it| it.durable));
        let Said { reference, step, bytes, .. } = said.unwrap_or_default();
        return Some(Handshake::Durable { reference, step, bytes, took: None });
    }
    let left = Duration::try_from(unit.by.duration_since(now)).unwrap_or_default();
    if let Some(takes) = unit.takes.filter(|takes| takes.0 > left) {
        let why = format!(
            "it takes about {takes}, and {} are left",
            Span(Duration::from_secs(left.as_secs()))
        );
        return Some(expired(unit, why, now));
    }
    if left.is_zero() {
        return Some(expired(unit, "no time is left for it".into(), now));
    }
    room.then_some(Handshake::Requested { at: now })
}

fn expired(unit: &PlannedCheckpoint, why: String, now: Timestamp) -> Handshake {
    Handshake::Expired { why, lost: work_since(unit.since, unit.members.len(), now) }
}

#[cfg(test)]
mod tests;
