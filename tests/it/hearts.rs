//! The dead man's switch, both ways: who does not hear from the daemon calls people, and whom the daemon does not hear from
//! it calls people about, until they are back.

use crate::support::{
    client,
    daemon::{self, Door, Orders},
    incidents, metric, until,
};
use axum::{Router, routing::post};
use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering::Relaxed},
};

const RULES: &str = r#"
contacts: [{name: c, console: {}}]
escalations: [{name: p, levels: [{contacts: c}]}]
rules:
  - {name: silent, when: heartbeat, if: event.subject == "heartbeat/prometheus", absent: {within: 2s}, escalate: p}
"#;

#[tokio::test]
async fn the_daemon_says_that_it_lives_for_as_long_as_it_does() {
    let heard = Arc::new(AtomicU32::new(0));
    let counts = Arc::clone(&heard);
    let site = Router::new().route(
        "/beat",
        post(move || {
            counts.fetch_add(1, Relaxed);
            std::future::ready("")
        }),
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/beat", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, site).await.unwrap() });
    let directory = tempfile::tempdir().unwrap();
    let mut orders = Orders::new(directory.path(), 0, RULES);
    orders.beats = Some(url);
    let daemon = daemon::start(&orders, Door::default()).await;
    until("it is heard again and again", || async { (heard.load(Relaxed) > 3).then_some(()) })
        .await;
    assert!(incidents(&daemon.url).await.is_empty());
}

#[tokio::test]
async fn who_is_silent_is_told_of_and_who_is_back_is_not_any_more() {
    let directory = tempfile::tempdir().unwrap();
    let daemon = daemon::start(&Orders::new(directory.path(), 0, RULES), Door::default()).await;
    let lives = |name: &str| {
        let request = client().post(format!("{}/api/v1/heartbeats/{name}", daemon.url));
        async move { assert!(request.send().await.unwrap().status().is_success()) }
    };
    lives("prometheus").await;
    // Nobody waits for that one.
    lives("nightly").await;
    let silent = until("people hear of the silence", || async {
        let called = metric(&daemon.url, "medevac_pages_total", &["accepted"]).await > 0.0;
        incidents(&daemon.url).await.into_iter().find(|_| called)
    })
    .await;
    assert_eq!(silent["target"], "heartbeat/prometheus");
    let back = until("it is over", || async {
        lives("prometheus").await;
        let all = incidents(&daemon.url).await;
        all.into_iter().find(|one| one["id"] == silent["id"] && one["state"] == "resolved")
    })
    .await;
    assert!(back["note"].as_str().unwrap().contains("what was watched for is over"), "{back}");
    assert!(incidents(&daemon.url).await.iter().all(|one| one["target"] != "heartbeat/nightly"));
}
