//! What a condition may name where it stands: the definitions, and the fields of the events of its rule.

use super::Clause;
use super::schema::{PAYLOADS, Shape};
use super::tree::Tree;
use super::types::Type;
use std::{cell::RefCell, collections::BTreeMap, sync::Arc};

/// A clause from `definitions`, parsed. What it means depends on the rule that uses it.
#[derive(Debug, Clone)]
pub(in crate::rules) struct Definition {
    pub(super) tree: Arc<Tree>,
    /// Its faults are reported already: nothing more is said where it is used.
    pub(super) broken: bool,
}

pub(in crate::rules) type Definitions = BTreeMap<String, Definition>;

/// Clauses that were compiled already, by the types of events and by text: many rules ask the same, and what is
/// asked of the same place in memory is asked faster.
#[derive(Debug, Default)]
pub(in crate::rules) struct Known(RefCell<Clauses>);

/// By types of events and text.
type Clauses = BTreeMap<(String, Arc<str>), Arc<Clause>>;

impl Known {
    /// The clause as it was compiled first.
    /// `written`: its text, every space of it.
    pub(super) fn same(&self, when: &[String], written: &str, clause: Clause) -> Arc<Clause> {
        let key = (when.join("\n"), Arc::from(written));
        Arc::clone(self.0.borrow_mut().entry(key).or_insert_with(|| Arc::new(clause)))
    }
}

/// The definitions, and the event types of the rule. No types: all that there are.
#[derive(Clone, Copy)]
pub(in crate::rules) struct Scope<'a> {
    pub(in crate::rules) definitions: &'a Definitions,
    pub(in crate::rules) when: &'a [String],
    pub(in crate::rules) known: Option<&'a Known>,
}

/// What is known of a field of `event` beyond the envelope.
pub(super) enum Part {
    Known(Type),
    /// Somebody's own event may have it.
    Perhaps,
    Unknown(Vec<&'static str>),
}

impl Scope<'_> {
    fn shapes(&self) -> impl Iterator<Item = Option<&'static Shape>> {
        self.when.iter().map(|kind| {
            PAYLOADS.iter().find(|payload| payload.kind == kind).map(|payload| &payload.shape)
        })
    }

    pub(super) fn part(&self, name: &str) -> Part {
        if self.when.is_empty() {
            return Part::Perhaps;
        }
        let known: Vec<Type> = self
            .shapes()
            .flatten()
            .filter_map(|shape| shape.part(name))
            .map(super::schema::Kind::to_type)
            .collect();
        if let Some(first) = known.first() {
            let same =
                self.shapes().all(|shape| shape.is_some()) && known.iter().all(|of| of == first);
            return Part::Known(if same { first.clone() } else { Type::Any });
        }
        if self.shapes().any(|shape| shape.is_none_or(|shape| shape.open)) {
            return Part::Perhaps;
        }
        Part::Unknown(self.parts())
    }

    /// Every part that is known of the rule's events.
    pub(super) fn parts(&self) -> Vec<&'static str> {
        self.shapes().flatten().flat_map(Shape::names).collect()
    }

    /// None of the rule's events is an alert.
    pub(super) fn no_alerts(&self) -> bool {
        !self.when.is_empty()
            && !self.when.iter().any(|kind| kind.starts_with("alertmanager.alert."))
    }
}
