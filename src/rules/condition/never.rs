//! Clauses that rule each other out: each could hold, all together never.

use super::super::diagnostic::Code;
use super::expr::Expr;
use super::fault::Fault;
use super::types::{Compare, Literal};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

/// What the clauses so far leave of one value.
#[derive(Default)]
struct Left<'a> {
    one_of: Option<BTreeSet<&'a str>>,
    not: BTreeSet<&'a str>,
    /// Bounds, and whether the bound itself is allowed.
    low: Option<(f64, bool)>,
    high: Option<(f64, bool)>,
    truth: Option<bool>,
}

impl Left<'_> {
    fn nothing(&self) -> bool {
        let texts =
            self.one_of.as_ref().is_some_and(|all| all.iter().all(|text| self.not.contains(text)));
        let numbers =
            self.low.zip(self.high).is_some_and(|((low, with_low), (high, with_high))| {
                low > high || (low == high && !(with_low && with_high))
            });
        texts || numbers
    }
}

/// The first clause that cannot hold together with those before it. `when`: the types of the rule's events.
pub(super) fn contradiction(clauses: &[(&Expr, Range<usize>)], when: &[String]) -> Option<Fault> {
    let mut left: BTreeMap<String, Left<'_>> = BTreeMap::new();
    if !when.is_empty() {
        let types =
            Left { one_of: Some(when.iter().map(String::as_str).collect()), ..Left::default() };
        left.insert("event.type".into(), types);
    }
    for (clause, range) in clauses {
        let mut all = vec![];
        clause.conjuncts(&mut all);
        for part in all {
            if matches!(part, Expr::Literal(Literal::Bool(false))) {
                return Some(Fault::new(Code::Never, range.clone(), "this never holds"));
            }
            let Some(path) = narrow(part, &mut left) else { continue };
            if left.get(&path).is_some_and(Left::nothing) {
                return Some(refusal(&path, range, when));
            }
        }
    }
    None
}

fn refusal(path: &str, range: &Range<usize>, when: &[String]) -> Fault {
    if path == "event.type" {
        let message = "the rule's `when` never brings an event of this type";
        let hint = format!("`when` names {}", when.join(", "));
        return Fault::new(Code::Unreachable, range.clone(), message).hint(hint);
    }
    let message = format!("with what stands before about `{path}`, this never holds");
    Fault::new(Code::Never, range.clone(), message)
        .hint("use `||` where one of them is enough, or leave one out")
}

/// Takes one clause in: the path that it is about, where it is one that can be understood.
fn narrow<'a>(clause: &'a Expr, left: &mut BTreeMap<String, Left<'a>>) -> Option<String> {
    if let Some((of, texts)) = clause.one_of() {
        let path = of.path()?;
        let known = left.entry(path.clone()).or_default();
        let texts: BTreeSet<&str> = texts.into_iter().collect();
        known.one_of = Some(match known.one_of.take() {
            Some(before) => before.intersection(&texts).copied().collect(),
            None => texts,
        });
        return Some(path);
    }
    match clause {
        Expr::Not(of) => match &**of {
            Expr::Same(of, text) => {
                let path = of.path()?;
                left.entry(path.clone()).or_default().not.insert(text);
                Some(path)
            }
            of => truth(of, false, left),
        },
        Expr::Compare(how, a, b) => match (&**a, &**b) {
            (of, Expr::Literal(literal)) => bound(of, *how, literal, left),
            (Expr::Literal(literal), of) => bound(of, how.turned(), literal, left),
            _ => None,
        },
        of => truth(of, true, left),
    }
}

/// A bare value that must be true, or false.
fn truth<'a>(of: &Expr, wanted: bool, left: &mut BTreeMap<String, Left<'a>>) -> Option<String> {
    let path = of.path()?;
    let known = left.entry(path.clone()).or_default();
    if known.truth.is_some_and(|before| before != wanted) {
        known.one_of = Some(BTreeSet::new());
    }
    known.truth = Some(wanted);
    Some(path)
}

fn bound<'a>(
    of: &Expr,
    how: Compare,
    literal: &'a Literal,
    left: &mut BTreeMap<String, Left<'a>>,
) -> Option<String> {
    let path = of.path()?;
    let number = match literal {
        // Beyond that a double does not tell neighbours apart.
        Literal::Int(whole) if whole.unsigned_abs() > 1 << 53 => return None,
        Literal::Int(whole) => *whole as f64,
        Literal::Double(real) => *real,
        Literal::Text(text) if how == Compare::NotEqual => {
            left.entry(path.clone()).or_default().not.insert(text);
            return Some(path);
        }
        Literal::Bool(yes) if matches!(how, Compare::Equal | Compare::NotEqual) => {
            return truth(of, *yes == (how == Compare::Equal), left);
        }
        _ => return None,
    };
    let known = left.entry(path.clone()).or_default();
    let raise = |low: Option<(f64, bool)>, with: bool| match low {
        Some((before, strict)) if before > number => Some((before, strict)),
        Some((before, inclusive)) if before == number => Some((number, with && inclusive)),
        _ => Some((number, with)),
    };
    let lower = |high: Option<(f64, bool)>, with: bool| match high {
        Some((before, strict)) if before < number => Some((before, strict)),
        Some((before, inclusive)) if before == number => Some((number, with && inclusive)),
        _ => Some((number, with)),
    };
    match how {
        Compare::Equal => {
            known.low = raise(known.low, true);
            known.high = lower(known.high, true);
        }
        Compare::Greater => known.low = raise(known.low, false),
        Compare::GreaterEqual => known.low = raise(known.low, true),
        Compare::Less => known.high = lower(known.high, false),
        Compare::LessEqual => known.high = lower(known.high, true),
        Compare::NotEqual => return None,
    }
    Some(path)
}
