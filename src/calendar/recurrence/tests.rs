//! The clocks go forward and back in three zones, and every policy is seen.

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn read(text: &str, zone: &str, clocks: Option<Clocks>) -> Recurrence {
    let zone = TimeZone::get(zone).unwrap();
    Recurrence::parse(text, zone, |own| clocks.unwrap_or(own)).unwrap()
}

fn between(recurrence: &Recurrence, from: &str, to: &str) -> Vec<String> {
    let (mut now, end) = (at(from), at(to));
    let mut all = vec![];
    while let Some(next) = recurrence.after(now).filter(|next| *next < end) {
        all.push(next.to_string());
        assert_eq!(recurrence.last(next), Some(next), "what comes next is the last one then");
        now = next;
    }
    all
}

const ALL: [Clocks; 4] = [
    Clocks { forward: Forward::Skip, back: Back::Once },
    Clocks { forward: Forward::Skip, back: Back::Twice },
    Clocks { forward: Forward::RunAfter, back: Back::Once },
    Clocks { forward: Forward::RunAfter, back: Back::Twice },
];

type Change = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    [&'static str; 2],
);

/// Zone, the day on which the clocks go forward, a pattern that is missing then, the moment of the change; the day
/// on which they go back, a pattern that comes twice then, and both its moments.
const CHANGES: &[Change] = &[
    (
        "America/New_York",
        "2026-03-08",
        "30 2 * * *",
        "2026-03-08T07:00:00Z",
        "2026-11-01",
        "30 1 * * *",
        ["2026-11-01T05:30:00Z", "2026-11-01T06:30:00Z"],
    ),
    (
        "Europe/Berlin",
        "2026-03-29",
        "15 2 * * *",
        "2026-03-29T01:00:00Z",
        "2026-10-25",
        "15 2 * * *",
        ["2026-10-25T00:15:00Z", "2026-10-25T01:15:00Z"],
    ),
    // By half an hour only, and in the other half of the year.
    (
        "Australia/Lord_Howe",
        "2026-10-04",
        "15 2 * * *",
        "2026-10-03T15:30:00Z",
        "2026-04-05",
        "45 1 * * *",
        ["2026-04-04T14:45:00Z", "2026-04-04T15:15:00Z"],
    ),
];

#[test]
fn a_missing_time_is_skipped_or_run_at_the_change_and_a_repeated_one_runs_once_or_twice() {
    for (zone, forward, missing, change, back, repeated, twice) in CHANGES {
        for clocks in ALL {
            let day = |date: &str, wide: i64| {
                let date: jiff::civil::Date = date.parse().unwrap();
                let noon = date.to_zoned(TimeZone::get(zone).unwrap()).unwrap().timestamp();
                let from = noon - jiff::SignedDuration::from_hours(1);
                (from.to_string(), (from + jiff::SignedDuration::from_hours(wide)).to_string())
            };
            let (from, to) = day(forward, 20);
            let found = between(&read(missing, zone, Some(clocks)), &from, &to);
            let wanted: &[&str] = if clocks.forward == Forward::Skip { &[] } else { &[change] };
            assert_eq!(found, wanted, "{zone} {clocks:?}");
            let (from, to) = day(back, 20);
            let found = between(&read(repeated, zone, Some(clocks)), &from, &to);
            let count = if clocks.back == Back::Once { 1 } else { 2 };
            assert_eq!(found, twice[..count], "{zone} {clocks:?}");
        }
    }
}

#[test]
fn each_dialect_does_as_its_own_scheduler() {
    let spring = ("2026-03-08T00:00:00Z", "2026-03-09T00:00:00Z");
    let new_york = "America/New_York";
    let aws = read("cron(30 2 * * ? *)", new_york, None);
    assert!(between(&aws, spring.0, spring.1).is_empty());
    let unix = read("30 2 * * *", new_york, None);
    assert_eq!(between(&unix, spring.0, spring.1), ["2026-03-08T07:00:00Z"]);
    // Every quarter of an hour is every quarter of an hour, whatever the clocks do.
    let quarters = read("*/15 * * * *", new_york, None);
    for day in [("2026-03-08", 92), ("2026-11-01", 100)] {
        let date: jiff::civil::Date = day.0.parse().unwrap();
        let zone = TimeZone::get(new_york).unwrap();
        let start = |date: jiff::civil::Date| date.to_zoned(zone.clone()).unwrap().timestamp();
        let from = start(date) - jiff::SignedDuration::from_secs(1);
        let to = start(date.tomorrow().unwrap());
        let found = between(&quarters, &from.to_string(), &to.to_string());
        assert_eq!(found.len(), day.1, "{day:?}");
    }
    assert_eq!(read("cron(30 2 * * ? *)", "UTC", None).meets_a_change(), None);
    let met = aws.meets_a_change().map(|at| at.to_string());
    assert_eq!(met.as_deref(), Some("2026-03-08T02:30:00"));
    assert!(read("0 12 * * *", new_york, None).meets_a_change().is_none());
}

#[test]
fn an_interval_counts_from_the_same_moment_for_everybody() {
    let six = read("every 6h", "UTC", None);
    assert_eq!(
        between(&six, "2026-03-02T00:00:00Z", "2026-03-02T23:00:00Z"),
        ["2026-03-02T06:00:00Z", "2026-03-02T12:00:00Z", "2026-03-02T18:00:00Z"]
    );
    assert_eq!(six.last(at("2026-03-02T11:59:59Z")), Some(at("2026-03-02T06:00:00Z")));
}

#[test]
fn what_never_fires_or_cannot_be_read_is_said() {
    for (text, why) in [
        ("cron(0 2 30 2 ? *)", "never fires"),
        ("0 2 31 4 *", "never fires"),
        ("cron(0 2 * * ? 2025)", "never fires"),
        ("cron(0 2 ? 2 3#5 2027)", "never fires"),
        ("every 5", "5"),
        ("every 10s", "too often"),
        ("rate(1 day)", "begins when AWS makes it"),
        ("@daily", "not a pattern"),
        ("@reboot", "not a pattern"),
    ] {
        let error = Recurrence::parse(text, TimeZone::UTC, |own| own).expect_err(text);
        assert!(error.message.contains(why), "{text}: {error}");
    }
}
