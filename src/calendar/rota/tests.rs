//! Rotations against a walk through two years, hour by hour, in four zones.

use super::*;
use jiff::{
    SignedDuration,
    civil::{Weekday, date, time},
};

const ZONES: [&str; 4] = ["America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "UTC"];

fn layer(people: &[&str], shift: Shift, hand_off: Time) -> Layer {
    let people = people.iter().map(|it| (*it).to_owned()).collect();
    // A Monday.
    Layer { people, shift, starts: date(2026, 1, 5), hand_off, during: vec![] }
}

fn rota(zone: &str, layers: Vec<Layer>) -> Rota {
    let zone = TimeZone::get(zone).unwrap();
    Rota { name: "r".into(), zone, layers, overrides: vec![] }
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Whose turn it is, by going on from day to day: nothing is divided.
struct Walk {
    zone: TimeZone,
    days: u32,
    hand_off: Time,
    people: Vec<String>,
    turn: usize,
    day: Date,
    left: u32,
}

impl Walk {
    fn hand_off(&self, day: Date) -> Timestamp {
        let wall = day.to_datetime(self.hand_off);
        wall.to_zoned(self.zone.clone()).unwrap().timestamp()
    }

    fn who(&mut self, at: Timestamp) -> String {
        loop {
            let tomorrow = self.day.tomorrow().unwrap();
            if self.hand_off(tomorrow) > at {
                return self.people[self.turn % self.people.len()].clone();
            }
            self.day = tomorrow;
            self.left -= 1;
            if self.left == 0 {
                (self.left, self.turn) = (self.days, self.turn + 1);
            }
        }
    }
}

#[test]
fn two_years_are_those_that_a_walk_from_day_to_day_finds() {
    // Half past two is missing on one day in two of the zones, and comes twice on another.
    for (zone, days, hand_off) in ZONES.iter().flat_map(|zone| {
        [
            (1, time(9, 0, 0, 0)),
            (7, time(2, 30, 0, 0)),
            (3, time(1, 45, 0, 0)),
            (14, time(0, 0, 0, 0)),
        ]
        .map(|(days, hand_off)| (*zone, days, hand_off))
    }) {
        let people = ["ann", "bob", "eve"];
        let rota = rota(zone, vec![layer(&people, Shift::Days(days), hand_off)]);
        let mut walk = Walk {
            zone: rota.zone.clone(),
            days,
            hand_off,
            people: people.map(str::to_owned).to_vec(),
            turn: 0,
            day: date(2026, 1, 5),
            left: days,
        };
        let first = walk.hand_off(walk.day);
        for quarter in 0..2 * 365 * 96 {
            let now = first + SignedDuration::from_mins(15 * quarter);
            assert_eq!(rota.who(now), Some(walk.who(now).as_str()), "{zone} {days} {now}");
        }
    }
}

#[test]
fn a_list_of_duties_has_neither_gap_nor_overlap_and_says_what_who_says() {
    for zone in ZONES {
        let rota = rota(zone, vec![layer(&["ann", "bob"], Shift::Days(7), time(2, 30, 0, 0))]);
        let (from, until) = (at("2026-02-01T00:00:00Z"), at("2028-02-01T00:00:00Z"));
        let duties = rota.duties(from, until);
        assert_eq!((duties[0].from, duties[duties.len() - 1].until), (from, until));
        for pair in duties.windows(2) {
            assert_eq!(pair[0].until, pair[1].from);
            assert_ne!(pair[0].who, pair[1].who);
        }
        for duty in &duties {
            let last = duty.until - SignedDuration::from_secs(1);
            assert_eq!(rota.who(duty.from), duty.who.as_deref());
            assert_eq!(rota.who(last), duty.who.as_deref());
        }
        assert!((104..=106).contains(&duties.len()), "{}", duties.len());
        assert_eq!(rota.gap(), None);
    }
}

#[test]
fn a_hand_off_is_by_the_clock_on_the_wall() {
    let rota =
        rota("Europe/Berlin", vec![layer(&["ann", "bob"], Shift::Days(7), time(9, 0, 0, 0))]);
    let monday =
        |text: &str| rota.duties(at(text), at("2027-01-01T00:00:00Z"))[0].until.to_string();
    assert_eq!(monday("2026-03-25T00:00:00Z"), "2026-03-30T07:00:00Z", "in summer");
    assert_eq!(monday("2026-03-19T00:00:00Z"), "2026-03-23T08:00:00Z", "in winter");
}

#[test]
fn hours_pass_whatever_the_clocks_show() {
    let rota =
        rota("America/New_York", vec![layer(&["ann", "bob"], Shift::Hours(8), time(0, 0, 0, 0))]);
    for duty in rota.duties(at("2026-03-01T05:00:00Z"), at("2026-03-20T05:00:00Z")) {
        assert_eq!(duty.until.duration_since(duty.from).as_hours(), 8);
    }
}

#[test]
fn layers_have_their_hours_and_gaps_are_found() {
    let office = || {
        let days = vec![
            Weekday::Monday,
            Weekday::Tuesday,
            Weekday::Wednesday,
            Weekday::Thursday,
            Weekday::Friday,
        ];
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        Hours::daily(String::new(), zone, days, time(9, 0, 0, 0), time(17, 0, 0, 0))
    };
    let mut day = layer(&["ann"], Shift::Days(1), time(9, 0, 0, 0));
    day.during = vec![office()];
    let night = layer(&["bob"], Shift::Days(7), time(9, 0, 0, 0));
    let whole = rota("Europe/Berlin", vec![day.clone(), night]);
    assert_eq!(whole.who(at("2026-06-03T10:00:00Z")), Some("ann"));
    assert_eq!(whole.who(at("2026-06-03T20:00:00Z")), Some("bob"));
    assert_eq!(whole.gap(), None);
    let part = rota("Europe/Berlin", vec![day]);
    let gap = part.gap().unwrap();
    assert_eq!(part.who(gap.from), None);
    assert_eq!(gap.until.duration_since(gap.from).as_hours(), 9, "from midnight to nine");
}

#[test]
fn somebody_else_may_take_it_for_a_while() {
    let mut rota = rota("UTC", vec![layer(&["ann", "bob"], Shift::Days(7), time(9, 0, 0, 0))]);
    let other = |who: &str, from: &str, until: &str| Override {
        who: who.into(),
        from: at(from),
        until: at(until),
    };
    rota.overrides = vec![
        other("eve", "2026-06-02T00:00:00Z", "2026-06-03T00:00:00Z"),
        other("dan", "2026-06-02T12:00:00Z", "2026-06-02T13:00:00Z"),
    ];
    let usual = rota.who(at("2026-06-01T23:59:59Z")).unwrap().to_owned();
    let duties = rota.duties(at("2026-06-01T12:00:00Z"), at("2026-06-03T12:00:00Z"));
    let who: Vec<&str> = duties.iter().map(|it| it.who.as_deref().unwrap()).collect();
    assert_eq!(who, [usual.as_str(), "eve", "dan", "eve", usual.as_str()]);
}
