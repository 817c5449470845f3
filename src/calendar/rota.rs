//! Whose turn it is: people who take turns, handed over by the clock on the wall of a place. Between two hand-offs there is
//! neither gap nor overlap, whatever the clocks do.

use super::Hours;
use jiff::{
    Timestamp, ToSpan,
    civil::{Date, Time},
    tz::TimeZone,
};

/// How long a turn is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shift {
    /// So many hours that pass, whatever the clocks show.
    Hours(u32),
    /// From a hand-off to the one so many days later, at the same time of the day.
    Days(u32),
}

/// People who take turns.
#[derive(Debug, Clone)]
pub struct Layer {
    /// In their order. Never empty.
    pub people: Vec<String>,
    pub shift: Shift,
    /// The day on which the first of them begins.
    pub starts: Date,
    pub hand_off: Time,
    /// Only then. Empty: always.
    pub during: Vec<Hours>,
}

/// Somebody else, for a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    pub who: String,
    pub from: Timestamp,
    pub until: Timestamp,
}

#[derive(Debug, Clone)]
pub struct Rota {
    pub name: String,
    pub zone: TimeZone,
    /// The first that covers a moment says who.
    pub layers: Vec<Layer>,
    /// Before all layers; the last one written wins.
    pub overrides: Vec<Override>,
}

/// A time for which one person, or nobody, has the duty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Duty {
    pub from: Timestamp,
    pub until: Timestamp,
    pub who: Option<String>,
}

/// Changes that are looked at; a year of hours is fewer.
const MOST: usize = 20_000;
/// Days in which gaps are looked for: two years have every change of clocks, and most rotations come round.
const LOOKED: i64 = 731;

impl Layer {
    /// The hand-off of that day. A time that the day does not have is the moment of the change, one that it has twice
    /// the first of the two.
    fn hand_off(&self, day: Date, zone: &TimeZone) -> Option<Timestamp> {
        let wall = day.to_datetime(self.hand_off);
        zone.to_ambiguous_timestamp(wall).compatible().ok()
    }

    /// Which turn it is, counted from the first, and when the next one begins.
    fn turn(&self, at: Timestamp, zone: &TimeZone) -> Option<(i64, Timestamp)> {
        match self.shift {
            Shift::Hours(hours) => {
                let length = i64::from(hours.max(1)) * 3600;
                let first = self.hand_off(self.starts, zone)?.as_second();
                let turn = (at.as_second() - first).div_euclid(length);
                Some((turn, Timestamp::from_second(first + (turn + 1) * length).ok()?))
            }
            Shift::Days(days) => {
                let days = i64::from(days.max(1));
                let mut today = zone.to_datetime(at).date();
                if self.hand_off(today, zone)? > at {
                    today = today.yesterday().ok()?;
                }
                let passed = i64::from(self.starts.until(today).ok()?.get_days());
                let turn = passed.div_euclid(days);
                let next = self.starts.checked_add(((turn + 1) * days).days()).ok()?;
                Some((turn, self.hand_off(next, zone)?))
            }
        }
    }

    fn who(&self, at: Timestamp, zone: &TimeZone) -> Option<&str> {
        let open =
            self.during.is_empty() || self.during.iter().any(|it| it.open_until(at).is_some());
        let (turn, _) = self.turn(at, zone).filter(|_| open)?;
        let place = turn.rem_euclid(i64::try_from(self.people.len()).ok()?);
        self.people.get(usize::try_from(place).ok()?).map(String::as_str)
    }

    /// When it may be another next.
    fn changes(&self, at: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let hours = self.during.iter().flat_map(|it| [it.open_until(at), it.opens_after(at)]);
        hours.flatten().chain(self.turn(at, zone).map(|(_, next)| next)).min()
    }
}

impl Rota {
    /// Who has the duty at that moment.
    pub fn who(&self, at: Timestamp) -> Option<&str> {
        let instead = self.overrides.iter().rev().find(|it| it.from <= at && at < it.until);
        match instead {
            Some(instead) => Some(&instead.who),
            None => self.layers.iter().find_map(|layer| layer.who(at, &self.zone)),
        }
    }

    fn changes(&self, at: Timestamp) -> Option<Timestamp> {
        let layers = self.layers.iter().filter_map(|layer| layer.changes(at, &self.zone));
        let bounds = self.overrides.iter().flat_map(|it| [it.from, it.until]);
        layers.chain(bounds.filter(|bound| *bound > at)).filter(|next| *next > at).min()
    }

    /// Who has it when, from `from` until `until`, one after the other.
    pub fn duties(&self, from: Timestamp, until: Timestamp) -> Vec<Duty> {
        let mut all: Vec<Duty> = vec![];
        let mut at = from;
        for _ in 0..MOST {
            if at >= until {
                break;
            }
            let next = self.changes(at).unwrap_or(until).min(until);
            let who = self.who(at).map(str::to_owned);
            match all.last_mut().filter(|last| last.who == who) {
                Some(last) => last.until = next,
                None => all.push(Duty { from: at, until: next, who }),
            }
            at = next;
        }
        all
    }

    /// The first time without anybody, of two years from its beginning.
    pub fn gap(&self) -> Option<Duty> {
        let first = self.layers.iter().map(|layer| layer.starts).max()?;
        let from = first.to_zoned(self.zone.clone()).ok()?.timestamp();
        let from = from.checked_add(jiff::SignedDuration::from_hours(48)).ok()?;
        let until = from.checked_add(jiff::SignedDuration::from_hours(24 * LOOKED)).ok()?;
        self.duties(from, until).into_iter().find(|duty| duty.who.is_none())
    }
}

#[cfg(test)]
mod tests;
