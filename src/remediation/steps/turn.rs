//! One request at a time, the pause before the next, and what a refusal means.

use crate::model::{Answer, Refusal};
use jiff::Timestamp;
use std::time::Duration;

/// What is watched is looked at so soon at first, and twice as late each time, up to the longest.
const FIRST: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(60);

#[derive(Debug, Clone)]
pub(super) struct Turn {
    in_flight: bool,
    next_at: Timestamp,
    pause: Duration,
}

/// What an answer comes to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Weighed {
    Said(String),
    Gone,
    /// Something else stands in the way, in words.
    Changed(String),
    /// Not now: it is asked again.
    Again(String),
    Never(String),
}

impl Turn {
    pub(super) fn new(now: Timestamp) -> Turn {
        Turn { in_flight: false, next_at: now, pause: FIRST }
    }

    /// Whether it is time to ask; then it is under way.
    pub(super) fn take(&mut self, now: Timestamp) -> bool {
        let mine = !self.in_flight && now >= self.next_at;
        self.in_flight |= mine;
        mine
    }

    pub(super) fn busy(&self) -> bool {
        self.in_flight
    }

    pub(super) fn wake_at(&self) -> Option<Timestamp> {
        (!self.in_flight).then_some(self.next_at)
    }

    /// Another question comes next, at once.
    pub(super) fn on(&mut self, now: Timestamp) {
        *self = Turn::new(now);
    }

    /// The same question, after a while that grows.
    pub(super) fn later(&mut self, now: Timestamp) {
        self.next_at = now.checked_add(self.pause).unwrap_or(now);
        self.pause = (self.pause * 2).min(LONGEST);
    }

    /// Takes an answer in. What is only refused for the moment is asked again by itself.
    pub(super) fn weigh(&mut self, answer: Answer, now: Timestamp) -> Weighed {
        self.in_flight = false;
        let (after, why) = match answer {
            Answer::Done => return Weighed::Said(String::new()),
            Answer::Said(said) => return Weighed::Said(said),
            Answer::Refused(Refusal::Gone) => return Weighed::Gone,
            Answer::Refused(Refusal::Changed(why)) => return Weighed::Changed(why),
            Answer::Refused(
                Refusal::Forbidden(why) | Refusal::Invalid(why) | Refusal::TwoBudgets(why),
            ) => return Weighed::Never(why),
            Answer::Refused(Refusal::NamespaceEnding) => {
                return Weighed::Never("its namespace is being deleted".into());
            }
            Answer::Refused(
                Refusal::Busy { retry_after, message } | Refusal::Budget { retry_after, message },
            ) => (retry_after.unwrap_or(0), message),
            Answer::Refused(Refusal::Admission(why)) | Answer::Unknown(why) => (0, why),
        };
        self.later(now);
        let asked = now.checked_add(Duration::from_secs(after.into())).unwrap_or(now);
        self.next_at = self.next_at.max(asked);
        Weighed::Again(why)
    }
}
