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
    walk(route, &[], None, None, file);
}

/// One matcher: label, whether it must match, and a pattern instead of a text.
struct Matcher {
    name: String,
    value: String,
    negated: bool,
    pattern: bool,
}

impl Matcher {
    /// `name="value"`
    fn read(text: &str) -> Option<Matcher> {
        let signs =
            [("=~", false, true), ("!~", true, true), ("!=", true, false), ("=", false, false)];
        let found = signs.iter().filter_map(|sign| Some((text.find(sign.0)?, *sign)));
        // Of two at the same place the longer one.
        let (at, (sign, negated, pattern)) =
            found.min_by_key(|(at, sign)| (*at, 2 - sign.0.len()))?;
        let clean = |text: &str| text.trim().trim_matches('"').to_owned();
        let (name, value) = (clean(&text[..at]), clean(&text[at + sign.len()..]));
        let word = |c: char| c == '_' || c.is_alphanumeric();
        (!name.is_empty() && name.chars().all(word)).then_some(Matcher {
            name,
            value,
            negated,
            pattern,
        })
    }

    /// As a clause. Alertmanager takes a label that is not there for an empty one; with us it has no answer, so
    /// the clause asks for it first.
    fn clause(&self) -> Option<String> {
        let pattern = format!("^(?:{})$", self.value);
        let of_nothing = match self.pattern {
            true => regex_lite::Regex::new(&pattern).ok()?.is_match(""),
            false => self.value.is_empty(),
        };
        if self.name == "alertname" {
            let not = if self.negated { "!" } else { "" };
            return Some(match self.pattern {
                true => format!("{not}alert.name.matches({})", quoted(&pattern)),
                false => format!("{not}(alert.name == {})", quoted(&self.value)),
            });
        }
        let (there, of) = (
            format!("{} in alert.labels", quoted(&self.name)),
            format!("alert.labels[{}]", quoted(&self.name)),
        );
        let sign = if self.negated { "!=" } else { "==" };
        let not = if self.negated { "!" } else { "" };
        let asks = match self.pattern {
            true => format!("{not}{of}.matches({})", quoted(&pattern)),
            false => format!("{of} {sign} {}", quoted(&self.value)),
        };
        Some(match of_nothing != self.negated {
            true => format!("(!({there}) || {asks})"),
            false => format!("({there} && {asks})"),
        })
    }
}

/// `{a="b", c=~"d"}` in its parts.
fn parts(text: &str) -> Vec<String> {
    let text = text.trim().trim_start_matches('{').trim_end_matches('}');
    let (mut all, mut quote) = (vec![String::new()], false);
    for c in text.chars() {
        quote ^= c == '"';
        match (c, all.last_mut()) {
            (',', _) if !quote => all.push(String::new()),
            (c, Some(last)) => last.push(c),
            (_, None) => {}
        }
    }
    all.retain(|part| !part.trim().is_empty());
    all
}

/// Matchers of a route as clauses.
fn clauses(route: &Node, left_out: &mut Vec<String>) -> Vec<String> {
    let mut all = vec![];
    for (key, pattern) in [("match", false), ("match_re", true)] {
        for (name, value) in entries(route.value(key)) {
            let value = scalar(value).unwrap_or_default().to_owned();
            all.extend(Matcher { name: name.to_owned(), value, negated: false, pattern }.clause());
        }
    }
    for written in items(route.value("matchers")).iter().filter_map(scalar) {
        for part in parts(written) {
            match Matcher::read(&part).and_then(|matcher| matcher.clause()) {
                Some(clause) => all.push(clause),
                // Without it the rule would match more: it matches nothing until somebody puts it right.
                None => {
                    left_out.push(format!("the matcher `{part}`"));
                    all.push("alert.name == \"not carried over\"".into());
                }
            }
        }
    }
    all
}

/// A route and those below it. `outer`: what must hold to come here.
fn walk(
    route: &Node,
    outer: &[String],
    receiver: Option<&str>,
    repeat: Option<&str>,
    file: &mut File,
) {
    let mut left_out = vec![];
    let mut here = outer.to_vec();
    here.extend(clauses(route, &mut left_out));
    let receiver = text(route, "receiver").or(receiver);
    let repeat = text(route, "repeat_interval").or(repeat);
    let mut lines = vec![];
    lines.extend(
        repeat
            .and_then(duration)
            .map(|time| format!("throttle: {{once_within: {time}, by: alert.fingerprint}}")),
    );
    // Not inherited by the routes below.
    for (key, word) in [("mute_time_intervals", "except"), ("active_time_intervals", "during")] {
        let names: Vec<String> = texts(route.value(key)).into_iter().map(named).collect();
        if !names.is_empty() {
            lines.push(format!("{word}: [{}]", names.join(", ")));
        }
    }
    let (mut before, mut taken): (Vec<String>, Vec<String>) = (vec![], vec![]);
    for child in items(route.value("routes")) {
        let mut inner = here.clone();
        inner.extend(before.iter().cloned());
        walk(child, &inner, receiver, repeat, file);
        let all = clauses(child, &mut vec![]);
        let not = if all.is_empty() { "false".into() } else { format!("!({})", all.join(" && ")) };
        // What a child takes does not come to its parent, and further only where it says so.
        taken.push(not.clone());
        if text(child, "continue") != Some("true") {
            before.push(not);
        }
    }
    here.extend(taken);
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
        lines,
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
                // A path is as good as a password.
                "webhook_configs" => text(config, "url").and_then(host).map(|host| {
                    file.leave_out(
                        name,
                        "the path of its web hook, which may be a secret: put it in",
                    );
                    format!("webhook: {{url: {}}}", quoted(&host))
                }),
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

/// Scheme and host of a URL.
fn host(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let host = rest.split(['/', '?', '#']).next()?.rsplit('@').next()?;
    matches!(scheme, "http" | "https").then(|| format!("{scheme}://{host}/"))
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
