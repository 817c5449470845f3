//! The keys that a rule file may have, as one table: the reader checks against it and the JSON Schema is printed from it.

mod capacity;
mod roads;
mod steps;
mod tables;
mod words;

pub(super) use capacity::*;
pub(super) use roads::*;
pub(super) use steps::STEPS;
pub(super) use tables::*;
pub(super) use words::*;

use serde_json::{Map, Value, json};

/// A mapping in a rule file.
#[derive(Debug)]
pub(crate) struct Shape {
    /// As it is called in messages: `a rule`.
    pub(crate) name: &'static str,
    pub(crate) fields: &'static [Field],
}

#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) of: Of,
    pub(crate) required: bool,
    pub(crate) doc: &'static str,
}

/// What stands behind a key.
#[derive(Debug)]
pub(crate) enum Of {
    Text,
    Duration,
    Number,
    Bool,
    Condition,
    Words(&'static [&'static str]),
    Texts,
    Map,
    Mapping(&'static Shape),
    List(&'static Shape),
    Steps,
    Secret,
    /// A duration, or a mapping with a key of its own.
    Hold,
    /// Names of windows, or windows.
    Hours,
    /// Read by whoever it is for.
    Any,
}

impl Shape {
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> + Clone {
        self.fields.iter().map(|field| field.name)
    }

    /// The field that a single value stands for, in place of the mapping: the only one that has to be there, of words.
    pub(crate) fn short(&self) -> Option<&'static Field> {
        let mut needed = self.fields.iter().filter(|field| field.required);
        let only = needed.next().filter(|field| matches!(field.of, Of::Words(_)));
        only.filter(|_| needed.next().is_none())
    }

    pub(crate) fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}

pub(crate) const fn key(name: &'static str, of: Of, doc: &'static str) -> Field {
    Field { name, of, required: false, doc }
}

pub(crate) const fn must(name: &'static str, of: Of, doc: &'static str) -> Field {
    Field { name, of, required: true, doc }
}

/// The JSON Schema of a rule file, for editors.
pub fn json_schema() -> Value {
    let mut schema = schema_of(&FILE, "Medevac rule file");
    schema["$defs"] = json!({ "step": step_schema(), "secret": shape_schema(&SECRET) });
    schema
}

/// The JSON Schema of files that are one mapping of that shape.
pub(crate) fn schema_of(shape: &Shape, title: &str) -> Value {
    let mut schema = shape_schema(shape);
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!(title);
    schema
}

fn shape_schema(shape: &Shape) -> Value {
    let mut properties = Map::new();
    for field in shape.fields {
        let mut of = of_schema(&field.of);
        if !field.doc.is_empty() {
            of["description"] = json!(field.doc);
        }
        properties.insert(field.name.into(), of);
    }
    let required: Vec<&str> =
        shape.fields.iter().filter(|field| field.required).map(|field| field.name).collect();
    let mut schema =
        json!({ "type": "object", "properties": properties, "additionalProperties": false });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

fn of_schema(of: &Of) -> Value {
    match of {
        Of::Text | Of::Condition => json!({ "type": ["string", "number", "boolean"] }),
        Of::Duration => json!({ "type": "string", "pattern": "^([0-9]+(ms|s|m|h|d|w))+$" }),
        Of::Number => json!({ "type": "integer", "minimum": 0 }),
        Of::Bool => json!({ "type": "boolean" }),
        Of::Words(words) => json!({ "enum": words }),
        Of::Texts => {
            json!({ "oneOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }] })
        }
        Of::Map => json!({ "type": "object" }),
        Of::Mapping(shape) => {
            let mut schema = shape_schema(shape);
            schema["type"] = json!(["object", "null"]);
            schema
        }
        Of::List(shape) => json!({ "type": "array", "items": shape_schema(shape) }),
        Of::Steps => json!({ "type": "array", "items": { "$ref": "#/$defs/step" } }),
        Of::Secret => json!({ "$ref": "#/$defs/secret" }),
        Of::Any => json!({}),
        Of::Hold => json!({ "oneOf": [of_schema(&Of::Duration), shape_schema(&HOLD)] }),
        Of::Hours => {
            let one = json!({ "oneOf": [{ "type": "string" }, shape_schema(&HOURS)] });
            json!({ "oneOf": [{ "type": "string" }, shape_schema(&HOURS), { "type": "array", "items": one }] })
        }
    }
}

fn step_schema() -> Value {
    let steps: Map<String, Value> = STEPS
        .iter()
        .map(|(verb, doc, shape)| {
            let mut schema = shape_schema(shape);
            schema["type"] = json!(["object", "null"]);
            if let Some(field) = shape.short() {
                schema = json!({ "oneOf": [of_schema(&field.of), schema] });
            }
            schema["description"] = json!(doc);
            ((*verb).to_owned(), schema)
        })
        .collect();
    json!({ "type": "object", "properties": steps, "additionalProperties": false, "minProperties": 1, "maxProperties": 1 })
}
