//! Which values are known to be there, because something before has asked.

use super::expr::Expr;
use super::types::{Compare, Literal};

/// Paths of values that are there.
pub(super) type Present = Vec<String>;

/// What is there when `expr` has come out as `truth`.
pub(super) fn established(expr: &Expr, truth: bool) -> Present {
    let both = |a: &Expr, b: &Expr| {
        let mut all = established(a, truth);
        all.extend(established(b, truth));
        all
    };
    match (expr, truth) {
        (Expr::And(a, b), true) | (Expr::Or(a, b), false) => both(a, b),
        (Expr::Not(of), _) => established(of, !truth),
        (Expr::Shared(of), _) => established(of, truth),
        (Expr::Has(of), true) => of.path().into_iter().collect(),
        (Expr::In(key, map), true) => match &**key {
            Expr::Literal(Literal::Text(key)) => {
                Expr::Key(map.clone(), key.clone()).path().into_iter().collect()
            }
            of => of.path().into_iter().collect(),
        },
        // It had an answer, so its sides were there.
        (Expr::Same(of, _), _) => of.path().into_iter().collect(),
        (Expr::Compare(Compare::Equal | Compare::NotEqual, a, b), _) => {
            a.path().into_iter().chain(b.path()).collect()
        }
        _ => vec![],
    }
}
