//! The part of the configuration that is about what the cluster tells.

use super::words;
use crate::config::{Kind, Kubernetes};
use crate::rules::Code;
use crate::rules::reading::{Entries, Faults, Node, Of, Shape, key, must};

pub(super) static KUBERNETES: Shape = Shape {
    name: "`kubernetes`",
    fields: &[
        key(
            "events",
            Of::Words(EVENTS),
            "Events of the API that rules hear: warnings alone, or all. Default warnings.",
        ),
        key(
            "objects",
            Of::List(&OBJECT),
            "Kinds whose conditions rules hear as kubernetes.object.",
        ),
    ],
};

static OBJECT: Shape = Shape {
    name: "a kind",
    fields: &[
        must("api_version", Of::Text, "external-secrets.io/v1"),
        must("kind", Of::Text, "ExternalSecret"),
        key(
            "plural",
            Of::Text,
            "As the server's paths have it. Default: the kind in lower case, with s.",
        ),
    ],
};

const EVENTS: &[&str] = &["warnings", "all"];

pub(super) fn kubernetes(node: &Node, faults: &mut Faults) -> Kubernetes {
    let Some(entries) = Entries::of(node, &KUBERNETES, faults) else {
        return Kubernetes::default();
    };
    let all_events = words(&entries, "events", EVENTS, faults).as_deref() == Some("all");
    let mut objects: Vec<Kind> = vec![];
    for node in entries.list("objects", faults) {
        let Some(kind) = kind(node, faults) else { continue };
        if objects.contains(&kind) {
            let message = format!("`{}` of {} is there twice", kind.kind, kind.api_version);
            faults.add(Code::Duplicate, &node.place, message);
        }
        objects.push(kind);
    }
    Kubernetes { all_events, objects }
}

fn kind(node: &Node, faults: &mut Faults) -> Option<Kind> {
    let entries = Entries::of(node, &OBJECT, faults)?;
    let (api_version, kind) = (entries.text("api_version", faults)?, entries.text("kind", faults)?);
    let plural = entries.text("plural", faults);
    let plural = plural.unwrap_or_else(|| format!("{}s", kind.to_lowercase()));
    let plain = |text: &str| {
        let good = |c: char| c.is_ascii_alphanumeric() || "-./".contains(c);
        !text.is_empty() && text.len() <= 253 && text.chars().all(good)
    };
    for (key, text) in [("api_version", &api_version), ("kind", &kind), ("plural", &plural)] {
        if !plain(text) || (key != "api_version" && text.contains('/')) {
            let place = entries.get(key).map_or(entries.place(), |node| &node.place);
            faults.add(Code::BadValue, place, format!("`{text}` is not a {key} of the API's"));
        }
    }
    Some(Kind { api_version, kind, plural })
}
