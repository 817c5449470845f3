//! What came in: the payload, and what was known of the world when it was recorded.

use super::{Alert, Node, Pod, Workload};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// The names of the event types that the product itself knows. Senders may use their own.
pub mod kind {
    pub const ALERT_FIRING: &str = "alertmanager.alert.firing";
    pub const ALERT_RESOLVED: &str = "alertmanager.alert.resolved";
    pub const SPOT_INTERRUPTION: &str = "aws.ec2.spot.interruption";
    pub const REBALANCE: &str = "aws.ec2.rebalance.recommendation";
    pub const MAINTENANCE: &str = "aws.ec2.maintenance.scheduled";
    pub const MAINTENANCE_CANCELLED: &str = "aws.ec2.maintenance.cancelled";
    pub const INSTANCE_STATE: &str = "aws.ec2.instance.state";
    pub const CAPACITY_INTERRUPTION: &str = "aws.ec2.capacity_reservation.interruption";
    /// An Auto Scaling group begins or ends with an instance.
    pub const LIFECYCLE: &str = "aws.autoscaling.lifecycle";
    pub const BACKUP_JOB: &str = "aws.backup.job";
    /// An Event of the API, each time that it is counted.
    pub const CLUSTER_EVENT: &str = "kubernetes.event";
    pub const NODE_CONDITION: &str = "kubernetes.node.condition";
    pub const POD_PHASE: &str = "kubernetes.pod.phase";
    /// A condition of an object that the configuration names.
    pub const OBJECT: &str = "kubernetes.object";
    /// A sign of life.
    pub const HEARTBEAT: &str = "heartbeat";
    /// A schedule says that it is time.
    pub const SCHEDULE_DUE: &str = "schedule.due";
    pub const INCIDENT_ACK: &str = "medevac.request.acknowledge";
    pub const INCIDENT_RESOLVE: &str = "medevac.request.resolve";
    pub const PAUSE: &str = "medevac.request.pause";
    pub const RESUME: &str = "medevac.request.resume";
    /// A guard with `storm` refused for the first time, and is whole again.
    pub const GUARD_TRIPPED: &str = "medevac.guard.tripped";
    pub const GUARD_RESET: &str = "medevac.guard.reset";
    /// What a person did with a dead letter.
    pub const DEAD_REQUEUED: &str = "medevac.dead_letter.requeued";
    pub const DEAD_DROPPED: &str = "medevac.dead_letter.dropped";
    /// What Alertmanager says still fires in a group whose body was truncated.
    pub const GROUP_RECONCILED: &str = "alertmanager.group.reconciled";
    pub const RULES_REJECTED: &str = "medevac.rules.rejected";
    pub const RULES_LOADED: &str = "medevac.rules.loaded";
    pub const DECISION: &str = "medevac.decision";
    pub const INCIDENT: &str = "medevac.incident";
    pub const PLAN: &str = "medevac.remediation.planned";
    pub const OUTCOME: &str = "medevac.remediation";
    pub const PAGE: &str = "medevac.page";

    /// By these AWS says that a machine goes, whatever anybody does: to empty it takes nothing away that would stay.
    pub const GOING: &[&str] = &[SPOT_INTERRUPTION, CAPACITY_INTERRUPTION, LIFECYCLE];

    /// Types that a `when` may name without a warning: DESIGN section 3.
    pub const KNOWN: &[&str] = &[
        ALERT_FIRING,
        ALERT_RESOLVED,
        SPOT_INTERRUPTION,
        REBALANCE,
        MAINTENANCE,
        MAINTENANCE_CANCELLED,
        INSTANCE_STATE,
        CAPACITY_INTERRUPTION,
        LIFECYCLE,
        BACKUP_JOB,
        CLUSTER_EVENT,
        NODE_CONDITION,
        POD_PHASE,
        OBJECT,
        SCHEDULE_DUE,
        HEARTBEAT,
        RULES_REJECTED,
        RULES_LOADED,
        GUARD_TRIPPED,
        GUARD_RESET,
        DEAD_REQUEUED,
        DEAD_DROPPED,
    ];
}

/// The event message. The envelope says what kind it is and when it happened.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Event {
    /// Present for Alertmanager's kinds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alert: Option<Alert>,
    /// What the sender wrote, for every other kind: a JSON value, usually an object.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub payload: Value,
    #[serde(default)]
    pub context: Context,
}

impl Event {
    /// Whether the machine that an event of that kind is about goes, whatever anybody does.
    pub fn dooms(&self, kind: &str) -> bool {
        let transition = self.context.cloud.get("transition");
        let stays = kind == kind::LIFECYCLE && transition.is_none_or(|it| it != "terminating");
        kind::GOING.contains(&kind) && !stays
    }
}

/// The world as the watch caches had it just before recording. A replay sees what the engine saw.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Context {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<Node>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<Pod>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload: Option<Workload>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<Pool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sizes: Option<Sizes>,
    /// Labels of the cluster or of the tenant that the source was configured with.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub cloud: BTreeMap<String, String>,
}

/// How many nodes there were when the event was recorded: a share of them may be a guard's limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Sizes {
    pub cluster: u32,
    /// In the zone of the node concerned.
    pub zone: u32,
    /// With the label `tenant` of the node concerned.
    pub tenant: u32,
}

/// The pool of the node concerned, with its size: a share of it may be a guard's limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    pub name: String,
    /// Nodes in the pool when the event was recorded.
    pub size: u32,
}
