//! The steps of `then` and `otherwise`: verbs and arguments, and the order that `needs` makes.

mod action;

pub(super) use action::taint;

use super::diagnostic::{Code, Place, suggest};
use super::names::Names;
use super::shape::{STEPS, Shape};
use super::walk::{Entries, Faults};
use super::yaml::{Key, Kind, Node};
use crate::model::StepSpec;
use std::borrow::Cow;

/// Where a step stood, while its list is being read.
struct Read<'a> {
    spec: StepSpec,
    /// `None`: the default order applies.
    needs: Option<Vec<(String, Place)>>,
    place: &'a Place,
}

pub(super) fn steps(
    entries: &Entries<'_>,
    key: &str,
    policy: Option<&str>,
    names: &Names<'_>,
    faults: &mut Faults,
) -> Vec<StepSpec> {
    let mut read: Vec<Read<'_>> = vec![];
    for node in entries.list(key, faults) {
        if let Some(mut step) = step(node, policy, names, faults) {
            let taken =
                |name: &str, read: &[Read<'_>]| read.iter().any(|other| other.spec.name == name);
            if taken(&step.spec.name, &read) && step.spec.name == step.spec.action.verb() {
                let verb = step.spec.name.clone();
                let free = (2..).map(|n| format!("{verb}-{n}")).find(|name| !taken(name, &read));
                step.spec.name = free.unwrap_or(verb);
            } else if taken(&step.spec.name, &read) {
                faults.add(
                    Code::Duplicate,
                    step.place,
                    format!("another step is called `{}`", step.spec.name),
                );
            }
            read.push(step);
        }
    }
    order(&mut read, faults);
    read.into_iter().map(|step| step.spec).collect()
}

/// Fills in `needs`: as written, else by the default order of the verbs. Faults on unknown names and cycles.
fn order(read: &mut [Read<'_>], faults: &mut Faults) {
    let all: Vec<String> = read.iter().map(|step| step.spec.name.clone()).collect();
    let waited: Vec<Option<String>> = read
        .iter()
        .map(|step| {
            Some(step.spec.name.clone()).filter(|_| step.spec.action.waited_for_by_default())
        })
        .collect();
    for (at, step) in read.iter_mut().enumerate() {
        let Some(needs) = &step.needs else {
            if step.spec.action.waits_by_default() {
                step.spec.needs = waited[..at].iter().flatten().cloned().collect();
            }
            continue;
        };
        for (name, place) in needs {
            if !all.contains(name) {
                let hint = suggest(name, all.iter().map(String::as_str));
                faults
                    .add(Code::UnknownName, place, format!("no step here is called `{name}`"))
                    .hint = Some(hint);
            }
        }
        step.spec.needs = needs.iter().map(|(name, _)| name.clone()).collect();
    }
    let mut done: Vec<&str> = vec![];
    while let Some(next) = read.iter().find(|step| {
        !done.contains(&step.spec.name.as_str())
            && step
                .spec
                .needs
                .iter()
                .all(|need| done.contains(&need.as_str()) || !all.contains(need))
    }) {
        done.push(&next.spec.name);
    }
    if let Some(stuck) = read.iter().find(|step| !done.contains(&step.spec.name.as_str())) {
        let message = format!("`{}` waits for itself: its `needs` form a circle", stuck.spec.name);
        faults.add(Code::Cycle, stuck.place, message);
    }
}

/// A single value in place of the mapping, as `diagnose: gpu`.
fn in_full<'a>(arguments: &'a Node, shape: &'static Shape) -> Cow<'a, Node> {
    let Some(field) = shape.short().filter(|_| matches!(arguments.kind, Kind::Scalar { .. }))
    else {
        return Cow::Borrowed(arguments);
    };
    if arguments.is_null() {
        return Cow::Borrowed(arguments);
    }
    let key = Key { text: field.name.to_owned(), place: arguments.place.clone() };
    let kind = Kind::Map(vec![(key, arguments.clone())]);
    Cow::Owned(Node { kind, place: arguments.place.clone() })
}

fn step<'a>(
    node: &'a Node,
    policy: Option<&str>,
    names: &Names<'_>,
    faults: &mut Faults,
) -> Option<Read<'a>> {
    let verbs = || STEPS.iter().map(|(verb, _, _)| *verb);
    let Kind::Map(pairs) = &node.kind else {
        let hint = "write `- cordon: {}`: a verb and its arguments";
        faults.add(Code::WrongType, &node.place, "a step is a mapping with one verb").hint =
            Some(hint.into());
        return None;
    };
    let [(verb, arguments)] = pairs.as_slice() else {
        let hint = "start each step with its own `- `";
        faults.add(Code::WrongType, &node.place, "a step has exactly one verb").hint =
            Some(hint.into());
        return None;
    };
    let Some((_, _, shape)) = STEPS.iter().find(|(known, _, _)| *known == verb.text) else {
        let hint = suggest(&verb.text, verbs().collect::<Vec<_>>());
        faults
            .add(Code::UnknownName, &verb.place, format!("there is no step `{}`", verb.text))
            .hint = Some(hint);
        return None;
    };
    let long = in_full(arguments, shape);
    let entries = Entries::of(&long, shape, faults)?;
    let action = action::action(&verb.text, &entries, policy, names, faults)?;
    let name = entries.text("name", faults).unwrap_or_else(|| verb.text.clone());
    let needs = entries.get("needs").map(|_| entries.texts("needs", faults));
    let needs =
        needs.map(|all| all.into_iter().map(|(name, place)| (name, place.clone())).collect());
    Some(Read { spec: StepSpec { name, action, needs: vec![] }, needs, place: &node.place })
}
