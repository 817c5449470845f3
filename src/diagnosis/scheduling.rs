//! Pods that get no node: what the scheduler says of it, taken apart; quotas, selectors and affinity, priorities, claims.

use super::facts::{
    See, bad, good, list, name, namespace_of, quantity, quote, quoted, suspect, text,
};
use super::quota;
use crate::model::{Finding, Misfit, Resource, Target, selector, unfit};
use serde_json::Value;

/// Pods that are looked at one by one: those of one workload are alike.
const FEW: usize = 3;
const GPU: &str = "nvidia.com/gpu";

pub(super) fn look(see: &See<'_>, subject: &Target) -> Vec<Finding> {
    let Some(pods) = see.pods(subject) else { return vec![] };
    let namespace = namespace_of(subject).unwrap_or_default();
    let mut found = vec![];
    match subject {
        Target::Workload { kind, name, .. } => found.extend(not_made(see, kind, namespace, name)),
        // As an event names it.
        Target::Other { kind, name } if kind == "replicaset" => {
            let name = name.split_once('/').map_or(name.as_str(), |(_, name)| name);
            found.extend(refused(name, &failed(see, namespace, "ReplicaSet", name)));
        }
        _ => {}
    }
    let waits = |pod: &&&Value| {
        text(pod, "/status/phase") == "Pending" && text(pod, "/spec/nodeName").is_empty()
    };
    let waiting: Vec<&Value> = pods.iter().filter(waits).copied().collect();
    if pods.is_empty() {
        found.push(suspect(
            format!("there is no pod of {subject}"),
            vec![],
            "what makes it says why: kubectl describe it",
        ));
    } else if waiting.is_empty() {
        found.push(good(format!("all pods of {subject} have nodes: {}", pods.len())));
    }
    found.extend(waiting.iter().take(FEW).flat_map(|pod| of_pod(see, pod)));
    if !waiting.is_empty() || pods.is_empty() {
        found.extend(quota::used_up(see, namespace));
    }
    found
}

/// Pods that the API server has not even taken: then there is nothing that could be scheduled.
fn not_made(see: &See<'_>, kind: &str, namespace: &str, name: &str) -> Option<Finding> {
    let kind = match kind {
        "deployment" => "ReplicaSet",
        "statefulset" => "StatefulSet",
        "daemonset" => "DaemonSet",
        _ => "Job",
    };
    // A ReplicaSet has its Deployment's name and more: its events are asked by the Deployment's own condition.
    let told = match kind {
        "ReplicaSet" => {
            let of = see.one(Resource::DEPLOYMENT, Some(namespace), name)??;
            let is = super::facts::condition(of, "ReplicaFailure")?;
            Some(quote(text(is, "/message")))
        }
        kind => failed(see, namespace, kind, name),
    };
    refused(name, &told)
}

/// What has been told of pods that could not be made.
fn failed(see: &See<'_>, namespace: &str, kind: &'static str, name: &str) -> Option<String> {
    let told = see.events(namespace, kind, name);
    told.iter().find(|it| it.reason == "FailedCreate").map(quoted)
}

fn refused(name: &str, told: &Option<String>) -> Option<Finding> {
    let told = told.clone()?;
    let advice = match told.contains("exceeded quota") {
        true => "the quota is used up: end what is not needed, or raise it",
        false if told.contains("PodSecurity") => {
            "the namespace enforces pod security that the pod does not meet: the message names the fields"
        }
        false if told.contains("priority class") => {
            "make the PriorityClass, or take it out of the pod template"
        }
        false => "admission has refused its pods: the message says which part of them",
    };
    Some(bad(format!("pods of {name} are not made"), vec![told], advice))
}

fn of_pod(see: &See<'_>, pod: &Value) -> Vec<Finding> {
    let mut found = vec![];
    let (namespace, pod_name) = (text(pod, "/metadata/namespace"), name(pod));
    let gates: Vec<&str> =
        list(pod, "/spec/schedulingGates").iter().map(|it| text(it, "/name")).collect();
    if !gates.is_empty() {
        found.push(bad(
            format!("{pod_name} is held by scheduling gates"),
            vec![gates.join(", ")],
            "whoever set them takes them away: of Kueue, the workload has not been admitted yet",
        ));
        return found;
    }
    let said = super::facts::condition(pod, "PodScheduled")
        .map(|it| text(it, "/message"))
        .unwrap_or_default();
    for misfit in unfit(said) {
        let all = format!(
            "{} nodes do not take {pod_name}: {}",
            misfit.nodes,
            misfit.why.word().replace('_', " ")
        );
        found.push(bad(all, vec![quote(&misfit.what)], advice(misfit.why)));
    }
    if unfit(said).is_empty() && !said.is_empty() {
        found.push(bad(
            format!("{pod_name} is not scheduled"),
            vec![quote(said)],
            "the message is the scheduler's own",
        ));
    }
    found.extend(no_such_nodes(see, pod));
    found.extend(too_large(see, pod));
    found.extend(priority(see, pod));
    found.extend(super::storage::claims(pod).filter_map(|claim| {
        let of = see.one(Resource::CLAIM, Some(namespace), claim)?;
        match of {
            None => Some(bad(
                format!("{pod_name} wants the claim {claim}, and there is none"),
                vec![],
                "make it, or mend the name",
            )),
            Some(of) if text(of, "/status/phase") == "Pending" => Some(suspect(
                format!("the claim {claim} is not bound"),
                vec![],
                "medevac diagnose storage says why",
            )),
            Some(_) => None,
        }
    }));
    let told = see.events(namespace, "Pod", pod_name);
    found.extend(told.iter().find(|it| it.reason == "NotTriggerScaleUp").map(|it| {
        suspect(
            "Cluster Autoscaler would not help with another node",
            vec![quoted(it)],
            "no node group that may grow has nodes like that",
        )
    }));
    found
}

fn advice(why: Misfit) -> &'static str {
    match why {
        Misfit::Insufficient => {
            "wait for room, add nodes, or ask for less: provision.yaml and capacity.yaml bring machines"
        }
        Misfit::TooManyPods => {
            "the nodes have as many pods as they may: max-pods, or addresses of the subnet"
        }
        Misfit::Taint => "give the pod a toleration, or take the taint away where nothing needs it",
        Misfit::Affinity => {
            "no node there has the labels that it asks for: mend the selector, or label the nodes"
        }
        Misfit::PodAffinity => "its own rules about neighbours leave no node",
        Misfit::Spread => "the spread leaves no node: whenUnsatisfiable: ScheduleAnyway would",
        Misfit::Unschedulable => {
            "these are cordoned: medevac guards, and kubectl describe node, say by whom"
        }
        Misfit::Volume => "its volume is in another zone, or is not there",
        Misfit::Ports => "another pod there has its hostPort",
        Misfit::Name | Misfit::Other => "the words are the scheduler's own",
    }
}

/// A term of node affinity as a label selector. Comparisons of numbers have none.
fn as_selector(term: &Value) -> Vec<String> {
    let one = |it: &Value| {
        let key = text(it, "/key");
        let values: Vec<&str> = list(it, "/values").iter().filter_map(Value::as_str).collect();
        Some(match text(it, "/operator") {
            "In" => format!("{key} in ({})", values.join(",")),
            "NotIn" => format!("{key} notin ({})", values.join(",")),
            "Exists" => key.to_owned(),
            "DoesNotExist" => format!("!{key}"),
            _ => return None,
        })
    };
    list(term, "/matchExpressions").iter().filter_map(one).collect()
}

/// The selectors of nodes that the pod may go to: one is enough.
fn wanted(pod: &Value) -> Vec<String> {
    let own = selector(&pod["spec"]["nodeSelector"]);
    let terms = list(
        pod,
        "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms",
    );
    let join = |more: Vec<String>| {
        let all: Vec<String> =
            Some(own.clone()).into_iter().filter(|it| !it.is_empty()).chain(more).collect();
        all.join(",")
    };
    if terms.is_empty() {
        vec![join(vec![])]
    } else {
        terms.iter().map(as_selector).map(join).collect()
    }
}

fn no_such_nodes(see: &See<'_>, pod: &Value) -> Option<Finding> {
    let wanted: Vec<String> = wanted(pod).into_iter().filter(|it| !it.is_empty()).collect();
    if wanted.is_empty() {
        return None;
    }
    let mut none = vec![];
    for selector in &wanted {
        if !see.many(Resource::NODE, None, selector)?.is_empty() {
            return None;
        }
        none.push(quote(selector));
    }
    Some(bad(
        format!("no node has the labels that {} asks for", name(pod)),
        none,
        "mend the selector, or label nodes; kubectl get nodes --show-labels",
    ))
}

fn too_large(see: &See<'_>, pod: &Value) -> Option<Finding> {
    let asked: f64 = list(pod, "/spec/containers")
        .iter()
        .filter_map(|it| quantity(&it["resources"]["limits"][GPU]))
        .sum();
    if asked == 0.0 {
        return None;
    }
    let mut most: f64 = 0.0;
    for selector in wanted(pod) {
        let nodes = see.many(Resource::NODE, None, &selector)?;
        most = nodes
            .iter()
            .filter_map(|it| quantity(&it["status"]["allocatable"][GPU]))
            .fold(most, f64::max);
    }
    (asked > most).then(|| {
        bad(format!("{} asks for {asked} GPUs, and no node that it may go to has more than {most}", name(pod)), vec![], "larger machines, or fewer GPUs for each pod; where it should be more: medevac diagnose gpu")
    })
}

fn priority(see: &See<'_>, pod: &Value) -> Option<Finding> {
    let class = text(pod, "/spec/priorityClassName");
    let value = pod["spec"]["priority"].as_i64().unwrap_or(0);
    if class.is_empty() {
        return (value == 0).then(|| {
            suspect(
                format!(
                    "{} has no priority: it makes nobody leave, and leaves for everybody",
                    name(pod)
                ),
                vec![],
                "give it a PriorityClass, where it matters more than others",
            )
        });
    }
    match see.one(Resource::PRIORITY_CLASS, None, class)? {
        None => Some(bad(
            format!("there is no PriorityClass {class}"),
            vec![],
            "make it, or take it out of the pod template",
        )),
        Some(of) if text(of, "/preemptionPolicy") == "Never" => Some(suspect(
            format!("{class} never makes others leave"),
            vec![format!("priority {value}, preemptionPolicy Never")],
            "it waits until there is room by itself",
        )),
        Some(_) => None,
    }
}
