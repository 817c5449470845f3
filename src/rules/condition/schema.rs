//! What a condition may speak of: one table that says what a field is, and how it is had.

mod payloads;

pub(in crate::rules) use payloads::{PAYLOADS, Shape};

use super::types::Type;
use super::value::{Thing, Val};
use crate::model::PodPhase;

/// One of our own objects: all its fields are known.
#[derive(Debug)]
pub(in crate::rules) struct Object {
    pub(in crate::rules) name: &'static str,
    pub(in crate::rules) fields: &'static [Field],
}

impl PartialEq for Object {
    fn eq(&self, other: &Object) -> bool {
        self.name == other.name
    }
}

pub(in crate::rules) type Get = for<'a> fn(Thing<'a>) -> Option<Val<'a>>;

#[derive(Debug)]
pub(in crate::rules) struct Field {
    pub(in crate::rules) name: &'static str,
    pub(in crate::rules) kind: Kind,
    /// No value where it is not there.
    pub(super) get: Get,
}

/// A type that can stand in a table.
#[derive(Debug, Clone, Copy)]
pub(in crate::rules) enum Kind {
    Any,
    Text,
    Word(&'static [&'static str]),
    Bool,
    Int,
    Time,
    Texts,
    List(&'static Object),
    /// JSON whose parts are known.
    Shape(&'static Shape),
    /// A list of JSON.
    Items,
}

impl Kind {
    pub(in crate::rules) fn to_type(self) -> Type {
        match self {
            Kind::Any => Type::Any,
            Kind::Text => Type::Text,
            Kind::Word(words) => Type::Word(words),
            Kind::Bool => Type::Bool,
            Kind::Int => Type::Int,
            Kind::Time => Type::Time,
            Kind::Texts => Type::Map(Box::new(Type::Text)),
            Kind::List(object) => Type::List(Box::new(Type::Object(object))),
            Kind::Shape(shape) => Type::Shape(shape),
            Kind::Items => Type::List(Box::new(Type::Any)),
        }
    }
}

impl Object {
    pub(super) fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> + Clone {
        self.fields.iter().map(|field| field.name)
    }
}

macro_rules! fields {
    ($thing:ident: $($name:literal $kind:expr, $it:ident => $value:expr;)*) => {
        &[$(Field {
            name: $name,
            kind: $kind,
            get: |thing| match thing {
                Thing::$thing($it) => $value,
                _ => None,
            },
        }),*]
    };
}

static TAINT: Object = Object {
    name: "taint",
    fields: fields! { Taint:
        "key" Kind::Text, it => Some(Val::text(&it.key));
        "value" Kind::Text, it => Some(Val::text(&it.value));
        "effect" Kind::Word(EFFECTS), it => Some(Val::text(&it.effect));
    },
};

const EFFECTS: &[&str] = &["NoSchedule", "PreferNoSchedule", "NoExecute"];
const PHASES: &[&str] = &["Pending", "Running", "Succeeded", "Failed", "Unknown"];
/// As Kubernetes' and Karpenter's labels are read; empty where no label says.
const CAPACITY: &[&str] = &["spot", "on-demand", "reserved", "capacity-block", ""];

static NODE: Object = Object {
    name: "node",
    fields: fields! { Node:
        "name" Kind::Text, it => Some(Val::text(&it.name));
        "uid" Kind::Text, it => Some(Val::text(&it.uid));
        "labels" Kind::Texts, it => Some(Val::Texts(&it.labels));
        "annotations" Kind::Texts, it => Some(Val::Texts(&it.annotations));
        "taints" Kind::List(&TAINT), it => Some(Val::Taints(&it.taints));
        "unschedulable" Kind::Bool, it => Some(Val::Bool(it.unschedulable));
        "ready" Kind::Bool, it => Some(Val::Bool(it.ready));
        "pool" Kind::Text, it => Some(Val::text(&it.pool));
        "zone" Kind::Text, it => Some(Val::text(&it.zone));
        "instance_type" Kind::Text, it => Some(Val::text(&it.instance_type));
        "capacity_type" Kind::Word(CAPACITY), it => Some(Val::text(&it.capacity_type));
        "instance_id" Kind::Text, it => Some(Val::text(&it.instance_id));
        "internal_ip" Kind::Text, it => Some(Val::text(&it.internal_ip));
    },
};

static OWNER: Object = Object {
    name: "owner",
    fields: fields! { Owner:
        "api_version" Kind::Text, it => Some(Val::text(&it.api_version));
        "kind" Kind::Text, it => Some(Val::text(&it.kind));
        "name" Kind::Text, it => Some(Val::text(&it.name));
        "controller" Kind::Bool, it => Some(Val::Bool(it.controller));
    },
};

static POD: Object = Object {
    name: "pod",
    fields: fields! { Pod:
        "namespace" Kind::Text, it => Some(Val::text(&it.namespace));
        "name" Kind::Text, it => Some(Val::text(&it.name));
        "uid" Kind::Text, it => Some(Val::text(&it.uid));
        "node" Kind::Text, it => Some(Val::text(&it.node));
        "labels" Kind::Texts, it => Some(Val::Texts(&it.labels));
        "annotations" Kind::Texts, it => Some(Val::Texts(&it.annotations));
        "owners" Kind::List(&OWNER), it => Some(Val::Owners(&it.owners));
        "phase" Kind::Word(PHASES), it => Some(Val::text(phase(it.phase)));
        "ready" Kind::Bool, it => Some(Val::Bool(it.ready));
        "grace" Kind::Int, it => Some(Val::Int(it.grace.into()));
        "deleted_at" Kind::Time, it => it.deleted_at.map(Val::Time);
    },
};

fn phase(phase: PodPhase) -> &'static str {
    match phase {
        PodPhase::Pending => "Pending",
        PodPhase::Running => "Running",
        PodPhase::Succeeded => "Succeeded",
        PodPhase::Failed => "Failed",
        PodPhase::Unknown => "Unknown",
    }
}

static WORKLOAD: Object = Object {
    name: "workload",
    fields: fields! { Workload:
        "kind" Kind::Word(&["deployment", "statefulset", "daemonset", "job"]),
            it => Some(Val::text(it.kind.word()));
        "namespace" Kind::Text, it => Some(Val::text(&it.namespace));
        "name" Kind::Text, it => Some(Val::text(&it.name));
        "labels" Kind::Texts, it => Some(Val::Texts(&it.labels));
        "annotations" Kind::Texts, it => Some(Val::Texts(&it.annotations));
        "replicas" Kind::Int, it => Some(Val::Int(it.replicas.into()));
        "ready" Kind::Int, it => Some(Val::Int(it.ready.into()));
        "updated" Kind::Int, it => Some(Val::Int(it.updated.into()));
    },
};

static POOL: Object = Object {
    name: "pool",
    fields: fields! { Pool:
        "name" Kind::Text, it => Some(Val::text(&it.name));
        "size" Kind::Int, it => Some(Val::Int(it.size.into()));
    },
};

static ALERT: Object = Object {
    name: "alert",
    fields: fields! { Alert:
        "name" Kind::Text, it => Some(Val::text(&it.name));
        "status" Kind::Word(&["firing", "resolved"]), it => Some(Val::text(it.status.word()));
        "labels" Kind::Texts, it => Some(Val::Texts(&it.labels));
        "annotations" Kind::Texts, it => Some(Val::Texts(&it.annotations));
        "starts_at" Kind::Time, it => Some(Val::Time(it.starts_at));
        "ends_at" Kind::Time, it => it.ends_at.map(Val::Time);
        "fingerprint" Kind::Text, it => Some(Val::text(&it.fingerprint));
        "generator_url" Kind::Text, it => Some(Val::text(&it.generator_url));
        "receiver" Kind::Text, it => Some(Val::text(&it.receiver));
        "external_url" Kind::Text, it => Some(Val::text(&it.external_url));
        "group_key" Kind::Text, it => Some(Val::text(&it.group_key));
    },
};

/// What every event has, whatever its sender wrote: the envelope.
pub(in crate::rules) static EVENT: Object = Object {
    name: "event",
    fields: fields! { Event:
        "type" Kind::Text, it => Some(Val::text(&it.kind));
        "id" Kind::Text, it => Some(Val::text(it.id.as_str()));
        "source" Kind::Text, it => Some(Val::text(&it.source));
        "subject" Kind::Text, it => Some(Val::Text(it.subject.to_string().into()));
        "time" Kind::Time, it => Some(Val::Time(it.time));
        "deadline" Kind::Time, it => it.deadline.map(Val::Time);
        "cluster" Kind::Text, it => it.cluster.as_deref().map(Val::text);
        "tenant" Kind::Text, it => it.tenant.as_deref().map(Val::text);
    },
};

/// Where a condition starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::rules) enum Root {
    Event,
    Alert,
    Node,
    Pod,
    Workload,
    Pool,
    Tenant,
    Cloud,
    Now,
}

impl Root {
    pub(in crate::rules) const ALL: [Root; 9] = [
        Root::Event,
        Root::Alert,
        Root::Node,
        Root::Pod,
        Root::Workload,
        Root::Pool,
        Root::Tenant,
        Root::Cloud,
        Root::Now,
    ];

    pub(in crate::rules) fn name(self) -> &'static str {
        match self {
            Root::Event => "event",
            Root::Alert => "alert",
            Root::Node => "node",
            Root::Pod => "pod",
            Root::Workload => "workload",
            Root::Pool => "pool",
            Root::Tenant => "tenant",
            Root::Cloud => "cloud",
            Root::Now => "now",
        }
    }

    pub(in crate::rules) fn kind(self) -> Type {
        match self {
            Root::Event => Type::Event,
            Root::Alert => Type::Object(&ALERT),
            Root::Node => Type::Object(&NODE),
            Root::Pod => Type::Object(&POD),
            Root::Workload => Type::Object(&WORKLOAD),
            Root::Pool => Type::Object(&POOL),
            Root::Tenant => Type::Text,
            Root::Cloud => Type::Map(Box::new(Type::Text)),
            Root::Now => Type::Time,
        }
    }
}
