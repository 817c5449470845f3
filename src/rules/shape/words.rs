//! The mappings of the time words.

use super::{Field, Of, Shape, key, must};

const BY: Field = key("by", Of::Condition, "A window for each value. Default: per target.");

pub(in crate::rules) static BURST: Shape = Shape {
    name: "`burst`",
    fields: &[
        must(
            "gap",
            Of::Duration,
            "Events closer together are one burst; the rule hears the first.",
        ),
        key("sticky", Of::Mapping(&STICKY), "Events that keep a burst open for longer."),
        BY,
    ],
};

pub(in crate::rules) static STICKY: Shape = Shape {
    name: "`sticky`",
    fields: &[
        must("if", Of::Condition, "Of such an event"),
        must("for", Of::Duration, "the burst stays open this long."),
    ],
};

pub(in crate::rules) static SEQUENCE: Shape = Shape {
    name: "`sequence`",
    fields: &[
        must("then", Of::List(&OTHER), "The events after the rule's own, in order."),
        must("within", Of::Duration, "From the first to the last."),
        BY,
    ],
};

pub(in crate::rules) static OTHER: Shape = Shape {
    name: "an event",
    fields: &[
        must("when", Of::Texts, "The event type, or several."),
        key("if", Of::Condition, "CEL, about that event."),
    ],
};

pub(in crate::rules) static COUNT: Shape = Shape {
    name: "`count`",
    fields: &[
        must("at_least", Of::Number, "So many; then the counting starts anew."),
        must("within", Of::Duration, "Looking back from the newest."),
        key("distinct", Of::Condition, "Count values of this that differ."),
        BY,
    ],
};

pub(in crate::rules) static HOLD: Shape =
    Shape { name: "`for`", fields: &[must("time", Of::Duration, "How long it has to hold."), BY] };

pub(in crate::rules) static ABSENT: Shape = Shape {
    name: "`absent`",
    fields: &[
        key(
            "when",
            Of::Texts,
            "The event that is expected after the rule's own. Default: the rule's own again.",
        ),
        key("if", Of::Condition, "CEL, about the expected event."),
        key("within", Of::Duration, "How long it may take. Or `until`."),
        key(
            "until",
            Of::Condition,
            "CEL, a time: event.deadline - duration(\"1h\"). What is planned long before is done then, unless it is called off.",
        ),
        BY,
    ],
};

const FROM: Field = key("from", Of::Text, "Time of the day, for example \"22:00\".");
const TO: Field = key("to", Of::Text, "Time of the day, perhaps of the next day.");
const DAYS: Field =
    key("days", Of::Texts, "mon to sun, or ranges like mon-fri: on which it begins. Default: all.");
const CRON: Field = key(
    "cron",
    Of::Text,
    "When it opens: five fields as in crontab, or AWS's six as cron(0 2 * * ? *).",
);
const STAYS: Field = key("for", Of::Duration, "With `cron`: how long it stays open.");
const ZONE: Field = key("zone", Of::Text, "IANA time zone. Default UTC.");

pub(in crate::rules) static HOURS: Shape =
    Shape { name: "a window", fields: &[DAYS, FROM, TO, CRON, STAYS, ZONE] };

pub(in crate::rules) static WINDOW: Shape = Shape {
    name: "a window",
    fields: &[must("name", Of::Text, "Unique among all files."), DAYS, FROM, TO, CRON, STAYS, ZONE],
};

pub(in crate::rules) static SCHEDULE: Shape = Shape {
    name: "a schedule",
    fields: &[
        must("name", Of::Text, "Unique among all files."),
        must(
            "schedule",
            Of::Text,
            "AWS's six fields as cron(0 2 * * ? *), five fields as in crontab, or an interval as every 6h.",
        ),
        ZONE,
        key(
            "clock_forward",
            Of::Words(&["skip", "run_after"]),
            "A time that is missing because the clocks go forward. Default: as the dialect's own scheduler, skip for AWS and run_after for crontab.",
        ),
        key(
            "clock_back",
            Of::Words(&["once", "twice"]),
            "A time that comes twice because the clocks go back. Default once.",
        ),
        key(
            "missed",
            Of::Words(&["once", "skip"]),
            "Runs while the daemon was away: the last of them is made up for, or none. Default once.",
        ),
        key(
            "missed_within",
            Of::Duration,
            "It is made up for only so long after. Default: always.",
        ),
        key(
            "subject",
            Of::Text,
            "What its events are about: node/NAME, KIND/NAMESPACE/NAME. Default: schedule/NAME.",
        ),
    ],
};
