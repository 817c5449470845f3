//! The vocabulary, in the order in which things flow: event, incident, decision, plan, outcome.
//!
//! What crosses a wall between rooms is one of these values, inside an [`Envelope`], on the log.
//! Pure: values and their laws. May import: `calendar`.

mod alert;
mod backup;
mod bearing;
mod call;
mod capacity;
mod checkpoint;
mod cluster;
mod decision;
mod envelope;
mod escalation;
mod event;
mod fault;
mod finding;
mod gang;
mod hook;
mod id;
mod incident;
mod instance;
mod job;
mod look;
mod mapping;
mod means;
mod mover;
mod notice;
mod outcome;
mod page;
mod pause;
mod pending;
mod plan;
mod resource;
mod schedule;
mod secret;
mod step;
mod target;
mod token;
mod told;

pub use crate::calendar::{BadSpan, Span};
pub use alert::{Alert, AlertStatus};
pub use backup::{
    AwsBackup, Protected, RequireBackup, Snapshot, Sought, Standing, Tool, Vault, VeleroBackup,
    Volumes,
};
pub use bearing::{Bearing, Extent};
pub use call::{Answer, Claim, CloudCall, ClusterCall, NodePatch, Refusal};
pub use capacity::{
    Climbed, Climbing, Displaced, Granted, Group, Joined, Ladder, Order, Placeholders,
    PlannedCapacity, PlannedRung, Rung, Source, Way, Zone,
};
pub use checkpoint::{Handshake, Learned, REQUEST, STATE, Said, learned_key, work_since};
pub use cluster::{Node, Owner, Pod, PodPhase, Stay, Taint, Workload, WorkloadKind};
pub use decision::{Decision, Reservation, Severity, Suppression, Timer, Verdict};
pub use envelope::{Cause, Envelope, MAX_CAUSES, RECORD_VERSION};
pub use escalation::{Contact, Directory, Level, MailTls, Mailbox, Pager, Policy};
pub use event::{Context, Event, Pool, Sizes, kind};
pub use fault::chain;
pub use finding::{Finding, Health, Topic};
pub use hook::{Hook, HookResult, hook_ends};
pub use id::{Id, fingerprint, fnv1a};
pub use incident::{Incident, IncidentChange, IncidentState, Move, Signal, Watch};
pub use instance::gpus_of;
pub use job::Job;
pub use look::{Look, Waiting};
pub use mapping::{BadTemplate, Mapping, Template, TimeUnit};
pub use means::{ASKED_BY, Means, Profile, Proof, Transport};
pub use mover::{Destination, MOVED, MOVED_FROM, Mover, PlannedMove, label};
pub use notice::Notice;
pub use outcome::{Entry, Outcome, PlanEnd, PodRecord, Undo};
pub use page::{Delivery, PageKey, PageKind, PageStep, Report};
pub use pause::{Pause, Scope};
pub use pending::{Misfit, Unfit, unfit};
pub use plan::{Member, Plan, PlannedCheckpoint, PlannedGang, PlannedPod, PlannedStep, Reach};
pub use resource::{Made, Question, Resource, selector};
pub use schedule::{Due, Known, MOST_SHOWN, Missed, Schedule, due, duties, shown};
pub use secret::Secret;
pub use step::{Action, Expect, Mode, StepSpec};
pub use target::{BadTarget, Target};
pub use token::{escape, unescape};
pub use told::{describe, escape_markup, plain};
