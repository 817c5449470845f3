//! Members: fields of our own objects, keys of maps, parts of senders' payloads.

use super::super::diagnostic::{Code, slip, suggest};
use super::check::{Checker, Typed};
use super::expr::Expr;
use super::fault::Fault;
use super::schema::{EVENT, Field, Shape};
use super::scope::Part;
use super::tree::{Tree, What};
use super::types::{Literal, Type, an};
use std::{ops::Range, sync::Arc};

/// A member by a name that is known: of an object its field, of everything else the value behind the key.
pub(super) fn member(
    checker: &mut Checker<'_>,
    of: Expr,
    kind: &Type,
    name: &str,
    place: &Range<usize>,
) -> Typed {
    let own = |of: Expr, field: &'static Field| {
        let expr = match of {
            Expr::Root(root) => Expr::Own(root, field.name, field.get),
            of => Expr::Field(Box::new(of), field.name, field.get),
        };
        Some((expr, field.kind.to_type()))
    };
    match kind {
        Type::Any => Some((key(of, name), Type::Any)),
        Type::Map(value) => {
            let expr = key(of, name);
            want_present(checker, &expr, place);
            Some((expr, (**value).clone()))
        }
        Type::Object(object) => match object.field(name) {
            Some(field) => own(of, field),
            None => {
                let names: Vec<&str> = object.names().collect();
                checker.refuse(unknown(object.name, name, &names, place))
            }
        },
        Type::Event => match EVENT.field(name) {
            Some(field) => own(of, field),
            None => payload(checker, of, name, place),
        },
        Type::Shape(shape) => part(checker, of, shape, name, place),
        other => {
            let message = format!("{} has no fields, so no `{name}`", an(other));
            checker.refuse(Fault::new(Code::OperandType, place.clone(), message))
        }
    }
}

fn key(of: Expr, name: &str) -> Expr {
    Expr::Key(Box::new(of), Arc::from(name))
}

fn unknown(what: &str, name: &str, names: &[&str], place: &Range<usize>) -> Fault {
    let message = format!("`{what}` has no field `{name}`");
    let hint = suggest(name, names.iter().copied());
    Fault::new(Code::UnknownField, place.clone(), message).hint(hint)
}

/// JSON has no times: a text that is known to be one is read as one.
fn read_as(expr: Expr, kind: Type) -> Typed {
    let expr = if kind == Type::Time { Expr::Time(Box::new(expr)) } else { expr };
    Some((expr, kind))
}

fn payload(checker: &mut Checker<'_>, of: Expr, name: &str, place: &Range<usize>) -> Typed {
    match checker.scope.part(name) {
        Part::Known(kind) => read_as(key(of, name), kind),
        Part::Perhaps => match slip(name, checker.scope.parts()) {
            Some(meant) => checker.refuse(unknown("event", name, &[meant], place)),
            None => Some((key(of, name), Type::Any)),
        },
        Part::Unknown(parts) => {
            let names: Vec<&str> = EVENT.names().chain(parts).collect();
            checker.refuse(unknown("event", name, &names, place))
        }
    }
}

fn part(
    checker: &mut Checker<'_>,
    of: Expr,
    shape: &Shape,
    name: &str,
    place: &Range<usize>,
) -> Typed {
    match shape.part(name) {
        Some(kind) => read_as(key(of, name), kind.to_type()),
        None if shape.open => match slip(name, shape.names()) {
            Some(meant) => checker.refuse(unknown(shape.name, name, &[meant], place)),
            None => Some((key(of, name), Type::Any)),
        },
        None => {
            let names: Vec<&str> = shape.names().collect();
            checker.refuse(unknown(shape.name, name, &names, place))
        }
    }
}

pub(super) fn indexed(checker: &mut Checker<'_>, tree: &Tree, of: &Tree, index: &Tree) -> Typed {
    let (expr, kind) = checker.check(of)?;
    if let What::Literal(Literal::Text(key)) = &index.what
        && matches!(kind, Type::Map(_) | Type::Any | Type::Shape(_) | Type::Event)
    {
        return member(checker, expr, &kind, key, &index.range);
    }
    let (at, at_kind) = checker.check(index)?;
    let (found, wanted) = match &kind {
        Type::Map(of) => ((**of).clone(), Type::Text),
        Type::List(of) => ((**of).clone(), Type::Int),
        Type::Any | Type::Shape(_) | Type::Event => (Type::Any, Type::Any),
        other => {
            let message = format!("{} has no `[...]`", an(other));
            let fault = Fault::new(Code::OperandType, tree.range.clone(), message);
            return checker.refuse(fault.hint("write `.name` for a field"));
        }
    };
    if !wanted.comparable(&at_kind) {
        let message = format!("{} is indexed by {wanted}, and this is {}", an(kind), an(at_kind));
        return checker.refuse(Fault::new(Code::OperandType, index.range.clone(), message));
    }
    Some((Expr::Index(Box::new(expr), Box::new(at)), found))
}

/// A comparison that is true of what is not there would surprise: without a value there is no answer.
fn want_present(checker: &mut Checker<'_>, expr: &Expr, place: &Range<usize>) {
    let Some(path) = expr.path().filter(|_| checker.negative) else { return };
    let Expr::Key(of, key) = expr else { return };
    if checker.present.contains(&path) {
        return;
    }
    let map = of.path().unwrap_or_default();
    let message =
        format!("where `{path}` is not there, this has no answer and the rule does not match");
    let hint = format!(
        "if it should match then, write `!({key:?} in {map}) || ...`; else `{key:?} in {map} && ...`"
    );
    checker
        .faults
        .push(Fault::new(Code::UnguardedKey, place.clone(), message).hint(hint).warning());
}
