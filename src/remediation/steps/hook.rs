//! The hook of an Auto Scaling group: told that its action goes on for as long as something moves, and that it is over
//! once the steps before it are done.

use super::super::saga::Work;
use super::super::{Journal, StepState};
use super::Status;
use super::once::{Once, Tried};
use crate::model::{Answer, CloudCall, Entry, Hook, HookResult, Look, Plan, Refusal};
use jiff::Timestamp;
use std::time::Duration;

/// So many beats, and so long, without anything having moved, and a person hears of it; the group is left to its own
/// patience.
const STILL: u32 = 2;
const STILL_FOR: Duration = Duration::from_secs(300);
/// Before a heartbeat that was lost is sent again.
const AGAIN: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(in crate::remediation) struct HookMachine {
    hook: Hook,
    result: HookResult,
    after: Vec<String>,
    next_beat: Timestamp,
    beating: bool,
    /// What was there at the last beat: pods that have to go, and those that are on their way.
    seen: (usize, usize),
    still: u32,
    moved_at: Timestamp,
    told: bool,
    /// Why the group does not take our word.
    refused: Option<String>,
    completing: Option<Once>,
}

impl HookMachine {
    pub(super) fn new(
        hook: Hook,
        result: HookResult,
        after: Vec<String>,
        now: Timestamp,
    ) -> HookMachine {
        HookMachine {
            hook,
            result,
            after,
            // At once: another life may have told it last, a while ago.
            next_beat: now,
            beating: false,
            seen: (usize::MAX, 0),
            still: 0,
            moved_at: now,
            told: false,
            refused: None,
            completing: None,
        }
    }

    fn ready(&self, journal: &Journal) -> bool {
        let over = |step: &String| {
            matches!(journal.state(step), StepState::Succeeded { .. } | StepState::Skipped)
        };
        self.after.iter().all(over)
    }

    pub(super) fn poll(
        &mut self,
        journal: &Journal,
        look: &Look,
        now: Timestamp,
    ) -> Vec<(String, Work)> {
        if self.ready(journal) {
            let (hook, result) = (self.hook.clone(), self.result);
            let call = self.completing.get_or_insert_with(|| {
                let work = Work::Cloud(CloudCall::CompleteHook { hook, result });
                Once::new(Some(work), "", None, now)
            });
            return call.poll(now).map(|work| ("complete".to_owned(), work)).into_iter().collect();
        }
        if self.beating || now < self.next_beat {
            return vec![];
        }
        self.next_beat = now.checked_add(self.hook.beat()).unwrap_or(now);
        // What cannot be seen may move.
        if !look.stale {
            self.judge(journal, look, now);
        }
        if self.stands(now) {
            return vec![];
        }
        self.beating = true;
        vec![("beat".into(), Work::Cloud(CloudCall::Heartbeat { hook: self.hook.clone() }))]
    }

    fn judge(&mut self, journal: &Journal, look: &Look, now: Timestamp) {
        let go = look.pods.iter().filter(|pod| pod.stays().is_none());
        let going = go.clone().filter_map(|pod| pod.deleted_at);
        let seen = (go.count(), going.clone().count());
        // Whoever still has time to end, or to write a checkpoint, is getting on.
        let busy = going.clone().any(|by| by > now)
            || journal.checkpoints.values().any(|state| !state.is_over());
        if busy || seen != self.seen {
            (self.still, self.moved_at) = (0, now);
        } else {
            self.still += 1;
        }
        self.seen = seen;
    }

    fn stands(&self, now: Timestamp) -> bool {
        let long = now.duration_since(self.moved_at) >= STILL_FOR.try_into().unwrap_or_default();
        self.still >= STILL && long
    }

    /// A heartbeat that is lost is sent again, long before the group gives up.
    pub(super) fn answer(&mut self, tag: &str, answer: Answer, now: Timestamp) {
        match (tag, &mut self.completing) {
            ("complete", Some(call)) => call.answer(answer, now),
            _ => {
                self.beating = false;
                match answer {
                    Answer::Done | Answer::Said(_) | Answer::Refused(Refusal::Gone) => {}
                    Answer::Refused(Refusal::Forbidden(why) | Refusal::Invalid(why)) => {
                        self.refused = Some(why);
                    }
                    Answer::Refused(_) | Answer::Unknown(_) => {
                        self.next_beat = now.checked_add(AGAIN).unwrap_or(now).min(self.next_beat);
                    }
                }
            }
        }
    }

    /// Nothing has moved for too long: said once.
    pub(super) fn news(&mut self, plan: &Plan, now: Timestamp) -> Vec<Entry> {
        if !self.stands(now) || std::mem::replace(&mut self.told, true) {
            return vec![];
        }
        let policy = plan.policy.iter();
        let (left, _) = self.seen;
        let why = format!(
            "the hook `{}` of {} waits for {left} pods, and none of them has moved for five minutes; the group is not held back any longer",
            self.hook.name, self.hook.group
        );
        policy
            .map(|policy| Entry::Escalate { policy: policy.clone(), level: 1, why: why.clone() })
            .collect()
    }

    pub(super) fn busy(&self) -> bool {
        self.beating || self.completing.as_ref().is_some_and(Once::busy)
    }

    pub(super) fn status(&self) -> Status {
        match self.completing.as_ref().map(Once::tried) {
            None | Some(Tried::Open) => Status::Working,
            Some(Tried::Done(_)) => Status::Done(match &self.refused {
                None => format!("{} goes on", self.hook.group),
                Some(why) => format!("{} goes on; it took no heartbeat: {why}", self.hook.group),
            }),
            // It has gone on without us: what was to be done before is done.
            Some(Tried::Gone(_)) => {
                Status::Done(format!("{} does not wait any more", self.hook.group))
            }
            Some(Tried::Failed(why)) => Status::Failed(why.to_owned()),
        }
    }

    pub(super) fn wake_at(&self, journal: &Journal) -> Option<Timestamp> {
        match &self.completing {
            Some(call) => call.next_try(),
            None if self.ready(journal) => Some(Timestamp::MIN),
            None => (!self.beating).then_some(self.next_beat),
        }
    }
}

#[cfg(test)]
mod tests;
