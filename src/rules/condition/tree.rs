//! A condition as it is written: every part with its place.

use super::types::{Arith, Compare, Literal};
use std::ops::Range;

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tree {
    pub(super) what: What,
    pub(super) range: Range<usize>,
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
