//! The payloads of the events that we know: what stands in `event` besides the envelope.
//!
//! AWS: EventBridge bodies as they come; Kubernetes: the fields of core/v1 Event; ours: as the daemon writes
//! them. Types that are not here are their senders' own.

use super::Kind;
use crate::model::kind;

/// The parts of a JSON object.
#[derive(Debug)]
pub(in crate::rules) struct Shape {
    pub(in crate::rules) name: &'static str,
    /// Other parts may come: the sender decides.
    pub(in crate::rules) open: bool,
    pub(in crate::rules) parts: &'static [(&'static str, Kind)],
}

impl PartialEq for Shape {
    fn eq(&self, other: &Shape) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Shape {
    pub(in crate::rules) fn part(&self, name: &str) -> Option<Kind> {
        self.parts.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind)
    }

    pub(in crate::rules) fn names(&self) -> impl Iterator<Item = &'static str> + Clone {
        self.parts.iter().map(|(name, _)| *name)
    }
}

#[derive(Debug)]
pub(in crate::rules) struct Payload {
    pub(in crate::rules) kind: &'static str,
    pub(in crate::rules) shape: Shape,
}

const fn closed(kind: &'static str, parts: &'static [(&'static str, Kind)]) -> Payload {
    Payload { kind, shape: Shape { name: "event", open: false, parts } }
}

const fn open(kind: &'static str, parts: &'static [(&'static str, Kind)]) -> Payload {
    Payload { kind, shape: Shape { name: "event", open: true, parts } }
}

const fn detail(parts: &'static [(&'static str, Kind)]) -> Shape {
    Shape { name: "detail", open: true, parts }
}

/// An EventBridge body. Instance metadata adds `action`.
macro_rules! bridge {
    ($kind:expr, $detail:ident) => {
        open(
            $kind,
            &[
                ("detail-type", Kind::Text),
                ("account", Kind::Text),
                ("region", Kind::Text),
                ("resources", Kind::Items),
                ("detail", Kind::Shape(&$detail)),
                ("action", Kind::Word(ACTIONS)),
            ],
        )
    };
}

const ACTIONS: &[&str] = &["terminate", "stop", "hibernate"];
const STATES: &[&str] =
    &["pending", "running", "shutting-down", "stopping", "stopped", "terminated"];
const TRANSITIONS: &[&str] =
    &["autoscaling:EC2_INSTANCE_LAUNCHING", "autoscaling:EC2_INSTANCE_TERMINATING"];
const BACKUP_STATES: &[&str] = &[
    "CREATED",
    "PENDING",
    "RUNNING",
    "ABORTING",
    "ABORTED",
    "COMPLETED",
    "FAILED",
    "EXPIRED",
    "PARTIAL",
];

static NOTICE: Shape =
    detail(&[("instance-id", Kind::Text), ("instance-action", Kind::Word(ACTIONS))]);
static INSTANCE: Shape = detail(&[("instance-id", Kind::Text)]);
static STATE: Shape = detail(&[("instance-id", Kind::Text), ("state", Kind::Word(STATES))]);
static HEALTH: Shape = detail(&[
    ("eventArn", Kind::Text),
    ("service", Kind::Text),
    ("eventTypeCode", Kind::Text),
    ("eventTypeCategory", Kind::Text),
    ("eventScopeCode", Kind::Text),
    ("communicationId", Kind::Text),
    ("eventDescription", Kind::Items),
    ("statusCode", Kind::Text),
    ("startTime", Kind::Text),
    ("endTime", Kind::Text),
    ("affectedEntities", Kind::Items),
]);
static LIFECYCLE: Shape = detail(&[
    ("LifecycleActionToken", Kind::Text),
    ("AutoScalingGroupName", Kind::Text),
    ("LifecycleHookName", Kind::Text),
    ("EC2InstanceId", Kind::Text),
    ("LifecycleTransition", Kind::Word(TRANSITIONS)),
    ("NotificationMetadata", Kind::Any),
    ("Origin", Kind::Text),
    ("Destination", Kind::Text),
]);
static BACKUP: Shape = detail(&[
    ("backupJobId", Kind::Text),
    ("backupVaultName", Kind::Text),
    ("backupVaultArn", Kind::Text),
    ("resourceArn", Kind::Text),
    ("resourceType", Kind::Text),
    ("resourceName", Kind::Text),
    ("state", Kind::Word(BACKUP_STATES)),
    ("statusMessage", Kind::Text),
]);

const CLUSTER_EVENT: &[(&str, Kind)] = &[
    ("reason", Kind::Text),
    ("message", Kind::Text),
    ("note", Kind::Text),
    ("action", Kind::Text),
    ("count", Kind::Int),
    ("warning", Kind::Bool),
    ("reportingController", Kind::Text),
    ("reportingInstance", Kind::Text),
];
const CONDITION: &[(&str, Kind)] = &[
    ("condition", Kind::Text),
    ("status", Kind::Word(&["True", "False", "Unknown"])),
    ("reason", Kind::Text),
    ("message", Kind::Text),
];
const OBJECT: &[(&str, Kind)] = &[
    ("api_version", Kind::Text),
    ("kind", Kind::Text),
    ("condition", Kind::Text),
    ("status", Kind::Word(&["True", "False", "Unknown"])),
    ("reason", Kind::Text),
    ("message", Kind::Text),
];
const POD: &[(&str, Kind)] = &[
    ("phase", Kind::Word(&["Pending", "Running", "Succeeded", "Failed", "Unknown"])),
    ("reason", Kind::Text),
    ("message", Kind::Text),
    ("container", Kind::Text),
    ("exit_code", Kind::Int),
    ("restarts", Kind::Int),
    ("lacks", Kind::Items),
    ("nodes", Kind::Items),
];
const GUARD: &[(&str, Kind)] = &[("guard", Kind::Text), ("key", Kind::Text), ("why", Kind::Text)];
const SCHEDULE: &[(&str, Kind)] =
    &[("schedule", Kind::Text), ("due", Kind::Text), ("missed", Kind::Int)];
const LETTER: &[(&str, Kind)] = &[("seq", Kind::Int), ("by", Kind::Text)];

pub(in crate::rules) static PAYLOADS: &[Payload] = &[
    closed(kind::ALERT_FIRING, &[]),
    closed(kind::ALERT_RESOLVED, &[]),
    bridge!(kind::SPOT_INTERRUPTION, NOTICE),
    bridge!(kind::REBALANCE, INSTANCE),
    bridge!(kind::MAINTENANCE, HEALTH),
    bridge!(kind::MAINTENANCE_CANCELLED, HEALTH),
    bridge!(kind::INSTANCE_STATE, STATE),
    bridge!(kind::CAPACITY_INTERRUPTION, NOTICE),
    bridge!(kind::LIFECYCLE, LIFECYCLE),
    bridge!(kind::BACKUP_JOB, BACKUP),
    open(kind::CLUSTER_EVENT, CLUSTER_EVENT),
    open(kind::NODE_CONDITION, CONDITION),
    open(kind::OBJECT, OBJECT),
    open(kind::POD_PHASE, POD),
    closed(kind::SCHEDULE_DUE, SCHEDULE),
    closed(kind::GUARD_TRIPPED, GUARD),
    closed(kind::GUARD_RESET, GUARD),
    closed(kind::RULES_LOADED, &[("rules", Kind::Int), ("version", Kind::Text)]),
    closed(kind::RULES_REJECTED, &[("faults", Kind::Items)]),
    closed(kind::DEAD_REQUEUED, LETTER),
    closed(kind::DEAD_DROPPED, LETTER),
];
