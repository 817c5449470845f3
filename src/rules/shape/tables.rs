//! The mappings of a rule file, key by key.

use super::capacity::LADDER;
use super::roads::CONTACT;
use super::words::{ABSENT, BURST, COUNT, SCHEDULE, SEQUENCE, WINDOW};
use super::{Of, Shape, key, must};

pub(in crate::rules) const SEVERITIES: &[&str] = &["info", "warning", "error", "critical"];
pub(in crate::rules) const MODES: &[&str] = &["enforce", "observe"];
pub(in crate::rules) const EVIDENCE: &[&str] =
    &["logs", "events", "runbook", "dashboards", "remediation", "diagnosis", "backup"];
pub(in crate::rules) const EXPECTATIONS: &[&str] =
    &["alert_cleared", "node_ready", "node_rebooted", "node_empty", "pods_running"];

pub(in crate::rules) static FILE: Shape = Shape {
    name: "a rule file",
    fields: &[
        key(
            "definitions",
            Of::Map,
            "Shared clauses: name to condition, usable by name in every `if`.",
        ),
        key("rules", Of::List(&RULE), "What to do when."),
        key(
            "windows",
            Of::List(&WINDOW),
            "Quiet hours and maintenance windows, for `during` and `except`.",
        ),
        key(
            "schedules",
            Of::List(&SCHEDULE),
            "What recurs: each run is an event of the type schedule.due, with event.schedule as its name.",
        ),
        key(
            "checkpoint_profiles",
            Of::List(&PROFILE),
            "How workloads are asked for a checkpoint that nobody may annotate. Annotations win; then the first that fits.",
        ),
        key(
            "capacity",
            Of::List(&LADDER),
            "Where machines come from in place of one that goes: ladders, and of them the first that fits a pod.",
        ),
        key("guards", Of::List(&GUARD), "Limits on how much may be touched at once."),
        key("escalations", Of::List(&POLICY), "Who is called, level by level."),
        key("contacts", Of::List(&CONTACT), "The roads to people."),
        key("on_call", Of::List(&ROTA), "Duties: people who take turns."),
        key("tests", Of::Any, "What must come of which events; see `medevac test`."),
    ],
};

pub(in crate::rules) static RULE: Shape = Shape {
    name: "a rule",
    fields: &[
        must("name", Of::Text, "Unique among all files."),
        key("description", Of::Text, "For readers."),
        must("when", Of::Texts, "The event type, or several."),
        key("if", Of::Condition, "CEL; the rule matches where it is true."),
        key(
            "about",
            Of::Condition,
            "CEL, a text: what the incident is about, for example \"storm/\" + node.zone. Many events, one incident. Default: what the event is about.",
        ),
        key(
            "severity",
            Of::Words(SEVERITIES),
            "Of the incident. Default: the alert's own, else warning.",
        ),
        key("burst", Of::Mapping(&BURST), "Many events in a row are one."),
        key("sequence", Of::Mapping(&SEQUENCE), "Other events have to follow."),
        key("count", Of::Mapping(&COUNT), "So many within a time."),
        key("for", Of::Hold, "It has to hold for that long."),
        key("absent", Of::Mapping(&ABSENT), "An expected event did not come."),
        key(
            "lateness",
            Of::Duration,
            "Events older than this when they come are passed over by the words above. Default 5m, at most 1h.",
        ),
        key("during", Of::Hours, "Act only then: names of windows, or a window."),
        key("except", Of::Hours, "Do not act then: names of windows, or a window."),
        key("throttle", Of::Mapping(&THROTTLE), "Act once within a time."),
        key("guard", Of::Texts, "The guards that must give leave."),
        key(
            "deadline",
            Of::Text,
            "A duration from the event, or a CEL expression that gives a time.",
        ),
        key("mode", Of::Words(MODES), "observe decides and records, and never writes."),
        key("then", Of::Steps, "The steps. `needs` makes order explicit."),
        key("otherwise", Of::Steps, "When a step failed or the deadline is about to pass."),
        key("escalate", Of::Text, "The policy that hears of it when the robot is not enough."),
        key(
            "runbook",
            Of::Text,
            "The page for whoever is called: a URL, or one below `evidence.runbooks` of the configuration.",
        ),
        key("dashboards", Of::Texts, "URLs of dashboards for whoever is called."),
    ],
};

pub(in crate::rules) static THROTTLE: Shape = Shape {
    name: "`throttle`",
    fields: &[
        key("once_within", Of::Duration, "After it acted, the rule is quiet for this long."),
        key(
            "once_after",
            Of::Duration,
            "It waits this long, collects what comes, and acts once for all of it.",
        ),
        key("by", Of::Condition, "One throttle per value. Default: per target."),
    ],
};

pub(in crate::rules) static GUARD: Shape = Shape {
    name: "a guard",
    fields: &[
        must("name", Of::Text, "Unique among all files."),
        key(
            "per",
            Of::Condition,
            "One budget per value: node.pool, node.zone, tenant, rule, or any expression. Default: one budget.",
        ),
        key(
            "storm",
            Of::Mapping(&STORM),
            "Once it has refused it stays shut until calm, then lets one try.",
        ),
        must("limits", Of::Mapping(&LIMITS), "At least one of at_once, share, rate."),
    ],
};

pub(in crate::rules) static STORM: Shape = Shape {
    name: "`storm`",
    fields: &[must("release_after", Of::Duration, "So long nobody may have asked.")],
};

pub(in crate::rules) static LIMITS: Shape = Shape {
    name: "`limits`",
    fields: &[
        key("at_once", Of::Number, "Remediations that may run at the same time."),
        key(
            "share",
            Of::Text,
            "The same as a share of the nodes that the guard is `per`, for example 30%. At least one is always allowed.",
        ),
        key("rate", Of::Text, "Remediations started within a time, for example 20/1h."),
    ],
};

pub(in crate::rules) static POLICY: Shape = Shape {
    name: "an escalation",
    fields: &[
        must("name", Of::Text, "Unique among all files."),
        must("levels", Of::List(&LEVEL), "Level 1 first."),
        key(
            "rounds",
            Of::Number,
            "How often the ladder is climbed before nobody-answered is cried out. Default 2.",
        ),
        key("ack_expires", Of::Duration, "An acknowledgement holds this long. Default 4h."),
        key(
            "quiet",
            Of::Hours,
            "Names of windows, or windows: then nobody is called for what is less severe than `quiet_below`; it waits for their end.",
        ),
        key("quiet_below", Of::Words(SEVERITIES), "Default error. `info` would let nothing wait."),
    ],
};

pub(in crate::rules) static ROTA: Shape = Shape {
    name: "a duty",
    fields: &[
        must("name", Of::Text, "Unique among all files, and no contact's: levels name either."),
        key("zone", Of::Text, "IANA time zone of all its times. Default UTC."),
        key("people", Of::Texts, "Contacts, in their order. Or `layers`."),
        key("shift", Of::Text, "daily, weekly, or a time as 3d or 8h. Default weekly."),
        key("starts", Of::Text, "The day on which the first of them begins: 2026-01-05."),
        key("hand_off", Of::Text, "Time of the day. Default \"09:00\"."),
        key("during", Of::Hours, "Only then: names of windows, or windows."),
        key("layers", Of::List(&LAYER), "Several: the first that covers a moment says who."),
        key("overrides", Of::List(&OVERRIDE), "Somebody else, for a time; the last one wins."),
    ],
};

pub(in crate::rules) static LAYER: Shape = Shape {
    name: "a layer",
    fields: &[
        must("people", Of::Texts, "Contacts, in their order."),
        key("shift", Of::Text, "daily, weekly, or a time as 3d or 8h. Default weekly."),
        must("starts", Of::Text, "The day on which the first of them begins: 2026-01-05."),
        key("hand_off", Of::Text, "Time of the day. Default \"09:00\"."),
        key("during", Of::Hours, "Only then: names of windows, or windows."),
    ],
};

pub(in crate::rules) static OVERRIDE: Shape = Shape {
    name: "an override",
    fields: &[
        must("who", Of::Text, "A contact."),
        must("from", Of::Text, "In the duty's zone: 2026-12-24T18:00."),
        must("until", Of::Text, "In the duty's zone."),
    ],
};

pub(in crate::rules) static LEVEL: Shape = Shape {
    name: "a level",
    fields: &[
        must("contacts", Of::Texts, "Who is called: contacts, or duties of `on_call`."),
        key("delay", Of::Duration, "How long before the next level. Default 5m."),
        key(
            "evidence",
            Of::Texts,
            "What the page carries: logs, events, runbook, dashboards, remediation, diagnosis, backup.",
        ),
    ],
};

/// The keys besides the selector are those of the annotations `medevac.dev/checkpoint-<key>`.
pub(in crate::rules) static PROFILE: Shape = Shape {
    name: "a checkpoint profile",
    fields: &[
        must("name", Of::Text, "Unique among all files."),
        key("namespaces", Of::Texts, "Default: all."),
        key("labels", Of::Map, "Labels that its pods have."),
        must(
            "by",
            Of::Words(&["exec", "http", "signal", "annotation", "nats"]),
            "How they are asked.",
        ),
        key(
            "command",
            Of::Texts,
            "Of exec: the program and its arguments. No shell comes near it.",
        ),
        key("port", Of::Number, "Of http. Default 8080."),
        key("path", Of::Text, "Of http. Default /checkpoint."),
        key("signal", Of::Text, "Of signal, to process 1. Default USR1."),
        key("subject", Of::Text, "Of nats."),
        key("container", Of::Text, "Of exec and signal. Default: the pod's first."),
        key("file", Of::Text, "It is durable once this file is newer than the request."),
        key("ask", Of::Words(&["all", "leader"]), "Of a gang: whom. Default all."),
        key("timeout", Of::Duration, "Where no deadline is nearer. Default 10m."),
    ],
};
