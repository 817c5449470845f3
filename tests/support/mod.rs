//! What the tests share: a daemon to start and to kill, real servers, and waiting with a deadline.
#![allow(dead_code, reason = "each test binary uses its part")]

pub(crate) mod daemon;
pub(crate) mod dying;
pub(crate) mod groups;
pub(crate) mod imds;
pub(crate) mod moto;
pub(crate) mod nats;
pub(crate) mod proxy;
pub(crate) mod servers;
pub(crate) mod vault;
pub(crate) mod weather;

use serde_json::Value;
use std::{future::Future, time::Duration};

/// Waits until `found` finds something. The deadline is far beyond what a slow machine needs.
pub(crate) async fn until<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut found: impl FnMut() -> F,
) -> T {
    for _ in 0..1200 {
        if let Some(value) = found().await {
            return value;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("in vain: {what}");
}

/// A free port on loopback. Another process may take it first: then the test's server fails, loudly.
pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

pub(crate) fn client() -> reqwest::Client {
    rustls::crypto::ring::default_provider().install_default().ok();
    reqwest::Client::builder().timeout(Duration::from_secs(30)).build().unwrap()
}

/// A GET that may find nobody listening.
pub(crate) async fn get(url: &str) -> Option<Value> {
    let response = client().get(url).send().await.ok()?;
    serde_json::from_str(&response.text().await.ok()?).ok()
}

pub(crate) async fn incidents(base: &str) -> Vec<Value> {
    let body = get(&format!("{base}/api/v1/incidents?limit=500")).await.unwrap_or_default();
    body["incidents"].as_array().cloned().unwrap_or_default()
}

/// Sum of a counter over those of its series that contain all of `labels`.
pub(crate) async fn metric(base: &str, name: &str, labels: &[&str]) -> f64 {
    let Ok(response) = client().get(format!("{base}/metrics")).send().await else { return 0.0 };
    let text = response.text().await.unwrap_or_default();
    text.lines()
        .filter(|line| line.starts_with(name) && labels.iter().all(|label| line.contains(label)))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}
