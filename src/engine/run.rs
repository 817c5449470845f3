//! The engine's shell: it reads, lets `step` decide, records, and only then acknowledges.

use super::shelf::run::Shelf;
use super::{Input, Miscount, Said, State, step, wake};
use crate::clock::Clock;
use crate::log::{
    self, Condition, Consumer, Delivered, Kv, Log, LogError, Policy, Record, Seq, Stream, bucket,
};
use crate::model::{Decision, Event, Incident, IncidentChange, Outcome, kind};
use crate::planted::{Bug, planted};
use crate::rules::Ruleset;
use futures_util::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::sync::watch;

/// Of its consumer and of its snapshot.
pub const NAME: &str = "engine";
const INPUTS: [Stream; 2] = [Stream::Events, Stream::Outcomes];
/// What the state is a fold of.
pub const FOLDED: [Stream; 3] = [Stream::Events, Stream::Decisions, Stream::Outcomes];
/// Events decided between two commits. More would make the first of them wait.
const BATCH: usize = 256;
/// Records appended together, if one answer has not more.
const TOGETHER: usize = 500;
/// Incidents indexed at the same time.
const ABREAST: usize = 32;
/// Before a full log is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// A resolved incident stays in the index for so long.
const KEEP_RESOLVED: Duration = Duration::from_secs(14 * 86_400);

/// What the shell tells of its work, for metrics. Called outside of any decision.
pub trait Witness: Clone + Send + Sync + 'static {
    /// Decided on an event or outcome; `waited` since the log took it.
    fn decided(&self, kind: &str, waited: Duration, said: &[Said]);
    fn missed(&self, miss: &Miscount);
    /// A feed told of something that had happened `lag` seconds before the log had it; `confirms`: another had told.
    fn heard(&self, feed: &str, lag: f64, confirms: bool);
    fn state(&self, state: &State, lag: u64);
}

/// What a record of the log is to the engine.
pub enum Heard {
    Input(Input),
    Said(Box<Said>),
}

/// What a record says, if it is for us.
pub fn read(record: &Record) -> Option<Heard> {
    let heard = match record.stream {
        Stream::Events => {
            record.open::<Event>().map(|event| Heard::Input(Input::Event(Box::new(event))))
        }
        Stream::Outcomes => {
            record.open::<Outcome>().map(|outcome| Heard::Input(Input::Outcome(Box::new(outcome))))
        }
        Stream::Decisions => match record.open::<serde_json::Value>() {
            Ok(envelope) if envelope.kind == kind::INCIDENT => record
                .open::<IncidentChange>()
                .map(|change| Heard::Said(Box::new(Said::Change(change)))),
            Ok(_) => record
                .open::<Decision>()
                .map(|decision| Heard::Said(Box::new(Said::Decision(decision)))),
            Err(error) => Err(error),
        },
        Stream::Plans | Stream::Dead => return None,
    };
    heard.inspect_err(|error| tracing::warn!(%error, "passed over")).ok()
}

/// Runs until the log is gone. `rules` may change at any time: the next event is decided by the new ones.
///
/// # Errors
/// Where the log cannot be read or written any more.
pub async fn run<L: Log + Kv>(
    log: L,
    clock: impl Clock,
    rules: watch::Receiver<Arc<Ruleset>>,
    witness: impl Witness,
) -> Result<(), LogError> {
    let mut consumer = log.consumer(NAME, &INPUTS, Policy::default()).await?;
    let in_force = Arc::clone(&rules.borrow());
    let (mut state, answered) = recover(&log, &in_force, consumer.floor()).await?;
    let mut pace = log::Pace::new(state.inputs_upto, clock.now());
    let mut shown = Shelf::find(&log).await?;
    state.guards.touch_all();
    shown.show(&log, &mut state).await?;
    index(&log, &mut state).await?;
    loop {
        let batch = tokio::select! {
            biased;
            batch = consumer.next(BATCH) => batch?,
            () = clock.after(until_due(&state, clock.now())) => vec![],
        };
        let rules = Arc::clone(&rules.borrow());
        if state.windows.of_rules(&rules) {
            // What comes from here on is heard by these rules: after a crash, too.
            log::save(&log, NAME, state.inputs_upto, &state).await?;
        }
        let said = match batch.as_slice() {
            // Whatever came is decided on first: it may end what a timer waits for.
            [] => awake(&rules, &mut state, clock.now(), &witness),
            batch => decide(&rules, &mut state, batch, &answered, &clock, &witness),
        };
        shown.show(&log, &mut state).await?;
        record(&log, &clock, &mut state, &said).await?;
        index(&log, &mut state).await?;
        for delivered in &batch {
            consumer.ack(delivered.record.seq).await?;
        }
        witness.state(&state, log.last().saturating_sub(state.inputs_upto));
        if pace.due(state.inputs_upto, clock.now()) {
            log::save(&log, NAME, state.inputs_upto, &state).await?;
        }
    }
}

/// How long nothing has to be done if nothing comes.
fn until_due(state: &State, now: Timestamp) -> Duration {
    let left = |due: Timestamp| Duration::try_from(due.duration_since(now)).unwrap_or_default();
    state.windows.wake_at().map_or(log::Pace::TICK, |due| left(due).min(log::Pace::TICK))
}

fn awake(rules: &Ruleset, state: &mut State, now: Timestamp, witness: &impl Witness) -> Vec<Said> {
    let mut misses = vec![];
    let said = wake(rules, state, now, &mut misses);
    misses.iter().for_each(|miss| witness.missed(miss));
    if !said.is_empty() {
        witness.decided("timer", Duration::ZERO, &said);
    }
    said
}

/// The state as it was when the last input was acknowledged, with all that was said since; and the ids of the
/// inputs after it that were answered: what is appended together stands or falls together.
async fn recover<L: Log + Kv>(
    log: &L,
    rules: &Ruleset,
    floor: Seq,
) -> Result<(State, BTreeSet<String>), LogError> {
    let log::Saved { seq, mut state } = log::snapshot::<State>(log, NAME).await?;
    let mut answered = BTreeSet::new();
    let take = |record: &Record| {
        match read(record) {
            Some(Heard::Input(input)) if record.seq <= floor => {
                state.replay(rules, record.seq, &input, record.at);
            }
            Some(Heard::Said(said)) => {
                state.said(Some(record.seq), &said);
                if record.seq > floor {
                    answered.extend(said.cause().map(str::to_owned));
                }
            }
            Some(Heard::Input(_)) | None => {}
        }
        if record.seq <= floor {
            // What was acknowledged stands in the index already.
            state.take_touched();
        }
    };
    log::replay(log, seq, &FOLDED, take).await?;
    if planted(Bug::ForgetGuard) {
        state.guards = super::Guards::default();
    }
    Ok((state, answered))
}

fn decide(
    rules: &Ruleset,
    state: &mut State,
    batch: &[Delivered],
    answered: &BTreeSet<String>,
    clock: &impl Clock,
    witness: &impl Witness,
) -> Vec<Said> {
    let mut all = vec![];
    for Delivered { record, .. } in batch {
        let Some(Heard::Input(input)) = read(record) else { continue };
        if record.seq <= state.inputs_upto {
            // A snapshot holds it already.
            continue;
        }
        if answered.contains(input.id().as_str()) {
            // Another life decided on it and died before it said so to the consumer.
            state.replay(rules, record.seq, &input, record.at);
            continue;
        }
        let (mut misses, confirmed) = (vec![], state.notices.confirmed);
        let said = step(rules, state, record.seq, &input, record.at, &mut misses);
        if let Input::Event(event) = &input
            && let Some(feed) = event.data.context.cloud.get("feed")
        {
            let lag = record.at.duration_since(event.time).as_secs_f64();
            witness.heard(feed, lag, state.notices.confirmed > confirmed);
        }
        misses.iter().for_each(|miss| witness.missed(miss));
        let kind = match &input {
            Input::Event(event) => event.kind.as_str(),
            Input::Outcome(outcome) => outcome.kind.as_str(),
        };
        let waited = clock.now().duration_since(record.at).try_into().unwrap_or_default();
        witness.decided(kind, waited, &said);
        all.extend(said);
    }
    all
}

/// Records what was said, however long the log takes to accept it: the state counts on it already.
async fn record(
    log: &impl Log,
    clock: &impl Clock,
    state: &mut State,
    said: &[Said],
) -> Result<(), LogError> {
    let entry = |said: &Said| match said {
        Said::Change(envelope) => log::Entry::of(Stream::Decisions, envelope),
        Said::Decision(envelope) => log::Entry::of(Stream::Decisions, envelope),
        Said::Event(envelope) => log::Entry::of(Stream::Events, envelope),
    };
    // What answers one input is appended together: after a crash it is all there or none of it.
    let mut answers = said.chunk_by(|one, next| one.cause() == next.cause()).peekable();
    while answers.peek().is_some() {
        let mut entries: Vec<log::Entry> = vec![];
        while entries.len() < TOGETHER
            && let Some(answer) = answers.next()
        {
            entries.extend(answer.iter().map(entry));
        }
        let appended = log::insist(log, entries, "decisions wait", || clock.after(AGAIN)).await?;
        let last = appended.iter().map(|one| one.seq).max().unwrap_or_default();
        state.said_upto = state.said_upto.max(last);
    }
    Ok(())
}

/// Brings the index of incidents up to date.
async fn index<L: Log + Kv>(log: &L, state: &mut State) -> Result<(), LogError> {
    let puts = state.take_touched().into_iter().map(|incident| put(log, incident));
    futures_util::stream::iter(puts).buffer_unordered(ABREAST).try_collect().await
}

async fn put<L: Kv>(log: &L, incident: Incident) -> Result<(), LogError> {
    let expires = incident.resolved_at.and_then(|at| at.checked_add(KEEP_RESOLVED).ok());
    let value = serde_json::to_vec(&incident).unwrap_or_default();
    let key = incident_key(&incident);
    log.put(bucket::INCIDENTS, &key, value, Condition::Always, expires).await?;
    let pointer = key.into_bytes();
    log.put(bucket::INCIDENT_IDS, &incident.id, pointer, Condition::Always, expires).await?;
    Ok(())
}

/// Sorts by time of opening; ends with the id.
fn incident_key(incident: &Incident) -> String {
    format!("{:020}-{}", incident.opened_at.as_microsecond(), incident.id)
}

/// The incident of that id, as it stands.
///
/// # Errors
/// Where the index cannot be read.
pub async fn find<K: Kv>(kv: &K, id: &str) -> Result<Option<Incident>, LogError> {
    let Some(pointer) = kv.get(bucket::INCIDENT_IDS, id).await? else { return Ok(None) };
    let key = String::from_utf8_lossy(&pointer.value).into_owned();
    let entry = kv.get(bucket::INCIDENTS, &key).await?;
    Ok(entry.and_then(|entry| serde_json::from_slice(&entry.value).ok()))
}
