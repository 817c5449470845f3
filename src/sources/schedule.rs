//! What recurs: each run of a schedule is an event, once, whichever replica is the active one and however often it dies.
//!
//! Up to when each schedule has run is kept beside the log. It is written after the event: who dies in between tells of
//! the same run again, under the same id, and the engine knows it.

use super::enrich::enrich;
use crate::clock::Clock;
use crate::cluster::{ClusterView, Sight};
use crate::log::{self, Condition, Entry, Kv, Log, LogError, Stream, bucket};
use crate::model::{Due, Envelope, Event, Id, Known, Schedule, due, kind};
use jiff::Timestamp;
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tokio::sync::watch;

const SOURCE: &str = "medevac/schedule";
/// A clock that is set is noticed within this time.
const TICK: Duration = Duration::from_secs(60);
/// Schedules that are known; rule files have fewer.
const MOST: usize = 10_000;
/// Before a full log is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// Runs until the log is gone.
///
/// # Errors
/// Where the log cannot be read or written any more.
pub async fn run<L: Log + Kv>(
    log: L,
    clock: impl Clock,
    view: impl ClusterView,
    cluster: Option<String>,
    mut schedules: watch::Receiver<Arc<Vec<Schedule>>>,
) -> Result<(), LogError> {
    let mut known: BTreeMap<String, Known> = BTreeMap::new();
    loop {
        let all = Arc::clone(&schedules.borrow_and_update());
        forget(&log, &all, &mut known).await?;
        for schedule in all.iter() {
            if known.get(&schedule.name).is_none_or(|known| known.version != schedule.version) {
                let past = past(&log, schedule, clock.now()).await?;
                known.insert(schedule.name.clone(), past);
            }
        }
        for schedule in all.iter() {
            let Some(past) = known.get_mut(&schedule.name) else { continue };
            if let Some(due) = due(schedule, past, clock.now()) {
                ready(&clock, &view).await;
                let event = event(schedule, &due, cluster.as_deref(), &view);
                *past = begin(&log, &clock, schedule, past, due, &event).await?;
            }
        }
        let next = |schedule: &Schedule| schedule.recurrence.after(known.get(&schedule.name)?.upto);
        let tick = clock.now().checked_add(TICK).ok();
        let wake =
            all.iter().filter_map(next).min().map(|next| tick.map_or(next, |it| it.min(next)));
        tokio::select! {
            biased;
            Ok(()) = schedules.changed() => {}
            () = clock.until(wake) => {}
        }
    }
}

/// One that is taken out and put back begins anew: for the time between it was not in force.
async fn forget(
    log: &impl Kv,
    all: &[Schedule],
    known: &mut BTreeMap<String, Known>,
) -> Result<(), LogError> {
    if !known.is_empty() && known.keys().all(|name| all.iter().any(|it| it.name == *name)) {
        return Ok(());
    }
    known.retain(|name, _| all.iter().any(|it| it.name == *name));
    let keys: BTreeSet<String> = all.iter().map(key).collect();
    for entry in log.list(bucket::SCHEDULES, None, MOST).await? {
        if !keys.contains(&entry.key) {
            log.delete(bucket::SCHEDULES, &entry.key, Condition::Always).await?;
        }
    }
    Ok(())
}

/// What is known of a schedule; one that is new, or another than before, begins now.
async fn past(log: &impl Kv, schedule: &Schedule, now: Timestamp) -> Result<Known, LogError> {
    let kept = log.get(bucket::SCHEDULES, &key(schedule)).await?;
    let kept = kept.and_then(|entry| serde_json::from_slice::<Known>(&entry.value).ok());
    if let Some(known) = kept.clone().filter(|known| known.version == schedule.version) {
        return Ok(known);
    }
    let ran = kept.and_then(|known| known.ran);
    let known = Known { version: schedule.version.clone(), upto: now, ran };
    keep(log, schedule, &known).await?;
    Ok(known)
}

async fn keep(log: &impl Kv, schedule: &Schedule, known: &Known) -> Result<(), LogError> {
    let value = serde_json::to_vec(known).unwrap_or_default();
    log.put(bucket::SCHEDULES, &key(schedule), value, Condition::Always, None).await.map(|_| ())
}

/// Any name is good for a key.
fn key(schedule: &Schedule) -> String {
    Id::of(&["schedule", &schedule.name]).as_str().to_owned()
}

/// Before the caches are complete nothing is known of what it is about.
async fn ready(clock: &impl Clock, view: &impl ClusterView) {
    while !view.ready() {
        let all = Sight::default();
        let version = view.version(&all);
        tokio::select! {
            biased;
            () = view.changed(&all, version) => {}
            () = clock.after(AGAIN) => {}
        }
    }
}

/// Makes the run durable, then remembers that it was.
async fn begin<L: Log + Kv>(
    log: &L,
    clock: &impl Clock,
    schedule: &Schedule,
    past: &Known,
    due: Due,
    event: &Envelope<Event>,
) -> Result<Known, LogError> {
    let name = schedule.name.as_str();
    let mut known = Known { upto: due.at, ..past.clone() };
    if due.runs {
        let entry = Entry::of(Stream::Events, event);
        log::insist(log, vec![entry], "the schedule waits", || clock.after(AGAIN)).await?;
        known.ran = Some(due.at);
        tracing::info!(schedule = name, due = %due.at, missed = due.missed, "due");
    } else {
        tracing::warn!(schedule = name, last = %due.at, missed = due.missed, "runs were missed, and are not made up for");
    }
    keep(log, schedule, &known).await?;
    Ok(known)
}

fn event(
    schedule: &Schedule,
    due: &Due,
    cluster: Option<&str>,
    view: &impl ClusterView,
) -> Envelope<Event> {
    let at = due.at.to_string();
    let id = Id::of(&["schedule", &schedule.name, &at]);
    let payload = json!({ "schedule": schedule.name, "due": at, "missed": due.missed });
    let data = Event { payload, ..Event::default() };
    let target = schedule.target.clone();
    let mut event = Envelope::new(kind::SCHEDULE_DUE, id, SOURCE, target, due.at, data);
    event.cluster = cluster.map(str::to_owned);
    enrich(&mut event, view);
    event
}

/// Where the schedules stand, by name.
///
/// # Errors
/// Where the log's keys cannot be read.
pub async fn stand<'s>(
    log: &impl Kv,
    schedules: &'s [Schedule],
) -> Result<Vec<(&'s Schedule, Option<Known>)>, LogError> {
    let mut all = vec![];
    for schedule in schedules {
        let kept = log.get(bucket::SCHEDULES, &key(schedule)).await?;
        let known = kept.and_then(|entry| serde_json::from_slice(&entry.value).ok());
        all.push((schedule, known));
    }
    Ok(all)
}
