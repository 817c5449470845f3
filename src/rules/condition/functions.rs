//! The functions of conditions: what they take, what they give, what they do.

use super::eval::Miss;
use super::types::Type;
use super::value::Val;
use jiff::SignedDuration;
use std::borrow::Cow;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::rules) enum Function {
    Size,
    Contains,
    StartsWith,
    EndsWith,
    LowerAscii,
    UpperAscii,
    Int,
    Double,
    String,
    Duration,
    Timestamp,
}

/// Name, function, how many arguments with its receiver, whether it is written `a.name()`.
pub(super) const FUNCTIONS: &[(&str, Function, usize, Style)] = &[
    ("size", Function::Size, 1, Style::Both),
    ("contains", Function::Contains, 2, Style::Member),
    ("startsWith", Function::StartsWith, 2, Style::Member),
    ("endsWith", Function::EndsWith, 2, Style::Member),
    ("lowerAscii", Function::LowerAscii, 1, Style::Member),
    ("upperAscii", Function::UpperAscii, 1, Style::Member),
    ("int", Function::Int, 1, Style::Global),
    ("double", Function::Double, 1, Style::Global),
    ("string", Function::String, 1, Style::Global),
    ("duration", Function::Duration, 1, Style::Global),
    ("timestamp", Function::Timestamp, 1, Style::Global),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Member,
    Global,
    Both,
}

/// Functions and macros of CEL that are not here, and what to write instead.
pub(super) const ABSENT: &[(&str, &str)] = &[
    ("map", "use `exists` or `all`, which need no list to be built"),
    ("filter", "use `exists` or `all`, which need no list to be built"),
    ("type", "a field's type is known when the file is loaded"),
    ("dyn", "leave it out: fields of unknown type are compared when they come"),
    ("uint", "use `int(...)`"),
    ("bytes", "compare strings"),
    ("bool", "compare with `== \"true\"`"),
    ("getFullYear", "compare times with `timestamp(...)`"),
    ("getMonth", "compare times with `timestamp(...)`"),
    ("getDate", "compare times with `timestamp(...)`"),
    ("getDayOfMonth", "give the rule `during` or `except`"),
    ("getDayOfWeek", "give the rule `during` or `except`"),
    ("getDayOfYear", "compare times with `timestamp(...)`"),
    ("getHours", "give the rule `during` or `except`"),
    ("getMinutes", "give the rule `during` or `except`"),
    ("getSeconds", "compare durations with `duration(...)`"),
    ("getMilliseconds", "compare durations with `duration(...)`"),
    ("split", "use `contains`, `startsWith`, `endsWith` or `matches`"),
    ("join", "use `exists` on the list"),
    ("replace", "use `matches`"),
    ("substring", "use `startsWith`, `endsWith` or `matches`"),
    ("indexOf", "use `contains`"),
    ("trim", "use `matches`"),
    ("format", "compare field by field"),
];

impl Function {
    pub(super) fn gives(self) -> Type {
        match self {
            Function::Size | Function::Int => Type::Int,
            Function::Double => Type::Double,
            Function::Duration => Type::Span,
            Function::Timestamp => Type::Time,
            Function::String | Function::LowerAscii | Function::UpperAscii => Type::Text,
            Function::Contains | Function::StartsWith | Function::EndsWith => Type::Bool,
        }
    }

    /// Whether it takes an argument of that type.
    pub(super) fn takes(self, of: &Type) -> bool {
        match self {
            Function::Size => {
                of.text() || matches!(of, Type::List(_) | Type::Map(_) | Type::Shape(_))
            }
            Function::Int => of.number() || of.text() || *of == Type::Time,
            Function::Double => of.number() || of.text(),
            Function::String => {
                of.number() || of.text() || matches!(of, Type::Bool | Type::Time | Type::Span)
            }
            Function::Duration => of.text() || *of == Type::Span,
            Function::Timestamp => of.text() || *of == Type::Time,
            Function::Contains
            | Function::StartsWith
            | Function::EndsWith
            | Function::LowerAscii
            | Function::UpperAscii => of.text(),
        }
    }

    pub(super) fn name(self) -> &'static str {
        FUNCTIONS.iter().find(|(_, function, _, _)| *function == self).map_or("", |found| found.0)
    }

    pub(super) fn call<'a>(self, args: &[Val<'a>]) -> Result<Val<'a>, Miss<'a>> {
        let wrong = || Miss::Argument(self.name(), args.first().map_or("nothing", Val::kind));
        let text = |text: String| Val::Text(Cow::Owned(text));
        Ok(match (self, args) {
            (Function::Size, [of]) => {
                Val::Int(of.len().and_then(|size| size.try_into().ok()).ok_or_else(wrong)?)
            }
            (Function::Contains, [Val::Text(a), Val::Text(b)]) => Val::Bool(a.contains(b.as_ref())),
            (Function::StartsWith, [Val::Text(a), Val::Text(b)]) => {
                Val::Bool(a.starts_with(b.as_ref()))
            }
            (Function::EndsWith, [Val::Text(a), Val::Text(b)]) => {
                Val::Bool(a.ends_with(b.as_ref()))
            }
            (Function::LowerAscii, [Val::Text(a)]) => text(a.to_ascii_lowercase()),
            (Function::UpperAscii, [Val::Text(a)]) => text(a.to_ascii_uppercase()),
            (Function::Int, [Val::Int(whole)]) => Val::Int(*whole),
            (Function::Int, [Val::Double(real)]) if real.abs() < 9.2e18 => Val::Int(*real as i64),
            (Function::Int, [Val::Text(text)]) => Val::Int(text.parse().map_err(|_| wrong())?),
            (Function::Int, [Val::Time(at)]) => Val::Int(at.as_second()),
            (Function::Double, [Val::Int(whole)]) => Val::Double(*whole as f64),
            (Function::Double, [Val::Double(real)]) => Val::Double(*real),
            (Function::Double, [Val::Text(text)]) => {
                Val::Double(text.parse().map_err(|_| wrong())?)
            }
            (Function::String, [Val::Text(same)]) => Val::Text(same.clone()),
            (Function::String, [Val::Double(real)]) => text(real.to_string()),
            (Function::String, [of @ (Val::Bool(_) | Val::Int(_) | Val::Time(_))]) => {
                text(of.describe())
            }
            (Function::String, [Val::Span(span)]) => text(format!("{}s", span.as_secs_f64())),
            (Function::Duration, [Val::Span(span)]) => Val::Span(*span),
            (Function::Duration, [Val::Text(text)]) => Val::Span(duration(text).ok_or_else(wrong)?),
            (Function::Timestamp, [Val::Time(at)]) => Val::Time(*at),
            (Function::Timestamp, [Val::Text(text)]) => {
                Val::Time(text.parse().map_err(|_| wrong())?)
            }
            _ => return Err(wrong()),
        })
    }
}

/// As in rule files (`90s`, `1h30m`, `2d`), and as CEL writes them: with a sign, and parts of a unit (`1.5h`).
pub(super) fn duration(text: &str) -> Option<SignedDuration> {
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    if let Ok(span) = text.parse::<crate::model::Span>() {
        let span = SignedDuration::try_from(span.0).ok()?;
        return Some(if negative { -span } else { span });
    }
    let (mut rest, mut total) = (text, 0f64);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let unit = &rest[digits..];
        let end = unit.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(unit.len());
        let seconds = match &unit[..end] {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        total += rest[..digits].parse::<f64>().ok()? * seconds;
        rest = &unit[end..];
    }
    let sensible = !text.is_empty() && total < 3.2e8;
    sensible.then(|| SignedDuration::from_secs_f64(if negative { -total } else { total }))
}
