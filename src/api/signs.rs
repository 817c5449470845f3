//! Signs of life of others, and drawings that pages have links to.

use super::routes::{Here, Readiness, problem, received, unavailable};
use crate::clock::Clock;
use crate::cluster::ClusterView;
use crate::log::{Kv, Log, bucket};
use crate::model::{Id, kind};
use axum::{
    extract::{Path, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Map, json};

/// What comes again within this time is one sign: whoever is careless does not fill the log. Seconds.
const APART: i64 = 10;
const LONGEST: usize = 100;

/// Somebody lives: an event of the type `heartbeat` about `heartbeat/NAME`. A rule with `absent` hears when it stops.
pub(super) async fn heartbeat<L, C, V, R>(
    State(shared): Here<L, C, V, R>,
    Path(name): Path<String>,
) -> Response
where
    L: Log + Kv,
    C: Clock,
    V: ClusterView,
    R: Readiness,
{
    let good = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.is_empty() || name.len() > LONGEST || !name.chars().all(good) {
        let why = "a heartbeat's name has letters, digits, dots and dashes, at most 100";
        return problem(StatusCode::BAD_REQUEST, why);
    }
    let now = shared.site.intake.clock.now();
    let slot = now.as_second() / APART;
    let event = json!({
        "specversion": "1.0", "type": kind::HEARTBEAT, "source": "heartbeats", "time": now,
        "id": Id::of(&["heartbeat", &name, &slot.to_string()]), "subject": format!("heartbeat/{name}"),
    });
    let kind = "application/cloudevents+json";
    let bytes = event.to_string().into_bytes();
    let result = shared.site.intake.cloudevents(kind, Map::new(), &bytes).await;
    received(&shared.site.metrics, "heartbeat", result)
}

/// A drawing of numbers, as SVG. Nothing in it may run, and it may load nothing.
pub(super) async fn graph<L, C, V, R>(
    State(shared): Here<L, C, V, R>,
    Path(id): Path<String>,
) -> Response
where
    L: Log + Kv,
    C: Clock,
    V: ClusterView,
    R: Readiness,
{
    match Kv::get(&shared.site.intake.log, bucket::GRAPHS, &id).await {
        Ok(Some(kept)) => {
            let kind = (header::CONTENT_TYPE, "image/svg+xml");
            let safe = (
                header::CONTENT_SECURITY_POLICY,
                "default-src 'none'; style-src 'unsafe-inline'; sandbox",
            );
            let plain = (header::X_CONTENT_TYPE_OPTIONS, "nosniff");
            ([kind, safe, plain], kept.value).into_response()
        }
        Ok(None) => problem(StatusCode::NOT_FOUND, "there is no such graph, or it was too old"),
        Err(error) => unavailable(&error),
    }
}
