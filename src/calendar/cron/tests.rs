//! AWS's cron by the table of its documentation, and each pattern against a walk through the calendar.

use super::*;
use jiff::{
    ToSpan,
    civil::{Date, datetime},
};

/// Patterns of AWS, as they are read with certainty, and the first moments after 2026-01-30T12:00.
const VALID: &[(&str, &[&str])] = &[
    ("0 2 * * ? *", &["2026-01-31T02:00", "2026-02-01T02:00"]),
    ("0 2 ? * MON-FRI *", &["2026-02-02T02:00", "2026-02-03T02:00"]),
    ("0 2 ? * 2 *", &["2026-02-02T02:00", "2026-02-09T02:00"]),
    ("0 2 L * ? *", &["2026-01-31T02:00", "2026-02-28T02:00"]),
    ("0 2 15W * ? *", &["2026-02-16T02:00", "2026-03-16T02:00", "2026-04-15T02:00"]),
    ("0 2 1W * ? *", &["2026-02-02T02:00"]),
    ("0 2 ? * 3#2 *", &["2026-02-10T02:00"]),
    ("0 2 ? * 6L *", &["2026-02-27T02:00"]),
    ("0 2 ? * L *", &["2026-01-31T02:00", "2026-02-07T02:00"]),
    ("0 12 29 2 ? 2028", &["2028-02-29T12:00"]),
    ("0/15 9-17 ? * MON-FRI *", &["2026-01-30T12:15", "2026-01-30T12:30"]),
    ("5,35 14 * * ? *", &["2026-01-30T14:05", "2026-01-30T14:35"]),
    ("0 2 1,15 * ? *", &["2026-02-01T02:00", "2026-02-15T02:00"]),
    ("0 2 1/5 * ? *", &["2026-01-31T02:00", "2026-02-01T02:00", "2026-02-06T02:00"]),
    ("15 10 ? * 6L 2026-2027", &["2026-02-27T10:15", "2026-03-27T10:15"]),
    ("0 0 ? JAN,JUL SUN *", &["2026-07-05T00:00"]),
    ("0 8 1 * ? *", &["2026-02-01T08:00"]),
    ("30 2 31 * ? *", &["2026-01-31T02:30", "2026-03-31T02:30"]),
    ("0 2 ? * FRI#5 *", &["2026-05-29T02:00"]),
    ("0 2 ? * TUE,THU *", &["2026-02-03T02:00", "2026-02-05T02:00"]),
    ("59 23 31 12 ? 2199", &["2199-12-31T23:59"]),
    ("0 2 ? * MON-WED,FRI *", &["2026-02-02T02:00", "2026-02-03T02:00", "2026-02-04T02:00"]),
    ("0 2 1 JUL-AUG,DEC ? *", &["2026-07-01T02:00", "2026-08-01T02:00", "2026-12-01T02:00"]),
    ("0 2 ? * mon *", &["2026-02-02T02:00"]),
];

/// What AWS does not take, and a word of what is said about it.
const INVALID: &[(&str, &str)] = &[
    ("0 2 * * * *", "exactly one"),
    ("0 2 15 * MON *", "exactly one"),
    ("0 2 ? * ? *", "exactly one"),
    ("0 2 * * ?", "six fields"),
    ("0 0 2 * * ? *", "six fields"),
    ("nonsense", "six fields"),
    ("0 2 ? * 3#2,5#1 *", "stands alone"),
    ("0 2 ? * 3#6 *", "second Tuesday"),
    ("0 2 ? * #2 *", "second Tuesday"),
    ("0 2 * * ? 2200", "year"),
    ("0 2 * * ? 1969", "year"),
    ("0 2 LW * ? *", "nearest"),
    ("0 2 L-3 * ? *", "day of month"),
    ("0 2 1,L * ? *", "stands alone"),
    ("0 2 1W,15W * ? *", "stands alone"),
    ("0 2 ? * SAT-MON *", "two ranges"),
    ("0 22-2 * * ? *", "two ranges"),
    ("60 2 * * ? *", "minutes"),
    ("0 24 * * ? *", "hours"),
    ("0 2 0 * ? *", "day of month"),
    ("0 2 32 * ? *", "day of month"),
    ("0 2 * 13 ? *", "month"),
    ("0 2 * FOO ? *", "month"),
    ("0 2 ? * 0 *", "day of week"),
    ("0 2 ? * 8 *", "day of week"),
    ("0/0 2 * * ? *", "step"),
    ("0/x 2 * * ? *", "step"),
    ("? 2 * * * *", "exactly one"),
    ("-1 2 * * ? *", "minutes"),
    ("0,, 2 * * ? *", "minutes"),
    ("+5 2 * * ? *", "minutes"),
];

const UNIX: &[(&str, &[&str])] = &[
    ("0 2 * * *", &["2026-01-31T02:00", "2026-02-01T02:00"]),
    // Either of the two days, where both are given.
    ("0 0 1 * 1", &["2026-02-01T00:00", "2026-02-02T00:00"]),
    ("0 0 * * 0", &["2026-02-01T00:00", "2026-02-08T00:00"]),
    ("0 0 * * 7", &["2026-02-01T00:00", "2026-02-08T00:00"]),
    ("*/20 * * * *", &["2026-01-30T12:20", "2026-01-30T12:40"]),
    ("0 2 * jul wed", &["2026-07-01T02:00", "2026-07-08T02:00"]),
];

fn from() -> DateTime {
    datetime(2026, 1, 30, 12, 0, 0, 0)
}

fn following(cron: &Cron, count: usize) -> Vec<DateTime> {
    let mut all = vec![];
    let mut at = from() + 1.second();
    while all.len() < count
        && let Some(next) = cron.next(at)
    {
        all.push(next);
        at = next + 1.second();
    }
    all
}

#[test]
fn the_table_of_aws_is_read_as_aws_reads_it() {
    for (body, wanted) in VALID {
        let cron = Cron::parse(&format!("cron({body})"));
        let cron = cron.unwrap_or_else(|error| panic!("{body}: {error}"));
        assert_eq!(cron.dialect(), Dialect::Aws);
        if !body.ends_with("2199") {
            let wanted: Vec<DateTime> = wanted.iter().map(|it| it.parse().unwrap()).collect();
            assert_eq!(following(&cron, wanted.len()), wanted, "{body}");
        }
    }
}

#[test]
fn what_aws_refuses_is_refused_with_a_word_of_why() {
    for (body, why) in INVALID {
        let error = Cron::parse(&format!("cron({body})")).expect_err(body);
        let told = format!("{} {}", error.message, error.hint);
        assert!(told.contains(why), "{body}: {told}");
    }
}

#[test]
fn crontab_is_read_as_crontab_and_nothing_is_guessed() {
    for (text, wanted) in UNIX {
        let cron = Cron::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(cron.dialect(), Dialect::Unix);
        let wanted: Vec<DateTime> = wanted.iter().map(|it| it.parse().unwrap()).collect();
        assert_eq!(following(&cron, wanted.len()), wanted, "{text}");
    }
    for (text, why) in [
        ("0 2 * * ? *", "nobody can tell"),
        ("0 0 2 * * *", "nobody can tell"),
        ("0 2 * *", "five fields"),
        ("0 2 ? * *", "not crontab's"),
        ("0 2 L * *", "not crontab's"),
        ("0 2 * * 5L", "not crontab's"),
        ("0 2 * * 5#2", "not crontab's"),
        ("0 2 * jul fri#2", "not crontab's"),
        ("0 2 1 * +mon", "not crontab's"),
        ("0 0 */2 * mon", "programs differ"),
        ("61 2 * * *", "not a cron pattern"),
        ("cron(0 2 * * ? *", "not closed"),
        ("", "five fields"),
    ] {
        let error = Cron::parse(text).expect_err(text);
        assert!(error.message.contains(why), "{text}: {error}");
    }
}

/// What a field of AWS's says about a number, read once more and as simply as can be.
fn has(field: &str, names: &[&str], first: i16, most: i16, value: i16) -> bool {
    let number = |text: &str| {
        let upper = text.to_ascii_uppercase();
        let named = names.iter().position(|name| *name == upper);
        named.map_or_else(|| text.parse().unwrap(), |at| at as i16 + first)
    };
    field.split(',').any(|part| {
        let (range, step) = part.split_once('/').unwrap_or((part, ""));
        let (low, high) = match (range, range.split_once('-')) {
            ("*", _) => (first, most),
            (_, Some((low, high))) => (number(low), number(high)),
            (_, None) => (number(range), if step.is_empty() { number(range) } else { most }),
        };
        let step: i16 = if step.is_empty() { 1 } else { step.parse().unwrap() };
        (low..=high).contains(&value) && (value - low) % step == 0
    })
}

fn weekday(date: Date) -> i16 {
    i16::from(date.weekday().to_sunday_one_offset())
}

fn is_day(month: &str, week: &str, date: Date) -> bool {
    let days = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];
    let day_number = |name: &str| {
        let named = days.iter().position(|day| *day == name.to_ascii_uppercase());
        named.map_or_else(|| name.parse().unwrap(), |at| at as i16 + 1)
    };
    let last = date.last_of_month();
    if let Some(day) = month.strip_suffix('W') {
        // The nearest of Monday to Friday in the same month: found by looking at all of them.
        let meant: i16 = day.parse().unwrap();
        let nearest = (1..=last.day())
            .filter(|day| {
                let weekday = weekday(date.with().day(*day).build().unwrap());
                (2..=6).contains(&weekday)
            })
            .min_by_key(|day| (i16::from(*day) - meant).abs());
        return i16::from(last.day()) >= meant && nearest == Some(date.day());
    }
    match (month, week) {
        ("L", _) => date == last,
        ("?", "L") => weekday(date) == 7,
        ("?", week) if week.contains('#') => {
            let (day, nth) = week.split_once('#').unwrap();
            weekday(date) == day_number(day)
                && (date.day() - 1) / 7 + 1 == nth.parse::<i8>().unwrap()
        }
        ("?", week) if week.ends_with('L') => {
            let same = weekday(date) == day_number(&week[..week.len() - 1]);
            same && date.day() + 7 > last.day()
        }
        ("?", week) => has(week, &days, 1, 7, weekday(date)),
        (month, _) => has(month, &[], 1, 31, date.day().into()),
    }
}

/// The next moments by looking at every day, hour and minute.
fn walk(body: &str, count: usize) -> Vec<DateTime> {
    let months =
        ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
    let fields: Vec<&str> = body.split_whitespace().collect();
    let [minute, hour, month_day, month, week, year] = fields[..] else { panic!("{body}") };
    let mut found = vec![];
    let mut date = from().date();
    while found.len() < count && date.year() < 2037 {
        if has(year, &[], 1970, 2199, date.year())
            && has(month, &months, 1, 12, date.month().into())
            && is_day(month_day, week, date)
        {
            for at in (0..24 * 60)
                .filter(|at| has(hour, &[], 0, 23, at / 60) && has(minute, &[], 0, 59, at % 60))
            {
                let moment = date.at((at / 60) as i8, (at % 60) as i8, 0, 0);
                if moment > from() && found.len() < count {
                    found.push(moment);
                }
            }
        }
        date = date.tomorrow().unwrap();
    }
    found
}

#[test]
fn the_next_ten_are_those_that_a_walk_through_the_calendar_finds() {
    for (body, _) in VALID.iter().filter(|(body, _)| !body.ends_with("2199")) {
        let cron = Cron::parse(&format!("cron({body})")).unwrap();
        assert_eq!(following(&cron, 10), walk(body, 10), "{body}");
    }
    // And patterns that nobody thought of.
    for seed in 0..120_u32 {
        let pick = |salt: u32, from: &[&'static str]| {
            let mixed = (seed * 31 + salt).wrapping_mul(2_654_435_761).rotate_left(salt + 7);
            from[(mixed >> 5) as usize % from.len()]
        };
        let days = pick(9, &["month", "week"]);
        let month_day = ["*", "1", "L", "31", "15W", "1W", "30W", "1-7", "10/7", "2,29"];
        let week = ["*", "SUN", "2", "6L", "3#5", "L", "MON-FRI", "1,7", "THU#1"];
        let (dom, dow) = match days {
            "month" => (pick(2, &month_day), "?"),
            _ => ("?", pick(4, &week)),
        };
        let minute = pick(0, &["0", "5/20", "0,30", "7-9", "*/25"]);
        let hour = pick(1, &["2", "*/6", "0", "9-17/4", "23"]);
        let month = pick(3, &["*", "2", "JAN-MAR", "4/3", "12,6"]);
        let year = pick(5, &["*", "2026-2028", "2028"]);
        let body = format!("{minute} {hour} {dom} {month} {dow} {year}");
        let cron =
            Cron::parse(&format!("cron({body})")).unwrap_or_else(|error| panic!("{body}: {error}"));
        assert_eq!(following(&cron, 10), walk(&body, 10), "{body}");
    }
}
