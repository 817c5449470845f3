//! The keys that a scenario file may have.

use crate::rules::reading::{Of, Shape, key, must};

pub(super) static SCENARIO: Shape = Shape {
    name: "a scenario",
    fields: &[
        key("name", Of::Text, "Default: the file's name."),
        must("about", Of::Text, "What it shows, in a sentence or two."),
        key("seed", Of::Number, "Of every die in the run. Default 1."),
        key(
            "begins",
            Of::Text,
            "The date and time at which it begins. Default 2026-03-02T09:00:00Z.",
        ),
        key("lasts", Of::Duration, "Default 30m."),
        must("rules", Of::Texts, "Rule files or directories, from where the scenario stands."),
        key("mode", Of::Words(&["enforce", "observe"]), "No rule is bolder than this."),
        must("cluster", Of::Mapping(&CLUSTER), "Nodes and what runs on them."),
        key("cloud", Of::Mapping(&CLOUD), "What the cloud has left."),
        key("alertmanager", Of::Mapping(&ROUTE), "Its route."),
        key("queue", Of::Mapping(&QUEUE), "How the queue with AWS's notices behaves."),
        key("people", Of::List(&PERSON), "Who answers when called. Nobody else does."),
        key("daemon", Of::Mapping(&DAEMON), "How the daemon runs."),
        key(
            "faults",
            Of::Mapping(&RATES),
            "How often a call to the outside goes wrong, drawn from the seed.",
        ),
        key("happens", Of::List(&STEP), "What happens when."),
        key("expect", Of::List(&EXPECTATION), "What must be true."),
        key("never", Of::List(&EXPECTATION), "What must not be true at any moment."),
    ],
};

pub(in crate::simulation) static CLUSTER: Shape = Shape {
    name: "`cluster`",
    fields: &[
        must("pools", Of::List(&POOL), "Pools of like nodes."),
        key("apps", Of::List(&APP), "What runs on them."),
        key(
            "storage_writers",
            Of::Number,
            "Checkpoints that are written at full speed at the same time.",
        ),
        key("backups", Of::Mapping(&BACKUPS), "How Velero, AWS Backup and snapshots behave."),
    ],
};

pub(super) static BACKUPS: Shape = Shape {
    name: "`backups`",
    fields: &[
        key("takes", Of::Duration, "Default 5m."),
        key(
            "ends",
            Of::Words(&["completed", "failed", "partially-failed", "interrupted"]),
            "Default completed. interrupted: Velero is started anew while it works on the first.",
        ),
        key("reachable", Of::Bool, "Whether Velero reaches its storage. Default true."),
        key("claims", Of::Texts, "NAMESPACE/NAME of claims that are bound to volumes of EBS."),
        key(
            "last",
            Of::Duration,
            "The newest good backup of everything is so old. Default: there is none.",
        ),
    ],
};

pub(super) static POOL: Shape = Shape {
    name: "a pool",
    fields: &[
        must("name", Of::Text, "Its nodes are called by it and a number."),
        must("nodes", Of::Number, "At the beginning."),
        key("zones", Of::Texts, "One after the other. Default eu-west-1a, eu-west-1b, eu-west-1c."),
        key("instance", Of::Text, "Default p4d.24xlarge."),
        key("market", Of::Words(&["spot", "on-demand"]), "Default on-demand."),
        key("slots", Of::Number, "Pods that a node has room for. Default 8."),
        key("labels", Of::Map, "Labels of its nodes."),
        key("annotations", Of::Map, "Annotations of its nodes."),
        key("price", Of::Text, "Dollars for a node and hour."),
        key("grows", Of::Mapping(&GROWS), "It grows when pods find no room."),
    ],
};

pub(super) static GROWS: Shape = Shape {
    name: "`grows`",
    fields: &[
        must("most", Of::Number, "Nodes at most."),
        key("boots_in", Of::Duration, "From asked for to in the cluster. Default 90s."),
        key(
            "market",
            Of::Words(&["spot", "on-demand"]),
            "Of the nodes that come. Default on-demand.",
        ),
    ],
};

pub(super) static APP: Shape = Shape {
    name: "an app",
    fields: &[
        must("name", Of::Text, "`namespace/name`."),
        key(
            "kind",
            Of::Words(&["deployment", "statefulset", "daemonset", "job", "gang", "bare", "static"]),
            "Default deployment. A gang's ranks work together or not at all.",
        ),
        key("replicas", Of::Number, "Default 1."),
        key("pools", Of::Texts, "Where it may run, the best first. Default: the first pool."),
        key(
            "budgets",
            Of::List(&BUDGET),
            "Disruption budgets. Two are one too many, as for the real server.",
        ),
        key("labels", Of::Map, "Labels of its pods."),
        key("annotations", Of::Map, "Annotations of its pods."),
        key("grace", Of::Number, "terminationGracePeriodSeconds. Default 30."),
        key("starts_in", Of::Duration, "From bound to ready. Default 5s."),
        key("stops_in", Of::Duration, "From told to stop to stopped. Default 2s."),
        key("works_for", Of::Duration, "Of a job: how long a pod works. Default 10m."),
        key("checkpoint", Of::Mapping(&CHECKPOINT), "How it keeps what it has worked out."),
    ],
};

pub(super) static BUDGET: Shape = Shape {
    name: "a budget",
    fields: &[
        key("min_available", Of::Number, "So many stay ready."),
        key("max_unavailable", Of::Number, "So many may be missing."),
    ],
};

pub(super) static CHECKPOINT: Shape = Shape {
    name: "`checkpoint`",
    fields: &[
        key("every", Of::Duration, "Default: none but the one on stop."),
        key("takes", Of::Duration, "Where nobody else writes. Default 20s."),
        key("size", Of::Text, "Instead of `takes`, with `bandwidth`: for example 108GB."),
        key("bandwidth", Of::Text, "For example 2GB/s."),
        key("on_stop", Of::Bool, "One more is made when the pod is told to stop. Default false."),
        key(
            "asked",
            Of::Words(&["annotation", "exec", "http"]),
            "Its pods say that they are asked for one this way. Default: they are not asked.",
        ),
        key("fails", Of::Bool, "What is asked for never becomes durable. Default false."),
    ],
};

pub(in crate::simulation) static CLOUD: Shape = Shape {
    name: "`cloud`",
    fields: &[key("capacity", Of::List(&OFFER), "What is not listed never runs out.")],
};

pub(super) static OFFER: Shape = Shape {
    name: "a capacity",
    fields: &[
        key("instance", Of::Text, "Default p4d.24xlarge."),
        must("zone", Of::Text, "The zone."),
        key("market", Of::Words(&["spot", "on-demand"]), "Default on-demand."),
        must("free", Of::Number, "Machines left."),
    ],
};

pub(in crate::simulation) static ROUTE: Shape = Shape {
    name: "`alertmanager`",
    fields: &[
        key("group_by", Of::Texts, "Default alertname."),
        key("group_wait", Of::Duration, "Default 30s."),
        key("group_interval", Of::Duration, "Default 5m."),
        key("repeat_interval", Of::Duration, "Default 4h."),
        key("twin", Of::Duration, "A second peer sends everything as well, so much later."),
    ],
};

pub(super) static QUEUE: Shape = Shape {
    name: "`queue`",
    fields: &[
        key("visibility", Of::Duration, "Default 20s."),
        key("delay", Of::Duration, "Messages come so much later, at most. Default 1500ms."),
        key("duplicates", Of::Text, "A share of messages that come twice, for example 20%."),
        key("disorder", Of::Bool, "In an order of the queue's own."),
    ],
};

pub(in crate::simulation) static PERSON: Shape = Shape {
    name: "a person",
    fields: &[
        must("contact", Of::Text, "A contact of the rule files."),
        must("does", Of::Words(&["acknowledges", "resolves"]), "What they do."),
        key("after", Of::Duration, "After the pager rang. Default 2m."),
    ],
};

pub(super) static DAEMON: Shape = Shape {
    name: "`daemon`",
    fields: &[
        key("replicas", Of::Number, "Default 1."),
        key("restarts_in", Of::Duration, "After it died. Default 2s."),
        key(
            "app",
            Of::Text,
            "The app, `namespace/name`, that it runs as: it lives and dies with its pod.",
        ),
    ],
};

pub(super) static RATES: Shape = Shape {
    name: "`faults`",
    fields: &[
        key("slow", Of::Text, "A share of calls, for example 2%: they take seconds."),
        key("lost-before", Of::Text, "They never arrive."),
        key("lost-after", Of::Text, "They arrive, and the answer does not come back."),
        key("twice", Of::Text, "They arrive twice."),
        key("refused", Of::Text, "503."),
        key("crash", Of::Text, "The daemon dies before the call."),
        key("crash-after", Of::Text, "The daemon dies before it hears the answer."),
    ],
};

pub(in crate::simulation) static STEP: Shape = Shape {
    name: "something that happens",
    fields: &[
        must("at", Of::Duration, "After the beginning."),
        key("every", Of::Duration, "Again, so far apart."),
        key("times", Of::Number, "So often in all. Default 1."),
        key("spot_notice", Of::Mapping(&NOTICE), "AWS takes machines away in two minutes."),
        key("rebalance", Of::Mapping(&PICK), "AWS recommends to leave machines."),
        key(
            "scale_in",
            Of::Mapping(&SCALE_IN),
            "Auto Scaling groups end with machines, and wait for their hooks.",
        ),
        key("reboot", Of::Mapping(&REBOOT), "Machines start anew."),
        key("take_away", Of::Mapping(&PICK), "Machines vanish without a word."),
        key("silence", Of::Mapping(&SILENCE), "Kubelets do not answer."),
        key("alert", Of::Mapping(&ALERT), "An alert fires, or many."),
        key("event", Of::Mapping(&EVENT), "A CloudEvent is posted, or many."),
        key("body", Of::Mapping(&BODY), "Somebody posts bytes of their own."),
        key("person", Of::Mapping(&DOES), "A person does something."),
        key("scale", Of::Mapping(&SCALE), "Somebody scales an app by hand."),
        key("echo", Of::Mapping(&ECHO), "Calls of `http` steps are answered with events."),
        key("namespace_ends", Of::Text, "A namespace is being deleted."),
        key("capacity", Of::Mapping(&OFFER), "What the cloud has left from now on."),
        key("backup", Of::Mapping(&BACKUP), "A backup runs, and ends in some way."),
        key("trouble", Of::Mapping(&TROUBLE), "Somebody outside does not work for a while."),
        key("stale", Of::Duration, "The watch caches stand still for so long."),
        key("kill", Of::Number, "kill -9 of the daemon with that number, from 0."),
        key("stop", Of::Mapping(&STOP), "SIGSTOP of a daemon, for a while."),
        key("skew", Of::Mapping(&SKEW), "A daemon's clock goes wrong."),
    ],
};

macro_rules! picks {
    ($name:ident, $called:literal $(, $more:expr)*) => {
        pub(super) static $name: Shape = Shape {
            name: $called,
            fields: &[
                key("node", Of::Text, "One node."),
                key("pool", Of::Text, "Nodes of that pool."),
                key("zone", Of::Text, "Nodes in that zone."),
                key("app", Of::Text, "The node on which a pod of that app runs."),
                key("nodes", Of::Number, "At most so many, those that nothing happened to first."),
                $($more,)*
            ],
        };
    };
}

picks!(PICK, "a choice of nodes");
picks!(
    NOTICE,
    "`spot_notice`",
    key("action", Of::Words(&["terminate", "stop", "hibernate"]), "Default terminate."),
    key("taken", Of::Bool, "Whether AWS does as it said. Default true.")
);
picks!(
    SCALE_IN,
    "`scale_in`",
    key("patience", Of::Duration, "The group waits so long for a word of its hook. Default 5m.")
);
picks!(REBOOT, "`reboot`", key("for", Of::Duration, "Until they answer again. Default 60s."));
picks!(SILENCE, "`silence`", key("for", Of::Duration, "Default: for good."));
picks!(
    ALERT,
    "`alert`",
    must("name", Of::Text, "The label alertname."),
    key("labels", Of::Map, "More labels. With nodes chosen, `node` is added."),
    key("annotations", Of::Map, "Annotations."),
    key("count", Of::Number, "So many that differ in the label `series`."),
    key("clears_after", Of::Duration, "Default: never.")
);
picks!(
    EVENT,
    "`event`",
    must("type", Of::Text, "The event's type."),
    key("subject", Of::Text, "What it is about. With nodes chosen, each of them."),
    key(
        "data",
        Of::Any,
        "Its payload: any YAML. Numbers and true and false are what they look like."
    ),
    key("late", Of::Duration, "It happened so long before it is posted. Default 0s."),
    key("twice", Of::Bool, "It is posted a second time, as a sender does who had no answer."),
    key("count", Of::Number, "So many.")
);
picks!(
    DOES,
    "`person`",
    must(
        "does",
        Of::Words(&["cordons", "uncordons", "acknowledges", "resolves", "pauses"]),
        "With what is chosen; `pauses` everything, a pool or a rule."
    ),
    key("by", Of::Text, "Who. Default `ann`."),
    key("rule", Of::Text, "The rule to pause."),
    key("for", Of::Duration, "How long the pause is. Default 1h.")
);

pub(super) static BODY: Shape = Shape {
    name: "`body`",
    fields: &[
        must("to", Of::Words(&["alertmanager", "events"]), "The path."),
        key("text", Of::Text, "The bytes."),
        key("file", Of::Text, "The file with the bytes, from where the test stands."),
    ],
};
pub(super) static ECHO: Shape = Shape {
    name: "`echo`",
    fields: &[
        must("url", Of::Text, "URLs that contain this."),
        must("type", Of::Text, "The type of the events. They pass the cause on."),
    ],
};
pub(super) static SCALE: Shape = Shape {
    name: "`scale`",
    fields: &[
        must("app", Of::Text, "`namespace/name`."),
        must("replicas", Of::Number, "From now on."),
    ],
};
pub(super) static BACKUP: Shape = Shape {
    name: "`backup`",
    fields: &[
        must("name", Of::Text, "Its name."),
        must("tool", Of::Words(&["velero", "aws-backup"]), "Which tool."),
        key("takes", Of::Duration, "Default 5m."),
        key("ends", Of::Words(&["completed", "failed", "partially-failed"]), "Default completed."),
    ],
};
pub(super) static TROUBLE: Shape = Shape {
    name: "`trouble`",
    fields: &[
        must("with", Of::Words(&["api_server", "log", "keys", "web", "pagers"]), "Whom."),
        must(
            "how",
            Of::Words(&[
                "unavailable",
                "slow",
                "full",
                "answers-lost",
                "forbidden",
                "still-processing",
                "conflicts",
                "refuses",
            ]),
            "In what way.",
        ),
        key("only", Of::Text, "Only calls that name this: a contact, a host, a node."),
        key("by", Of::Duration, "How slow. Default 5s."),
        must("for", Of::Duration, "How long."),
    ],
};
pub(super) static STOP: Shape = Shape {
    name: "`stop`",
    fields: &[
        key("daemon", Of::Number, "Which, from 0. Default 0."),
        must("for", Of::Duration, "How long."),
    ],
};
pub(super) static SKEW: Shape = Shape {
    name: "`skew`",
    fields: &[
        key("daemon", Of::Number, "Which, from 0. Default 0."),
        key("ahead", Of::Duration, "So much ahead from now on."),
        key("behind", Of::Duration, "So much behind from now on."),
    ],
};

/// What one key of an expectation is: a fact, and so on.
pub(super) static EXPECTATION: Shape = Shape {
    name: "an expectation",
    fields: &[
        key("pages", Of::Text, "How often people were called: a number, or for example `<= 2`."),
        key("rings", Of::Text, "Rings of every kind, notes and resolutions among them."),
        key("unanswered", Of::Text, "How often nobody answered on any level."),
        key("incidents", Of::Text, "Incidents so far."),
        key("incidents_open", Of::Text, "Incidents that are not over."),
        key("decisions", Of::Text, "Decisions of the engine."),
        key("remediations", Of::Text, "Plans that were begun."),
        key("pods_running", Of::Text, "Ready pods."),
        key("pods_hard_killed", Of::Text, "Pods ended before they had ended themselves."),
        key("pods_evicted", Of::Text, "Evictions."),
        key("pods_deleted", Of::Text, "Deletions past the budgets."),
        key("budgets_violated", Of::Text, "Pods whose deletion took their app below its budget."),
        key("checkpoints", Of::Text, "Checkpoints made on stop that became durable."),
        key(
            "lost_work",
            Of::Text,
            "Work since the last durable checkpoint, over all pods: a duration.",
        ),
        key(
            "notice_to_cordon_p99",
            Of::Text,
            "From a machine's notice to its cordon, of 99 in a hundred: a duration.",
        ),
        key("cordoned_at_once", Of::Text, "Nodes that were cordoned at the same time, at most."),
        key("cordoned", Of::Text, "Nodes that are cordoned."),
        key("nodes", Of::Text, "Nodes."),
        key(
            "idle",
            Of::Text,
            "Machines that remediations have asked for and nothing runs on, and places that are held for others.",
        ),
        key("spend", Of::Text, "Dollars for machines."),
        key("dead_letters", Of::Text, "What was set aside."),
        key(
            "web_calls",
            Of::Text,
            "Calls to the outside that arrived; one that is repeated under its key counts once.",
        ),
        key("restarts", Of::Text, "Rolling restarts of an app."),
        key("events", Of::Text, "Events in the log."),
        key("to", Of::Text, "Only pages to this contact."),
        key("level", Of::Number, "Only pages of this level."),
        key("about", Of::Text, "Only what is about this target: `node/spot-1`, or `node/spot-*`."),
        key("rule", Of::Text, "Only of this rule."),
        key(
            "verdict",
            Of::Words(&["act", "tell", "throttled", "guard", "busy", "loop", "paused"]),
            "Only these.",
        ),
        key(
            "ended",
            Of::Words(&["succeeded", "failed", "stuck", "superseded", "moot", "observed", "open"]),
            "Only these.",
        ),
        key("app", Of::Text, "Only of this app, `namespace/name`."),
        key("pool", Of::Text, "Only of this pool."),
        key("url", Of::Text, "Only to URLs that contain this."),
        key("at", Of::Duration, "At that moment."),
        key("by", Of::Duration, "At that moment; with `>=` or `>` also before."),
    ],
};
