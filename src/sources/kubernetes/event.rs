//! Events of the API, core/v1 and events.k8s.io: the server keeps both as one, and a series as one event that is counted.

use super::{Happening, OURSELVES, happening, message, moment, text};
use crate::model::{Target, kind};
use serde_json::{Value, json};

/// When it was seen last, as each generation of the API has it.
const TIMES: [&str; 6] = [
    "/series/lastObservedTime",
    "/lastTimestamp",
    "/deprecatedLastTimestamp",
    "/eventTime",
    "/firstTimestamp",
    "/metadata/creationTimestamp",
];

/// What the event says now: once for each count.
pub(super) fn happening_of(object: &Value) -> Option<Happening> {
    let first = |paths: &[&str]| {
        let texts = paths.iter().map(|path| text(object, path));
        texts.into_iter().find(|text| !text.is_empty()).unwrap_or_default()
    };
    let by = first(&[
        "/reportingComponent",
        "/reportingController",
        "/source/component",
        "/deprecatedSource/component",
    ]);
    if by == OURSELVES {
        return None;
    }
    let time = TIMES.iter().find_map(|path| moment(object, path))?;
    let count = ["/series/count", "/count", "/deprecatedCount"];
    let count = count.iter().find_map(|path| object.pointer(path)?.as_u64()).unwrap_or(1).max(1);
    let uid = text(object, "/metadata/uid");
    let told = [message(object, "/message"), message(object, "/note")];
    let told = told.into_iter().find(|it| !it.is_empty()).unwrap_or_default();
    let host = first(&["/reportingInstance", "/source/host", "/deprecatedSource/host"]);
    let payload = json!({
        "reason": text(object, "/reason"),
        "message": told,
        "note": told,
        "action": text(object, "/action"),
        "warning": text(object, "/type") == "Warning",
        "count": count,
        "reportingController": by,
        "reportingInstance": host,
    });
    let parts = [uid, &count.to_string(), &time.to_string()];
    Some(happening(String::new(), kind::CLUSTER_EVENT, &parts, about(object), time, payload))
}

/// The object that it is about.
fn about(object: &Value) -> Target {
    let place = if object["regarding"].is_object() { "regarding" } else { "involvedObject" };
    let of = &object[place];
    let (kind, name) = (text(of, "/kind"), text(of, "/name"));
    let namespace = text(of, "/namespace");
    super::target(kind, namespace, name)
}
