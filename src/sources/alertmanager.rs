//! Alertmanager's webhook body, version 4, read leniently: new fields appear with every release.
//!
//! One bad alert in a good body is set aside; the others are taken. The group's own `status` is never
//! believed: a truncated group may say resolved while firing alerts were cut.

use super::BadBody;
use crate::model::{Alert, AlertStatus, Envelope, Event, Id, Target, fingerprint, kind};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, value::RawValue};
use std::collections::BTreeMap;

/// Alerts of one body. Storms of ten thousand are real.
const MOST_ALERTS: usize = 100_000;
const MOST_LABELS: usize = 256;
/// Bytes of a label or annotation value. Annotations of 64 KiB are real.
const LONGEST: usize = 128 << 10;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    #[serde(default)]
    receiver: Value,
    #[serde(borrow)]
    alerts: Vec<&'a RawValue>,
    #[serde(default, rename = "externalURL")]
    external_url: Value,
    #[serde(default)]
    group_key: Value,
    #[serde(default)]
    truncated_alerts: Value,
}

/// A body, translated.
#[derive(Debug, Default)]
pub struct Group {
    pub alerts: Vec<Alert>,
    /// Text and reason of each alert that cannot be used.
    pub bad: Vec<(String, String)>,
    pub group_key: String,
    pub receiver: String,
    /// How many alerts the sender cut away.
    pub truncated: u64,
}

/// Reads a body.
///
/// # Errors
/// Where it is no JSON object with a list of `alerts`.
pub fn read(body: &[u8], now: Timestamp) -> Result<Group, BadBody> {
    let parsed: Body<'_> = serde_json::from_slice(body).map_err(|error| {
        BadBody(format!(
            "not an Alertmanager webhook body (version 4: a JSON object with a list `alerts`): {error}"
        ))
    })?;
    let group_key = text(&parsed.group_key);
    let receiver = unquote(&text(&parsed.receiver));
    let external_url = text(&parsed.external_url);
    let mut group = Group {
        truncated: parsed.truncated_alerts.as_u64().unwrap_or(0),
        group_key,
        receiver,
        ..Group::default()
    };
    for (at, raw) in parsed.alerts.iter().enumerate() {
        let read = if at < MOST_ALERTS {
            alert(raw, now)
        } else {
            Err(format!("more than {MOST_ALERTS} alerts"))
        };
        match read {
            Ok(alert) => group.alerts.push(Alert {
                receiver: group.receiver.clone(),
                external_url: external_url.clone(),
                group_key: group.group_key.clone(),
                ..alert
            }),
            Err(why) => group.bad.push((raw.get().to_owned(), why)),
        }
    }
    Ok(group)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Alertmanager sends the receiver's name with the meta characters of regular expressions escaped.
fn unquote(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut chars = name.chars();
    while let Some(c) = chars.next() {
        out.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    out
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawAlert {
    #[serde(default)]
    status: Value,
    labels: Map<String, Value>,
    #[serde(default)]
    annotations: Value,
    #[serde(default)]
    starts_at: Value,
    #[serde(default)]
    ends_at: Value,
    #[serde(default, rename = "generatorURL")]
    generator_url: Value,
    #[serde(default)]
    fingerprint: Value,
}

fn alert(raw: &RawValue, now: Timestamp) -> Result<Alert, String> {
    let raw: RawAlert =
        serde_json::from_str(raw.get()).map_err(|error| format!("not an alert: {error}"))?;
    let labels = texts(&raw.labels, "label")?;
    let annotations = match &raw.annotations {
        Value::Object(map) => texts(map, "annotation")?,
        _ => BTreeMap::new(),
    };
    let starts_at = time(&raw.starts_at, "startsAt")?.unwrap_or(now);
    let ends_at = time(&raw.ends_at, "endsAt")?;
    let status = match raw.status.as_str() {
        Some("firing") => AlertStatus::Firing,
        Some("resolved") => AlertStatus::Resolved,
        // Senders that imitate Alertmanager leave it out: the end then tells.
        None | Some("") if ends_at.is_some_and(|at| at <= now) => AlertStatus::Resolved,
        None | Some("") => AlertStatus::Firing,
        Some(other) => {
            return Err(format!("the status `{}` is neither firing nor resolved", cut(other)));
        }
    };
    let given = raw.fingerprint.as_str().unwrap_or_default();
    let usable =
        given.len() == 16 && given.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    Ok(Alert {
        status,
        name: labels.get("alertname").cloned().unwrap_or_default(),
        fingerprint: if usable { given.into() } else { fingerprint(&labels) },
        labels,
        annotations,
        starts_at,
        ends_at: ends_at.filter(|_| status == AlertStatus::Resolved),
        generator_url: text(&raw.generator_url),
        receiver: String::new(),
        external_url: String::new(),
        group_key: String::new(),
    })
}

fn cut(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(60).collect()
}

fn texts(map: &Map<String, Value>, what: &str) -> Result<BTreeMap<String, String>, String> {
    if map.len() > MOST_LABELS {
        return Err(format!("more than {MOST_LABELS} {what}s"));
    }
    let text = |(name, value): (&String, &Value)| match value {
        Value::String(text) if text.len() <= LONGEST => Ok((name.clone(), text.clone())),
        Value::String(_) => {
            Err(format!("the {what} `{}` is longer than {LONGEST} bytes", cut(name)))
        }
        Value::Number(number) => Ok((name.clone(), number.to_string())),
        Value::Bool(yes) => Ok((name.clone(), yes.to_string())),
        _ => Err(format!("the {what} `{}` is not a string", cut(name))),
    };
    map.iter().map(text).collect()
}

/// RFC 3339 with any offset. Go's zero time, the year 1, is no time.
fn time(value: &Value, what: &str) -> Result<Option<Timestamp>, String> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) if text.is_empty() || text.starts_with("0001-01-01T00:00:00") => {
            Ok(None)
        }
        Value::String(text) => {
            text.parse().map(Some).map_err(|_| format!("{what} `{}` is not a time", cut(text)))
        }
        _ => Err(format!("{what} is not a string")),
    }
}

/// The envelope of one alert. The same news from a repeat or a retry has the same id.
pub(super) fn envelope(
    alert: Alert,
    subject: Target,
    cluster: Option<&str>,
    now: Timestamp,
) -> Envelope<Event> {
    let kind = match alert.status {
        AlertStatus::Firing => kind::ALERT_FIRING,
        AlertStatus::Resolved => kind::ALERT_RESOLVED,
    };
    let ends = alert.ends_at.map(|at| at.to_string()).unwrap_or_default();
    let cluster = alert.labels.get("cluster").cloned().or_else(|| cluster.map(str::to_owned));
    let id = Id::of(&[
        "alert",
        &alert.fingerprint,
        kind,
        &alert.starts_at.to_string(),
        &ends,
        cluster.as_deref().unwrap_or_default(),
    ]);
    let source = format!("alertmanager/{}", cut(&alert.external_url));
    let tenant = alert.labels.get("tenant").cloned();
    let data = Event { alert: Some(alert), ..Event::default() };
    // The alert's own times are in it; deadlines count from when we heard of it.
    Envelope { cluster, tenant, ..Envelope::new(kind, id, &source, subject, now, data) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receiver_names_are_unescaped_and_years_are_understood() {
        assert_eq!(unquote(r"web\.hook\\x"), r"web.hook\x");
        let go_zero = Value::String("0001-01-01T00:00:00Z".into());
        assert_eq!(time(&go_zero, "endsAt"), Ok(None));
        let nine = Value::String("2026-08-22T11:47:17.113904445+08:00".into());
        assert!(time(&nine, "startsAt").unwrap().is_some());
    }

    #[test]
    fn one_bad_alert_does_not_spoil_the_body() {
        let body = br#"{"alerts":[{"labels":{"a":"b"}},{"labels":{"a":{}}},7,{"status":"odd","labels":{}}],"new":1}"#;
        let group = read(body, Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!((group.alerts.len(), group.bad.len()), (1, 3));
        assert_eq!(group.alerts[0].fingerprint.len(), 16);
        assert!(read(b"[]", Timestamp::UNIX_EPOCH).is_err());
        assert!(read(br#"{"alerts":{}}"#, Timestamp::UNIX_EPOCH).is_err());
    }

    #[test]
    fn every_captured_fingerprint_is_what_we_would_compute() {
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus/alertmanager");
        let mut seen = 0;
        for file in std::fs::read_dir(dir).unwrap() {
            let path = file.unwrap().path();
            if path.file_name().is_some_and(|name| name == "MANIFEST.json") {
                continue;
            }
            let group = read(&std::fs::read(&path).unwrap(), Timestamp::UNIX_EPOCH).unwrap();
            assert!(group.bad.is_empty(), "{path:?}: {:?}", group.bad);
            for alert in &group.alerts {
                assert_eq!(alert.fingerprint, fingerprint(&alert.labels), "{path:?}");
                seen += 1;
            }
        }
        assert!(seen > 500, "{seen}");
    }
}
