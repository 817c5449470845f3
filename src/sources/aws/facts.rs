//! The same words for the same things, whether they came by EventBridge, Auto Scaling or instance metadata.

use super::{moment, text};
use crate::model::kind;
use serde_json::Value;
use std::collections::BTreeMap;

/// What a rule finds in `cloud`: `feed`, `instance`, `action`, `state`, `code`, `hook`, `group`, `token`, `transition`,
/// `not_before`, `account`, `region`, each where it is known.
pub(in crate::sources) fn facts(kind: &str, payload: &Value) -> BTreeMap<String, String> {
    let detail = payload.get("detail").unwrap_or(payload);
    let mut facts = BTreeMap::new();
    let mut note = |name: &str, value: Option<&str>| {
        if let Some(value) = value {
            facts.insert(name.to_owned(), whole(value));
        }
    };
    let either = |one: &str, other: &str| text(detail, one).or_else(|| text(detail, other));
    note("feed", Some(feed(payload)));
    note("instance", either("instance-id", "EC2InstanceId"));
    note("account", text(payload, "account").or_else(|| text(payload, "AccountId")));
    note("region", text(payload, "region"));
    match kind {
        kind::SPOT_INTERRUPTION | kind::CAPACITY_INTERRUPTION => {
            note("action", text(detail, "instance-action").or_else(|| text(payload, "action")));
        }
        kind::INSTANCE_STATE => note("state", text(detail, "state")),
        kind::MAINTENANCE | kind::MAINTENANCE_CANCELLED => {
            note("code", text(detail, "Code").or_else(|| code(detail)));
            let at = |key| moment(detail, key).ok().flatten();
            let begins = at("NotBefore").or_else(|| at("startTime")).map(|at| at.to_string());
            note("not_before", begins.as_deref());
        }
        kind::LIFECYCLE => {
            note("hook", text(detail, "LifecycleHookName"));
            note("group", text(detail, "AutoScalingGroupName"));
            note("token", text(detail, "LifecycleActionToken"));
            let transition = text(detail, "LifecycleTransition").map(|name| {
                if name.ends_with("TERMINATING") { "terminating" } else { "launching" }
            });
            note("transition", transition);
        }
        _ => {}
    }
    facts
}

/// Characters of a fact: names of groups and hooks have 255 at most.
const LONGEST: usize = 255;

/// As AWS has to hear it again: a name that was cut is that of nobody.
fn whole(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(LONGEST).collect()
}

/// The road that it came by.
fn feed(payload: &Value) -> &'static str {
    match (text(payload, "feed"), payload.get("detail-type")) {
        (Some("metadata"), _) => "metadata",
        (_, Some(_)) => "eventbridge",
        _ => "autoscaling",
    }
}

/// AWS Health's code of an event in the words of instance metadata.
fn code(detail: &Value) -> Option<&'static str> {
    let code = text(detail, "eventTypeCode")?;
    let words = [
        ("RETIREMENT", "instance-retirement"),
        ("REBOOT", "system-reboot"),
        ("STOP", "instance-stop"),
        ("DEGRADED", "instance-retirement"),
    ];
    let known = words.iter().find(|(part, _)| code.contains(part)).map(|(_, word)| *word);
    Some(known.unwrap_or("system-maintenance"))
}
