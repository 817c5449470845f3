//! AWS's six fields, by AWS's own rules: no crate has all of them.
//! Source: Amazon EventBridge User Guide, "Cron expressions"; AWS Backup takes the same.

use super::BadPattern;

pub(super) const HINT: &str =
    "minutes hours day-of-month month day-of-week year, for example `cron(0 2 * * ? *)`";

const MONTHS: [&str; 12] =
    ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const DAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

/// A field: what it is called, what it counts, and by which names.
struct Field {
    name: &'static str,
    from: u16,
    to: u16,
    names: &'static [&'static str],
}

const FIELDS: [Field; 6] = [
    Field { name: "minutes", from: 0, to: 59, names: &[] },
    Field { name: "hours", from: 0, to: 23, names: &[] },
    Field { name: "day of month", from: 1, to: 31, names: &[] },
    Field { name: "month", from: 1, to: 12, names: &MONTHS },
    Field { name: "day of week", from: 1, to: 7, names: &DAYS },
    Field { name: "year", from: 1970, to: 2199, names: &[] },
];
const DAY_OF_MONTH: usize = 2;
const DAY_OF_WEEK: usize = 4;

/// The fields, checked, as the evaluator reads them.
pub(super) fn checked(body: &str) -> Result<String, BadPattern> {
    let upper = body.trim().to_ascii_uppercase();
    let fields: Vec<&str> = upper.split_whitespace().collect();
    if fields.len() != FIELDS.len() {
        let message = format!("AWS's cron has six fields, and this has {}", fields.len());
        return Err(BadPattern::new(message, HINT));
    }
    let (month, week) = (fields[DAY_OF_MONTH], fields[DAY_OF_WEEK]);
    if (month == "?") == (week == "?") {
        return Err(BadPattern::new(
            "exactly one of day of month and day of week is `?` in AWS's cron",
            "write `?` for the one that does not matter: `cron(0 2 * * ? *)` is every day",
        ));
    }
    for (at, (field, text)) in FIELDS.iter().zip(&fields).enumerate() {
        if *text != "?" {
            field.check(at, text)?;
        }
    }
    // The last day of the week is Saturday; the evaluator knows it as a number only.
    let week = if week == "L" { "7" } else { week };
    Ok([fields[0], fields[1], fields[2], fields[3], week, fields[5]].join(" "))
}

impl Field {
    fn wrong(&self, text: &str, hint: impl Into<String>) -> BadPattern {
        BadPattern::new(format!("`{text}` is not a {} of AWS's cron", self.name), hint)
    }

    fn check(&self, at: usize, text: &str) -> Result<(), BadPattern> {
        let parts: Vec<&str> = text.split(',').collect();
        let named = |part: &str| part.strip_suffix(['L', 'W']).and_then(|day| self.number(day));
        let special = |part: &&&str| {
            part.contains('#')
                || matches!(**part, "L" | "LW")
                || (self.number(part).is_none() && named(part).is_some())
        };
        if parts.len() > 1
            && let Some(part) = parts.iter().find(special)
        {
            return Err(self.wrong(text, format!("`{part}` stands alone: AWS takes one of them")));
        }
        parts.iter().try_for_each(|part| self.part(at, part))
    }

    fn part(&self, at: usize, part: &str) -> Result<(), BadPattern> {
        match at {
            DAY_OF_MONTH if part == "L" => return Ok(()),
            DAY_OF_MONTH if part.ends_with('W') => {
                let day = part.strip_suffix('W').and_then(|day| self.number(day));
                return day.map(|_| ()).ok_or_else(|| {
                    self.wrong(part, "write the weekday nearest to a day as `15W`")
                });
            }
            DAY_OF_WEEK if part == "L" => return Ok(()),
            DAY_OF_WEEK if part.contains('#') => return self.nth(part),
            DAY_OF_WEEK if part.ends_with('L') && self.number(part).is_none() => {
                let day = part.strip_suffix('L').and_then(|day| self.number(day));
                return day
                    .map(|_| ())
                    .ok_or_else(|| self.wrong(part, "write the last Friday of the month as `6L`"));
            }
            _ => {}
        }
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, Some(step)),
            None => (part, None),
        };
        let step_is_good = step.is_none_or(|step| {
            step.parse::<u16>().is_ok_and(|step| step > 0 && step <= self.to) && digits(step)
        });
        if !step_is_good {
            return Err(self.wrong(part, "a step is a number, as in `0/15`"));
        }
        self.range(part, range)
    }

    fn range(&self, part: &str, range: &str) -> Result<(), BadPattern> {
        if range == "*" {
            return Ok(());
        }
        let (from, to) = range.split_once('-').unwrap_or((range, range));
        match (self.number(from), self.number(to)) {
            (Some(from), Some(to)) if from <= to => Ok(()),
            (Some(_), Some(_)) => {
                Err(self.wrong(part, "a range ends after it begins; write two ranges"))
            }
            _ => Err(self.wrong(part, self.expected())),
        }
    }

    /// `3#2`: the second Tuesday.
    fn nth(&self, part: &str) -> Result<(), BadPattern> {
        let nth = part.split_once('#').filter(|(day, nth)| {
            self.number(day).is_some() && matches!(*nth, "1" | "2" | "3" | "4" | "5")
        });
        nth.map(|_| ()).ok_or_else(|| {
            self.wrong(part, "write the second Tuesday as `3#2`, with 1 to 5 behind `#`")
        })
    }

    fn number(&self, text: &str) -> Option<u16> {
        if let Some(at) = self.names.iter().position(|name| *name == text) {
            return Some(self.from + u16::try_from(at).ok()?);
        }
        let number = text.parse().ok().filter(|_| digits(text))?;
        (self.from..=self.to).contains(&number).then_some(number)
    }

    fn expected(&self) -> String {
        let (from, to) = (self.from, self.to);
        match self.names {
            [] => format!("numbers from {from} to {to}, lists, ranges, `*` and steps"),
            [first, .., last] => {
                format!("numbers from {from} to {to}, or {first} to {last}, lists, ranges, `*`")
            }
            [_] => HINT.into(),
        }
    }
}

fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}
