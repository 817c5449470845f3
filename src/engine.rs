//! The engine: from an event to decisions. Complete, before anybody acts.
//!
//! [`step`] is the whole of it: state and one input in, what is to be said out. State is a fold over the
//! log: events make episodes and notices, what the engine said makes incidents, throttles and reservations, outcomes
//! give them back, and what time words remember is a fold over the events and the rules. So recovery is replay.
//! Pure but for `run` and `shelf`. May import: `model`, `rules`.

mod correlate;
mod decide;
mod episode;
mod explain;
mod guard;
mod notice;
pub mod run;
pub mod shelf;
mod state;
mod verdict;
mod windows;

pub use correlate::ENGINE;
pub use decide::Miscount;
pub use episode::{Episodes, News};
pub use explain::{Explanation, OfClause, OfRule, explain, in_words};
pub use guard::{Guards, Holder, Shown};
pub use notice::Notices;
pub use state::State;
pub use windows::Windows;

use crate::model::{Decision, Envelope, Event, IncidentChange, Outcome};
use crate::rules::Ruleset;
use jiff::Timestamp;

/// What the engine hears.
#[derive(Debug, Clone)]
pub enum Input {
    Event(Box<Envelope<Event>>),
    Outcome(Box<Envelope<Outcome>>),
}

/// What the engine says: the only thing that changes incidents, throttles and reservations.
#[derive(Debug, Clone, PartialEq)]
pub enum Said {
    Change(Envelope<IncidentChange>),
    Decision(Envelope<Decision>),
    /// News of the daemon itself that rules may react to: an event like any other.
    Event(Box<Envelope<Event>>),
}

impl Said {
    /// The id of the input that it answers.
    pub fn cause(&self) -> Option<&str> {
        match self {
            Said::Change(envelope) => envelope.cause.iter().last(),
            Said::Decision(envelope) => envelope.cause.iter().last(),
            Said::Event(envelope) => envelope.cause.iter().last(),
        }
    }
}

impl Input {
    pub fn id(&self) -> &crate::model::Id {
        match self {
            Input::Event(envelope) => &envelope.id,
            Input::Outcome(envelope) => &envelope.id,
        }
    }
}

/// Takes `input`, the record at `seq`, into `state` and says what follows from it at `now`.
/// What is said is already folded into `state`.
pub fn step(
    rules: &Ruleset,
    state: &mut State,
    seq: u64,
    input: &Input,
    now: Timestamp,
    misses: &mut Vec<Miscount>,
) -> Vec<Said> {
    state.windows.of_rules(rules);
    let mut said = decide::due(rules, state, now, misses);
    let news = state.take(seq, input, now);
    said.extend(match input {
        Input::Event(event) => decide::event(rules, state, seq, event, news, now, misses),
        Input::Outcome(outcome) => correlate::outcome(state, outcome, now),
    });
    said
}

/// What follows at `now` from nothing having come: the timers of time words that have gone off.
pub fn wake(
    rules: &Ruleset,
    state: &mut State,
    now: Timestamp,
    misses: &mut Vec<Miscount>,
) -> Vec<Said> {
    state.windows.of_rules(rules);
    decide::due(rules, state, now, misses)
}

#[cfg(test)]
mod tests;
