//! The grammar of CEL, by precedence: `? :`, `||`, `&&`, comparisons and `in`, `+ -`, `* / %`, `! -`, members.
//!
//! Written here and not taken from a crate: every operand keeps its place, so that a caret can stand under it;
//! what we leave out is named with what to write instead; and ten thousand rules load in a fraction of a second.
//! The crate `cel` is the measure in tests and benchmarks: what both accept has the same value.

mod primary;

use super::fault::{Fault, fault};
use super::token::{Token, tokens};
use super::tree::{Join, Tree, What};
use super::types::{Arith, Compare, Literal};
use std::ops::Range;

/// Deeper nesting is a program. Bounds the stack of everything that walks a condition.
const DEEPEST: usize = 48;
/// Operators of one condition: each may be a level of the tree.
const LONGEST_CHAIN: usize = 256;

pub(super) fn parse(text: &str) -> Result<Tree, Fault> {
    let tokens = tokens(text)?;
    let mut parser = Parser { tokens, at: 0, depth: 0, joins: 0 };
    let tree = parser.expression()?;
    match parser.peek() {
        Token::End => Ok(tree),
        _ => Err(parser.unexpected("the condition should end here")),
    }
}

struct Parser {
    tokens: Vec<(Token, Range<usize>)>,
    at: usize,
    depth: usize,
    joins: usize,
}

impl Parser {
    fn peek(&self) -> &Token {
        self.tokens.get(self.at).map_or(&Token::End, |(token, _)| token)
    }

    fn place(&self) -> Range<usize> {
        self.tokens.get(self.at).or(self.tokens.last()).map_or(0..0, |(_, range)| range.clone())
    }

    fn next(&mut self) -> (Token, Range<usize>) {
        let next = (self.peek().clone(), self.place());
        self.at += 1;
        next
    }

    fn takes(&mut self, sign: &str) -> bool {
        let found = matches!(self.peek(), Token::Sign(found) if *found == sign);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, sign: &str) -> Result<usize, Fault> {
        let end = self.place().end;
        if self.takes(sign) {
            Ok(end)
        } else {
            Err(self.unexpected(&format!("`{sign}` is missing")))
        }
    }

    fn unexpected(&self, what: &str) -> Fault {
        let found = match self.peek() {
            Token::End => "the end".to_owned(),
            Token::Sign(sign) => format!("`{sign}`"),
            Token::Name(name) => format!("`{name}`"),
            Token::Int(_) | Token::Double(_) => "a number".into(),
            Token::Text(_) => "a string".into(),
        };
        let hint = match self.peek() {
            Token::Name(name) if name == "and" => Some("write `&&`"),
            Token::Name(name) if name == "or" => Some("write `||`"),
            Token::Name(name) if name == "not" => Some("write `!`"),
            _ => None,
        };
        fault(self.place(), format!("{what}, and {found} stands here"), hint)
    }

    fn expression(&mut self) -> Result<Tree, Fault> {
        self.depth += 1;
        if self.depth > DEEPEST {
            let hint = Some("give a part of it a name under `definitions`");
            return Err(fault(self.place(), format!("nested deeper than {DEEPEST} levels"), hint));
        }
        let test = self.joined(0)?;
        let tree = if self.takes("?") {
            let yes = self.expression()?;
            self.expect(":")?;
            let no = self.expression()?;
            let range = test.range.start..no.range.end;
            Tree { what: What::If(Box::new(test), Box::new(yes), Box::new(no)), range }
        } else {
            test
        };
        self.depth -= 1;
        Ok(tree)
    }

    /// Operators of at least this level, all from left to right.
    fn joined(&mut self, level: u8) -> Result<Tree, Fault> {
        if level > 4 {
            return self.unary();
        }
        let mut left = self.joined(level + 1)?;
        while let Some(join) = self.join(level) {
            self.joins += 1;
            if self.joins > LONGEST_CHAIN {
                let hint = Some("use `in [...]`, or split it into several rules");
                return Err(fault(
                    self.place(),
                    format!("more than {LONGEST_CHAIN} operators"),
                    hint,
                ));
            }
            self.at += 1;
            let right = self.joined(level + 1)?;
            let range = left.range.start..right.range.end;
            left = Tree { what: What::Both(join, Box::new(left), Box::new(right)), range };
        }
        Ok(left)
    }

    fn join(&self, level: u8) -> Option<Join> {
        let sign = match self.peek() {
            Token::Sign(sign) => *sign,
            Token::Name(name) if name == "in" => "in",
            _ => return None,
        };
        let (at, join) = match sign {
            "||" => (0, Join::Or),
            "&&" => (1, Join::And),
            "in" => (2, Join::In),
            "==" => (2, Join::Compare(Compare::Equal)),
            "!=" => (2, Join::Compare(Compare::NotEqual)),
            "<" => (2, Join::Compare(Compare::Less)),
            "<=" => (2, Join::Compare(Compare::LessEqual)),
            ">" => (2, Join::Compare(Compare::Greater)),
            ">=" => (2, Join::Compare(Compare::GreaterEqual)),
            "+" => (3, Join::Arith(Arith::Add)),
            "-" => (3, Join::Arith(Arith::Subtract)),
            "*" => (4, Join::Arith(Arith::Multiply)),
            "/" => (4, Join::Arith(Arith::Divide)),
            "%" => (4, Join::Arith(Arith::Modulo)),
            _ => return None,
        };
        (at == level).then_some(join)
    }

    fn unary(&mut self) -> Result<Tree, Fault> {
        let start = self.place().start;
        if self.takes("!") {
            let mut odd = true;
            while self.takes("!") {
                odd = !odd;
            }
            let of = self.member()?;
            let range = start..of.range.end;
            let not = Tree { what: What::Not(Box::new(of)), range: range.clone() };
            // Of an even number of them two remain, so that what follows is checked to be true or false.
            return Ok(if odd { not } else { Tree { what: What::Not(Box::new(not)), range } });
        }
        if self.takes("-") {
            return self.negative(start);
        }
        self.member()
    }

    /// Behind the first `-`.
    fn negative(&mut self, start: usize) -> Result<Tree, Fault> {
        let mut odd = true;
        while self.takes("-") {
            odd = !odd;
        }
        if let Token::Int(whole) = *self.peek()
            && whole == i64::MIN.unsigned_abs()
            && odd
        {
            let range = start..self.next().1.end;
            return Ok(Tree { what: What::Literal(Literal::Int(i64::MIN)), range });
        }
        let of = self.member()?;
        let range = start..of.range.end;
        let negate = |of: Tree| Tree { what: What::Negate(Box::new(of)), range: range.clone() };
        Ok(match (of.what, odd) {
            (What::Literal(Literal::Int(whole)), true) => {
                Tree { what: What::Literal(Literal::Int(-whole)), range }
            }
            (What::Literal(Literal::Double(real)), true) => {
                Tree { what: What::Literal(Literal::Double(-real)), range }
            }
            (what @ What::Literal(Literal::Int(_) | Literal::Double(_)), false) => {
                Tree { what, range }
            }
            // Of an even number of them two remain, so that what follows is checked to be a number.
            (what, odd) => {
                let once = negate(Tree { what, range: of.range });
                if odd { once } else { negate(once) }
            }
        })
    }
}
