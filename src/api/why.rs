//! Why: an event explained by the rules in force, and what rules that only observe would have done.

use super::operate::{bad, clean};
use super::routes::{Here, Readiness, problem, unavailable};
use crate::clock::Clock;
use crate::cluster::ClusterView;
use crate::engine::explain;
use crate::log::{Kv, Log};
use crate::model::{Mode, Span};
use crate::replay::{Range, run};
use crate::sources::preview;
use axum::{
    Json,
    body::Bytes,
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;

/// What is to be explained.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Question {
    /// Id or position of a recorded event. Absent: the body is the event.
    event: Option<String>,
    rule: Option<String>,
}

/// `POST /api/v1/explain?rule=R`, with an event as body; or `?event=ID`.
pub(super) async fn explained<L: Log + Kv, C: Clock, V: ClusterView, R: Readiness>(
    State(shared): Here<L, C, V, R>,
    Query(question): Query<Question>,
    body: Bytes,
) -> Response {
    let site = &shared.site;
    let rules = Arc::clone(&site.rules.borrow());
    let rule = question.rule.as_deref();
    if let Some(name) = rule.filter(|name| rules.named(name).is_none()) {
        return problem(StatusCode::NOT_FOUND, &format!("there is no rule `{}`", clean(name)));
    }
    let Ok(_alone) = shared.folding.acquire().await else {
        return problem(StatusCode::SERVICE_UNAVAILABLE, "the daemon is ending");
    };
    if let Some(wanted) = &question.event {
        return match run::find(&site.intake.log, &rules, wanted).await {
            Ok(Some(found)) => {
                let mut told =
                    explain(&rules, &found.state, found.seq, &found.event, found.at, rule);
                told.recorded = found.recorded;
                Json(json!({ "explanations": [told] })).into_response()
            }
            Ok(None) => problem(
                StatusCode::NOT_FOUND,
                "the log has no such event; give its id, eight digits of it at least, or its position",
            ),
            Err(error) => unavailable(&error),
        };
    }
    let now = site.intake.clock.now();
    let cluster = site.intake.cluster.as_deref();
    let events = match preview(&body, &site.intake.view, cluster, now) {
        Ok(events) => events,
        Err(why) => return bad(&why.to_string()),
    };
    match run::latest(&site.intake.log, &rules).await {
        Ok(state) => {
            let told: Vec<_> = events
                .iter()
                .take(MOST_EXPLAINED)
                .map(|event| explain(&rules, &state, 0, event, now, rule))
                .collect();
            Json(json!({ "explanations": told })).into_response()
        }
        Err(error) => unavailable(&error),
    }
}

/// Events of one body that are explained.
const MOST_EXPLAINED: usize = 20;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Since {
    /// How far back. Default a day.
    back: Option<String>,
    rule: Option<String>,
}

/// `GET /api/v1/observed?back=24h&rule=R`: what the rules that observe would have done, had they acted.
pub(super) async fn observed<L: Log + Kv, C: Clock, V: ClusterView, R: Readiness>(
    State(shared): Here<L, C, V, R>,
    Query(since): Query<Since>,
) -> Response {
    let site = &shared.site;
    let back = match since.back.as_deref().unwrap_or("1d").parse::<Span>() {
        Ok(back) => back,
        Err(error) => return bad(&error.to_string()),
    };
    let now = site.intake.clock.now();
    let from = now.checked_sub(back.0).unwrap_or(Timestamp::MIN);
    let rules = Arc::clone(&site.rules.borrow());
    let wanted = |name: &str| since.rule.as_deref().is_none_or(|rule| rule == name);
    let bold = rules.with_rules(|all| {
        let quiet = all.iter_mut().filter(|rule| rule.mode == Mode::Observe && wanted(&rule.name));
        quiet.for_each(|rule| rule.mode = Mode::Enforce);
    });
    let observing: Vec<&str> = rules
        .rules
        .iter()
        .filter(|rule| rule.mode == Mode::Observe && wanted(&rule.name))
        .map(|rule| rule.name.as_str())
        .collect();
    let range = Range { from, to: now };
    let Ok(_alone) = shared.folding.acquire().await else {
        return problem(StatusCode::SERVICE_UNAVAILABLE, "the daemon is ending");
    };
    match run::replay(&site.intake.log, Arc::new(bold), range).await {
        Ok(difference) => Json(
            json!({ "observing": observing, "from": from, "to": now, "difference": difference }),
        )
        .into_response(),
        Err(error) => unavailable(&error),
    }
}
