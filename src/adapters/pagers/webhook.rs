//! A generic webhook: the page as JSON, with an idempotency key, and signed where a key is given.

use super::{ask, dedup_key, usual};
use crate::model::{Delivery, PageKey, PageKind, Report, Secret};
use hmac::{Hmac, Mac};
use jiff::Timestamp;
use serde_json::json;
use sha2::Sha256;
use std::collections::BTreeMap;

pub(super) async fn send(
    client: &reqwest::Client,
    url: &str,
    headers: &BTreeMap<String, Secret>,
    sign: Option<(&Secret, Timestamp)>,
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
    let body = body.to_string();
    let mut request =
        client.post(url).header("Idempotency-Key", once).header("Content-Type", "application/json");
    if let Some((secret, now)) = sign {
        request = request.header("Medevac-Signature", signature(secret, now, &body));
    }
    for (name, value) in headers {
        request = request.header(name, value.expose());
    }
    match ask(request.body(body)).await {
        Ok((status, after, body)) => usual(status, after, &body),
        Err(lost) => lost,
    }
}

/// `t=SECONDS,v1=HEX`: whoever checks it refuses what is too old, and so what is sent again by somebody else.
fn signature(secret: &Secret, now: Timestamp, body: &str) -> String {
    let seconds = now.as_second();
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()) else {
        return String::new();
    };
    mac.update(format!("{seconds}.{body}").as_bytes());
    let code = mac.finalize().into_bytes();
    let hex: String = code.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={seconds},v1={hex}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_what_anybody_can_reckon() {
        // printf '1700000000.{}' | openssl dgst -sha256 -hmac key
        let at = Timestamp::from_second(1_700_000_000).unwrap();
        let wanted =
            "t=1700000000,v1=9d713ed406bb7076d4123f0dc2c39d2df5c654ed4b0cd56b52c8b4c940bd63ae";
        assert_eq!(signature(&Secret::new("key"), at, "{}"), wanted);
    }
}
