//! The grammar of subjects: `medevac.<stream>.<type>.<tenant>.<target>`, so that others can subscribe to a part.

use crate::model::{Target, escape, unescape};
use std::{fmt, str::FromStr};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stream {
    Events,
    Decisions,
    Plans,
    Outcomes,
    Dead,
}

impl Stream {
    pub const ALL: [Stream; 5] =
        [Stream::Events, Stream::Decisions, Stream::Plans, Stream::Outcomes, Stream::Dead];

    pub fn word(self) -> &'static str {
        match self {
            Stream::Events => "events",
            Stream::Decisions => "decisions",
            Stream::Plans => "plans",
            Stream::Outcomes => "outcomes",
            Stream::Dead => "dead",
        }
    }

    /// Its number in stored records. Never changes.
    pub fn number(self) -> u8 {
        match self {
            Stream::Events => 0,
            Stream::Decisions => 1,
            Stream::Plans => 2,
            Stream::Outcomes => 3,
            Stream::Dead => 4,
        }
    }

    pub fn from_number(number: u8) -> Option<Stream> {
        Stream::ALL.into_iter().find(|stream| stream.number() == number)
    }
}

/// One subject. Its parts are tokens: what could break the grammar is written as `%XX`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    pub stream: Stream,
    pub kind: String,
    /// `-` where no tenant is known.
    pub tenant: String,
    pub target: String,
}

#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no subject of ours")]
pub struct BadSubject(String);

impl Subject {
    pub fn new(stream: Stream, kind: &str, tenant: Option<&str>, target: &Target) -> Subject {
        Subject {
            stream,
            kind: kind.into(),
            tenant: tenant.unwrap_or("-").into(),
            target: target.to_string(),
        }
    }
}

/// Other clients read subjects, and `%XX` there.
const MARK: char = '%';
const KEEP: &str = "-_/:";

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let token = |text: &str| escape(text, MARK, KEEP);
        let (kind, tenant, target) = (token(&self.kind), token(&self.tenant), token(&self.target));
        write!(f, "medevac.{}.{kind}.{tenant}.{target}", self.stream.word())
    }
}

impl FromStr for Subject {
    type Err = BadSubject;

    fn from_str(text: &str) -> Result<Subject, BadSubject> {
        let bad = || BadSubject(text.chars().take(80).collect());
        let parts: Vec<&str> = text.split('.').collect();
        let ["medevac", stream, kind, tenant, target] = parts.as_slice() else { return Err(bad()) };
        Ok(Subject {
            stream: Stream::ALL
                .into_iter()
                .find(|known| known.word() == *stream)
                .ok_or_else(bad)?,
            kind: unescape(kind, MARK).ok_or_else(bad)?,
            tenant: unescape(tenant, MARK).ok_or_else(bad)?,
            target: unescape(target, MARK).ok_or_else(bad)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_survives_the_grammar() {
        for name in ["ip-10-0-1-7.eu-west-1.compute.internal", "a*>b c", "日本", "100%"] {
            let subject =
                Subject::new(Stream::Events, "a.b", Some("t.1"), &Target::Node(name.into()));
            let text = subject.to_string();
            assert_eq!(text.split('.').count(), 5, "{text}");
            assert!(!text.contains(['*', '>', ' ']), "{text}");
            assert_eq!(text.parse::<Subject>().unwrap(), subject);
        }
    }
}
