//! The windows against a recount of the whole history, for random histories: late events, events that come
//! twice, snapshots, and lives that begin by replaying the log.

mod alerts;

use super::super::{Input, Said, State, step, wake};
use crate::model::{Envelope, Event, Id, Secret, Target, Verdict};
use crate::rules::Ruleset;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::json;
use std::{collections::BTreeSet, sync::Arc};

const RULES: &str = r#"
contacts: [{name: c, console: {}}]
escalations: [{name: p, levels: [{contacts: c}]}]
rules:
  - {name: count, when: a, if: event.on, lateness: 60s, count: {at_least: 3, within: 40s}, escalate: p}
  - {name: distinct, when: a, lateness: 60s, count: {at_least: 3, within: 50s, distinct: event.value}, escalate: p}
  - {name: burst, when: a, lateness: 60s, burst: {gap: 10s}, escalate: p}
  - {name: sticky, when: a, lateness: 60s, burst: {gap: 10s, sticky: {if: event.value == 1, for: 45s}}, escalate: p}
  - {name: bursts, when: a, lateness: 60s, burst: {gap: 8s}, count: {at_least: 2, within: 60s}, escalate: p}
  - {name: sequence, when: a, lateness: 60s, sequence: {within: 50s, then: [{when: b}, {when: c, if: event.on}]}, escalate: p}
  - {name: hold, when: a, if: event.on, lateness: 60s, for: 30s, escalate: p}
  - {name: absent, when: a, lateness: 60s, absent: {when: b, within: 30s}, escalate: p}
  - {name: silence, when: b, lateness: 60s, absent: {within: 45s}, escalate: p}
  - {name: after, when: c, lateness: 60s, throttle: {once_after: 25s}, escalate: p}
"#;

fn rules() -> Ruleset {
    let source = Arc::new(crate::rules::Source { path: "t".into(), text: RULES.into() });
    crate::rules::load(&[source], &|_| Ok(Secret::new("s"))).unwrap()
}

/// One arrival: seconds from the beginning.
#[derive(Debug, Clone)]
struct Arrival {
    id: usize,
    kind: char,
    key: u8,
    on: bool,
    value: u8,
    /// When it happened.
    at: i64,
    /// When the log took it.
    now: i64,
}

const LATENESS: i64 = 60;
const BEGIN: i64 = 1_000_000;

impl Arrival {
    fn envelope(&self) -> Envelope<Event> {
        let payload = json!({ "on": self.on, "value": self.value });
        let data = Event { payload, ..Event::default() };
        let (id, node) = (Id::of(&[&self.id.to_string()]), format!("n{}", self.key));
        let kind = self.kind.to_string();
        Envelope::new(&kind, id, "t", Target::Node(node), seconds(self.at), data)
    }
}

fn seconds(at: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(BEGIN + at)
}

/// Steps of a random history: how long after the last, how late, and whether an earlier one comes again.
fn history() -> impl Strategy<Value = Vec<Arrival>> {
    let one = (0i64..12, -5i64..80, 0u8..2, any::<bool>(), 0u8..3, 0u8..3, 0usize..8);
    proptest::collection::vec(one, 1..60).prop_map(|steps| {
        let (mut all, mut now): (Vec<Arrival>, i64) = (vec![], 200);
        for (number, (gap, late, key, on, value, kind, again)) in steps.into_iter().enumerate() {
            now += gap;
            if again == 0 && !all.is_empty() {
                let earlier: &Arrival = &all[number * 7 % all.len()];
                all.push(Arrival { now, ..earlier.clone() });
                continue;
            }
            let kind = ['a', 'b', 'c'][usize::from(kind)];
            // Most come in order.
            let late = if late > 40 { late } else { late.clamp(0, 3) };
            all.push(Arrival { id: number, kind, key, on, value, at: now - late, now });
        }
        all
    })
}

/// Rule, and the event on which it was decided.
type Fired = BTreeSet<(String, String, i64)>;

fn decisions(said: &[Said], fired: &mut Fired) {
    for said in said {
        if let Said::Decision(decision) = said {
            assert_eq!(decision.data.verdict, Verdict::Tell);
            let cause = decision.cause.iter().last().unwrap().to_owned();
            let at = decision.time.as_second() - BEGIN;
            assert!(fired.insert((decision.data.rule.clone(), cause, at)), "twice");
        }
    }
}

/// Another life of the state, after every so many inputs.
#[derive(Clone, Copy)]
enum Restart {
    Never,
    /// From a snapshot.
    Snapshot(usize),
    /// From the log alone.
    Replay(usize),
    /// With the last few inputs not acknowledged, all that was said recorded.
    Crash(usize),
}

fn incremental(rules: &Ruleset, history: &[Arrival], restart: Restart) -> Fired {
    let (mut state, mut fired, mut log) = (State::default(), Fired::new(), vec![]);
    for (number, arrival) in history.iter().enumerate() {
        let (seq, now) = (number as u64 + 1, seconds(arrival.now));
        let input = Input::Event(Box::new(arrival.envelope()));
        let said = step(rules, &mut state, seq, &input, now, &mut vec![]);
        decisions(&said, &mut fired);
        log.push((seq, input, now, said));
        match restart {
            Restart::Snapshot(every) if number % every == 0 => {
                let text = serde_json::to_string(&state).unwrap();
                state = serde_json::from_str(&text).unwrap();
            }
            Restart::Replay(every) if number % every == 0 => {
                state = State::default();
                let mut at = 0;
                for (seq, input, now, said) in &log {
                    state.replay(rules, *seq, input, *now);
                    for said in said {
                        at += 1;
                        state.said(Some(at), said);
                    }
                }
            }
            Restart::Crash(every) if number % every == 0 => {
                state = after_a_crash(rules, &log, every)
            }
            Restart::Never | Restart::Snapshot(_) | Restart::Replay(_) | Restart::Crash(_) => {}
        }
    }
    let said = wake(rules, &mut state, seconds(10_000), &mut vec![]);
    decisions(&said, &mut fired);
    fired
}

/// As the shell recovers: what was acknowledged is replayed, what was said is folded in, and of the rest what was
/// answered is replayed and what was not is decided on, which says nothing new.
fn after_a_crash(rules: &Ruleset, log: &[(u64, Input, Timestamp, Vec<Said>)], lag: usize) -> State {
    let (acknowledged, rest) = log.split_at(log.len().saturating_sub(lag));
    let (mut state, mut at, mut answered) = (State::default(), 0, BTreeSet::new());
    for (seq, input, now, said) in acknowledged {
        state.replay(rules, *seq, input, *now);
        for said in said {
            at += 1;
            state.said(Some(at), said);
        }
    }
    for said in rest.iter().flat_map(|(.., said)| said) {
        at += 1;
        state.said(Some(at), said);
        answered.extend(said.cause().map(str::to_owned));
    }
    for (seq, input, now, _) in rest {
        if answered.contains(input.id().as_str()) {
            state.replay(rules, *seq, input, *now);
        } else {
            let said = step(rules, &mut state, *seq, input, *now, &mut vec![]);
            assert_eq!(said, [], "decided twice");
        }
    }
    state
}

/// What counts at all: for the first time, and in time. By the log's order.
fn accepted(history: &[Arrival]) -> Vec<&Arrival> {
    let first =
        |(number, one): (usize, &Arrival)| !history[..number].iter().any(|it| it.id == one.id);
    let all = history.iter().enumerate();
    all.filter(|it| first((it.0, it.1)) && it.1.now - it.1.at <= LATENESS).map(|it| it.1).collect()
}

fn name(of: &Arrival) -> String {
    Id::of(&[&of.id.to_string()]).to_string()
}

/// The same by looking at the whole history for each arrival anew.
fn recount(history: &[Arrival]) -> Fired {
    let all = accepted(history);
    let mut fired = Fired::new();
    for key in 0..2 {
        let of = |kind: char| {
            all.iter().copied().filter(|it| it.kind == kind && it.key == key).collect::<Vec<_>>()
        };
        let mut add = |rule: &str, hits: Vec<(&Arrival, i64)>| {
            fired.extend(hits.into_iter().map(|(it, at)| (rule.to_owned(), name(it), at)));
        };
        let (a, b, c) = (of('a'), of('b'), of('c'));
        let on: Vec<&Arrival> = a.iter().copied().filter(|it| it.on).collect();
        let value = |it: &Arrival| i64::from(it.value);
        add("count", at_once(counted(&on, 3, 40, &|it| it.id as i64)));
        add("distinct", at_once(counted(&a, 3, 50, &value)));
        add("burst", at_once(bursts(&a, &|_| 10)));
        add("sticky", at_once(bursts(&a, &|it| if it.value == 1 { 45 } else { 10 })));
        add("bursts", at_once(counted(&bursts(&a, &|_| 8), 2, 60, &|it| it.id as i64)));
        let all_of: Vec<&Arrival> =
            all.iter().copied().filter(|it| it.key == key && (it.kind != 'c' || it.on)).collect();
        add("sequence", at_once(sequences(&all_of)));
        let own: Vec<&Arrival> =
            history.iter().filter(|it| it.kind == 'a' && it.key == key).collect();
        add("hold", held(&on, &own));
        add("absent", missing(&a, &b));
        add("silence", silences(&b));
        add("after", collected(&c));
    }
    fired
}

fn at_once(hits: Vec<&Arrival>) -> Vec<(&Arrival, i64)> {
    hits.into_iter().map(|it| (it, it.now)).collect()
}

fn counted<'a>(
    all: &[&'a Arrival],
    wanted: usize,
    within: i64,
    value: &dyn Fn(&Arrival) -> i64,
) -> Vec<&'a Arrival> {
    let (mut hits, mut used) = (vec![], 0);
    for last in 1..=all.len() {
        let window = &all[used..last];
        let newest = window.iter().map(|it| it.at).max().unwrap();
        let inside = window.iter().filter(|it| it.at > newest - within);
        let values: BTreeSet<i64> = inside.map(|it| value(it)).collect();
        if values.len() >= wanted {
            hits.push(all[last - 1]);
            used = last;
        }
    }
    hits
}

fn bursts<'a>(all: &[&'a Arrival], hold: &dyn Fn(&Arrival) -> i64) -> Vec<&'a Arrival> {
    let touches = |a: &Arrival, b: &Arrival| a.at <= b.at && b.at <= a.at + hold(a);
    let first = |number: usize| {
        let one = all[number];
        !all[..number].iter().any(|other| touches(other, one) || touches(one, other))
    };
    (0..all.len()).filter(|number| first(*number)).map(|number| all[number]).collect()
}

fn sequences<'a>(all: &[&'a Arrival]) -> Vec<&'a Arrival> {
    let (mut hits, mut used) = (vec![], 0);
    for last in 1..=all.len() {
        let window = &all[used..last];
        let of = |kind: char| window.iter().filter(move |it| it.kind == kind);
        let whole = of('a').any(|a| {
            of('b').any(|b| a.at < b.at && of('c').any(|c| b.at < c.at && c.at - a.at <= 50))
        });
        if whole {
            hits.push(all[last - 1]);
            used = last;
        }
    }
    hits
}

/// Each that begins to hold while nothing holds, and of which nobody says otherwise for long enough. Those that
/// come while one waits have joined it.
fn held<'a>(on: &[&'a Arrival], own: &[&Arrival]) -> Vec<(&'a Arrival, i64)> {
    let (mut hits, mut free, mut ended) = (vec![], i64::MIN, None);
    let position = |it: &Arrival| own.iter().position(|other| std::ptr::eq(*other, it));
    for start in on {
        if start.now < free || position(start) < ended {
            continue;
        }
        let due = start.at + 30;
        let later = |it: &&&Arrival| !it.on && it.at >= start.at && it.now < due;
        let broken = own.iter().filter(later).find(|it| position(it) > position(start));
        match broken {
            Some(broken) if due > start.now => ended = position(broken),
            _ => {
                hits.push((*start, due.max(start.now)));
                free = due;
            }
        }
    }
    hits
}

fn missing<'a>(a: &[&'a Arrival], b: &[&Arrival]) -> Vec<(&'a Arrival, i64)> {
    let (mut hits, mut free, mut ended) = (vec![], i64::MIN, None);
    for start in a {
        let before = |it: &&&Arrival| order(it, start);
        let came_before = b.iter().filter(before).any(|it| it.at >= start.at);
        if start.now < free || ended.is_some_and(|ended| order(start, ended)) || came_before {
            continue;
        }
        let due = start.at + 30;
        let came = b.iter().find(|it| !order(it, start) && it.at >= start.at && it.now < due);
        match came {
            Some(came) => ended = Some(*came),
            None => {
                hits.push((*start, due));
                free = due;
            }
        }
    }
    hits
}

/// By the log's order; ids count the arrivals.
fn order(one: &Arrival, other: &Arrival) -> bool {
    one.id < other.id
}

fn silences<'a>(b: &[&'a Arrival]) -> Vec<(&'a Arrival, i64)> {
    let mut hits = vec![];
    let (mut waits, mut newest_ever): (Option<&'a Arrival>, i64) = (None, i64::MIN);
    for it in b {
        if let Some(newest) = waits
            && newest.at + 45 <= it.now
        {
            hits.push((newest, newest.at + 45));
            waits = None;
        }
        if it.at > newest_ever {
            (waits, newest_ever) = (Some(*it), it.at);
        }
    }
    hits.extend(waits.map(|newest| (newest, newest.at + 45)));
    hits
}

fn collected<'a>(c: &[&'a Arrival]) -> Vec<(&'a Arrival, i64)> {
    let (mut hits, mut free) = (vec![], i64::MIN);
    for it in c {
        if it.now >= free {
            free = it.now + 25;
            hits.push((*it, free));
        }
    }
    hits
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn windows_are_what_a_recount_finds(history in history(), every in 1usize..9) {
        let rules = rules();
        let found = incremental(&rules, &history, Restart::Never);
        prop_assert_eq!(&found, &recount(&history));
        prop_assert_eq!(&found, &incremental(&rules, &history, Restart::Snapshot(every)));
        prop_assert_eq!(&found, &incremental(&rules, &history, Restart::Replay(4 * every)));
        prop_assert_eq!(&found, &incremental(&rules, &history, Restart::Crash(every)));
    }
}
