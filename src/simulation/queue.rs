//! SQS with EventBridge bodies in it.
//!
//! A message is delivered at least once: it comes back when its visibility has run out, unless it was deleted.

use super::dice::Dice;
use super::faults::Outside;
use super::stage::{Life, Silence};
use super::time::Virtual;
use crate::clock::Clock;
use crate::config::{Leftover, QueueSource};
use crate::model::Id;
use crate::sources::aws;
use crate::sources::sqs::{self, QueueError};
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
    /// How often it was handed out.
    received: u32,
}

/// Messages of one receive call.
const BATCH: usize = 10;

#[derive(Clone)]
pub(super) struct Queue {
    time: Virtual,
    pub(super) manners: Manners,
    messages: Arc<Mutex<BTreeMap<u64, Message>>>,
    dice: Arc<Mutex<Dice>>,
    news: Arc<Notify>,
    sent: Arc<Mutex<u64>>,
}

impl Queue {
    pub(super) fn new(time: Virtual, manners: Manners, seed: u64) -> Queue {
        Queue {
            time,
            manners,
            messages: Arc::default(),
            dice: Arc::new(Mutex::new(Dice::for_purpose(seed, "queue"))),
            news: Arc::default(),
            sent: Arc::default(),
        }
    }

    /// EventBridge puts a message into the queue.
    pub(super) fn send(&self, body: Value) {
        let now = self.time.now();
        let mut dice = self.dice.lock().unwrap_or_else(PoisonError::into_inner);
        let copies = if dice.permille(self.manners.duplicates) { 2 } else { 1 };
        for _ in 0..copies {
            let most = u64::try_from(self.manners.delay.as_millis()).unwrap_or(u64::MAX);
            let delay = Duration::from_millis(dice.between(most / 4, most));
            let visible_at = now.checked_add(delay).unwrap_or(now);
            let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
            *sent += 1;
            let order = if self.manners.disorder { dice.roll() << 32 | *sent } else { *sent };
            let message = Message { body: body.clone(), visible_at, received: 0 };
            self.messages.lock().unwrap_or_else(PoisonError::into_inner).insert(order, message);
        }
        self.news.notify_one();
    }

    /// Receives what is visible, and hides it for a while.
    fn receive(&self, now: Timestamp) -> Vec<(u64, Value, u32)> {
        let mut messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
        let hidden = now.checked_add(self.manners.visibility).unwrap_or(now);
        let visible = messages.iter_mut().filter(|(_, message)| message.visible_at <= now);
        let take = |(id, message): (&u64, &mut Message)| {
            message.visible_at = hidden;
            message.received += 1;
            (*id, message.body.clone(), message.received)
        };
        visible.take(BATCH).map(take).collect()
    }

    fn next(&self) -> Option<Timestamp> {
        let messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
        messages.values().map(|message| message.visible_at).min()
    }

    fn set(&self, receipts: &[String], change: impl Fn(&mut BTreeMap<u64, Message>, u64)) {
        let mut messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
        receipts
            .iter()
            .filter_map(|receipt| receipt.parse().ok())
            .for_each(|id| change(&mut messages, id));
    }

    /// The same queue, as that process reaches it.
    pub(super) fn reached_by(&self, life: &Life) -> Reach {
        Reach { queue: self.clone(), life: life.clone() }
    }
}

/// The queue at the end of one process's road.
#[derive(Clone)]
pub(super) struct Reach {
    queue: Queue,
    life: Life,
}

/// What the queue makes of a call that did not go well.
fn lost(_: Silence) -> QueueError {
    QueueError("the simulated queue does not answer".into())
}

impl sqs::Queue for Reach {
    async fn receive(&self) -> Result<Vec<sqs::Message>, QueueError> {
        let time = self.life.stage.time;
        loop {
            self.life.gate.pass().await;
            let batch = self.queue.receive(time.now());
            if batch.is_empty() {
                tokio::select! {
                    biased;
                    () = self.queue.news.notified() => {}
                    () = time.until(self.queue.next()) => {}
                }
                continue;
            }
            let message = |(id, body, received): (u64, Value, u32)| sqs::Message {
                receipt: id.to_string(),
                body: body.to_string(),
                received,
            };
            return Ok(batch.into_iter().map(message).collect());
        }
    }

    async fn hide(&self, receipts: &[String], time: Duration) -> Result<(), QueueError> {
        self.life.gate.pass().await;
        let until = self.life.stage.time.now().checked_add(time).unwrap_or_default();
        self.queue.set(receipts, |messages, id| {
            if let Some(message) = messages.get_mut(&id) {
                message.visible_at = until;
            }
        });
        Ok(())
    }

    /// What is deleted has to be in the log (invariant I1).
    async fn delete(&self, receipts: &[String]) -> Result<(), QueueError> {
        let deed = || {
            self.queue.set(receipts, |messages, id| {
                if let Some(message) = messages.remove(&id) {
                    self.accepted(&message.body);
                }
            });
        };
        self.life.call(Outside::Queue, "delete messages", deed).await.map_err(lost)
    }

    async fn patience(&self, group: &str, _: &str) -> Option<Duration> {
        self.life.stage.world().patience(group)
    }
}

impl Reach {
    fn accepted(&self, body: &Value) {
        let (stage, body) = (&self.life.stage, body.to_string());
        let Ok(aws::Read::Events(events)) = aws::read(body.as_bytes(), stage.time.now()) else {
            return;
        };
        for event in events {
            stage.invariants().accepted_event(&event.id, &stage.store(), stage.time.now());
        }
    }
}

/// How the daemon is told to read the queue.
pub(super) fn source(manners: &Manners) -> QueueSource {
    QueueSource {
        url: "https://queue.example/notices".into(),
        receivers: 4,
        visibility: manners.visibility,
        foreign: Leftover::Delete,
        broken: Leftover::Delete,
    }
}

/// The body of a hook's action as EventBridge sends it.
pub(super) fn lifecycle(group: &str, instance: &str, at: Timestamp) -> Value {
    let token = Id::of(&["lifecycle", group, instance, &at.to_string()]);
    let time = Timestamp::from_second(at.as_second()).unwrap_or(at);
    json!({
        "version": "0", "id": Id::of(&["eventbridge", token.as_str()]).as_str(),
        "detail-type": "EC2 Instance-terminate Lifecycle Action", "source": "aws.autoscaling",
        "account": "123456789012", "time": time, "region": "eu-west-1",
        "resources": [format!("arn:aws:autoscaling:eu-west-1:123456789012:autoScalingGroup:1:autoScalingGroupName/{group}")],
        "detail": {
            "LifecycleActionToken": token.as_str(), "AutoScalingGroupName": group,
            "LifecycleHookName": "medevac-drain", "EC2InstanceId": instance,
            "LifecycleTransition": "autoscaling:EC2_INSTANCE_TERMINATING",
            "Origin": "AutoScalingGroup", "Destination": "EC2",
        },
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
