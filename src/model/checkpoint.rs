//! The checkpoint handshake as values: what a workload answers, how far it has come, and what is learned from it.

use super::{Id, Pod, Span};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What is asked, put on the pod: `{"id", "at", "by"}` as JSON.
pub const REQUEST: &str = "medevac.dev/checkpoint-request";
/// What has come of it, put there by the workload or by whoever heard its answer: JSON, see [`Said`].
pub const STATE: &str = "medevac.dev/checkpoint-state";
/// Annotations by which workloads tell when they last had a checkpoint: RFC 3339.
const LAST: [&str; 2] = ["medevac.dev/last-checkpoint-time", "volcano.sh/last-checkpoint-time"];

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
        #[serde(default, skip_serializing_if = "Option::is_none")]
        bytes: Option<u64>,
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
    /// As large as the last one said it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    pub at: Timestamp,
}

/// Where it is kept what a unit's checkpoints took.
pub fn learned_key(unit: &str) -> Id {
    Id::of(&["learned", unit])
}

impl Learned {
    /// One more was seen: a slower one counts at once, a faster one by and by.
    pub fn and(before: Option<Learned>, took: Span, bytes: Option<u64>, at: Timestamp) -> Learned {
        let bytes = bytes.or(before.and_then(|it| it.bytes));
        let old = before.map_or(took.0, |it| it.takes.0);
        let takes = if took.0 >= old { took.0 } else { (old * 3 + took.0) / 4 };
        Learned { takes: Span(takes), bytes, at }
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
        let one = Learned::and(None, Span::seconds(40), Some(7), at);
        assert_eq!(Learned::and(Some(one), Span::seconds(80), None, at).takes, Span::seconds(80));
        let next = Learned::and(Some(one), Span::seconds(20), None, at);
        assert_eq!((next.takes, next.bytes), (Span::seconds(35), Some(7)));
        let later = at + Duration::from_secs(60);
        assert_eq!(work_since(Some(at), 8, later), Span::seconds(480));
        assert_eq!(work_since(Some(later), 8, at), Span::seconds(0));
    }
}
