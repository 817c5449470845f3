//! The paths under `/api/v1/`, and the three that machines ask for.

use super::auth::{Certified, Gate};
use super::{answers, letters, operate, plans, signs, why};
use crate::clock::Clock;
use crate::cluster::ClusterView;
use crate::log::{Kv, Log, LogError, Record, Stream};
use crate::model::{Incident, IncidentState};
use crate::rules::Ruleset;
use crate::sources::{Intake, Received, Tally};
use crate::telemetry::Metrics;
use axum::{
    Json, Router,
    body::{Body, to_bytes},
    extract::{Path, Query, Request, State},
    http::{HeaderMap, StatusCode},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{delete, get, post},
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::{sync::Arc, time::Duration};
use tokio::sync::{Semaphore, watch};

/// Alertmanager's largest bodies are a few megabytes; a proxy's default of one loses alerts.
const LARGEST: usize = 32 << 20;
/// Bytes of all bodies that are being read. Beyond it the answer is 503, and the sender comes again.
const IN_FLIGHT: usize = 256 << 20;
/// A body that takes longer is given up.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// What is not ready, in words. Empty: everything is.
pub trait Readiness: Clone + Send + Sync + 'static {
    fn not_ready(&self) -> Vec<String>;
}

#[derive(Clone)]
pub struct Site<L, C, V, R> {
    pub intake: Intake<L, C, V>,
    pub gate: Gate,
    pub metrics: Metrics,
    pub readiness: R,
    /// The rules in force.
    pub rules: watch::Receiver<Arc<Ruleset>>,
}

pub(super) struct Shared<L, C, V, R> {
    pub(super) site: Site<L, C, V, R>,
    bytes: Semaphore,
    /// Who folds the whole log does so alone: it is long, and nobody is woken for it.
    pub(super) folding: Semaphore,
}

pub(super) type Here<L, C, V, R> = State<Arc<Shared<L, C, V, R>>>;

/// All routes of the daemon.
pub fn router<L, C, V, R>(site: Site<L, C, V, R>) -> Router
where
    L: Log + Kv,
    C: Clock,
    V: ClusterView,
    R: Readiness,
{
    let shared = Arc::new(Shared {
        site,
        bytes: Semaphore::new(IN_FLIGHT / 1024),
        folding: Semaphore::new(1),
    });
    let inside = Router::new()
        .route("/api/v1/alertmanager", post(alertmanager::<L, C, V, R>))
        .route("/api/v1/events", post(events::<L, C, V, R>))
        .route("/api/v1/heartbeats/{name}", post(signs::heartbeat::<L, C, V, R>))
        .route("/api/v1/graphs/{id}", get(signs::graph::<L, C, V, R>))
        .route("/api/v1/incidents", get(incidents::<L, C, V, R>))
        .route("/api/v1/incidents/{id}", get(incident::<L, C, V, R>))
        .route("/api/v1/incidents/{id}/{verb}", post(answers::request::<L, C, V, R>))
        .route("/api/v1/plans/{id}", get(plans::plan::<L, C, V, R>))
        .route("/api/v1/remediations/{id}", get(plans::remediation::<L, C, V, R>))
        .route("/api/v1/explain", post(why::explained::<L, C, V, R>))
        .route("/api/v1/observed", get(why::observed::<L, C, V, R>))
        .route("/api/v1/guards", get(operate::guards::<L, C, V, R>))
        .route("/api/v1/pauses", post(operate::pause::<L, C, V, R>))
        .route("/api/v1/pauses/{id}", delete(operate::resume::<L, C, V, R>))
        .route("/api/v1/oncall", get(operate::on_call::<L, C, V, R>))
        .route("/api/v1/schedules", get(operate::schedules::<L, C, V, R>))
        .route("/api/v1/status", get(operate::status::<L, C, V, R>))
        .route("/api/v1/dead-letters", get(letters::dead_letters::<L, C, V, R>))
        .route("/api/v1/dead-letters/{seq}", get(letters::dead_letter::<L, C, V, R>))
        .route("/api/v1/dead-letters/{seq}/{verb}", post(letters::answer_letter::<L, C, V, R>))
        .route(
            "/metrics",
            get(|State(shared): Here<L, C, V, R>| async move {
                shared.site.metrics.clocks_differ(shared.site.intake.view.skew());
                shared.site.metrics.render()
            }),
        )
        .route_layer(middleware::from_fn_with_state(Arc::clone(&shared), gate::<L, C, V, R>));
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz::<L, C, V, R>))
        // Signed: who presses a button has no token of ours.
        .route("/api/v1/slack", post(answers::slack::<L, C, V, R>))
        .merge(inside)
        .fallback(|| async {
            problem(StatusCode::NOT_FOUND, "there is nothing here; the paths start with /api/v1/")
        })
        .with_state(shared)
}

/// Short, without secrets: senders log it.
pub(super) fn problem(status: StatusCode, why: &str) -> Response {
    let why: String = why.chars().take(600).collect();
    (status, Json(json!({ "error": why }))).into_response()
}

/// A log that does not accept is a 503: senders come again. Never a 429, which Alertmanager does not repeat.
pub(super) fn unavailable(error: &LogError) -> Response {
    problem(StatusCode::SERVICE_UNAVAILABLE, &error.to_string())
}

async fn gate<L, C, V, R>(State(shared): Here<L, C, V, R>, request: Request, next: Next) -> Response
where
    L: Log + Kv,
    C: Clock,
    V: ClusterView,
    R: Readiness,
{
    let certified = request.extensions().get::<Certified>().copied().unwrap_or(Certified(false));
    if shared.site.gate.lets_in(request.headers(), certified) {
        return next.run(request).await;
    }
    let why = "not let in: a bearer token, user and password, or a client certificate is needed";
    let mut response = problem(StatusCode::UNAUTHORIZED, why);
    let challenge = axum::http::HeaderValue::from_static("Bearer, Basic realm=\"medevac\"");
    response.headers_mut().insert("www-authenticate", challenge);
    response
}

/// Reads a body within the bounds of size, time and memory.
async fn body<L, C, V, R>(
    shared: &Shared<L, C, V, R>,
    headers: &HeaderMap,
    body: Body,
) -> Result<Vec<u8>, Response> {
    let told =
        headers.get("content-length").and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if told.is_some_and(|size| size > LARGEST) {
        return Err(problem(StatusCode::PAYLOAD_TOO_LARGE, "a body has at most 32 MiB"));
    }
    let wanted = u32::try_from(told.unwrap_or(64 << 10) / 1024 + 1).unwrap_or(u32::MAX);
    let Ok(_place) = shared.bytes.try_acquire_many(wanted) else {
        return Err(problem(
            StatusCode::SERVICE_UNAVAILABLE,
            "too much arrives at once; send it again",
        ));
    };
    match tokio::time::timeout(BODY_TIMEOUT, to_bytes(body, LARGEST)).await {
        Ok(Ok(bytes)) => Ok(bytes.into()),
        Ok(Err(_)) => Err(problem(
            StatusCode::PAYLOAD_TOO_LARGE,
            "a body has at most 32 MiB, and arrives whole",
        )),
        Err(_) => Err(problem(StatusCode::REQUEST_TIMEOUT, "the body did not arrive within 30 s")),
    }
}

pub(super) fn received(
    metrics: &Metrics,
    source: &'static str,
    result: Result<Tally, Received>,
) -> Response {
    match result {
        Ok(tally) => {
            metrics.received(source, "accepted", tally.accepted);
            metrics.received(source, "duplicate", tally.duplicates);
            metrics.received(source, "dead_letter", tally.dead_letters);
            (StatusCode::OK, Json(tally)).into_response()
        }
        Err(Received::Bad(bad)) => {
            metrics.received(source, "refused", 1);
            problem(StatusCode::BAD_REQUEST, &bad.to_string())
        }
        Err(Received::NotAccepted(error @ LogError::TooLarge { .. })) => {
            metrics.received(source, "refused", 1);
            problem(StatusCode::PAYLOAD_TOO_LARGE, &error.to_string())
        }
        Err(Received::NotAccepted(error)) => {
            metrics.received(source, "not_accepted", 1);
            unavailable(&error)
        }
    }
}

async fn alertmanager<L, C, V, R>(
    State(shared): Here<L, C, V, R>,
    headers: HeaderMap,
    raw: Body,
) -> Response
where
    L: Log + Kv,
    C: Clock,
    V: ClusterView,
    R: Readiness,
{
    match body(&shared, &headers, raw).await {
        Ok(bytes) => {
            let result = shared.site.intake.alertmanager(&bytes).await;
            received(&shared.site.metrics, "alertmanager", result)
        }
        Err(response) => response,
    }
}

async fn events<L, C, V, R>(
    State(shared): Here<L, C, V, R>,
    headers: HeaderMap,
    raw: Body,
) -> Response
where
    L: Log + Kv,
    C: Clock,
    V: ClusterView,
    R: Readiness,
{
    let text = |name: &str| {
        headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
    };
    let attributes: Map<String, Value> = headers
        .iter()
        .filter_map(|(name, value)| {
            let name = name.as_str().strip_prefix("ce-")?;
            Some((name.to_owned(), Value::String(value.to_str().ok()?.to_owned())))
        })
        .collect();
    match body(&shared, &headers, raw).await {
        Ok(bytes) => {
            let result =
                shared.site.intake.cloudevents(&text("content-type"), attributes, &bytes).await;
            received(&shared.site.metrics, "cloudevents", result)
        }
        Err(response) => response,
    }
}

async fn readyz<L, C, V, R>(State(shared): Here<L, C, V, R>) -> Response
where
    L: Log + Kv,
    C: Clock,
    V: ClusterView,
    R: Readiness,
{
    let missing = shared.site.readiness.not_ready();
    match missing.is_empty() {
        true => (StatusCode::OK, Json(json!({ "ready": true }))).into_response(),
        false => {
            let body = Json(json!({ "ready": false, "waiting_for": missing }));
            (StatusCode::SERVICE_UNAVAILABLE, body).into_response()
        }
    }
}

#[derive(Deserialize)]
struct Listing {
    limit: Option<usize>,
    cursor: Option<String>,
    state: Option<String>,
    target: Option<String>,
}

/// Index entries looked at for one page: a rare state does not make one request read everything.
const LOOKED_AT: usize = 2000;

async fn incidents<L, C, V, R>(
    State(shared): Here<L, C, V, R>,
    Query(ask): Query<Listing>,
) -> Response
where
    L: Log + Kv,
    C: Clock,
    V: ClusterView,
    R: Readiness,
{
    let wanted: Option<IncidentState> = match &ask.state {
        None => None,
        Some(word) => match serde_json::from_value(json!(word)) {
            Ok(state) => Some(state),
            Err(_) => {
                return problem(StatusCode::BAD_REQUEST, "state is open, acknowledged or resolved");
            }
        },
    };
    let limit = ask.limit.unwrap_or(50).clamp(1, 500);
    let (mut found, mut cursor, mut looked) = (vec![], ask.cursor, 0);
    loop {
        let page = match shared
            .site
            .intake
            .log
            .list(crate::log::bucket::INCIDENTS, cursor.as_deref(), 200)
            .await
        {
            Ok(page) => page,
            Err(error) => return unavailable(&error),
        };
        let last = page.len() < 200;
        for entry in page {
            looked += 1;
            cursor = Some(entry.key);
            let Ok(incident) = serde_json::from_slice::<Incident>(&entry.value) else { continue };
            let about = ask.target.as_ref().is_none_or(|of| *of == incident.target.to_string());
            if about && wanted.is_none_or(|state| state == incident.state) {
                found.push(incident);
            }
            if found.len() == limit || looked == LOOKED_AT {
                return Json(json!({ "incidents": found, "cursor": cursor })).into_response();
            }
        }
        if last {
            return Json(json!({ "incidents": found, "cursor": null })).into_response();
        }
    }
}

/// Records of a chain that are shown; a remediation of a full node has some hundred.
pub(super) const CHAIN: usize = 5000;

async fn incident<L, C, V, R>(State(shared): Here<L, C, V, R>, Path(id): Path<String>) -> Response
where
    L: Log + Kv,
    C: Clock,
    V: ClusterView,
    R: Readiness,
{
    let log = &shared.site.intake.log;
    let incident = match crate::engine::run::find(log, &id).await {
        Ok(Some(incident)) => incident,
        Ok(None) => return problem(StatusCode::NOT_FOUND, &format!("there is no incident `{id}`")),
        Err(error) => return unavailable(&error),
    };
    let opened = Log::get(log, incident.first_seq).await;
    let rest = log.history(&incident.target, incident.first_seq, CHAIN).await;
    let (opened, rest) = match (opened, rest) {
        (Ok(opened), Ok(rest)) => (opened, rest),
        (Err(error), _) | (_, Err(error)) => return unavailable(&error),
    };
    let chain: Vec<Value> = opened
        .iter()
        .chain(rest.iter().filter(|record| concerns(record, &incident)))
        .map(link)
        .collect();
    Json(json!({ "incident": incident, "chain": chain })).into_response()
}

/// Whether a record about the same target belongs to this incident, and not to another of its.
fn concerns(record: &Record, incident: &Incident) -> bool {
    let Ok(envelope) = record.open::<Value>() else { return false };
    match record.stream {
        Stream::Decisions | Stream::Plans | Stream::Outcomes => {
            envelope.data["incident"] == *incident.id
        }
        Stream::Events | Stream::Dead => false,
    }
}

pub(super) fn link(record: &Record) -> Value {
    let envelope: Value = serde_json::from_slice(&record.body).unwrap_or_default();
    json!({ "seq": record.seq, "at": record.at, "stream": record.stream.word(), "record": envelope })
}
