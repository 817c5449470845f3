//! Values while a condition is evaluated: borrowed from the event wherever they can be.

use super::types::Literal;
use crate::model::{Alert, Envelope, Event, Node, Owner, Pod, Pool, Span, Taint, Workload};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::{borrow::Cow, collections::BTreeMap};

/// What one can ask fields of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::rules) enum Thing<'a> {
    Event(&'a Envelope<Event>),
    Alert(&'a Alert),
    Node(&'a Node),
    Pod(&'a Pod),
    Workload(&'a Workload),
    Pool(&'a Pool),
    Taint(&'a Taint),
    Owner(&'a Owner),
}

#[derive(Debug, Clone)]
pub(in crate::rules) enum Val<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(Cow<'a, str>),
    Time(Timestamp),
    Span(SignedDuration),
    Json(&'a Value),
    Thing(Thing<'a>),
    Texts(&'a BTreeMap<String, String>),
    Taints(&'a [Taint]),
    Owners(&'a [Owner]),
    List(Vec<Val<'a>>),
}

impl<'a> Val<'a> {
    pub(super) fn text(text: &'a str) -> Val<'a> {
        Val::Text(Cow::Borrowed(text))
    }

    pub(super) fn literal(literal: &'a Literal) -> Val<'a> {
        match literal {
            Literal::Null => Val::Null,
            Literal::Bool(yes) => Val::Bool(*yes),
            Literal::Int(whole) => Val::Int(*whole),
            Literal::Double(real) => Val::Double(*real),
            Literal::Text(text) => Val::text(text),
            Literal::Span(millis) => Val::Span(SignedDuration::from_millis(*millis)),
            Literal::Time(at) => Val::Time(*at),
        }
    }

    /// A whole number in JSON is an int, any other a double.
    pub(super) fn json(value: &'a Value) -> Val<'a> {
        match value {
            Value::Null => Val::Null,
            Value::Bool(yes) => Val::Bool(*yes),
            Value::Number(number) => match number.as_i64() {
                Some(whole) => Val::Int(whole),
                None => Val::Double(number.as_f64().unwrap_or(f64::NAN)),
            },
            Value::String(text) => Val::text(text),
            Value::Array(_) | Value::Object(_) => Val::Json(value),
        }
    }

    /// The word for its type, in messages.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Val::Null => "null",
            Val::Bool(_) => "bool",
            Val::Int(_) => "int",
            Val::Double(_) => "double",
            Val::Text(_) => "string",
            Val::Time(_) => "timestamp",
            Val::Span(_) => "duration",
            Val::Json(Value::Array(_)) | Val::Taints(_) | Val::Owners(_) | Val::List(_) => "list",
            Val::Json(_) | Val::Texts(_) => "map",
            Val::Thing(_) => "object",
        }
    }

    /// For people: as it would be written in a condition, cut after 60 characters.
    pub(super) fn describe(&self) -> String {
        match self {
            Val::Null => "null".into(),
            Val::Bool(yes) => yes.to_string(),
            Val::Int(whole) => whole.to_string(),
            Val::Double(real) => format!("{real:?}"),
            Val::Text(text) => format!("{:?}", text.chars().take(60).collect::<String>()),
            Val::Time(at) => at.to_string(),
            Val::Span(span) => match (span.is_negative(), span.unsigned_abs()) {
                (true, length) => format!("-{}", Span(length)),
                (false, length) => Span(length).to_string(),
            },
            Val::Json(Value::Array(items)) => format!("a list of {}", items.len()),
            Val::Json(Value::Object(map)) => format!("a map of {}", map.len()),
            Val::Json(other) => other.to_string(),
            Val::Texts(map) => format!("a map of {}", map.len()),
            Val::Taints(all) => format!("a list of {}", all.len()),
            Val::Owners(all) => format!("a list of {}", all.len()),
            Val::List(all) => format!("a list of {}", all.len()),
            Val::Thing(_) => "an object".into(),
        }
    }

    /// As part of a key: texts without quotes, at most 256 characters. Nothing for what has parts.
    pub(super) fn as_key(&self) -> Option<String> {
        match self {
            Val::Text(text) => Some(text.chars().take(256).collect()),
            Val::Bool(_) | Val::Int(_) | Val::Double(_) | Val::Time(_) | Val::Span(_) => {
                Some(self.describe())
            }
            _ => None,
        }
    }

    /// The items of a list, or the keys of a map.
    pub(super) fn items(self) -> Option<Vec<Val<'a>>> {
        Some(match self {
            Val::List(items) => items,
            Val::Json(Value::Array(items)) => items.iter().map(Val::json).collect(),
            Val::Json(Value::Object(map)) => map.keys().map(|key| Val::text(key)).collect(),
            Val::Texts(map) => map.keys().map(|key| Val::text(key)).collect(),
            Val::Taints(all) => all.iter().map(|taint| Val::Thing(Thing::Taint(taint))).collect(),
            Val::Owners(all) => all.iter().map(|owner| Val::Thing(Thing::Owner(owner))).collect(),
            _ => return None,
        })
    }

    pub(super) fn len(&self) -> Option<usize> {
        Some(match self {
            Val::Text(text) => text.chars().count(),
            Val::List(items) => items.len(),
            Val::Json(Value::Array(items)) => items.len(),
            Val::Json(Value::Object(map)) => map.len(),
            Val::Texts(map) => map.len(),
            Val::Taints(all) => all.len(),
            Val::Owners(all) => all.len(),
            _ => return None,
        })
    }

    /// The value behind a key of a map.
    pub(super) fn key(self, name: &str) -> Option<Val<'a>> {
        match self {
            Val::Texts(map) => map.get(name).map(|text| Val::text(text)),
            Val::Json(Value::Object(map)) => map.get(name).map(Val::json),
            Val::Thing(Thing::Event(event)) => match &event.data.payload {
                Value::Object(map) => map.get(name).map(Val::json),
                Value::Null => None,
                other => (name == "value").then(|| Val::json(other)),
            },
            _ => None,
        }
    }

    /// CEL's equality: numbers across their types, lists item by item; values of different types differ.
    pub(super) fn equals(&self, other: &Val<'_>) -> bool {
        match (self, other) {
            (Val::Null, Val::Null) => true,
            (Val::Bool(a), Val::Bool(b)) => a == b,
            (Val::Int(a), Val::Int(b)) => a == b,
            (Val::Double(a), Val::Double(b)) => a == b,
            (Val::Int(a), Val::Double(b)) | (Val::Double(b), Val::Int(a)) => *a as f64 == *b,
            (Val::Text(a), Val::Text(b)) => a == b,
            (Val::Time(a), Val::Time(b)) => a == b,
            (Val::Span(a), Val::Span(b)) => a == b,
            (Val::Texts(a), Val::Texts(b)) => a == b,
            (Val::Thing(a), Val::Thing(b)) => a == b,
            (Val::Json(Value::Object(a)), Val::Json(Value::Object(b))) => a == b,
            (a, b) if a.kind() == "list" && b.kind() == "list" => {
                let (a, b) = (a.clone().items(), b.clone().items());
                a.zip(b).is_some_and(|(a, b)| {
                    a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| a.equals(b))
                })
            }
            _ => false,
        }
    }
}
