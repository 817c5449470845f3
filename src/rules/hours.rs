//! Hours as rule files write them.

use super::diagnostic::Code;
use super::names::Names;
use super::schedules::recurrence;
use super::shape;
use super::walk::{Entries, Faults, text};
use super::yaml::{Kind, Node};
use crate::calendar::{Back, Clocks, Forward, Hours, Recurrence};
use jiff::{
    civil::{Time, Weekday},
    tz::TimeZone,
};
use std::{collections::BTreeMap, sync::Arc};

pub(super) type Named = BTreeMap<String, Arc<Hours>>;

/// The hours of a rule: names of windows, or windows that stand there.
pub(super) fn list(
    entries: &Entries<'_>,
    key: &str,
    names: &Names<'_>,
    faults: &mut Faults,
) -> Vec<Arc<Hours>> {
    let Some(node) = entries.get(key) else { return vec![] };
    let items: Vec<&Node> = match &node.kind {
        Kind::List(items) => items.iter().collect(),
        Kind::Scalar { .. } | Kind::Map(_) => vec![node],
    };
    let one = |item: &Node, faults: &mut Faults| {
        if let Kind::Map(_) = item.kind {
            return hours(item, &shape::HOURS, faults).map(Arc::new);
        }
        let name = text(item, faults)?;
        let known: Vec<&str> = names.windows.keys().map(String::as_str).collect();
        names.check("window", name, &known, &item.place, faults);
        names.windows.get(name).cloned()
    };
    items.into_iter().filter_map(|item| one(item, faults)).collect()
}

/// One window, of the section `windows` or in a rule.
pub(super) fn hours(
    node: &Node,
    shape: &'static shape::Shape,
    faults: &mut Faults,
) -> Option<Hours> {
    let entries = Entries::of(node, shape, faults)?;
    let zone = entries.get("zone").map_or(Some(TimeZone::UTC), |node| zone(node, faults));
    let name = entries.text("name", faults).unwrap_or_default();
    let hours = match (entries.get("cron"), entries.get("from")) {
        (Some(node), None) => {
            let stays = entries.span("for", faults);
            if stays.is_none() && entries.get("for").is_none() {
                faults.add(
                    Code::MissingKey,
                    &node.place,
                    "a window by cron needs `for`: how long it stays open",
                );
            }
            let opens = opens(node, zone?, faults);
            Hours::recurring(name, opens?, stays?)
        }
        (None, Some(from)) => {
            let (from, to) = (time(from, faults), entries.get("to").map(|node| time(node, faults)));
            let Some(to) = to else {
                faults.add(Code::MissingKey, entries.place(), "a window with `from` needs `to`");
                return None;
            };
            Hours::daily(name, zone?, days(&entries, faults), from?, to?)
        }
        (None, None) if entries.get("days").is_some() => {
            let midnight = Time::midnight();
            Hours::daily(name, zone?, days(&entries, faults), midnight, midnight)
        }
        _ => {
            let message = "a window has either `from` and `to`, or `days`, or `cron` and `for`";
            faults.add(Code::Conflict, entries.place(), message);
            return None;
        }
    };
    Some(hours)
}

pub(super) fn zone(node: &Node, faults: &mut Faults) -> Option<TimeZone> {
    let name = text(node, faults)?;
    let zone = TimeZone::get(name).ok();
    if zone.is_none() {
        faults.add(Code::BadValue, &node.place, format!("there is no time zone `{name}`")).hint =
            Some("write an IANA name, for example Europe/Berlin or UTC".into());
    }
    zone
}

pub(super) fn time(node: &Node, faults: &mut Faults) -> Option<Time> {
    let written = text(node, faults)?;
    let time = written.split_once(':').and_then(|(hour, minute)| {
        let two = |text: &str| text.len() <= 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        let both = two(hour) && two(minute);
        both.then(|| Time::new(hour.parse().ok()?, minute.parse().ok()?, 0, 0).ok()).flatten()
    });
    if time.is_none() {
        faults
            .add(Code::BadValue, &node.place, format!("`{written}` is not a time of the day"))
            .hint = Some("write hours and minutes in quotes, from \"00:00\" to \"23:59\"".into());
    }
    time
}

const DAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];

/// Days by their names: `mon`, `monday`, or `mon-fri`.
pub(super) fn days(entries: &Entries<'_>, faults: &mut Faults) -> Vec<Weekday> {
    if entries.get("days").is_none() {
        return DAYS.map(|(_, day)| day).to_vec();
    }
    let at = |word: &str| {
        let word = word.trim().to_ascii_lowercase();
        let long = |day: Weekday| format!("{day:?}").to_ascii_lowercase();
        DAYS.iter().position(|(name, day)| *name == word || long(*day) == word)
    };
    let mut all = vec![];
    for (written, place) in entries.texts("days", faults) {
        let range = match written.split_once('-') {
            Some((first, last)) => at(first).zip(at(last)),
            None => at(&written).map(|day| (day, day)),
        };
        let Some((first, last)) = range else {
            faults.add(Code::BadValue, place, format!("`{written}` is not a day")).hint =
                Some("write mon, tue, wed, thu, fri, sat, sun, or a range like mon-fri".into());
            continue;
        };
        let length = (last + 7 - first) % 7;
        all.extend((0..=length).map(|step| DAYS[(first + step) % 7].1));
    }
    all
}

/// A window that opens at a time which a day does not have opens when the clocks have changed.
fn opens(node: &Node, zone: TimeZone, faults: &mut Faults) -> Option<Recurrence> {
    let clocks = Clocks { forward: Forward::RunAfter, back: Back::Once };
    recurrence(node, zone, |_| clocks, faults)
}

#[cfg(test)]
mod tests {
    use super::super::diagnostic::Source;
    use super::*;
    use crate::calendar::allowed;
    use jiff::Timestamp;

    fn window(text: &str) -> Hours {
        let source = Arc::new(Source { path: "t".into(), text: text.into() });
        let mut faults = Faults::default();
        let node = super::super::yaml::parse(&source, &mut faults.0).remove(0);
        let hours = hours(&node, &shape::HOURS, &mut faults);
        assert!(faults.0.is_empty(), "{:?}", faults.0);
        hours.unwrap()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_night_goes_over_midnight_and_over_the_change_of_clocks() {
        let night = window("{from: \"22:00\", to: \"06:00\", zone: Europe/Berlin}");
        // In winter Berlin is an hour ahead.
        assert_eq!(night.open_until(at("2026-01-10T20:59:59Z")), None);
        let open = night.open_until(at("2026-01-10T21:00:00Z"));
        assert_eq!(open, Some(at("2026-01-11T05:00:00Z")));
        assert_eq!(night.open_until(at("2026-01-11T05:00:00Z")), None, "its end is not in it");
        assert_eq!(night.opens_after(at("2026-01-11T05:00:00Z")), Some(at("2026-01-11T21:00:00Z")));
        // On 29 March the clocks go forward: the night is an hour shorter, and six is six.
        assert_eq!(night.open_until(at("2026-03-28T23:00:00Z")), Some(at("2026-03-29T04:00:00Z")));
        // On 25 October they go back: an hour longer.
        assert_eq!(night.open_until(at("2026-10-24T21:00:00Z")), Some(at("2026-10-25T05:00:00Z")));
    }

    #[test]
    fn days_begin_a_window_and_may_be_all_of_it() {
        let weekend = window("{days: [sat, sunday]}");
        assert_eq!(weekend.open_until(at("2026-11-20T23:59:59Z")), None, "a Friday");
        assert_eq!(
            weekend.open_until(at("2026-11-21T00:00:00Z")),
            Some(at("2026-11-22T00:00:00Z"))
        );
        assert_eq!(
            weekend.opens_after(at("2026-11-22T00:00:00Z")),
            Some(at("2026-11-28T00:00:00Z"))
        );
        let office = window("{days: mon-fri, from: \"9:00\", to: \"17:30\"}");
        assert!(office.open_until(at("2026-11-20T17:29:59Z")).is_some());
        assert!(office.open_until(at("2026-11-21T10:00:00Z")).is_none());
        let late = window("{days: fri-mon, from: \"23:00\", to: \"01:00\"}");
        assert!(
            late.open_until(at("2026-11-24T00:30:00Z")).is_some(),
            "Monday's goes into Tuesday"
        );
    }

    #[test]
    fn a_pattern_opens_it_for_a_time() {
        let patch = window("{cron: \"0 2 * * sun\", for: 2h}");
        assert_eq!(patch.open_until(at("2026-11-22T03:59:59Z")), Some(at("2026-11-22T04:00:00Z")));
        assert_eq!(patch.open_until(at("2026-11-22T04:00:00Z")), None);
        assert_eq!(patch.opens_after(at("2026-11-22T02:00:00Z")), Some(at("2026-11-29T02:00:00Z")));
        let fifth = window("{cron: \"0 0 1 * *\", for: 1d, zone: America/New_York}");
        assert_eq!(fifth.opens_after(at("2026-11-22T00:00:00Z")), Some(at("2026-12-01T05:00:00Z")));
    }

    #[test]
    fn what_is_allowed_is_in_one_and_in_none_of_the_others() {
        let (night, freeze) = (
            Arc::new(window("{from: \"22:00\", to: \"06:00\"}")),
            Arc::new(window("{from: \"00:00\", to: \"03:00\"}")),
        );
        let ask = |text: &str| allowed(&[Arc::clone(&night)], &[Arc::clone(&freeze)], at(text));
        assert_eq!(ask("2026-11-22T23:00:00Z"), Ok(()));
        let day = ask("2026-11-22T12:00:00Z").unwrap_err();
        assert_eq!(day, ("`during`".into(), Some(at("2026-11-22T22:00:00Z"))));
        let frozen = ask("2026-11-22T01:00:00Z").unwrap_err();
        assert_eq!(frozen, ("`except`".into(), Some(at("2026-11-22T03:00:00Z"))));
        let never =
            allowed(&[Arc::clone(&freeze)], &[Arc::clone(&freeze)], at("2026-11-22T12:00:00Z"));
        assert_eq!(never.unwrap_err().1, None);
    }
}
