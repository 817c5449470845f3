//! Evaluation: nothing is copied on the common path, nothing panics, and there is a reason where there is no answer.

use super::expr::{Expr, Quantifier};
use super::schema::{Get, Root};
use super::types::{Arith, Compare, an};
use super::value::{Thing, Val};
use crate::model::{Envelope, Event};
use jiff::Timestamp;
use std::fmt;

/// Everything that a condition may ask about one event, borrowed.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    pub event: &'a Envelope<Event>,
    pub now: Timestamp,
}

impl<'a> Facts<'a> {
    pub fn new(event: &'a Envelope<Event>, now: Timestamp) -> Facts<'a> {
        Facts { event, now }
    }

    fn root(&self, root: Root) -> Option<Val<'a>> {
        let (event, context) = (self.event, &self.event.data.context);
        Some(match root {
            Root::Event => Val::Thing(Thing::Event(event)),
            Root::Alert => Val::Thing(Thing::Alert(event.data.alert.as_ref()?)),
            Root::Node => Val::Thing(Thing::Node(context.node.as_ref()?)),
            Root::Pod => Val::Thing(Thing::Pod(context.pod.as_ref()?)),
            Root::Workload => Val::Thing(Thing::Workload(context.workload.as_ref()?)),
            Root::Pool => Val::Thing(Thing::Pool(context.pool.as_ref()?)),
            Root::Tenant => Val::text(event.tenant.as_deref()?),
            Root::Cloud => Val::Texts(&context.cloud),
            Root::Now => Val::Time(self.now),
        })
    }
}

/// Why a condition has no answer for this event. Words are made only where somebody reads them.
#[derive(Debug, Clone, Copy)]
pub enum Miss<'a> {
    /// The value at this path is not there.
    #[expect(private_interfaces, reason = "shown, never taken apart")]
    Absent(&'a Expr),
    /// The event has no such object.
    #[expect(private_interfaces, reason = "shown, never taken apart")]
    NoRoot(Root),
    /// A value of that type, where true or false is needed.
    NotTruth(&'static str),
    NotNumber(&'static str),
    NotText(&'static str),
    NotTime(&'static str),
    /// A value with parts, where one is wanted that tells things apart.
    NotKey(&'static str),
    NotList(&'static str),
    NoOrder(&'static str, &'static str),
    /// An operator and what it cannot reckon with.
    Reckon(&'static str, &'static str, &'static str),
    /// A function and what it does not take.
    Argument(&'static str, &'static str),
    Zero,
    TooLarge,
}

impl fmt::Display for Miss<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Miss::Absent(expr) => match (expr, expr.path()) {
                (_, Some(path)) => write!(f, "`{path}` is not there"),
                (Expr::Key(_, name), None) => write!(f, "`{name}` is not there"),
                (Expr::Index(of, _), None) => match of.path() {
                    Some(path) => write!(f, "`{path}` has nothing at that place"),
                    None => f.write_str("a list or a map has nothing at that place"),
                },
                (_, None) => f.write_str("a value is not there"),
            },
            Miss::NoRoot(root) => write!(f, "this event has no `{}`", root.name()),
            Miss::NotTruth(kind) => {
                write!(f, "{kind} stands where true or false is needed", kind = an(kind))
            }
            Miss::NotNumber(kind) => write!(f, "{kind} is not a number", kind = an(kind)),
            Miss::NotText(kind) => write!(f, "{kind} is not a string", kind = an(kind)),
            Miss::NotTime(kind) => write!(f, "{kind} that is not a time", kind = an(kind)),
            Miss::NotKey(kind) => write!(f, "{} tells nothing apart", an(kind)),
            Miss::NotList(kind) => write!(f, "{kind} is not a list", kind = an(kind)),
            Miss::NoOrder(a, b) => write!(f, "{a} and {b} have no order", a = an(a), b = an(b)),
            Miss::Reckon(sign, a, b) => {
                write!(f, "`{sign}` does not go with {a} and {b}", a = an(a), b = an(b))
            }
            Miss::Argument(name, kind) => write!(f, "`{name}` cannot use this {kind}"),
            Miss::Zero => f.write_str("division by zero"),
            Miss::TooLarge => f.write_str("the number is too large"),
        }
    }
}

pub(super) fn eval<'a>(
    expr: &'a Expr,
    facts: &Facts<'a>,
    locals: &mut Vec<Val<'a>>,
) -> Result<Val<'a>, Miss<'a>> {
    Ok(match expr {
        Expr::Literal(literal) => Val::literal(literal),
        Expr::Root(root) => facts.root(*root).ok_or(Miss::NoRoot(*root))?,
        Expr::Local(at) => locals.get(*at).cloned().ok_or(Miss::Absent(expr))?,
        Expr::Own(root, _, get) => own(expr, *root, *get, facts)?,
        Expr::Field(of, _, get) => match eval(of, facts, locals)? {
            Val::Thing(thing) => get(thing).ok_or(Miss::Absent(expr))?,
            _ => return Err(Miss::Absent(expr)),
        },
        Expr::Key(of, name) => eval(of, facts, locals)?.key(name).ok_or(Miss::Absent(expr))?,
        Expr::Index(of, index) => {
            let (of, index) = (eval(of, facts, locals)?, eval(index, facts, locals)?);
            at(of, &index).ok_or(Miss::Absent(expr))?
        }
        Expr::Has(of) => Val::Bool(!matches!(
            eval(of, facts, locals),
            Err(Miss::Absent(_) | Miss::NoRoot(_)) | Ok(Val::Null)
        )),
        Expr::Time(of) => match eval(of, facts, locals)? {
            Val::Text(text) => Val::Time(text.parse().map_err(|_| Miss::NotTime("string"))?),
            other => return Err(Miss::NotTime(other.kind())),
        },
        Expr::Not(of) => Val::Bool(!truth(&eval(of, facts, locals)?)?),
        Expr::Negate(of) => negated(eval(of, facts, locals)?)?,
        Expr::And(a, b) => Val::Bool(logic(a, b, false, facts, locals)?),
        Expr::Or(a, b) => Val::Bool(logic(a, b, true, facts, locals)?),
        Expr::If(test, yes, no) => {
            let yes_holds = truth(&eval(test, facts, locals)?)?;
            eval(if yes_holds { yes } else { no }, facts, locals)?
        }
        Expr::Same(of, text) => {
            Val::Bool(matches!(eval(of, facts, locals)?, Val::Text(found) if *found == **text))
        }
        Expr::Compare(how, a, b) => {
            Val::Bool(compare(*how, &eval(a, facts, locals)?, &eval(b, facts, locals)?)?)
        }
        Expr::Arith(how, a, b) => arith(*how, &eval(a, facts, locals)?, &eval(b, facts, locals)?)?,
        Expr::In(a, b) => Val::Bool(contains(a, b, facts, locals)?),
        Expr::List(items) => {
            Val::List(items.iter().map(|item| eval(item, facts, locals)).collect::<Result<_, _>>()?)
        }
        Expr::Call(function, args) => {
            let args =
                args.iter().map(|arg| eval(arg, facts, locals)).collect::<Result<Vec<_>, _>>()?;
            function.call(&args)?
        }
        Expr::Matches(of, regex) => match eval(of, facts, locals)? {
            Val::Text(text) => Val::Bool(regex.is_match(&text)),
            other => return Err(Miss::NotText(other.kind())),
        },
        Expr::Every(how, range, test) => Val::Bool(every(*how, range, test, facts, locals)?),
        // Its variables are its own.
        Expr::Shared(clause) => eval(clause, facts, &mut vec![])?,
    })
}

pub(super) fn truth(value: &Val<'_>) -> Result<bool, Miss<'static>> {
    match value {
        Val::Bool(yes) => Ok(*yes),
        other => Err(Miss::NotTruth(other.kind())),
    }
}

/// The field of a top-level object.
fn own<'a>(expr: &'a Expr, root: Root, get: Get, facts: &Facts<'a>) -> Result<Val<'a>, Miss<'a>> {
    match facts.root(root).ok_or(Miss::NoRoot(root))? {
        Val::Thing(thing) => get(thing).ok_or(Miss::Absent(expr)),
        _ => Err(Miss::Absent(expr)),
    }
}

fn negated(value: Val<'_>) -> Result<Val<'_>, Miss<'_>> {
    Ok(match value {
        Val::Int(whole) => Val::Int(whole.checked_neg().ok_or(Miss::TooLarge)?),
        Val::Double(real) => Val::Double(-real),
        Val::Span(span) => Val::Span(-span),
        other => return Err(Miss::NotNumber(other.kind())),
    })
}

fn at<'a>(of: Val<'a>, index: &Val<'_>) -> Option<Val<'a>> {
    match index {
        Val::Text(key) => of.key(key),
        Val::Int(at) => of.items()?.into_iter().nth(usize::try_from(*at).ok()?),
        _ => None,
    }
}

fn contains<'a>(
    a: &'a Expr,
    b: &'a Expr,
    facts: &Facts<'a>,
    locals: &mut Vec<Val<'a>>,
) -> Result<bool, Miss<'a>> {
    let wanted = eval(a, facts, locals)?;
    if let Expr::List(items) = b {
        for item in items {
            if wanted.equals(&eval(item, facts, locals)?) {
                return Ok(true);
            }
        }
        return Ok(false);
    }
    let range = eval(b, facts, locals)?;
    if let (Val::Text(key), Val::Texts(map)) = (&wanted, &range) {
        return Ok(map.contains_key(key.as_ref()));
    }
    let kind = range.kind();
    let items = range.items().ok_or(Miss::NotList(kind))?;
    Ok(items.iter().any(|item| wanted.equals(item)))
}

/// CEL's `&&` and `||`: one decisive side is enough, even where the other has no answer.
fn logic<'a>(
    a: &'a Expr,
    b: &'a Expr,
    decisive: bool,
    facts: &Facts<'a>,
    locals: &mut Vec<Val<'a>>,
) -> Result<bool, Miss<'a>> {
    let first = eval(a, facts, locals).and_then(|value| truth(&value));
    if matches!(first, Ok(yes) if yes == decisive) {
        return Ok(decisive);
    }
    let second = eval(b, facts, locals).and_then(|value| truth(&value))?;
    if second == decisive { Ok(decisive) } else { first }
}

fn every<'a>(
    how: Quantifier,
    range: &'a Expr,
    test: &'a Expr,
    facts: &Facts<'a>,
    locals: &mut Vec<Val<'a>>,
) -> Result<bool, Miss<'a>> {
    let range = eval(range, facts, locals)?;
    let kind = range.kind();
    let (mut undecided, mut held) = (None, 0);
    for item in range.items().ok_or(Miss::NotList(kind))? {
        locals.push(item);
        let verdict = eval(test, facts, locals).and_then(|value| truth(&value));
        locals.pop();
        match (how, verdict) {
            (Quantifier::All, Ok(false)) => return Ok(false),
            (Quantifier::Exists, Ok(true)) => return Ok(true),
            // It counts, so nothing may be unknown.
            (Quantifier::ExistsOne, Err(miss)) => return Err(miss),
            (_, Ok(yes)) => held += usize::from(yes),
            (_, Err(miss)) => undecided = Some(miss),
        }
    }
    undecided.map_or(
        Ok(match how {
            Quantifier::All => true,
            Quantifier::Exists => false,
            Quantifier::ExistsOne => held == 1,
        }),
        Err,
    )
}

fn compare<'a>(how: Compare, a: &Val<'a>, b: &Val<'a>) -> Result<bool, Miss<'a>> {
    use std::cmp::Ordering::{Equal, Greater, Less};
    match how {
        Compare::Equal => return Ok(a.equals(b)),
        Compare::NotEqual => return Ok(!a.equals(b)),
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
        _ => return Err(Miss::NoOrder(a.kind(), b.kind())),
    };
    // Not a number has no order, and every comparison with it is false.
    Ok(match how {
        Compare::Less => order == Some(Less),
        Compare::LessEqual => matches!(order, Some(Less | Equal)),
        Compare::Greater => order == Some(Greater),
        Compare::GreaterEqual => matches!(order, Some(Greater | Equal)),
        Compare::Equal | Compare::NotEqual => order == Some(Equal),
    })
}

fn arith<'a>(how: Arith, a: &Val<'a>, b: &Val<'a>) -> Result<Val<'a>, Miss<'a>> {
    let large = Miss::TooLarge;
    Ok(match (how, a, b) {
        (Arith::Add, Val::Text(a), Val::Text(b)) => Val::Text(format!("{a}{b}").into()),
        (Arith::Subtract, Val::Time(a), Val::Time(b)) => Val::Span(a.duration_since(*b)),
        (Arith::Add, Val::Time(at), Val::Span(by)) | (Arith::Add, Val::Span(by), Val::Time(at)) => {
            Val::Time(at.checked_add(*by).map_err(|_| large)?)
        }
        (Arith::Subtract, Val::Time(at), Val::Span(by)) => {
            Val::Time(at.checked_sub(*by).map_err(|_| large)?)
        }
        (Arith::Add, Val::Span(a), Val::Span(b)) => Val::Span(a.checked_add(*b).ok_or(large)?),
        (Arith::Subtract, Val::Span(a), Val::Span(b)) => Val::Span(a.checked_sub(*b).ok_or(large)?),
        (_, Val::Int(a), Val::Int(b)) => Val::Int(whole(how, *a, *b)?),
        (Arith::Modulo, _, _) => return Err(Miss::Reckon(how.sign(), a.kind(), b.kind())),
        (_, Val::Int(a), Val::Double(b)) => Val::Double(real(how, *a as f64, *b)),
        (_, Val::Double(a), Val::Int(b)) => Val::Double(real(how, *a, *b as f64)),
        (_, Val::Double(a), Val::Double(b)) => Val::Double(real(how, *a, *b)),
        _ => return Err(Miss::Reckon(how.sign(), a.kind(), b.kind())),
    })
}

fn whole(how: Arith, a: i64, b: i64) -> Result<i64, Miss<'static>> {
    if b == 0 && matches!(how, Arith::Divide | Arith::Modulo) {
        return Err(Miss::Zero);
    }
    match how {
        Arith::Add => a.checked_add(b),
        Arith::Subtract => a.checked_sub(b),
        Arith::Multiply => a.checked_mul(b),
        Arith::Divide => a.checked_div(b),
        Arith::Modulo => a.checked_rem(b),
    }
    .ok_or(Miss::TooLarge)
}

fn real(how: Arith, a: f64, b: f64) -> f64 {
    match how {
        Arith::Add => a + b,
        Arith::Subtract => a - b,
        Arith::Multiply => a * b,
        Arith::Divide | Arith::Modulo => a / b,
    }
}
