//! News as CloudEvents, in the words that EventBridge has for the same: a rule need not know the road.

use super::metadata::{Action, Maintenance, unreadable_identity};
use crate::model::kind;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;

/// From a spot notice to what it announces.
const NOTICE: Duration = Duration::from_secs(120);

/// Who the machine is, by its identity document.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    pub instance_id: String,
    #[serde(default)]
    pub account_id: String,
    #[serde(default)]
    pub region: String,
    #[serde(default)]
    pub availability_zone: String,
    #[serde(default)]
    pub instance_type: String,
}

impl Identity {
    pub(super) fn read(body: &str) -> Result<Identity, String> {
        let read = serde_json::from_str::<Identity>(body).ok();
        let named = |it: &Identity| {
            let id = it.instance_id.as_bytes();
            (3..=60).contains(&id.len())
                && id.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
        };
        read.filter(named).ok_or_else(|| unreadable_identity(body))
    }
}

/// Something that the daemon has to hear.
#[derive(Debug, Clone, PartialEq)]
pub struct News {
    pub kind: &'static str,
    /// The same news has the same id, whichever life of the agent tells it.
    pub id: String,
    pub instance: String,
    /// The whole of it as a CloudEvent.
    pub event: Value,
}

/// The parts that every event of the machine has.
fn news(
    of: &Identity,
    kind: &'static str,
    salt: &str,
    at: Timestamp,
    deadline: Option<Timestamp>,
    mut data: Value,
) -> News {
    let instance = &of.instance_id;
    data["feed"] = json!("metadata");
    data["account"] = json!(of.account_id);
    data["region"] = json!(of.region);
    data["availability-zone"] = json!(of.availability_zone);
    data["instance-type"] = json!(of.instance_type);
    data["detail"]["instance-id"] = json!(instance);
    let id = format!("{kind}/{salt}");
    let mut event = json!({
        "specversion": "1.0", "id": id, "source": format!("metadata/{instance}"), "type": kind,
        "subject": format!("instance/{instance}"), "time": at, "datacontenttype": "application/json",
        "data": data,
    });
    if let Some(deadline) = deadline {
        event["deadline"] = json!(deadline);
    }
    News { kind, id, instance: instance.clone(), event }
}

pub(super) fn interruption(of: &Identity, told: &Action) -> News {
    // Hibernation begins with the notice; everything else two minutes after it.
    let at = match told.action.as_str() {
        "hibernate" => told.time,
        _ => told.time.checked_sub(NOTICE).unwrap_or(told.time),
    };
    let data = json!({
        "action": told.action, "time": told.time, "detail": { "instance-action": told.action },
    });
    let salt = format!("{}/{}", told.action, told.time);
    news(of, kind::SPOT_INTERRUPTION, &salt, at, Some(told.time), data)
}

pub(super) fn rebalance(of: &Identity, at: Timestamp) -> News {
    let data = json!({ "noticeTime": at });
    news(of, kind::REBALANCE, &at.to_string(), at, None, data)
}

/// Planned (`upcoming`), or not any more: as `state` has it.
pub(super) fn maintenance(of: &Identity, told: &Maintenance, state: &str, now: Timestamp) -> News {
    let planned = state == "active";
    let kind = if planned { kind::MAINTENANCE } else { kind::MAINTENANCE_CANCELLED };
    let data = json!({ "detail": {
        "EventId": told.event_id, "Code": told.code, "Description": told.description,
        "State": state, "NotBefore": told.not_before, "NotAfter": told.not_after,
    }});
    let salt = format!("{}/{state}/{}", told.event_id, told.not_before);
    news(of, kind, &salt, now, told.begins().filter(|_| planned), data)
}

pub(super) fn terminating(of: &Identity, state: &str, now: Timestamp) -> News {
    let data = json!({ "state": state, "detail": {
        "EC2InstanceId": of.instance_id, "LifecycleTransition": "autoscaling:EC2_INSTANCE_TERMINATING",
    }});
    news(of, kind::LIFECYCLE, &format!("{state}/{now}"), now, None, data)
}
