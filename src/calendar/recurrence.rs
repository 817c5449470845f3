//! A pattern in a zone: from times on the calendar to moments.
//!
//! Twice a year the clocks of many places jump. A time that a day does not have, or has twice, is decided on here and
//! nowhere else.

use super::cron::{BadPattern, Cron, Dialect};
use super::span::Span;
use jiff::{
    Timestamp, ToSpan,
    civil::DateTime,
    tz::{AmbiguousOffset, TimeZone},
};
use std::time::Duration;

/// A time of the day that is missing because the clocks go forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forward {
    /// It is passed over, as AWS's schedulers do.
    Skip,
    /// It runs at the moment of the change, as cron does.
    RunAfter,
}

/// A time of the day that comes twice because the clocks go back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Back {
    /// The first of the two.
    Once,
    Twice,
}

/// What happens when the clocks change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clocks {
    pub forward: Forward,
    pub back: Back,
}

impl Clocks {
    /// As the dialect's own scheduler has it. crontab's goes by time that passes where the hour is `*`.
    fn of(pattern: &Cron) -> Clocks {
        match (pattern.dialect(), pattern.every_hour()) {
            (Dialect::Aws, _) => Clocks { forward: Forward::Skip, back: Back::Once },
            (Dialect::Unix, false) => Clocks { forward: Forward::RunAfter, back: Back::Once },
            (Dialect::Unix, true) => Clocks { forward: Forward::Skip, back: Back::Twice },
        }
    }

    /// As people are told.
    pub fn describe(self) -> &'static str {
        match (self.forward, self.back) {
            (Forward::Skip, Back::Once) => "skips a missing time, runs a repeated one once",
            (Forward::Skip, Back::Twice) => "skips a missing time, runs a repeated one twice",
            (Forward::RunAfter, Back::Once) => "runs after a missing time, a repeated one once",
            (Forward::RunAfter, Back::Twice) => "runs after a missing time, a repeated one twice",
        }
    }
}

#[derive(Debug, Clone)]
enum How {
    Cron {
        pattern: Cron,
        zone: TimeZone,
        clocks: Clocks,
    },
    /// Counted from 1970-01-01T00:00Z, so that every replica and every life counts the same.
    Every(Span),
}

/// What happens again and again.
#[derive(Debug, Clone)]
pub struct Recurrence {
    how: How,
}

/// No clock jumps by more, forward or back.
const JUMP_HOURS: i64 = 3;
/// More often nothing is begun.
const SHORTEST: Duration = Duration::from_secs(60);
/// From here on a pattern has to fire: what has fired for the last time before never does.
const SINCE: &str = "2026-01-01T00:00:00Z";

impl Recurrence {
    /// Reads `cron(...)`, five fields, or `every 6h`. `clocks`: else as the dialect's own scheduler.
    ///
    /// # Errors
    /// What cannot be read, and what never fires.
    pub fn parse(
        text: &str,
        zone: TimeZone,
        clocks: impl Fn(Clocks) -> Clocks,
    ) -> Result<Recurrence, BadPattern> {
        let text = text.trim();
        if let Some(span) = text.strip_prefix("every ") {
            return Recurrence::every(span.trim());
        }
        if let Some(rate) = text.strip_prefix("rate(") {
            let hint = "write `every 6h`: it counts from midnight UTC on the first of January 1970";
            let message = format!("`rate({rate}` begins when AWS makes it: here nothing does");
            return Err(BadPattern::new(message, hint));
        }
        if text.starts_with('@') {
            let hint = "write the five fields, for example `0 0 * * *` for every midnight";
            return Err(BadPattern::new(format!("`{text}` is not a pattern"), hint));
        }
        let pattern = Cron::parse(text)?;
        let clocks = clocks(Clocks::of(&pattern));
        let recurrence = Recurrence { how: How::Cron { pattern, zone, clocks } };
        let since: Timestamp = SINCE.parse().unwrap_or_default();
        match recurrence.after(since) {
            Some(_) => Ok(recurrence),
            None => Err(BadPattern::new(
                format!("`{text}` never fires"),
                "no month has that day, or the year is over; look at day of month, month and year",
            )),
        }
    }

    fn every(span: &str) -> Result<Recurrence, BadPattern> {
        let hint = "write a duration of at least a minute, for example `every 6h`";
        let every: Span =
            span.parse().map_err(|error| BadPattern::new(format!("{error}"), hint))?;
        if every.0 < SHORTEST || every.0.subsec_nanos() != 0 {
            return Err(BadPattern::new(format!("`every {span}` is too often"), hint));
        }
        Ok(Recurrence { how: How::Every(every) })
    }

    /// The first moment after `now`.
    pub fn after(&self, now: Timestamp) -> Option<Timestamp> {
        match &self.how {
            How::Every(every) => {
                let every = i64::try_from(every.0.as_secs()).ok()?;
                Timestamp::from_second((now.as_second().div_euclid(every) + 1) * every).ok()
            }
            How::Cron { pattern, zone, clocks } => {
                let wall = zone.to_datetime(now);
                let plain = wall.checked_add(1.second()).ok().and_then(|at| pattern.next(at));
                let plain = plain.and_then(|it| moment_of(it, zone)).filter(|at| *at > now);
                if let Some(at) = plain.filter(|at| !changes(zone, now, *at)) {
                    return Some(at);
                }
                let mut at = wall.checked_sub(JUMP_HOURS.hours()).ok()?;
                let enough = wall.checked_add(JUMP_HOURS.hours()).ok()?;
                let mut best: Option<Timestamp> = None;
                // Times near a jump do not stand in the order of their moments.
                while let Some(next) = pattern.next(at)
                    && (best.is_none() || next <= enough)
                {
                    let moments = moments(next, zone, *clocks).into_iter().flatten();
                    best = moments.filter(|it| *it > now).chain(best).min();
                    at = next.checked_add(1.second()).ok()?;
                }
                best
            }
        }
    }

    /// The last moment at or before `now`.
    pub fn last(&self, now: Timestamp) -> Option<Timestamp> {
        match &self.how {
            How::Every(every) => {
                let every = i64::try_from(every.0.as_secs()).ok()?;
                Timestamp::from_second(now.as_second().div_euclid(every) * every).ok()
            }
            How::Cron { pattern, zone, clocks } => {
                let wall = zone.to_datetime(now);
                let plain = pattern.last(wall).and_then(|it| moment_of(it, zone));
                if let Some(at) = plain.filter(|at| *at <= now && !changes(zone, *at, now)) {
                    return Some(at);
                }
                let mut at = wall.checked_add(JUMP_HOURS.hours()).ok()?;
                let enough = wall.checked_sub(JUMP_HOURS.hours()).ok()?;
                let mut best: Option<Timestamp> = None;
                while let Some(last) = pattern.last(at)
                    && (best.is_none() || last >= enough)
                {
                    let moments = moments(last, zone, *clocks).into_iter().flatten();
                    best = moments.filter(|it| *it <= now).chain(best).max();
                    at = last.checked_sub(1.second()).ok()?;
                }
                best
            }
        }
    }

    /// A change of clocks within ten years that meets it: the moment at which it would be, or is twice.
    pub fn meets_a_change(&self) -> Option<DateTime> {
        let How::Cron { pattern, zone, .. } = &self.how else { return None };
        let since: Timestamp = SINCE.parse().ok()?;
        zone.following(since).take(20).find_map(|change| {
            let wall = zone.to_datetime(change.timestamp());
            let mut at = wall.checked_sub(JUMP_HOURS.hours()).ok()?;
            let end = wall.checked_add(JUMP_HOURS.hours()).ok()?;
            while let Some(next) = pattern.next(at).filter(|next| *next <= end) {
                if !matches!(
                    zone.to_ambiguous_timestamp(next).offset(),
                    AmbiguousOffset::Unambiguous { .. }
                ) {
                    return Some(next);
                }
                at = next.checked_add(1.second()).ok()?;
            }
            None
        })
    }

    /// In whose dialect it was written: `aws`, `unix`, or `every`.
    pub fn dialect(&self) -> &'static str {
        match &self.how {
            How::Cron { pattern, .. } => pattern.dialect().word(),
            How::Every(_) => "every",
        }
    }

    /// Where its clock hangs. `None`: it has none.
    pub fn zone(&self) -> Option<&TimeZone> {
        match &self.how {
            How::Cron { zone, .. } => Some(zone),
            How::Every(_) => None,
        }
    }

    pub fn clocks(&self) -> Option<Clocks> {
        match &self.how {
            How::Cron { clocks, .. } => Some(*clocks),
            How::Every(_) => None,
        }
    }
}

/// The one moment of a time on the calendar, where it has one.
fn moment_of(wall: DateTime, zone: &TimeZone) -> Option<Timestamp> {
    match zone.to_ambiguous_timestamp(wall).offset() {
        AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(wall).ok(),
        AmbiguousOffset::Gap { .. } | AmbiguousOffset::Fold { .. } => None,
    }
}

/// Whether the clocks change between two moments, or just before or after them.
fn changes(zone: &TimeZone, from: Timestamp, to: Timestamp) -> bool {
    let around = jiff::SignedDuration::from_hours(JUMP_HOURS + 1);
    let (Ok(from), Ok(to)) = (from.checked_sub(around), to.checked_add(around)) else {
        return true;
    };
    zone.following(from).next().is_some_and(|change| change.timestamp() <= to)
}

/// The moments of a time on the calendar: none, one or two.
fn moments(wall: DateTime, zone: &TimeZone, clocks: Clocks) -> [Option<Timestamp>; 2] {
    let ambiguous = zone.to_ambiguous_timestamp(wall);
    match ambiguous.offset() {
        AmbiguousOffset::Unambiguous { offset } => [offset.to_timestamp(wall).ok(), None],
        AmbiguousOffset::Gap { after, .. } => match clocks.forward {
            Forward::Skip => [None, None],
            // The change itself: with the offset after it the time would be just before the change.
            Forward::RunAfter => {
                let just_before = after.to_timestamp(wall).ok();
                let change = just_before.and_then(|at| zone.following(at).next());
                [change.map(|change| change.timestamp()), None]
            }
        },
        AmbiguousOffset::Fold { before, after } => {
            let second = (clocks.back == Back::Twice).then(|| after.to_timestamp(wall).ok());
            [before.to_timestamp(wall).ok(), second.flatten()]
        }
    }
}

#[cfg(test)]
mod tests;
