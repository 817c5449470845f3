//! What the cluster itself tells: events, conditions of nodes and of other objects, and what becomes of pods.
//!
//! `event`, `condition` and `phase` translate one object each; `told` knows what was told before, over restarts and broken
//! watches; `run` makes it durable. Only what the rules in force ask for is followed.

mod condition;
mod event;
mod phase;
mod run;
mod told;

pub use run::run;

use crate::cluster::Followed;
use crate::model::{Envelope, Event, Id, Target};
use jiff::Timestamp;
use serde_json::Value;

/// One thing that an object tells.
#[derive(Debug, Clone, PartialEq)]
struct Happening {
    /// Which of the things that it tells: a later one about the same takes its place.
    about: String,
    event: Envelope<Event>,
    /// It ends what was told before of the same thing, and is no news where nothing was.
    settles: bool,
}

/// By whom: our own events tell us nothing.
const OURSELVES: &str = "medevac.dev/medevac";
const SOURCE: &str = "kubernetes";

/// Everything that the object tells now.
fn happenings(what: &Followed, object: &Value) -> Vec<Happening> {
    match what {
        Followed::Events { .. } => event::happening_of(object).into_iter().collect(),
        Followed::Nodes => condition::of_node(object),
        Followed::Pods => phase::happenings(object),
        Followed::Objects(custom) => condition::of_object(custom, object),
    }
}

/// What the end of an object tells.
fn gone(what: &Followed, object: &Value) -> Vec<Happening> {
    match what {
        Followed::Pods => phase::gone(object).into_iter().collect(),
        Followed::Events { .. } | Followed::Nodes | Followed::Objects(_) => vec![],
    }
}

fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    value.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

/// Longer no message has to be.
const LONGEST: usize = 4096;

fn message(value: &Value, path: &str) -> String {
    text(value, path).chars().take(LONGEST).collect()
}

/// What an object is called here.
fn target(kind: &str, namespace: &str, name: &str) -> Target {
    let (namespace, name) = (namespace.to_owned(), name.to_owned());
    match kind {
        "Node" => Target::Node(name),
        "Pod" => Target::Pod { namespace, name },
        "Deployment" | "StatefulSet" | "DaemonSet" | "Job" => {
            Target::Workload { kind: kind.to_lowercase(), namespace, name }
        }
        other => {
            let name = if namespace.is_empty() { name } else { format!("{namespace}/{name}") };
            Target::Other { kind: other.to_lowercase(), name }
        }
    }
}

fn moment(value: &Value, path: &str) -> Option<Timestamp> {
    value.pointer(path)?.as_str()?.parse().ok()
}

fn happening(
    about: String,
    kind: &str,
    parts: &[&str],
    target: Target,
    time: Timestamp,
    payload: Value,
) -> Happening {
    let id = Id::of(&[&[SOURCE, kind], parts].concat());
    let data = Event { payload, ..Event::default() };
    let event = Envelope::new(kind, id, SOURCE, target, time, data);
    Happening { about, event, settles: false }
}

#[cfg(test)]
mod tests;
