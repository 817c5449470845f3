//! From the text of all files to one ruleset, or to all their faults.

use super::capacity::ladders;
use super::condition::{Definitions, Known};
use super::diagnostic::{Code, Diagnostic, Place, Source};
use super::guard::{Guard, guard};
use super::hours::hours;
use super::names::Names;
use super::people::{Secrets, contact, policy};
use super::profiles::profiles;
use super::rota::rota;
use super::rule::{Rule, rule};
use super::schedules::schedules;
use super::walk::{Entries, Faults, json, pairs, text};
use super::yaml::{self, Key, Kind, Node};
use super::{Ruleset, shape};
use crate::calendar::Rota;
use crate::model::{Contact, Directory, Id, Policy};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// A rule file larger than this is something else.
const LARGEST: usize = 16 << 20;

/// Reads and checks `sources` together: a name is defined once among all of them.
///
/// # Errors
/// Every fault of every file, in the order of the files.
pub fn load(sources: &[Arc<Source>], secrets: Secrets<'_>) -> Result<Ruleset, Vec<Diagnostic>> {
    let mut faults = Faults::default();
    let mut documents = vec![];
    for source in sources {
        if source.text.len() > LARGEST {
            let place = Place { source: Arc::clone(source), span: 0..0 };
            faults.add(Code::TooLarge, &place, "a rule file of more than 16 MiB");
            continue;
        }
        documents.extend(yaml::parse(source, &mut faults.0));
    }
    let files: Vec<Entries<'_>> = documents
        .iter()
        .filter_map(|document| Entries::of(document, &shape::FILE, &mut faults))
        .collect();
    let mut ruleset = read(&files, secrets, &mut faults);
    let (warnings, errors): (Vec<_>, Vec<_>) =
        faults.0.into_iter().partition(|fault| fault.warning);
    if !errors.is_empty() {
        let mut all = errors;
        let at = |fault: &Diagnostic| {
            let file = sources.iter().position(|source| Arc::ptr_eq(source, &fault.place.source));
            (file, fault.place.span.start)
        };
        all.sort_by_key(at);
        return Err(all);
    }
    ruleset.warnings = warnings;
    let texts: Vec<&str> = sources.iter().map(|source| source.text.as_str()).collect();
    ruleset.version = Some(Id::of(&texts));
    Ok(ruleset)
}

fn read(files: &[Entries<'_>], secrets: Secrets<'_>, faults: &mut Faults) -> Ruleset {
    let definitions = definitions(files, faults);
    let nodes = |key: &str, faults: &mut Faults| -> Vec<&Node> {
        files.iter().flat_map(|file| file.list(key, faults)).collect()
    };
    let (guard_nodes, policy_nodes) = (nodes("guards", faults), nodes("escalations", faults));
    let (contact_nodes, rule_nodes) = (nodes("contacts", faults), nodes("rules", faults));
    let rota_nodes = nodes("on_call", faults);
    let window_nodes = nodes("windows", faults);
    named(&window_nodes, "window", faults);
    let windows: super::hours::Named = window_nodes
        .iter()
        .filter_map(|node| hours(node, &shape::WINDOW, faults))
        .map(|hours| (hours.name.clone(), Arc::new(hours)))
        .collect();
    let names = Names {
        definitions: &definitions,
        guards: named(&guard_nodes, "guard", faults),
        policies: named(&policy_nodes, "escalation", faults),
        contacts: named(&contact_nodes, "contact", faults),
        duties: named(&rota_nodes, "duty", faults),
        windows: &windows,
        known: Known::default(),
        profiles: profiles(&nodes("checkpoint_profiles", faults), faults),
        ladders: ladders(&nodes("capacity", faults), faults),
        written: written(files, &window_nodes),
    };
    named(&rule_nodes, "rule", faults);
    let guards: BTreeMap<String, Guard> = guard_nodes
        .iter()
        .filter_map(|node| guard(node, &definitions, faults))
        .map(|guard| (guard.name.clone(), guard))
        .collect();
    let people = [contact_nodes.as_slice(), &rota_nodes, &policy_nodes];
    let directory = directory(people, &names, secrets, faults);
    let rules: Vec<Rule> =
        rule_nodes.iter().filter_map(|node| rule(node, &names, faults)).collect();
    super::lint::shadowed(&rules, faults);
    let schedules = Arc::new(schedules(&nodes("schedules", faults), faults));
    super::lint::unscheduled(&rules, &schedules, faults);
    let tests = nodes("tests", faults).into_iter().cloned().collect();
    Ruleset { tests, schedules, ..Ruleset::new(rules, guards, directory) }
}

/// Contacts, duties and policies.
fn directory(
    [contact_nodes, rota_nodes, policy_nodes]: [&[&Node]; 3],
    names: &Names<'_>,
    secrets: Secrets<'_>,
    faults: &mut Faults,
) -> Directory {
    let contacts: BTreeMap<String, Contact> = contact_nodes
        .iter()
        .filter_map(|node| contact(node, names, secrets, faults))
        .map(|contact| (contact.name.clone(), contact))
        .collect();
    circles(contact_nodes, &contacts, faults);
    let on_call: BTreeMap<String, Rota> = rota_nodes
        .iter()
        .filter_map(|node| rota(node, names, faults))
        .map(|rota| (rota.name.clone(), rota))
        .collect();
    for (node, name) in rota_nodes.iter().filter_map(|node| Some((node, name_of(node)?))) {
        if names.contacts.contains(&name) {
            let message = format!("a contact is called `{name}`, too: a level could mean either");
            faults.add(Code::Duplicate, &node.place, message);
        }
    }
    let policies: BTreeMap<String, Policy> = policy_nodes
        .iter()
        .filter_map(|node| policy(node, names, faults))
        .map(|policy| (policy.name.clone(), policy))
        .collect();
    Directory { policies, contacts, on_call }
}

/// Definitions and windows as they are written, by name.
fn written(files: &[Entries<'_>], windows: &[&Node]) -> BTreeMap<String, String> {
    let definitions = files.iter().filter_map(|file| file.get("definitions"));
    let definitions = definitions.flat_map(|node| match &node.kind {
        Kind::Map(entries) => entries.as_slice(),
        Kind::List(_) | Kind::Scalar { .. } => &[],
    });
    let definitions = definitions.map(|(key, node)| (key.text.clone(), json(node).to_string()));
    let windows =
        windows.iter().filter_map(|node| Some((name_of(node)?.to_owned(), json(node).to_string())));
    definitions.chain(windows).collect()
}

/// A fallback that leads back to where it came from is none.
fn circles(nodes: &[&Node], contacts: &BTreeMap<String, Contact>, faults: &mut Faults) {
    let fallback = |name: &str| contacts.get(name).and_then(|contact| contact.fallback.as_deref());
    for (node, name) in nodes.iter().filter_map(|node| Some((node, name_of(node)?))) {
        let mut next = fallback(name);
        for _ in 0..contacts.len() {
            if next == Some(name) {
                let message = format!("the fallbacks of `{name}` lead back to it");
                faults.add(Code::Cycle, &node.place, message);
                break;
            }
            next = next.and_then(fallback);
        }
    }
}

fn name_of(node: &Node) -> Option<&str> {
    let Kind::Map(entries) = &node.kind else { return None };
    match entries.iter().find(|(key, _)| key.text == "name")?.1.kind {
        Kind::Scalar { ref text, .. } => Some(text),
        Kind::List(_) | Kind::Map(_) => None,
    }
}

/// The `name` of each node. Faults where a name is given twice.
pub(super) fn named<'a>(nodes: &[&'a Node], what: &str, faults: &mut Faults) -> Vec<&'a str> {
    let mut names: Vec<(&str, &Place)> = vec![];
    for node in nodes {
        let Kind::Map(entries) = &node.kind else { continue };
        let name = entries.iter().find(|(key, _)| key.text == "name").map(|(_, value)| value);
        let Some(Node { kind: Kind::Scalar { text, .. }, place }) = name else { continue };
        if let Some((_, first)) = names.iter().find(|(known, _)| known == text) {
            let (line, _) = first.line_column();
            let hint = format!("the other stands in {}:{line}", first.source.path);
            faults.add(Code::Duplicate, place, format!("another {what} is called `{text}`")).hint =
                Some(hint);
        }
        names.push((text, place));
    }
    names.into_iter().map(|(name, _)| name).collect()
}

/// Shared clauses, each checked once those that it names are. What remains then forms a circle.
fn definitions(files: &[Entries<'_>], faults: &mut Faults) -> Definitions {
    let mut waiting: Vec<(&Key, &Node, String, BTreeSet<String>)> = vec![];
    for file in files {
        for (key, node) in
            file.get("definitions").map(|node| pairs(node, faults)).unwrap_or_default()
        {
            if waiting.iter().any(|(known, ..)| known.text == key.text) {
                faults.add(
                    Code::Duplicate,
                    &key.place,
                    format!("another definition is called `{}`", key.text),
                );
            } else if let Some(clause) = text(node, faults) {
                waiting.push((key, node, clause.to_owned(), super::condition::names(clause)));
            }
        }
    }
    let all: Vec<String> = waiting.iter().map(|(key, ..)| key.text.clone()).collect();
    let mut definitions = Definitions::default();
    while !waiting.is_empty() {
        let ready = waiting.iter().position(|(_, _, _, names)| {
            all.iter().all(|name| definitions.contains_key(name) || !names.contains(name))
        });
        let Some(at) = ready else {
            for (key, ..) in &waiting {
                let message = format!("the definition `{}` is part of a circle", key.text);
                faults.add(Code::Cycle, &key.place, message);
            }
            break;
        };
        let (key, node, clause, _) = waiting.remove(at);
        let definition = super::condition::define(&clause, &node.place, &definitions, faults);
        definitions.insert(key.text.clone(), definition);
    }
    definitions
}

#[cfg(test)]
mod tests;
