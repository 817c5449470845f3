//! Event-Driven Ansible rulebooks. Conditions are a language of their own, near enough to CEL.

use super::write::{File, Rule, quoted};
use super::{Node, duration, entries, items, scalar, text};

/// Where a rulebook's events come from: their type here, and what the event is called there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    Alertmanager,
    /// Whatever else: a type of its own.
    Other,
}

pub(super) fn rulebook(document: &Node, file: &mut File) {
    let sets = items(Some(document));
    if sets.is_empty() {
        file.leave_out("the file", "there is no list of rule sets in it");
    }
    for set in sets {
        let name = text(set, "name").unwrap_or("rulebook");
        let sources: Vec<&str> = items(set.value("sources"))
            .iter()
            .flat_map(|source| entries(Some(source)).map(|(key, _)| key))
            .filter(|key| !["name", "filters"].contains(key))
            .collect();
        let origin = match sources.as_slice() {
            [one] if one.ends_with("alertmanager") => Origin::Alertmanager,
            _ => Origin::Other,
        };
        if origin == Origin::Other {
            let named = sources.join(", ");
            let why = format!(
                "its sources ({named}): let them post CloudEvents of the type `eda.event`, or map their subjects under `sources` of the configuration"
            );
            file.leave_out(name, why);
        }
        if set.value("sources").is_some_and(|it| format!("{it:?}").contains("filters")) {
            file.leave_out(name, "filters of sources");
        }
        for node in items(set.value("rules")) {
            rule(name, node, origin, file);
        }
    }
}

fn rule(set: &str, node: &Node, origin: Origin, file: &mut File) {
    let called = text(node, "name").unwrap_or("rule");
    let mut rule = Rule { name: format!("{set} {called}"), ..Rule::default() };
    let conditions = conditions(node.value("condition"), &mut rule);
    let mut clauses = vec![];
    let mut status = None;
    for condition in conditions {
        match translate(&condition, origin) {
            Ok(Translated { clause, fires }) => {
                status = status.or(fires);
                clauses.extend(clause);
            }
            Err(why) => rule.left_out.push(format!("the condition `{condition}`: {why}")),
        }
    }
    if clauses.is_empty() && !rule.left_out.is_empty() {
        // Without a condition it would match everything: it matches nothing until somebody writes one.
        clauses.push("event.id == \"not carried over\"".into());
    }
    rule.when = match (origin, status) {
        (Origin::Alertmanager, Some(false)) => vec!["alertmanager.alert.resolved".into()],
        (Origin::Alertmanager, _) => vec!["alertmanager.alert.firing".into()],
        (Origin::Other, _) => vec!["eda.event".into()],
    };
    rule.clause = (!clauses.is_empty()).then(|| clauses.join(" || "));
    if let Some(throttle) = node.value("throttle") {
        throttled(throttle, origin, &mut rule);
    }
    let one = node.value("action").into_iter();
    for action in one.chain(items(node.value("actions"))) {
        for (verb, arguments) in entries(Some(action)) {
            let what =
                ["name", "job_template", "module"].iter().find_map(|key| text(arguments, key));
            match verb {
                "debug" | "print_event" | "none" => {}
                verb => rule.left_out.push(format!(
                    "the action `{verb}{}`: choose steps, or let an `http` step call it",
                    what.map(|what| format!(" {what}")).unwrap_or_default()
                )),
            }
        }
    }
    file.rule(rule);
}

/// The conditions of which one is enough.
fn conditions(node: Option<&Node>, rule: &mut Rule) -> Vec<String> {
    let Some(node) = node else { return vec![] };
    if let Some(one) = scalar(node) {
        return vec![one.to_owned()];
    }
    let list = |key: &str| -> Vec<String> {
        items(node.value(key)).iter().filter_map(scalar).map(str::to_owned).collect()
    };
    let (any, all, not_all) = (list("any"), list("all"), list("not_all"));
    if all.len() > 1 {
        rule.left_out.push(format!(
            "`all` of {} events: write the first as the rule's own and the others under `sequence`",
            all.len()
        ));
    }
    if !not_all.is_empty() {
        rule.left_out.push(
            "`not_all` with a time-out: write what begins it as the rule's own and what is missed under `absent`"
                .into(),
        );
    }
    let first = all.into_iter().take(1).chain(not_all.into_iter().take(1));
    if any.is_empty() { first.collect() } else { any }
}

struct Translated {
    clause: Option<String>,
    /// It asked whether the alert fires.
    fires: Option<bool>,
}

fn translate(condition: &str, origin: Origin) -> Result<Translated, String> {
    let words = words(condition)?;
    let mut out: Vec<String> = vec![];
    let mut at = 0;
    let word = |at: usize| words.get(at).map_or("", String::as_str);
    while at < words.len() {
        match (word(at), word(at + 1), word(at + 2)) {
            ("and", ..) => out.push("&&".into()),
            ("or", ..) => out.push("||".into()),
            ("not", "in", _) => {
                let left = out.pop().ok_or("`not in` of nothing")?;
                out.push(format!("!({left} in {})", path(word(at + 2), origin)));
                at += 2;
            }
            ("not", ..) => out.push("!".into()),
            ("is", "not", "defined") => {
                let left = out.pop().ok_or("`is not defined` of nothing")?;
                out.push(format!("!has({left})"));
                at += 2;
            }
            ("is", "defined", _) => {
                let left = out.pop().ok_or("`is defined` of nothing")?;
                out.push(format!("has({left})"));
                at += 1;
            }
            ("is", "match" | "search" | "regex", "(") => {
                let left = out.pop().ok_or("a pattern for nothing")?;
                let anchor = if word(at + 1) == "match" { "^" } else { "" };
                let pattern = word(at + 3).trim_start_matches(TEXT);
                let close =
                    words[at + 3..].iter().position(|it| it == ")").ok_or("`)` is missing")?;
                out.push(format!("{left}.matches({})", quoted(&format!("{anchor}{pattern}"))));
                at += 3 + close;
            }
            ("is", other, _) => return Err(format!("there is nothing like `is {other}`")),
            (text, ..) if text.starts_with("facts.") || text.starts_with("vars.") => {
                return Err(
                    "facts and variables: nothing is kept between events but time words".into()
                );
            }
            (text, ..) if text.starts_with("events.") || text == "<<" => {
                return Err("conditions over several events: use `sequence` or `count`".into());
            }
            (text, ..) => out.push(path(text, origin)),
        }
        at += 1;
    }
    let text = joined(&out);
    let (firing, resolved) = ("alert.status == \"firing\"", "alert.status == \"resolved\"");
    let fires = [(firing, true), (resolved, false)].into_iter().find(|(it, _)| text.contains(it));
    // What `when` says needs no clause.
    let alone = |it: &str| text.replace(&format!(" && {it}"), "").replace(&format!("{it} && "), "");
    let text = fires.map_or(text.clone(), |(it, _)| alone(it));
    let whole = fires.is_some_and(|(it, _)| text == it);
    Ok(Translated { clause: (!whole).then_some(text), fires: fires.map(|(_, fires)| fires) })
}

/// With a space between words, but none behind `!` and `(` and before `)`.
fn joined(words: &[String]) -> String {
    let mut text = String::new();
    for word in words {
        let close = text.is_empty() || text.ends_with(['!', '(']) || word == ")";
        if !close {
            text.push(' ');
        }
        text.push_str(word);
    }
    text
}

/// Stands before the words that are strings.
const TEXT: char = '\u{1}';

/// A word of theirs as ours.
fn path(word: &str, origin: Origin) -> String {
    if let Some(text) = word.strip_prefix(TEXT) {
        return quoted(text);
    }
    let rest = match origin {
        Origin::Alertmanager => {
            word.strip_prefix("event.alert.").map(|rest| format!("alert.{rest}"))
        }
        Origin::Other => word.strip_prefix("event.payload.").map(|rest| format!("event.{rest}")),
    };
    rest.unwrap_or_else(|| word.to_owned())
        .replace("alert.labels.alertname", "alert.name")
        .replace("alert.startsAt", "alert.starts_at")
}

fn words(text: &str) -> Result<Vec<String>, String> {
    let mut all = vec![];
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' | '\'' => {
                let end = rest[1..].find(first).ok_or("a string that is not closed")?;
                all.push(format!("{TEXT}{}", &rest[1..=end]));
                rest = rest[end + 2..].trim_start();
                continue;
            }
            '[' => rest.find(']').ok_or("`]` is missing")? + 1,
            c if c.is_ascii_alphanumeric() || c == '_' => rest
                .find(|c: char| !(c.is_ascii_alphanumeric() || "_.[]\"'".contains(c)))
                .unwrap_or(rest.len()),
            '=' | '!' | '<' | '>' if rest[1..].starts_with('=') => 2,
            c => c.len_utf8(),
        };
        all.push(rest[..length].to_owned());
        rest = rest[length..].trim_start();
    }
    Ok(all)
}

fn throttled(node: &Node, origin: Origin, rule: &mut Rule) {
    let keys: Vec<String> = items(node.value("group_by_attributes"))
        .iter()
        .filter_map(scalar)
        .map(|key| path(key, origin))
        .collect();
    let by = match keys.as_slice() {
        [] => String::new(),
        [one] => format!(", by: {}", quoted(one)),
        many => {
            let parts: Vec<String> = many.iter().map(|key| format!("string({key})")).collect();
            format!(", by: {}", quoted(&parts.join(" + \"/\" + ")))
        }
    };
    let time = |key: &str| text(node, key).and_then(duration);
    if let Some(within) = time("accumulate_within") {
        let threshold = text(node, "threshold").unwrap_or("2");
        rule.lines.push(format!("count: {{at_least: {threshold}, within: {within}{by}}}"));
    } else if let Some((word, time)) =
        ["once_within", "once_after"].into_iter().find_map(|word| Some((word, time(word)?)))
    {
        rule.lines.push(format!("throttle: {{{word}: {time}{by}}}"));
    } else {
        rule.left_out.push("its `throttle`, whose time cannot be read".into());
    }
}
