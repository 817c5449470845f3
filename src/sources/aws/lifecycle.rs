//! Auto Scaling's lifecycle hooks: by EventBridge, or straight from the group.

use super::{Read, event, instance, moment, text};
use crate::model::{Id, kind};
use jiff::Timestamp;
use serde_json::{Value, json};

pub(super) fn bridged(value: Value, now: Timestamp) -> Result<Read, String> {
    let given = super::given(&value, now)?;
    hook(value, given)
}

/// Straight to the queue, or through SNS: the fields of `detail` stand at the top.
pub(super) fn direct(value: Value, now: Timestamp) -> Result<Read, String> {
    let given = moment(&value, "Time")?.unwrap_or(now);
    let account = value["AccountId"].clone();
    hook(json!({ "source": "aws.autoscaling", "account": account, "detail": value }), given)
}

fn hook(value: Value, given: Timestamp) -> Result<Read, String> {
    let detail = &value["detail"];
    let need =
        |key: &str| text(detail, key).ok_or_else(|| format!("a lifecycle action without `{key}`"));
    let instance = instance(&detail["EC2InstanceId"])?;
    let (group, hook) = (need("AutoScalingGroupName")?, need("LifecycleHookName")?);
    need("LifecycleTransition")?;
    // The token is the action's own name: by whichever roads it comes, it is one.
    let token = text(detail, "LifecycleActionToken").unwrap_or_default();
    let at = if token.is_empty() { given.to_string() } else { String::new() };
    let id = Id::of(&["aws.lifecycle", group, hook, &instance, token, &at]);
    Ok(Read::Events(vec![event(kind::LIFECYCLE, id, instance, given, None, value)]))
}
