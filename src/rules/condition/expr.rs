//! What a condition compiles to: names resolved, fields found, patterns built.

use super::eval::{Facts, eval};
use super::functions::Function;
use super::schema::{Get, Root};
use super::types::{Arith, Compare, Literal};
use super::value::Val;
use regex_lite::Regex;
use std::{borrow::Cow, collections::BTreeSet, fmt::Write, sync::Arc};

#[derive(Debug, Clone)]
pub(in crate::rules) enum Expr {
    Literal(Literal),
    Root(Root),
    /// A variable of `exists` and its like, counted from the outermost.
    Local(usize),
    /// A field of a top-level object: where most ways begin.
    Own(Root, &'static str, Get),
    /// A field of one of our own objects.
    Field(Box<Expr>, &'static str, Get),
    /// The value behind a key that is known, of a map or of somebody else's JSON.
    Key(Box<Expr>, Arc<str>),
    Index(Box<Expr>, Box<Expr>),
    /// Whether that field or key is there.
    Has(Box<Expr>),
    /// JSON's text as a time.
    Time(Box<Expr>),
    Not(Box<Expr>),
    Negate(Box<Expr>),
    And(Box<Expr>, Box<Expr>),
    Or(Box<Expr>, Box<Expr>),
    If(Box<Expr>, Box<Expr>, Box<Expr>),
    /// `of == text`: what most clauses are.
    Same(Box<Expr>, Arc<str>),
    Compare(Compare, Box<Expr>, Box<Expr>),
    Arith(Arith, Box<Expr>, Box<Expr>),
    In(Box<Expr>, Box<Expr>),
    List(Vec<Expr>),
    Call(Function, Vec<Expr>),
    Matches(Box<Expr>, Arc<Regex>),
    Every(Quantifier, Box<Expr>, Box<Expr>),
    /// A clause from `definitions`.
    Shared(Arc<Expr>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::rules) enum Quantifier {
    All,
    Exists,
    ExistsOne,
}

impl Expr {
    fn parts(&self) -> Vec<&Expr> {
        match self {
            Expr::Literal(_) | Expr::Root(_) | Expr::Own(..) | Expr::Local(_) => vec![],
            Expr::Field(of, _, _)
            | Expr::Key(of, _)
            | Expr::Has(of)
            | Expr::Time(of)
            | Expr::Not(of)
            | Expr::Negate(of)
            | Expr::Same(of, _)
            | Expr::Matches(of, _) => vec![of],
            Expr::Index(a, b)
            | Expr::And(a, b)
            | Expr::Or(a, b)
            | Expr::Compare(_, a, b)
            | Expr::Arith(_, a, b)
            | Expr::In(a, b)
            | Expr::Every(_, a, b) => vec![a, b],
            Expr::If(a, b, c) => vec![a, b, c],
            Expr::List(all) | Expr::Call(_, all) => all.iter().collect(),
            Expr::Shared(of) => vec![of],
        }
    }

    /// The texts that stand in it: what it compares with.
    pub(super) fn texts<'a>(&'a self, into: &mut BTreeSet<&'a str>) {
        match self {
            Expr::Literal(Literal::Text(text)) => drop(into.insert(text)),
            Expr::Same(_, text) => drop(into.insert(text)),
            _ => {}
        }
        self.parts().into_iter().for_each(|part| part.texts(into));
    }

    /// The values that it reads of the event: each way as far as it goes.
    pub(super) fn reads<'a>(&'a self, into: &mut Vec<&'a Expr>) {
        match self {
            Expr::Has(of) if of.path().is_some() => into.push(of),
            _ if self.path().is_some() => into.push(self),
            _ => self.parts().into_iter().for_each(|part| part.reads(into)),
        }
    }

    /// The way to a value, as it would be written: `node.labels.workload`. The same for the same value.
    pub(in crate::rules) fn path(&self) -> Option<String> {
        Some(match self {
            Expr::Root(root) => root.name().to_owned(),
            Expr::Own(root, name, _) => format!("{}.{name}", root.name()),
            Expr::Field(of, name, _) => format!("{}.{name}", of.path()?),
            Expr::Key(of, name) => {
                let word = |c: char| c == '_' || c.is_ascii_alphanumeric();
                let mut path = of.path()?;
                if name.chars().all(word) && name.starts_with(|c: char| !c.is_ascii_digit()) {
                    path.push('.');
                    path.push_str(name);
                } else {
                    // Writing to a string goes well.
                    write!(path, "[{name:?}]").unwrap_or_default();
                }
                path
            }
            Expr::Index(of, at) => match &**at {
                Expr::Literal(Literal::Int(at)) => format!("{}[{at}]", of.path()?),
                _ => return None,
            },
            Expr::Time(of) => of.path()?,
            _ => return None,
        })
    }

    /// Everything in it that is a way to a value.
    pub(super) fn all_paths<'a>(&'a self, into: &mut Vec<&'a Expr>) {
        if self.path().is_some() {
            into.push(self);
        }
        self.parts().into_iter().for_each(|part| part.all_paths(into));
    }

    /// The text that it gives, where it gives one.
    pub(in crate::rules) fn text<'a>(&'a self, facts: &Facts<'a>) -> Option<Cow<'a, str>> {
        match eval(self, facts, &mut Vec::new()) {
            Ok(Val::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// What must all hold for it to hold, through `&&` and definitions.
    pub(in crate::rules) fn conjuncts<'a>(&'a self, into: &mut Vec<&'a Expr>) {
        match self {
            Expr::And(a, b) => {
                a.conjuncts(into);
                b.conjuncts(into);
            }
            Expr::Shared(of) => of.conjuncts(into),
            other => into.push(other),
        }
    }

    /// A path, and the texts of which it must have one for this to hold.
    pub(in crate::rules) fn one_of(&self) -> Option<(&Expr, Vec<&str>)> {
        match self {
            Expr::Same(of, text) => Some((of, vec![text])),
            Expr::In(of, list) => {
                let Expr::List(items) = &**list else { return None };
                let texts = items.iter().map(|item| match item {
                    Expr::Literal(Literal::Text(text)) => Some(&**text),
                    _ => None,
                });
                Some((of, texts.collect::<Option<_>>()?))
            }
            Expr::Or(a, b) => {
                let ((a, mut texts), (b, more)) = (a.one_of()?, b.one_of()?);
                texts.extend(more);
                (a.path()? == b.path()?).then_some((a, texts))
            }
            Expr::Shared(of) => of.one_of(),
            _ => None,
        }
    }
}
