//! The form of rule files: two spaces a level, one space where one is enough, comments where they were.
//!
//! Nothing is put in another order and no value is written in another way. What comes out is read again and
//! compared with what went in; where anything but white space differs, the file stays as it is.

mod comments;

use super::diagnostic::{Diagnostic, Source};
use super::yaml::{Kind, Node, parse};
use comments::{Comments, scan};
use std::sync::Arc;

/// Flow collections longer than this are written as blocks. In characters.
const WIDEST: usize = 120;

/// Why a file is not formatted.
#[derive(Debug)]
pub enum Unformatted {
    /// It is no YAML that rule files may be.
    Faults(Vec<Diagnostic>),
    /// It would not say the same any more.
    Changed,
}

/// Strange files come to rest after a second time; stranger ones are left alone.
const MOST_ROUNDS: usize = 3;

/// The text of `source` in the form that rule files have: formatted again it stays as it is.
///
/// # Errors
/// Where it cannot be read, or would change.
pub fn format(source: &Arc<Source>) -> Result<String, Unformatted> {
    let mut text = once(source)?;
    for _ in 0..MOST_ROUNDS {
        let again = once(&Arc::new(Source { path: source.path.clone(), text: text.clone() }))?;
        if again == text {
            return Ok(text);
        }
        text = again;
    }
    Err(Unformatted::Changed)
}

fn once(source: &Arc<Source>) -> Result<String, Unformatted> {
    let mut faults = vec![];
    let documents = parse(source, &mut faults);
    if !faults.is_empty() {
        return Err(Unformatted::Faults(faults));
    }
    let comments = scan(&source.text, &documents);
    let mut writer =
        Writer { text: &source.text, comments: comments.clone(), out: String::new(), fresh: true };
    for (number, document) in documents.iter().enumerate() {
        if number > 0 {
            writer.out.push_str("---\n");
            writer.fresh = true;
        }
        writer.before(document.place.line_column().0, 0);
        writer.block(document, 0);
    }
    writer.before(usize::MAX, 0);
    let formatted = writer.out;
    let again = Arc::new(Source { path: source.path.clone(), text: formatted });
    let reread = parse(&again, &mut faults);
    let same = faults.is_empty()
        && reread.len() == documents.len()
        && reread.iter().zip(&documents).all(|(a, b)| a.same(b))
        && scan(&again.text, &reread).texts() == comments.texts();
    if same { Ok(again.text.clone()) } else { Err(Unformatted::Changed) }
}

struct Writer<'a> {
    text: &'a str,
    comments: Comments,
    out: String,
    /// Nothing stands above in this block: no empty line is wanted.
    fresh: bool,
}

impl Writer<'_> {
    fn raw(&self, node: &Node) -> &str {
        self.text.get(node.place.span.clone()).unwrap_or_default()
    }

    fn starts_flow(&self, node: &Node) -> bool {
        let rest = self.text.get(node.place.span.start..).unwrap_or_default();
        rest.starts_with(['[', '{'])
    }

    fn margin(&mut self, indent: usize) {
        self.out.extend(std::iter::repeat_n(' ', indent));
    }

    /// The comments and the empty line that stand before `line`.
    fn before(&mut self, line: usize, indent: usize) {
        for comment in self.comments.above(line) {
            if comment.gap && !self.fresh {
                self.out.push('\n');
            }
            self.margin(indent);
            self.out.push_str(&comment.text);
            self.out.push('\n');
            self.fresh = false;
        }
        if line < usize::MAX && self.comments.gap(line) && !self.fresh {
            self.out.push('\n');
        }
        self.fresh = false;
    }

    /// What stands behind something on its line.
    fn end_of_line(&mut self, line: usize) {
        if let Some(comment) = self.comments.behind(line) {
            self.out.push_str("  ");
            self.out.push_str(&comment);
        }
        self.out.push('\n');
    }

    fn block(&mut self, node: &Node, indent: usize) {
        match &node.kind {
            Kind::Map(entries) => {
                for (at, (key, value)) in entries.iter().enumerate() {
                    self.entry(key, value, indent, at == 0);
                }
            }
            Kind::List(items) => {
                items.iter().for_each(|item| self.item(item, indent));
            }
            Kind::Scalar { .. } => {
                self.margin(indent);
                self.value(node, indent);
            }
        }
    }

    fn entry(&mut self, key: &super::yaml::Key, value: &Node, indent: usize, first: bool) {
        if !(first && indent > 0 && self.out.ends_with("- ")) {
            self.before(key.place.line_column().0, indent);
            self.margin(indent);
        }
        let name = self.text.get(key.place.span.clone()).unwrap_or(&key.text).to_owned();
        self.out.push_str(&name);
        self.out.push(':');
        self.behind(key.place.line_column().0, value, indent);
    }

    fn item(&mut self, item: &Node, indent: usize) {
        let line = self.first_line(item);
        self.before(line, indent);
        self.margin(indent);
        self.out.push_str("- ");
        match &item.kind {
            Kind::Map(entries) if !self.starts_flow(item) && !entries.is_empty() => {
                self.block(item, indent + 2);
            }
            Kind::List(items) if !self.starts_flow(item) && !items.is_empty() => {
                // A list in a list: written in brackets where it fits.
                let flow = self.flow(item);
                self.out.push_str(&flow);
                self.end_of_line(line);
            }
            _ => self.value(item, indent + 2),
        }
    }

    /// The line of the first thing that is written of it.
    fn first_line(&self, node: &Node) -> usize {
        match &node.kind {
            Kind::Map(entries) if !self.starts_flow(node) => entries
                .first()
                .map_or(node.place.line_column().0, |(key, _)| key.place.line_column().0),
            _ => node.place.line_column().0,
        }
    }

    /// The value of a key that stands on `line`.
    fn behind(&mut self, line: usize, value: &Node, indent: usize) {
        match &value.kind {
            Kind::Scalar { .. } if self.raw(value).is_empty() => self.end_of_line(line),
            Kind::Scalar { .. } => {
                self.out.push(' ');
                self.value(value, indent + 2);
            }
            Kind::List(_) | Kind::Map(_) if self.starts_flow(value) => {
                self.out.push(' ');
                self.value(value, indent + 2);
            }
            Kind::List(_) | Kind::Map(_) => {
                self.end_of_line(line);
                self.fresh = true;
                self.block(value, indent + 2);
            }
        }
    }

    /// A value behind a key or a dash, and the end of its line.
    fn value(&mut self, node: &Node, indent: usize) {
        match &node.kind {
            Kind::Scalar { .. } => self.scalar(node, indent),
            Kind::List(_) | Kind::Map(_) => {
                let flow = self.flow(node);
                let column = self.out.rsplit('\n').next().map_or(0, str::len);
                let empty = matches!(&node.kind, Kind::List(items) if items.is_empty())
                    || matches!(&node.kind, Kind::Map(entries) if entries.is_empty());
                let (line, last) = (node.place.line_column().0, last_line(node));
                if empty || (column + flow.len() <= WIDEST && !self.comments.within(line, last)) {
                    self.out.push_str(&flow);
                    self.end_of_line(last);
                } else if self.out.ends_with("- ") {
                    self.block(node, indent);
                } else {
                    self.out.truncate(self.out.trim_end_matches(' ').len());
                    self.end_of_line(line);
                    self.fresh = true;
                    self.block(node, indent);
                }
            }
        }
    }

    fn scalar(&mut self, node: &Node, indent: usize) {
        let raw = self.raw(node).to_owned();
        let line = node.place.line_column().0;
        if raw.starts_with(['|', '>']) {
            let (head, body) = raw.split_once('\n').unwrap_or((&raw, ""));
            let head = head.split('#').next().unwrap_or(head).trim_end();
            self.out.push_str(head);
            self.end_of_line(line);
            let filled = |line: &&str| !line.trim().is_empty();
            let margin = |line: &str| line.len() - line.trim_start_matches(' ').len();
            let old = body.lines().filter(filled).map(margin).min().unwrap_or(0);
            for text in body.trim_end_matches(['\n', ' ']).lines() {
                let text = text.get(old..).unwrap_or_default().trim_end();
                if !text.is_empty() {
                    self.margin(indent);
                    self.out.push_str(text);
                }
                self.out.push('\n');
            }
            return;
        }
        let lines = raw.lines().count().max(1);
        let joined: Vec<&str> = raw.lines().map(str::trim).collect();
        self.out.push_str(&joined.join(&format!("\n{}", " ".repeat(indent))));
        self.end_of_line(line + lines - 1);
    }

    /// In brackets, on one line.
    fn flow(&self, node: &Node) -> String {
        match &node.kind {
            Kind::Scalar { .. } => {
                self.raw(node).lines().map(str::trim).collect::<Vec<_>>().join(" ")
            }
            Kind::List(items) => {
                let items: Vec<String> = items.iter().map(|item| self.flow(item)).collect();
                format!("[{}]", items.join(", "))
            }
            Kind::Map(entries) => {
                let entry = |(key, value): &(super::yaml::Key, Node)| {
                    let key = self.text.get(key.place.span.clone()).unwrap_or(&key.text);
                    match self.flow(value) {
                        value if value.is_empty() => format!("{key}:"),
                        value => format!("{key}: {value}"),
                    }
                };
                format!("{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join(", "))
            }
        }
    }
}

/// The line on which the last part of it stands.
fn last_line(node: &Node) -> usize {
    let own = node.place.line_column().0;
    match &node.kind {
        Kind::Scalar { .. } => {
            let text = &node.place.source.text;
            own + text.get(node.place.span.clone()).unwrap_or_default().matches('\n').count()
        }
        Kind::List(items) => items.last().map_or(own, last_line),
        Kind::Map(entries) => entries.last().map_or(own, |(_, value)| last_line(value)),
    }
}

#[cfg(test)]
mod tests;
