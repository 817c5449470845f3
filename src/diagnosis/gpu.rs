//! GPUs that are not available: the GPU Operator and its ClusterPolicy, the node's labels, its device plugin, its health.
//! Sources: NVIDIA's GPU Operator (labels, states, components) and k8s-device-plugin; the EKS node monitoring agent and
//! NVSentinel for conditions.

use super::facts::{See, bad, good, is_ready, label, list, name, quote, state_of, suspect, text};
use crate::model::{Finding, Resource, Target};
use serde_json::Value;

const GPU: &str = "nvidia.com/gpu";
const OPERATOR: &str = "gpu-operator";
/// What each component is for, by the beginning of its pods' names.
const COMPONENTS: [(&str, &str); 7] = [
    (
        "nvidia-driver",
        "the driver does not load: its log says whether kernel headers, Secure Boot or nouveau are in the way",
    ),
    (
        "nvidia-container-toolkit",
        "the container runtime is not set up for GPUs: look at the toolkit's log and at containerd's configuration",
    ),
    (
        "nvidia-device-plugin",
        "kubelet does not hear of the GPUs: look at the plugin's log; it needs a driver that works",
    ),
    (
        "nvidia-operator-validator",
        "one of the parts before it is not right: its init containers are named after them",
    ),
    (
        "gpu-feature-discovery",
        "nodes do not get their nvidia.com labels: selectors will not find them",
    ),
    ("nvidia-dcgm", "no GPU metrics: alerts about GPUs do not fire"),
    ("gpu-operator", "the operator itself does not run: nothing else is put right"),
];

pub(super) fn look(see: &See<'_>, subject: &Target) -> Vec<Finding> {
    let node = match subject {
        Target::Node(name) => Some(name.as_str()),
        _ => None,
    };
    let pods = node.is_none().then(|| see.pods(subject)).flatten().unwrap_or_default();
    let theirs: Vec<&str> =
        pods.iter().map(|pod| text(pod, "/spec/nodeName")).filter(|it| !it.is_empty()).collect();
    let nodes: Vec<&str> = node.into_iter().chain(theirs.into_iter().take(3)).collect();
    let mut found = policies(see);
    found.extend(operands(see, &nodes));
    found.extend(nodes.iter().flat_map(|node| of_node(see, node)));
    found.extend(pods.iter().filter_map(|pod| asks_twice(pod)));
    found
}

fn policies(see: &See<'_>) -> Vec<Finding> {
    let Some(all) = see.many(Resource::CLUSTER_POLICY, None, "") else { return vec![] };
    let advice =
        "kubectl describe clusterpolicy: its conditions name the operand that is not ready";
    let mut found: Vec<Finding> = all
        .iter()
        .filter(|it| text(it, "/status/state") != "ready")
        .map(|it| {
            let said = list(it, "/status/conditions").iter();
            let said = said.map(|is| {
                quote(&format!(
                    "{} {}: {}",
                    text(is, "/type"),
                    text(is, "/status"),
                    text(is, "/message")
                ))
            });
            let state = match text(it, "/status/state") {
                "" => "unset".to_owned(),
                state => quote(state),
            };
            bad(
                format!("the ClusterPolicy {} is {state}", name(it)),
                said.take(4).collect(),
                advice,
            )
        })
        .collect();
    match all.len() {
        0 => found.push(suspect(
            "there is no ClusterPolicy: the GPU Operator is not installed here",
            vec![],
            "install it, or see that the device plugin that was brought otherwise runs",
        )),
        1 if found.is_empty() => {
            found.push(good(format!("the ClusterPolicy {} is ready", name(&all[0]))))
        }
        1 => {}
        n => found.push(suspect(
            format!("there are {n} ClusterPolicies, and the operator heeds only one"),
            all.iter().map(|it| name(it).to_owned()).take(5).collect(),
            "delete all but one",
        )),
    }
    found
}

/// The operator's pods, on these nodes where there are some.
fn operands(see: &See<'_>, nodes: &[&str]) -> Vec<Finding> {
    let Some(all) = see.many(Resource::POD, Some(OPERATOR), "") else { return vec![] };
    let here = |pod: &&Value| nodes.is_empty() || nodes.contains(&text(pod, "/spec/nodeName"));
    let mut found: Vec<Finding> = all
        .iter()
        .filter(here)
        .filter(|pod| !is_ready(pod))
        .take(8)
        .map(|pod| {
            let part = COMPONENTS.iter().find(|(prefix, _)| name(pod).starts_with(prefix));
            let advice = part.map_or("look at its log", |(_, advice)| *advice);
            let part = part.map_or("a pod of the GPU Operator", |(part, _)| *part);
            bad(format!("{part} does not run"), vec![state_of(pod)], advice)
        })
        .collect();
    for node in nodes.iter().filter(|_| !all.is_empty()) {
        let plugs = |pod: &&Value| {
            name(pod).starts_with("nvidia-device-plugin") && text(pod, "/spec/nodeName") == *node
        };
        if !all.iter().any(|pod| plugs(&pod)) {
            let advice = "its DaemonSet goes by the node's labels nvidia.com/gpu.present and nvidia.com/gpu.deploy.device-plugin, and by tolerations";
            found.push(bad(format!("no device plugin runs on {node}"), vec![], advice));
        }
    }
    found
}

fn of_node(see: &See<'_>, node: &str) -> Vec<Finding> {
    let Some(object) = see.one(Resource::NODE, None, node) else { return vec![] };
    let Some(object) = object else {
        return vec![bad(
            format!("the cluster has no node {node}"),
            vec![],
            "it has gone, or has never joined",
        )];
    };
    let mut found = vec![];
    let amount =
        |of: &str| object["status"][of][GPU].as_str().and_then(|it| it.parse::<u32>().ok());
    let (there, usable) = (amount("capacity").unwrap_or(0), amount("allocatable").unwrap_or(0));
    let seen = vec![format!("capacity {there}, allocatable {usable}")];
    if there == 0 {
        let advice =
            "kubelet has heard of no GPU: driver, toolkit and device plugin, in this order";
        found.push(bad(format!("{node} offers no GPU"), seen, advice));
    } else if usable < there {
        let advice = "the device plugin has taken them back: look for Xid errors in the kernel's log (DCGM_FI_DEV_XID_ERRORS), cordon the node, and have it replaced where they come again";
        found.push(bad(
            format!("{} of {there} GPUs of {node} are unhealthy", there - usable),
            seen,
            advice,
        ));
    } else {
        found.push(good(format!("{node} offers {usable} GPUs")));
    }
    found.extend(labels(object, node));
    let ill = |it: &&Value| {
        let (kind, status) = (text(it, "/type"), text(it, "/status"));
        kind == "AcceleratedHardwareReady" && status == "False"
            || kind.to_lowercase().starts_with("gpu") && status == "True"
            || kind == "Ready" && status != "True"
    };
    found.extend(list(object, "/status/conditions").iter().filter(ill).map(|it| {
        let seen = quote(&format!(
            "{} {}: {}",
            text(it, "/reason"),
            text(it, "/status"),
            text(it, "/message")
        ));
        bad(
            format!("{node} says of itself: {}", text(it, "/type")),
            vec![seen],
            "the message names the fault; gpu.yaml has the rules about it",
        )
    }));
    if object["spec"]["unschedulable"] == true {
        let by = super::facts::annotation(object, "medevac.dev/cordoned-by")
            .map(|it| format!("by {it}"));
        found.push(suspect(
            format!("{node} is cordoned"),
            by.into_iter().collect(),
            "whoever cordoned it has to open it again",
        ));
    }
    found
}

fn labels(object: &Value, node: &str) -> Vec<Finding> {
    let mut found = vec![];
    if label(object, "nvidia.com/gpu.present") != Some("true") {
        let pci = label(object, "feature.node.kubernetes.io/pci-10de.present").unwrap_or("missing");
        let advice = "node-feature-discovery sets pci-10de.present, and the operator nvidia.com/gpu.present by it: see that its worker runs on the node";
        let seen = vec![format!("feature.node.kubernetes.io/pci-10de.present: {}", quote(pci))];
        found.push(suspect(
            format!("{node} has no label nvidia.com/gpu.present=true"),
            seen,
            advice,
        ));
    }
    let all = object["metadata"]["labels"].as_object().into_iter().flatten();
    let held: Vec<String> = all
        .filter(|(key, value)| {
            key.starts_with("nvidia.com/gpu.deploy.")
                && value.as_str().is_some_and(|it| it == "false" || it.starts_with("paused"))
        })
        .map(|(key, value)| quote(&format!("{key}={}", value.as_str().unwrap_or_default())))
        .collect();
    if !held.is_empty() {
        found.push(bad(
            format!("parts of the GPU Operator are kept from {node} by its labels"),
            held,
            "a driver upgrade pauses them and puts them back; `false` is somebody's own doing",
        ));
    }
    if let Some(
        state @ ("upgrade-failed" | "cordon-required" | "drain-required" | "pod-restart-required"),
    ) = label(object, "nvidia.com/gpu-driver-upgrade-state")
    {
        found.push(suspect(
            format!("a driver upgrade of {node} is under way, or has failed"),
            vec![state.to_owned()],
            "kubectl logs of the gpu-operator pod say why it does not go on",
        ));
    }
    found
}

/// The guide's own time-slicing: limits and requests of GPUs have to be the same, and a fraction is none.
fn asks_twice(pod: &Value) -> Option<Finding> {
    list(pod, "/spec/containers").iter().find_map(|it| {
        let (asked, most) = (&it["resources"]["requests"][GPU], &it["resources"]["limits"][GPU]);
        (!asked.is_null() && most.is_null()).then(|| {
            bad(
                format!("{} requests GPUs without a limit", name(pod)),
                vec![format!("requests {asked}")],
                "write GPUs under `limits`: requests follow them",
            )
        })
    })
}
