//! Operands: literals, names, calls, and their members.

use super::super::fault::{Fault, fault};
use super::super::token::Token;
use super::super::tree::{Tree, What};
use super::super::types::Literal;
use super::{LONGEST_CHAIN, Parser};
use std::{ops::Range, sync::Arc};

/// Words that CEL keeps for itself.
const RESERVED: &[&str] = &[
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

impl Parser {
    pub(super) fn member(&mut self) -> Result<Tree, Fault> {
        let mut tree = self.primary()?;
        loop {
            let start = tree.range.start;
            if self.takes(".") {
                let (token, place) = self.next();
                let Token::Name(name) = token else {
                    self.at -= 1;
                    return Err(self.unexpected("a field's name is missing after the dot"));
                };
                self.chain(&place)?;
                tree = if self.takes("(") {
                    let (args, end) = self.arguments(")")?;
                    Tree {
                        what: What::Call(Some(Box::new(tree)), name, place, args),
                        range: start..end,
                    }
                } else {
                    let end = place.end;
                    Tree { what: What::Select(Box::new(tree), name, place), range: start..end }
                };
            } else if self.takes("[") {
                let index = self.expression()?;
                let place = self.place();
                let end = self.expect("]")?;
                self.chain(&place)?;
                tree =
                    Tree { what: What::Index(Box::new(tree), Box::new(index)), range: start..end };
            } else if matches!(self.peek(), Token::Sign(".?" | "[?")) {
                let hint = Some("ask `has(a.b)` or `\"key\" in a` first");
                return Err(Fault::unsupported(
                    self.place(),
                    "optional fields are not supported",
                    hint,
                ));
            } else {
                return Ok(tree);
            }
        }
    }

    /// Members are levels of the tree, too.
    fn chain(&mut self, place: &Range<usize>) -> Result<(), Fault> {
        self.joins += 1;
        if self.joins > LONGEST_CHAIN {
            return Err(fault(place.clone(), format!("more than {LONGEST_CHAIN} members"), None));
        }
        Ok(())
    }

    fn arguments(&mut self, close: &str) -> Result<(Vec<Tree>, usize), Fault> {
        let mut all = vec![];
        loop {
            let end = self.place().end;
            if self.takes(close) {
                return Ok((all, end));
            }
            all.push(self.expression()?);
            if !self.takes(",") {
                return Ok((all, self.expect(close)?));
            }
        }
    }

    fn primary(&mut self) -> Result<Tree, Fault> {
        let (token, range) = self.next();
        let literal = |literal| Ok(Tree { what: What::Literal(literal), range: range.clone() });
        match token {
            Token::Int(whole) => match i64::try_from(whole) {
                Ok(whole) => literal(Literal::Int(whole)),
                Err(_) => Err(fault(range, "a whole number has 63 bits and a sign", None)),
            },
            Token::Double(real) => literal(Literal::Double(real)),
            Token::Text(text) => literal(Literal::Text(Arc::from(text))),
            Token::Name(name) => self.word(name, range),
            Token::Sign("(") => {
                let inner = self.expression()?;
                let end = self.expect(")")?;
                Ok(Tree { range: range.start..end, ..inner })
            }
            Token::Sign("[") => {
                let (items, end) = self.arguments("]")?;
                Ok(Tree { what: What::List(items), range: range.start..end })
            }
            Token::Sign("{") => {
                let hint = Some("compare field by field");
                Err(Fault::unsupported(range, "maps cannot be built in a condition", hint))
            }
            Token::Sign(".") => {
                let hint = Some("leave the first dot out");
                Err(Fault::unsupported(range, "names have no leading dot here", hint))
            }
            Token::Sign(_) | Token::End => {
                self.at -= 1;
                Err(self.unexpected("a value is missing"))
            }
        }
    }

    fn word(&mut self, name: String, range: Range<usize>) -> Result<Tree, Fault> {
        let literal = match name.as_str() {
            "true" => Some(Literal::Bool(true)),
            "false" => Some(Literal::Bool(false)),
            "null" => Some(Literal::Null),
            _ => None,
        };
        if let Some(literal) = literal {
            return Ok(Tree { what: What::Literal(literal), range });
        }
        if name == "in" || RESERVED.contains(&name.as_str()) {
            return Err(fault(range, format!("`{name}` is a word of CEL and names nothing"), None));
        }
        if self.takes("(") {
            let (args, end) = self.arguments(")")?;
            let whole = range.start..end;
            return Ok(Tree { what: What::Call(None, name, range, args), range: whole });
        }
        if matches!(self.peek(), Token::Sign("{")) {
            let hint = Some("compare field by field");
            return Err(Fault::unsupported(range, "messages cannot be built in a condition", hint));
        }
        Ok(Tree { what: What::Name(name), range })
    }
}
