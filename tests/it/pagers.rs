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
use medevac::adapters::pagers::Pagers;
use medevac::clock::System;
use medevac::escalation::Dispatch;
use medevac::log::{Log, Stream};
use medevac::model::{
    Contact, Delivery, MailTls, Mailbox, Outcome, PageKey, PageKind, PageStep, Pager, Report,
    Secret, Severity,
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeSet, VecDeque},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
};

/// A provider that answers as it was told, and remembers what it was asked.
#[derive(Clone, Default)]
struct Provider {
    asked: Arc<Mutex<Vec<(String, HeaderMap, Value)>>>,
    answers: Arc<Mutex<VecDeque<(u16, Value)>>>,
    /// Path with its query, and the bytes.
    raw: Arc<Mutex<Vec<(String, String)>>>,
    /// So often nothing is known yet of a request that was taken.
    slow: Arc<AtomicU32>,
}

async fn answer(
    State(provider): State<Provider>,
    uri: Uri,
    headers: HeaderMap,
    text: String,
) -> (StatusCode, Json<Value>) {
    let body = serde_json::from_str(&text).unwrap_or_default();
    provider.asked.lock().unwrap().push((uri.path().to_owned(), headers, body));
    provider.raw.lock().unwrap().push((uri.to_string(), text));
    // What became of a request is asked for besides.
    if uri.path().contains("/requests/")
        && provider.slow.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok()
    {
        return (StatusCode::NOT_FOUND, Json(json!({ "message": "Request not found" })));
    }
    let next = match uri.path().contains("/requests/") {
        true => None,
        false => provider.answers.lock().unwrap().pop_front(),
    };
    let usual = match uri.path() {
        "/slack" => (200, json!({ "ok": true, "channel": "C1", "ts": "1.2" })),
        "/v2/alerts" => (202, json!({ "result": "Request will be processed", "requestId": "r-1" })),
        "/v2/alerts/requests/r-1" => {
            (200, json!({ "data": { "isSuccess": true, "alertId": "a-1" } }))
        }
        path if path.ends_with("/close") => (202, json!({ "requestId": "r-1" })),
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

    /// Everything that it was asked, wherever; nobody was called whom no test expects.
    fn was_asked_for_nothing_but(&self, path: &str, wanted: usize) {
        let all = self.asked.lock().unwrap();
        let paths: Vec<&String> = all.iter().map(|(at, _, _)| at).collect();
        assert!(paths.iter().all(|at| *at == path) && paths.len() == wanted, "{paths:?}");
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
    let asked = until("the provider heard everything", || async {
        let asked = provider.asked(path);
        (asked.len() >= wanted).then_some(asked)
    })
    .await;
    until("nothing is left to be sent", || async {
        (unsent(&daemon.log).await == 0).then_some(())
    })
    .await;
    provider.was_asked_for_nothing_but(path, wanted);
    asked
}

/// Pages that the log means to send and does not know the end of.
async fn unsent(log: &impl Log) -> usize {
    let mut open = BTreeSet::new();
    for record in log.read(0, &[Stream::Outcomes], 10_000).await.unwrap() {
        match record.open::<Outcome>().map(|envelope| envelope.data) {
            Ok(Outcome::Page { step: PageStep::Intent { key, .. }, .. }) => {
                open.insert(key);
            }
            Ok(Outcome::Page {
                step: PageStep::Delivered { key, .. } | PageStep::Undelivered { key, .. },
                ..
            }) => {
                open.remove(&key);
            }
            _ => {}
        }
    }
    open.len()
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

#[tokio::test]
async fn opsgenie_takes_it_at_first_and_is_asked_whether_it_did_it() {
    let port = free_port();
    let provider = Provider::start(port, vec![(422, json!({ "message": "no" }))]).await;
    provider.slow.store(2, Relaxed);
    let road = |kind: PageKind| {
        let contact = Contact {
            name: "road".into(),
            pager: Pager::Opsgenie {
                api_key: Secret::new("genie"),
                responders: vec!["platform".into()],
                url: format!("http://127.0.0.1:{port}"),
            },
            fallback: None,
        };
        sends(contact, kind)
    };
    let refused = road(PageKind::Trigger).await;
    assert!(matches!(&refused, Delivery::Refused(why) if why.contains("422")), "{refused:?}");
    assert_eq!(road(PageKind::Trigger).await, Delivery::Accepted("a-1".into()));
    let asked = provider.asked("/v2/alerts");
    let (headers, alert) = asked.last().unwrap();
    assert_eq!(headers["authorization"], "GenieKey genie");
    assert_eq!(alert["priority"], "P3");
    assert_eq!(alert["responders"][0], json!({ "name": "platform", "type": "team" }));
    assert!(alert["message"].as_str().unwrap().chars().count() <= 130);
    assert_eq!(provider.asked("/v2/alerts/requests/r-1").len(), 3, "until it is known");
    assert_eq!(road(PageKind::Resolve).await, Delivery::Accepted("a-1".into()));
    let raw = provider.raw.lock().unwrap().clone();
    let close = raw.iter().find(|(path, _)| path.contains("/close")).unwrap();
    let alias = alert["alias"].as_str().unwrap().replace(':', "%3A");
    assert_eq!(close.0, format!("/v2/alerts/{alias}/close?identifierType=alias"));
    provider.slow.store(99, Relaxed);
    let never = road(PageKind::Trigger).await;
    assert!(matches!(&never, Delivery::Retry { .. }), "{never:?}");
}

#[tokio::test]
async fn goalert_gets_no_more_than_it_keeps_and_its_token_is_in_no_error() {
    let port = free_port();
    let provider = Provider::start(port, vec![]).await;
    let road = |port: u16, kind: PageKind| {
        let contact = Contact {
            name: "road".into(),
            pager: Pager::GoAlert {
                token: Secret::new("top/secret"),
                url: format!("http://127.0.0.1:{port}/"),
            },
            fallback: None,
        };
        sends(contact, kind)
    };
    assert!(matches!(road(port, PageKind::Trigger).await, Delivery::Accepted(_)));
    assert!(matches!(road(port, PageKind::Resolve).await, Delivery::Accepted(_)));
    let asked = provider.asked("/api/v2/generic/incoming");
    assert_eq!(asked[0].1["dedup"], asked[1].1["dedup"]);
    assert_eq!((&asked[0].1["action"], &asked[1].1["action"]), (&Value::Null, &json!("close")));
    assert_eq!(asked[0].0["accept"], "application/json");
    assert!(asked[0].1["details"].as_str().unwrap().chars().count() <= 6144);
    assert!(provider.raw.lock().unwrap()[0].0.ends_with("?token=top%2Fsecret"));
    let lost = format!("{:?}", road(free_port(), PageKind::Trigger).await);
    assert!(lost.starts_with("Retry") && !lost.contains("secret"), "{lost}");
}

#[tokio::test]
async fn a_webhook_is_signed_and_the_signature_is_of_these_bytes() {
    let port = free_port();
    let provider = Provider::start(port, vec![]).await;
    let contact = Contact {
        name: "road".into(),
        pager: Pager::Webhook {
            url: format!("http://127.0.0.1:{port}/hook"),
            headers: Default::default(),
            sign: Some(Secret::new("key")),
        },
        fallback: None,
    };
    assert!(matches!(sends(contact, PageKind::Trigger).await, Delivery::Accepted(_)));
    let (headers, _) = &provider.asked("/hook")[0];
    let (_, bytes) = provider.raw.lock().unwrap()[0].clone();
    let signature = headers["medevac-signature"].to_str().unwrap().to_owned();
    let (time, code) = signature.split_once(",v1=").unwrap();
    let time = time.strip_prefix("t=").unwrap();
    let age = jiff::Timestamp::now().as_second() - time.parse::<i64>().unwrap();
    assert!((0..60).contains(&age));
    use hmac::{Hmac, Mac};
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(b"key").unwrap();
    mac.update(format!("{time}.{bytes}").as_bytes());
    let wanted: String = mac.finalize().into_bytes().iter().map(|it| format!("{it:02x}")).collect();
    assert_eq!(code, wanted);
}

#[tokio::test]
async fn who_is_called_again_is_called_by_another_key_and_every_one_is_closed_in_the_end() {
    let port = free_port();
    let provider = Provider::start(port, vec![]).await;
    let road = Contact {
        name: "road".into(),
        pager: Pager::PagerDuty {
            routing_key: Secret::new("k"),
            url: format!("http://127.0.0.1:{port}/pd"),
        },
        fallback: None,
    };
    for nth in 1..=3 {
        let rings = rings(road.clone(), PageKind::Trigger, nth).await;
        assert!(matches!(rings, Delivery::Accepted(_)), "{rings:?}");
    }
    rings(road.clone(), PageKind::Trigger, 3).await;
    rings(road, PageKind::Resolve, 3).await;
    let keys = |action: &str| -> Vec<String> {
        let asked = provider.asked("/pd");
        let of = asked.iter().filter(|(_, body)| body["event_action"] == action);
        of.map(|(_, body)| body["dedup_key"].as_str().unwrap().to_owned()).collect()
    };
    let (rung, closed) = (keys("trigger"), keys("resolve"));
    assert!(rung[0] != rung[1] && rung[1] != rung[2], "it would not ring: {rung:?}");
    assert_eq!(rung[2], rung[3], "a repetition says the same");
    assert_eq!(closed, rung[..3]);
}

/// A page over that contact, as the daemon sends it.
async fn sends(contact: Contact, kind: PageKind) -> Delivery {
    rings(contact, kind, 1).await
}

async fn rings(contact: Contact, kind: PageKind, nth: u32) -> Delivery {
    let pagers = Pagers::new(client(), System);
    let key =
        PageKey { incident: "inc-1".into(), level: 2, nth, contact: contact.name.clone(), kind };
    let report = Report {
        incident: "inc-1".into(),
        title: "Xid 79\r\nBcc: everybody@example.org".into(),
        target: "node/n1".into(),
        severity: Severity::Warning,
        policy: "p".into(),
        level: 2,
        why: "the drain failed".into(),
        evidence: vec![("events".into(), "x".repeat(20_000))],
        missing: vec![("logs".into(), "nobody has them".into())],
        thread: None,
    };
    pagers.send(&contact, &key, &report).await
}

/// A mail server that takes one mail after the other, or answers as it was told: what it was sent, line by line.
async fn mail_server(refusal: Option<&'static str>) -> (u16, Arc<Mutex<Vec<String>>>) {
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let lines: Arc<Mutex<Vec<String>>> = Arc::default();
    let kept = Arc::clone(&lines);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (read, mut write) = stream.into_split();
            let mut read = BufReader::new(read).lines();
            write.write_all(b"220 mail.example ESMTP\r\n").await.unwrap();
            let mut within = false;
            while let Ok(Some(line)) = read.next_line().await {
                kept.lock().unwrap().push(line.clone());
                let answer = match line.split_whitespace().next().unwrap_or_default() {
                    "." if within => {
                        within = false;
                        "250 2.0.0 queued as 42\r\n"
                    }
                    _ if within => continue,
                    "EHLO" => "250-mail.example\r\n250 8BITMIME\r\n",
                    "RCPT" if refusal.is_some() => refusal.unwrap(),
                    "DATA" => {
                        within = true;
                        "354 go on\r\n"
                    }
                    "QUIT" => "221 bye\r\n",
                    _ => "250 ok\r\n",
                };
                if write.write_all(answer.as_bytes()).await.is_err() {
                    break;
                }
            }
        }
    });
    (port, lines)
}

fn by_mail(port: u16, tls: MailTls) -> Contact {
    let mailbox = Mailbox {
        server: "127.0.0.1".into(),
        port,
        tls,
        login: None,
        from: "medevac@example.org".into(),
        to: vec!["sre@example.org".into()],
    };
    Contact { name: "mail".into(), pager: Pager::Email(Box::new(mailbox)), fallback: None }
}

#[tokio::test]
async fn a_mail_has_one_id_for_ever_and_no_header_of_somebody_elses() {
    let (port, lines) = mail_server(None).await;
    for _ in 0..2 {
        let sent = sends(by_mail(port, MailTls::Off), PageKind::Trigger).await;
        assert!(
            matches!(&sent, Delivery::Accepted(said) if said.contains("queued as 42")),
            "{sent:?}"
        );
    }
    assert!(matches!(
        sends(by_mail(port, MailTls::Off), PageKind::Resolve).await,
        Delivery::Accepted(_)
    ));
    let lines = lines.lock().unwrap().clone();
    // What stands in a body is no header, whatever it looks like.
    let mails = lines.split(|line| line == "DATA").skip(1);
    let headers: Vec<&String> =
        mails.flat_map(|mail| mail.iter().take_while(|line| !line.is_empty())).collect();
    let all = |name: &str| -> Vec<&String> {
        headers.iter().copied().filter(|line| line.starts_with(name)).collect()
    };
    let ids = all("Message-ID:");
    assert!(ids[0] == ids[1] && ids[1] != ids[2], "{ids:?}");
    let threads = all("References:");
    assert!(threads.len() == 3 && threads.iter().all(|it| *it == threads[0]));
    assert!(all("Bcc:").is_empty(), "a title is no header");
    assert!(
        lines
            .iter()
            .any(|line| line.contains("events: missing") || line.contains("the drain failed"))
    );
}

#[tokio::test]
async fn a_mail_server_that_refuses_is_told_from_one_that_is_busy_and_one_without_tls_gets_nothing()
{
    let (port, _) = mail_server(Some("550 5.1.1 no such user\r\n")).await;
    let refused = sends(by_mail(port, MailTls::Off), PageKind::Trigger).await;
    assert!(
        matches!(&refused, Delivery::Refused(why) if why.contains("no such user")),
        "{refused:?}"
    );
    let (port, _) = mail_server(Some("451 4.7.1 greylisted\r\n")).await;
    let busy = sends(by_mail(port, MailTls::Off), PageKind::Trigger).await;
    assert!(matches!(&busy, Delivery::Retry { .. }), "{busy:?}");
    let (port, lines) = mail_server(None).await;
    let plain = sends(by_mail(port, MailTls::StartTls), PageKind::Trigger).await;
    assert!(!matches!(&plain, Delivery::Accepted(_)), "{plain:?}");
    assert!(
        !lines.lock().unwrap().iter().any(|line| line.starts_with("MAIL")),
        "in clear text it says nothing"
    );
}

#[tokio::test]
async fn slack_threads_what_follows_and_has_buttons_that_are_heard_when_signed() {
    let port = free_port();
    let contact = format!(
        "{{name: road, slack: {{channel: \"#gpu\", token: {{env: X}}, signing_secret: {{env: Y}}, url: \"http://127.0.0.1:{port}/slack\"}}}}"
    );
    let asked = trigger_and_resolve(&contact, port, vec![], "/slack", 2).await;
    let (first, over) = (&asked[0].1, &asked[1].1);
    assert_eq!((first.get("thread_ts"), &over["thread_ts"]), (None, &json!("1.2")));
    let buttons =
        first["blocks"].as_array().unwrap().iter().find(|it| it["type"] == "actions").unwrap();
    let verbs: Vec<&str> = buttons["elements"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["action_id"].as_str().unwrap())
        .collect();
    assert_eq!(verbs, ["ack", "snooze", "resolve"]);
    assert!(!over["blocks"].to_string().contains("actions"), "what is over is not answered");
}

#[tokio::test]
async fn a_button_of_slack_is_believed_when_it_is_signed() {
    use hmac::{Hmac, Mac};
    let port = free_port();
    let contact = format!(
        "{{name: road, slack: {{channel: \"#gpu\", token: {{env: X}}, signing_secret: {{env: Y}}, url: \"http://127.0.0.1:{port}/slack\"}}}}"
    );
    let _provider = Provider::start(port, vec![]).await;
    let directory = tempfile::tempdir().unwrap();
    let daemon =
        daemon::start(&Orders::new(directory.path(), 0, &rules(&contact)), Door::default()).await;
    client()
        .post(format!("{}/api/v1/alertmanager", daemon.url))
        .json(&alert("firing"))
        .send()
        .await
        .unwrap();
    let open = until("the incident is open", || async {
        incidents(&daemon.url).await.into_iter().find(|one| one["state"] == "open")
    })
    .await;
    let payload = json!({ "user": { "username": "ann" }, "actions": [{ "action_id": "ack", "value": open["id"] }] });
    let body = format!("payload={}", medevac::model::escape(&payload.to_string(), '%', "-_."));
    let at = jiff::Timestamp::now().as_second().to_string();
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(b"test-secret").unwrap();
    mac.update(format!("v0:{at}:{body}").as_bytes());
    let code: String =
        mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let press = async |code: &str| {
        let post = client().post(format!("{}/api/v1/slack", daemon.url));
        let post = post.header("x-slack-request-timestamp", &at);
        let post = post.header("x-slack-signature", format!("v0={code}"));
        post.body(body.clone()).send().await.unwrap().status().as_u16()
    };
    assert_eq!(press(&code.replace('0', "1")).await, 401);
    assert_eq!(press(&code).await, 200);
    let owned = until("it is acknowledged", || async {
        incidents(&daemon.url).await.into_iter().find(|one| one["state"] == "acknowledged")
    })
    .await;
    assert_eq!(owned["acknowledged_by"], "slack:ann");
}

#[tokio::test]
async fn a_note_to_pagerduty_is_a_change_and_calls_nobody() {
    let port = free_port();
    let provider = Provider::start(port, vec![]).await;
    let routing_key = medevac::model::Secret::new("key");
    let url = format!("http://127.0.0.1:{port}/v2/enqueue");
    let pager = Pager::PagerDuty { routing_key, url };
    let contact = Contact { name: "road".into(), pager, fallback: None };
    assert!(matches!(sends(contact, PageKind::Note).await, Delivery::Accepted(_)));
    let asked = provider.asked("/v2/change/enqueue");
    assert_eq!((asked.len(), provider.asked("/v2/enqueue").len()), (1, 0));
    assert_eq!(asked[0].1["payload"]["source"], "node/n1");
    assert!(asked[0].1.get("event_action").is_none());
}
