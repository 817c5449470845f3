//! A single call, repeated while it is refused for the moment.

use super::super::saga::Work;
use super::{Machine, Status};
use crate::model::{Answer, Look, Refusal};
use jiff::Timestamp;
use std::time::Duration;

/// How long the caches are waited for to show what the API server has confirmed.
const SHOWN: Duration = Duration::from_secs(5);
/// How long a step that is only refused for being inconvenient is tried.
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Debug)]
pub(in crate::remediation) struct Once {
    work: Option<Work>,
    done: Option<Result<String, String>>,
    in_flight: bool,
    next_at: Timestamp,
    give_up: Timestamp,
    tries: u32,
    idempotent: bool,
    /// Set where the caches have to show the cordon before it counts: what is looked at next must not
    /// mistake their delay for a person's change of mind.
    shows: bool,
    answered: Timestamp,
}

impl Once {
    pub(super) fn machine(
        work: Option<Work>,
        note: &str,
        until: Option<Timestamp>,
        now: Timestamp,
    ) -> Machine {
        let own = now.checked_add(PATIENCE).unwrap_or(now);
        let done = work.is_none().then(|| Ok(note.to_owned()));
        let give_up = until.map_or(own, |until| until.min(own)).max(now);
        Machine::Call(Once {
            work,
            done,
            in_flight: false,
            next_at: now,
            give_up,
            tries: 0,
            idempotent: true,
            shows: false,
            answered: now,
        })
    }

    /// Whether the caches do not show yet what was done.
    fn hidden(&self, look: &Look, now: Timestamp) -> bool {
        let open = look.node.as_ref().is_some_and(|node| !node.unschedulable);
        let since = now.duration_since(self.answered);
        self.shows && open && since < SHOWN.try_into().unwrap_or_default()
    }

    pub(super) fn poll(&mut self, now: Timestamp) -> Option<Work> {
        if self.in_flight || self.done.is_some() || self.next_at > now {
            return None;
        }
        self.in_flight = true;
        self.work.clone()
    }

    pub(super) fn answer(&mut self, answer: Answer, now: Timestamp) {
        self.in_flight = false;
        self.tries += 1;
        let (why, again) = match answer {
            Answer::Done | Answer::Said(_) => {
                self.done = Some(Ok(String::new()));
                self.answered = now;
                return;
            }
            Answer::Refused(
                Refusal::Busy { message, .. }
                | Refusal::Admission(message)
                | Refusal::Changed(message),
            ) => (message, true),
            Answer::Refused(Refusal::Gone) => ("it is gone".into(), false),
            Answer::Refused(
                Refusal::Forbidden(why) | Refusal::Invalid(why) | Refusal::TwoBudgets(why),
            ) => (why, false),
            Answer::Refused(Refusal::Budget { message, .. }) => (message, true),
            Answer::Refused(Refusal::NamespaceEnding) => {
                ("its namespace is being deleted".into(), false)
            }
            Answer::Unknown(why) if self.idempotent => (why, true),
            Answer::Unknown(why) => (format!("nobody knows whether it happened: {why}"), false),
        };
        if !again || now >= self.give_up {
            self.done = Some(Err(why));
            return;
        }
        let pause = Duration::from_millis(250 << self.tries.min(5));
        self.next_at = now.checked_add(pause).unwrap_or(now);
    }

    /// The same call, made once only: nobody promises that twice is the same.
    pub(super) fn once_only(self) -> Once {
        Once { idempotent: false, ..self }
    }

    /// It counts only once the caches show the cordon.
    pub(super) fn shown(self) -> Once {
        Once { shows: true, ..self }
    }

    pub(super) fn status(&self, look: &Look, now: Timestamp) -> Status {
        match &self.done {
            Some(Ok(_)) if self.hidden(look, now) => Status::Working,
            Some(Ok(note)) => Status::Done(note.clone()),
            Some(Err(why)) => Status::Failed(why.clone()),
            None => Status::Working,
        }
    }

    /// A request is under way: what it does is not known yet.
    pub(super) fn busy(&self) -> bool {
        self.in_flight
    }

    pub(super) fn wake_at(&self) -> Option<Timestamp> {
        match self.done {
            Some(_) => self.answered.checked_add(SHOWN).ok(),
            None => (!self.in_flight).then_some(self.next_at),
        }
    }
}
