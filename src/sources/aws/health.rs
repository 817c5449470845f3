//! AWS Health: one body about many machines, sent at least once, by page and from a backup region as well.

use super::{Read, event, given, is_instance, moment, quote, text};
use crate::model::{Id, kind};
use jiff::Timestamp;
use serde_json::{Value, json};

/// Machines of one body. AWS pages at a hundred.
const MOST: usize = 10_000;

pub(super) fn events(value: Value, now: Timestamp) -> Result<Read, String> {
    let detail = &value["detail"];
    let of = |key: &str| text(detail, key).unwrap_or_default();
    if of("service") != "EC2" || of("eventTypeCategory") != "scheduledChange" {
        let what = format!("AWS Health about {}: {}", of("service"), of("eventTypeCategory"));
        return Ok(Read::Foreign(quote(&what)));
    }
    let given = given(&value, now)?;
    moment(detail, "startTime")?;
    let (arn, status) = (of("eventArn").to_owned(), of("statusCode").to_owned());
    let kind = if status == "closed" { kind::MAINTENANCE_CANCELLED } else { kind::MAINTENANCE };
    let entities = detail["affectedEntities"].as_array().ok_or("no list of `affectedEntities`")?;
    if entities.len() > MOST {
        return Err(format!("more than {MOST} machines in one body"));
    }
    let named = entities.iter().filter_map(|entity| text(entity, "entityValue"));
    let machines: Vec<String> = named.filter(|id| is_instance(id)).map(str::to_owned).collect();
    if machines.is_empty() {
        return Ok(Read::Foreign("AWS Health about no instance".into()));
    }
    // Each event carries its own machine, and not all of the others.
    let mut shared = value;
    shared["detail"]["affectedEntities"] = json!([]);
    shared["resources"] = json!([]);
    let one = |instance: String| {
        let mut payload = shared.clone();
        payload["detail"]["affectedEntities"] = json!([{ "entityValue": instance }]);
        payload["detail"]["instance-id"] = json!(instance);
        let id = Id::of(&["aws.health", &arn, &instance, &status]);
        let deadline = super::deadline(kind, &payload, given);
        event(kind, id, instance, given, deadline, payload)
    };
    Ok(Read::Events(machines.into_iter().map(one).collect()))
}
