//! Checkpoint profiles: how workloads are asked that nobody may annotate.

use super::diagnostic::Code;
use super::file::named;
use super::shape;
use super::walk::{Entries, Faults};
use super::yaml::Node;
use crate::model::{Means, Profile};

pub(super) fn profiles(nodes: &[&Node], faults: &mut Faults) -> Vec<Profile> {
    named(nodes, "checkpoint profile", faults);
    nodes.iter().filter_map(|node| profile(node, faults)).collect()
}

fn profile(node: &Node, faults: &mut Faults) -> Option<Profile> {
    let entries = Entries::of(node, &shape::PROFILE, faults)?;
    let words = entries.words("command", faults);
    // One text is a command with its arguments, a list is one already.
    let command = match words.as_slice() {
        [] => None,
        [one] => Some(one.clone()),
        all => serde_json::to_string(all).ok(),
    };
    let keys = ["port", "path", "signal", "subject", "container", "file", "ask", "timeout"];
    let said: Vec<(&str, String)> =
        keys.iter().filter_map(|key| Some((*key, entries.text(key, faults)?))).collect();
    let say = |key: &str| match key {
        "command" => command.clone(),
        key => said.iter().find(|(known, _)| *known == key).map(|(_, value)| value.clone()),
    };
    let by = entries.text("by", faults)?;
    let means = Means::read(&by, &say)
        .map_err(|why| {
            let place = entries.get("by").map_or(entries.place(), |node| &node.place);
            faults.add(Code::BadValue, place, why);
        })
        .ok()?;
    Some(Profile {
        name: entries.text("name", faults)?,
        namespaces: entries.words("namespaces", faults),
        labels: entries.map("labels", faults),
        means,
    })
}
