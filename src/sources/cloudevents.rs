//! CloudEvents 1.0 over HTTP: structured, batched and binary.

use super::{BadBody, aws};
use crate::model::{Cause, Envelope, Event, Id, Target};
use jiff::Timestamp;
use serde_json::{Map, Value};

/// Events of one batch.
const MOST: usize = 10_000;

/// An event that cannot be used: its text, and why.
pub type Bad = (String, String);

/// Reads a body by its content type; `attributes` are the `ce-` headers of binary mode, without their prefix.
///
/// # Errors
/// Where nothing in the body can be used: the reason says what is missing.
pub fn read(
    content_type: &str,
    attributes: Map<String, Value>,
    body: &[u8],
    now: Timestamp,
) -> Result<(Vec<Envelope<Event>>, Vec<Bad>), BadBody> {
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if attributes.contains_key("specversion") {
        return binary(&kind, attributes, body, now).map(|event| (vec![event], vec![]));
    }
    let json = |error| BadBody(format!("not JSON: {error}"));
    let value: Value = serde_json::from_slice(body).map_err(json)?;
    match (kind.as_str(), value) {
        ("application/cloudevents-batch+json", Value::Array(items)) => batch(items, now),
        ("application/cloudevents-batch+json", _) => {
            Err(BadBody("a batch is a JSON list of events".into()))
        }
        (_, Value::Object(event)) => {
            let event = one(event, now).map_err(BadBody)?;
            Ok((vec![event], vec![]))
        }
        _ => Err(BadBody(
            "a CloudEvent is a JSON object; for a list say application/cloudevents-batch+json"
                .into(),
        )),
    }
}

fn batch(items: Vec<Value>, now: Timestamp) -> Result<(Vec<Envelope<Event>>, Vec<Bad>), BadBody> {
    if items.len() > MOST {
        return Err(BadBody(format!("a batch has at most {MOST} events")));
    }
    let (mut events, mut bad) = (vec![], vec![]);
    for item in items {
        let text = item.to_string();
        let read = match item {
            Value::Object(event) => one(event, now),
            _ => Err("not a JSON object".into()),
        };
        match read {
            Ok(event) => events.push(event),
            Err(why) => bad.push((text, why)),
        }
    }
    Ok((events, bad))
}

fn binary(
    kind: &str,
    mut attributes: Map<String, Value>,
    body: &[u8],
    now: Timestamp,
) -> Result<Envelope<Event>, BadBody> {
    let data = if body.is_empty() {
        Value::Null
    } else if kind.ends_with("json") {
        serde_json::from_slice(body).map_err(|error| BadBody(format!("not JSON: {error}")))?
    } else {
        Value::String(String::from_utf8_lossy(body).into_owned())
    };
    attributes.insert("data".into(), data);
    one(attributes, now).map_err(BadBody)
}

fn one(mut event: Map<String, Value>, now: Timestamp) -> Result<Envelope<Event>, String> {
    let mut take = |name: &str| match event.remove(name) {
        Some(Value::String(text)) if !text.is_empty() => Ok(Some(text)),
        Some(Value::Null | Value::String(_)) | None => Ok(None),
        Some(other) => Err(format!("the attribute `{name}` is a string, not {other}")),
    };
    match take("specversion")?.as_deref() {
        Some("1.0") => {}
        Some(other) => return Err(format!("specversion is 1.0, not `{other}`")),
        None => return Err("the attribute `specversion` is missing; a CloudEvent has specversion, id, source and type".into()),
    }
    let mut need =
        |name: &str| take(name)?.ok_or_else(|| format!("the attribute `{name}` is missing"));
    let (id, source, kind) = (need("id")?, need("source")?, need("type")?);
    if kind.starts_with("medevac.") {
        return Err(
            "types that start with `medevac.` are the daemon's own; use another name".into()
        );
    }
    let time = moment(take("time")?, "time")?.unwrap_or(now);
    let deadline = moment(take("deadline")?, "deadline")?;
    let (cluster, tenant) = (take("cluster")?, take("tenant")?);
    let (traceparent, cause, subject) = (take("traceparent")?, take("cause")?, take("subject")?);
    let payload = event.remove("data").unwrap_or_default();
    let target = match subject {
        Some(subject) => Target::lenient(&subject),
        None => about(&payload)
            .unwrap_or_else(|| Target::Other { kind: "event".into(), name: id.clone() }),
    };
    let deadline = deadline.or_else(|| aws::deadline(&kind, &payload, time));
    let mut data = Event { payload, ..Event::default() };
    if kind.starts_with("aws.") {
        data.context.cloud = aws::facts(&kind, &data.payload);
    }
    let envelope = Envelope::new(&kind, Id::given(&source, &id), &source, target, time, data);
    let cause = cause.map(Cause::from).unwrap_or_default();
    Ok(Envelope { deadline, cluster, tenant, traceparent, cause, ..envelope })
}

fn moment(text: Option<String>, name: &str) -> Result<Option<Timestamp>, String> {
    let Some(text) = text else { return Ok(None) };
    text.parse().map(Some).map_err(|_| format!("the attribute `{name}` is not an RFC 3339 time"))
}

fn at(payload: &Value, path: &[&str]) -> Option<String> {
    let found = path.iter().try_fold(payload, |value, name| value.get(name))?;
    found.as_str().map(str::to_owned)
}

/// What the event is about, where no subject says it: the usual fields of AWS and Kubernetes.
fn about(payload: &Value) -> Option<Target> {
    let first = |paths: &[&[&str]]| paths.iter().find_map(|path| at(payload, path));
    if let Some(node) = first(&[&["node"], &["nodeName"]]) {
        return Some(Target::Node(node));
    }
    let instance =
        [["detail", "instance-id"].as_slice(), &["instance-id"], &["instance_id"], &["instanceId"]];
    first(&instance).map(Target::Instance)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn structured(value: &Value) -> Result<Envelope<Event>, String> {
        let body = serde_json::to_vec(value).unwrap();
        let read = read("application/cloudevents+json", Map::new(), &body, Timestamp::UNIX_EPOCH);
        read.map(|(mut events, _)| events.remove(0)).map_err(|bad| bad.0)
    }

    #[test]
    fn a_spot_notice_gets_its_target_and_its_deadline() {
        let event = structured(&json!({
            "specversion": "1.0", "id": "1", "source": "s", "type": "aws.ec2.spot.interruption",
            "time": "2026-09-18T08:20:00Z", "data": {"detail": {"instance-id": "i-0b66", "instance-action": "terminate"}}
        }));
        let event = event.unwrap();
        assert_eq!(event.subject, Target::Instance("i-0b66".into()));
        assert_eq!(event.deadline, Some("2026-09-18T08:22:00Z".parse().unwrap()));
        let spot = |data: Value| {
            let event = structured(&json!({ "specversion": "1.0", "id": "1", "source": "s",
                "type": "aws.ec2.spot.interruption", "time": "2026-09-18T08:20:09Z", "data": data }));
            event.unwrap().deadline.unwrap().to_string()
        };
        let eventbridge = json!({ "detail-type": "EC2 Spot Instance Interruption Warning",
            "time": "2026-09-18T08:20:00Z", "detail": { "instance-id": "i-0b66" } });
        assert_eq!(spot(eventbridge), "2026-09-18T08:22:00Z", "notice and two minutes");
        let metadata = json!({ "action": "terminate", "time": "2026-09-18T08:21:58Z" });
        assert_eq!(spot(metadata), "2026-09-18T08:21:58Z", "the moment itself");
    }

    #[test]
    fn what_is_missing_is_named() {
        let mut good = json!({ "specversion": "1.0", "id": "1", "source": "s", "type": "t" });
        assert!(structured(&good).is_ok());
        for name in ["specversion", "id", "source", "type"] {
            let kept = good.as_object_mut().unwrap().remove(name).unwrap();
            assert!(structured(&good).unwrap_err().contains(name));
            good[name] = kept;
        }
        good["type"] = json!("medevac.incident");
        assert!(structured(&good).unwrap_err().contains("own"));
    }

    #[test]
    fn binary_and_batch() {
        let now = Timestamp::UNIX_EPOCH;
        let headers = json!({ "specversion": "1.0", "id": "1", "source": "s", "type": "t" });
        let (events, _) =
            read("application/json", headers.as_object().unwrap().clone(), br#"{"a":1}"#, now)
                .unwrap();
        assert_eq!(events[0].data.payload, json!({ "a": 1 }));
        let body = br#"[{"specversion":"1.0","id":"1","source":"s","type":"t"},{"id":"2"},3]"#;
        let (events, bad) =
            read("application/cloudevents-batch+json", Map::new(), body, now).unwrap();
        assert_eq!((events.len(), bad.len()), (1, 2));
    }
}
