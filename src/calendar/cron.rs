//! A cron pattern: which dialect it is in is said by how it is written, and never guessed.
//!
//! `cron(0 2 * * ? *)` is AWS's, with six fields; five fields are crontab's. They number the days of the week
//! differently and join the two kinds of days differently, so a pattern read in the wrong dialect fires on another day.

mod aws;

use croner::parser::{CronParser, Seconds, Year};
use jiff::{Zoned, civil::DateTime, tz::TimeZone};
use std::fmt;

/// How a pattern is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Amazon EventBridge and AWS Backup: minutes, hours, day of month, month, day of week (1 is Sunday), year.
    Aws,
    /// crontab(5): minutes, hours, day of month, month, day of week (0 and 7 are Sunday).
    Unix,
}

impl Dialect {
    pub fn word(self) -> &'static str {
        match self {
            Dialect::Aws => "aws",
            Dialect::Unix => "unix",
        }
    }
}

/// What is wrong with a pattern, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct BadPattern {
    pub message: String,
    pub hint: String,
}

impl BadPattern {
    pub(super) fn new(message: impl Into<String>, hint: impl Into<String>) -> BadPattern {
        BadPattern { message: message.into(), hint: hint.into() }
    }
}

/// A pattern that has been checked.
#[derive(Clone)]
pub struct Cron {
    text: String,
    dialect: Dialect,
    pattern: Box<croner::Cron>,
}

impl fmt::Debug for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cron({})", self.text)
    }
}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Nobody waits for longer: what does not come within ten years never fires.
const HORIZON_YEARS: i16 = 10;

const UNIX_HINT: &str = "minute hour day-of-month month day-of-week, for example `0 2 * * sun`";

impl Cron {
    /// Reads `cron(...)` as AWS's, and five bare fields as crontab's.
    ///
    /// # Errors
    /// Anything else, and everything that its dialect does not have.
    pub fn parse(text: &str) -> Result<Cron, BadPattern> {
        let text = text.trim();
        if let Some(body) = text.strip_prefix("cron(") {
            let body = body.strip_suffix(')').ok_or_else(|| {
                BadPattern::new("`cron(` is not closed", "write `cron(0 2 * * ? *)`")
            })?;
            return Cron::aws(text, body);
        }
        match text.split_whitespace().count() {
            5 => Cron::unix(text),
            6 => Err(BadPattern::new(
                "six fields may be AWS's, or crontab's with seconds: nobody can tell",
                "write `cron(...)` around AWS's six fields, or five fields as in crontab",
            )),
            count => Err(BadPattern::new(
                format!("a cron pattern has five fields, and this has {count}"),
                UNIX_HINT,
            )),
        }
    }

    fn aws(text: &str, body: &str) -> Result<Cron, BadPattern> {
        let fields = aws::checked(body)?;
        let parser = CronParser::builder()
            .seconds(Seconds::Required)
            .year(Year::Required)
            .alternative_weekdays(true)
            .sloppy_ranges(true)
            .build();
        let pattern = parser.parse(&format!("0 {fields}"));
        Cron::of(text, Dialect::Aws, pattern, aws::HINT)
    }

    fn unix(text: &str) -> Result<Cron, BadPattern> {
        let fields: Vec<&str> = text.split_whitespace().collect();
        // Extensions of one program or another: what they mean elsewhere is not what is meant here.
        for field in &fields {
            let odd = field.chars().find(|c| "?LW#+".contains(c.to_ascii_uppercase()));
            if let Some(odd) = odd.filter(|odd| !has_name_with(field, *odd)) {
                return Err(BadPattern::new(
                    format!("`{odd}` is not crontab's"),
                    "write AWS's dialect for it: `cron(0 2 L * ? *)`",
                ));
            }
        }
        let (month, week) = (fields[2], fields[4]);
        let steps = |one: &str, other: &str| one.starts_with("*/") && other != "*";
        if steps(month, week) || steps(week, month) {
            return Err(BadPattern::new(
                "both days are restricted, and one by a step of `*`: programs differ about what that means",
                "name the days, as in `0 0 1-31/2 * *`, or leave one of the fields `*`",
            ));
        }
        let parser =
            CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        Cron::of(text, Dialect::Unix, parser.parse(text), UNIX_HINT)
    }

    fn of(
        text: &str,
        dialect: Dialect,
        pattern: Result<croner::Cron, croner::errors::CronError>,
        hint: &str,
    ) -> Result<Cron, BadPattern> {
        let pattern = pattern.map_err(|error| {
            BadPattern::new(format!("`{text}` is not a cron pattern: {error}"), hint)
        })?;
        Ok(Cron { text: text.to_owned(), dialect, pattern: Box::new(pattern) })
    }

    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// It does not name the hours of the day.
    pub(super) fn every_hour(&self) -> bool {
        let hours = self.text.split_whitespace().nth(1);
        hours.is_some_and(|hours| hours.starts_with('*'))
    }

    /// The first moment on the calendar at or after `from`, whatever the zone.
    pub(super) fn next(&self, from: DateTime) -> Option<DateTime> {
        let found = self.pattern.find_next_occurrence(&bare(from)?, true).ok()?.datetime();
        (found.year() <= from.year().saturating_add(HORIZON_YEARS)).then_some(found)
    }

    /// The last one at or before `from`.
    pub(super) fn last(&self, from: DateTime) -> Option<DateTime> {
        let found = self.pattern.find_previous_occurrence(&bare(from)?, true).ok()?.datetime();
        (found.year() >= from.year().saturating_sub(HORIZON_YEARS)).then_some(found)
    }
}

/// Days and months by name have letters that mean something else on their own.
fn has_name_with(field: &str, letter: char) -> bool {
    letter.is_ascii_alphabetic()
        && field.split([',', '-', '/']).any(|part| {
            part.len() == 3
                && part.bytes().all(|byte| byte.is_ascii_alphabetic())
                && part.contains(letter)
        })
}

/// A calendar without a zone: no time of the day is missing there, and none comes twice.
fn bare(at: DateTime) -> Option<Zoned> {
    at.to_zoned(TimeZone::UTC).ok()
}

#[cfg(test)]
mod tests;
