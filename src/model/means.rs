//! How workloads are asked for a checkpoint: as their pods' annotations say, or a profile for those that nobody may edit.

use super::{Pod, Span};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The pod's annotation by which a workload says how it is asked; others of this prefix say the rest.
pub const ASKED_BY: &str = "medevac.dev/checkpoint";

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
    /// Ray is told that its node is drained, and by when: what trains on it makes its checkpoint, as Ray Train does.
    Ray,
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
    /// This S3 object is newer than the request; or one below this prefix, which ends with `/`.
    Object { bucket: String, key: String },
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
    /// An object in S3 proves it.
    pub fn is_object(&self) -> bool {
        matches!(self.proof, Proof::Object { .. })
    }

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
            "ray" => Transport::Ray,
            other => {
                let other: String = other.chars().filter(|c| !c.is_control()).take(40).collect();
                return Err(format!(
                    "`{other}` is no way to ask: exec, http, signal, annotation, nats or ray"
                ));
            }
        };
        let proof = match (say("file"), say("s3")) {
            (Some(_), Some(_)) => return Err("`file` or `s3` is the proof, not both".into()),
            (Some(path), None) if path.starts_with('/') && path.len() <= LONGEST_WORD => {
                Proof::File { path }
            }
            (Some(_), None) => return Err("`file` is an absolute path".into()),
            (None, Some(url)) => object(&url)?,
            (None, None) => Proof::Answer,
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

/// `s3://BUCKET/KEY`
fn object(url: &str) -> Result<Proof, String> {
    let parts = url.strip_prefix("s3://").and_then(|rest| rest.split_once('/'));
    let (bucket, key) = parts.ok_or("`s3` is s3://BUCKET/KEY, or s3://BUCKET/PREFIX/")?;
    let plain =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte);
    let named = (3..=63).contains(&bucket.len()) && bucket.bytes().all(plain);
    if !named || key.is_empty() || key.len() > LONGEST_WORD || key.chars().any(char::is_control) {
        return Err("`s3` is s3://BUCKET/KEY, with the name of a bucket and of an object".into());
    }
    Ok(Proof::Object { bucket: bucket.into(), key: key.into() })
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
            (vec![("", "annotation"), ("-s3", "https://x/y")], "s3://BUCKET"),
            (vec![("", "annotation"), ("-s3", "s3://Bad_Name/y")], "name of a bucket"),
            (vec![("", "annotation"), ("-s3", "s3://good/")], "name of a bucket"),
            (vec![("", "ray"), ("-s3", "s3://good/x"), ("-file", "/x")], "not both"),
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
}
