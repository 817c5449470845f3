//! The part of the configuration that says what is asked of every rule.

use crate::rules::Policy;
use crate::rules::reading::{Entries, Faults, Node, Of, Shape, key};

pub(super) static POLICY: Shape = Shape {
    name: "`policy`",
    fields: &[
        key("production", Of::Bool, "All of what follows as a production cluster needs it."),
        key(
            "approval",
            Of::Texts,
            "Steps that a person has to approve, for example terminate_instance.",
        ),
        key("untouchable", Of::Texts, "Namespaces whose workloads no step may touch."),
        key("guarded", Of::Bool, "Whatever takes something away has a guard."),
        key("tested", Of::Bool, "Whatever takes something away has a test in which it acts."),
    ],
};

pub(super) fn policy(node: &Node, faults: &mut Faults) -> Policy {
    let Some(entries) = Entries::of(node, &POLICY, faults) else { return Policy::default() };
    let base = match entries.boolean("production", faults) {
        Some(true) => Policy::production(),
        Some(false) | None => Policy::default(),
    };
    let texts = |key, given: Vec<String>, faults: &mut Faults| match entries.get(key) {
        Some(_) => entries.texts(key, faults).into_iter().map(|(text, _)| text).collect(),
        None => given,
    };
    Policy {
        approval: texts("approval", base.approval, faults),
        untouchable: texts("untouchable", base.untouchable, faults),
        guarded: entries.boolean("guarded", faults).unwrap_or(base.guarded),
        tested: entries.boolean("tested", faults).unwrap_or(base.tested),
    }
}
