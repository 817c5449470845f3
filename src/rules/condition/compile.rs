//! From the text of a condition to a checked one, or to its faults in the file.

use super::super::diagnostic::{Code, Diagnostic, Place};
use super::super::walk::Faults;
use super::check::Checker;
use super::expr::Expr;
use super::fault::Fault;
use super::scope::{Definition, Definitions, Scope};
use super::tree::{Join, Tree, What};
use super::types::{Type, an};
use super::{Clause, Condition, never, parse, places};
use std::{collections::BTreeSet, ops::Range, sync::Arc};

/// Longer conditions are programs. In bytes.
const LONGEST: usize = 8192;

/// Compiles `text`, which stands at `place` and must be of type `wanted`.
pub(in crate::rules) fn compile(
    text: &str,
    place: &Place,
    wanted: Type,
    scope: Scope<'_>,
    faults: &mut Faults,
) -> Option<Condition> {
    compile_typed(text, place, wanted, scope, faults).map(|(condition, _, _)| condition)
}

/// The condition, its type, and its tree.
fn compile_typed(
    text: &str,
    place: &Place,
    wanted: Type,
    scope: Scope<'_>,
    faults: &mut Faults,
) -> Option<(Condition, Type, Arc<Tree>)> {
    let told = |fault: Fault, faults: &mut Faults| report(place, text, fault, faults);
    if text.len() > LONGEST {
        faults.add(Code::TooLarge, place, format!("a condition of more than {LONGEST} bytes"));
        return None;
    }
    let tree = parse::parse(text).map_err(|fault| told(fault, faults)).ok()?;
    let mut checker = Checker::new(scope);
    let checked = checker.check(&tree);
    let found = std::mem::take(&mut checker.faults);
    let wrong = found.iter().any(|fault| !fault.warning);
    found.into_iter().for_each(|fault| told(fault, faults));
    let (expr, kind) = checked.filter(|_| !wrong)?;
    if !wanted.comparable(&kind) || (kind == Type::Null && wanted != Type::Any) {
        let message = format!(
            "this gives {kind}, where {wanted} is needed",
            kind = an(&kind),
            wanted = an(&wanted)
        );
        let fault = Fault::new(Code::OperandType, tree.range.clone(), message);
        told(
            fault.hint(format!(
                "compare it with something, so that it gives {wanted}",
                wanted = an(&wanted)
            )),
            faults,
        );
        return None;
    }
    let clauses = clauses(text, &tree, expr);
    if wanted == Type::Bool {
        let parts: Vec<(&Expr, Range<usize>)> =
            clauses.iter().map(|(clause, range)| (&clause.expr, range.clone())).collect();
        if let Some(fault) = never::contradiction(&parts, scope.when) {
            told(fault, faults);
            return None;
        }
    }
    let same = |(clause, range): (Clause, Range<usize>)| match (scope.known, text.get(range)) {
        (Some(known), Some(written)) => known.same(scope.when, written, clause),
        _ => Arc::new(clause),
    };
    let clauses = clauses.into_iter().map(same).collect();
    Some((Condition { clauses }, kind, Arc::new(tree)))
}

/// The names that a condition speaks of. None, where it is no CEL.
pub(in crate::rules) fn names(text: &str) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    if text.len() <= LONGEST
        && let Ok(tree) = parse::parse(text)
    {
        tree.names(&mut all);
    }
    all
}

/// Compiles `text`, whose value is to tell things apart: one value, not a list or a whole object.
pub(in crate::rules) fn compile_key(
    text: &str,
    place: &Place,
    scope: Scope<'_>,
    faults: &mut Faults,
) -> Option<Condition> {
    let (compiled, kind, tree) = compile_typed(text, place, Type::Any, scope, faults)?;
    if kind.key() {
        return Some(compiled);
    }
    let message = format!("{} tells nothing apart", an(&kind));
    let fault = Fault::new(Code::OperandType, tree.range.clone(), message);
    report(place, text, fault.hint("name one value of it, for example node.name"), faults);
    None
}

/// Parses and checks a shared clause, which may name those in `definitions`.
pub(in crate::rules) fn define(
    text: &str,
    place: &Place,
    definitions: &Definitions,
    faults: &mut Faults,
) -> Definition {
    let scope = Scope { definitions, when: &[], known: None };
    let compiled = compile_typed(text, place, Type::Any, scope, faults);
    let broken = compiled.is_none();
    let nothing = || Arc::new(Tree { what: What::List(vec![]), range: 0..0 });
    let tree = compiled.map_or_else(nothing, |(_, _, tree)| tree);
    Definition { tree, broken }
}

/// The parts of a tree that `&&` joins, with their texts and places.
fn clauses(text: &str, tree: &Tree, expr: Expr) -> Vec<(Clause, Range<usize>)> {
    match (&tree.what, expr) {
        (What::Both(Join::And, a, b), Expr::And(first, second)) => {
            let mut all = clauses(text, a, *first);
            all.extend(clauses(text, b, *second));
            all
        }
        (_, expr) => {
            let words = text.get(tree.range.clone()).unwrap_or(text);
            let words: Vec<&str> = words.split_whitespace().collect();
            vec![(Clause { text: words.join(" ").into(), expr }, tree.range.clone())]
        }
    }
}

fn report(place: &Place, text: &str, fault: Fault, faults: &mut Faults) {
    faults.0.push(Diagnostic {
        code: fault.code,
        message: fault.message,
        place: places::within(place, text, &fault.range),
        hint: fault.hint,
        warning: fault.warning,
    });
}
