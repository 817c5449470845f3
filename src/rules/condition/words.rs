//! The parser's words in ours: literals, operators, and where in a file they stood.

use super::super::diagnostic::Place;
use super::types::{Arith, Compare, Expr, Literal, Type};
use cel::common::ast::{LiteralValue, operators as op};
use std::sync::Arc;

/// The place of a part of `text`, where `text` is what the scalar at `place` says.
pub(super) fn within(place: &Place, text: &str, range: std::ops::Range<usize>) -> Place {
    let file = &place.source.text;
    let scalar = file.get(place.span.clone()).unwrap_or_default();
    // A one-line scalar stands in the file as it is, perhaps behind a quote; others are found line by line.
    let line_start = text[..range.start.min(text.len())].rfind('\n').map_or(0, |at| at + 1);
    let line = text[line_start..].lines().next().unwrap_or_default().trim();
    let offset = scalar.find(line).map(|at| at + range.start.saturating_sub(line_start));
    match offset {
        Some(at) if !line.is_empty() && place.span.start + at < file.len() => {
            let start = place.span.start + at;
            let end = (start + range.len().max(1)).min(place.span.end.max(start + 1));
            Place { source: Arc::clone(&place.source), span: start..end }
        }
        _ => place.clone(),
    }
}

/// A literal, or nothing for bytes.
pub(super) fn constant(literal: &LiteralValue) -> Option<(Expr, Type)> {
    let (literal, of) = match literal {
        LiteralValue::Boolean(yes) => (Literal::Bool(**yes), Type::Bool),
        LiteralValue::Int(number) => (Literal::Int(**number), Type::Int),
        LiteralValue::UInt(number) => {
            (Literal::Int(i64::try_from(**number).unwrap_or(i64::MAX)), Type::Int)
        }
        LiteralValue::Double(number) => (Literal::Double(**number), Type::Double),
        LiteralValue::String(text) => (Literal::Text(Arc::from(text.inner())), Type::Text),
        LiteralValue::Bytes(_) => return None,
        LiteralValue::Null => (Literal::Null, Type::Null),
    };
    Some((Expr::Literal(literal), of))
}

pub(super) fn comparison(name: &str) -> Option<Compare> {
    Some(match name {
        op::EQUALS => Compare::Equal,
        op::NOT_EQUALS => Compare::NotEqual,
        op::LESS => Compare::Less,
        op::LESS_EQUALS => Compare::LessEqual,
        op::GREATER => Compare::Greater,
        op::GREATER_EQUALS => Compare::GreaterEqual,
        _ => return None,
    })
}

pub(super) fn arithmetic(name: &str) -> Option<Arith> {
    Some(match name {
        op::ADD => Arith::Add,
        op::SUBSTRACT => Arith::Subtract,
        op::MULTIPLY => Arith::Multiply,
        op::DIVIDE => Arith::Divide,
        op::MODULO => Arith::Modulo,
        _ => return None,
    })
}
