//! The roads to people, against stand-ins that speak the vendors' wire formats and have their faults.

use crate::support::{
    client,
    daemon::{self, Door, Orders},
    free_port, incidents, until,
};
use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
};
use serde_json::{Value, json};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

/// A provider that answers as it was told, and remembers what it was asked.
#[derive(Clone, Default)]
struct Provider {
    asked: Arc<Mutex<Vec<(String, HeaderMap, Value)>>>,
    answers: Arc<Mutex<VecDeque<(u16, Value)>>>,
}

async fn answer(
    State(provider): State<Provider>,
    uri: Uri,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> (StatusCode, Json<Value>) {
    provider.asked.lock().unwrap().push((uri.path().to_owned(), headers, body));
    let next = provider.answers.lock().unwrap().pop_front();
    let usual = match uri.path() {
        "/slack" => (200, json!({ "ok": true, "channel": "C1", "ts": "1.2" })),
        "/pd" => (202, json!({ "status": "success", "dedup_key": "k" })),
        _ => (200, json!({})),
    };
    let (status, body) = next.unwrap_or(usual);
    (StatusCode::from_u16(status).unwrap(), Json(body))
}

impl Provider {
    async fn start(port: u16, answers: Vec<(u16, Value)>) -> Provider {
        let provider =
            Provider { answers: Arc::new(Mutex::new(answers.into())), ..Provider::default() };
        let router = Router::new().fallback(answer).with_state(provider.clone());
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let service = hyper_util::service::TowerToHyperService::new(router.clone());
                let io = hyper_util::rt::TokioIo::new(stream);
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(io, service),
                );
            }
        });
        provider
    }

    fn asked(&self, path: &str) -> Vec<(HeaderMap, Value)> {
        let all = self.asked.lock().unwrap();
        all.iter()
            .filter(|(at, _, _)| at == path)
            .map(|(_, headers, body)| (headers.clone(), body.clone()))
            .collect()
    }
}

fn rules(contact: &str) -> String {
    format!(
        "contacts:\n  - {contact}\n  - {{name: spare, console: {{}}}}\n\
         escalations: [{{name: p, levels: [{{contacts: road, delay: 1h, evidence: [events, runbook, logs]}}, {{contacts: spare}}]}}]\n\
         rules: [{{name: tell, when: alertmanager.alert.firing, escalate: p, runbook: \"https://runbooks.example/x\"}}]\n"
    )
}

fn alert(status: &str) -> Value {
    let ends = if status == "resolved" { "2026-09-18T09:00:00Z" } else { "0001-01-01T00:00:00Z" };
    json!({ "alerts": [{ "status": status, "labels": { "alertname": "Xid <!channel> & co", "node": "n1", "severity": "warning" },
        "annotations": { "summary": "Xid 79 <!channel>" }, "startsAt": "2026-09-18T08:00:00Z", "endsAt": ends }] })
}

/// Sends an alert and its end through a daemon whose contact `road` is `contact`, and waits for what `path` was asked.
async fn trigger_and_resolve(
    contact: &str,
    port: u16,
    answers: Vec<(u16, Value)>,
    path: &str,
    wanted: usize,
) -> Vec<(HeaderMap, Value)> {
    let provider = Provider::start(port, answers).await;
    let directory = tempfile::tempdir().unwrap();
    let daemon =
        daemon::start(&Orders::new(directory.path(), 0, &rules(contact)), Door::default()).await;
    let send = async |status: &str| {
        client()
            .post(format!("{}/api/v1/alertmanager", daemon.url))
            .json(&alert(status))
            .send()
            .await
            .unwrap();
    };
    send("firing").await;
    until("somebody was reached", || async {
        let reached =
            crate::support::metric(&daemon.url, "medevac_pages_total", &["accepted"]).await;
        (reached > 0.0).then_some(())
    })
    .await;
    send("resolved").await;
    until("it is over", || async {
        incidents(&daemon.url).await.into_iter().find(|one| one["state"] == "resolved")
    })
    .await;
    until("the provider heard everything", || async {
        let asked = provider.asked(path);
        (asked.len() >= wanted).then_some(asked)
    })
    .await
}

#[tokio::test]
async fn pagerduty_gets_a_trigger_and_its_resolution_under_one_key_and_a_429_is_retried() {
    let port = free_port();
    let contact = format!(
        "{{name: road, pagerduty: {{routing_key: {{env: X}}, url: \"http://127.0.0.1:{port}/pd\"}}}}"
    );
    let asked = trigger_and_resolve(&contact, port, vec![(429, json!({}))], "/pd", 3).await;
    let [(_, first), (_, again), (_, last)] = &asked[..] else { panic!("{asked:?}") };
    assert_eq!(first, again, "a retry says the same");
    assert_eq!(
        (&first["event_action"], &last["event_action"]),
        (&json!("trigger"), &json!("resolve"))
    );
    assert_eq!(
        (&first["routing_key"], &first["dedup_key"]),
        (&json!("test-secret"), &last["dedup_key"])
    );
    let payload = &first["payload"];
    assert!(payload["summary"].as_str().unwrap().contains("Xid 79"));
    assert_eq!(payload["severity"], "warning");
    assert_eq!(payload["custom_details"]["logs"], "missing: no log source is configured");
    assert_eq!(first["links"][0]["href"], "https://runbooks.example/x");
}

#[tokio::test]
async fn slack_says_no_with_a_200_and_then_the_next_level_is_called() {
    let port = free_port();
    let contact = format!(
        "{{name: road, slack: {{channel: \"#gpu\", token: {{env: X}}, url: \"http://127.0.0.1:{port}/slack\"}}}}"
    );
    let refusal = vec![(200, json!({ "ok": false, "error": "not_in_channel" }))];
    // The spare on level 2 takes it: a dead line deserves no patience.
    let asked = trigger_and_resolve(&contact, port, refusal, "/slack", 1).await;
    assert_eq!(asked.len(), 1, "refused for good is not asked again");
    let (headers, body) = &asked[0];
    assert_eq!(headers["authorization"], "Bearer test-secret");
    assert_eq!(body["channel"], "#gpu");
    assert!(!body.to_string().contains("<!channel>"), "a label cannot call the channel: {body}");
}

#[tokio::test]
async fn a_webhook_gets_the_report_with_an_idempotency_key_and_its_secret_header() {
    let port = free_port();
    let contact = format!(
        "{{name: road, webhook: {{url: \"http://127.0.0.1:{port}/hook\", headers: {{X-Key: {{env: X}}}}}}}}"
    );
    let asked = trigger_and_resolve(&contact, port, vec![(503, json!({}))], "/hook", 3).await;
    let keys: Vec<_> = asked
        .iter()
        .map(|(headers, _)| headers["idempotency-key"].to_str().unwrap().to_owned())
        .collect();
    assert!(keys[0] == keys[1] && keys[1] != keys[2], "{keys:?}");
    assert_eq!(asked[0].0["x-key"], "test-secret");
    assert_eq!(
        (&asked[0].1["action"], &asked[2].1["action"]),
        (&json!("trigger"), &json!("resolve"))
    );
    assert_eq!(asked[0].1["report"]["target"], "node/n1");
}

#[tokio::test]
async fn alertmanager_gets_an_alert_that_lasts_and_its_end() {
    let port = free_port();
    let contact = format!("{{name: road, alertmanager: {{urls: [\"http://127.0.0.1:{port}\"]}}}}");
    let asked = trigger_and_resolve(&contact, port, vec![], "/api/v2/alerts", 2).await;
    let (fires, over) = (&asked[0].1[0], &asked[1].1[0]);
    assert_eq!(fires["labels"], over["labels"], "the same alert");
    let ends =
        |alert: &Value| alert["endsAt"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let now = jiff::Timestamp::now();
    assert!(ends(fires) > now && ends(over) <= now);
}
