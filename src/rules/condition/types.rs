//! The types of conditions, and the tree that they compile to.

use regex_lite::Regex;
use std::{fmt, sync::Arc};

#[derive(Debug, Clone, PartialEq)]
pub(in crate::rules) enum Type {
    /// Known at run time only: a field of somebody else's event.
    Any,
    Bool,
    Int,
    Double,
    Text,
    Time,
    Span,
    Null,
    List(Box<Type>),
    /// Text to a value.
    Map(Box<Type>),
    /// One of our own objects.
    Object(&'static super::schema::Object),
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::Any => f.write_str("any"),
            Type::Bool => f.write_str("bool"),
            Type::Int => f.write_str("int"),
            Type::Double => f.write_str("double"),
            Type::Text => f.write_str("string"),
            Type::Time => f.write_str("timestamp"),
            Type::Span => f.write_str("duration"),
            Type::Null => f.write_str("null"),
            Type::List(of) => write!(f, "list of {of}"),
            Type::Map(of) => write!(f, "map of {of}"),
            Type::Object(object) => f.write_str(object.name),
        }
    }
}

impl Type {
    pub(super) fn number(&self) -> bool {
        matches!(self, Type::Any | Type::Int | Type::Double)
    }

    /// Whether a value of one could ever equal a value of the other.
    pub(super) fn comparable(&self, other: &Type) -> bool {
        match (self, other) {
            (Type::Any | Type::Null, _) | (_, Type::Any | Type::Null) => true,
            (Type::Int | Type::Double, Type::Int | Type::Double) => true,
            (Type::List(a), Type::List(b)) | (Type::Map(a), Type::Map(b)) => a.comparable(b),
            (a, b) => a == b,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::rules) enum Compare {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::rules) enum Arith {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
}

#[derive(Debug, Clone)]
pub(in crate::rules) enum Literal {
    Null,
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(Arc<str>),
    Span(i64),
    Time(jiff::Timestamp),
}

#[derive(Debug, Clone)]
pub(in crate::rules) enum Expr {
    Literal(Literal),
    /// A top-level object: `event`, `node`, `now`.
    Root(&'static str),
    /// A variable of `exists` or `all`, counted from the outermost.
    Local(usize),
    /// The type says how to read what stands in JSON.
    Field {
        of: Box<Expr>,
        name: Arc<str>,
        as_time: bool,
    },
    Index(Box<Expr>, Box<Expr>),
    Has {
        of: Box<Expr>,
        name: Arc<str>,
    },
    Not(Box<Expr>),
    Negate(Box<Expr>),
    And(Box<Expr>, Box<Expr>),
    Or(Box<Expr>, Box<Expr>),
    If(Box<Expr>, Box<Expr>, Box<Expr>),
    Compare(Compare, Box<Expr>, Box<Expr>),
    Arith(Arith, Box<Expr>, Box<Expr>),
    In(Box<Expr>, Box<Expr>),
    List(Vec<Expr>),
    Call(super::eval::Function, Vec<Expr>),
    Matches(Box<Expr>, Arc<Regex>),
    Every {
        range: Box<Expr>,
        test: Box<Expr>,
        all: bool,
    },
    /// A clause from `definitions`.
    Shared(Arc<Expr>),
}

impl Expr {
    /// The texts that stand in it: what it compares with.
    pub(super) fn texts<'a>(&'a self, into: &mut std::collections::BTreeSet<&'a str>) {
        match self {
            Expr::Literal(Literal::Text(text)) => {
                into.insert(text);
            }
            Expr::Literal(_) | Expr::Root(_) | Expr::Local(_) => {}
            Expr::Field { of, .. } | Expr::Has { of, .. } => of.texts(into),
            Expr::Not(of) | Expr::Negate(of) | Expr::Matches(of, _) => of.texts(into),
            Expr::Index(a, b)
            | Expr::And(a, b)
            | Expr::Or(a, b)
            | Expr::Compare(_, a, b)
            | Expr::Arith(_, a, b)
            | Expr::In(a, b) => [a, b].into_iter().for_each(|one| one.texts(into)),
            Expr::If(a, b, c) => [a, b, c].into_iter().for_each(|one| one.texts(into)),
            Expr::List(all) | Expr::Call(_, all) => all.iter().for_each(|one| one.texts(into)),
            Expr::Every { range, test, .. } => {
                range.texts(into);
                test.texts(into);
            }
            Expr::Shared(of) => of.texts(into),
        }
    }
}
