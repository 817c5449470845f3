//! The checkpoint handshake as values: how a workload is asked, what it answers, and how far it has come.

use super::{Id, Pod, Span};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};

/// The pod's annotation by which a workload says how it is asked; others of this prefix say the rest.
pub const ASKED_BY: &str = "medevac.dev/checkpoint";
/// What is asked, put on the pod: `{"id", "at", "by"}` as JSON.
pub const REQUEST: &str = "medevac.dev/checkpoint-request";
/// What has come of it, put there by the workload or by whoever heard its answer: JSON, see [`Said`].
pub const STATE: &str = "medevac.dev/checkpoint-state";
/// Annotations by which workloads tell when they last had a checkpoint: RFC 3339.
const LAST: [&str; 2] = ["medevac.dev/last-checkpoint-time", "volcano.sh/last-checkpoint-time"];

/// How a workload is asked for a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum Transport {
    /// The request is an annotation, and so is the answer.
    Annotation,
    /// A program of its own, run in its container. It exits with 0 once the checkpoint is durable.
    Exec { command: Vec<String> },
    /// POST to the pod's own address.
    Http { port: u16, path: String },
    /// A signal to process 1 of its container, as torchrun and SLURM have it.
    Signal { signal: String },
    /// A request on NATS.
    Nats { subject: String },
}

/// What proves that a checkpoint is durable.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "proof", rename_all = "snake_case")]
pub enum Proof {
    /// The workload says so.
    #[default]
    Answer,
    /// This file in its container is newer than the request.
    File { path: String },
}

/// How one workload is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Means {
    pub transport: Transport,
    #[serde(default)]
    pub proof: Proof,
    /// Of a pod with several containers. Default: the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// Every member of a gang is asked, and not its first alone.
    pub all: bool,
    /// Where no deadline is nearer, it has so long.
    pub timeout: Span,
}

/// Where nothing else is said.
const TIMEOUT: Span = Span::seconds(600);
const PORT: u16 = 8080;
const PATH: &str = "/checkpoint";
const SIGNALS: [&str; 6] = ["USR1", "USR2", "TERM", "INT", "HUP", "QUIT"];
/// Words of a command, and bytes of each.
const MOST_WORDS: usize = 32;
const LONGEST_WORD: usize = 1024;

/// Means for workloads that nobody may edit, matched by namespace and labels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    pub name: String,
    /// Empty: any.
    pub namespaces: Vec<String>,
    pub labels: BTreeMap<String, String>,
    pub means: Means,
}

impl Profile {
    fn fits(&self, pod: &Pod) -> bool {
        let here = self.namespaces.is_empty() || self.namespaces.contains(&pod.namespace);
        here && self.labels.iter().all(|(key, value)| pod.labels.get(key) == Some(value))
    }
}

impl Means {
    /// How that pod is asked: as its annotations say, else by the first profile that fits. None: it is not.
    ///
    /// # Errors
    /// What is wrong with its annotations.
    pub fn of(pod: &Pod, profiles: &[Profile]) -> Option<Result<Means, String>> {
        match pod.annotations.get(ASKED_BY).map(String::as_str) {
            Some("none" | "false") => None,
            Some(word) => {
                let say = |name: &str| pod.annotations.get(&format!("{ASKED_BY}-{name}")).cloned();
                Some(Means::read(word, &say))
            }
            None => profiles.iter().find(|it| it.fits(pod)).map(|it| Ok(it.means.clone())),
        }
    }

    /// Reads means from a word for the transport, and what is said beside it.
    ///
    /// # Errors
    /// What is missing or cannot be used.
    pub fn read(word: &str, say: &dyn Fn(&str) -> Option<String>) -> Result<Means, String> {
        let transport = match word {
            "annotation" => Transport::Annotation,
            "exec" => Transport::Exec { command: command(say("command"))? },
            "http" => http(say)?,
            "signal" => {
                let signal = say("signal").unwrap_or_else(|| "USR1".into());
                let signal = signal.strip_prefix("SIG").unwrap_or(&signal).to_owned();
                if !SIGNALS.contains(&signal.as_str()) {
                    return Err(format!("`signal` is one of {}", SIGNALS.join(", ")));
                }
                Transport::Signal { signal }
            }
            "nats" => Transport::Nats { subject: subject(say("subject"))? },
            other => {
                let other: String = other.chars().filter(|c| !c.is_control()).take(40).collect();
                return Err(format!(
                    "`{other}` is no way to ask: exec, http, signal, annotation or nats"
                ));
            }
        };
        let proof = match say("file") {
            Some(path) if path.starts_with('/') && path.len() <= LONGEST_WORD => {
                Proof::File { path }
            }
            Some(_) => return Err("`file` is an absolute path".into()),
            None => Proof::Answer,
        };
        let all = match say("ask").as_deref() {
            None | Some("all") => true,
            Some("leader") => false,
            Some(_) => return Err("`ask` is all or leader".into()),
        };
        let timeout = match say("timeout") {
            Some(text) => text.parse().map_err(|bad: super::BadSpan| bad.to_string())?,
            None => TIMEOUT,
        };
        Ok(Means { transport, proof, container: say("container"), all, timeout })
    }
}

fn command(given: Option<String>) -> Result<Vec<String>, String> {
    let given = given.unwrap_or_default();
    // A list as JSON, or words: no shell comes near it.
    let words: Vec<String> = match serde_json::from_str::<Vec<String>>(&given) {
        Ok(words) => words,
        Err(_) => given.split_whitespace().map(str::to_owned).collect(),
    };
    match words.len() {
        0 => Err("exec needs `command`: the program and its arguments".into()),
        1..=MOST_WORDS if words.iter().all(|word| word.len() <= LONGEST_WORD) => Ok(words),
        _ => Err(format!("a command has at most {MOST_WORDS} words of {LONGEST_WORD} bytes")),
    }
}

fn http(say: &dyn Fn(&str) -> Option<String>) -> Result<Transport, String> {
    let port = match say("port") {
        Some(text) => text.parse::<u16>().ok().filter(|port| *port > 0),
        None => Some(PORT),
    };
    let path = say("path").unwrap_or_else(|| PATH.into());
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
    if !path.starts_with('/') || path.starts_with("//") || !path.bytes().all(plain) {
        return Err("`path` starts with / and has letters, digits and /-._~ only".into());
    }
    Ok(Transport::Http { port: port.ok_or("`port` is 1 to 65535")?, path })
}

fn subject(given: Option<String>) -> Result<String, String> {
    let subject = given.ok_or("nats needs `subject`")?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let ours = subject.starts_with("medevac.") || subject.starts_with("medevac-feed.");
    match subject.bytes().all(plain) && !subject.split('.').any(str::is_empty) && !ours {
        true => Ok(subject),
        false => Err("`subject` has words of letters, digits, - and _ with dots between them, and is none of ours".into()),
    }
}

/// How far one handshake has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Handshake {
    Requested {
        at: Timestamp,
    },
    /// The workload has begun.
    Acknowledged {
        at: Timestamp,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ready_at: Option<Timestamp>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        bytes: Option<u64>,
    },
    Durable {
        /// Where it is, as the workload calls it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reference: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        step: Option<u64>,
        /// From the request. None: it was fresh enough, and nobody was asked.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        took: Option<Span>,
    },
    /// It did not become durable in time.
    Expired {
        why: String,
        /// Since the last checkpoint that is known, over all members.
        lost: Span,
    },
}

impl Handshake {
    /// Nothing more is waited for.
    pub fn is_over(&self) -> bool {
        matches!(self, Handshake::Durable { .. } | Handshake::Expired { .. })
    }

    pub fn word(&self) -> &'static str {
        match self {
            Handshake::Requested { .. } => "requested",
            Handshake::Acknowledged { .. } => "acknowledged",
            Handshake::Durable { .. } => "durable",
            Handshake::Expired { .. } => "expired",
        }
    }
}

/// What a workload says of its checkpoint: in an annotation, a body or the last line of a program's output.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Said {
    pub durable: bool,
    /// Seconds from now.
    pub eta: Option<u64>,
    pub bytes: Option<u64>,
    pub reference: Option<String>,
    pub step: Option<u64>,
    /// When it was true.
    pub at: Option<Timestamp>,
    /// Of the request that it answers.
    pub id: Option<String>,
}

/// Bytes of a reference that are kept.
const REFERENCE: usize = 1024;

impl Said {
    /// Reads `{"state": "acknowledged" | "durable", "eta": "45s", "bytes": n, "reference": "…", "step": n, "at": "…"}`.
    pub fn read(text: &str) -> Option<Said> {
        let value: serde_json::Value = serde_json::from_str(text.trim()).ok()?;
        let state = value.get("state")?.as_str()?;
        if !matches!(state, "requested" | "acknowledged" | "durable") {
            return None;
        }
        let number = |key: &str| value.get(key).and_then(serde_json::Value::as_u64);
        let eta = value.get("eta").and_then(|eta| match eta.as_str() {
            Some(text) => text.parse::<Span>().ok().map(|span| span.0.as_secs()),
            None => eta.as_u64(),
        });
        let reference = value.get("reference").and_then(serde_json::Value::as_str);
        let clean = |text: &str| text.chars().filter(|c| !c.is_control()).take(REFERENCE).collect();
        Some(Said {
            durable: state == "durable",
            eta: eta.filter(|seconds| *seconds < 86_400),
            bytes: number("bytes"),
            reference: reference.map(clean),
            step: number("step"),
            at: value.get("at").and_then(|at| at.as_str()?.parse().ok()),
            id: value.get("id").and_then(|id| id.as_str()).map(clean),
        })
    }
}

impl Pod {
    /// What it says itself of its checkpoint.
    pub fn says_of_checkpoint(&self) -> Option<Said> {
        self.annotations.get(STATE).and_then(|text| Said::read(text))
    }

    /// When it last had a durable checkpoint, as far as it says.
    pub fn last_checkpoint(&self) -> Option<Timestamp> {
        let said = self.says_of_checkpoint().filter(|said| said.durable).and_then(|said| said.at);
        self.told_of_checkpoint().into_iter().chain(said).max()
    }

    /// The same, by the annotations that it has of itself.
    pub fn told_of_checkpoint(&self) -> Option<Timestamp> {
        LAST.iter().filter_map(|key| self.annotations.get(*key)?.parse().ok()).max()
    }

    /// The request that it carries: id and when it was made.
    pub fn checkpoint_asked(&self) -> Option<(String, Timestamp)> {
        let value: serde_json::Value = serde_json::from_str(self.annotations.get(REQUEST)?).ok()?;
        Some((value["id"].as_str()?.to_owned(), value["at"].as_str()?.parse().ok()?))
    }
}

/// What a workload's checkpoints have taken before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Learned {
    pub takes: Span,
    pub at: Timestamp,
}

/// Where it is kept what a unit's checkpoints took.
pub fn learned_key(unit: &str) -> Id {
    Id::of(&["learned", unit])
}

impl Learned {
    /// One more was seen: a slower one counts at once, a faster one by and by.
    pub fn and(before: Option<Learned>, took: Span, at: Timestamp) -> Learned {
        let old = before.map_or(took.0, |it| it.takes.0);
        let takes = if took.0 >= old { took.0 } else { (old * 3 + took.0) / 4 };
        Learned { takes: Span(takes), at }
    }
}

/// Work of so many since `since`: what is lost with them at `now`.
pub fn work_since(since: Option<Timestamp>, members: usize, now: Timestamp) -> Span {
    const MOST: SignedDuration = SignedDuration::from_hours(24 * 365);
    let each = since.map_or(SignedDuration::ZERO, |since| now.duration_since(since).min(MOST));
    let each = Duration::try_from(each).unwrap_or_default();
    Span(
        Duration::from_secs(each.as_secs())
            .saturating_mul(u32::try_from(members).unwrap_or(u32::MAX)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(annotations: &[(&str, &str)]) -> Pod {
        let pair = |(key, value): &(&str, &str)| (format!("{ASKED_BY}{key}"), (*value).to_owned());
        Pod {
            namespace: "ns".into(),
            annotations: annotations.iter().map(pair).collect(),
            ..Pod::default()
        }
    }

    #[test]
    fn a_workload_says_how_it_is_asked() {
        let transport = |annotations: &[(&str, &str)]| {
            Means::of(&pod(annotations), &[]).unwrap().map(|means| means.transport)
        };
        let words = |all: &[&str]| all.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let exec = |command| Transport::Exec { command };
        assert_eq!(transport(&[("", "annotation")]), Ok(Transport::Annotation));
        assert_eq!(
            transport(&[("", "exec"), ("-command", "save --now")]),
            Ok(exec(words(&["save", "--now"])))
        );
        assert_eq!(
            transport(&[("", "exec"), ("-command", r#"["sh", "-c", "a b"]"#)]),
            Ok(exec(words(&["sh", "-c", "a b"])))
        );
        assert_eq!(
            transport(&[("", "http")]),
            Ok(Transport::Http { port: 8080, path: "/checkpoint".into() })
        );
        assert_eq!(
            transport(&[("", "signal"), ("-signal", "SIGUSR2")]),
            Ok(Transport::Signal { signal: "USR2".into() })
        );
        let nats = Transport::Nats { subject: "ckpt.llm".into() };
        assert_eq!(transport(&[("", "nats"), ("-subject", "ckpt.llm")]), Ok(nats));
        for (bad, word) in [
            (vec![("", "mail")], "mail"),
            (vec![("", "exec")], "command"),
            (vec![("", "http"), ("-port", "99999")], "port"),
            (vec![("", "http"), ("-path", "//evil.example/x")], "path"),
            (vec![("", "http"), ("-path", "/x?y@z")], "path"),
            (vec![("", "signal"), ("-signal", "KILL; rm")], "signal"),
            (vec![("", "nats"), ("-subject", "medevac.events.x")], "subject"),
            (vec![("", "nats"), ("-subject", "a.>")], "subject"),
            (vec![("", "annotation"), ("-timeout", "soon")], "soon"),
            (vec![("", "annotation"), ("-file", "../x")], "file"),
        ] {
            assert!(transport(&bad).unwrap_err().contains(word), "{bad:?}");
        }
        assert_eq!(Means::of(&pod(&[("", "none")]), &[]), None);
    }

    #[test]
    fn a_profile_speaks_for_those_that_nobody_may_edit() {
        let means = Means::read("annotation", &|_| None).unwrap();
        let labels = [("app".to_owned(), "llm".to_owned())].into();
        let profile = Profile {
            name: "p".into(),
            namespaces: vec!["ns".into()],
            labels,
            means: means.clone(),
        };
        let mut of = pod(&[]);
        assert_eq!(Means::of(&of, std::slice::from_ref(&profile)), None);
        of.labels.insert("app".into(), "llm".into());
        assert_eq!(Means::of(&of, std::slice::from_ref(&profile)), Some(Ok(means)));
        of.namespace = "other".into();
        assert_eq!(Means::of(&of, &[profile]), None);
    }

    #[test]
    fn answers_are_read_leniently_and_times_are_the_newest_known() {
        let said =
            Said::read(r#"{"state":"acknowledged","eta":"45s","bytes":7,"other":1}"#).unwrap();
        assert_eq!((said.durable, said.eta, said.bytes), (false, Some(45), Some(7)));
        let said =
            Said::read(r#"{"state":"durable","reference":"s3://b/k\u0000","step":12}"#).unwrap();
        assert_eq!(
            (said.durable, said.reference.as_deref(), said.step),
            (true, Some("s3://b/k"), Some(12))
        );
        for bad in ["", "ok", "[]", "{}", r#"{"state":"great"}"#] {
            assert_eq!(Said::read(bad), None);
        }
        let mut of = Pod::default();
        of.annotations
            .insert("volcano.sh/last-checkpoint-time".into(), "2026-01-01T00:00:00Z".into());
        let state = r#"{"state":"durable","at":"2026-01-01T01:00:00Z"}"#;
        of.annotations.insert(STATE.into(), state.into());
        assert_eq!(of.last_checkpoint(), Some("2026-01-01T01:00:00Z".parse().unwrap()));
    }

    #[test]
    fn a_slower_one_counts_at_once() {
        let at = Timestamp::UNIX_EPOCH;
        let one = Learned::and(None, Span::seconds(40), at);
        assert_eq!(Learned::and(Some(one), Span::seconds(80), at).takes, Span::seconds(80));
        assert_eq!(Learned::and(Some(one), Span::seconds(20), at).takes, Span::seconds(35));
        let later = at + Duration::from_secs(60);
        assert_eq!(work_since(Some(at), 8, later), Span::seconds(480));
        assert_eq!(work_since(Some(later), 8, at), Span::seconds(0));
    }
}
