//! Printing: to people with colour, to pipes without.

use anstyle::{AnsiColor, Style};
use serde_json::Value;
use std::io::{IsTerminal, Write};

/// A line on standard output. A reader who went away is no fault.
pub(super) fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    if writeln!(out, "{line}").and_then(|()| out.flush()).is_err() {
        tracing::trace!("nobody reads");
    }
}

/// A line on standard error.
pub(super) fn complain(line: &str) {
    let style = if std::io::stderr().is_terminal() {
        AnsiColor::Red.on_default().bold()
    } else {
        Style::new()
    };
    if writeln!(std::io::stderr(), "{style}medevac:{style:#} {line}").is_err() {
        tracing::trace!("nobody reads");
    }
}

/// Whether standard output is read by a person who wants colour.
pub(super) fn colour() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

pub(super) fn paint(text: &str, style: Style, colour: bool) -> String {
    if colour { format!("{style}{text}{style:#}") } else { text.to_owned() }
}

pub(super) use crate::model::plain;

/// A value's text, safe for a terminal.
pub(super) fn text(value: &Value) -> String {
    plain(value.as_str().unwrap_or_default())
}

/// A time to the second, in UTC.
pub(super) fn moment(value: &Value) -> String {
    match value.as_str() {
        Some(at) => plain(at).chars().take(19).collect::<String>().replace('T', " ") + "Z",
        None => "-".into(),
    }
}

/// One segment of a path, or one value of a query.
pub(super) fn escape(text: &str) -> String {
    crate::model::escape(text, '%', "-_.")
}

/// Columns as wide as their widest cell; the last one is not filled up.
pub(super) fn table(heads: &[&str], rows: &[Vec<String>]) {
    let width = |at: usize| {
        let cells = rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count());
        cells.chain([heads[at].len()]).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..heads.len()).map(width).collect();
    let line = |cells: Vec<&str>| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        say(padded.collect::<Vec<_>>().join("  ").trim_end());
    };
    line(heads.to_vec());
    rows.iter().for_each(|row| line(row.iter().map(String::as_str).collect()));
}
