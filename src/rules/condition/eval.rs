//! Evaluation: no allocation on the common path, no panic, a reason where there is no answer.

use super::types::{Arith, Compare, Expr, Literal};
use crate::model::{Envelope, Event};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use std::borrow::Cow;

/// Everything a condition may ask about one event: made once, asked by every candidate rule.
#[derive(Debug)]
pub struct Facts {
    roots: Map<String, Value>,
    now: Timestamp,
}

impl Facts {
    pub fn new(event: &Envelope<Event>, now: Timestamp) -> Facts {
        let mut own = match &event.data.payload {
            Value::Object(fields) => fields.clone(),
            Value::Null => Map::new(),
            other => Map::from_iter([("value".to_owned(), other.clone())]),
        };
        let mut set = |name: &str, value: Value| {
            if !value.is_null() {
                own.insert(name.into(), value);
            }
        };
        set("type", json!(event.kind));
        set("id", json!(event.id));
        set("source", json!(event.source));
        set("subject", json!(event.subject));
        set("time", json!(event.time));
        set("deadline", json!(event.deadline));
        set("cluster", json!(event.cluster));
        set("tenant", json!(event.tenant));
        let context = &event.data.context;
        let roots = [
            ("event", Value::Object(own)),
            ("alert", json!(event.data.alert)),
            ("node", json!(context.node)),
            ("pod", json!(context.pod)),
            ("workload", json!(context.workload)),
            ("pool", json!(context.pool)),
            ("tenant", json!(event.tenant)),
            ("cloud", json!(context.cloud)),
        ];
        let roots = roots.into_iter().filter(|(_, value)| !value.is_null());
        Facts { roots: roots.map(|(name, value)| (name.to_owned(), value)).collect(), now }
    }
}

/// Why a condition has no answer for this event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Miss(String);

impl Miss {
    pub(super) fn new(why: impl Into<String>) -> Miss {
        Miss(why.into())
    }
}

#[derive(Debug, Clone)]
pub(super) enum Val<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(Cow<'a, str>),
    Time(Timestamp),
    Span(SignedDuration),
    Json(&'a Value),
    List(Vec<Val<'a>>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::rules) enum Function {
    Size,
    Contains,
    StartsWith,
    EndsWith,
    LowerAscii,
    Int,
    Double,
    String,
    Duration,
    Timestamp,
}

/// Name, function, how many arguments it takes with its receiver.
pub(super) const FUNCTIONS: &[(&str, Function, usize)] = &[
    ("size", Function::Size, 1),
    ("contains", Function::Contains, 2),
    ("startsWith", Function::StartsWith, 2),
    ("endsWith", Function::EndsWith, 2),
    ("lowerAscii", Function::LowerAscii, 1),
    ("int", Function::Int, 1),
    ("double", Function::Double, 1),
    ("string", Function::String, 1),
    ("duration", Function::Duration, 1),
    ("timestamp", Function::Timestamp, 1),
];

impl<'a> Val<'a> {
    fn json(value: &'a Value) -> Val<'a> {
        match value {
            Value::Null => Val::Null,
            Value::Bool(yes) => Val::Bool(*yes),
            Value::Number(number) => match number.as_i64() {
                Some(whole) => Val::Int(whole),
                None => Val::Double(number.as_f64().unwrap_or(f64::NAN)),
            },
            Value::String(text) => Val::Text(Cow::Borrowed(text)),
            Value::Array(_) | Value::Object(_) => Val::Json(value),
        }
    }

    pub(super) fn describe(&self) -> String {
        match self {
            Val::Null => "null".into(),
            Val::Bool(yes) => yes.to_string(),
            Val::Int(number) => number.to_string(),
            Val::Double(number) => number.to_string(),
            Val::Text(text) => format!("{:?}", text.chars().take(60).collect::<String>()),
            Val::Time(at) => at.to_string(),
            Val::Span(span) => format!("{span:#}"),
            Val::Json(value) => {
                if value.is_array() {
                    "a list".into()
                } else {
                    "a map".into()
                }
            }
            Val::List(_) => "a list".into(),
        }
    }

    /// As part of a key: texts without quotes, at most 256 characters.
    pub(super) fn as_key(&self) -> String {
        match self {
            Val::Text(text) => text.chars().take(256).collect(),
            Val::Json(value) => value.to_string().chars().take(256).collect(),
            other => other.describe(),
        }
    }

    fn items(self) -> Result<Vec<Val<'a>>, Miss> {
        match self {
            Val::List(items) => Ok(items),
            Val::Json(Value::Array(items)) => Ok(items.iter().map(Val::json).collect()),
            Val::Json(Value::Object(map)) => {
                Ok(map.keys().map(|key| Val::Text(Cow::Borrowed(key.as_str()))).collect())
            }
            other => Err(Miss(format!("{} is not a list", other.describe()))),
        }
    }
}

pub(super) fn eval<'a>(
    expr: &'a Expr,
    facts: &'a Facts,
    locals: &mut Vec<Val<'a>>,
) -> Result<Val<'a>, Miss> {
    match expr {
        Expr::Literal(literal) => Ok(constant(literal)),
        Expr::Root("now") => Ok(Val::Time(facts.now)),
        Expr::Root(name) => match facts.roots.get(*name) {
            Some(value) => Ok(Val::json(value)),
            None => Err(Miss(format!("this event has no `{name}`"))),
        },
        Expr::Local(at) => locals.get(*at).cloned().ok_or_else(|| Miss("no such variable".into())),
        Expr::Field { of, name, as_time } => {
            let value = field(eval(of, facts, locals)?, name).ok_or_else(|| missing(of, name))?;
            if *as_time { time(value) } else { Ok(value) }
        }
        Expr::Index(of, index) => at(eval(of, facts, locals)?, eval(index, facts, locals)?),
        Expr::Has { of, name } => {
            let found = eval(of, facts, locals).ok().and_then(|value| field(value, name));
            Ok(Val::Bool(!matches!(found, None | Some(Val::Null))))
        }
        Expr::Not(inner) => truth(eval(inner, facts, locals)?).map(|yes| Val::Bool(!yes)),
        Expr::Negate(inner) => match eval(inner, facts, locals)? {
            Val::Int(number) => number.checked_neg().map(Val::Int).ok_or_else(overflow),
            Val::Double(number) => Ok(Val::Double(-number)),
            other => Err(Miss(format!("{} is not a number", other.describe()))),
        },
        Expr::And(a, b) => logic(a, b, false, facts, locals),
        Expr::Or(a, b) => logic(a, b, true, facts, locals),
        Expr::If(test, then, otherwise) => {
            let yes = truth(eval(test, facts, locals)?)?;
            eval(if yes { then } else { otherwise }, facts, locals)
        }
        Expr::Compare(how, a, b) => {
            compare(*how, &eval(a, facts, locals)?, &eval(b, facts, locals)?)
        }
        Expr::Arith(how, a, b) => arith(*how, eval(a, facts, locals)?, eval(b, facts, locals)?),
        Expr::In(a, b) => {
            let wanted = eval(a, facts, locals)?;
            let items = eval(b, facts, locals)?.items()?;
            Ok(Val::Bool(items.iter().any(|item| equal(&wanted, item))))
        }
        Expr::List(items) => Ok(Val::List(
            items.iter().map(|item| eval(item, facts, locals)).collect::<Result<_, _>>()?,
        )),
        Expr::Call(function, args) => {
            let args =
                args.iter().map(|arg| eval(arg, facts, locals)).collect::<Result<Vec<_>, _>>()?;
            call(*function, &args)
        }
        Expr::Matches(text, regex) => match eval(text, facts, locals)? {
            Val::Text(text) => Ok(Val::Bool(regex.is_match(&text))),
            other => Err(Miss(format!("{} is not a string", other.describe()))),
        },
        Expr::Every { range, test, all } => every(range, test, *all, facts, locals),
        Expr::Shared(clause) => eval(clause, facts, &mut vec![]),
    }
}

fn constant(literal: &Literal) -> Val<'_> {
    match literal {
        Literal::Null => Val::Null,
        Literal::Bool(yes) => Val::Bool(*yes),
        Literal::Int(number) => Val::Int(*number),
        Literal::Double(number) => Val::Double(*number),
        Literal::Text(text) => Val::Text(Cow::Borrowed(text)),
        Literal::Span(millis) => Val::Span(SignedDuration::from_millis(*millis)),
        Literal::Time(at) => Val::Time(*at),
    }
}

fn overflow() -> Miss {
    Miss("the number is too large".into())
}

fn missing(of: &Expr, name: &str) -> Miss {
    fn path(expr: &Expr) -> String {
        match expr {
            Expr::Root(name) => (*name).to_owned(),
            Expr::Field { of, name, .. } => format!("{}.{name}", path(of)),
            _ => "…".into(),
        }
    }
    Miss(format!("`{}.{name}` is not there", path(of)))
}

fn field<'a>(of: Val<'a>, name: &str) -> Option<Val<'a>> {
    match of {
        Val::Json(Value::Object(map)) => map.get(name).map(Val::json),
        _ => None,
    }
}

fn at<'a>(of: Val<'a>, index: Val<'a>) -> Result<Val<'a>, Miss> {
    match (of, index) {
        (of @ Val::Json(Value::Object(_)), Val::Text(key)) => {
            field(of, &key).ok_or_else(|| Miss(format!("the key {key:?} is not there")))
        }
        (Val::Json(Value::Array(items)), Val::Int(index)) => usize::try_from(index)
            .ok()
            .and_then(|index| items.get(index))
            .map(Val::json)
            .ok_or_else(|| Miss(format!("the list has no item {index}"))),
        (of, index) => Err(Miss(format!("{} has no {}", of.describe(), index.describe()))),
    }
}

fn time(value: Val<'_>) -> Result<Val<'_>, Miss> {
    match &value {
        Val::Text(text) => {
            text.parse().map(Val::Time).map_err(|_| Miss(format!("{text:?} is not a time")))
        }
        Val::Time(_) => Ok(value),
        other => Err(Miss(format!("{} is not a time", other.describe()))),
    }
}

fn truth(value: Val<'_>) -> Result<bool, Miss> {
    match value {
        Val::Bool(yes) => Ok(yes),
        other => Err(Miss(format!("{} is not true or false", other.describe()))),
    }
}

/// CEL's `&&` and `||`: one decisive side is enough, even where the other has no answer.
fn logic<'a>(
    a: &'a Expr,
    b: &'a Expr,
    decisive: bool,
    facts: &'a Facts,
    locals: &mut Vec<Val<'a>>,
) -> Result<Val<'a>, Miss> {
    let first = eval(a, facts, locals).and_then(truth);
    if first == Ok(decisive) {
        return Ok(Val::Bool(decisive));
    }
    let second = eval(b, facts, locals).and_then(truth)?;
    if second == decisive { Ok(Val::Bool(decisive)) } else { first.map(|_| Val::Bool(second)) }
}

fn every<'a>(
    range: &'a Expr,
    test: &'a Expr,
    all: bool,
    facts: &'a Facts,
    locals: &mut Vec<Val<'a>>,
) -> Result<Val<'a>, Miss> {
    let mut undecided = None;
    for item in eval(range, facts, locals)?.items()? {
        locals.push(item);
        let verdict = eval(test, facts, locals).and_then(truth);
        locals.pop();
        match verdict {
            Ok(yes) if yes != all => return Ok(Val::Bool(yes)),
            Ok(_) => {}
            Err(miss) => undecided = Some(miss),
        }
    }
    undecided.map_or(Ok(Val::Bool(all)), Err)
}

fn equal(a: &Val<'_>, b: &Val<'_>) -> bool {
    match (a, b) {
        (Val::Null, Val::Null) => true,
        (Val::Bool(a), Val::Bool(b)) => a == b,
        (Val::Int(a), Val::Int(b)) => a == b,
        (Val::Double(a), Val::Double(b)) => a == b,
        (Val::Int(a), Val::Double(b)) | (Val::Double(b), Val::Int(a)) => *a as f64 == *b,
        (Val::Text(a), Val::Text(b)) => a == b,
        (Val::Time(a), Val::Time(b)) => a == b,
        (Val::Span(a), Val::Span(b)) => a == b,
        (Val::Json(a), Val::Json(b)) => a == b,
        (Val::List(a), Val::List(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b))
        }
        (Val::List(a), Val::Json(Value::Array(b))) | (Val::Json(Value::Array(b)), Val::List(a)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, &Val::json(b)))
        }
        _ => false,
    }
}

fn compare<'a>(how: Compare, a: &Val<'a>, b: &Val<'a>) -> Result<Val<'a>, Miss> {
    use std::cmp::Ordering::{Equal, Greater, Less};
    match how {
        Compare::Equal => return Ok(Val::Bool(equal(a, b))),
        Compare::NotEqual => return Ok(Val::Bool(!equal(a, b))),
        Compare::Less | Compare::LessEqual | Compare::Greater | Compare::GreaterEqual => {}
    }
    let order = match (a, b) {
        (Val::Int(a), Val::Int(b)) => Some(a.cmp(b)),
        (Val::Double(a), Val::Double(b)) => a.partial_cmp(b),
        (Val::Int(a), Val::Double(b)) => (*a as f64).partial_cmp(b),
        (Val::Double(a), Val::Int(b)) => a.partial_cmp(&(*b as f64)),
        (Val::Text(a), Val::Text(b)) => Some(a.cmp(b)),
        (Val::Time(a), Val::Time(b)) => Some(a.cmp(b)),
        (Val::Span(a), Val::Span(b)) => Some(a.cmp(b)),
        (Val::Bool(a), Val::Bool(b)) => Some(a.cmp(b)),
        _ => None,
    };
    let order = order
        .ok_or_else(|| Miss(format!("{} and {} have no order", a.describe(), b.describe())))?;
    Ok(Val::Bool(match how {
        Compare::Less => order == Less,
        Compare::LessEqual => order != Greater,
        Compare::Greater => order == Greater,
        Compare::GreaterEqual => order != Less,
        Compare::Equal | Compare::NotEqual => order == Equal,
    }))
}

fn arith<'a>(how: Arith, a: Val<'a>, b: Val<'a>) -> Result<Val<'a>, Miss> {
    match (how, &a, &b) {
        (Arith::Add, Val::Text(a), Val::Text(b)) => Ok(Val::Text(Cow::Owned(format!("{a}{b}")))),
        (Arith::Subtract, Val::Time(a), Val::Time(b)) => Ok(Val::Span(a.duration_since(*b))),
        (Arith::Add, Val::Time(at), Val::Span(by)) | (Arith::Add, Val::Span(by), Val::Time(at)) => {
            at.checked_add(*by).map(Val::Time).map_err(|_| overflow())
        }
        (Arith::Subtract, Val::Time(at), Val::Span(by)) => {
            at.checked_sub(*by).map(Val::Time).map_err(|_| overflow())
        }
        (Arith::Add, Val::Span(a), Val::Span(b)) => {
            a.checked_add(*b).map(Val::Span).ok_or_else(overflow)
        }
        (Arith::Subtract, Val::Span(a), Val::Span(b)) => {
            a.checked_sub(*b).map(Val::Span).ok_or_else(overflow)
        }
        (_, Val::Int(a), Val::Int(b)) => whole(how, *a, *b).map(Val::Int),
        (_, Val::Int(a), Val::Double(b)) => Ok(Val::Double(real(how, *a as f64, *b))),
        (_, Val::Double(a), Val::Int(b)) => Ok(Val::Double(real(how, *a, *b as f64))),
        (_, Val::Double(a), Val::Double(b)) => Ok(Val::Double(real(how, *a, *b))),
        _ => Err(Miss(format!("cannot reckon with {} and {}", a.describe(), b.describe()))),
    }
}

fn whole(how: Arith, a: i64, b: i64) -> Result<i64, Miss> {
    if b == 0 && matches!(how, Arith::Divide | Arith::Modulo) {
        return Err(Miss("division by zero".into()));
    }
    match how {
        Arith::Add => a.checked_add(b),
        Arith::Subtract => a.checked_sub(b),
        Arith::Multiply => a.checked_mul(b),
        Arith::Divide => a.checked_div(b),
        Arith::Modulo => a.checked_rem(b),
    }
    .ok_or_else(overflow)
}

fn real(how: Arith, a: f64, b: f64) -> f64 {
    match how {
        Arith::Add => a + b,
        Arith::Subtract => a - b,
        Arith::Multiply => a * b,
        Arith::Divide => a / b,
        Arith::Modulo => a % b,
    }
}

fn call<'a>(function: Function, args: &[Val<'a>]) -> Result<Val<'a>, Miss> {
    let wrong = || {
        let args: Vec<String> = args.iter().map(Val::describe).collect();
        Miss(format!("{function:?} does not take {}", args.join(", ")))
    };
    match (function, args) {
        (Function::Size, [Val::Text(text)]) => Ok(Val::Int(text.chars().count() as i64)),
        (Function::Size, [list]) => Ok(Val::Int(list.clone().items()?.len() as i64)),
        (Function::Contains, [Val::Text(a), Val::Text(b)]) => Ok(Val::Bool(a.contains(b.as_ref()))),
        (Function::StartsWith, [Val::Text(a), Val::Text(b)]) => {
            Ok(Val::Bool(a.starts_with(b.as_ref())))
        }
        (Function::EndsWith, [Val::Text(a), Val::Text(b)]) => {
            Ok(Val::Bool(a.ends_with(b.as_ref())))
        }
        (Function::LowerAscii, [Val::Text(a)]) => Ok(Val::Text(Cow::Owned(a.to_ascii_lowercase()))),
        (Function::Int, [Val::Int(number)]) => Ok(Val::Int(*number)),
        (Function::Int, [Val::Double(number)]) if number.abs() < 9e18 => {
            Ok(Val::Int(*number as i64))
        }
        (Function::Int, [Val::Text(text)]) => text.parse().map(Val::Int).map_err(|_| wrong()),
        (Function::Double, [Val::Int(number)]) => Ok(Val::Double(*number as f64)),
        (Function::Double, [Val::Double(number)]) => Ok(Val::Double(*number)),
        (Function::Double, [Val::Text(text)]) => text.parse().map(Val::Double).map_err(|_| wrong()),
        (Function::String, [value]) => Ok(Val::Text(Cow::Owned(value.as_key()))),
        (Function::Duration, [Val::Text(text)]) => text
            .parse::<crate::model::Span>()
            .ok()
            .and_then(|span| SignedDuration::try_from(span.0).ok())
            .map(Val::Span)
            .ok_or_else(wrong),
        (Function::Timestamp, [value @ (Val::Text(_) | Val::Time(_))]) => time(value.clone()),
        _ => Err(wrong()),
    }
}
