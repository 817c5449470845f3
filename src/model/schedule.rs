//! Schedules: what recurs, by name, and what is done about runs that nobody was there for.

use super::{Id, Span, Target};
use crate::calendar::{Recurrence, Rota};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::Duration;

/// What is done about runs while the daemon was away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missed {
    /// However many there were: the last one is made up for, where that is not longer ago than this.
    Once {
        within: Option<Span>,
    },
    Skip,
}

#[derive(Debug, Clone)]
pub struct Schedule {
    pub name: String,
    pub recurrence: Recurrence,
    /// As it is written.
    pub text: String,
    pub missed: Missed,
    /// What its events are about.
    pub target: Target,
    /// Of everything above: a schedule that changes begins anew.
    pub version: Id,
}

/// What is known of a schedule's past.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    pub version: Id,
    /// Every run up to here was begun or passed over. At first, when it came into force.
    pub upto: Timestamp,
    /// The last one that was begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ran: Option<Timestamp>,
}

/// A run that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    pub at: Timestamp,
    /// Runs that were missed, itself among them where it is late.
    pub missed: u32,
    /// Whether it is to be begun; else it is only passed over.
    pub runs: bool,
}

/// Later than this, nobody was there for it.
const LATE: Duration = Duration::from_secs(60);
/// Missed runs that are counted; more are as good as this.
const MOST: u32 = 1000;

/// What is due of a schedule at `now`, given its past. At most one run, however many were missed.
pub fn due(schedule: &Schedule, known: &Known, now: Timestamp) -> Option<Due> {
    let mut at = schedule.recurrence.after(known.upto).filter(|at| *at <= now)?;
    let late = |at: Timestamp| now.duration_since(at) > LATE.try_into().unwrap_or_default();
    let mut missed = u32::from(late(at));
    while let Some(next) = schedule.recurrence.after(at).filter(|next| *next <= now) {
        at = next;
        missed = missed.saturating_add(u32::from(late(at)));
        if missed >= MOST {
            at = schedule.recurrence.last(now).unwrap_or(at);
            break;
        }
    }
    let runs = !late(at)
        || match schedule.missed {
            Missed::Skip => false,
            Missed::Once { within } => within.is_none_or(|within| {
                now.duration_since(at) <= within.0.try_into().unwrap_or_default()
            }),
        };
    Some(Due { at, missed, runs })
}

/// Runs that are told at once.
pub const MOST_SHOWN: usize = 1000;

/// With its next `count` runs after `from`, and what is known of its past.
pub fn shown(schedule: &Schedule, known: Option<&Known>, from: Timestamp, count: usize) -> Value {
    let recurrence = &schedule.recurrence;
    let following = std::iter::successors(recurrence.after(from), |at| recurrence.after(*at));
    let next: Vec<String> = following
        .take(count.min(MOST_SHOWN))
        .map(|at| match recurrence.zone() {
            Some(zone) => at.to_zoned(zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
            None => at.to_string(),
        })
        .collect();
    let missed = match schedule.missed {
        Missed::Skip => json!("skip"),
        Missed::Once { within: None } => json!("once"),
        Missed::Once { within: Some(within) } => json!(format!("once, within {within}")),
    };
    json!({
        "name": schedule.name,
        "schedule": schedule.text,
        "dialect": recurrence.dialect(),
        "zone": recurrence.zone().and_then(|zone| zone.iana_name()),
        "clocks": recurrence.clocks().map(crate::calendar::Clocks::describe),
        "missed": missed,
        "subject": schedule.target.to_string(),
        "last_run": known.and_then(|known| known.ran),
        "next": next,
    })
}

/// Who has the duty at that moment, and for so long after it, as people and scripts see it.
pub fn duties(rota: &Rota, at: Timestamp, next: Span) -> Value {
    let moment =
        |at: Timestamp| at.to_zoned(rota.zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string();
    let until = at.checked_add(next.0).unwrap_or(Timestamp::MAX);
    let all = rota.duties(at, until).into_iter().map(
        |duty| json!({ "who": duty.who, "from": moment(duty.from), "until": moment(duty.until) }),
    );
    let all: Vec<Value> = all.take(MOST_SHOWN).collect();
    json!({
        "name": rota.name, "zone": rota.zone.iana_name(), "at": moment(at), "who": rota.who(at),
        "duties": all,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calendar::Clocks;
    use jiff::tz::TimeZone;

    fn schedule(text: &str, missed: Missed) -> Schedule {
        let keep = |clocks: Clocks| clocks;
        Schedule {
            name: "nightly".into(),
            recurrence: Recurrence::parse(text, TimeZone::UTC, keep).unwrap(),
            text: text.into(),
            missed,
            target: Target::Other { kind: "schedule".into(), name: "nightly".into() },
            version: Id::of(&[text]),
        }
    }

    fn asked(text: &str, missed: Missed, upto: &str, now: &str) -> Option<Due> {
        let schedule = schedule(text, missed);
        let known =
            Known { version: schedule.version.clone(), upto: upto.parse().unwrap(), ran: None };
        due(&schedule, &known, now.parse().unwrap())
    }

    const ALWAYS: Missed = Missed::Once { within: None };

    #[test]
    fn it_is_due_once_and_not_before() {
        let upto = "2026-03-02T02:00:00Z";
        let nightly = "cron(0 2 * * ? *)";
        assert_eq!(asked(nightly, ALWAYS, upto, "2026-03-03T01:59:59Z"), None);
        let at: Timestamp = "2026-03-03T02:00:00Z".parse().unwrap();
        for now in ["2026-03-03T02:00:00Z", "2026-03-03T02:01:00Z"] {
            assert_eq!(
                asked(nightly, Missed::Skip, upto, now),
                Some(Due { at, missed: 0, runs: true })
            );
        }
        assert_eq!(asked(nightly, ALWAYS, "2026-03-03T02:00:00Z", "2026-03-03T12:00:00Z"), None);
    }

    #[test]
    fn of_those_that_were_missed_the_last_one_is_made_up_for() {
        let (upto, now) = ("2026-03-02T02:00:00Z", "2026-03-05T09:00:00Z");
        let at: Timestamp = "2026-03-05T02:00:00Z".parse().unwrap();
        let missed = |how| asked("0 2 * * *", how, upto, now).unwrap();
        assert_eq!(missed(ALWAYS), Due { at, missed: 3, runs: true });
        assert_eq!(missed(Missed::Skip), Due { at, missed: 3, runs: false });
        let within = |hours: u64| Missed::Once { within: Some(Span::seconds(hours * 3600)) };
        assert!(missed(within(7)).runs && !missed(within(6)).runs);
    }

    #[test]
    fn years_of_minutes_are_not_counted_one_by_one() {
        let due = asked("* * * * *", ALWAYS, "2020-01-01T00:00:00Z", "2026-03-05T09:00:30Z");
        let at: Timestamp = "2026-03-05T09:00:00Z".parse().unwrap();
        assert_eq!(due, Some(Due { at, missed: 1000, runs: true }));
    }
}
