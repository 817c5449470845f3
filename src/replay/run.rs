//! Reading a log for a replay, and for an explanation.

use super::{Difference, Range, Record, Replay, Survey};
use crate::engine::run::{FOLDED, Heard, NAME, read};
use crate::engine::{ENGINE, Input, Said, State, in_words};
use crate::log::{self, Kv, Log, LogError};
use crate::model::{Entry, Envelope, Event, Id, Outcome, Plan, Verdict};
use crate::rules::Ruleset;
use jiff::Timestamp;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

/// Sends the log through `rules` and compares the part between `from` and `to`.
///
/// # Errors
/// Where the log cannot be read.
pub async fn replay<L: Log>(
    log: &L,
    rules: Arc<Ruleset>,
    range: Range,
) -> Result<Difference, LogError> {
    let mut replay = Replay::new(rules, range, survey(log).await?);
    let mut last = range.from;
    let take = |record: &log::Record| {
        if record.at >= range.to {
            return;
        }
        last = last.max(record.at);
        match read(record) {
            Some(Heard::Input(Input::Event(event))) => {
                replay.take(&Record::Event(event), record.at)
            }
            Some(Heard::Input(Input::Outcome(outcome))) => {
                replay.take(&Record::Outcome(outcome), record.at);
            }
            Some(Heard::Said(said)) => replay.take(&Record::Said(said), record.at),
            None => {}
        }
    };
    log::replay(log, 0, &FOLDED, take).await?;
    Ok(replay.end(last))
}

/// What the engine itself said as events, and how long the remediations of each rule took: the median.
async fn survey<L: Log>(log: &L) -> Result<Survey, LogError> {
    let (mut own, mut acted) = (BTreeSet::new(), BTreeSet::new());
    let mut begun: BTreeMap<Id, (String, Timestamp)> = BTreeMap::new();
    let mut took: BTreeMap<String, Vec<Duration>> = BTreeMap::new();
    let take = |record: &log::Record| match read(record) {
        Some(Heard::Input(Input::Event(event))) if event.source == ENGINE => {
            own.insert(event.id.clone());
        }
        Some(Heard::Said(said)) => {
            if let Said::Decision(decision) = &*said {
                let data = &decision.data;
                if matches!(data.verdict, Verdict::Act { .. }) {
                    acted.insert(decision.id.clone());
                    let plan = Plan::id_of(&data.incident, data.epoch);
                    begun.insert(plan, (data.rule.clone(), record.at));
                }
            }
        }
        Some(Heard::Input(Input::Outcome(outcome))) => {
            if let Outcome::Remediation { plan, entry: Entry::Ended { .. }, .. } = &outcome.data
                && let Some((rule, at)) = begun.get(plan)
            {
                let lasted = Duration::try_from(record.at.duration_since(*at)).unwrap_or_default();
                took.entry(rule.clone()).or_default().push(lasted);
            }
        }
        Some(Heard::Input(Input::Event(_))) | None => {}
    };
    log::replay(log, 0, &FOLDED, take).await?;
    let median = |mut all: Vec<Duration>| {
        all.sort_unstable();
        all.get(all.len() / 2).copied().unwrap_or_default()
    };
    let typical = took.into_iter().map(|(rule, all)| (rule, median(all))).collect();
    Ok(Survey { own, acted, typical })
}

/// An event as the log has it: its position, when the log took it, and the state just before.
pub struct Found {
    pub seq: u64,
    pub at: Timestamp,
    pub event: Envelope<Event>,
    pub state: State,
    /// What was decided on it: rule and verdict in words.
    pub recorded: Vec<(String, String)>,
}

/// Looks an event up by its id, the beginning of its id, or its position, and folds everything before it.
///
/// # Errors
/// Where the log cannot be read.
pub async fn find<L: Log>(
    log: &L,
    rules: &Ruleset,
    wanted: &str,
) -> Result<Option<Found>, LogError> {
    let position = wanted.parse::<u64>().ok();
    let (mut state, mut found) = (State::default(), None);
    let take = |record: &log::Record| {
        if let Some(found) = &mut found {
            recorded(found, record);
            return;
        }
        match read(record) {
            Some(Heard::Input(Input::Event(event)))
                if position == Some(record.seq)
                    || (wanted.len() >= 8 && event.id.as_str().starts_with(wanted)) =>
            {
                let state = std::mem::take(&mut state);
                found = Some(Found {
                    seq: record.seq,
                    at: record.at,
                    event: *event,
                    state,
                    recorded: vec![],
                });
            }
            Some(Heard::Input(input)) => state.replay(rules, record.seq, &input, record.at),
            Some(Heard::Said(said)) => state.said(Some(record.seq), &said),
            None => {}
        }
    };
    log::replay(log, 0, &FOLDED, take).await?;
    Ok(found)
}

/// Whether a record is a decision on what was found.
fn recorded(found: &mut Found, record: &log::Record) {
    if let Some(Heard::Said(said)) = read(record)
        && let Said::Decision(decision) = &*said
        && decision.cause.iter().last() == Some(found.event.id.as_str())
    {
        let verdict = in_words(&decision.data.verdict);
        found.recorded.push((decision.data.rule.clone(), verdict));
    }
}

/// The state at the end of the log.
///
/// # Errors
/// Where the log cannot be read.
pub async fn latest<L: Log + Kv>(log: &L, rules: &Ruleset) -> Result<State, LogError> {
    let log::Saved { seq, mut state } = log::snapshot::<State>(log, NAME).await?;
    let take = |record: &log::Record| match read(record) {
        Some(Heard::Input(input)) => state.replay(rules, record.seq, &input, record.at),
        Some(Heard::Said(said)) => state.said(Some(record.seq), &said),
        None => {}
    };
    log::replay(log, seq, &FOLDED, take).await?;
    Ok(state)
}
