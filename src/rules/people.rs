//! Policies and contacts. A secret stands in a file or in the environment, never in a rule file.

use super::diagnostic::{Code, Place};
use super::hours::list;
use super::names::Names;
use super::rule::word;
use super::shape;
use super::walk::{Entries, Faults, pairs, text};
use super::yaml::Node;
use crate::model::{Contact, Level, MailTls, Mailbox, Pager, Policy, Secret, Severity, Span};

/// Where a secret is to be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretRef {
    Env(String),
    File(String),
}

/// Reads a secret, or says in a few words why it cannot be had.
pub(super) type Secrets<'a> = &'a dyn Fn(&SecretRef) -> Result<Secret, String>;

pub(super) fn severities() -> [(&'static str, Severity); 4] {
    Severity::ALL.map(|it| (it.word(), it))
}

pub(super) fn policy(node: &Node, names: &Names<'_>, faults: &mut Faults) -> Option<Policy> {
    let entries = Entries::of(node, &shape::POLICY, faults)?;
    let levels: Vec<Level> = entries
        .list("levels", faults)
        .iter()
        .filter_map(|node| level(node, names, faults))
        .collect();
    if levels.is_empty() && entries.get("levels").is_some() {
        faults.add(Code::MissingKey, entries.place(), "an escalation needs at least one level");
    }
    Some(Policy {
        name: entries.text("name", faults)?,
        levels,
        rounds: entries.number("rounds", faults).unwrap_or(2).max(1),
        ack_expires: entries.span("ack_expires", faults).unwrap_or(Span::seconds(4 * 3600)),
        quiet: list(&entries, "quiet", names, faults),
        quiet_below: word(&entries, "quiet_below", &severities(), faults)
            .unwrap_or(Severity::Error),
    })
}

fn level(node: &Node, names: &Names<'_>, faults: &mut Faults) -> Option<Level> {
    let entries = Entries::of(node, &shape::LEVEL, faults)?;
    let contacts = entries.texts("contacts", faults);
    let called: Vec<&str> = names.contacts.iter().chain(&names.duties).copied().collect();
    for (contact, place) in &contacts {
        names.check("contact or duty", contact, &called, place, faults);
    }
    let evidence = entries.texts("evidence", faults);
    for (word, place) in &evidence {
        if !shape::EVIDENCE.contains(&word.as_str()) {
            let hint = super::diagnostic::suggest(word, shape::EVIDENCE.iter().copied());
            faults.add(Code::BadValue, place, format!("there is no evidence `{word}`")).hint =
                Some(hint);
        }
    }
    Some(Level {
        delay: entries.span("delay", faults).unwrap_or(Span::seconds(300)),
        contacts: contacts.into_iter().map(|(contact, _)| contact).collect(),
        evidence: evidence.into_iter().map(|(word, _)| word).collect(),
    })
}

pub(super) fn contact(
    node: &Node,
    names: &Names<'_>,
    secrets: Secrets<'_>,
    faults: &mut Faults,
) -> Option<Contact> {
    let entries = Entries::of(node, &shape::CONTACT, faults)?;
    let fallback = entries.text("fallback", faults);
    if let (Some(fallback), Some(node)) = (&fallback, entries.get("fallback")) {
        names.check("contact", fallback, &names.contacts, &node.place, faults);
    }
    let roads = [
        "console",
        "webhook",
        "pagerduty",
        "slack",
        "alertmanager",
        "opsgenie",
        "goalert",
        "email",
    ];
    let given: Vec<(&str, &Node)> =
        roads.iter().filter_map(|road| Some((*road, entries.get(road)?))).collect();
    let [(road, node)] = given.as_slice() else {
        let message = format!("a contact has exactly one of {}", roads.join(", "));
        faults.add(Code::Conflict, entries.place(), message);
        return None;
    };
    let pager = pager(road, node, secrets, faults)?;
    Some(Contact { name: entries.text("name", faults)?, pager, fallback })
}

fn pager(road: &str, node: &Node, secrets: Secrets<'_>, faults: &mut Faults) -> Option<Pager> {
    match road {
        "console" => Entries::of(node, &shape::CONSOLE, faults).map(|_| Pager::Console),
        "webhook" => {
            let entries = Entries::of(node, &shape::WEBHOOK, faults)?;
            let mut headers = std::collections::BTreeMap::new();
            for (name, value) in
                entries.get("headers").map(|node| pairs(node, faults)).unwrap_or_default()
            {
                headers
                    .extend(secret(value, secrets, faults).map(|value| (name.text.clone(), value)));
            }
            let sign = entries.get("sign").map(|node| secret(node, secrets, faults));
            // A signature that cannot be made is not left out.
            let sign = if let Some(read) = sign { Some(read?) } else { None };
            Some(Pager::Webhook { url: url(&entries, "url", faults)?, headers, sign })
        }
        "pagerduty" => {
            let entries = Entries::of(node, &shape::PAGERDUTY, faults)?;
            Some(Pager::PagerDuty {
                routing_key: secret(entries.get("routing_key")?, secrets, faults)?,
                url: url(&entries, "url", faults)
                    .unwrap_or_else(|| "https://events.pagerduty.com/v2/enqueue".into()),
            })
        }
        "slack" => slack(node, secrets, faults),
        "opsgenie" => {
            let entries = Entries::of(node, &shape::OPSGENIE, faults)?;
            let responders = entries.texts("responders", faults);
            Some(Pager::Opsgenie {
                api_key: secret(entries.get("api_key")?, secrets, faults)?,
                responders: responders.into_iter().map(|(team, _)| team).collect(),
                url: url(&entries, "url", faults)
                    .unwrap_or_else(|| "https://api.opsgenie.com".into()),
            })
        }
        "goalert" => {
            let entries = Entries::of(node, &shape::GOALERT, faults)?;
            Some(Pager::GoAlert {
                token: secret(entries.get("token")?, secrets, faults)?,
                url: url(&entries, "url", faults)?,
            })
        }
        "email" => mailbox(node, secrets, faults),
        _ => {
            let entries = Entries::of(node, &shape::ALERTMANAGER, faults)?;
            let urls = entries.texts("urls", faults);
            Some(Pager::Alertmanager { urls: urls.into_iter().map(|(url, _)| url).collect() })
        }
    }
}

fn slack(node: &Node, secrets: Secrets<'_>, faults: &mut Faults) -> Option<Pager> {
    let entries = Entries::of(node, &shape::SLACK, faults)?;
    let signing = entries.get("signing_secret").map(|it| secret(it, secrets, faults));
    let signing = if let Some(read) = signing { Some(read?) } else { None };
    Some(Pager::Slack {
        signing,
        token: secret(entries.get("token")?, secrets, faults)?,
        channel: entries.text("channel", faults)?,
        url: url(&entries, "url", faults)
            .unwrap_or_else(|| "https://slack.com/api/chat.postMessage".into()),
    })
}

fn mailbox(node: &Node, secrets: Secrets<'_>, faults: &mut Faults) -> Option<Pager> {
    let entries = Entries::of(node, &shape::EMAIL, faults)?;
    let words =
        [("starttls", MailTls::StartTls), ("wrapped", MailTls::Wrapped), ("off", MailTls::Off)];
    let tls = word(&entries, "tls", &words, faults).unwrap_or_default();
    let to: Vec<(String, &Place)> = entries.texts("to", faults);
    let from = entries.text("from", faults)?;
    let sender = entries.get("from").map_or(entries.place(), |node| &node.place);
    let all = to.iter().map(|(address, place)| (address.as_str(), *place));
    for (address, place) in all.chain([(from.as_str(), sender)]) {
        let good = address.split_once('@').is_some_and(|(user, host)| {
            !user.is_empty() && !host.is_empty() && !address.contains(char::is_whitespace)
        });
        if !good {
            faults.add(Code::BadValue, place, format!("`{address}` is not an address"));
        }
    }
    let server = entries.text("server", faults)?;
    let usual = match tls {
        MailTls::StartTls => 587,
        MailTls::Wrapped => 465,
        MailTls::Off => 25,
    };
    let (host, port) = match server.rsplit_once(':') {
        Some((host, port)) => (host.to_owned(), port.parse().ok()),
        None => (server.clone(), Some(usual)),
    };
    let Some(port) = port.filter(|_| !host.is_empty()) else {
        let place = entries.get("server").map_or(entries.place(), |node| &node.place);
        faults.add(Code::BadValue, place, format!("`{server}` is not HOST or HOST:PORT"));
        return None;
    };
    let local = matches!(host.as_str(), "localhost" | "127.0.0.1" | "[::1]");
    if let (MailTls::Off, false, Some(node)) = (tls, local, entries.get("tls")) {
        let message = "without TLS a mail goes no further than this machine";
        faults.add(Code::BadValue, &node.place, message).hint =
            Some("take starttls or wrapped, or a relay on localhost".into());
    }
    let login = match (entries.text("user", faults), entries.get("password")) {
        (Some(user), Some(node)) => Some((user, secret(node, secrets, faults)?)),
        (None, None) => None,
        _ => {
            faults.add(Code::Conflict, entries.place(), "`user` and `password` go together");
            return None;
        }
    };
    let to = to.into_iter().map(|(address, _)| address).collect();
    Some(Pager::Email(Box::new(Mailbox { server: host, port, tls, login, from, to })))
}

fn url(entries: &Entries<'_>, key: &str, faults: &mut Faults) -> Option<String> {
    let url = entries.text(key, faults)?;
    if !url.starts_with("https://") && !url.starts_with("http://") {
        faults.add(
            Code::BadValue,
            &entries.get(key)?.place,
            "a URL starts with https:// or http://",
        );
    }
    Some(url)
}

fn secret(node: &Node, secrets: Secrets<'_>, faults: &mut Faults) -> Option<Secret> {
    let plain = matches!(&node.kind, super::yaml::Kind::Scalar { .. }) && !node.is_null();
    if plain {
        let hint = "write {env: NAME} or {file: PATH}; a secret in a rule file is read by everyone";
        faults.add(Code::Secret, &node.place, "a secret is given by reference").hint =
            Some(hint.into());
        return None;
    }
    let entries = Entries::of(node, &shape::SECRET, faults)?;
    let reference = match (entries.get("env"), entries.get("file")) {
        (Some(node), None) => SecretRef::Env(text(node, faults)?.into()),
        (None, Some(node)) => SecretRef::File(text(node, faults)?.into()),
        _ => {
            faults.add(Code::Secret, &node.place, "a secret is either {env: NAME} or {file: PATH}");
            return None;
        }
    };
    match secrets(&reference) {
        Ok(secret) => Some(secret),
        Err(why) => {
            faults.add(Code::Secret, &node.place, why);
            None
        }
    }
}
