//! SQS with EventBridge bodies in it, and the forwarder that brings them to the daemon.
//!
//! A message is delivered at least once: it comes back when its visibility has run out, unless it was deleted,
//! and it is deleted only when the daemon has accepted it.

use super::dice::Dice;
use super::service::{Service, Turned};
use crate::clock::Clock;
use crate::model::{Id, kind};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::Notify;

/// How the queue treats its messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manners {
    pub visibility: Duration,
    /// Every message comes so much later, at most.
    pub delay: Duration,
    /// So many of a thousand come twice.
    pub duplicates: u32,
    /// In an order of the queue's own.
    pub disorder: bool,
}

impl Default for Manners {
    fn default() -> Self {
        Manners {
            visibility: Duration::from_secs(20),
            delay: Duration::from_millis(1500),
            duplicates: 0,
            disorder: false,
        }
    }
}

#[derive(Debug, Clone)]
struct Message {
    body: Value,
    visible_at: Timestamp,
}

/// Messages of one receive call.
const BATCH: usize = 10;

#[derive(Clone)]
pub(super) struct Queue {
    service: Service,
    manners: Manners,
    messages: Arc<Mutex<BTreeMap<u64, Message>>>,
    dice: Arc<Mutex<Dice>>,
    news: Arc<Notify>,
    sent: Arc<Mutex<u64>>,
}

impl Queue {
    pub(super) fn new(service: Service, manners: Manners, seed: u64) -> Queue {
        Queue {
            service,
            manners,
            messages: Arc::default(),
            dice: Arc::new(Mutex::new(Dice::for_purpose(seed, "queue"))),
            news: Arc::default(),
            sent: Arc::default(),
        }
    }

    /// EventBridge puts a message into the queue.
    pub(super) fn send(&self, body: Value) {
        let now = self.service.stage.time.now();
        let mut dice = self.dice.lock().unwrap_or_else(PoisonError::into_inner);
        let copies = if dice.permille(self.manners.duplicates) { 2 } else { 1 };
        for _ in 0..copies {
            let most = u64::try_from(self.manners.delay.as_millis()).unwrap_or(u64::MAX);
            let delay = Duration::from_millis(dice.between(most / 4, most));
            let visible_at = now.checked_add(delay).unwrap_or(now);
            let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
            *sent += 1;
            let order = if self.manners.disorder { dice.roll() << 32 | *sent } else { *sent };
            let message = Message { body: body.clone(), visible_at };
            self.messages.lock().unwrap_or_else(PoisonError::into_inner).insert(order, message);
        }
        self.news.notify_one();
    }

    /// Receives what is visible, and hides it for a while.
    fn receive(&self, now: Timestamp) -> Vec<(u64, Value)> {
        let mut messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
        let hidden = now.checked_add(self.manners.visibility).unwrap_or(now);
        let visible = messages.iter_mut().filter(|(_, message)| message.visible_at <= now);
        let take = |(id, message): (&u64, &mut Message)| {
            message.visible_at = hidden;
            (*id, message.body.clone())
        };
        visible.take(BATCH).map(take).collect()
    }

    fn next(&self) -> Option<Timestamp> {
        let messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
        messages.values().map(|message| message.visible_at).min()
    }

    /// Forwards for as long as it is polled.
    pub(super) async fn run(self) {
        loop {
            let time = self.service.stage.time;
            let batch = self.receive(time.now());
            if batch.is_empty() {
                tokio::select! {
                    biased;
                    () = self.news.notified() => {}
                    () = time.until(self.next()) => {}
                }
                continue;
            }
            let events: Vec<Value> = batch.iter().map(|(_, body)| cloudevent(body)).collect();
            let body = serde_json::to_vec(&events).unwrap_or_default();
            match self.service.events("application/cloudevents-batch+json", &body).await {
                Ok(_) => {
                    for event in &events {
                        let text = |key: &str| event[key].as_str().unwrap_or_default();
                        let id = Id::given(text("source"), text("id"));
                        let stage = &self.service.stage;
                        stage.invariants().accepted_event(&id, &stage.store(), time.now());
                    }
                    self.delete(&batch);
                }
                Err(Turned::Bad(_)) => self.delete(&batch),
                // They come back when their visibility has run out.
                Err(Turned::Later) => {}
            }
        }
    }

    fn delete(&self, batch: &[(u64, Value)]) {
        let mut messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
        batch.iter().for_each(|(id, _)| {
            messages.remove(id);
        });
    }
}

/// An EventBridge body as a CloudEvent, as a forwarder makes one.
fn cloudevent(body: &Value) -> Value {
    let kind = match body["detail-type"].as_str().unwrap_or_default() {
        "EC2 Spot Instance Interruption Warning" => kind::SPOT_INTERRUPTION,
        "EC2 Instance Rebalance Recommendation" => "aws.ec2.rebalance.recommendation",
        "EC2 Instance State-change Notification" => "aws.ec2.instance.state",
        "Backup Job State Change" => "aws.backup.job",
        _ => "aws.event",
    };
    json!({
        "specversion": "1.0", "id": body["id"], "source": body["source"], "type": kind,
        "time": body["time"], "data": body,
    })
}

/// The body of a notice as EventBridge sends it.
pub(super) fn notice(
    detail_type: &str,
    instance: &str,
    action: Option<&str>,
    at: Timestamp,
) -> Value {
    let id = Id::of(&["eventbridge", detail_type, instance, &at.to_string()]);
    let mut detail = json!({ "instance-id": instance });
    if let Some(action) = action {
        detail["instance-action"] = json!(action);
    }
    // EventBridge tells whole seconds.
    let time = Timestamp::from_second(at.as_second()).unwrap_or(at);
    json!({
        "version": "0", "id": id.as_str(), "detail-type": detail_type, "source": "aws.ec2",
        "account": "123456789012", "time": time, "region": "eu-west-1",
        "resources": [format!("arn:aws:ec2:eu-west-1a:instance/{instance}")], "detail": detail,
    })
}
