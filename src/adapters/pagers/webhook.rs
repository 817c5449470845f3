//! A generic webhook: the page as JSON, with an idempotency key.

use super::{ask, dedup_key, usual};
use crate::model::{Delivery, PageKey, PageKind, Report, Secret};
use serde_json::json;
use std::collections::BTreeMap;

pub(super) async fn send(
    client: &reqwest::Client,
    url: &str,
    headers: &BTreeMap<String, Secret>,
    key: &PageKey,
    report: &Report,
) -> Delivery {
    let action = match key.kind {
        PageKind::Trigger => "trigger",
        PageKind::Resolve => "resolve",
        PageKind::Note => "note",
    };
    let once = format!("{}:{}:{}:{action}", dedup_key(key), key.level, key.nth);
    let body =
        json!({ "action": action, "dedup_key": dedup_key(key), "nth": key.nth, "report": report });
    let mut request = client.post(url).header("Idempotency-Key", once).json(&body);
    for (name, value) in headers {
        request = request.header(name, value.expose());
    }
    match ask(request).await {
        Ok((status, after, body)) => usual(status, after, &body),
        Err(lost) => lost,
    }
}
