//! Falco Talon rules. The events come from Falcosidekick's CloudEvents output, whose type is
//! `falco.rule.output.v1` and whose data is Falco's own JSON.

use super::write::{File, Rule, quoted};
use super::{Node, entries, items, scalar, text, texts};

const TYPE: &str = "falco.rule.output.v1";
const PRIORITIES: [&str; 8] =
    ["Emergency", "Alert", "Critical", "Error", "Warning", "Notice", "Informational", "Debug"];

pub(super) fn rules(document: &Node, file: &mut File) {
    let all = items(Some(document));
    if all.is_empty() {
        file.leave_out("the file", "there is no list of rules and actions in it");
    }
    let actions: Vec<(&str, &Node)> =
        all.iter().filter_map(|item| Some((text(item, "action")?, item))).collect();
    for item in all {
        if let Some(name) = text(item, "rule") {
            rule(name, item, &actions, file);
        }
    }
}

fn rule(name: &str, node: &Node, shared: &[(&str, &Node)], file: &mut File) {
    let mut rule = Rule { name: name.into(), when: vec![TYPE.into()], ..Rule::default() };
    let mut clauses = vec![];
    let matched = node.value("match");
    let names = texts(matched.and_then(|it| it.value("rules")));
    if !names.is_empty() {
        let names: Vec<String> = names.into_iter().map(quoted).collect();
        clauses.push(format!("event.rule in [{}]", names.join(", ")));
    }
    if let Some(priority) = matched.and_then(|it| text(it, "priority")) {
        match priorities(priority) {
            Some(clause) => clauses.push(clause),
            None => rule.left_out.push(format!("the priority `{priority}`")),
        }
    }
    for tags in items(matched.and_then(|it| it.value("tags"))).iter().filter_map(scalar) {
        let each = tags.split(',').map(|tag| format!("{} in event.tags", quoted(tag.trim())));
        clauses.extend(each);
    }
    let fields: Vec<&str> =
        items(matched.and_then(|it| it.value("output_fields"))).iter().filter_map(scalar).collect();
    let any: Vec<String> = fields.iter().filter_map(|text| all_of(text)).collect();
    if any.len() < fields.len() {
        rule.left_out.push("some of `output_fields`".into());
    }
    match any.as_slice() {
        [] => {}
        [one] => clauses.push(one.clone()),
        many => clauses.push(format!("({})", many.join(" || "))),
    }
    rule.clause = (!clauses.is_empty()).then(|| clauses.join(" && "));
    for action in items(node.value("actions")) {
        let called = text(action, "action").unwrap_or_default();
        let base = shared.iter().find(|(known, _)| *known == called).map(|(_, node)| *node);
        let verb = text(action, "actionner").or_else(|| base.and_then(|it| text(it, "actionner")));
        match verb.map(|verb| step(verb, action, base)) {
            Some(Ok(step)) => rule.steps.push(step),
            Some(Err(why)) => rule.left_out.push(format!("the action `{called}`: {why}")),
            None => rule.left_out.push(format!("the action `{called}`, which nothing defines")),
        }
    }
    file.rule(rule);
}

/// `>=Warning` as the priorities that it means.
fn priorities(written: &str) -> Option<String> {
    let word = written.trim_start_matches(['<', '>', '=']).trim();
    let at = PRIORITIES.iter().position(|known| known.eq_ignore_ascii_case(word))?;
    let range = match written.trim().trim_end_matches(word).trim() {
        ">=" => &PRIORITIES[..=at],
        ">" => &PRIORITIES[..at],
        "<=" => &PRIORITIES[at..],
        "<" => &PRIORITIES[at + 1..],
        _ => &PRIORITIES[at..=at],
    };
    let all: Vec<String> = range.iter().map(|word| quoted(word)).collect();
    Some(format!("event.priority in [{}]", all.join(", ")))
}

/// `a=b, c!=d`: all of them.
fn all_of(text: &str) -> Option<String> {
    let one = |part: &str| {
        let (key, sign, value) = match part.split_once("!=") {
            Some((key, value)) => (key, "!=", value),
            None => {
                let (key, value) = part.split_once('=')?;
                (key, "==", value)
            }
        };
        let value = value.trim().trim_matches(['"', '\'']);
        Some(format!("event.output_fields[{}] {sign} {}", quoted(key.trim()), quoted(value)))
    };
    let all: Option<Vec<String>> = text.split(',').map(|part| one(part.trim())).collect();
    all.map(|all| all.join(" && "))
}

fn step(verb: &str, action: &Node, base: Option<&Node>) -> Result<String, String> {
    let parameter = |name: &str| {
        let of =
            |node: &Node| node.value("parameters").and_then(|it| text(it, name)).map(str::to_owned);
        of(action).or_else(|| base.and_then(of))
    };
    match verb {
        "kubernetes:cordon" => Ok("cordon: {}".into()),
        "kubernetes:drain" => Ok(match parameter("max_wait_period") {
            Some(seconds) if seconds.parse::<u32>().is_ok() => {
                format!("drain: {{timeout: {seconds}s}}")
            }
            _ => "drain: {}".into(),
        }),
        "kubernetes:terminate" | "kubernetes:delete" => {
            Err("pods are not taken away one by one here; drain the node, or restart the workload"
                .into())
        }
        "kubernetes:label" | "kubernetes:annotation" => {
            let names: Vec<&str> = base
                .into_iter()
                .chain([action])
                .flat_map(|node| entries(node.value("parameters")).map(|(key, _)| key))
                .collect();
            Err(format!(
                "`label` and `annotate` are about nodes here, not pods ({})",
                names.join(", ")
            ))
        }
        other => Err(format!(
            "there is nothing like `{other}`; an `http` step can call whatever does it"
        )),
    }
}
