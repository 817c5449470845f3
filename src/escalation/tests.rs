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
        quiet: vec![],
        quiet_below: Severity::Error,
    };
    Directory {
        on_call: BTreeMap::new(),
        policies: BTreeMap::from([("p".to_owned(), policy)]),
        contacts: BTreeMap::from([
            contact("one", Some("spare")),
            contact("two", None),
            contact("spare", None),
        ]),
    }
}

fn acknowledged(until: Option<Timestamp>) -> Move {
    Move::Acknowledged { by: "ana".into(), note: String::new(), until }
}

struct Room {
    state: State,
    directory: Directory,
    said: Vec<PageStep>,
}

impl Room {
    fn new(severity: Severity) -> Room {
        let mut room = Room { state: State::default(), directory: directory(), said: vec![] };
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
        let said = step(&mut self.state, &self.directory, input, at(minutes));
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
    room.change(acknowledged(None), 1);
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

/// Ann has it in the first day of the epoch, Bob in the second, and so on; with hours, only from nine to five.
fn duty(office: bool) -> crate::calendar::Rota {
    use crate::calendar::{Hours, Layer, Rota, Shift};
    use jiff::civil::{Time, Weekday, date};
    let time = |hour| Time::constant(hour, 0, 0, 0);
    let days = Weekday::Monday.cycle_forward().take(7).collect();
    let hours = Hours::daily(String::new(), jiff::tz::TimeZone::UTC, days, time(9), time(17));
    let layer = Layer {
        people: vec!["one".into(), "spare".into()],
        shift: Shift::Days(1),
        starts: date(1970, 1, 1),
        hand_off: time(0),
        during: if office { vec![hours] } else { vec![] },
    };
    Rota {
        name: "duty".into(),
        zone: jiff::tz::TimeZone::UTC,
        layers: vec![layer],
        overrides: vec![],
    }
}

fn on_duty(severity: Severity, office: bool) -> Room {
    let mut room = Room::new(severity);
    room.directory.on_call.insert("duty".into(), duty(office));
    if let Some(policy) = room.directory.policies.get_mut("p") {
        policy.levels[0].contacts = vec!["duty".into(), "one".into()];
    }
    room
}

#[test]
fn who_has_the_duty_when_it_rings_is_called_and_nobody_twice() {
    let mut room = on_duty(Severity::Warning, false);
    room.escalate(1, 10);
    assert_eq!(room.pages(), [page("one", 1, 1)], "by name and by duty is once");
    let mut room = on_duty(Severity::Warning, false);
    room.escalate(1, 24 * 60 + 10);
    assert_eq!(room.pages(), [page("one", 1, 1), page("spare", 1, 1)]);
}

#[test]
fn where_nobody_has_the_duty_the_next_level_is_called_at_once() {
    let mut room = on_duty(Severity::Warning, true);
    if let Some(policy) = room.directory.policies.get_mut("p") {
        policy.levels[0].contacts = vec!["duty".into()];
    }
    room.escalate(1, 60);
    assert_eq!((room.pages(), room.state.wake_at()), (vec![], Some(at(60))));
    room.hear(&Input::Woke, 60);
    assert_eq!(room.pages(), [page("two", 2, 1)]);
}

/// Quiet from nine to five, for what is less than an error.
fn quiet(severity: Severity) -> Room {
    use crate::calendar::Hours;
    use jiff::civil::{Time, Weekday};
    let mut room = Room::new(severity);
    let time = |hour| Time::constant(hour, 0, 0, 0);
    let days = Weekday::Monday.cycle_forward().take(7).collect();
    let hours = Hours::daily(String::new(), jiff::tz::TimeZone::UTC, days, time(9), time(17));
    if let Some(policy) = room.directory.policies.get_mut("p") {
        policy.quiet = vec![std::sync::Arc::new(hours)];
    }
    room
}

#[test]
fn what_is_unimportant_waits_for_the_end_of_quiet_hours_and_nothing_else_does() {
    let mut room = quiet(Severity::Warning);
    room.escalate(1, 10 * 60);
    assert!(room.pages().is_empty());
    let held =
        |step: &PageStep| matches!(step, PageStep::Held { until, .. } if *until == at(17 * 60));
    assert!(room.said.iter().any(held), "{:?}", room.said);
    room.escalate(1, 11 * 60);
    room.hear(&Input::Woke, 12 * 60);
    assert!(room.pages().is_empty());
    assert_eq!(room.state.wake_at(), Some(at(17 * 60)));
    room.hear(&Input::Woke, 17 * 60);
    assert_eq!(room.pages(), [page("one", 1, 1)]);
    for severity in [Severity::Error, Severity::Critical] {
        let mut room = quiet(severity);
        room.escalate(1, 10 * 60);
        assert_eq!(room.pages().len(), 1, "{severity:?}");
    }
}

#[test]
fn a_level_whose_time_comes_in_quiet_hours_waits_and_what_becomes_severe_does_not() {
    let mut room = quiet(Severity::Warning);
    room.escalate(1, 9 * 60 - 2);
    room.deliver(9 * 60 - 2);
    room.hear(&Input::Woke, 9 * 60 + 3);
    assert_eq!(room.pages(), [page("one", 1, 1)], "the second level waits");
    room.change(Move::Joined { signal: None, severity: Severity::Info }, 10 * 60);
    assert_eq!(room.pages().len(), 1);
    room.change(Move::Joined { signal: None, severity: Severity::Error }, 10 * 60);
    room.escalate(1, 10 * 60);
    assert_eq!(room.pages(), [page("one", 1, 1), page("two", 2, 1)]);
}

#[test]
fn what_is_put_off_starts_over_when_that_time_is_up() {
    let mut room = Room::new(Severity::Warning);
    room.escalate(1, 0);
    room.deliver(0);
    room.change(acknowledged(Some(at(30))), 1);
    assert_eq!(room.state.wake_at(), Some(at(30)));
    room.hear(&Input::Woke, 29);
    assert_eq!(room.pages().len(), 1);
    room.hear(&Input::Woke, 30);
    assert_eq!(room.pages(), [page("one", 1, 1), page("one", 1, 2)]);
}
