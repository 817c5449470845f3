//! Alertmanager v2 as a pager: the same alert to every peer, and its end when the incident is over.

use super::{ask, cut, usual};
use crate::model::{Delivery, PageKey, PageKind, Report};
use jiff::Timestamp;
use serde_json::json;
use std::time::Duration;

/// Without an end Alertmanager would resolve it after five minutes; with one it fires until we say so.
const LASTS: Duration = Duration::from_secs(24 * 3600);

pub(super) async fn send(
    client: &reqwest::Client,
    urls: &[String],
    key: &PageKey,
    report: &Report,
    now: Timestamp,
) -> Delivery {
    let over = key.kind == PageKind::Resolve;
    let ends_at = if over { now } else { now.checked_add(LASTS).unwrap_or(now) };
    let body = json!([{
        "labels": {
            "alertname": "MedevacIncident",
            "incident": report.incident,
            "target": report.target,
            "severity": report.severity.word(),
            "contact": key.contact,
        },
        "annotations": {
            "summary": cut(&format!("{}: {}", report.title, report.why), 1000),
            "description": cut(&super::plain(report), 10_000),
        },
        "endsAt": ends_at,
    }]);
    let mut last = Delivery::Refused("no peer is named".into());
    let mut taken = false;
    for url in urls {
        let request =
            client.post(format!("{}/api/v2/alerts", url.trim_end_matches('/'))).json(&body);
        last = match ask(request).await {
            Ok((status, after, body)) => usual(status, after, &body),
            Err(lost) => lost,
        };
        taken |= matches!(last, Delivery::Accepted(_));
    }
    // One peer is enough: they tell each other what is firing.
    if taken { Delivery::Accepted("alertmanager".into()) } else { last }
}
