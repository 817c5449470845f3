//! Machines in place of one that goes: a ladder for each class of workloads, a rung at a time. Which rung is asked is in
//! the journal before it is; what it has brought carries that rung's key, so a life that comes later finds it again.
//!
//! `climb` goes up one ladder, `place` makes the pods that hold a place, `spare` gives back what nobody needs.

mod climb;
mod place;
mod spare;

use super::super::Journal;
use super::super::saga::Work;
use super::Status;
use crate::model::{Answer, Climbed, Entry, Look, Plan, PlannedCapacity, PlannedStep};
use climb::Climb;
use jiff::Timestamp;
use spare::Spare;
use std::time::Duration;

/// Of a placeholder: the key of the rung that made it.
const PLACE: &str = "medevac.dev/place";

/// Machines that nobody needs are worth more than a step that is late: a cloud that is silent comes back.
const OUTAGE: Duration = Duration::from_secs(30 * 60);

/// One climb for each ladder.
#[derive(Debug)]
pub(in crate::remediation) struct Provision {
    step: String,
    climbs: Vec<Climb>,
}

impl Provision {
    pub(super) fn new(plan: &Plan, step: &PlannedStep, until: Timestamp, now: Timestamp) -> Self {
        let climb = |of: &PlannedCapacity| Climb::new(of.clone(), until, now);
        Provision { step: step.name.clone(), climbs: plan.capacity.iter().map(climb).collect() }
    }

    pub(super) fn poll(
        &mut self,
        plan: &Plan,
        journal: &Journal,
        now: Timestamp,
    ) -> Vec<(String, Work)> {
        let step = &self.step;
        let climbs = self.climbs.iter_mut().enumerate();
        climbs
            .filter_map(|(at, climb)| {
                climb.catch_up(plan, step, journal, now);
                Some((at.to_string(), climb.poll(now)?))
            })
            .collect()
    }

    pub(super) fn answer(&mut self, tag: &str, answer: Answer, now: Timestamp) {
        if let Some(climb) = tag.parse().ok().and_then(|at: usize| self.climbs.get_mut(at)) {
            climb.answer(answer, now);
        }
    }

    /// What has to be recorded before anything more is asked.
    pub(super) fn news(
        &mut self,
        plan: &Plan,
        journal: &Journal,
        look: &Look,
        now: Timestamp,
    ) -> Vec<Entry> {
        let step = &self.step;
        let entry = |(ladder, climbed): (String, Climbed)| Entry::Climbed {
            step: step.clone(),
            ladder,
            climbed,
        };
        let climbs = self.climbs.iter_mut();
        climbs
            .filter_map(|climb| {
                climb.catch_up(plan, step, journal, now);
                let waits = without_node(&climb.of, look);
                Some((climb.of.ladder.clone(), climb.news(waits, now)?))
            })
            .map(entry)
            .collect()
    }

    pub(super) fn status(&self, now: Timestamp) -> Status {
        let (mut good, mut bad) = (vec![], vec![]);
        for climb in &self.climbs {
            match climb.over(now) {
                None => return Status::Working,
                Some(Ok(how)) => good.push(how),
                Some(Err(why)) => bad.push(why),
            }
        }
        match (bad.is_empty(), good.is_empty()) {
            (false, true) => Status::Failed(bad.join("; ")),
            // What has come is given back where nobody needs it: only what has ended well can be.
            (_, false) => Status::Done([good, bad].concat().join("; ")),
            (true, true) => Status::Done("no ladder is for what runs here".into()),
        }
    }

    pub(super) fn busy(&self) -> bool {
        self.climbs.iter().any(Climb::busy)
    }

    pub(super) fn wake_at(&self) -> Option<Timestamp> {
        self.climbs.iter().filter_map(Climb::wake_at).min()
    }
}

/// A pod that this ladder is for, or what replaces it, has no node.
fn without_node(of: &PlannedCapacity, look: &Look) -> bool {
    let waiting = of.pods.iter().filter_map(|pod| look.waiting.get(&pod.maker));
    waiting.into_iter().any(|of| of.why.is_some())
}

/// The undo: what a rung has brought is given back, unless something runs on it or waits for it.
#[derive(Debug)]
pub(in crate::remediation) struct GiveBack {
    all: Vec<Spare>,
    until: Timestamp,
    kept: bool,
}

impl GiveBack {
    pub(super) fn new(
        plan: &Plan,
        journal: &Journal,
        step: &str,
        look: &Look,
        now: Timestamp,
    ) -> GiveBack {
        let until = now.checked_add(OUTAGE).unwrap_or(now);
        let spare = |of: &PlannedCapacity| {
            let Climbed { round, rung, .. } = journal.climbed.get(&of.ladder)?;
            Some(Spare::new(plan.order(step, of, *round, *rung)?, now))
        };
        // Machines stay for what waits for one; a place that is held for it is free for it now.
        let (mut all, mut kept) = (vec![], false);
        for of in &plan.capacity {
            let Some(spare) = spare(of) else { continue };
            let waited_for = without_node(of, look) && !spare.holds_places();
            kept |= waited_for;
            all.extend(Some(spare).filter(|_| !waited_for));
        }
        all.extend(plan.brought.iter().map(|order| Spare::new(order.clone(), now)));
        GiveBack { all, until, kept }
    }

    pub(super) fn poll(&mut self, now: Timestamp) -> Vec<(String, Work)> {
        let all = self.all.iter_mut().enumerate();
        all.filter_map(|(at, spare)| Some((at.to_string(), spare.poll(now)?))).collect()
    }

    pub(super) fn answer(&mut self, tag: &str, answer: Answer, now: Timestamp) {
        if let Some(spare) = tag.parse().ok().and_then(|at: usize| self.all.get_mut(at)) {
            spare.answer(answer, now);
        }
    }

    pub(super) fn status(&self, now: Timestamp) -> Status {
        let mut told = vec![];
        for spare in &self.all {
            match spare.over() {
                None if now >= self.until => {
                    return Status::Failed(format!("not given back in time: {}", spare.last));
                }
                None => return Status::Working,
                Some(Ok(how)) => told.push(how.clone()),
                Some(Err(why)) => return Status::Failed(why.clone()),
            }
        }
        if self.kept {
            told.push("machines are kept: pods wait for them".into());
        }
        Status::Done(told.join("; "))
    }

    pub(super) fn busy(&self) -> bool {
        self.all.iter().any(Spare::busy)
    }

    pub(super) fn wake_at(&self) -> Option<Timestamp> {
        self.all.iter().filter_map(Spare::wake_at).chain([self.until]).min()
    }
}

#[cfg(test)]
mod tests;
