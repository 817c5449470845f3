//! A steady load of events: every batch goes to some replica, and again until one has taken it.

use super::support::client;
use medevac::model::Id;
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

/// Events of one request, and requests in a second: five hundred events.
const BATCH: u64 = 10;
const EVERY: Duration = Duration::from_millis(20);
/// One event in so many is one that a rule acts on.
const ACTS: u64 = 40;

#[derive(Clone)]
pub(crate) struct Load {
    /// Ids of events that some replica answered 2xx for.
    accepted: Arc<Mutex<BTreeSet<String>>>,
    open: Arc<AtomicU64>,
    pub(crate) refused: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
}

pub(crate) fn source() -> &'static str {
    "load"
}

impl Load {
    pub(crate) fn start(urls: Vec<String>) -> Load {
        let load = Load {
            accepted: Arc::default(),
            open: Arc::default(),
            refused: Arc::default(),
            stop: Arc::default(),
        };
        tokio::spawn(load.clone().run(urls));
        load
    }

    async fn run(self, urls: Vec<String>) {
        let client = client();
        let mut tick = tokio::time::interval(EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut number = 0;
        while !self.stop.load(Ordering::SeqCst) {
            tick.tick().await;
            let events: Vec<Value> = (number..number + BATCH).map(event).collect();
            number += BATCH;
            self.open.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(self.clone().post(client.clone(), urls.clone(), events, number / BATCH));
        }
    }

    async fn post(self, client: reqwest::Client, urls: Vec<String>, events: Vec<Value>, nth: u64) {
        let body = serde_json::to_vec(&events).unwrap();
        for attempt in nth.. {
            let url = &urls[usize::try_from(attempt).unwrap() % urls.len()];
            let sent = client
                .post(format!("{url}/api/v1/events"))
                .header("content-type", "application/cloudevents-batch+json")
                .timeout(Duration::from_secs(10))
                .body(body.clone())
                .send();
            if sent.await.is_ok_and(|answer| answer.status().is_success()) {
                break;
            }
            self.refused.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let ids = events.iter().map(|event| event["id"].as_str().unwrap().to_owned());
        self.accepted.lock().unwrap_or_else(PoisonError::into_inner).extend(ids);
        self.open.fetch_sub(1, Ordering::SeqCst);
    }

    /// Ends the load, and gives what was accepted.
    pub(crate) async fn end(&self) -> BTreeSet<String> {
        self.stop.store(true, Ordering::SeqCst);
        while self.open.load(Ordering::SeqCst) > 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.accepted.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn event(number: u64) -> Value {
    let acts = number.is_multiple_of(ACTS);
    let (kind, id) = (if acts { "load.act" } else { "load.noise" }, format!("e{number}"));
    json!({
        "specversion": "1.0", "source": source(), "id": id, "type": kind,
        "subject": format!("job/{id}"), "data": { "number": number },
    })
}

/// Whether a rule acts on the event, and its id in the log.
pub(crate) fn acts(id: &str) -> Option<Id> {
    let number: u64 = id[1..].parse().unwrap();
    number.is_multiple_of(ACTS).then(|| Id::given(source(), id))
}
