//! Dead letters: what arrived and could not be used, until a person says what becomes of it.

use super::operate::{MOST, Who, bad, clean, request};
use super::routes::{Here, Readiness, problem, unavailable};
use crate::clock::Clock;
use crate::cluster::ClusterView;
use crate::log::{Condition, DeadLetter, Kv, Log, LogError, Record, Seq, Stream, bucket};
use crate::model::kind;
use crate::sources::Requeued;
use axum::{
    Json,
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};

/// What became of a dead letter.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Fate {
    is: String,
    by: String,
    at: Timestamp,
}

#[derive(Deserialize)]
pub(super) struct Letters {
    limit: Option<usize>,
    /// Those that are done with, too.
    #[serde(default)]
    all: bool,
}

fn key(seq: Seq) -> String {
    format!("{seq:020}")
}

/// The newest letters, newest first, with what became of them.
pub(super) async fn newest<L: Log + Kv>(
    log: &L,
    most: usize,
    all: bool,
) -> Result<Vec<(Record, Option<Fate>)>, LogError> {
    let mut fates: BTreeMap<String, Fate> = BTreeMap::new();
    for entry in log.list(bucket::DEAD, None, MOST).await? {
        fates.extend(serde_json::from_slice(&entry.value).ok().map(|fate| (entry.key, fate)));
    }
    let mut found: VecDeque<(Record, Option<Fate>)> = VecDeque::new();
    crate::log::replay(log, 0, &[Stream::Dead], |record| {
        let fate = fates.get(&key(record.seq)).cloned();
        if all || fate.is_none() {
            found.push_front((record.clone(), fate));
            found.truncate(most);
        }
    })
    .await?;
    Ok(found.into())
}

/// How many wait for a person.
pub(super) async fn count<L: Log + Kv>(log: &L) -> Result<usize, LogError> {
    let mut count = 0_usize;
    crate::log::replay(log, 0, &[Stream::Dead], |_| count += 1).await?;
    Ok(count.saturating_sub(log.list(bucket::DEAD, None, MOST).await?.len()))
}

fn letter(record: &Record, fate: Option<&Fate>, whole: bool) -> Value {
    let letter = record.open::<DeadLetter>().map(|envelope| envelope.data).ok();
    let (source, reason, body) = match &letter {
        Some(letter) => (letter.source.as_str(), letter.reason.as_str(), letter.body.as_str()),
        None => ("?", "the letter itself cannot be read", ""),
    };
    let mut shown = json!({
        "seq": record.seq, "at": record.at, "source": source, "reason": reason,
        "bytes": body.len(), "became": fate,
    });
    if whole {
        shown["body"] = json!(body);
    }
    shown
}

/// `GET /api/v1/dead-letters`
pub(super) async fn dead_letters<L: Log + Kv, C: Clock, V: ClusterView, R: Readiness>(
    State(shared): Here<L, C, V, R>,
    Query(ask): Query<Letters>,
) -> Response {
    let most = ask.limit.unwrap_or(50).clamp(1, 1000);
    match newest(&shared.site.intake.log, most, ask.all).await {
        Ok(letters) => {
            let shown: Vec<Value> =
                letters.iter().map(|(record, fate)| letter(record, fate.as_ref(), false)).collect();
            Json(json!({ "dead_letters": shown })).into_response()
        }
        Err(error) => unavailable(&error),
    }
}

async fn find<L: Log + Kv>(log: &L, seq: Seq) -> Result<Option<(Record, Option<Fate>)>, LogError> {
    let Some(record) = Log::get(log, seq).await?.filter(|it| it.stream == Stream::Dead) else {
        return Ok(None);
    };
    let fate = Kv::get(log, bucket::DEAD, &key(seq)).await?;
    Ok(Some((record, fate.and_then(|entry| serde_json::from_slice(&entry.value).ok()))))
}

/// `GET /api/v1/dead-letters/{seq}`
pub(super) async fn dead_letter<L: Log + Kv, C: Clock, V: ClusterView, R: Readiness>(
    State(shared): Here<L, C, V, R>,
    Path(seq): Path<Seq>,
) -> Response {
    match find(&shared.site.intake.log, seq).await {
        Ok(Some((record, fate))) => Json(letter(&record, fate.as_ref(), true)).into_response(),
        Ok(None) => no_letter(seq),
        Err(error) => unavailable(&error),
    }
}

fn no_letter(seq: Seq) -> Response {
    problem(StatusCode::NOT_FOUND, &format!("there is no dead letter {seq}"))
}

/// `POST /api/v1/dead-letters/{seq}/{verb}`: `requeue` or `drop`.
pub(super) async fn answer_letter<L: Log + Kv, C: Clock, V: ClusterView, R: Readiness>(
    State(shared): Here<L, C, V, R>,
    Path((seq, verb)): Path<(Seq, String)>,
    Query(who): Query<Who>,
) -> Response {
    let intake = &shared.site.intake;
    let (word, kind) = match verb.as_str() {
        "requeue" => ("requeued", kind::DEAD_REQUEUED),
        "drop" => ("dropped", kind::DEAD_DROPPED),
        _ => return problem(StatusCode::NOT_FOUND, "a dead letter is answered by requeue or drop"),
    };
    let record = match find(&intake.log, seq).await {
        Ok(Some((record, None))) => record,
        Ok(Some((_, Some(fate)))) => {
            let why = format!("{} has {} it already, at {}", fate.by, fate.is, fate.at);
            return problem(StatusCode::CONFLICT, &why);
        }
        Ok(None) => return no_letter(seq),
        Err(error) => return unavailable(&error),
    };
    if verb == "requeue" {
        let Ok(letter) = record.open::<DeadLetter>() else {
            return bad("the letter itself cannot be read");
        };
        match intake.requeue(&letter.data, seq).await {
            Ok(_) => {}
            Err(Requeued::StillBad(why)) => {
                return problem(
                    StatusCode::UNPROCESSABLE_ENTITY,
                    &format!("it is still refused: {why}"),
                );
            }
            Err(Requeued::NotAccepted(error)) => return unavailable(&error),
        }
    }
    let by = clean(who.by.as_deref().unwrap_or("somebody"));
    let fate = Fate { is: word.to_owned(), by: by.clone(), at: intake.clock.now() };
    let value = serde_json::to_vec(&fate).unwrap_or_default();
    match intake.log.put(bucket::DEAD, &key(seq), value, Condition::Absent, None).await {
        Ok(_) => {}
        Err(LogError::Conflict) => {
            return problem(StatusCode::CONFLICT, "somebody else was faster");
        }
        Err(error) => return unavailable(&error),
    }
    tracing::info!(seq, by, word, "a dead letter is done with");
    let payload = json!({ "seq": seq, "by": by });
    let name = seq.to_string();
    request(&shared, kind, "dead-letter", &name, payload, json!({ "seq": seq, "became": word }))
        .await
}
