//! Other tools' rules as ours: Event-Driven Ansible rulebooks, Falco Talon rules, Alertmanager routes.
//!
//! What is carried over only observes until somebody lets it act. What cannot be carried over is said, rule by
//! rule, and stands as a remark in what is written. Secrets are never copied.

mod alertmanager;
mod eda;
mod talon;
mod write;

use super::diagnostic::{Diagnostic, Source};
use super::yaml::{Kind, Node, parse};
use std::sync::Arc;
use write::File;

/// Whose rules they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Foreign {
    Eda,
    Talon,
    Alertmanager,
}

/// A rule file, and what is missing in it.
#[derive(Debug, Clone)]
pub struct Imported {
    pub text: String,
    pub rules: usize,
    /// Name of the rule, or of what it was about, and what was not carried over.
    pub left_out: Vec<(String, String)>,
}

/// Reads `source` as what `from` writes.
///
/// # Errors
/// Where it is no YAML, or nothing of the kind is in it.
pub fn import(from: Foreign, source: &Arc<Source>) -> Result<Imported, Vec<Diagnostic>> {
    let mut faults = vec![];
    let documents = parse(source, &mut faults);
    if !faults.is_empty() {
        return Err(faults);
    }
    let mut file = File::new(from, &source.path);
    for document in &documents {
        match from {
            Foreign::Eda => eda::rulebook(document, &mut file),
            Foreign::Talon => talon::rules(document, &mut file),
            Foreign::Alertmanager => alertmanager::configuration(document, &mut file),
        }
    }
    Ok(file.done())
}

/// The text of a scalar.
fn scalar(node: &Node) -> Option<&str> {
    match &node.kind {
        Kind::Scalar { text, .. } if !node.is_null() => Some(text),
        _ => None,
    }
}

fn text<'a>(node: &'a Node, key: &str) -> Option<&'a str> {
    node.value(key).and_then(scalar)
}

fn items(node: Option<&Node>) -> &[Node] {
    match node.map(|node| &node.kind) {
        Some(Kind::List(items)) => items,
        _ => &[],
    }
}

/// Keys and values of a mapping.
fn entries(node: Option<&Node>) -> impl Iterator<Item = (&str, &Node)> {
    let all = match node.map(|node| &node.kind) {
        Some(Kind::Map(entries)) => entries.as_slice(),
        _ => &[],
    };
    all.iter().map(|(key, value)| (key.text.as_str(), value))
}

/// The texts of a list, or one text with commas.
fn texts(node: Option<&Node>) -> Vec<&str> {
    match node.and_then(scalar) {
        Some(one) => one.split(',').map(str::trim).collect(),
        None => items(node).iter().filter_map(scalar).collect(),
    }
}

/// `10 minutes` as `10m`.
fn duration(text: &str) -> Option<String> {
    let (number, unit) = match text.trim().split_once(' ') {
        Some((number, unit)) => (number, unit.trim()),
        None => return text.trim().parse::<crate::model::Span>().ok().map(|span| span.to_string()),
    };
    let number: u64 = number.parse().ok()?;
    let unit = match unit.trim_end_matches('s') {
        "millisecond" => "ms",
        "second" => "s",
        "minute" => "m",
        "hour" => "h",
        "day" => "d",
        _ => return None,
    };
    Some(format!("{number}{unit}"))
}

#[cfg(test)]
mod tests;
