//! Conditions: CEL, checked when a file is loaded, compiled to a small tree, evaluated on borrowed values.
//!
//! `token` and `parse` read the text, `check` and `operators` resolve names and types against `schema` in a
//! `scope`, `never` finds clauses that rule each other out, `eval` evaluates. What of CEL we have and have
//! not stands in `rules/README.md`; whatever is not there is a load error that names what to write instead.

mod check;
mod compile;
mod eval;
mod expr;
mod fault;
mod functions;
mod members;
mod never;
mod operators;
mod parse;
mod places;
mod presence;
mod schema;
mod scope;
mod token;
mod tree;
mod types;
mod value;

pub(super) use compile::{compile, compile_key, define, names};
pub use eval::{Facts, Miss};
pub(super) use expr::Expr;
pub(super) use scope::{Definitions, Known, Scope};
pub(super) use types::Type;

use std::{collections::BTreeSet, ops::Range, sync::Arc};
use value::Val;

/// What is another for each event, so that nothing can be grouped by it.
const UNBOUNDED: &[&str] =
    &["event.id", "event.time", "now", "alert.starts_at", "alert.ends_at", "event.deadline"];

/// A checked condition, or a checked expression of another type.
#[derive(Debug, Clone)]
pub struct Condition {
    clauses: Vec<Arc<Clause>>,
}

/// One of the parts that `&&` joins, as it is written.
#[derive(Debug, Clone)]
pub struct Clause {
    pub text: Arc<str>,
    pub(super) expr: Expr,
}

impl Clause {
    /// Whether it holds.
    ///
    /// # Errors
    /// A value it needs is not there.
    pub fn holds<'a>(&'a self, facts: &Facts<'a>) -> Result<bool, Miss<'a>> {
        self.value(facts).and_then(|value| eval::truth(&value))
    }

    fn value<'a>(&'a self, facts: &Facts<'a>) -> Result<Val<'a>, Miss<'a>> {
        eval::eval(&self.expr, facts, &mut Vec::new())
    }

    /// The values that it was decided on, each with the way to it.
    pub fn seen(&self, facts: &Facts<'_>) -> Vec<(String, String)> {
        let mut reads = vec![];
        self.expr.reads(&mut reads);
        let mut seen: Vec<(String, String)> = vec![];
        for of in reads {
            let Some(path) = of.path().filter(|path| !seen.iter().any(|(known, _)| known == path))
            else {
                continue;
            };
            let shown = match eval::eval(of, facts, &mut Vec::new()) {
                Ok(value) => value.describe(),
                Err(_) => "(not there)".into(),
            };
            seen.push((path, shown));
        }
        seen
    }
}

impl Condition {
    /// Whether it holds: CEL's `&&` over its clauses.
    ///
    /// # Errors
    /// A value it needs is not there: no match, with the reason.
    pub fn holds<'a>(&'a self, facts: &Facts<'a>) -> Result<bool, Miss<'a>> {
        let mut undecided = None;
        for clause in &self.clauses {
            match clause.holds(facts) {
                Ok(true) => {}
                Ok(false) => return Ok(false),
                Err(miss) => undecided = undecided.or(Some(miss)),
            }
        }
        undecided.map_or(Ok(true), Err)
    }

    /// Without its clause at that place. `None`: nothing is left.
    pub fn without(mut self, at: usize) -> Option<Condition> {
        if at < self.clauses.len() {
            self.clauses.remove(at);
        }
        (!self.clauses.is_empty()).then_some(self)
    }

    /// With its clause at that place turned round.
    pub fn turned(mut self, at: usize) -> Condition {
        if let Some(clause) = self.clauses.get_mut(at) {
            let expr = Expr::Not(Box::new(clause.expr.clone()));
            *clause = Arc::new(Clause { text: Arc::clone(&clause.text), expr });
        }
        self
    }

    /// The parts that `&&` joins.
    pub fn clauses(&self) -> &[Arc<Clause>] {
        &self.clauses
    }

    /// The texts that it compares with, in order.
    pub fn texts(&self) -> BTreeSet<&str> {
        let mut all = BTreeSet::new();
        self.clauses.iter().for_each(|clause| clause.expr.texts(&mut all));
        all
    }

    /// Its value differs for each event: what it is, where it does.
    pub(super) fn unbounded(&self) -> Option<String> {
        let [clause] = self.clauses.as_slice() else { return None };
        let path = clause.expr.path()?;
        UNBOUNDED.contains(&path.as_str()).then_some(path)
    }

    /// Whether it never holds where the value at `path` is `text`.
    pub(super) fn rules_out(&self, path: &str, text: &str) -> bool {
        let mut found = vec![];
        self.clauses.iter().for_each(|clause| clause.expr.all_paths(&mut found));
        let Some(of) = found.into_iter().find(|of| of.path().as_deref() == Some(path)) else {
            return false;
        };
        let also = Expr::Same(Box::new(of.clone()), text.into());
        let mut all: Vec<(&Expr, Range<usize>)> =
            self.clauses.iter().map(|clause| (&clause.expr, 0..0)).collect();
        all.push((&also, 0..0));
        never::contradiction(&all, &[]).is_some()
    }

    /// What must all hold for it to hold, through definitions.
    pub(super) fn conjuncts(&self) -> Vec<&Expr> {
        let mut all = vec![];
        self.clauses.iter().for_each(|clause| clause.expr.conjuncts(&mut all));
        all
    }

    fn value<'a>(&'a self, facts: &Facts<'a>) -> Result<Val<'a>, Miss<'a>> {
        match self.clauses.as_slice() {
            [one] => one.value(facts),
            _ => self.holds(facts).map(Val::Bool),
        }
    }

    /// The value as a key: of a throttle, of a guard, of a window.
    ///
    /// # Errors
    /// A value it needs is not there.
    pub fn key<'a>(&'a self, facts: &Facts<'a>) -> Result<String, Miss<'a>> {
        let value = self.value(facts)?;
        value.as_key().ok_or(Miss::NotKey(value.kind()))
    }

    /// The value as a time: of a deadline.
    ///
    /// # Errors
    /// A value it needs is not there, or is no time.
    pub fn time<'a>(&'a self, facts: &Facts<'a>) -> Result<jiff::Timestamp, Miss<'a>> {
        match self.value(facts)? {
            Val::Time(at) => Ok(at),
            other => Err(Miss::NotTime(other.kind())),
        }
    }

    /// The value in words, or why there is none.
    pub fn show(&self, facts: &Facts<'_>) -> String {
        self.value(facts).map_or_else(|miss| miss.to_string(), |value| value.describe())
    }
}

#[cfg(test)]
mod tests;
