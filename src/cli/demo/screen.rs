//! The screen: the log as it grows and the cluster as it changes, in the order in which it happened.

use super::super::words;
use crate::adapters::embedded::Embedded;
use crate::clock::System;
use crate::log::{Log, Record, Seq, Stream};
use crate::model::describe;
use crate::simulation::{Practice, world::Told};
use anstyle::{AnsiColor, Style};
use jiff::Timestamp;
use serde_json::Value;

pub(super) struct Screen {
    log: Embedded,
    practice: Practice<System>,
    began: Timestamp,
    shown: Seq,
    colour: bool,
}

const ALL: [Stream; 5] = Stream::ALL;

impl Screen {
    pub(super) fn new(log: Embedded, practice: Practice<System>, began: Timestamp) -> Screen {
        Screen { log, practice, began, shown: 0, colour: words::colour() }
    }

    fn paint(&self, text: &str, style: Style) -> String {
        words::paint(text, style, self.colour)
    }

    pub(super) fn title(&self, name: &str, about: &str) {
        let name = self.paint(name, AnsiColor::Cyan.on_default().bold());
        words::say(&format!("\n{name}  {about}"));
    }

    pub(super) fn note(&self, text: &str) {
        words::say(&format!("  {text}"));
    }

    /// Prints what is new in the log and in the cluster.
    pub(super) async fn refresh(&mut self) {
        let mut lines: Vec<(Timestamp, String)> = vec![];
        for Told { at, text: what, .. } in self.practice.world().take_told() {
            lines.push((at, self.cluster_line(at, &what)));
        }
        for record in self.log.read(self.shown, &ALL, 1000).await.unwrap_or_default() {
            self.shown = record.seq;
            lines.extend(self.record_line(&record).map(|line| (record.at, line)));
        }
        lines.sort_by_key(|(at, _)| *at);
        lines.iter().for_each(|(_, line)| words::say(line));
    }

    fn clock(&self, at: Timestamp) -> String {
        let passed = at.duration_since(self.began).as_secs_f64().max(0.0);
        self.paint(&format!("{passed:6.1}s"), AnsiColor::BrightBlack.on_default())
    }

    fn cluster_line(&self, at: Timestamp, what: &str) -> String {
        if let Some((number, what)) =
            what.strip_prefix('\u{1}').and_then(|rest| rest.split_once('\u{1}'))
        {
            let number = self.paint(&format!("\n{number}."), AnsiColor::Cyan.on_default().bold());
            return format!("{number} {}", self.paint(what, Style::new().bold()));
        }
        let word = self.paint(&format!("{:<10}", "cluster"), AnsiColor::Blue.on_default());
        format!("{} {word} {what}", self.clock(at))
    }

    fn record_line(&self, record: &Record) -> Option<String> {
        let envelope: Value = serde_json::from_slice(&record.body).ok()?;
        let said = describe(&envelope);
        let (word, colour) = match record.stream {
            Stream::Events => ("accepted", AnsiColor::Yellow),
            Stream::Decisions if said.contains("matched") => ("matched", AnsiColor::Magenta),
            Stream::Decisions => ("incident", AnsiColor::Magenta),
            Stream::Plans => ("planned", AnsiColor::Magenta),
            Stream::Outcomes if envelope["type"] == "medevac.page" => ("page", AnsiColor::Red),
            Stream::Outcomes if said.contains("failed") => ("failed", AnsiColor::Red),
            Stream::Outcomes => ("acted", AnsiColor::Green),
            Stream::Dead => ("set aside", AnsiColor::Red),
        };
        // Told by the line after it anyway.
        let noise = ["started", "accepted", "trigger for", "attempt "];
        if record.stream == Stream::Outcomes && noise.iter().any(|word| said.contains(word)) {
            return None;
        }
        let said = if said.starts_with("drain failed") { said } else { cut(&said) };
        let word = self.paint(&format!("{word:<10}"), colour.on_default().bold());
        let subject = envelope["subject"].as_str().unwrap_or_default();
        let subject = self.paint(&words::plain(subject), AnsiColor::BrightBlack.on_default());
        Some(format!("{} {word} {said}  {subject}", self.clock(record.at)))
    }
}

/// The reason of a failure is told once in full; where it comes again its beginning will do.
fn cut(said: &str) -> String {
    const MOST: usize = 96;
    match said.char_indices().nth(MOST) {
        Some((at, _)) => format!("{}…", &said[..at]),
        None => said.to_owned(),
    }
}
