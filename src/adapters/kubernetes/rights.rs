//! The rights that rules need of the API server: what each step asks for, as `control`, `jobs`, `moves` and `objects` ask it.
//! One table: a step that asks for more has its line here, and a test on a real API server runs under exactly these.

use crate::cluster::Follows;
use crate::model::{Action, Topic, Way};
use std::collections::{BTreeMap, BTreeSet};

/// API group, resource, verb.
type Right = (String, String, String);

/// Rights of a cluster role, and those that one namespace is enough for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rights {
    pub everywhere: BTreeSet<Right>,
    pub within: BTreeMap<String, BTreeSet<Right>>,
}

type Line = (&'static str, &'static [&'static str], &'static [&'static str]);

const GET: &[&str] = &["get"];
const LIST: &[&str] = &["list"];
const READ: &[&str] = &["get", "list"];
const WATCH: &[&str] = &["list", "watch"];
const TRAINING: &[&str] =
    &["pytorchjobs", "tfjobs", "xgboostjobs", "paddlejobs", "jaxjobs", "mpijobs"];

/// What every daemon watches, and the events that it writes on nodes.
const ALWAYS: &[Line] = &[
    ("", &["nodes", "pods"], WATCH),
    ("apps", &["deployments", "statefulsets", "daemonsets"], WATCH),
    ("batch", &["jobs"], WATCH),
];
/// What it did to a node is said there.
const ANNOUNCE: &[Line] = &[("", &["nodes"], GET), ("events.k8s.io", &["events"], &["create"])];
const NODE: &[Line] = &[("", &["nodes"], &["get", "patch"])];
const DRAIN: &[Line] =
    &[("", &["pods"], &["list", "delete"]), ("", &["pods/eviction"], &["create"])];
const CHECKPOINT: &[Line] = &[
    ("", &["pods"], &["get", "patch"]),
    // A program in a pod is begun by either, as the API server has it.
    ("", &["pods/exec"], &["get", "create"]),
];
const SUSPEND: &[Line] = &[
    ("batch", &["jobs"], &["get", "patch"]),
    ("jobset.x-k8s.io", &["jobsets"], &["get", "patch"]),
    ("trainer.kubeflow.org", &["trainjobs"], &["get", "patch"]),
    ("kubeflow.org", TRAINING, &["get", "patch"]),
    ("kueue.x-k8s.io", &["workloads"], &["list", "patch"]),
];
/// What is displaced is read, to ask for as much.
const PROVISION: &[Line] = &[("", &["pods"], GET)];
const PLACES: &[Line] =
    &[("", &["pods"], &["list", "create", "deletecollection"]), ("", &["events"], LIST)];
const MOVE: &[Line] = &[
    ("apps", &["deployments", "statefulsets"], &["get", "list", "patch", "update"]),
    ("batch", &["jobs"], &["get", "list", "patch", "update"]),
    ("batch", &["jobs/status"], &["patch"]),
    ("jobset.x-k8s.io", &["jobsets"], &["get", "list", "patch", "update"]),
];
/// Pods that nobody else makes anew, and what they are made of meanwhile.
const MAKE_ANEW: &[Line] =
    &[("", &["pods"], &["get", "create"]), ("", &["podtemplates"], &["get", "create", "delete"])];
const CLAIM: &[Line] = &[("karpenter.sh", &["nodeclaims"], &["patch", "delete"])];
const WORKLOAD: &[Line] = &[
    ("apps", &["deployments", "statefulsets", "daemonsets"], &["patch"]),
    ("batch", &["jobs"], &["patch"]),
];
const VELERO: &[Line] = &[
    ("velero.io", &["backups"], &["get", "list", "create"]),
    ("velero.io", &["backupstoragelocations"], LIST),
];
const VOLUMES: &[Line] =
    &[("", &["persistentvolumeclaims"], READ), ("", &["persistentvolumes"], GET)];
const FOUND: &[Line] = &[("velero.io", &["backups"], LIST)];
const EVENTS: &[Line] = &[("", &["events"], LIST)];
const LOGS: &[Line] = &[("", &["pods"], GET), ("", &["pods/log"], GET)];
/// Pods of what a diagnosis is about.
const SUBJECT: &[Line] = &[
    ("", &["pods"], READ),
    ("apps", &["deployments", "statefulsets", "daemonsets"], GET),
    ("batch", &["jobs"], GET),
];
const QUOTAS: &[Line] = &[
    ("", &["resourcequotas", "limitranges"], LIST),
    ("", &["namespaces"], READ),
    ("networking.k8s.io", &["networkpolicies"], LIST),
];
const GPUS: &[Line] = &[("", &["nodes"], GET), ("nvidia.com", &["clusterpolicies"], LIST)];
const SCHEDULING: &[Line] = &[
    ("", &["nodes", "resourcequotas"], LIST),
    ("", &["events"], LIST),
    ("", &["persistentvolumeclaims"], GET),
    ("scheduling.k8s.io", &["priorityclasses"], GET),
];
const STORAGE: &[Line] = &[
    ("", &["nodes", "persistentvolumeclaims", "persistentvolumes"], GET),
    ("", &["events"], LIST),
    ("storage.k8s.io", &["storageclasses", "csidrivers", "csinodes"], GET),
    ("storage.k8s.io", &["volumeattachments"], LIST),
];
const MESH: &[Line] = &[
    ("", &["namespaces", "services"], GET),
    ("", &["events"], LIST),
    ("linkerd.io", &["serviceprofiles"], LIST),
];

fn of_topic(topic: Topic) -> &'static [Line] {
    match topic {
        Topic::Gpu => GPUS,
        Topic::Scheduling => SCHEDULING,
        Topic::Storage => STORAGE,
        Topic::Mesh => MESH,
        Topic::Quota => QUOTAS,
    }
}

fn of_action(action: &Action) -> Vec<&'static [Line]> {
    match action {
        Action::Cordon { .. }
        | Action::Uncordon
        | Action::Taint { .. }
        | Action::Label { .. }
        | Action::Annotate { .. } => vec![NODE, ANNOUNCE],
        Action::Checkpoint { .. } => vec![CHECKPOINT],
        Action::Drain { .. } => vec![DRAIN, ANNOUNCE],
        Action::Suspend | Action::Resume => vec![SUSPEND],
        Action::Provision { .. } => vec![PROVISION],
        // Who sends a job elsewhere has it suspended meanwhile.
        Action::Reschedule { bare_pods: true, .. } => vec![MOVE, SUSPEND, MAKE_ANEW],
        Action::Reschedule { .. } | Action::ReturnToSpot { .. } => vec![MOVE, SUSPEND],
        Action::TerminateInstance => vec![CLAIM],
        Action::Restart { .. } | Action::Scale { .. } => vec![WORKLOAD],
        Action::AwsBackup(_) | Action::Snapshot(_) => vec![VOLUMES],
        Action::RequireBackup(_) => vec![VOLUMES],
        Action::Diagnose { topic, .. } => vec![SUBJECT, of_topic(*topic)],
        Action::CompleteLifecycleAction { .. }
        | Action::VeleroBackup(_)
        | Action::Wait { .. }
        | Action::Verify { .. }
        | Action::Http { .. }
        | Action::Notify { .. }
        | Action::Escalate { .. } => vec![],
    }
}

/// What a step needs in one namespace, or in several.
fn within(action: &Action) -> Vec<(&str, &'static [Line])> {
    match action {
        Action::VeleroBackup(of) => vec![(&of.velero_namespace, VELERO)],
        Action::RequireBackup(of) => vec![(&of.velero_namespace, FOUND)],
        Action::Provision { ladders, .. } => {
            let rungs = ladders.iter().flat_map(|ladder| &ladder.rungs);
            let places = rungs.filter_map(|rung| match &rung.way {
                Way::Placeholders(of) => Some((of.namespace.as_str(), PLACES)),
                _ => None,
            });
            places.collect()
        }
        _ => vec![],
    }
}

fn spelled<'a>(lines: impl IntoIterator<Item = &'a Line>) -> impl Iterator<Item = Right> {
    lines.into_iter().flat_map(|(group, resources, verbs)| {
        let each =
            resources.iter().flat_map(|resource| verbs.iter().map(move |verb| (resource, verb)));
        each.map(|(resource, verb)| {
            ((*group).to_owned(), (*resource).to_owned(), (*verb).to_owned())
        })
    })
}

/// What the rules need: the steps in use, what of the cluster they hear, and the evidence that pages carry.
pub fn rights(actions: &[&Action], follows: &Follows, evidence: &BTreeSet<&str>) -> Rights {
    let mut all: Vec<&[Line]> = vec![ALWAYS];
    all.extend(actions.iter().flat_map(|action| of_action(action)));
    if follows.events {
        all.push(&[("", &["events"], WATCH)]);
    }
    if evidence.contains("logs") {
        all.extend([LOGS, SUBJECT]);
    }
    if evidence.contains("events") {
        all.push(EVENTS);
    }
    let mut rights = Rights::default();
    rights.everywhere.extend(spelled(all.into_iter().flatten()));
    for custom in &follows.objects {
        let group = custom.api_version.split_once('/').map_or("", |(group, _)| group);
        let one = |verb: &&str| (group.to_owned(), custom.plural.clone(), (*verb).to_owned());
        rights.everywhere.extend(WATCH.iter().map(one));
    }
    for (namespace, lines) in actions.iter().flat_map(|action| within(action)) {
        rights.within.entry(namespace.to_owned()).or_default().extend(spelled(lines));
    }
    rights
}

/// As rules of a role: resources of a group with the same verbs are one.
pub fn rules(rights: &BTreeSet<Right>) -> Vec<(String, Vec<String>, Vec<String>)> {
    let mut verbs: BTreeMap<(&str, &str), BTreeSet<&str>> = BTreeMap::new();
    for (group, resource, verb) in rights {
        verbs.entry((group, resource)).or_default().insert(verb);
    }
    let mut rules: BTreeMap<(&str, BTreeSet<&str>), Vec<String>> = BTreeMap::new();
    for ((group, resource), verbs) in verbs {
        rules.entry((group, verbs)).or_default().push(resource.to_owned());
    }
    let owned = |verbs: BTreeSet<&str>| verbs.into_iter().map(str::to_owned).collect();
    rules.into_iter().map(|((group, verbs), of)| (group.to_owned(), of, owned(verbs))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_the_steps_in_use() {
        let has = |all: &Rights, group: &str, resource: &str, verb: &str| {
            all.everywhere.contains(&(group.to_owned(), resource.to_owned(), verb.to_owned()))
        };
        let none = rights(&[], &Follows::default(), &BTreeSet::new());
        let reads = |(_, _, verb): &Right| verb == "list" || verb == "watch";
        assert!(none.everywhere.iter().all(reads) && none.within.is_empty(), "{none:?}");
        let cordon = Action::Cordon { taint: None, autoscalers: false };
        let some = rights(&[&cordon], &Follows::default(), &BTreeSet::from(["logs"]));
        assert!(has(&some, "", "nodes", "patch") && has(&some, "", "pods/log", "get"));
        assert!(!has(&some, "", "pods/eviction", "create") && !has(&some, "", "pods", "delete"));
        let never = |(_, resource, verb): &Right| {
            resource == "secrets" || verb == "*" || resource == "*" || verb == "bind"
        };
        assert!(!some.everywhere.iter().any(never));
        let grouped = rules(&none.everywhere);
        assert_eq!(grouped.len(), 3, "{grouped:?}");
    }
}
