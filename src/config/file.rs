//! The configuration file as it is written: the log's servers, the lease, other people's events. All faults at once.

mod aws;
mod evidence;
mod heartbeat;
mod kubernetes;
mod policy;

use super::{Format, LeaseKind, Nats, NatsIdentity, Settings, SubjectSource};
use crate::model::{Mapping, Template, TimeUnit};
use crate::rules::reading::{Entries, Faults, Node, Of, Shape, key, must, parse, text};
use crate::rules::{Code, Diagnostic, Source};
use std::{path::PathBuf, sync::Arc, time::Duration};

static FILE: Shape = Shape {
    name: "the configuration",
    fields: &[
        key("nats", Of::Mapping(&NATS), "The log on NATS JetStream."),
        key("lease", Of::Words(&["nats", "kubernetes"]), "Where the lease is kept. Default nats."),
        key("sources", Of::List(&SOURCE), "Subjects with other people's events."),
        key("aws", Of::Mapping(&aws::AWS), "Where AWS is, and the queues with what it says."),
        key(
            "kubernetes",
            Of::Mapping(&kubernetes::KUBERNETES),
            "What else of the cluster is followed, where rules ask for it.",
        ),
        key(
            "evidence",
            Of::Mapping(&evidence::EVIDENCE),
            "What pages carry: logs, links to dashboards, graphs.",
        ),
        key(
            "heartbeat",
            Of::Mapping(&heartbeat::HEARTBEAT),
            "Whom the active replica tells that it lives. Who hears nothing for a while calls people.",
        ),
        key(
            "policy",
            Of::Mapping(&policy::POLICY),
            "What is asked of every rule, checked when rules are loaded.",
        ),
    ],
};

static NATS: Shape = Shape {
    name: "`nats`",
    fields: &[
        must("servers", Of::Texts, "nats://host:4222; any of them will do."),
        key("credentials_file", Of::Text, "JWT and seed."),
        key("nkey_file", Of::Text, "The seed of an nkey."),
        key("token_file", Of::Text, "A token."),
        key("user", Of::Text, "With password_file."),
        key("password_file", Of::Text, "With user."),
        key("ca_file", Of::Text, "Authority of the servers, PEM. Demands TLS."),
        key("cert_file", Of::Text, "Our certificate, PEM."),
        key("key_file", Of::Text, "Its key, PEM."),
        key("replicas", Of::Number, "Copies of every stream: 1, 3 or 5. Default 1."),
        key("max_age", Of::Duration, "Records older than this go. Default 14d."),
        key(
            "max_bytes",
            Of::Text,
            "The log grows no larger: 50GiB. Default: as the server allows.",
        ),
        key("duplicates", Of::Duration, "An id seen within this time is a duplicate. Default 10m."),
        key(
            "copies",
            Of::Duration,
            "Decisions, outcomes and dead letters are kept this long beside the log; 0s: not. Default 365d.",
        ),
    ],
};

static SOURCE: Shape = Shape {
    name: "a source",
    fields: &[
        must("name", Of::Text, "Unique. The events' source is nats/<name>."),
        must("subject", Of::Text, "May have wildcards: dcgm.health.>"),
        key(
            "stream",
            Of::Text,
            "The JetStream stream with that subject: nothing is missed. Without one: what comes while nobody listens is lost.",
        ),
        key("format", Of::Words(&["cloudevents", "json"]), "Default cloudevents."),
        key("map", Of::Mapping(&MAP), "For json: where the parts of the event stand."),
    ],
};

static MAP: Shape = Shape {
    name: "`map`",
    fields: &[
        must("type", Of::Text, "gpu.{check.name}: what is in braces is looked up in the message."),
        must("target", Of::Text, "node/{host}"),
        key("id", Of::Text, "Default: the hash of the message."),
        key("time", Of::Text, "Default: when it came."),
        key("time_unit", Of::Words(TimeUnit::WORDS), "Default rfc3339."),
        key("tenant", Of::Text, ""),
        key("deadline", Of::Text, ""),
    ],
};

/// Reads the configuration.
///
/// # Errors
/// Every fault, with its place.
pub fn load(source: &Arc<Source>) -> Result<Settings, Vec<Diagnostic>> {
    let mut faults = Faults::default();
    let documents = parse(source, &mut faults.0);
    let mut settings = Settings::default();
    for document in &documents {
        let Some(entries) = Entries::of(document, &FILE, &mut faults) else { continue };
        settings.nats = entries.get("nats").and_then(|node| nats(node, &mut faults));
        if let Some(node) = entries.get("aws") {
            settings.aws = aws::aws(node, &mut faults);
        }
        if let Some(node) = entries.get("kubernetes") {
            settings.kubernetes = kubernetes::kubernetes(node, &mut faults);
        }
        if let Some(node) = entries.get("evidence") {
            settings.evidence = evidence::evidence(node, &mut faults);
        }
        settings.heartbeat =
            entries.get("heartbeat").and_then(|node| heartbeat::heartbeat(node, &mut faults));
        if let Some(node) = entries.get("policy") {
            settings.policy = policy::policy(node, &mut faults);
        }
        let lease = words(&entries, "lease", &["nats", "kubernetes"], &mut faults);
        settings.lease = match lease.as_deref() {
            Some("kubernetes") => LeaseKind::Kubernetes,
            _ => LeaseKind::Nats,
        };
        for node in entries.list("sources", &mut faults) {
            if let Some(source) = subject(node, &mut faults) {
                if settings.sources.iter().any(|other| other.name == source.name) {
                    let message = format!("the source `{}` is there twice", source.name);
                    faults.add(Code::Duplicate, &node.place, message);
                }
                settings.sources.push(source);
            }
        }
        if settings.nats.is_none() && !settings.sources.is_empty() {
            faults.add(
                Code::MissingKey,
                &document.place,
                "`sources` come from NATS: `nats` is missing",
            );
        }
    }
    if faults.0.is_empty() { Ok(settings) } else { Err(faults.0) }
}

fn words(entries: &Entries<'_>, key: &str, known: &[&str], faults: &mut Faults) -> Option<String> {
    let node = entries.get(key)?;
    let word = text(node, faults)?;
    if known.contains(&word) {
        return Some(word.to_owned());
    }
    let message = format!("`{word}` is none of {}", known.join(", "));
    faults.add(Code::BadValue, &node.place, message);
    None
}

fn nats(node: &Node, faults: &mut Faults) -> Option<Nats> {
    let entries = Entries::of(node, &NATS, faults)?;
    let path = |key: &str, faults: &mut Faults| entries.text(key, faults).map(PathBuf::from);
    let servers: Vec<String> =
        entries.texts("servers", faults).into_iter().map(|(server, _)| server).collect();
    if servers.is_empty() && entries.get("servers").is_some() {
        faults.add(Code::MissingKey, entries.place(), "`servers` names at least one");
    }
    let replicas = entries.number("replicas", faults).unwrap_or(1);
    if ![1, 3, 5].contains(&replicas) {
        let place = entries.get("replicas").map_or(entries.place(), |node| &node.place);
        faults.add(Code::BadValue, place, "`replicas` is 1, 3 or 5");
    }
    let own = (path("cert_file", faults), path("key_file", faults));
    let certificate = match own {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        _ => {
            faults.add(Code::MissingKey, entries.place(), "`cert_file` and `key_file` go together");
            None
        }
    };
    let bytes = entries.get("max_bytes").and_then(|node| {
        let size = text(node, faults)?;
        let read = size_of(size);
        if read.is_none() {
            let message = format!("`{size}` is no size; write 50GiB, 500MiB or a number of bytes");
            faults.add(Code::BadValue, &node.place, message);
        }
        read
    });
    let defaults = Nats::default();
    let span = |key: &str, default: Duration, faults: &mut Faults| {
        entries.span(key, faults).map_or(default, |span| span.0)
    };
    Some(Nats {
        servers,
        identity: identity(&entries, faults),
        ca: path("ca_file", faults),
        certificate,
        replicas: replicas as usize,
        max_age: span("max_age", defaults.max_age, faults),
        max_bytes: bytes.unwrap_or(defaults.max_bytes),
        duplicates: span("duplicates", defaults.duplicates, faults),
        copies: span("copies", defaults.copies, faults),
    })
}

fn identity(entries: &Entries<'_>, faults: &mut Faults) -> NatsIdentity {
    let mut path = |key: &str| entries.text(key, faults).map(PathBuf::from);
    let (credentials, nkey) = (path("credentials_file"), path("nkey_file"));
    let (token, password) = (path("token_file"), path("password_file"));
    let user = entries.text("user", faults);
    match (credentials, nkey, token, user, password) {
        (None, None, None, None, None) => NatsIdentity::Nobody,
        (Some(file), None, None, None, None) => NatsIdentity::Credentials(file),
        (None, Some(file), None, None, None) => NatsIdentity::Nkey(file),
        (None, None, Some(file), None, None) => NatsIdentity::Token(file),
        (None, None, None, Some(user), Some(file)) => NatsIdentity::User(user, file),
        _ => {
            let message = "one way to say who we are: credentials_file, nkey_file, token_file, or user with password_file";
            faults.add(Code::BadValue, entries.place(), message);
            NatsIdentity::Nobody
        }
    }
}

/// Bytes with a unit of 1024.
fn size_of(size: &str) -> Option<u64> {
    let end = size.find(|c: char| !c.is_ascii_digit()).unwrap_or(size.len());
    let number: u64 = size[..end].parse().ok()?;
    let shift = match size[end..].trim() {
        "" | "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        "TiB" => 40,
        _ => return None,
    };
    number.checked_mul(1 << shift)
}

fn subject(node: &Node, faults: &mut Faults) -> Option<SubjectSource> {
    let entries = Entries::of(node, &SOURCE, faults)?;
    let json =
        words(&entries, "format", &["cloudevents", "json"], faults).as_deref() == Some("json");
    let map = entries.get("map").map(|node| (node, mapping(node, faults)));
    let format = match (json, map) {
        (true, Some((_, map))) => Format::Json(Box::new(map?)),
        (true, None) => {
            faults.add(
                Code::MissingKey,
                entries.place(),
                "json needs `map`: it says where the parts of the event stand",
            );
            return None;
        }
        (false, Some((node, _))) => {
            faults.add(
                Code::BadValue,
                &node.place,
                "`map` is for `format: json`; CloudEvents say it themselves",
            );
            return None;
        }
        (false, None) => Format::CloudEvents,
    };
    Some(SubjectSource {
        name: entries.text("name", faults)?,
        subject: entries.text("subject", faults)?,
        stream: entries.text("stream", faults),
        format,
    })
}

fn mapping(node: &Node, faults: &mut Faults) -> Option<Mapping> {
    let entries = Entries::of(node, &MAP, faults)?;
    let template = |key: &str, faults: &mut Faults| -> Option<Template> {
        let node = entries.get(key)?;
        let parsed = text(node, faults)?.parse();
        parsed.map_err(|bad| faults.add(Code::BadValue, &node.place, format!("{bad}"))).ok()
    };
    let unit = words(&entries, "time_unit", TimeUnit::WORDS, faults);
    Some(Mapping {
        kind: template("type", faults)?,
        target: template("target", faults)?,
        id: template("id", faults),
        time: template("time", faults),
        unit: unit.and_then(|word| TimeUnit::from_word(&word)).unwrap_or_default(),
        tenant: template("tenant", faults),
        deadline: template("deadline", faults),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Settings, Vec<String>> {
        let source = Arc::new(Source { path: "c.yaml".into(), text: text.into() });
        load(&source).map_err(|faults| faults.iter().map(Diagnostic::line).collect())
    }

    #[test]
    fn everything_that_can_be_said_is_understood() {
        let settings = read(
            "nats:\n  servers: [nats://a:4222, nats://b:4222]\n  replicas: 3\n  max_bytes: 2GiB\n  token_file: /t\n\
             lease: kubernetes\nsources:\n  - name: dcgm\n    subject: dcgm.>\n    format: json\n    map:\n      type: gpu.{kind}\n      target: node/{host}\n",
        )
        .unwrap();
        let nats = settings.nats.unwrap();
        assert_eq!((nats.servers.len(), nats.replicas, nats.max_bytes), (2, 3, 2 << 30));
        assert_eq!(nats.identity, NatsIdentity::Token("/t".into()));
        assert_eq!((settings.lease, settings.sources.len()), (LeaseKind::Kubernetes, 1));
    }

    #[test]
    fn all_faults_at_once_with_their_places() {
        let faults = read(
            "nats:\n  servers: nats://a:4222\n  replica: 3\n  max_bytes: lots\n  token_file: a\n  user: b\n\
             sources:\n  - name: x\n    subject: y\n    format: json\n",
        )
        .unwrap_err();
        let text = faults.join("\n");
        for part in [
            "c.yaml:3:3",
            "did you mean `replicas`",
            "c.yaml:4:14",
            "one way to say",
            "json needs `map`",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
    }
}
