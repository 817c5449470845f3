//! The tape: everything that happened, in order, and how it reads.

use super::store::Store;
use super::world::{Mark, Told};
use crate::log::{Seq, Stream};
use crate::model::{Answer, PageKey, PageKind, Report, Target, describe};
use crate::remediation::WebCall;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

#[derive(Debug)]
enum Item {
    Record(Seq),
    World(Told),
    Fault(String),
    Refused { about: String, answer: String },
    Web { url: String },
    Ring { key: PageKey, title: String },
    Script(String),
}

#[derive(Debug, Default)]
pub(super) struct Tape {
    items: Vec<(Timestamp, Item)>,
    /// Nothing is kept: a benchmark does not read it.
    pub(super) off: bool,
}

/// One line of a transcript.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Line {
    /// Milliseconds since the beginning.
    pub at: i64,
    /// Who says it: `cloud`, `cluster`, `accepted`, `decided`, `planned`, `acted`, `page`, `rings`, `fault`, …
    pub who: &'static str,
    pub text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incident: Option<String>,
    #[serde(skip)]
    pub mark: Option<Mark>,
}

impl Tape {
    fn put(&mut self, at: Timestamp, item: Item) {
        if !self.off {
            self.items.push((at, item));
        }
    }

    pub(super) fn record(&mut self, at: Timestamp, seq: Seq) {
        self.put(at, Item::Record(seq));
    }

    pub(super) fn world(&mut self, told: Vec<Told>) {
        for told in told {
            self.put(told.at, Item::World(told));
        }
    }

    pub(super) fn fault(&mut self, at: Timestamp, text: String) {
        self.put(at, Item::Fault(text));
    }

    pub(super) fn script(&mut self, at: Timestamp, text: String) {
        self.put(at, Item::Script(text));
    }

    /// What the API server did is told by the world; what it refused is told here.
    pub(super) fn answered(&mut self, at: Timestamp, about: &str, answer: &Answer) {
        if let Answer::Refused(why) = answer {
            let (about, answer) = (about.to_owned(), refusal(why));
            self.put(at, Item::Refused { about, answer });
        }
    }

    pub(super) fn web(&mut self, at: Timestamp, call: &WebCall) {
        self.put(at, Item::Web { url: format!("{} {}", call.method, call.url) });
    }

    pub(super) fn rang(&mut self, at: Timestamp, key: &PageKey, report: &Report) {
        self.put(at, Item::Ring { key: key.clone(), title: report.title.clone() });
    }

    /// The tape as lines, `from` being the beginning.
    pub(super) fn lines(&self, store: &Store, from: Timestamp) -> Vec<Line> {
        self.items.iter().filter_map(|(at, item)| line(*at, item, store, from)).collect()
    }
}

fn refusal(why: &crate::model::Refusal) -> String {
    use crate::model::Refusal;
    match why {
        Refusal::Budget { message, .. } => format!("429: {message}"),
        Refusal::TwoBudgets(message) => format!("500: {message}"),
        Refusal::Gone => "404: it is gone".into(),
        Refusal::Changed(message) => format!("409: {message}"),
        Refusal::Forbidden(message) | Refusal::Admission(message) | Refusal::Invalid(message) => {
            message.clone()
        }
        Refusal::NamespaceEnding => "403: the namespace is being deleted".into(),
        Refusal::Busy { message, .. } => message.clone(),
    }
}

fn line(at: Timestamp, item: &Item, store: &Store, from: Timestamp) -> Option<Line> {
    let at = i64::try_from(at.duration_since(from).as_millis()).unwrap_or_default();
    let plain = |who, text: String| Line { at, who, text, node: None, incident: None, mark: None };
    Some(match item {
        Item::Record(seq) => return recorded(*seq, store, at),
        Item::World(told) => {
            let who = match told.mark {
                Mark::Joined | Mark::Gone | Mark::Notice => "cloud",
                Mark::Cordoned
                | Mark::Uncordoned
                | Mark::Evicted
                | Mark::Killed
                | Mark::Running
                | Mark::Note => "cluster",
            };
            Line { node: told.node.clone(), mark: Some(told.mark), ..plain(who, told.text.clone()) }
        }
        Item::Fault(text) => plain("fault", text.clone()),
        Item::Script(text) => plain("script", text.clone()),
        Item::Refused { about, answer } => plain("refused", format!("{about}: {answer}")),
        Item::Web { url } => plain("called", url.clone()),
        Item::Ring { key, title } => {
            let PageKey { contact, level, nth, .. } = key;
            let text = match key.kind {
                PageKind::Trigger => {
                    format!("{contact} is called: {title} (level {level}, round {nth})")
                }
                PageKind::Resolve => format!("{contact} is told that it is over: {title}"),
                PageKind::Note => format!("{contact} is told: {title}"),
            };
            Line { incident: Some(key.incident.clone()), ..plain("rings", text) }
        }
    })
}

fn recorded(seq: Seq, store: &Store, at: i64) -> Option<Line> {
    let record = store.get(seq)?;
    let envelope: Value = serde_json::from_slice(&record.body).ok()?;
    let text = describe(&envelope);
    let data = &envelope["data"];
    let who = match record.stream {
        Stream::Events => "accepted",
        Stream::Decisions if envelope["type"] == crate::model::kind::INCIDENT => "incident",
        Stream::Decisions => "decided",
        Stream::Plans => "planned",
        Stream::Outcomes if envelope["type"] == crate::model::kind::PAGE => "page",
        Stream::Outcomes => "acted",
        Stream::Dead => "set aside",
    };
    let subject = envelope["subject"].as_str().unwrap_or_default();
    let node = subject.parse::<Target>().ok().and_then(|target| target.node().map(str::to_owned));
    let incident = data["incident"].as_str().map(str::to_owned);
    let text = format!("{text}  {}", crate::model::plain(subject));
    Some(Line { at, who, text, node, incident, mark: None })
}

impl Line {
    /// `00:01:02.345`
    pub fn clock(&self) -> String {
        let (seconds, millis) = (self.at.div_euclid(1000), self.at.rem_euclid(1000));
        let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
        format!("{hours:02}:{minutes:02}:{:02}.{millis:03}", seconds % 60)
    }
}

impl std::fmt::Display for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}  {:<9} {}", self.clock(), self.who, self.text)
    }
}
