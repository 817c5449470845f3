//! Hours: quiet hours, maintenance windows and shifts, by the clock on the wall of a place.

use super::{Recurrence, span::Span};
use jiff::{
    Timestamp,
    civil::{Date, Time, Weekday},
    tz::TimeZone,
};
use std::sync::Arc;

/// A window that opens again and again.
#[derive(Debug, Clone)]
pub struct Hours {
    /// Empty where it stands in the rule itself.
    pub name: String,
    how: How,
}

#[derive(Debug, Clone)]
enum How {
    /// From a time of the day to another, perhaps of the next day.
    Daily { zone: TimeZone, days: Vec<Weekday>, from: Time, to: Time },
    /// Opens when the pattern says so, for a time.
    Cron { opens: Box<Recurrence>, stays: Span },
}

impl Hours {
    /// From a time of the day to another, where that is not later to the next day's, on those days.
    pub fn daily(name: String, zone: TimeZone, days: Vec<Weekday>, from: Time, to: Time) -> Hours {
        Hours { name, how: How::Daily { zone, days, from, to } }
    }

    /// Opens again and again, and stays open for so long.
    pub fn recurring(name: String, opens: Recurrence, stays: Span) -> Hours {
        Hours { name, how: How::Cron { opens: Box::new(opens), stays } }
    }

    /// Until when it is open, if it is.
    pub fn open_until(&self, now: Timestamp) -> Option<Timestamp> {
        match &self.how {
            How::Daily { zone, .. } => {
                let local = zone.to_datetime(now).date();
                let days = [local.yesterday().ok(), Some(local)];
                days.into_iter()
                    .flatten()
                    .filter_map(|day| self.on(day))
                    .find_map(|(start, end)| (start <= now && now < end).then_some(end))
            }
            How::Cron { opens, stays } => {
                let end = opens.last(now)?.checked_add(stays.0).ok()?;
                (now < end).then_some(end)
            }
        }
    }

    /// When it opens next after `now`.
    pub fn opens_after(&self, now: Timestamp) -> Option<Timestamp> {
        match &self.how {
            How::Daily { zone, .. } => {
                let mut day = zone.to_datetime(now).date();
                for _ in 0..9 {
                    if let Some((start, _)) = self.on(day).filter(|(start, _)| *start > now) {
                        return Some(start);
                    }
                    day = day.tomorrow().ok()?;
                }
                None
            }
            How::Cron { opens, .. } => opens.after(now),
        }
    }

    /// The window that begins on that day. A time that a day does not have (the clocks go forward) is the
    /// moment after the gap; one that it has twice is the first.
    fn on(&self, day: Date) -> Option<(Timestamp, Timestamp)> {
        let How::Daily { zone, days, from, to } = &self.how else { return None };
        if !days.contains(&day.weekday()) {
            return None;
        }
        let last = if to > from { day } else { day.tomorrow().ok()? };
        let at = |day: Date, time: Time| day.to_datetime(time).to_zoned(zone.clone()).ok();
        Some((at(day, *from)?.timestamp(), at(last, *to)?.timestamp()))
    }
}

/// Until when the rule may act, or when it may again: `during` any of those, and in none of `except`.
///
/// # Errors
/// It may not now: when it may next, as far as anybody can see, and the name of what is in the way.
pub fn allowed(
    during: &[Arc<Hours>],
    except: &[Arc<Hours>],
    now: Timestamp,
) -> Result<(), (String, Option<Timestamp>)> {
    let mut at = now;
    let mut first: Option<String> = None;
    // Each pass moves to the next moment at which what is in the way may be over.
    for _ in 0..64 {
        if let Some((hours, until)) = except.iter().find_map(|it| Some((it, it.open_until(at)?))) {
            first.get_or_insert_with(|| hours.named("except"));
            at = until;
        } else if !during.is_empty() && !during.iter().any(|it| it.open_until(at).is_some()) {
            let named = || during.first().map_or(String::new(), |hours| hours.named("during"));
            let why = first.get_or_insert_with(named).clone();
            match during.iter().filter_map(|it| it.opens_after(at)).min() {
                Some(opens) => at = opens,
                None => return Err((why, None)),
            }
        } else {
            return first.map_or(Ok(()), |why| Err((why, Some(at))));
        }
    }
    Err((first.unwrap_or_default(), None))
}

impl Hours {
    fn named(&self, word: &str) -> String {
        if self.name.is_empty() { format!("`{word}`") } else { format!("`{word}: {}`", self.name) }
    }
}
