//! Reading a mapping key by key: every fault is noted, what can be read is read.

use super::diagnostic::{Code, Diagnostic, Place, suggest};
use super::shape::{Field, Shape};
use super::yaml::{Key, Kind, Node};
use crate::model::{BadSpan, Span};
use serde_json::Value;
use std::collections::BTreeMap;

/// Faults so far, and nothing else: the readers below share it.
#[derive(Debug, Default)]
pub(crate) struct Faults(pub(crate) Vec<Diagnostic>);

impl Faults {
    pub(crate) fn add(
        &mut self,
        code: Code,
        place: &Place,
        message: impl Into<String>,
    ) -> &mut Diagnostic {
        self.0.push(Diagnostic::new(code, place.clone(), message));
        let last = self.0.len() - 1;
        &mut self.0[last]
    }

    pub(crate) fn wrong(&mut self, node: &Node, wanted: &str) {
        self.add(
            Code::WrongType,
            &node.place,
            format!("expected {wanted}, found {}", node.describe()),
        );
    }
}

/// One mapping being read against the keys that it may have.
pub(crate) struct Entries<'a> {
    place: &'a Place,
    entries: Vec<(&'a Key, &'a Node)>,
}

impl<'a> Entries<'a> {
    /// Checks the keys of `node` against `shape`. An empty value reads as an empty mapping.
    pub(crate) fn of(
        node: &'a Node,
        shape: &'static Shape,
        faults: &mut Faults,
    ) -> Option<Entries<'a>> {
        let entries: Vec<_> = match &node.kind {
            Kind::Map(entries) => entries.iter().map(|(key, value)| (key, value)).collect(),
            _ if node.is_null() => vec![],
            _ => {
                faults.wrong(
                    node,
                    &format!("a mapping with {}", shape.names().collect::<Vec<_>>().join(", ")),
                );
                return None;
            }
        };
        for (key, _) in &entries {
            if shape.field(&key.text).is_none() {
                let message = format!("unknown key `{}` in {}", key.text, shape.name);
                faults.add(Code::UnknownKey, &key.place, message).hint =
                    Some(suggest(&key.text, shape.names()));
            }
        }
        for Field { name, .. } in shape.fields.iter().filter(|field| field.required) {
            if !entries.iter().any(|(key, _)| key.text == *name) {
                faults.add(Code::MissingKey, &node.place, format!("{} needs `{name}`", shape.name));
            }
        }
        Some(Entries { place: &node.place, entries })
    }

    /// What stands behind these keys, as texts.
    pub(crate) fn written(&self, keys: &[&str]) -> Vec<String> {
        let mut all = vec![];
        for key in keys {
            all.push((*key).to_owned());
            all.extend(self.get(key).map(|node| json(node).to_string()));
        }
        all
    }

    pub(crate) fn place(&self) -> &'a Place {
        self.place
    }

    pub(crate) fn get(&self, key: &str) -> Option<&'a Node> {
        self.entries.iter().find(|(known, _)| known.text == key).map(|(_, node)| *node)
    }

    pub(crate) fn text(&self, key: &str, faults: &mut Faults) -> Option<String> {
        text(self.get(key)?, faults).map(str::to_owned)
    }

    pub(crate) fn span(&self, key: &str, faults: &mut Faults) -> Option<Span> {
        let node = self.get(key)?;
        let text = text(node, faults)?;
        text.parse()
            .map_err(|error: BadSpan| faults.add(Code::BadValue, &node.place, error.to_string()))
            .ok()
    }

    pub(crate) fn number(&self, key: &str, faults: &mut Faults) -> Option<u32> {
        let node = self.get(key)?;
        let number = text(node, faults)?.parse().ok();
        if number.is_none() {
            faults.wrong_number(node);
        }
        number
    }

    pub(crate) fn boolean(&self, key: &str, faults: &mut Faults) -> Option<bool> {
        let node = self.get(key)?;
        match text(node, faults)? {
            "true" => Some(true),
            "false" => Some(false),
            _ => {
                faults.add(Code::WrongType, &node.place, "expected true or false");
                None
            }
        }
    }

    /// A single value or a list of them.
    pub(crate) fn texts(&self, key: &str, faults: &mut Faults) -> Vec<(String, &'a Place)> {
        let Some(node) = self.get(key) else { return vec![] };
        match &node.kind {
            Kind::List(items) => items
                .iter()
                .filter_map(|item| Some((text(item, faults)?.to_owned(), &item.place)))
                .collect(),
            _ => {
                text(node, faults).map(|text| (text.to_owned(), &node.place)).into_iter().collect()
            }
        }
    }

    /// The same, of which nobody asks where they stand.
    pub(crate) fn words(&self, key: &str, faults: &mut Faults) -> Vec<String> {
        self.texts(key, faults).into_iter().map(|(text, _)| text).collect()
    }

    /// A mapping of texts.
    pub(crate) fn map(&self, key: &str, faults: &mut Faults) -> BTreeMap<String, String> {
        let all = self.get(key).map(|node| pairs(node, faults)).unwrap_or_default();
        all.into_iter()
            .filter_map(|(key, node)| Some((key.text.clone(), text(node, faults)?.to_owned())))
            .collect()
    }

    pub(crate) fn list(&self, key: &str, faults: &mut Faults) -> &'a [Node] {
        match self.get(key) {
            Some(Node { kind: Kind::List(items), .. }) => items,
            Some(node) => {
                if !node.is_null() {
                    faults.wrong(node, "a list");
                }
                &[]
            }
            None => &[],
        }
    }
}

impl Faults {
    fn wrong_number(&mut self, node: &Node) {
        self.add(Code::WrongType, &node.place, "expected a whole number from 0 to 4294967295");
    }
}

/// A scalar's text. Rule files have no implicit types: the key says what it is.
pub(crate) fn text<'a>(node: &'a Node, faults: &mut Faults) -> Option<&'a str> {
    match &node.kind {
        Kind::Scalar { text, .. } if !node.is_null() => Some(text),
        _ => {
            faults.wrong(node, "a single value");
            None
        }
    }
}

/// As JSON: plain scalars by what they look like, all others as text.
pub(crate) fn json(node: &Node) -> Value {
    match &node.kind {
        Kind::Scalar { plain: true, .. } if node.is_null() => Value::Null,
        Kind::Scalar { text, plain: true } => match text.as_str() {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            number => match number.parse::<serde_json::Number>() {
                Ok(number) => Value::Number(number),
                Err(_) => Value::String(text.clone()),
            },
        },
        Kind::Scalar { text, .. } => Value::String(text.clone()),
        Kind::List(items) => items.iter().map(json).collect(),
        Kind::Map(entries) => {
            entries.iter().map(|(key, value)| (key.text.clone(), json(value))).collect()
        }
    }
}

/// The `key: value` pairs of a mapping of texts.
pub(crate) fn pairs<'a>(node: &'a Node, faults: &mut Faults) -> Vec<(&'a Key, &'a Node)> {
    match &node.kind {
        Kind::Map(entries) => entries.iter().map(|(key, value)| (key, value)).collect(),
        _ if node.is_null() => vec![],
        _ => {
            faults.wrong(node, "a mapping");
            vec![]
        }
    }
}
