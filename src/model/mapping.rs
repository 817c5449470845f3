//! Other people's events: where their parts stand in what is sent, as the configuration says.

use super::{Envelope, Event, Id, Target};
use jiff::Timestamp;
use serde_json::Value;
use std::{fmt::Write, str::FromStr};

/// Text with places to be filled in from a JSON value: `node/{host.name}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// Names of fields from the root; a number is an index of a list.
    Path(Vec<String>),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadTemplate {
    #[error("a `{{` is not closed; write {{field}} or {{outer.inner}}")]
    Open,
    #[error("an empty place; write {{field}} or {{outer.inner}}")]
    Empty,
}

impl FromStr for Template {
    type Err = BadTemplate;

    fn from_str(text: &str) -> Result<Template, BadTemplate> {
        let mut pieces = vec![];
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            if !before.is_empty() {
                pieces.push(Piece::Text(before.into()));
            }
            let (path, left) = after.split_once('}').ok_or(BadTemplate::Open)?;
            let path: Vec<String> = path.trim().split('.').map(str::to_owned).collect();
            if path.iter().any(String::is_empty) {
                return Err(BadTemplate::Empty);
            }
            pieces.push(Piece::Path(path));
            rest = left;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.into()));
        }
        Ok(Template(pieces))
    }
}

impl Template {
    /// The text for `value`, or the path that is not there or holds no single value.
    fn fill(&self, value: &Value) -> Result<String, String> {
        let mut out = String::new();
        for piece in &self.0 {
            let path = match piece {
                Piece::Text(text) => {
                    out.push_str(text);
                    continue;
                }
                Piece::Path(path) => path,
            };
            let found = path.iter().try_fold(value, |value, name| match value {
                Value::Array(items) => items.get(name.parse::<usize>().ok()?),
                other => other.get(name),
            });
            match found {
                Some(Value::String(text)) => out.push_str(text),
                // Writing to a string goes well.
                Some(other @ (Value::Number(_) | Value::Bool(_))) => {
                    write!(out, "{other}").unwrap_or_default();
                }
                Some(_) => return Err(format!("`{}` is no single value", path.join("."))),
                None => return Err(format!("there is no `{}`", path.join("."))),
            }
        }
        Ok(out)
    }
}

/// How a number is a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TimeUnit {
    /// RFC 3339 text.
    #[default]
    Text,
    Seconds,
    Milliseconds,
    Microseconds,
    Nanoseconds,
}

impl TimeUnit {
    pub const WORDS: &[&str] = &["rfc3339", "s", "ms", "us", "ns"];

    pub fn from_word(word: &str) -> Option<TimeUnit> {
        Some(match word {
            "rfc3339" => TimeUnit::Text,
            "s" => TimeUnit::Seconds,
            "ms" => TimeUnit::Milliseconds,
            "us" => TimeUnit::Microseconds,
            "ns" => TimeUnit::Nanoseconds,
            _ => return None,
        })
    }

    fn read(self, text: &str) -> Option<Timestamp> {
        let per: i128 = match self {
            TimeUnit::Text => return text.parse().ok(),
            TimeUnit::Seconds => 1_000_000_000,
            TimeUnit::Milliseconds => 1_000_000,
            TimeUnit::Microseconds => 1000,
            TimeUnit::Nanoseconds => 1,
        };
        let whole = text.split('.').next()?.parse::<i128>().ok()?;
        Timestamp::from_nanosecond(whole.checked_mul(per)?).ok()
    }
}

/// From any JSON to an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    pub kind: Template,
    /// What it is about: `node/…`, `pod/namespace/name`.
    pub target: Template,
    /// Absent: the hash of the message, so that the same one twice is one.
    pub id: Option<Template>,
    /// Absent: the time of arrival.
    pub time: Option<Template>,
    pub unit: TimeUnit,
    pub tenant: Option<Template>,
    pub deadline: Option<Template>,
}

impl Mapping {
    /// The event in `value`, which came from `source` at `now`.
    ///
    /// # Errors
    /// What is missing or cannot be read, in words.
    pub fn event(
        &self,
        source: &str,
        value: Value,
        now: Timestamp,
    ) -> Result<Envelope<Event>, String> {
        let fill = |name: &str, template: &Template| {
            let filled = template.fill(&value).map_err(|why| format!("{name}: {why}"))?;
            if filled.trim().is_empty() { Err(format!("{name} is empty")) } else { Ok(filled) }
        };
        let maybe = |name: &str, template: &Option<Template>| {
            template.as_ref().map(|template| fill(name, template)).transpose()
        };
        let moment = |name: &str, text: Option<String>| {
            let read = |text: String| {
                self.unit.read(&text).ok_or_else(|| format!("{name}: `{text}` is no such time"))
            };
            text.map(read).transpose()
        };
        let kind = fill("type", &self.kind)?;
        if kind.starts_with("medevac.") {
            return Err("types that start with `medevac.` are the daemon's own".into());
        }
        let target = Target::lenient(&fill("target", &self.target)?);
        let id = maybe("id", &self.id)?.unwrap_or_else(|| value.to_string());
        let time = moment("time", maybe("time", &self.time)?)?.unwrap_or(now);
        let deadline = moment("deadline", maybe("deadline", &self.deadline)?)?;
        let tenant = maybe("tenant", &self.tenant)?;
        let id = Id::given(source, &id);
        let data = Event { payload: value, ..Event::default() };
        Ok(Envelope { deadline, tenant, ..Envelope::new(&kind, id, source, target, time, data) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn mapping() -> Mapping {
        let template = |text: &str| text.parse::<Template>().unwrap();
        Mapping {
            kind: template("gpu.{check.name}"),
            target: template("node/{hosts.0}"),
            id: None,
            time: Some(template("{at}")),
            unit: TimeUnit::Milliseconds,
            tenant: Some(template("{team}")),
            deadline: None,
        }
    }

    #[test]
    fn what_stands_somewhere_is_found() {
        let value = json!({"check": {"name": "xid"}, "hosts": ["n1"], "at": 1000, "team": "a"});
        let event = mapping().event("s", value.clone(), Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(
            (event.kind.as_str(), event.subject.to_string().as_str()),
            ("gpu.xid", "node/n1")
        );
        assert_eq!((event.time.as_second(), event.tenant.as_deref()), (1, Some("a")));
        let again = mapping().event("s", value, Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(event.id, again.id);
    }

    #[test]
    fn what_is_missing_is_named() {
        let now = Timestamp::UNIX_EPOCH;
        let told = |value: Value| mapping().event("s", value, now).unwrap_err();
        assert!(told(json!({"check": {}})).contains("check.name"));
        assert!(told(json!({"check": {"name": [1]}})).contains("no single value"));
        let late = json!({"check": {"name": "x"}, "hosts": ["n"], "at": "soon", "team": "a"});
        assert!(told(late).contains("soon"));
        assert_eq!("{a".parse::<Template>(), Err(BadTemplate::Open));
        assert_eq!("{}".parse::<Template>(), Err(BadTemplate::Empty));
    }
}
