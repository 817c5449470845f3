//! The ladder's histories: it climbs, stops, starts over, and never falls silent.

use super::*;
use crate::model::{
    Directory, Entry, IncidentChange, Level, Move, PageKind, PageStep, Pager, Policy, Severity,
    Span,
};
use jiff::Timestamp;
use std::{collections::BTreeMap, time::Duration};

const T0: Timestamp = Timestamp::UNIX_EPOCH;

fn at(minutes: u64) -> Timestamp {
    T0 + Duration::from_secs(minutes * 60)
}

fn directory() -> Directory {
    let contact = |name: &str, fallback: Option<&str>| {
        let contact = Contact {
            name: name.into(),
            pager: Pager::Console,
            fallback: fallback.map(str::to_owned),
        };
        (name.to_owned(), contact)
    };
    let level = |contact: &str| Level {
        delay: Span::seconds(300),
        contacts: vec![contact.into()],
        evidence: vec!["runbook".into(), "remediation".into()],
    };
    let policy = Policy {
        name: "p".into(),
        levels: vec![level("one"), level("two")],
        rounds: 2,
        ack_expires: Span::seconds(3600),
    };
    Directory {
        policies: BTreeMap::from([("p".to_owned(), policy)]),
        contacts: BTreeMap::from([
            contact("one", Some("spare")),
            contact("two", None),
            contact("spare", None),
        ]),
    }
}

struct Room {
    state: State,
    said: Vec<PageStep>,
}

impl Room {
    fn new(severity: Severity) -> Room {
        let mut room = Room { state: State::default(), said: vec![] };
        let change = Move::Opened {
            title: "t".into(),
            severity,
            signal: None,
            event_seq: 1,
            traceparent: String::new(),
        };
        room.change(change, 0);
        room
    }

    fn hear(&mut self, input: &Input<'_>, minutes: u64) {
        let said = step(&mut self.state, &directory(), input, at(minutes));
        for (incident, step) in said {
            self.state.fold(&incident, &step, at(minutes));
            self.said.push(step);
        }
    }

    fn change(&mut self, change: Move, minutes: u64) {
        let change = IncidentChange { incident: "inc".into(), change };
        self.hear(&Input::Change(&change, "node/n"), minutes);
    }

    fn escalate(&mut self, level: u32, minutes: u64) {
        let entry = Entry::Escalate { policy: "p".into(), level, why: "drain failed".into() };
        self.hear(&Input::Journal { incident: "inc", entry: &entry }, minutes);
    }

    fn deliver(&mut self, minutes: u64) {
        for (key, _) in self.state.outbox.due(at(minutes), &[]) {
            let step = PageStep::Delivered { key, reference: String::new() };
            self.state.fold("inc", &step, at(minutes));
        }
    }

    fn fail(&mut self, minutes: u64) {
        for (key, _) in self.state.outbox.due(at(minutes), &[]) {
            let step = PageStep::Undelivered { key: key.clone(), why: "410".into() };
            self.state.fold("inc", &step, at(minutes));
            self.hear(&Input::Undelivered(&key), minutes);
        }
    }

    /// Contact, level and round of every page that was decided.
    fn pages(&self) -> Vec<(String, u32, u32)> {
        self.said
            .iter()
            .filter_map(|step| match step {
                PageStep::Intent { key, .. } if key.kind == PageKind::Trigger => {
                    Some((key.contact.clone(), key.level, key.nth))
                }
                _ => None,
            })
            .collect()
    }
}

fn page(contact: &str, level: u32, nth: u32) -> (String, u32, u32) {
    (contact.into(), level, nth)
}

#[test]
fn it_climbs_goes_round_and_then_cries_out_and_starts_over() {
    let mut room = Room::new(Severity::Warning);
    room.escalate(1, 0);
    for minutes in [5, 10, 15] {
        room.deliver(minutes);
        room.hear(&Input::Woke, minutes);
    }
    assert_eq!(
        room.pages(),
        [page("one", 1, 1), page("two", 2, 1), page("one", 1, 2), page("two", 2, 2)]
    );
    room.hear(&Input::Woke, 20);
    assert!(matches!(room.said.last(), Some(PageStep::Unanswered { .. })));
    assert!(room.state.wake_at().is_some(), "it still calls");
    let snapshot = serde_json::to_vec(&room.state).unwrap();
    let restored: State = serde_json::from_slice(&snapshot).unwrap();
    assert_eq!(restored, room.state, "a snapshot keeps the ladder and the outbox");
    room.hear(&Input::Woke, 51);
    assert_eq!(room.pages().last(), Some(&page("one", 1, 3)));
}

#[test]
fn an_acknowledgement_stops_it_until_it_expires() {
    let mut room = Room::new(Severity::Warning);
    room.escalate(1, 0);
    room.deliver(0);
    room.change(Move::Acknowledged { by: "ana".into(), note: String::new() }, 1);
    room.hear(&Input::Woke, 30);
    assert_eq!(room.pages().len(), 1);
    room.escalate(2, 31);
    assert_eq!(room.pages().len(), 1, "somebody owns it");
    room.hear(&Input::Woke, 62);
    assert_eq!(room.pages().last(), Some(&page("one", 1, 2)));
}

#[test]
fn after_the_resolution_nobody_is_called_and_those_who_were_hear_of_it() {
    let mut room = Room::new(Severity::Warning);
    room.escalate(1, 0);
    room.deliver(0);
    room.hear(&Input::Woke, 5);
    room.change(Move::Resolved { by: "medevac".into(), note: String::new() }, 6);
    assert!(room.state.outbox.due(at(6), &[]).iter().all(|(key, _)| key.kind == PageKind::Resolve));
    assert_eq!(room.state.outbox.len(), 1, "only who took a page");
    let before = room.pages().len();
    room.hear(&Input::Woke, 600);
    assert_eq!(room.pages().len(), before);
}

#[test]
fn a_dead_line_is_left_at_once() {
    let mut room = Room::new(Severity::Warning);
    room.escalate(1, 0);
    room.fail(0);
    assert_eq!(room.pages(), [page("one", 1, 1), page("spare", 1, 1)]);
    room.fail(0);
    assert_eq!(
        room.pages().last(),
        Some(&page("two", 2, 1)),
        "no patience for a level that nobody hears"
    );
}

#[test]
fn critical_goes_to_the_top_and_evidence_that_is_missing_is_named() {
    let mut room = Room::new(Severity::Critical);
    let failed = Entry::Failed { step: "drain".into(), why: "budget".into() };
    room.hear(&Input::Journal { incident: "inc", entry: &failed }, 0);
    room.escalate(1, 0);
    assert_eq!(room.pages(), [page("two", 2, 1)]);
    let Some(PageStep::Intent { report, .. }) = room.said.last() else { panic!("{:?}", room.said) };
    assert_eq!(report.evidence, [("remediation".to_owned(), "drain: failed: budget".to_owned())]);
    assert_eq!(report.missing[0].0, "runbook");
    room.escalate(1, 1);
    assert_eq!(room.pages().len(), 1, "one page per level and round");
}
