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

/// What has come of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tried<'a> {
    Open,
    Done(&'a str),
    /// What it was about is not there any more.
    Gone(&'a str),
    Failed(&'a str),
}

impl<'a> Tried<'a> {
    /// What is to be said of one that came to an end without doing what was asked.
    pub(super) fn note(&self) -> Option<&'a str> {
        match self {
            Tried::Done(note) | Tried::Gone(note) => Some(*note).filter(|note| !note.is_empty()),
            Tried::Open | Tried::Failed(_) => None,
        }
    }
}

#[derive(Debug)]
enum End {
    Done(String),
    Gone,
    Failed(String),
}

const GONE: &str = "it is gone";

#[derive(Debug)]
pub(in crate::remediation) struct Once {
    work: Option<Work>,
    done: Option<End>,
    /// What is gone needs nothing more.
    or_gone: bool,
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
        Machine::Call(Once::new(work, note, until, now))
    }

    pub(super) fn new(
        work: Option<Work>,
        note: &str,
        until: Option<Timestamp>,
        now: Timestamp,
    ) -> Once {
        let own = now.checked_add(PATIENCE).unwrap_or(now);
        let done = work.is_none().then(|| End::Done(note.to_owned()));
        let give_up = until.map_or(own, |until| until.min(own)).max(now);
        Once {
            work,
            done,
            or_gone: false,
            in_flight: false,
            next_at: now,
            give_up,
            tries: 0,
            idempotent: true,
            shows: false,
            answered: now,
        }
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
                let note = if let Answer::Said(note) = answer { note } else { String::new() };
                self.done = Some(End::Done(note));
                self.answered = now;
                return;
            }
            Answer::Refused(
                Refusal::Busy { message, .. }
                | Refusal::Admission(message)
                | Refusal::Changed(message),
            ) => (message, true),
            Answer::Refused(Refusal::Gone) => {
                self.done = Some(End::Gone);
                return;
            }
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
            self.done = Some(End::Failed(why));
            return;
        }
        let pause = Duration::from_millis(250 << self.tries.min(5));
        self.next_at = now.checked_add(pause).unwrap_or(now);
    }

    /// The same call, made once only: nobody promises that twice is the same.
    pub(super) fn once_only(self) -> Once {
        Once { idempotent: false, ..self }
    }

    /// Tried for so long, where it is only refused for being inconvenient.
    pub(super) fn patient(self, patience: Duration, now: Timestamp) -> Once {
        Once { give_up: now.checked_add(patience).unwrap_or(now), ..self }
    }

    /// It counts only once the caches show the cordon.
    pub(super) fn shown(self) -> Once {
        Once { shows: true, ..self }
    }

    /// Where what is asked for is gone already, all is well.
    pub(super) fn or_gone(self) -> Once {
        Once { or_gone: true, ..self }
    }

    pub(super) fn tried(&self) -> Tried<'_> {
        match &self.done {
            None => Tried::Open,
            Some(End::Done(note)) => Tried::Done(note),
            Some(End::Gone) => Tried::Gone(GONE),
            Some(End::Failed(why)) => Tried::Failed(why),
        }
    }

    pub(super) fn status(&self, look: &Look, now: Timestamp) -> Status {
        match self.tried() {
            Tried::Done(_) if self.hidden(look, now) => Status::Working,
            Tried::Done(note) => Status::Done(note.to_owned()),
            Tried::Gone(why) if self.or_gone => Status::Done(why.to_owned()),
            Tried::Gone(why) | Tried::Failed(why) => Status::Failed(why.to_owned()),
            Tried::Open => Status::Working,
        }
    }

    /// When it is made again.
    pub(super) fn next_try(&self) -> Option<Timestamp> {
        (self.done.is_none() && !self.in_flight).then_some(self.next_at)
    }

    /// A request is under way: what it does is not known yet.
    pub(super) fn busy(&self) -> bool {
        self.in_flight
    }

    pub(super) fn wake_at(&self) -> Option<Timestamp> {
        match self.done {
            Some(_) => self.answered.checked_add(SHOWN).ok(),
            None => self.next_try(),
        }
    }
}
