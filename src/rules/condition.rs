//! Conditions: CEL, checked when a file is loaded, compiled to a small tree, evaluated on borrowed values.
//!
//! The grammar is the `cel` crate's; types, names and evaluation are ours. What we support: literals,
//! fields, indexing, `has()`, `in`, arithmetic, comparison, `&& || ! ?:`, `exists()` and `all()`, the
//! functions of [`eval::FUNCTIONS`], and the file's definitions by name. Anything else is a load error.

mod check;
mod eval;
mod schema;
mod types;
mod words;

pub(super) use check::{Definitions, compile, compile_any};
pub use eval::{Facts, Miss};
pub(super) use types::Type;

use eval::Val;
use types::Expr;

/// Stands in for a clause that could not be checked.
pub(super) fn unknown() -> (std::sync::Arc<Expr>, Type) {
    (std::sync::Arc::new(Expr::Literal(types::Literal::Null)), Type::Any)
}

/// A checked condition, or a checked expression of another type.
#[derive(Debug, Clone)]
pub struct Condition {
    expr: Expr,
}

impl Condition {
    /// Whether it holds.
    ///
    /// # Errors
    /// A value it needs is not there: no match, with the reason.
    pub fn holds(&self, facts: &Facts) -> Result<bool, Miss> {
        match eval::eval(&self.expr, facts, &mut vec![])? {
            Val::Bool(holds) => Ok(holds),
            other => Err(Miss::new(format!("it gives {}, not true or false", other.describe()))),
        }
    }

    /// The texts that it compares with, in order.
    pub fn texts(&self) -> std::collections::BTreeSet<&str> {
        let mut all = std::collections::BTreeSet::new();
        self.expr.texts(&mut all);
        all
    }

    /// The value as a key: of a throttle, of a guard.
    ///
    /// # Errors
    /// A value it needs is not there.
    pub fn key(&self, facts: &Facts) -> Result<String, Miss> {
        eval::eval(&self.expr, facts, &mut vec![]).map(|value| value.as_key())
    }

    /// The value as a time: of a deadline.
    ///
    /// # Errors
    /// A value it needs is not there, or is no time.
    pub fn time(&self, facts: &Facts) -> Result<jiff::Timestamp, Miss> {
        match eval::eval(&self.expr, facts, &mut vec![])? {
            Val::Time(at) => Ok(at),
            other => Err(Miss::new(format!("it gives {}, not a time", other.describe()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::diagnostic::{Place, Source};
    use super::super::walk::Faults;
    use super::*;
    use crate::model::{Context, Envelope, Event, Id, Node, Target, kind};
    use jiff::Timestamp;
    use serde_json::json;
    use std::sync::Arc;

    fn compiled(text: &str) -> Result<Condition, String> {
        let source = Arc::new(Source { path: "t".into(), text: text.into() });
        let place = Place { source, span: 0..text.len() };
        let mut faults = Faults::default();
        let definitions = Definitions::default();
        match compile(text, &place, Type::Bool, &definitions, &["custom".into()], &mut faults) {
            Some(condition) if faults.0.is_empty() => Ok(condition),
            _ => Err(faults
                .0
                .iter()
                .map(|fault| fault.message.clone())
                .collect::<Vec<_>>()
                .join("; ")),
        }
    }

    fn facts() -> Facts {
        let node = Node {
            name: "n1".into(),
            pool: "gpu".into(),
            labels: [("workload".to_owned(), "training".to_owned())].into(),
            ..Node::default()
        };
        let data = Event {
            payload: json!({ "reason": "NodeXid", "count": 3, "tags": ["a", "b"], "ratio": 0.5 }),
            context: Context { node: Some(node), ..Context::default() },
            alert: None,
        };
        let at = Timestamp::UNIX_EPOCH;
        let event =
            Envelope::new(kind::KNOWN[9], Id::of(&["x"]), "t", Target::Node("n1".into()), at, data);
        Facts::new(&event, at)
    }

    fn holds(text: &str) -> Result<bool, String> {
        compiled(text)?.holds(&facts()).map_err(|miss| miss.to_string())
    }

    #[test]
    fn what_is_true_holds() {
        for text in [
            r#"event.reason == "NodeXid" && event.count >= 3"#,
            r#"node.labels["workload"] == "training""#,
            r#"node.labels.workload.startsWith("train")"#,
            r#"!("medevac.dev/leave-me" in node.annotations)"#,
            r#"event.tags.exists(t, t == "b") && !event.tags.all(t, t == "b")"#,
            r#""a" in event.tags && event.tags.size() == 2"#,
            r#"has(node.labels.workload) && !has(node.labels.nope)"#,
            r#"false || true ? 1 < 2 : false"#,
            r#"event.nope == 1 || true"#,
            r#"now - event.time < duration("1m")"#,
            r#"event.ratio + 0.5 == 1.0 && event.count * 2 == 6"#,
            r#"node.pool in ["gpu", "cpu"]"#,
            r#"event.reason.matches("^Node[A-Z]")"#,
        ] {
            assert_eq!(holds(text), Ok(true), "{text}");
        }
    }

    #[test]
    fn a_missing_value_is_a_reason_and_no_match() {
        assert_eq!(holds(r#"event.nope == 1"#).unwrap_err(), "`event.nope` is not there");
        assert!(holds(r#"pod.name == "x""#).unwrap_err().contains("pod"));
        assert!(holds("event.count / 0 == 1").unwrap_err().contains("zero"));
    }

    #[test]
    fn what_cannot_be_is_refused_when_loaded() {
        for (text, says) in [
            ("node.labls.x == \"a\"", "labls"),
            ("nod.name == \"a\"", "nod"),
            ("node.name == 1", "string"),
            ("node.name", "bool"),
            ("node.name && true", "bool"),
            ("event.tags.map(t, t)", "map"),
            ("foo(1)", "foo"),
            ("event.reason == ", ""),
            ("1 + \"a\" == 2", "+"),
            ("node.ready == \"true\"", "bool"),
            ("node.name.matches(\"(\")", "regular expression"),
        ] {
            let error = holds(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    proptest::proptest! {
        /// Whatever is written, it is either refused or evaluated: never a panic.
        #[test]
        fn nothing_panics(text in r#"[a-z."\[\]()&|!<>=+*/ 0-9-]{0,60}"#) {
            if let Ok(condition) = compiled(&text) {
                condition.holds(&facts()).ok();
            }
        }
    }
}
