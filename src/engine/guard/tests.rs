//! Levels, rates, storms and probes.

use super::*;
use crate::rules::{Limits, Rate};
use std::time::Duration;

fn guard(limits: Limits) -> Guard {
    Guard { name: "g".into(), per: crate::rules::Per::All, limits, storm: None }
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::UNIX_EPOCH + Duration::from_secs(seconds)
}

struct Book {
    guards: Guards,
    guard: Guard,
}

impl Book {
    fn ask(&self, key: &str, but: Option<&Id>, seconds: u64) -> Result<Reservation, Suppression> {
        self.guards.ask(&Ask { guard: &self.guard, key, size: None, but, now: at(seconds) })
    }

    /// Asks, and does as the answer says.
    fn act(&mut self, plan: &str, seconds: u64) -> bool {
        match self.ask("k", None, seconds) {
            Ok(leave) => {
                let target = Target::Node(plan.into());
                let holder =
                    Holder { incident: "i".into(), rule: "r".into(), target, since: at(seconds) };
                self.guards.reserve(&leave, &Id::of(&[plan]), &holder);
                true
            }
            Err(Suppression::Guard { guard, key, trip, release_after, .. }) => {
                if let (Some(calm_at), Some(after)) = (trip, release_after) {
                    self.guards.refused(slot(&guard, &key), calm_at, after, at(seconds));
                }
                false
            }
            Err(_) => false,
        }
    }

    fn end(&mut self, plan: &str, how: &PlanEnd, seconds: u64) {
        self.guards.ended(&Id::of(&[plan]), how, at(seconds));
    }
}

fn failed() -> PlanEnd {
    PlanEnd::Failed { step: "s".into(), why: "w".into() }
}

#[test]
fn a_small_pool_allows_one() {
    assert_eq!([allowed(20, 3), allowed(30, 10), allowed(30, 0), allowed(100, 4)], [1, 3, 1, 4]);
}

#[test]
fn what_is_released_may_be_held_again_but_still_counts_for_the_rate() {
    let limits = Limits { at_once: Some(1), ..Limits::default() };
    let mut book = Book { guards: Guards::default(), guard: guard(limits) };
    assert!(book.act("p", 0) && !book.act("q", 0));
    assert!(book.ask("other", None, 0).is_ok());
    assert!(book.ask("k", Some(&Id::of(&["p"])), 0).is_ok(), "what it supersedes does not count");
    book.end("p", &PlanEnd::Succeeded, 1);
    assert!(book.ask("k", None, 1).is_ok());
    let rate = Rate { count: 1, within: Span::seconds(60) };
    book.guard = guard(Limits { rate: Some(rate), ..Limits::default() });
    assert!(book.ask("k", None, 59).is_err());
    assert!(book.ask("k", None, 61).is_ok());
    book.guard = guard(Limits { share: Some(20), ..Limits::default() });
    assert!(book.act("r", 62) && !book.act("s", 62), "an unknown pool is the smallest");
}

#[test]
fn only_who_takes_over_leave_is_spared_the_rate() {
    let rate = Rate { count: 1, within: Span::seconds(60) };
    let limits = Limits { rate: Some(rate), ..Limits::default() };
    let mut book = Book { guards: Guards::default(), guard: guard(limits) };
    assert!(book.act("p", 0));
    assert!(book.ask("k", Some(&Id::of(&["p"])), 1).is_ok(), "it takes over what p holds");
    assert!(book.ask("k", Some(&Id::of(&["elsewhere"])), 1).is_err(), "that one held nothing here");
}

#[test]
fn what_is_stuck_keeps_its_leave_until_somebody_resolves_it() {
    let limits = Limits { at_once: Some(1), ..Limits::default() };
    let mut book = Book { guards: Guards::default(), guard: guard(limits) };
    assert!(book.act("p", 0));
    book.end("p", &PlanEnd::Stuck { step: "s".into(), why: "w".into() }, 1);
    assert!(book.ask("k", None, 1).is_err());
    book.guards.release(&Id::of(&["p"]));
    assert!(book.ask("k", None, 1).is_ok());
}

#[test]
fn a_storm_is_over_when_it_was_calm_and_one_probe_went_well() {
    let limits = Limits { at_once: Some(2), ..Limits::default() };
    let mut book = Book { guards: Guards::default(), guard: guard(limits) };
    book.guard.storm = Some(Span::seconds(600));
    assert!(book.act("a", 0) && book.act("b", 0) && !book.act("c", 10), "it trips");
    book.end("a", &PlanEnd::Succeeded, 20);
    book.end("b", &PlanEnd::Succeeded, 20);
    assert!(!book.act("d", 500), "there is room, but it is not calm; the waiting starts anew");
    assert!(!book.act("e", 1099));
    assert!(book.act("f", 1700), "calm: one may try");
    assert!(!book.act("g", 1701), "and only one");
    book.end("f", &failed(), 1710);
    assert!(!book.act("h", 2000), "it did not go well");
    assert!(book.act("i", 2700));
    book.end("i", &PlanEnd::Succeeded, 2710);
    assert_eq!(book.guards.take_resets(), [("g".to_owned(), "k".to_owned())]);
    assert!(book.act("j", 2711) && book.act("l", 2711), "whole again");
}

#[test]
fn what_is_shown_says_who_holds_what() {
    let limits = Limits { at_once: Some(1), ..Limits::default() };
    let mut book = Book { guards: Guards::default(), guard: guard(limits) };
    book.act("p", 5);
    let shown = book.guards.take_touched();
    let first = shown[0].1.as_ref().unwrap();
    assert_eq!((first.guard.as_str(), first.key.as_str(), first.holders.len()), ("g", "k", 1));
    book.end("p", &PlanEnd::Succeeded, 6);
    assert_eq!(book.guards.take_touched()[0].1, None);
    assert_eq!(book.guards.take_touched(), vec![]);
}
