//! The paths that operating needs: guards and pauses, schedules, and how everything stands.
//!
//! Every replica answers them: what is shown stands in the log's keys.

use super::letters;
use super::routes::{Here, Readiness, Shared, problem, unavailable};
use crate::clock::Clock;
use crate::cluster::ClusterView;
use crate::engine::{Shown as Guard, shelf::run::PAUSES};
use crate::log::{Kv, Log, LogError, Stream, bucket};
use crate::model::{
    Envelope, Event, Id, Known, MOST_SHOWN, Pause, Schedule, Scope, Span, Target, duties, kind,
    shown,
};
use crate::remediation::Shown;
use crate::sources::schedule;
use axum::{
    Json,
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// A pause is no way to switch a rule off: longer than this belongs into the rule files.
const LONGEST_PAUSE: Duration = Duration::from_secs(14 * 86_400);
/// More are no pauses but another way to write rules.
const MOST_PAUSES: usize = 100;
/// Where nothing else is said.
const PAUSE: Duration = Duration::from_secs(3600);
/// Shown at most.
pub(super) const MOST: usize = 10_000;

pub(super) fn bad(why: &str) -> Response {
    problem(StatusCode::BAD_REQUEST, why)
}

pub(super) fn clean(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(500).collect()
}

/// `GET /api/v1/guards`
pub(super) async fn guards<L: Log + Kv, C: Clock, V: ClusterView, R: Readiness>(
    State(shared): Here<L, C, V, R>,
) -> Response {
    let now = shared.site.intake.clock.now();
    match shown_guards(&shared.site.intake.log, now).await {
        Ok((guards, pauses)) => Json(json!({ "guards": guards, "pauses": pauses })).into_response(),
        Err(error) => unavailable(&error),
    }
}

async fn shown_guards(log: &impl Kv, now: Timestamp) -> Result<(Vec<Guard>, Vec<Pause>), LogError> {
    let mut pauses: BTreeMap<String, Pause> = BTreeMap::new();
    let mut guards = vec![];
    for entry in log.list(bucket::GUARDS, None, MOST).await? {
        if entry.key == PAUSES {
            pauses = serde_json::from_slice(&entry.value).unwrap_or_default();
        } else {
            guards.extend(serde_json::from_slice(&entry.value).ok());
        }
    }
    guards.reverse();
    Ok((guards, pauses.into_values().filter(|pause| now < pause.until).collect()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    scope: Scope,
    reason: String,
    by: String,
    /// `2h`; an hour where nothing is said.
    #[serde(rename = "for")]
    lasts: Option<Span>,
}

/// `POST /api/v1/pauses`
pub(super) async fn pause<L: Log + Kv, C: Clock, V: ClusterView, R: Readiness>(
    State(shared): Here<L, C, V, R>,
    raw: axum::body::Bytes,
) -> Response {
    let asked: Asked = match serde_json::from_slice(&raw) {
        Ok(asked) => asked,
        Err(error) => return bad(&format!("expected {{scope, reason, by, for}}: {error}")),
    };
    let (by, reason) = (clean(&asked.by), clean(&asked.reason));
    if by.trim().is_empty() || reason.trim().is_empty() {
        return bad("a pause needs `by` and `reason`: who is called at night has to know");
    }
    if matches!(&asked.scope, Scope::Tenant(name) | Scope::Pool(name) | Scope::Rule(name) if name.len() > 253)
    {
        return bad("a name has at most 253 bytes");
    }
    let lasts = asked.lasts.map_or(PAUSE, |span| span.0);
    if lasts.is_zero() || lasts > LONGEST_PAUSE {
        return bad(
            "a pause lasts from 1s to 14d; for longer set `mode: observe` in the rule file",
        );
    }
    let now = shared.site.intake.clock.now();
    match shown_guards(&shared.site.intake.log, now).await {
        Ok((_, pauses)) if pauses.len() < MOST_PAUSES => {}
        Ok(_) => {
            return problem(StatusCode::CONFLICT, "too many pauses; end some, or pause everything");
        }
        Err(error) => return unavailable(&error),
    }
    let id = format!("pause-{}", Id::of(&["pause", &by, &reason, &now.to_string()]).short(8));
    let until = now.checked_add(lasts).unwrap_or(Timestamp::MAX);
    let pause = Pause { id, scope: asked.scope, by, reason, since: now, until };
    tracing::info!(pause = pause.id, by = pause.by, scope = %pause.scope, "a person pauses");
    let payload = serde_json::to_value(&pause).unwrap_or_default();
    request(&shared, kind::PAUSE, "pause", &pause.id, payload, json!({ "pause": pause })).await
}

#[derive(Deserialize)]
pub(super) struct Runs {
    next: Option<usize>,
    from: Option<Timestamp>,
}

/// `GET /api/v1/schedules?next=&from=`
pub(super) async fn schedules<L: Log + Kv, C: Clock, V: ClusterView, R: Readiness>(
    State(shared): Here<L, C, V, R>,
    Query(asked): Query<Runs>,
) -> Response {
    let from = asked.from.unwrap_or_else(|| shared.site.intake.clock.now());
    let count = asked.next.unwrap_or(3).min(MOST_SHOWN);
    let schedules = Arc::clone(&shared.site.rules.borrow().schedules);
    match schedule::stand(&shared.site.intake.log, &schedules).await {
        Ok(all) => {
            let one = |(schedule, known): &(&Schedule, Option<Known>)| {
                shown(schedule, known.as_ref(), from, count)
            };
            Json(json!({ "schedules": all.iter().map(one).collect::<Vec<_>>() })).into_response()
        }
        Err(error) => unavailable(&error),
    }
}

#[derive(Deserialize)]
pub(super) struct Duties {
    at: Option<Timestamp>,
    next: Option<Span>,
}

/// `GET /api/v1/oncall?at=&next=`
pub(super) async fn on_call<L: Log + Kv, C: Clock, V: ClusterView, R: Readiness>(
    State(shared): Here<L, C, V, R>,
    Query(asked): Query<Duties>,
) -> Response {
    let at = asked.at.unwrap_or_else(|| shared.site.intake.clock.now());
    let rules = Arc::clone(&shared.site.rules.borrow());
    let next = asked.next.unwrap_or_default();
    let all = rules.directory.on_call.values().map(|rota| duties(rota, at, next));
    Json(json!({ "on_call": all.collect::<Vec<_>>() })).into_response()
}

#[derive(Deserialize)]
pub(super) struct Who {
    pub(super) by: Option<String>,
}

/// `DELETE /api/v1/pauses/{id}`
pub(super) async fn resume<L: Log + Kv, C: Clock, V: ClusterView, R: Readiness>(
    State(shared): Here<L, C, V, R>,
    Path(id): Path<String>,
    Query(who): Query<Who>,
) -> Response {
    let now = shared.site.intake.clock.now();
    match shown_guards(&shared.site.intake.log, now).await {
        Ok((_, pauses)) if pauses.iter().any(|pause| pause.id == id) => {}
        Ok(_) => return problem(StatusCode::NOT_FOUND, &format!("there is no pause `{id}`")),
        Err(error) => return unavailable(&error),
    }
    let by = clean(who.by.as_deref().unwrap_or("somebody"));
    tracing::info!(pause = id, by, "a person ends a pause");
    let payload = json!({ "pause": id, "by": by });
    request(&shared, kind::RESUME, "pause", &id, payload, json!({ "resumed": id })).await
}

/// Records what a person wants; the engine hears it from the log.
pub(super) async fn request<L: Log + Kv, C: Clock, V: ClusterView, R: Readiness>(
    shared: &Shared<L, C, V, R>,
    kind: &str,
    about: &str,
    name: &str,
    payload: Value,
    answer: Value,
) -> Response {
    let intake = &shared.site.intake;
    let now = intake.clock.now();
    let id = Id::of(&["request", kind, name, &now.to_string()]);
    let target = Target::Other { kind: about.to_owned(), name: name.to_owned() };
    let data = Event { payload, ..Event::default() };
    let event = Envelope::new(kind, id, "medevac/api", target, now, data);
    match intake.own(vec![event]).await {
        Ok(tally) if tally.dead_letters > 0 => bad("it cannot be recorded: it is too long"),
        Ok(_) => (StatusCode::ACCEPTED, Json(answer)).into_response(),
        Err(error) => unavailable(&error),
    }
}

/// `GET /api/v1/status`
pub(super) async fn status<L: Log + Kv, C: Clock, V: ClusterView, R: Readiness>(
    State(shared): Here<L, C, V, R>,
) -> Response {
    let now = shared.site.intake.clock.now();
    match whole(&shared.site.intake.log, now, shared.site.readiness.not_ready()).await {
        Ok(status) => Json(status).into_response(),
        Err(error) => unavailable(&error),
    }
}

/// What the room reads: where nothing of that waits, it is not behind, however long the log is.
fn read_by(room: &str) -> &'static [Stream] {
    match room {
        "engine" => &[Stream::Events, Stream::Outcomes],
        "plan" => &[Stream::Decisions],
        "escalation" => &[Stream::Decisions, Stream::Outcomes],
        _ => &[Stream::Plans, Stream::Decisions, Stream::Outcomes],
    }
}

async fn whole<L: Log + Kv>(
    log: &L,
    now: Timestamp,
    waiting_for: Vec<String>,
) -> Result<Value, LogError> {
    let places = log.places().await?;
    let last = log.last();
    let floor = places.iter().find(|place| place.consumer == "engine").map_or(0, |it| it.floor);
    let next = log.read(floor, &[Stream::Events, Stream::Outcomes], 1).await?;
    let oldest = next.first().map(|record| record.at);
    let mut rooms = vec![];
    for place in &places {
        let waits = log.read(place.floor, read_by(&place.consumer), 1).await?;
        let behind = waits.first().map_or(0, |_| last.saturating_sub(place.floor));
        rooms.push(json!({ "room": place.consumer, "floor": place.floor, "behind": behind }));
    }
    let lease = Kv::get(log, bucket::LEASES, "active").await?;
    let lease = lease.and_then(|entry| serde_json::from_slice::<Value>(&entry.value).ok());
    let journals = log.list(bucket::JOURNALS, None, MOST).await?;
    let remediations: Vec<Value> = journals
        .iter()
        .rev()
        .filter_map(|entry| serde_json::from_slice::<Shown>(&entry.value).ok())
        .map(|shown| {
            let stuck = shown.stuck(now);
            let mut value = serde_json::to_value(shown).unwrap_or_default();
            value["stuck"] = json!(stuck);
            value
        })
        .collect();
    let (guards, pauses) = shown_guards(log, now).await?;
    let dead = letters::count(log).await?;
    Ok(json!({
        "at": now, "waiting_for": waiting_for, "last": last, "rooms": rooms, "lease": lease,
        "oldest_undecided": oldest, "remediations": remediations, "guards": guards,
        "pauses": pauses, "dead_letters": dead,
    }))
}
