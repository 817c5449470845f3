//! What is known, what is wanted, and how objects are read.

use crate::model::{Finding, Health, Notice, Question, Refusal, Resource, Target, selector};
use serde_json::Value;
use std::{cell::RefCell, collections::BTreeMap};

/// Objects of a list that are looked at.
const MOST: u32 = 500;
/// Events of one object.
const EVENTS: u32 = 50;
/// Text from outside is quoted, not copied.
const QUOTED: usize = 300;

#[derive(Debug, Clone)]
pub(super) enum Fact {
    Object(Value),
    /// There is none.
    None,
    Unknown(String),
}

impl Fact {
    pub(super) fn read(question: &Question, said: &str) -> Fact {
        let bad = || Fact::Unknown(format!("{} is no JSON", name_of(question)));
        serde_json::from_str(said).map_or_else(|_| bad(), Fact::Object)
    }
}

/// The tag of a question: what a person would call it.
fn name_of(question: &Question) -> String {
    let within = |namespace: &Option<String>| {
        namespace.as_ref().map_or(String::new(), |name| format!(" in {name}"))
    };
    match question {
        Question::One { what, namespace, name } => {
            format!("the {} {name}{}", what.kind, within(namespace))
        }
        Question::Many { what, namespace, labels, .. } if labels.is_empty() => {
            format!("the {}{}", what.plural, within(namespace))
        }
        Question::Many { what, namespace, labels, .. } => {
            format!("the {} with {labels}{}", what.plural, within(namespace))
        }
        Question::Events { namespace, kind, name } => {
            format!("the events of {kind} {namespace}/{name}")
        }
        Question::Logs { namespace, name, .. } => format!("the log of {namespace}/{name}"),
        Question::Empty { node } => format!("the pods on {node}"),
        Question::Machines { .. } => "the machines".into(),
    }
}

/// What a topic sees. It reads as if everything were known, and what is not is noted.
pub(super) struct See<'a> {
    facts: &'a BTreeMap<String, Fact>,
    wants: RefCell<BTreeMap<String, Question>>,
}

impl<'a> See<'a> {
    pub(super) fn new(facts: &'a BTreeMap<String, Fact>) -> See<'a> {
        See { facts, wants: RefCell::default() }
    }

    pub(super) fn wants(self) -> BTreeMap<String, Question> {
        self.wants.into_inner()
    }

    fn ask(&self, question: Question) -> Option<&'a Fact> {
        let tag = name_of(&question);
        let known = self.facts.get(&tag);
        if known.is_none() {
            self.wants.borrow_mut().insert(tag, question);
        }
        known
    }

    /// The object; `Some(None)`: there is none; `None`: it is not known, or not yet.
    pub(super) fn one(
        &self,
        what: Resource,
        namespace: Option<&str>,
        name: &str,
    ) -> Option<Option<&'a Value>> {
        let (namespace, name) = (namespace.map(str::to_owned), name.to_owned());
        match self.ask(Question::One { what, namespace, name })? {
            Fact::Object(object) => Some(Some(object)),
            Fact::None => Some(None),
            Fact::Unknown(_) => None,
        }
    }

    /// The objects with these labels; a kind that is not served has none.
    pub(super) fn many(
        &self,
        what: Resource,
        namespace: Option<&str>,
        labels: &str,
    ) -> Option<&'a [Value]> {
        let (namespace, labels) = (namespace.map(str::to_owned), labels.to_owned());
        list_of(self.ask(Question::Many { what, namespace, labels, limit: MOST })?)
    }

    /// What the cluster has told about an object, the newest first.
    pub(super) fn events(
        &self,
        namespace: &str,
        kind: &'static str,
        name: &str,
    ) -> Vec<Notice<'a>> {
        let (namespace, name) = (namespace.to_owned(), name.to_owned());
        let Some(fact) = self.ask(Question::Events { namespace, kind, name }) else {
            return vec![];
        };
        let mut all: Vec<Notice<'a>> = list_of(fact)
            .unwrap_or_default()
            .iter()
            .take(EVENTS as usize)
            .map(Notice::of)
            .collect();
        all.sort_by(|one, other| other.at.cmp(one.at));
        all
    }

    /// Pods that the subject is about. Of a node none: what is on it is asked where it matters.
    pub(super) fn pods(&self, subject: &Target) -> Option<Vec<&'a Value>> {
        match subject {
            Target::Pod { namespace, name } => {
                Some(self.one(Resource::POD, Some(namespace), name)?.into_iter().collect())
            }
            Target::Workload { kind, namespace, name } => {
                let what = Resource::of_workload(kind)?;
                let Some(of) = self.one(what, Some(namespace), name)? else { return Some(vec![]) };
                let labels = selector(&of["spec"]["selector"]["matchLabels"]);
                Some(self.many(Resource::POD, Some(namespace), &labels)?.iter().collect())
            }
            _ => {
                let namespace = namespace_of(subject)?;
                Some(self.many(Resource::POD, Some(namespace), "")?.iter().collect())
            }
        }
    }
}

fn list_of(fact: &Fact) -> Option<&[Value]> {
    match fact {
        Fact::Object(list) => Some(list.as_array().map_or(&[], Vec::as_slice)),
        Fact::None => Some(&[]),
        Fact::Unknown(_) => None,
    }
}

/// An event in a few words.
pub(super) fn quoted(of: &Notice<'_>) -> String {
    quote(&format!("{}: {}", of.reason, of.message))
}

/// Cut, and without control characters.
pub(super) fn quote(text: &str) -> String {
    let clean: String =
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(QUOTED).collect();
    clean.trim().to_owned()
}

/// The namespace that something is in, or is.
pub(super) fn namespace_of(subject: &Target) -> Option<&str> {
    match subject {
        Target::Pod { namespace, .. } | Target::Workload { namespace, .. } => Some(namespace),
        Target::Other { kind, name } if kind == "namespace" => Some(name),
        // claim/NAMESPACE/NAME, and whatever else events are about.
        Target::Other { name, .. } => name.split_once('/').map(|(namespace, _)| namespace),
        _ => None,
    }
}

pub(super) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

pub(super) fn list<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    object.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

pub(super) fn name(object: &Value) -> &str {
    text(object, "/metadata/name")
}

pub(super) fn label<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object["metadata"]["labels"][key].as_str()
}

pub(super) fn annotation<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object["metadata"]["annotations"][key].as_str()
}

pub(super) fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    list(object, "/status/conditions").iter().find(|it| it["type"] == kind)
}

pub(super) fn is_ready(pod: &Value) -> bool {
    condition(pod, "Ready").is_some_and(|it| it["status"] == "True")
        || text(pod, "/status/phase") == "Succeeded"
}

/// Why a pod's containers do not run, as kubelet says it.
pub(super) fn state_of(pod: &Value) -> String {
    let both = list(pod, "/status/initContainerStatuses").iter();
    let waiting = both.chain(list(pod, "/status/containerStatuses")).find_map(|it| {
        let why = it.pointer("/state/waiting/reason").or(it.pointer("/state/terminated/reason"));
        let why = why.and_then(Value::as_str).filter(|why| *why != "Completed")?;
        Some(format!("{} is {why}, {} restarts", text(it, "/name"), it["restartCount"]))
    });
    let own = || text(pod, "/status/phase").to_owned();
    quote(&format!("pod {}: {}", name(pod), waiting.unwrap_or_else(own)))
}

/// A quantity as the API writes it. `None`: it is none.
pub(super) fn quantity(value: &Value) -> Option<f64> {
    let written = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    const UNITS: [(&str, f64); 12] = [
        ("Ki", 1024.0),
        ("Mi", 1_048_576.0),
        ("Gi", 1_073_741_824.0),
        ("Ti", 1_099_511_627_776.0),
        ("Pi", 1_125_899_906_842_624.0),
        ("k", 1e3),
        ("M", 1e6),
        ("G", 1e9),
        ("T", 1e12),
        ("P", 1e15),
        ("m", 1e-3),
        ("", 1.0),
    ];
    UNITS.iter().find_map(|(unit, each)| {
        let number: f64 = written.strip_suffix(unit)?.parse().ok()?;
        Some(number * each)
    })
}

/// What a refusal says to whoever may grant a right.
pub(super) fn words(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Forbidden(why)
        | Refusal::Invalid(why)
        | Refusal::Admission(why)
        | Refusal::Changed(why)
        | Refusal::TwoBudgets(why) => quote(why),
        Refusal::Busy { message, .. } | Refusal::Budget { message, .. } => quote(message),
        Refusal::Gone => "it is gone".into(),
        Refusal::NamespaceEnding => "its namespace is being deleted".into(),
    }
}

fn finding(health: Health, what: String, evidence: Vec<String>, advice: &str) -> Finding {
    Finding { health, what: quote(&what), evidence, advice: advice.into() }
}

pub(super) fn bad(what: impl Into<String>, evidence: Vec<String>, advice: &str) -> Finding {
    finding(Health::Bad, what.into(), evidence, advice)
}

pub(super) fn suspect(what: impl Into<String>, evidence: Vec<String>, advice: &str) -> Finding {
    finding(Health::Suspect, what.into(), evidence, advice)
}

pub(super) fn good(what: impl Into<String>) -> Finding {
    finding(Health::Good, what.into(), vec![], "")
}
