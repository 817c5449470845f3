//! PagerDuty Events API v2. Limits: summary 1024 characters, key 255, payload 512 KB.

use super::{ask, cut, page_key, usual};
use crate::model::{Delivery, PageKey, PageKind, Report, Secret};
use serde_json::{Map, Value, json};

/// Half of the limit: the rest is envelope and escapes.
const DETAILS: usize = 256_000;

pub(super) async fn send(
    client: &reqwest::Client,
    url: &str,
    routing_key: &Secret,
    key: &PageKey,
    report: &Report,
) -> Delivery {
    if key.kind == PageKind::Note {
        return change(client, url, routing_key, report).await;
    }
    let action = if key.kind == PageKind::Resolve { "resolve" } else { "trigger" };
    let mut body = json!({ "routing_key": routing_key.expose(), "event_action": action, "dedup_key": page_key(key) });
    if action == "trigger" {
        body["payload"] = json!({
            "summary": cut(&format!("L{} {} on {}: {}", report.level, report.title, report.target, report.why), 1024),
            "source": report.target,
            "severity": report.severity.word(),
            "class": report.policy,
            "custom_details": details(report),
        });
        let links: Vec<Value> = report
            .evidence
            .iter()
            .filter(|(_, text)| text.starts_with("https://") || text.starts_with("http://"))
            .flat_map(|(name, text)| {
                text.lines().map(move |href| json!({ "href": href, "text": name }))
            })
            .collect();
        body["links"] = json!(links);
    }
    match ask(client.post(url).json(&body)).await {
        Ok((status, after, body)) => usual(status, after, &body),
        Err(lost) => lost,
    }
}

/// A note is a change event: it stands beside the service's incidents, and never calls anybody.
async fn change(
    client: &reqwest::Client,
    url: &str,
    routing_key: &Secret,
    report: &Report,
) -> Delivery {
    let url = url.replacen("/v2/enqueue", "/v2/change/enqueue", 1);
    let body = json!({ "routing_key": routing_key.expose(), "payload": {
        "summary": cut(&format!("{} on {}", report.title, report.target), 1024),
        "source": report.target,
        "custom_details": { "incident": report.incident },
    } });
    match ask(client.post(url).json(&body)).await {
        Ok((status, after, body)) => usual(status, after, &body),
        Err(lost) => lost,
    }
}

fn details(report: &Report) -> Value {
    let mut details = Map::new();
    details.insert("incident".into(), json!(report.incident));
    details.insert("level".into(), json!(report.level));
    for (name, text) in &report.evidence {
        details.insert(name.clone(), json!(cut(text, 16_000)));
    }
    for (name, why) in &report.missing {
        details.insert(name.clone(), json!(format!("missing: {why}")));
    }
    let details = Value::Object(details);
    match details.to_string().len() {
        0..=DETAILS => details,
        size => {
            json!({ "error": format!("{size} bytes of details are over the limit and were left out") })
        }
    }
}
