//! Alertmanager's routes: each route that alerts can end in is a rule, each receiver a policy.

use super::write::{File, Rule, named, quoted};
use super::{Node, duration, entries, items, scalar, text, texts};

pub(super) fn configuration(document: &Node, file: &mut File) {
    let Some(route) = document.value("route") else {
        file.leave_out("the file", "there is no `route` in it");
        return;
    };
    for key in ["time_intervals", "mute_time_intervals"] {
        items(document.value(key)).iter().for_each(|node| interval(node, file));
    }
    items(document.value("receivers")).iter().for_each(|node| receiver(node, file));
    let inhibited = items(document.value("inhibit_rules")).len();
    if inhibited > 0 {
        file.leave_out(
            "inhibit_rules",
            format!("{inhibited} of them: Alertmanager goes on applying them before it sends"),
        );
    }
    walk(route, &[], None, &[], file);
}

/// Matchers of a route as clauses.
fn clauses(route: &Node, left_out: &mut Vec<String>) -> Vec<String> {
    let of = |name: &str| {
        if name == "alertname" {
            "alert.name".to_owned()
        } else {
            format!("alert.labels[{}]", quoted(name))
        }
    };
    let regex = |value: &str| quoted(&format!("^(?:{value})$"));
    let equal = |name: &str, value: &str| match value {
        "" => format!("!({} in alert.labels)", quoted(name)),
        value => format!("{} == {}", of(name), quoted(value)),
    };
    let mut all = vec![];
    for (name, value) in entries(route.value("match")) {
        all.extend(scalar(value).map(|value| equal(name, value)));
    }
    for (name, value) in entries(route.value("match_re")) {
        all.extend(scalar(value).map(|value| format!("{}.matches({})", of(name), regex(value))));
    }
    for matcher in items(route.value("matchers")).iter().filter_map(scalar) {
        let signs = ["=~", "!~", "!=", "="];
        let found = signs.iter().filter_map(|sign| Some((matcher.find(sign)?, *sign)));
        let Some((at, sign)) =
            found.min_by_key(|(at, sign)| (*at, signs.iter().position(|it| it == sign)))
        else {
            left_out.push(format!("the matcher `{matcher}`"));
            continue;
        };
        let name = matcher[..at].trim().trim_matches('"');
        let value = matcher[at + sign.len()..].trim().trim_matches('"');
        let there = format!("{} in alert.labels", quoted(name));
        let guarded = |clause: String| {
            if name == "alertname" { clause } else { format!("(!({there}) || {clause})") }
        };
        all.push(match sign {
            "=" => equal(name, value),
            "!=" => guarded(format!("{} != {}", of(name), quoted(value))),
            "=~" => format!("{}.matches({})", of(name), regex(value)),
            _ => guarded(format!("!{}.matches({})", of(name), regex(value))),
        });
    }
    all
}

/// A route and those below it. `outer`: what must hold to come here; `lines`: what is inherited besides.
fn walk(route: &Node, outer: &[String], receiver: Option<&str>, lines: &[String], file: &mut File) {
    let mut left_out = vec![];
    let mut here = outer.to_vec();
    here.extend(clauses(route, &mut left_out));
    let receiver = text(route, "receiver").or(receiver);
    let mut own: Vec<String> =
        lines.iter().filter(|it| !it.starts_with("throttle")).cloned().collect();
    if let Some(repeat) = text(route, "repeat_interval").and_then(duration) {
        own.push(format!("throttle: {{once_within: {repeat}}}"));
    } else {
        own.extend(lines.iter().filter(|it| it.starts_with("throttle")).cloned());
    }
    for (key, word) in [("mute_time_intervals", "except"), ("active_time_intervals", "during")] {
        let names: Vec<String> = texts(route.value(key)).into_iter().map(named).collect();
        if !names.is_empty() {
            own.push(format!("{word}: [{}]", names.join(", ")));
        }
    }
    let mut before: Vec<String> = vec![];
    for child in items(route.value("routes")) {
        let mut inner = here.clone();
        inner.extend(before.iter().cloned());
        walk(child, &inner, receiver, &own, file);
        if text(child, "continue") != Some("true") {
            let all = clauses(child, &mut vec![]);
            // What the child takes does not come further.
            before.push(if all.is_empty() {
                "false".into()
            } else {
                format!("!({})", all.join(" && "))
            });
        }
    }
    here.extend(before);
    if here.iter().any(|clause| clause == "false") {
        return;
    }
    let Some(receiver) = receiver else {
        file.leave_out("a route", "it has no receiver");
        return;
    };
    file.rule(Rule {
        name: format!("route to {receiver}"),
        when: vec!["alertmanager.alert.firing".into()],
        clause: (!here.is_empty()).then(|| here.join(" && ")),
        lines: own,
        escalate: Some(named(receiver)),
        left_out,
        ..Rule::default()
    });
}

fn receiver(node: &Node, file: &mut File) {
    let Some(name) = text(node, "name") else { return };
    let policy = named(name);
    let mut contacts = vec![];
    for (kind, configs) in entries(Some(node)).filter(|(key, _)| *key != "name") {
        for (at, config) in items(Some(configs)).iter().enumerate() {
            let called =
                format!("{policy}-{}-{}", named(kind.trim_end_matches("_configs")), at + 1);
            let env = called.to_uppercase().replace('-', "_");
            let secret = |file: Option<&str>| match file {
                Some(path) => format!("{{file: {}}}", quoted(path)),
                None => format!("{{env: {env}}}"),
            };
            let road = match kind {
                "pagerduty_configs" => {
                    let key = secret(text(config, "routing_key_file"));
                    Some(format!("pagerduty: {{routing_key: {key}}}"))
                }
                "webhook_configs" => text(config, "url")
                    .filter(|url| url.starts_with("http") && !url.contains('@'))
                    .map(|url| format!("webhook: {{url: {}}}", quoted(url))),
                "slack_configs" => text(config, "channel").map(|channel| {
                    format!("slack: {{channel: {}, token: {}}}", quoted(channel), secret(None))
                }),
                _ => None,
            };
            match road {
                Some(road) => {
                    file.add("contacts", format!("{{name: {called}, {road}}}"));
                    contacts.push(called);
                }
                None => file
                    .leave_out(name, format!("its `{kind}`: choose another road to those people")),
            }
            if kind == "slack_configs" {
                file.leave_out(name, "its Slack web hook: a bot token is needed instead");
            }
        }
    }
    file.policy(&policy, &contacts);
}

/// A time interval as a window, where a window can say it.
fn interval(node: &Node, file: &mut File) {
    let Some(name) = text(node, "name") else { return };
    let parts = items(node.value("time_intervals"));
    let [part] = parts else {
        file.leave_out(name, "a time interval of several parts: write a window for each");
        return;
    };
    let strange = ["months", "years", "days_of_month"].iter().any(|key| part.value(key).is_some());
    if strange {
        file.leave_out(
            name,
            "a time interval by months, years or days of the month: write it with `cron`",
        );
    }
    let days: Vec<String> = items(part.value("weekdays"))
        .iter()
        .filter_map(scalar)
        .map(|days| days.replace(':', "-"))
        .collect();
    let mut keys = vec![format!("name: {}", named(name))];
    if !days.is_empty() {
        keys.push(format!("days: [{}]", days.join(", ")));
    }
    let times = items(part.value("times"));
    if times.len() > 1 {
        file.leave_out(name, "all but the first of its `times`");
    }
    match times.first().and_then(|time| Some((text(time, "start_time")?, text(time, "end_time")?)))
    {
        Some((from, to)) => {
            let to = if to == "24:00" { "00:00" } else { to };
            keys.push(format!("from: {}, to: {}", quoted(from), quoted(to)));
        }
        None if days.is_empty() => keys.push("from: \"00:00\", to: \"00:00\"".into()),
        None => {}
    }
    if let Some(zone) = text(part, "location") {
        keys.push(format!("zone: {zone}"));
    }
    file.add("windows", format!("{{{}}}", keys.join(", ")));
}
