//! The step that looks and changes nothing.

use super::{NAME, NEEDS, Of, Shape, Step, key, must};

pub(in crate::rules) const TOPICS: &[&str] = &["gpu", "scheduling", "storage", "mesh", "quota"];

pub(super) const DIAGNOSE: Step = (
    "diagnose",
    "Looks into what is wrong, and changes nothing: findings with evidence and what to do, for whoever is called. Nothing waits for it, and it fails no plan. `diagnose: gpu` is enough.",
    Shape {
        name: "`diagnose`",
        fields: &[
            NAME,
            NEEDS,
            must("of", Of::Words(TOPICS), "What is looked into."),
            key(
                "about",
                Of::Text,
                "namespace/NAME, tenant/NAME, claim/NAMESPACE/NAME or any target. Default: what the event is about.",
            ),
        ],
    },
);
