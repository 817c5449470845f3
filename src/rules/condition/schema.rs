//! What a condition may speak of: the objects, their fields and types.

use super::types::Type;

#[derive(Debug)]
pub(in crate::rules) struct Object {
    pub(super) name: &'static str,
    pub(super) fields: &'static [(&'static str, Kind)],
    /// Other fields may exist: the sender decides.
    pub(super) open: bool,
}

impl PartialEq for Object {
    fn eq(&self, other: &Object) -> bool {
        self.name == other.name
    }
}

/// A type that can stand in a table.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Text,
    Bool,
    Int,
    Time,
    Texts,
    Objects(&'static Object),
}

impl Kind {
    pub(super) fn to_type(self) -> Type {
        match self {
            Kind::Text => Type::Text,
            Kind::Bool => Type::Bool,
            Kind::Int => Type::Int,
            Kind::Time => Type::Time,
            Kind::Texts => Type::Map(Box::new(Type::Text)),
            Kind::Objects(object) => Type::List(Box::new(Type::Object(object))),
        }
    }
}

impl Object {
    pub(super) fn field(&self, name: &str) -> Option<Type> {
        self.fields.iter().find(|(known, _)| *known == name).map(|(_, kind)| kind.to_type())
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> + Clone {
        self.fields.iter().map(|(name, _)| *name)
    }
}

static TAINT: Object = Object {
    name: "taint",
    open: false,
    fields: &[("key", Kind::Text), ("value", Kind::Text), ("effect", Kind::Text)],
};

static NODE: Object = Object {
    name: "node",
    open: false,
    fields: &[
        ("name", Kind::Text),
        ("uid", Kind::Text),
        ("labels", Kind::Texts),
        ("annotations", Kind::Texts),
        ("taints", Kind::Objects(&TAINT)),
        ("unschedulable", Kind::Bool),
        ("ready", Kind::Bool),
        ("pool", Kind::Text),
        ("zone", Kind::Text),
        ("instance_type", Kind::Text),
        ("capacity_type", Kind::Text),
        ("instance_id", Kind::Text),
        ("internal_ip", Kind::Text),
    ],
};

static OWNER: Object = Object {
    name: "owner",
    open: false,
    fields: &[
        ("api_version", Kind::Text),
        ("kind", Kind::Text),
        ("name", Kind::Text),
        ("controller", Kind::Bool),
    ],
};

static POD: Object = Object {
    name: "pod",
    open: false,
    fields: &[
        ("namespace", Kind::Text),
        ("name", Kind::Text),
        ("uid", Kind::Text),
        ("node", Kind::Text),
        ("labels", Kind::Texts),
        ("annotations", Kind::Texts),
        ("owners", Kind::Objects(&OWNER)),
        ("phase", Kind::Text),
        ("ready", Kind::Bool),
        ("grace", Kind::Int),
        ("deleted_at", Kind::Time),
    ],
};

static WORKLOAD: Object = Object {
    name: "workload",
    open: false,
    fields: &[
        ("kind", Kind::Text),
        ("namespace", Kind::Text),
        ("name", Kind::Text),
        ("labels", Kind::Texts),
        ("annotations", Kind::Texts),
        ("replicas", Kind::Int),
        ("ready", Kind::Int),
        ("updated", Kind::Int),
    ],
};

static POOL: Object =
    Object { name: "pool", open: false, fields: &[("name", Kind::Text), ("size", Kind::Int)] };

static ALERT: Object = Object {
    name: "alert",
    open: false,
    fields: &[
        ("name", Kind::Text),
        ("status", Kind::Text),
        ("labels", Kind::Texts),
        ("annotations", Kind::Texts),
        ("starts_at", Kind::Time),
        ("ends_at", Kind::Time),
        ("fingerprint", Kind::Text),
        ("generator_url", Kind::Text),
        ("receiver", Kind::Text),
        ("external_url", Kind::Text),
        ("group_key", Kind::Text),
    ],
};

const EVENT_FIELDS: &[(&str, Kind)] = &[
    ("type", Kind::Text),
    ("id", Kind::Text),
    ("source", Kind::Text),
    ("subject", Kind::Text),
    ("time", Kind::Time),
    ("deadline", Kind::Time),
    ("cluster", Kind::Text),
    ("tenant", Kind::Text),
];

/// An event whose payload is somebody else's.
pub(super) static EVENT: Object = Object { name: "event", open: true, fields: EVENT_FIELDS };
/// An Alertmanager event: its payload is `alert`, and there is nothing else.
pub(super) static ALERT_EVENT: Object = Object { name: "event", open: false, fields: EVENT_FIELDS };

/// The objects a condition starts from. `event` depends on the rule's `when`.
pub(super) fn root(name: &str, alerts_only: bool) -> Option<(&'static str, Type)> {
    let event = if alerts_only { &ALERT_EVENT } else { &EVENT };
    let of = match name {
        "event" => Type::Object(event),
        "alert" => Type::Object(&ALERT),
        "node" => Type::Object(&NODE),
        "pod" => Type::Object(&POD),
        "workload" => Type::Object(&WORKLOAD),
        "pool" => Type::Object(&POOL),
        "tenant" => Type::Text,
        "cloud" => Type::Map(Box::new(Type::Text)),
        "now" => Type::Time,
        _ => return None,
    };
    ROOTS.iter().find(|known| **known == name).map(|known| (*known, of))
}

pub(super) const ROOTS: &[&str] =
    &["event", "alert", "node", "pod", "workload", "pool", "tenant", "cloud", "now"];
