//! Capacity: for which pods another machine is asked, and by which ways, one after the other.

use super::diagnostic::Code;
use super::file::named;
use super::rule::word;
use super::shape;
use super::steps::taint;
use super::walk::{Entries, Faults};
use super::yaml::Node;
use crate::model::{Bearing, Group, Ladder, Placeholders, Rung, Span, Taint, Way, Zone};

const ZONES: [(&str, Zone); 3] = [("same", Zone::Same), ("other", Zone::Other), ("any", Zone::Any)];
const WITHIN: Span = Span::seconds(600);
/// Of placeholders, where a rung does not say it.
const NAMESPACE: &str = "medevac";
const PRIORITY_CLASS: &str = "medevac-placeholder";
const IMAGE: &str = "registry.k8s.io/pause:3.10";

pub(super) fn ladders(nodes: &[&Node], faults: &mut Faults) -> Vec<Ladder> {
    named(nodes, "ladder", faults);
    nodes.iter().filter_map(|node| ladder(node, faults)).collect()
}

fn ladder(node: &Node, faults: &mut Faults) -> Option<Ladder> {
    let entries = Entries::of(node, &shape::LADDER, faults)?;
    let (namespaces, labels) = (entries.words("namespaces", faults), entries.map("labels", faults));
    if namespaces.is_empty() && labels.is_empty() {
        let message = "for which pods? Name `namespaces`, `labels` or both";
        faults.add(Code::MissingKey, entries.place(), message);
    }
    let nodes = Entries::of(entries.get("nodes")?, &shape::BEARING, faults)?;
    let bearing =
        Bearing { labels: nodes.map("labels", faults), tolerations: tolerations(&nodes, faults) };
    if bearing.labels.is_empty() {
        let message = "without a label nothing tells these nodes from those that pods have now";
        faults.add(Code::BadValue, nodes.place(), message).hint =
            Some("for example labels: {karpenter.sh/capacity-type: on-demand}".into());
    }
    let rungs: Vec<Rung> =
        entries.list("rungs", faults).iter().filter_map(|node| rung(node, faults)).collect();
    if let Some(node) = entries.get("rungs").filter(|_| entries.list("rungs", faults).is_empty()) {
        faults.add(Code::BadValue, &node.place, "a ladder has at least one rung");
    }
    let name = entries.text("name", faults)?;
    Some(Ladder { name, namespaces, labels, bearing, rungs })
}

fn tolerations(nodes: &Entries<'_>, faults: &mut Faults) -> Vec<Taint> {
    let all = match nodes.get("taints") {
        Some(_) => nodes.list("taints", faults),
        None => &[],
    };
    all.iter().filter_map(|node| taint(node, faults)).collect()
}

fn rung(node: &Node, faults: &mut Faults) -> Option<Rung> {
    let entries = Entries::of(node, &shape::RUNG, faults)?;
    let given: Vec<&str> = ["karpenter", "group", "fleet"]
        .into_iter()
        .filter(|key| entries.get(key).is_some())
        .collect();
    let [way] = given.as_slice() else {
        let message = "a rung is one of `karpenter`, `group` and `fleet`";
        faults.add(Code::MissingKey, entries.place(), message);
        return None;
    };
    let under = entries.get(way)?;
    let way = match *way {
        "karpenter" => karpenter(&Entries::of(under, &shape::KARPENTER, faults)?, faults),
        "group" => group(&Entries::of(under, &shape::GROUP, faults)?, faults)?,
        _ => fleet(&Entries::of(under, &shape::FLEET, faults)?, faults)?,
    };
    Some(Rung { way, within: entries.span("within", faults).unwrap_or(WITHIN) })
}

fn karpenter(entries: &Entries<'_>, faults: &mut Faults) -> Way {
    let mut or =
        |key: &str, default: &str| entries.text(key, faults).unwrap_or_else(|| default.to_owned());
    let (namespace, image) = (or("namespace", NAMESPACE), or("image", IMAGE));
    let priority_class = or("priority_class", PRIORITY_CLASS);
    Way::Placeholders(Placeholders {
        namespace,
        image,
        priority_class,
        instance_types: entries.words("instance_types", faults),
        zone: word(entries, "zone", &ZONES, faults).unwrap_or_default(),
    })
}

fn group(entries: &Entries<'_>, faults: &mut Faults) -> Option<Way> {
    let mut text = |key: &str| entries.text(key, faults);
    let group = match (text("name"), text("cluster"), text("node_group")) {
        (Some(name), None, None) => Group::Named { name },
        (None, Some(cluster), Some(node_group)) => Group::Eks { cluster, node_group },
        _ => {
            let message = "which group? Name it, or its `cluster` and `node_group`";
            faults.add(Code::MissingKey, entries.place(), message);
            return None;
        }
    };
    Some(Way::Group { group, gpus: entries.number("gpus", faults) })
}

fn fleet(entries: &Entries<'_>, faults: &mut Faults) -> Option<Way> {
    let instance_types = entries.words("instance_types", faults);
    let (subnets, zone) =
        (entries.map("subnets", faults), word(entries, "zone", &ZONES, faults).unwrap_or_default());
    if subnets.is_empty() && zone != Zone::Any {
        let message = "which zone a machine comes to is said by `subnets`: zone to subnet";
        faults.add(Code::MissingKey, entries.place(), message);
    }
    Some(Way::Fleet {
        launch_template: entries.text("launch_template", faults)?,
        version: entries.text("version", faults).unwrap_or_else(|| "$Default".into()),
        instance_types,
        subnets,
        zone,
    })
}
