//! A record of the log, opened by its stream and type.

use crate::log::{Record, Stream};
use crate::model::{Decision, Envelope, Event, IncidentChange, Outcome, Plan, kind};

/// A record, opened.
pub(in crate::simulation) enum Opened {
    Event(Box<Envelope<Event>>),
    Change(Box<Envelope<IncidentChange>>),
    Decision(Box<Envelope<Decision>>),
    Plan(Box<Envelope<Plan>>),
    Outcome(Box<Envelope<Outcome>>),
    Dead,
}

/// Reads a record by its stream and type.
pub(in crate::simulation) fn open(record: &Record, kind: &str) -> Option<Opened> {
    match record.stream {
        Stream::Events => record.open().ok().map(|event| Opened::Event(Box::new(event))),
        Stream::Decisions if kind == kind::INCIDENT => {
            record.open().ok().map(|it| Opened::Change(Box::new(it)))
        }
        Stream::Decisions => record.open().ok().map(|it| Opened::Decision(Box::new(it))),
        Stream::Plans => record.open().ok().map(|it| Opened::Plan(Box::new(it))),
        Stream::Outcomes => record.open().ok().map(|it| Opened::Outcome(Box::new(it))),
        Stream::Dead => Some(Opened::Dead),
    }
}
