//! A condition as it is written: every part with its place.

use super::types::{Arith, Compare, Literal};
use std::{collections::BTreeSet, ops::Range};

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tree {
    pub(super) what: What,
    pub(super) range: Range<usize>,
}

impl Tree {
    /// The names that stand alone in it: objects and definitions.
    pub(super) fn names(&self, into: &mut BTreeSet<String>) {
        match &self.what {
            What::Name(name) => drop(into.insert(name.clone())),
            What::Literal(_) => {}
            What::Select(of, _, _) | What::Not(of) | What::Negate(of) => of.names(into),
            What::Index(a, b) | What::Both(_, a, b) => {
                [a, b].into_iter().for_each(|it| it.names(into))
            }
            What::Call(target, _, _, args) => {
                target.iter().for_each(|it| it.names(into));
                args.iter().for_each(|it| it.names(into));
            }
            What::If(a, b, c) => [a, b, c].into_iter().for_each(|it| it.names(into)),
            What::List(items) => items.iter().for_each(|it| it.names(into)),
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum What {
    Literal(Literal),
    Name(String),
    /// `of.field`; the range is the field's.
    Select(Box<Tree>, String, Range<usize>),
    Index(Box<Tree>, Box<Tree>),
    /// `name(args)` or `target.name(args)`; the range is the name's.
    Call(Option<Box<Tree>>, String, Range<usize>, Vec<Tree>),
    Not(Box<Tree>),
    Negate(Box<Tree>),
    Both(Join, Box<Tree>, Box<Tree>),
    If(Box<Tree>, Box<Tree>, Box<Tree>),
    List(Vec<Tree>),
}

/// What stands between two operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Join {
    Or,
    And,
    In,
    Compare(Compare),
    Arith(Arith),
}
