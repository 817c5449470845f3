//! Operators and functions: what goes with what, and what can never be.

use super::super::diagnostic::{Code, nearest};
use super::check::{Checker, Typed};
use super::expr::Expr;
use super::fault::Fault;
use super::functions::{FUNCTIONS, Function, Style, duration};
use super::presence::established;
use super::tree::{Join, Tree, What};
use super::types::{Arith, Compare, Literal, Type, an};
use std::{ops::Range, sync::Arc};

pub(super) fn both(
    checker: &mut Checker<'_>,
    tree: &Tree,
    join: Join,
    a: &Tree,
    b: &Tree,
) -> Typed {
    match join {
        Join::And | Join::Or => logic(checker, join, a, b),
        Join::In => within(checker, a, b),
        Join::Compare(how) => compare(checker, tree, how, a, b),
        Join::Arith(how) => reckon(checker, tree, how, a, b),
    }
}

fn logic(checker: &mut Checker<'_>, join: Join, a: &Tree, b: &Tree) -> Typed {
    let and = join == Join::And;
    let word = if and { "`&&`" } else { "`||`" };
    let first = checker.check(a).and_then(|typed| checker.truth(a, typed, word));
    let before = checker.present.len();
    checker.present.extend(first.iter().flat_map(|first| established(first, and)));
    let second = checker.check(b).and_then(|typed| checker.truth(b, typed, word));
    checker.present.truncate(before);
    let (first, second) = (Box::new(first?), Box::new(second?));
    Some((if and { Expr::And(first, second) } else { Expr::Or(first, second) }, Type::Bool))
}

fn within(checker: &mut Checker<'_>, a: &Tree, b: &Tree) -> Typed {
    let (first, second) = (checker.check(a), checker.check(b));
    let ((item, of), (list, kind)) = (first?, second?);
    match &kind {
        Type::List(items) if !items.comparable(&of) => {
            let message = format!("{of} is never in a list of {items}", of = an(of));
            checker.refuse(Fault::new(Code::Never, a.range.clone(), message))
        }
        Type::Map(_) | Type::Shape(_) if !of.text() => {
            let message = format!("a key is a string, and this is {of}", of = an(of));
            checker.refuse(Fault::new(Code::Never, a.range.clone(), message))
        }
        Type::List(_) => {
            if let What::List(items) = &b.what {
                for item in items {
                    one_of_its_words(checker, &of, item)?;
                }
            }
            Some((Expr::In(Box::new(item), Box::new(list)), Type::Bool))
        }
        Type::Any | Type::Map(_) | Type::Shape(_) => {
            Some((Expr::In(Box::new(item), Box::new(list)), Type::Bool))
        }
        other => {
            let message =
                format!("`in` needs a list or a map, and this is {other}", other = an(other));
            let fault = Fault::new(Code::OperandType, b.range.clone(), message);
            checker.refuse(match other {
                Type::Text | Type::Word(_) => fault.hint("for a part of a string use `contains`"),
                _ => fault,
            })
        }
    }
}

/// A text that is none of the words that a field can have.
fn one_of_its_words(checker: &mut Checker<'_>, of: &Type, literal: &Tree) -> Option<()> {
    let (Type::Word(words), What::Literal(Literal::Text(text))) = (of, &literal.what) else {
        return Some(());
    };
    if words.contains(&&**text) {
        return Some(());
    }
    let hint = match nearest(text, words.iter().copied()) {
        Some(meant) => format!("did you mean {meant:?}?"),
        None => {
            let all: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
            format!("it is one of {}", all.join(", "))
        }
    };
    let message = format!("it is never {text:?}");
    checker.refuse(Fault::new(Code::Never, literal.range.clone(), message).hint(hint))
}

fn compare(checker: &mut Checker<'_>, tree: &Tree, how: Compare, a: &Tree, b: &Tree) -> Typed {
    let before = checker.negated(how);
    let (first, second) = (checker.check(a), checker.check(b));
    checker.negative = before;
    let ((left, of), (right, kind)) = (first?, second?);
    if !of.comparable(&kind) {
        let hint = match (&of, &kind) {
            (Type::Text | Type::Word(_), Type::Int | Type::Double)
            | (Type::Int | Type::Double, Type::Text | Type::Word(_)) => {
                Some("put the number in quotes, or use `int(...)`")
            }
            (Type::Bool, Type::Text) | (Type::Text, Type::Bool) => {
                Some("compare with true or false, without quotes")
            }
            (Type::Time, Type::Text) | (Type::Text, Type::Time) => Some("use `timestamp(\"...\")`"),
            (Type::Span, _) | (_, Type::Span) => Some("use `duration(\"5m\")`"),
            _ => None,
        };
        let message = format!("{of} never compares with {kind}", of = an(of), kind = an(kind));
        let fault = Fault::new(Code::Never, tree.range.clone(), message);
        return checker.refuse(Fault { hint: hint.map(str::to_owned), ..fault });
    }
    let equality = matches!(how, Compare::Equal | Compare::NotEqual);
    let ordered = of.ordered() && kind.ordered();
    if !(equality || ordered) {
        let other = if of.ordered() { kind } else { of };
        let message = format!("{other} has no order", other = an(other));
        return checker.refuse(Fault::new(Code::OperandType, tree.range.clone(), message));
    }
    one_of_its_words(checker, &of, b)?;
    one_of_its_words(checker, &kind, a)?;
    let expr = match (how, left, right) {
        (Compare::Equal, of, Expr::Literal(Literal::Text(text)))
        | (Compare::Equal, Expr::Literal(Literal::Text(text)), of) => {
            Expr::Same(Box::new(of), text)
        }
        (how, left, right) => Expr::Compare(how, Box::new(left), Box::new(right)),
    };
    Some((expr, Type::Bool))
}

fn reckon(checker: &mut Checker<'_>, tree: &Tree, how: Arith, a: &Tree, b: &Tree) -> Typed {
    let (first, second) = (checker.check(a), checker.check(b));
    let ((left, of), (right, kind)) = (first?, second?);
    let found = match (how, &of, &kind) {
        (Arith::Divide | Arith::Modulo, Type::Int, Type::Int)
            if matches!(right, Expr::Literal(Literal::Int(0))) =>
        {
            return checker.refuse(Fault::new(Code::Never, b.range.clone(), "division by zero"));
        }
        (_, Type::Any, _) | (_, _, Type::Any) => Type::Any,
        (_, Type::Int, Type::Int) => Type::Int,
        (how, Type::Double, Type::Double) if how != Arith::Modulo => Type::Double,
        (Arith::Add, a, b) if a.text() && b.text() => Type::Text,
        (Arith::Subtract, Type::Time, Type::Time) => Type::Span,
        (Arith::Add | Arith::Subtract, Type::Time, Type::Span) => Type::Time,
        (Arith::Add, Type::Span, Type::Time) => Type::Time,
        (Arith::Add | Arith::Subtract, Type::Span, Type::Span) => Type::Span,
        (how, a, b) => {
            let message =
                format!("`{}` does not go with {a} and {b}", how.sign(), a = an(a), b = an(b));
            let fault = Fault::new(Code::OperandType, tree.range.clone(), message);
            return checker.refuse(match (a, b) {
                (Type::Int, Type::Double) | (Type::Double, Type::Int) => {
                    fault.hint("make both the same with `double(...)` or `int(...)`")
                }
                (Type::List(_), _) | (_, Type::List(_)) => fault.hint("use `in` on each list"),
                (Type::Text, _) | (_, Type::Text) => fault.hint("use `string(...)` or `int(...)`"),
                _ => fault,
            });
        }
    };
    Some((Expr::Arith(how, Box::new(left), Box::new(right)), found))
}

/// A pattern of a page is no pattern: bytes of a compiled one.
const LARGEST_PATTERN: usize = 1 << 20;

pub(super) fn matches(checker: &mut Checker<'_>, of: &Tree, pattern: &Tree) -> Typed {
    let (expr, kind) = checker.check(of)?;
    if !kind.text() {
        let message = format!("`matches` needs a string, and this is {kind}", kind = an(kind));
        return checker.refuse(Fault::new(Code::OperandType, of.range.clone(), message));
    }
    let What::Literal(Literal::Text(text)) = &pattern.what else {
        let message = "`matches` takes a pattern that stands here as a string";
        let fault = Fault::unsupported(pattern.range.clone(), message, None);
        return checker.refuse(fault.hint("use `contains` or `==` for what is known only later"));
    };
    match regex_lite::RegexBuilder::new(text).size_limit(LARGEST_PATTERN).build() {
        Ok(regex) => Some((Expr::Matches(Box::new(expr), Arc::new(regex)), Type::Bool)),
        Err(error) => {
            let message = format!("not a regular expression: {error}");
            checker.refuse(Fault::new(Code::BadValue, pattern.range.clone(), message))
        }
    }
}

pub(super) fn function(
    checker: &mut Checker<'_>,
    target: Option<&Tree>,
    name: &str,
    place: &Range<usize>,
    args: &[Tree],
) -> Typed {
    let Some((_, function, arity, style)) = FUNCTIONS.iter().find(|found| found.0 == name) else {
        return checker.unknown_function(name, place);
    };
    let all: Vec<&Tree> = target.into_iter().chain(args).collect();
    let fits = match style {
        Style::Member => target.is_some(),
        Style::Global => target.is_none(),
        Style::Both => true,
    };
    if !fits || all.len() != *arity {
        let hint = match (style, arity) {
            (Style::Member, 1) => format!("write `a.{name}()`"),
            (Style::Member, _) => format!("write `a.{name}(\"b\")`"),
            (Style::Global | Style::Both, _) => format!("write `{name}(a)`"),
        };
        let message = format!("`{name}` is not called like this");
        return checker.refuse(Fault::new(Code::Syntax, place.clone(), message).hint(hint));
    }
    let typed: Vec<Typed> = all.iter().map(|arg| checker.check(arg)).collect();
    let typed: Vec<(Expr, Type)> = typed.into_iter().collect::<Option<_>>()?;
    if let Some((arg, (_, kind))) =
        all.iter().zip(&typed).find(|(_, (_, kind))| !function.takes(kind))
    {
        let message = format!("`{name}` does not take {kind}", kind = an(kind));
        return checker.refuse(Fault::new(Code::OperandType, arg.range.clone(), message));
    }
    let exprs: Vec<Expr> = typed.into_iter().map(|(expr, _)| expr).collect();
    if let [Expr::Literal(Literal::Text(text))] = exprs.as_slice()
        && let Some(made) = constant(checker, *function, text, all[0])
    {
        return made.map(|literal| (Expr::Literal(literal), function.gives()));
    }
    Some((Expr::Call(*function, exprs), function.gives()))
}

/// A time or a duration that stands in the condition is read once.
fn constant(
    checker: &mut Checker<'_>,
    function: Function,
    text: &str,
    tree: &Tree,
) -> Option<Option<Literal>> {
    let (literal, example) = match function {
        Function::Duration => {
            let millis = duration(text).and_then(|span| i64::try_from(span.as_millis()).ok());
            (millis.map(Literal::Span), "30s, 5m or 1h30m")
        }
        Function::Timestamp => (text.parse().ok().map(Literal::Time), "2026-09-18T08:20:00Z"),
        _ => return None,
    };
    Some(literal.or_else(|| {
        let message = format!("{text:?} is not a {}", function.gives());
        let fault = Fault::new(Code::BadValue, tree.range.clone(), message);
        checker.refuse(fault.hint(format!("write for example {example}")))
    }))
}
