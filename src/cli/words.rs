//! Printing: to people with colour, to pipes without.

use anstyle::{AnsiColor, Style};
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

/// Outside text for a terminal: no control characters, so no escape sequences.
pub(super) fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}
