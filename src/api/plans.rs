//! One plan with its journal, and what is left of it in the end.

use super::routes::{CHAIN, Here, Readiness, link, problem, unavailable};
use crate::clock::Clock;
use crate::cluster::ClusterView;
use crate::log::{Kv, Log, LogError, Record, Stream};
use crate::model::{Envelope, Outcome, Plan};
use crate::remediation::{self, Journal};
use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

/// The plan and the records of its journal, oldest first.
async fn find(log: &(impl Log + Kv), id: &str) -> Result<(Envelope<Plan>, Vec<Record>), Response> {
    let told = |error: LogError| unavailable(&error);
    let Some(plan) = crate::plan::run::find(log, id).await.map_err(told)? else {
        return Err(problem(StatusCode::NOT_FOUND, &format!("there is no plan `{id}`")));
    };
    let mut journal = log.history(&plan.subject, 0, CHAIN).await.map_err(told)?;
    journal.retain(|record| {
        record.stream == Stream::Outcomes
            && record
                .open::<Value>()
                .is_ok_and(|envelope| envelope.data["plan"] == *plan.data.id.as_str())
    });
    Ok((plan, journal))
}

pub(super) async fn plan<L, C, V, R>(
    State(shared): Here<L, C, V, R>,
    Path(id): Path<String>,
) -> Response
where
    L: Log + Kv,
    C: Clock,
    V: ClusterView,
    R: Readiness,
{
    match find(&shared.site.intake.log, &id).await {
        Ok((plan, journal)) => {
            let journal: Vec<Value> = journal.iter().map(link).collect();
            Json(json!({ "plan": plan.data, "journal": journal })).into_response()
        }
        Err(response) => response,
    }
}

/// Planned against actual: the record of a remediation.
pub(super) async fn remediation<L, C, V, R>(
    State(shared): Here<L, C, V, R>,
    Path(id): Path<String>,
) -> Response
where
    L: Log + Kv,
    C: Clock,
    V: ClusterView,
    R: Readiness,
{
    let (plan, lines) = match find(&shared.site.intake.log, &id).await {
        Ok(found) => found,
        Err(response) => return response,
    };
    let mut journal = Journal::new(&plan.data);
    for line in &lines {
        if let Ok(Envelope { data: Outcome::Remediation { entry, .. }, .. }) = line.open()
            && let Err(error) = journal.take(&entry)
        {
            tracing::warn!(%error, "a journal line is passed over");
        }
    }
    let last = lines.last().map_or(plan.data.made_at, |line| line.at);
    Json(remediation::Record::of(&plan.data, &journal, last)).into_response()
}
