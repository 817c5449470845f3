//! The keys that a test of rules may have.

use super::super::scenario::shapes::{CLOUD, CLUSTER, PERSON, ROUTE, STEP};
use crate::rules::reading::{Of, Shape, key, must};

pub(super) static TEST: Shape = Shape {
    name: "a test",
    fields: &[
        must("name", Of::Text, "What it shows, in a few words."),
        key(
            "begins",
            Of::Text,
            "The date and time at which it begins. Default 2026-03-02T09:00:00Z, a Monday.",
        ),
        key("lasts", Of::Duration, "Default: until a minute after the last event."),
        key("mode", Of::Words(&["enforce", "observe"]), "No rule is bolder than this."),
        key(
            "cluster",
            Of::Mapping(&CLUSTER),
            "Nodes and what runs on them. Default: three nodes, `node-1` to `node-3`.",
        ),
        key("cloud", Of::Mapping(&CLOUD), "What the cloud has left."),
        key("alertmanager", Of::Mapping(&ROUTE), "Its route. Default: it tells at once."),
        key("people", Of::List(&PERSON), "Who answers when called. Nobody else does."),
        key("events", Of::List(&STEP), "What happens when."),
        key(
            "expect",
            Of::List(&WANTED),
            "All that must come of it. Nothing: the rules keep silent.",
        ),
    ],
};

pub(super) static WANTED: Shape = Shape {
    name: "what is expected",
    fields: &[
        key("acts", Of::Text, "The rule whose remediation was begun."),
        key("tells", Of::Text, "The rule that told people, without steps."),
        key("suppressed", Of::Text, "The rule that was held back."),
        key("pages", Of::Text, "The contact that was called."),
        key("notifies", Of::Text, "The contact that was told; nobody had to answer."),
        key("on", Of::Text, "The target, for example node/gpu-1, or node/gpu-*."),
        key(
            "steps",
            Of::Any,
            "With `acts`: the steps in order, each a verb, or a verb with arguments.",
        ),
        key(
            "ends",
            Of::Words(&["open", "succeeded", "failed", "stuck", "superseded", "moot", "observed"]),
            "With `acts`: how it ended.",
        ),
        key(
            "why",
            Of::Words(&["throttled", "guard", "paused", "busy", "hours", "loop"]),
            "With `suppressed`.",
        ),
        key("guard", Of::Text, "With `suppressed`: the guard that refused."),
        key("level", Of::Number, "With `pages`: the level of the ladder."),
        key("after", Of::Duration, "Not before."),
        key("by", Of::Duration, "Not later."),
        key("times", Of::Number, "So often. Default 1."),
    ],
};
