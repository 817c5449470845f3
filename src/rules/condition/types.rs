//! The types of conditions.

use super::schema::{Object, Shape};
use std::{fmt, sync::Arc};

#[derive(Debug, Clone, PartialEq)]
pub(in crate::rules) enum Type {
    /// Known at run time only: a field of somebody else's event.
    Any,
    Bool,
    Int,
    Double,
    Text,
    /// A text that is one of a few.
    Word(&'static [&'static str]),
    Time,
    Span,
    Null,
    List(Box<Type>),
    /// Text to a value.
    Map(Box<Type>),
    /// One of our own objects.
    Object(&'static Object),
    /// A part of a sender's payload whose fields are known.
    Shape(&'static Shape),
    /// The event itself: its fields depend on the rule's `when`.
    Event,
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::Any => f.write_str("any"),
            Type::Bool => f.write_str("bool"),
            Type::Int => f.write_str("int"),
            Type::Double => f.write_str("double"),
            Type::Text | Type::Word(_) => f.write_str("string"),
            Type::Time => f.write_str("timestamp"),
            Type::Span => f.write_str("duration"),
            Type::Null => f.write_str("null"),
            Type::List(of) => write!(f, "list of {of}"),
            Type::Map(of) => write!(f, "map of {of}"),
            Type::Object(object) => f.write_str(object.name),
            Type::Shape(shape) => f.write_str(shape.name),
            Type::Event => f.write_str("event"),
        }
    }
}

/// With its article: `an int`.
pub(super) fn an(word: impl fmt::Display) -> String {
    let word = word.to_string();
    let article = if word.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {word}")
}

impl Type {
    pub(super) fn number(&self) -> bool {
        matches!(self, Type::Any | Type::Int | Type::Double)
    }

    pub(super) fn text(&self) -> bool {
        matches!(self, Type::Any | Type::Text | Type::Word(_))
    }

    /// Whether its values can tell things apart by a word.
    pub(super) fn key(&self) -> bool {
        !matches!(
            self,
            Type::List(_)
                | Type::Map(_)
                | Type::Object(_)
                | Type::Shape(_)
                | Type::Event
                | Type::Null
        )
    }

    /// Whether a value of one could ever equal a value of the other.
    pub(super) fn comparable(&self, other: &Type) -> bool {
        match (self, other) {
            (Type::Any | Type::Null, _) | (_, Type::Any | Type::Null) => true,
            (Type::Int | Type::Double, Type::Int | Type::Double) => true,
            (Type::Text | Type::Word(_), Type::Text | Type::Word(_)) => true,
            (Type::List(a), Type::List(b)) | (Type::Map(a), Type::Map(b)) => a.comparable(b),
            (a, b) => a == b,
        }
    }

    /// Whether values of it have an order.
    pub(super) fn ordered(&self) -> bool {
        self.number() || self.text() || matches!(self, Type::Time | Type::Span | Type::Bool)
    }

    /// What both are.
    pub(super) fn join(self, other: &Type) -> Type {
        if self == *other {
            self
        } else if self.text() && other.text() && self != Type::Any && *other != Type::Any {
            Type::Text
        } else {
            Type::Any
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

impl Compare {
    /// The same with the sides exchanged.
    pub(super) fn turned(self) -> Compare {
        match self {
            Compare::Less => Compare::Greater,
            Compare::LessEqual => Compare::GreaterEqual,
            Compare::Greater => Compare::Less,
            Compare::GreaterEqual => Compare::LessEqual,
            same @ (Compare::Equal | Compare::NotEqual) => same,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::rules) enum Arith {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
}

impl Arith {
    pub(super) fn sign(self) -> &'static str {
        match self {
            Arith::Add => "+",
            Arith::Subtract => "-",
            Arith::Multiply => "*",
            Arith::Divide => "/",
            Arith::Modulo => "%",
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(in crate::rules) enum Literal {
    Null,
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(Arc<str>),
    /// Milliseconds.
    Span(i64),
    Time(jiff::Timestamp),
}

impl Literal {
    pub(super) fn kind(&self) -> Type {
        match self {
            Literal::Null => Type::Null,
            Literal::Bool(_) => Type::Bool,
            Literal::Int(_) => Type::Int,
            Literal::Double(_) => Type::Double,
            Literal::Text(_) => Type::Text,
            Literal::Span(_) => Type::Span,
            Literal::Time(_) => Type::Time,
        }
    }
}
