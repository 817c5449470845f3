//! The keys that a rule file may have, as one table: the reader checks against it and the JSON Schema is printed from it.

use serde_json::{Map, Value, json};

/// A mapping in a rule file.
#[derive(Debug)]
pub(crate) struct Shape {
    /// As it is called in messages: `a rule`.
    pub(crate) name: &'static str,
    pub(crate) fields: &'static [Field],
}

#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) of: Of,
    pub(crate) required: bool,
    pub(crate) doc: &'static str,
}

/// What stands behind a key.
#[derive(Debug)]
pub(crate) enum Of {
    Text,
    Duration,
    Number,
    Bool,
    Condition,
    Words(&'static [&'static str]),
    Texts,
    Map,
    Mapping(&'static Shape),
    List(&'static Shape),
    Steps,
    Secret,
}

impl Shape {
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> + Clone {
        self.fields.iter().map(|field| field.name)
    }

    pub(crate) fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}

pub(crate) const fn key(name: &'static str, of: Of, doc: &'static str) -> Field {
    Field { name, of, required: false, doc }
}

pub(crate) const fn must(name: &'static str, of: Of, doc: &'static str) -> Field {
    Field { name, of, required: true, doc }
}

pub(super) const SEVERITIES: &[&str] = &["info", "warning", "error", "critical"];
pub(super) const MODES: &[&str] = &["enforce", "observe"];
pub(super) const EVIDENCE: &[&str] =
    &["logs", "events", "runbook", "dashboards", "remediation", "backup"];
pub(super) const EXPECTATIONS: &[&str] =
    &["alert_cleared", "node_ready", "node_empty", "pods_running"];

pub(super) static FILE: Shape = Shape {
    name: "a rule file",
    fields: &[
        key(
            "definitions",
            Of::Map,
            "Shared clauses: name to condition, usable by name in every `if`.",
        ),
        key("rules", Of::List(&RULE), "What to do when."),
        key("guards", Of::List(&GUARD), "Limits on how much may be touched at once."),
        key("escalations", Of::List(&POLICY), "Who is called, level by level."),
        key("contacts", Of::List(&CONTACT), "The roads to people."),
    ],
};

pub(super) static RULE: Shape = Shape {
    name: "a rule",
    fields: &[
        must("name", Of::Text, "Unique among all files."),
        key("description", Of::Text, "For readers."),
        must("when", Of::Texts, "The event type, or several."),
        key("if", Of::Condition, "CEL; the rule matches where it is true."),
        key(
            "severity",
            Of::Words(SEVERITIES),
            "Of the incident. Default: the alert's own, else warning.",
        ),
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
        key("runbook", Of::Text, "URL of the page for whoever is called."),
        key("dashboards", Of::Texts, "URLs of dashboards for whoever is called."),
    ],
};

pub(super) static THROTTLE: Shape = Shape {
    name: "`throttle`",
    fields: &[
        must("once_within", Of::Duration, "After it acted, the rule is quiet for this long."),
        key("by", Of::Condition, "One throttle per value. Default: per target."),
    ],
};

pub(super) static GUARD: Shape = Shape {
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

pub(super) static STORM: Shape = Shape {
    name: "`storm`",
    fields: &[must("release_after", Of::Duration, "So long nobody may have asked.")],
};

pub(super) static LIMITS: Shape = Shape {
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

pub(super) static POLICY: Shape = Shape {
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
    ],
};

pub(super) static LEVEL: Shape = Shape {
    name: "a level",
    fields: &[
        must("contacts", Of::Texts, "Who is called."),
        key("delay", Of::Duration, "How long before the next level. Default 5m."),
        key(
            "evidence",
            Of::Texts,
            "What the page carries: logs, events, runbook, dashboards, remediation, backup.",
        ),
    ],
};

pub(super) static CONTACT: Shape = Shape {
    name: "a contact",
    fields: &[
        must("name", Of::Text, "Unique among all files."),
        key("console", Of::Mapping(&CONSOLE), "Prints on the daemon's terminal or log."),
        key("webhook", Of::Mapping(&WEBHOOK), "Posts the page as JSON."),
        key("pagerduty", Of::Mapping(&PAGERDUTY), "PagerDuty Events v2."),
        key("slack", Of::Mapping(&SLACK), "Slack chat.postMessage."),
        key("alertmanager", Of::Mapping(&ALERTMANAGER), "Alertmanager v2, every peer."),
        key("fallback", Of::Text, "The contact to use when this one does not accept."),
    ],
};

pub(super) static CONSOLE: Shape = Shape { name: "`console`", fields: &[] };
pub(super) static WEBHOOK: Shape = Shape {
    name: "`webhook`",
    fields: &[
        must("url", Of::Text, "http or https."),
        key("headers", Of::Map, "Header to {env: NAME} or {file: PATH}."),
    ],
};
pub(super) static PAGERDUTY: Shape = Shape {
    name: "`pagerduty`",
    fields: &[
        must("routing_key", Of::Secret, "The integration key, by reference."),
        key("url", Of::Text, "Default https://events.pagerduty.com/v2/enqueue."),
    ],
};
pub(super) static SLACK: Shape = Shape {
    name: "`slack`",
    fields: &[
        must("channel", Of::Text, "Id or #name."),
        must("token", Of::Secret, "The bot token, by reference."),
        key("url", Of::Text, "Default https://slack.com/api/chat.postMessage."),
    ],
};
pub(super) static ALERTMANAGER: Shape =
    Shape { name: "`alertmanager`", fields: &[must("urls", Of::Texts, "Base URL of every peer.")] };
pub(super) static SECRET: Shape = Shape {
    name: "a secret",
    fields: &[
        key("env", Of::Text, "Name of an environment variable."),
        key("file", Of::Text, "Path of a file; white space at its end is dropped."),
    ],
};

const NEEDS: Field = key("needs", Of::Texts, "Steps that must have succeeded. [] starts at once.");
const NAME: Field = key("name", Of::Text, "What other steps call it. Default: the verb.");
const WORKLOAD: Field = key(
    "workload",
    Of::Text,
    "KIND/NAMESPACE/NAME. Default: the workload that the event is about.",
);

/// The steps: verb, what it does, arguments.
pub(super) static STEPS: &[(&str, &str, Shape)] = &[
    (
        "cordon",
        "Marks the node unschedulable, with a taint where one is given. Undone exactly.",
        Shape {
            name: "`cordon`",
            fields: &[
                NAME,
                NEEDS,
                key("taint", Of::Text, "KEY[=VALUE][:EFFECT], effect NoSchedule by default."),
            ],
        },
    ),
    (
        "uncordon",
        "Takes back our own cordon; a person's stays.",
        Shape { name: "`uncordon`", fields: &[NAME, NEEDS] },
    ),
    (
        "taint",
        "Adds a taint.",
        Shape {
            name: "`taint`",
            fields: &[NAME, NEEDS, TAINT_KEY, key("value", Of::Text, ""), TAINT_EFFECT],
        },
    ),
    (
        "label",
        "Sets a label of the node, or takes it away.",
        Shape {
            name: "`label`",
            fields: &[
                NAME,
                NEEDS,
                must("key", Of::Text, ""),
                key("value", Of::Text, "Absent: the label is removed."),
            ],
        },
    ),
    (
        "annotate",
        "Sets an annotation of the node, or takes it away.",
        Shape {
            name: "`annotate`",
            fields: &[
                NAME,
                NEEDS,
                must("key", Of::Text, ""),
                key("value", Of::Text, "Absent: the annotation is removed."),
            ],
        },
    ),
    (
        "drain",
        "Evicts what runs on the node, by the rules of the disruption budgets.",
        Shape {
            name: "`drain`",
            fields: &[
                NAME,
                NEEDS,
                key("timeout", Of::Duration, "Where no deadline is nearer. Default 15m."),
                key(
                    "force",
                    Of::Bool,
                    "Delete what cannot be evicted when the time is up. Default: only before a deadline.",
                ),
            ],
        },
    ),
    ("restart", "Rolling restart.", Shape { name: "`restart`", fields: &[NAME, NEEDS, WORKLOAD] }),
    (
        "scale",
        "Sets the number of replicas.",
        Shape {
            name: "`scale`",
            fields: &[NAME, NEEDS, WORKLOAD, must("replicas", Of::Number, "")],
        },
    ),
    (
        "wait",
        "Lets time pass.",
        Shape { name: "`wait`", fields: &[NAME, NEEDS, must("time", Of::Duration, "")] },
    ),
    (
        "verify",
        "Did it help?",
        Shape {
            name: "`verify`",
            fields: &[
                NAME,
                NEEDS,
                must("expect", Of::Words(EXPECTATIONS), "What must be true."),
                key("for", Of::Duration, "For how long it must hold. Default 0s."),
                key("within", Of::Duration, "By when. Default 5m."),
            ],
        },
    ),
    (
        "http",
        "Calls a URL on a host that the configuration lists. The step's key goes along as Idempotency-Key.",
        Shape {
            name: "`http`",
            fields: &[
                NAME,
                NEEDS,
                must("url", Of::Text, "http or https."),
                key("method", Of::Words(&["GET", "POST", "PUT", "DELETE"]), "Default POST."),
                key("body", Of::Text, "As it stands. Default: the plan as JSON."),
                key("timeout", Of::Duration, "Default 10s."),
                key(
                    "idempotent",
                    Of::Bool,
                    "The far end honours Idempotency-Key: repeat after a crash. Default: GET and PUT.",
                ),
            ],
        },
    ),
    (
        "notify",
        "Tells a contact; nobody has to answer.",
        Shape {
            name: "`notify`",
            fields: &[
                NAME,
                NEEDS,
                must("contact", Of::Text, ""),
                must("text", Of::Text, "As it stands."),
            ],
        },
    ),
    (
        "escalate",
        "Calls for a person.",
        Shape {
            name: "`escalate`",
            fields: &[
                NAME,
                NEEDS,
                key("policy", Of::Text, "Default: the rule's `escalate`."),
                key("level", Of::Number, "Where to start on the ladder. Default 1."),
            ],
        },
    ),
];

const TAINT_KEY: Field = must("key", Of::Text, "For example medevac.dev/suspect.");
const TAINT_EFFECT: Field = key(
    "effect",
    Of::Words(&["NoSchedule", "PreferNoSchedule", "NoExecute"]),
    "Default NoSchedule.",
);

/// The JSON Schema of a rule file, for editors.
pub fn json_schema() -> Value {
    let mut schema = schema_of(&FILE, "Medevac rule file");
    schema["$defs"] = json!({ "step": step_schema(), "secret": shape_schema(&SECRET) });
    schema
}

/// The JSON Schema of files that are one mapping of that shape.
pub(crate) fn schema_of(shape: &Shape, title: &str) -> Value {
    let mut schema = shape_schema(shape);
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!(title);
    schema
}

fn shape_schema(shape: &Shape) -> Value {
    let mut properties = Map::new();
    for field in shape.fields {
        let mut of = of_schema(&field.of);
        if !field.doc.is_empty() {
            of["description"] = json!(field.doc);
        }
        properties.insert(field.name.into(), of);
    }
    let required: Vec<&str> =
        shape.fields.iter().filter(|field| field.required).map(|field| field.name).collect();
    let mut schema =
        json!({ "type": "object", "properties": properties, "additionalProperties": false });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

fn of_schema(of: &Of) -> Value {
    match of {
        Of::Text | Of::Condition => json!({ "type": ["string", "number", "boolean"] }),
        Of::Duration => json!({ "type": "string", "pattern": "^([0-9]+(ms|s|m|h|d|w))+$" }),
        Of::Number => json!({ "type": "integer", "minimum": 0 }),
        Of::Bool => json!({ "type": "boolean" }),
        Of::Words(words) => json!({ "enum": words }),
        Of::Texts => {
            json!({ "oneOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }] })
        }
        Of::Map => json!({ "type": "object" }),
        Of::Mapping(shape) => {
            let mut schema = shape_schema(shape);
            schema["type"] = json!(["object", "null"]);
            schema
        }
        Of::List(shape) => json!({ "type": "array", "items": shape_schema(shape) }),
        Of::Steps => json!({ "type": "array", "items": { "$ref": "#/$defs/step" } }),
        Of::Secret => json!({ "$ref": "#/$defs/secret" }),
    }
}

fn step_schema() -> Value {
    let steps: Map<String, Value> = STEPS
        .iter()
        .map(|(verb, doc, shape)| {
            let mut schema = shape_schema(shape);
            schema["type"] = json!(["object", "null"]);
            schema["description"] = json!(doc);
            ((*verb).to_owned(), schema)
        })
        .collect();
    json!({ "type": "object", "properties": steps, "additionalProperties": false, "minProperties": 1, "maxProperties": 1 })
}
