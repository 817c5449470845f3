//! An event as it would be recorded, without recording it.

use super::enrich::{enrich, target};
use super::{BadBody, alertmanager, cloudevents};
use crate::cluster::ClusterView;
use crate::model::{Envelope, Event};
use jiff::Timestamp;
use serde_json::{Map, Value};

/// The events in `body`: an Alertmanager body, a CloudEvent or a list of them, or a record of the log.
///
/// # Errors
/// What is wrong with it, where nothing in it can be used.
pub fn preview(
    body: &[u8],
    view: &impl ClusterView,
    cluster: Option<&str>,
    now: Timestamp,
) -> Result<Vec<Envelope<Event>>, BadBody> {
    let value: Value =
        serde_json::from_slice(body).map_err(|error| BadBody(format!("not JSON: {error}")))?;
    let record = value.get("record").unwrap_or(&value);
    if record.get("recordversion").is_some() {
        // It was enriched when it was recorded.
        return serde_json::from_value(record.clone())
            .map(|event| vec![event])
            .map_err(|error| BadBody(format!("not a record of an event: {error}")));
    }
    let mut events = match &value {
        Value::Object(map) if map.contains_key("alerts") => {
            let group = alertmanager::read(body, now)?;
            let event = |alert| {
                let target = target(&alert, view);
                alertmanager::envelope(alert, target, cluster, now)
            };
            group.alerts.into_iter().map(event).collect()
        }
        Value::Array(_) => {
            cloudevents::read("application/cloudevents-batch+json", Map::new(), body, now)?.0
        }
        _ => cloudevents::read("application/cloudevents+json", Map::new(), body, now)?.0,
    };
    events.iter_mut().for_each(|event| enrich(event, view));
    if events.is_empty() {
        return Err(BadBody("there is no event in it that can be used".into()));
    }
    Ok(events)
}
