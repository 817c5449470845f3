//! A schedule as people and scripts see it.

use super::{Known, Missed, Schedule};
use jiff::Timestamp;
use serde_json::{Value, json};

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
        "clocks": recurrence.clocks().map(super::Clocks::describe),
        "missed": missed,
        "subject": schedule.target.to_string(),
        "last_run": known.and_then(|known| known.ran),
        "next": next,
    })
}
