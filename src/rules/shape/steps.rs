//! The steps: verb, what it does, arguments.

mod backup;
mod capacity;
mod diagnose;

use super::{EXPECTATIONS, Field, Of, Shape, key, must};

/// Verb, what it does, arguments.
type Step = (&'static str, &'static str, Shape);

const NEEDS: Field = key("needs", Of::Texts, "Steps that must have succeeded. [] starts at once.");
const NAME: Field = key("name", Of::Text, "What other steps call it. Default: the verb.");
const WORKLOAD: Field = key(
    "workload",
    Of::Text,
    "KIND/NAMESPACE/NAME. Default: the workload that the event is about.",
);

/// The steps: verb, what it does, arguments.
pub(in crate::rules) static STEPS: &[Step] = &[
    (
        "cordon",
        "Marks the node unschedulable, with a taint where one is given. Undone exactly.",
        Shape {
            name: "`cordon`",
            fields: &[
                NAME,
                NEEDS,
                key("taint", Of::Text, "KEY[=VALUE][:EFFECT], effect NoSchedule by default."),
                key(
                    "autoscalers",
                    Of::Bool,
                    "Karpenter or Cluster Autoscaler hears by its own taint that the node goes: it is no capacity any more. Default false.",
                ),
            ],
        },
    ),
    (
        "uncordon",
        "Takes back our own cordon, with the taints that it brought; a person's stays.",
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
        "checkpoint",
        "Asks what runs on the node for a checkpoint, as it wants to be asked, and waits until it is durable. Each pod of a drain waits for its own.",
        Shape {
            name: "`checkpoint`",
            fields: &[
                NAME,
                NEEDS,
                key(
                    "at_once",
                    Of::Number,
                    "Checkpoints written at the same time, of those that the plan asks for. Default 16.",
                ),
                key(
                    "fresh",
                    Of::Duration,
                    "One that is no older is good enough, and nobody is asked. Default 0s.",
                ),
                key(
                    "bandwidth",
                    Of::Text,
                    "What the storage takes in a second, as 2GB or 500MiB: more checkpoints than that are not begun, over all nodes. Default: no limit.",
                ),
            ],
        },
    ),
    (
        "suspend",
        "Suspends the jobs of gangs with a member on the node, each after its checkpoint: the other ranks do not hang. Whatever becomes of the remediation, what it has suspended runs again in the end.",
        Shape { name: "`suspend`", fields: &[NAME, NEEDS] },
    ),
    (
        "resume",
        "Lets what `suspend` has suspended run again.",
        Shape { name: "`resume`", fields: &[NAME, NEEDS] },
    ),
    (
        "terminate_instance",
        "Gives the machine back: deletes the NodeClaim by which Karpenter brought it, with the deadline less the reserve as its termination timestamp. Nothing, where it has none.",
        Shape { name: "`terminate_instance`", fields: &[NAME, NEEDS] },
    ),
    (
        "complete_lifecycle_action",
        "Tells the Auto Scaling group that it may go on, once the steps that it needs are done; until then, and while something moves, that it has to wait.",
        Shape {
            name: "`complete_lifecycle_action`",
            fields: &[
                NAME,
                NEEDS,
                key("result", Of::Words(&["continue", "abandon"]), "Default continue."),
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
                key(
                    "grace",
                    Of::Duration,
                    "No pod is given longer to end, whatever its spec says. It is never lengthened. Default: as the spec says.",
                ),
            ],
        },
    ),
    diagnose::DIAGNOSE,
    capacity::PROVISION,
    capacity::RESCHEDULE,
    capacity::RETURN_TO_SPOT,
    backup::VELERO_BACKUP,
    backup::AWS_BACKUP,
    backup::SNAPSHOT,
    backup::REQUIRE_BACKUP,
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
