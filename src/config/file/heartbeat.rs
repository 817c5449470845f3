//! The part of the configuration that is about whom the daemon tells that it lives.

use crate::config::Heartbeat;
use crate::rules::Code;
use crate::rules::reading::{Entries, Faults, Node, Of, Shape, key, must};
use std::time::Duration;

pub(super) static HEARTBEAT: Shape = Shape {
    name: "`heartbeat`",
    fields: &[
        must("url_file", Of::Text, "File with the URL that is posted to: it is a secret."),
        key("every", Of::Duration, "Default 1m, at least 10s."),
    ],
};

pub(super) fn heartbeat(node: &Node, faults: &mut Faults) -> Option<Heartbeat> {
    let entries = Entries::of(node, &HEARTBEAT, faults)?;
    let every = entries.span("every", faults).map_or(Duration::from_secs(60), |span| span.0);
    if every < Duration::from_secs(10) {
        let place = entries.get("every").map_or(entries.place(), |node| &node.place);
        faults.add(Code::BadValue, place, "not more often than every 10s");
    }
    Some(Heartbeat { url_file: entries.text("url_file", faults)?.into(), every })
}
