//! GoAlert's generic integration. Limits: summary 1024 characters, details 6144, key 512; it cuts what is longer and says
//! nothing. Source: goalert genericapi/handler.go.

use super::{ask, cut, page_key, plain, usual};
use crate::model::{Delivery, PageKey, PageKind, Report, Secret, escape};
use serde_json::json;

pub(super) async fn send(
    client: &reqwest::Client,
    url: &str,
    token: &Secret,
    key: &PageKey,
    report: &Report,
) -> Delivery {
    let summary =
        format!("L{} {} on {}: {}", report.level, report.title, report.target, report.why);
    let mut body = json!({
        "summary": cut(&summary, 1024),
        "details": cut(&plain(report), 6144),
        "dedup": page_key(key),
        "meta": { "incident": report.incident, "severity": report.severity.word() },
    });
    if key.kind == PageKind::Resolve {
        body["action"] = json!("close");
    }
    let (url, token) = (url.trim_end_matches('/'), escape(token.expose(), '%', "-_."));
    let request = client.post(format!("{url}/api/v2/generic/incoming?token={token}"));
    // Only for exactly this it says which alert it is.
    match ask(request.header("Accept", "application/json").json(&body)).await {
        Ok((413, _, _)) => Delivery::Refused("answered 413: it is too long".into()),
        Ok((status, after, body)) => usual(status, after, &body),
        Err(lost) => lost,
    }
}
