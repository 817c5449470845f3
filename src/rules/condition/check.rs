//! From the parser's tree to what is evaluated: names resolved, types inferred, every fault with its place.

use super::super::diagnostic::{Code, suggest};
use super::expr::{Expr, Quantifier};
use super::fault::Fault;
use super::functions::{ABSENT, FUNCTIONS};
use super::members::{indexed, member};
use super::operators;
use super::presence::{Present, established};
use super::schema::Root;
use super::scope::{Definition, Scope};
use super::tree::{Tree, What};
use super::types::{Compare, Literal, Type, an};
use std::{ops::Range, sync::Arc};

pub(super) struct Checker<'a> {
    pub(super) scope: Scope<'a>,
    pub(super) faults: Vec<Fault>,
    /// Variables of `exists` and its like.
    locals: Vec<(String, Type)>,
    pub(super) present: Present,
    /// An odd number of negations stands around what is checked.
    pub(super) negative: bool,
    /// Definitions around what is checked, and parts that were checked in all.
    nested: usize,
    size: usize,
}

/// Definitions of definitions of definitions are a program, and so is what they grow to.
const DEEPEST: usize = 16;
const LARGEST: usize = 20_000;
/// Before a fault of a definition, at the place where it is used.
const AS_USED: &str = "as used here";

pub(super) type Typed = Option<(Expr, Type)>;

impl<'a> Checker<'a> {
    pub(super) fn new(scope: Scope<'a>) -> Checker<'a> {
        Checker {
            scope,
            faults: vec![],
            locals: vec![],
            present: vec![],
            negative: false,
            nested: 0,
            size: 0,
        }
    }

    /// Notes a fault; nothing can be made of what has it.
    pub(super) fn refuse<T>(&mut self, fault: Fault) -> Option<T> {
        self.faults.push(fault);
        None
    }

    pub(super) fn check(&mut self, tree: &Tree) -> Typed {
        self.size += 1;
        if self.size > LARGEST {
            return None;
        }
        match &tree.what {
            What::Literal(literal) => Some((Expr::Literal(literal.clone()), literal.kind())),
            What::Name(name) => self.name(tree, name),
            What::Select(of, field, place) => {
                let (expr, kind) = self.check(of)?;
                member(self, expr, &kind, field, place)
            }
            What::Index(of, index) => indexed(self, tree, of, index),
            What::Call(target, name, place, args) => {
                self.call(tree, target.as_deref(), name, place, args)
            }
            What::Not(of) => {
                self.negative = !self.negative;
                let inner = self.check(of);
                self.negative = !self.negative;
                let inner = inner.and_then(|inner| self.truth(of, inner, "`!`"))?;
                Some((Expr::Not(Box::new(inner)), Type::Bool))
            }
            What::Negate(of) => {
                let (inner, kind) = self.check(of)?;
                if kind.number() || kind == Type::Span {
                    return Some((Expr::Negate(Box::new(inner)), kind));
                }
                let message = format!("`-` needs a number, and this is {kind}", kind = an(kind));
                self.refuse(Fault::new(Code::OperandType, of.range.clone(), message))
            }
            What::Both(join, a, b) => operators::both(self, tree, *join, a, b),
            What::If(test, yes, no) => self.conditional(test, yes, no),
            What::List(items) => {
                let items: Vec<Typed> = items.iter().map(|item| self.check(item)).collect();
                let items: Vec<(Expr, Type)> = items.into_iter().collect::<Option<_>>()?;
                let of = items.iter().map(|(_, of)| of.clone()).reduce(|a, b| a.join(&b));
                let exprs = items.into_iter().map(|(item, _)| item).collect();
                Some((Expr::List(exprs), Type::List(Box::new(of.unwrap_or(Type::Any)))))
            }
        }
    }

    /// `what` needs true or false.
    pub(super) fn truth(
        &mut self,
        tree: &Tree,
        (expr, kind): (Expr, Type),
        what: &str,
    ) -> Option<Expr> {
        if matches!(kind, Type::Bool | Type::Any) {
            return Some(expr);
        }
        let message = format!("{what} needs true or false, and this is {kind}", kind = an(kind));
        self.refuse(
            Fault::new(Code::OperandType, tree.range.clone(), message)
                .hint("compare it with something"),
        )
    }

    fn conditional(&mut self, test: &Tree, yes: &Tree, no: &Tree) -> Typed {
        let checked = self.check(test).and_then(|typed| self.truth(test, typed, "`? :`"));
        let before = self.present.len();
        self.present.extend(checked.iter().flat_map(|test| established(test, true)));
        let first = self.check(yes);
        self.present.truncate(before);
        self.present.extend(checked.iter().flat_map(|test| established(test, false)));
        let second = self.check(no);
        self.present.truncate(before);
        let ((first, a), (second, b)) = (first?, second?);
        let expr = Expr::If(Box::new(checked?), Box::new(first), Box::new(second));
        Some((expr, a.join(&b)))
    }

    fn name(&mut self, tree: &Tree, name: &str) -> Typed {
        if let Some(at) = self.locals.iter().rposition(|(local, _)| local == name) {
            return Some((Expr::Local(at), self.locals[at].1.clone()));
        }
        if let Some(definition) = self.scope.definitions.get(name) {
            return self.definition(tree, name, definition);
        }
        if let Some(root) = Root::ALL.into_iter().find(|root| root.name() == name) {
            if root == Root::Alert && self.scope.no_alerts() {
                let message = "no event of this rule is an alert";
                return self.refuse(
                    Fault::new(Code::Unreachable, tree.range.clone(), message)
                        .hint("alerts come with `when: alertmanager.alert.firing`"),
                );
            }
            return Some((Expr::Root(root), root.kind()));
        }
        let known: Vec<&str> = Root::ALL
            .iter()
            .map(|root| root.name())
            .chain(self.scope.definitions.keys().map(String::as_str))
            .collect();
        let hint = suggest(name, known.iter().copied());
        let message = format!("there is no `{name}`");
        self.refuse(Fault::new(Code::UnknownName, tree.range.clone(), message).hint(hint))
    }

    /// A definition means what it means where it is used.
    fn definition(&mut self, tree: &Tree, name: &str, definition: &Definition) -> Typed {
        if definition.broken {
            return None;
        }
        let mut inner = Checker::new(self.scope);
        (inner.nested, inner.size) = (self.nested + 1, self.size);
        if inner.nested > DEEPEST {
            let message = format!("definitions are nested deeper than {DEEPEST}");
            return self.refuse(Fault::new(Code::TooLarge, tree.range.clone(), message));
        }
        let checked = inner.check(&definition.tree);
        self.size = inner.size;
        if self.size > LARGEST {
            // Said once: what is around it is given up as well.
            if inner.faults.iter().all(|fault| fault.code != Code::TooLarge) {
                let message = format!("with its definitions it has more than {LARGEST} parts");
                self.faults.push(Fault::new(Code::TooLarge, tree.range.clone(), message));
            } else {
                self.faults.extend(inner.faults.into_iter().filter(|it| it.code == Code::TooLarge));
            }
            return None;
        }
        for fault in inner.faults.into_iter().filter(|fault| !fault.warning) {
            let message = match fault.message.starts_with(AS_USED) {
                true => fault.message,
                false => format!("{AS_USED}, in `{name}`: {}", fault.message),
            };
            self.faults.push(Fault { range: tree.range.clone(), message, ..fault });
        }
        let (expr, kind) = checked?;
        Some((Expr::Shared(Arc::new(expr)), kind))
    }

    fn call(
        &mut self,
        tree: &Tree,
        target: Option<&Tree>,
        name: &str,
        place: &Range<usize>,
        args: &[Tree],
    ) -> Typed {
        match (target, name, args) {
            (None, "has", [of]) => self.has(of),
            (None, "has", _) => {
                let message = "`has` takes one field";
                self.refuse(
                    Fault::new(Code::Syntax, tree.range.clone(), message).hint("write `has(a.b)`"),
                )
            }
            (Some(range), "exists" | "all" | "exists_one", args) => {
                let how = match name {
                    "all" => Quantifier::All,
                    "exists" => Quantifier::Exists,
                    _ => Quantifier::ExistsOne,
                };
                self.every(how, range, name, place, args)
            }
            (Some(of), "matches", [pattern]) | (None, "matches", [of, pattern]) => {
                operators::matches(self, of, pattern)
            }
            _ => operators::function(self, target, name, place, args),
        }
    }

    /// Asking whether something is there needs nothing to be there.
    fn has(&mut self, of: &Tree) -> Typed {
        let field = match &of.what {
            What::Select(..) => true,
            What::Index(_, index) => matches!(index.what, What::Literal(Literal::Text(_))),
            _ => false,
        };
        if !field {
            let fault = Fault::new(Code::Syntax, of.range.clone(), "`has` asks for a field");
            return self.refuse(fault.hint("write `has(a.b)`, or `\"key\" in a` for a key"));
        }
        let negative = std::mem::replace(&mut self.negative, false);
        let checked = self.check(of);
        self.negative = negative;
        let (expr, _) = checked?;
        let bare = match expr {
            Expr::Time(inner) => inner,
            other => Box::new(other),
        };
        Some((Expr::Has(bare), Type::Bool))
    }

    fn every(
        &mut self,
        how: Quantifier,
        range: &Tree,
        name: &str,
        place: &Range<usize>,
        args: &[Tree],
    ) -> Typed {
        let [Tree { what: What::Name(variable), .. }, test] = args else {
            let message = format!("`{name}` takes a variable and a condition");
            let hint = format!("write `list.{name}(x, x == \"a\")`");
            return self.refuse(Fault::new(Code::Syntax, place.clone(), message).hint(hint));
        };
        let (of, kind) = self.check(range)?;
        let item = match kind {
            Type::List(of) => *of,
            Type::Map(_) => Type::Text,
            Type::Any | Type::Shape(_) => Type::Any,
            other => {
                let message = format!("{other} is nothing to go through", other = an(other));
                return self.refuse(Fault::new(Code::OperandType, range.range.clone(), message));
            }
        };
        self.locals.push((variable.clone(), item));
        let checked = self.check(test);
        self.locals.pop();
        let test = checked.and_then(|typed| self.truth(test, typed, &format!("`{name}`")))?;
        Some((Expr::Every(how, Box::new(of), Box::new(test)), Type::Bool))
    }

    /// What `name` could have meant.
    pub(super) fn unknown_function(&mut self, name: &str, place: &Range<usize>) -> Typed {
        if let Some((_, hint)) = ABSENT.iter().find(|(absent, _)| *absent == name) {
            let message = format!("`{name}` is not supported");
            return self.refuse(Fault::unsupported(place.clone(), message, Some(hint)));
        }
        let known = FUNCTIONS.iter().map(|function| function.0).chain([
            "matches",
            "has",
            "exists",
            "exists_one",
            "all",
        ]);
        let message = format!("there is no function `{name}`");
        let hint = suggest(name, known);
        self.refuse(Fault::new(Code::UnknownName, place.clone(), message).hint(hint))
    }

    pub(super) fn negated(&mut self, how: Compare) -> bool {
        let before = self.negative;
        self.negative ^= how == Compare::NotEqual;
        before
    }
}
