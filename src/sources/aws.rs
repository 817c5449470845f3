//! What AWS says: EventBridge bodies of every kind, Auto Scaling's own, either of them wrapped by SNS.
//!
//! Facts of the wire formats: the EventBridge and Auto Scaling user guides. What is not about machines of ours
//! is foreign: known to be nothing for us. `facts` says the same things in the same words whichever road they
//! came by, so that a rule need not know the road.

mod facts;
mod health;
mod lifecycle;

pub(super) use facts::facts;

use super::BadBody;
use crate::model::{Envelope, Event, Id, Target, kind};
use jiff::{Timestamp, fmt::rfc2822};
use serde_json::Value;
use std::time::Duration;

/// AWS gives two minutes from a notice.
const NOTICE: Duration = Duration::from_secs(120);
/// SNS in SNS is no road that anybody built.
const WRAPPED: u32 = 2;
/// Bytes of a name that is quoted back.
const QUOTED: usize = 80;

/// What a body turned out to be.
#[derive(Debug, Clone, PartialEq)]
pub enum Read {
    /// One event for each machine concerned.
    Events(Vec<Envelope<Event>>),
    /// AWS's own, and nothing for us: what it is.
    Foreign(String),
}

/// Reads the body of a queue's message.
///
/// # Errors
/// Where it is none of the bodies that AWS sends, or one that lacks what it needs.
pub fn read(body: &[u8], now: Timestamp) -> Result<Read, BadBody> {
    let value: Value =
        serde_json::from_slice(body).map_err(|error| BadBody(format!("not JSON: {error}")))?;
    unwrap(value, now, WRAPPED).map_err(BadBody)
}

fn unwrap(value: Value, now: Timestamp, wrapped: u32) -> Result<Read, String> {
    let foreign = |what: &str| Ok(Read::Foreign(what.to_owned()));
    match (text(&value, "Type"), text(&value, "Event")) {
        (Some("Notification"), _) if wrapped > 0 => {
            let message = text(&value, "Message").ok_or("an SNS notification without `Message`")?;
            let inner = serde_json::from_str(message)
                .map_err(|error| format!("the message that SNS wrapped is not JSON: {error}"))?;
            return unwrap(inner, now, wrapped - 1);
        }
        (Some("SubscriptionConfirmation" | "UnsubscribeConfirmation"), _) => {
            return foreign("SNS asks about a subscription");
        }
        (_, Some("autoscaling:TEST_NOTIFICATION")) => return foreign("a test of Auto Scaling"),
        _ => {}
    }
    if text(&value, "detail-type").is_some() {
        bridge(value, now)
    } else if text(&value, "LifecycleTransition").is_some() {
        lifecycle::direct(value, now)
    } else {
        Err("neither an EventBridge event (`detail-type`), nor Auto Scaling's (`LifecycleTransition`), nor SNS's (`Type`)".into())
    }
}

fn bridge(value: Value, now: Timestamp) -> Result<Read, String> {
    let name = text(&value, "detail-type").unwrap_or_default();
    let notice = match name {
        "EC2 Spot Instance Interruption Warning" => kind::SPOT_INTERRUPTION,
        "EC2 Capacity Reservation Instance Interruption Warning" => kind::CAPACITY_INTERRUPTION,
        "EC2 Instance Rebalance Recommendation" => kind::REBALANCE,
        "EC2 Instance State-change Notification" => kind::INSTANCE_STATE,
        "EC2 Instance-terminate Lifecycle Action" | "EC2 Instance-launch Lifecycle Action" => {
            return lifecycle::bridged(value, now);
        }
        "AWS Health Event" => return health::events(value, now),
        "Backup Job State Change" => return backup(value, now),
        other => return Ok(Read::Foreign(quote(other))),
    };
    let instance = instance(&value["detail"]["instance-id"])?;
    let given = given(&value, now)?;
    let deadline = deadline(notice, &value, given);
    let id = match text(&value, "id") {
        Some(id) => Id::given("aws.ec2", id),
        None => Id::of(&["aws", notice, &instance, &given.to_string()]),
    };
    Ok(Read::Events(vec![event(notice, id, instance, given, deadline, value)]))
}

/// The moment after which nothing helps any more, of a notice that was given at `given`.
pub(super) fn deadline(kind: &str, payload: &Value, given: Timestamp) -> Option<Timestamp> {
    let detail = payload.get("detail").unwrap_or(payload);
    let at = |value, key| moment(value, key).ok().flatten();
    let bridged = payload.get("detail-type").is_some();
    match kind {
        kind::SPOT_INTERRUPTION | kind::CAPACITY_INTERRUPTION => {
            let action = text(detail, "instance-action").or_else(|| text(payload, "action"));
            match (action, at(payload, "time")) {
                // Instance metadata tells the moment itself, EventBridge when the notice was given.
                (_, Some(moment)) if !bridged => Some(moment),
                // It begins at once: there are no two minutes.
                (Some("hibernate"), told) => Some(told.unwrap_or(given)),
                (_, told) => told.unwrap_or(given).checked_add(NOTICE).ok(),
            }
        }
        kind::MAINTENANCE => at(detail, "NotBefore").or_else(|| at(detail, "startTime")),
        _ => None,
    }
}

fn backup(value: Value, now: Timestamp) -> Result<Read, String> {
    let given = given(&value, now)?;
    let detail = &value["detail"];
    let job = text(detail, "backupJobId").ok_or("a backup job without `backupJobId`")?;
    let state = text(detail, "state").unwrap_or_default();
    let id = Id::of(&["aws.backup", job, state, &given.to_string()]);
    let target = Target::lenient(&format!("backup/{job}"));
    let data = Event { payload: value, ..Event::default() };
    let event = Envelope::new(kind::BACKUP_JOB, id, "aws.backup", target, given, data);
    Ok(Read::Events(vec![event]))
}

/// An event about one machine, with the facts of it in our own words.
fn event(
    kind: &str,
    id: Id,
    instance: String,
    given: Timestamp,
    deadline: Option<Timestamp>,
    payload: Value,
) -> Envelope<Event> {
    let source = text(&payload, "source").filter(|name| name.starts_with("aws.")).map(quote);
    let source = source.unwrap_or_else(|| "aws.autoscaling".into());
    let mut data = Event { payload, ..Event::default() };
    data.context.cloud = facts(kind, &data.payload);
    let envelope = Envelope::new(kind, id, &source, Target::Instance(instance), given, data);
    Envelope { deadline, ..envelope }
}

fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key)?.as_str().filter(|text| !text.is_empty())
}

fn quote(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(QUOTED).collect()
}

/// The id of an instance: EC2's begin with `i-`, managed ones of other services with `mi-`.
fn instance(value: &Value) -> Result<String, String> {
    let id = value.as_str().unwrap_or_default();
    match is_instance(id) {
        true => Ok(id.to_owned()),
        false => Err(format!("`{}` is not the id of an instance", quote(id))),
    }
}

fn is_instance(id: &str) -> bool {
    let rest = id.strip_prefix("i-").or_else(|| id.strip_prefix("mi-")).unwrap_or_default();
    (1..=40).contains(&rest.len()) && rest.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// When AWS said it. Without a time it is said now.
fn given(value: &Value, now: Timestamp) -> Result<Timestamp, String> {
    moment(value, "time").map(|given| given.unwrap_or(now))
}

/// EventBridge writes RFC 3339, AWS Health RFC 1123 inside of it, instance metadata the same without a weekday.
fn moment(value: &Value, key: &str) -> Result<Option<Timestamp>, String> {
    let Some(written) = text(value, key) else { return Ok(None) };
    // A weekday that is not that date's is the vendor's own sample.
    let lenient = rfc2822::DateTimeParser::new().relaxed_weekday(true);
    let read = written.parse().or_else(|_| lenient.parse_timestamp(written));
    read.map(Some).map_err(|_| format!("`{key}` is not a time: `{}`", quote(written)))
}

#[cfg(test)]
mod tests;
