//! The envelope of every record: CloudEvents 1.0 in JSON, with our extension attributes.

use super::{Id, Target};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One message on the log. `T` is the message: an event, a decision, a plan, an outcome.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Envelope<T> {
    pub specversion: Version,
    /// Derived from content: a second delivery is recognisably the same message.
    pub id: Id,
    /// Who said it: `alertmanager/http://am-1:9093`, `medevac/engine`.
    pub source: String,
    /// One of the names in [`super::kind`], or a sender's own.
    #[serde(rename = "type")]
    pub kind: String,
    pub subject: Target,
    /// When it happened, as far as the sender knows. The log has its own time of recording.
    pub time: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// The moment after which nothing helps any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
    /// W3C trace context, one trace per incident.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    #[serde(default, skip_serializing_if = "Cause::is_empty")]
    pub cause: Cause,
    /// How our own messages are written. Older versions are read for ever; see [`RECORD_VERSION`].
    #[serde(default = "first_version", rename = "recordversion")]
    pub record_version: u32,
    pub data: T,
}

/// The version that is written. 1 is what 0.1.0 wrote, without saying so; 2 says so, and adds to decisions who
/// probes a guard and what a person has paused.
pub const RECORD_VERSION: u32 = 2;

fn first_version() -> u32 {
    1
}

/// The only version of CloudEvents there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Version {
    #[default]
    #[serde(rename = "1.0")]
    One,
}

/// A chain longer than this is a rule that feeds itself.
pub const MAX_CAUSES: usize = 16;

/// The ids that led here, oldest first. A CloudEvents attribute is a string, so they are joined by spaces.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Cause(Vec<Box<str>>);

impl Cause {
    /// The chain of what `id`, itself caused by `self`, causes. `None` where it would be too long.
    pub fn then(&self, id: &Id) -> Option<Cause> {
        let mut chain = self.0.clone();
        chain.push(id.as_str().into());
        (chain.len() <= MAX_CAUSES).then_some(Cause(chain))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(AsRef::as_ref)
    }
}

impl From<String> for Cause {
    fn from(text: String) -> Cause {
        Cause(text.split_whitespace().take(MAX_CAUSES).map(Into::into).collect())
    }
}

impl From<Cause> for String {
    fn from(cause: Cause) -> String {
        cause.0.join(" ")
    }
}

impl<T> Envelope<T> {
    pub fn new(
        kind: &str,
        id: Id,
        source: &str,
        subject: Target,
        time: Timestamp,
        data: T,
    ) -> Self {
        Envelope {
            specversion: Version::One,
            id,
            source: source.into(),
            kind: kind.into(),
            subject,
            time,
            cluster: None,
            tenant: None,
            deadline: None,
            traceparent: None,
            cause: Cause::default(),
            record_version: RECORD_VERSION,
            data,
        }
    }

    /// What follows from this message: same tenant, cluster, trace and deadline, one link further.
    /// A chain at its full length stays there: the limit is enforced where a rule would lengthen it.
    pub fn follow<U>(
        &self,
        kind: &str,
        id: Id,
        source: &str,
        time: Timestamp,
        data: U,
    ) -> Envelope<U> {
        Envelope {
            specversion: Version::One,
            cause: self.cause.then(&self.id).unwrap_or_else(|| self.cause.clone()),
            id,
            source: source.into(),
            kind: kind.into(),
            subject: self.subject.clone(),
            time,
            cluster: self.cluster.clone(),
            tenant: self.tenant.clone(),
            deadline: self.deadline,
            traceparent: self.traceparent.clone(),
            record_version: RECORD_VERSION,
            data,
        }
    }
}
