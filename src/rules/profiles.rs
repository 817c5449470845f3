//! Checkpoint profiles: how workloads are asked that nobody may annotate.

use super::diagnostic::Code;
use super::file::named;
use super::shape;
use super::walk::{Entries, Faults, pairs, text};
use super::yaml::Node;
use crate::model::{Means, Profile};

pub(super) fn profiles(nodes: &[&Node], faults: &mut Faults) -> Vec<Profile> {
    named(nodes, "checkpoint profile", faults);
    nodes.iter().filter_map(|node| profile(node, faults)).collect()
}

fn profile(node: &Node, faults: &mut Faults) -> Option<Profile> {
    let entries = Entries::of(node, &shape::PROFILE, faults)?;
    let words: Vec<String> =
        entries.texts("command", faults).into_iter().map(|(word, _)| word).collect();
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
    let labels: Vec<(String, String)> = entries
        .get("labels")
        .map(|node| pairs(node, faults))
        .unwrap_or_default()
        .into_iter()
        .filter_map(|(key, node)| Some((key.text.clone(), text(node, faults)?.to_owned())))
        .collect();
    let by = entries.text("by", faults)?;
    let means = Means::read(&by, &say)
        .map_err(|why| {
            let place = entries.get("by").map_or(entries.place(), |node| &node.place);
            faults.add(Code::BadValue, place, why);
        })
        .ok()?;
    Some(Profile {
        name: entries.text("name", faults)?,
        namespaces: entries.texts("namespaces", faults).into_iter().map(|(name, _)| name).collect(),
        labels: labels.into_iter().collect(),
        means,
    })
}
