//! Each topic on objects as the API server has them: what is asked for, and what is found in it.

use super::*;
use crate::model::Resource;
use serde_json::{Value, json};

/// A cluster as a list of objects; what is not in it is not there.
struct Cluster(Vec<Value>);

impl Cluster {
    fn objects(&self, what: &Resource) -> impl Iterator<Item = &Value> {
        self.0.iter().filter(|it| it["kind"] == what.kind)
    }

    fn answers(&self, question: &Question) -> Answer {
        let within = |it: &Value, namespace: &Option<String>| {
            namespace.as_ref().is_none_or(|namespace| it["metadata"]["namespace"] == *namespace)
        };
        match question {
            Question::One { what, namespace, name } => {
                let mut all = self.objects(what).filter(|it| within(it, namespace));
                let found = all.find(|it| it["metadata"]["name"] == *name);
                found.map_or(Answer::Refused(Refusal::Gone), |it| Answer::Said(it.to_string()))
            }
            Question::Many { what, namespace, labels, .. } => {
                let fits = |it: &&Value| {
                    labels.split(',').filter(|it| !it.is_empty()).all(|pair| {
                        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
                        it["metadata"]["labels"][key] == value
                    })
                };
                let all = self.objects(what).filter(|it| within(it, namespace)).filter(fits);
                Answer::Said(json!(all.collect::<Vec<_>>()).to_string())
            }
            Question::Events { namespace, kind, name } => {
                let of = json!({ "kind": kind, "namespace": namespace, "name": name });
                let all = self.0.iter().filter(|it| it["involvedObject"] == of);
                Answer::Said(json!(all.collect::<Vec<_>>()).to_string())
            }
            other => panic!("nobody asks {other:?}"),
        }
    }

    fn look(&self, topic: Topic, subject: &str) -> Vec<Finding> {
        let mut diagnosis = Diagnosis::new(topic, subject.parse().unwrap());
        let mut rounds = 0;
        while !diagnosis.is_over() {
            for (tag, question) in diagnosis.questions() {
                let answer = self.answers(&question);
                diagnosis.answer(&tag, answer);
            }
            rounds += 1;
            assert!(rounds < 50, "it asks for ever");
        }
        diagnosis.findings()
    }

    /// The sentences of what is not good.
    fn ill(&self, topic: Topic, subject: &str) -> Vec<String> {
        let ill = |it: Finding| (it.health != Health::Good).then_some(it.what);
        self.look(topic, subject).into_iter().filter_map(ill).collect()
    }
}

fn pod(namespace: &str, name: &str, node: &str, more: Value) -> Value {
    let mut pod = json!({
        "kind": "Pod", "metadata": { "namespace": namespace, "name": name },
        "spec": { "nodeName": node, "priority": 1000, "priorityClassName": "normal", "containers": [{ "name": "main" }] },
        "status": { "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }] },
    });
    merge(&mut pod, more);
    pod
}

fn merge(into: &mut Value, more: Value) {
    match (into, more) {
        (Value::Object(into), Value::Object(more)) => {
            for (key, value) in more {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, more) => *into = more,
    }
}

fn node(name: &str, gpus: (u32, u32), labels: Value) -> Value {
    json!({
        "kind": "Node", "metadata": { "name": name, "labels": labels },
        "status": {
            "capacity": { "nvidia.com/gpu": gpus.0.to_string() }, "allocatable": { "nvidia.com/gpu": gpus.1.to_string() },
            "conditions": [{ "type": "Ready", "status": "True" }],
        },
    })
}

fn named(kind: &str, namespace: &str, name: &str, more: Value) -> Value {
    let mut object = json!({ "kind": kind, "metadata": { "namespace": namespace, "name": name } });
    merge(&mut object, more);
    object
}

fn told(kind: &str, namespace: &str, name: &str, reason: &str, message: &str) -> Value {
    json!({ "kind": "Event", "involvedObject": { "kind": kind, "namespace": namespace, "name": name },
        "reason": reason, "message": message, "lastTimestamp": "2026-11-27T01:00:00Z" })
}

fn gpu_cluster() -> Vec<Value> {
    vec![
        named("ClusterPolicy", "", "cluster-policy", json!({ "status": { "state": "ready" } })),
        pod("gpu-operator", "nvidia-device-plugin-daemonset-1", "gpu-1", json!({})),
        node("gpu-1", (8, 8), json!({ "nvidia.com/gpu.present": "true" })),
        named("PriorityClass", "", "normal", json!({ "value": 1000 })),
    ]
}

#[test]
fn gpus_operator_labels_plugin_and_health() {
    let mut all = gpu_cluster();
    let whole = Cluster(all.clone()).look(Topic::Gpu, "node/gpu-1");
    assert!(whole.iter().all(|it| it.health == Health::Good), "{whole:?}");
    all[0]["status"] = json!({ "state": "notReady" });
    all[1]["status"] = json!({ "phase": "Running", "containerStatuses": [
        { "name": "plugin", "restartCount": 7, "state": { "waiting": { "reason": "CrashLoopBackOff" } } }] });
    all[2] = node(
        "gpu-1",
        (8, 6),
        json!({ "nvidia.com/gpu.deploy.driver": "paused-for-driver-upgrade" }),
    );
    let found = Cluster(all).look(Topic::Gpu, "node/gpu-1");
    let told: Vec<String> = found.iter().map(Finding::to_string).collect();
    let all = told.join("\n");
    for part in [
        "the ClusterPolicy cluster-policy is notReady",
        "nvidia-device-plugin does not run\n  seen: pod nvidia-device-plugin-daemonset-1: plugin is CrashLoopBackOff, 7 restarts",
        "2 of 8 GPUs of gpu-1 are unhealthy",
        "gpu-1 has no label nvidia.com/gpu.present=true",
        "parts of the GPU Operator are kept from gpu-1 by its labels",
    ] {
        assert!(all.contains(part), "{part} is not in:\n{all}");
    }
    let none = Cluster(vec![]).ill(Topic::Gpu, "node/gpu-9");
    assert_eq!(none[0], "the cluster has no node gpu-9");
}

#[test]
fn scheduling_quotas_selectors_tolerations_and_priorities() {
    let message = "0/3 nodes are available: 2 Insufficient nvidia.com/gpu, 1 node(s) had untolerated taint {spot: yes}. preemption: none";
    let mut all = gpu_cluster();
    all.push(pod("training", "llm-0", "", json!({
        "spec": { "nodeName": "", "nodeSelector": { "pool": "h100" }, "priorityClassName": "gone",
            "containers": [{ "name": "main", "resources": { "limits": { "nvidia.com/gpu": "16" } } }],
            "volumes": [{ "persistentVolumeClaim": { "claimName": "data" } }] },
        "status": { "phase": "Pending", "conditions": [{ "type": "PodScheduled", "status": "False", "message": message }] },
    })));
    all.push(named("ResourceQuota", "training", "q", json!({ "status": {
        "hard": { "requests.nvidia.com/gpu": "4", "limits.cpu": "32", "requests.cpu": "16" },
        "used": { "requests.nvidia.com/gpu": "4", "limits.cpu": "29500m", "requests.cpu": "2" } } })));
    let ill = Cluster(all.clone()).ill(Topic::Scheduling, "pod/training/llm-0");
    assert_eq!(
        ill,
        [
            "1 nodes do not take llm-0: taint",
            "2 nodes do not take llm-0: insufficient",
            "llm-0 asks for 16 GPUs, and no node that it may go to has more than 0",
            "llm-0 wants the claim data, and there is none",
            "no node has the labels that llm-0 asks for",
            "the quota q of training has used up requests.nvidia.com/gpu",
            "there is no PriorityClass gone",
            "the quota q of training has nearly used up limits.cpu",
        ]
    );
    let sets = named(
        "StatefulSet",
        "training",
        "llm",
        json!({ "spec": { "selector": { "matchLabels": { "app": "none" } } } }),
    );
    all.push(sets);
    all.push(told(
        "StatefulSet",
        "training",
        "llm",
        "FailedCreate",
        "pods \"llm-0\" is forbidden: exceeded quota: q",
    ));
    all.push(told(
        "ReplicaSet",
        "inference",
        "triton-1",
        "FailedCreate",
        "pods \"triton-1-x\" is forbidden: violates PodSecurity \"restricted:latest\"",
    ));
    let found = Cluster(all.clone()).look(Topic::Scheduling, "replicaset/inference/triton-1");
    assert_eq!(found[0].what, "pods of triton-1 are not made");
    let found = Cluster(all).look(Topic::Scheduling, "statefulset/training/llm");
    let made = found.iter().find(|it| it.what == "pods of llm are not made").unwrap();
    assert!(made.advice.contains("quota"), "{made}");
}

#[test]
fn storage_drivers_zones_access_points_and_what_kubelet_says() {
    let claim = |class: &str, modes: Value, phase: &str| {
        named(
            "PersistentVolumeClaim",
            "training",
            "data",
            json!({
            "spec": { "storageClassName": class, "accessModes": modes, "volumeName": "pv-1" }, "status": { "phase": phase } }),
        )
    };
    let waits = pod(
        "training",
        "llm-0",
        "gpu-1",
        json!({
        "spec": { "volumes": [{ "persistentVolumeClaim": { "claimName": "data" } }] },
        "status": { "phase": "Pending", "conditions": [] } }),
    );
    let base = |more: Vec<Value>| {
        let mut node = node("gpu-1", (8, 8), json!({ "topology.kubernetes.io/zone": "a" }));
        node["kind"] = json!("Node");
        [vec![node, waits.clone()], more].concat()
    };
    let cluster = Cluster(base(vec![
        claim("efs", json!(["ReadWriteMany"]), "Bound"),
        named(
            "PersistentVolume",
            "",
            "pv-1",
            json!({ "spec": { "csi": { "driver": "efs.csi.aws.com", "volumeHandle": "fs-1" },
            "nodeAffinity": { "required": { "nodeSelectorTerms": [{ "matchExpressions": [
                { "key": "topology.kubernetes.io/zone", "operator": "In", "values": ["b"] }] }] } } } }),
        ),
        named("CSIDriver", "", "efs.csi.aws.com", json!({})),
        told(
            "Pod",
            "training",
            "llm-0",
            "FailedMount",
            "MountVolume.SetUp failed: rpc error: code = DeadlineExceeded",
        ),
    ]));
    let found = cluster.look(Topic::Storage, "pod/training/llm-0");
    let what: Vec<&str> = found.iter().map(|it| it.what.as_str()).collect();
    assert_eq!(
        what,
        [
            "a volume of llm-0 does not come",
            "pv-1 is in another zone than its pod",
            "the driver efs.csi.aws.com is not registered on gpu-1",
            "pv-1 is the whole file system, without an access point",
        ]
    );
    assert!(found[0].advice.contains("port 2049"), "the security group: {}", found[0]);
    let class = named(
        "StorageClass",
        "",
        "gp3",
        json!({ "provisioner": "ebs.csi.aws.com", "volumeBindingMode": "Immediate" }),
    );
    let shared = Cluster(base(vec![claim("gp3", json!(["ReadWriteMany"]), "Pending"), class]));
    let ill = shared.ill(Topic::Storage, "claim/training/data");
    assert_eq!(
        ill,
        [
            "the claim training/data is not bound",
            "the claim training/data is not bound: many nodes are to write to it, and EBS is one node's",
            "the driver ebs.csi.aws.com is not installed",
        ]
    );
    let missing = Cluster(base(vec![claim("fast", json!(["ReadWriteOnce"]), "Pending")]));
    assert_eq!(
        missing.ill(Topic::Storage, "claim/training/data"),
        ["the claim training/data is not bound: there is no StorageClass fast"]
    );
}

#[test]
fn the_mesh_its_profiles_and_its_proxies() {
    let part = |name: &str| pod("linkerd", name, "n", json!({}));
    let profile = |name: &str, routes: Value| {
        named("ServiceProfile", "inference", name, json!({ "spec": { "routes": routes } }))
    };
    let cluster = Cluster(vec![
        part("linkerd-identity-1"),
        part("linkerd-destination-1"),
        named(
            "Namespace",
            "",
            "inference",
            json!({ "metadata": { "annotations": { "linkerd.io/inject": "enabled" } } }),
        ),
        // The operational guide's own example.
        profile(
            "triton-inference-server",
            json!([{ "name": "/v2/models/*/infer", "timeout": "10s" }]),
        ),
        profile("gone.inference.svc.cluster.local", json!([])),
        pod(
            "inference",
            "triton-1",
            "n",
            json!({ "metadata": { "annotations": { "config.linkerd.io/skip-inbound-ports": "8001" } } }),
        ),
        told(
            "Deployment",
            "linkerd",
            "linkerd-identity",
            "IssuerValidationFailed",
            "certificate has expired",
        ),
    ]);
    assert_eq!(
        cluster.ill(Topic::Mesh, "namespace/inference"),
        [
            "linkerd-proxy-injector does not run",
            "pods are not in the mesh",
            "routes of the ServiceProfile triton-inference-server have no condition",
            "the ServiceProfile gone.inference.svc.cluster.local is of no service",
            "the ServiceProfile triton-inference-server is heeded by nobody",
            "the issuer's certificate is not good",
            "on some ports there is no mutual TLS: they pass the proxy by",
        ]
    );
}

#[test]
fn quotas_of_a_tenant() {
    let space = |name: &str| {
        named("Namespace", "", name, json!({ "metadata": { "labels": { "tenant": "a" } } }))
    };
    let cluster = Cluster(vec![
        space("a-one"),
        space("a-two"),
        named(
            "ResourceQuota",
            "a-one",
            "q",
            json!({
            "spec": { "hard": { "limits.cpu": "32" } },
            "status": { "hard": { "limits.cpu": "32" }, "used": { "limits.cpu": "1" } } }),
        ),
        named("NetworkPolicy", "a-one", "deny", json!({})),
    ]);
    assert_eq!(
        cluster.ill(Topic::Quota, "tenant/a"),
        [
            "a-two has no network policy: every pod of the cluster may speak to its pods",
            "a-two of the tenant a has no quota",
            "pods of a-one that do not name their own limits.cpu are refused",
        ]
    );
    assert_eq!(cluster.ill(Topic::Quota, "tenant/b"), ["no namespace has the label tenant=b"]);
}

#[test]
fn what_may_not_be_read_is_said_and_questions_end() {
    let mut diagnosis = Diagnosis::new(Topic::Quota, "namespace/ns".parse().unwrap());
    while !diagnosis.is_over() {
        for (tag, _) in diagnosis.questions() {
            let why = "the right `list` on `resourcequotas` is missing".into();
            diagnosis.answer(&tag, Answer::Refused(Refusal::Forbidden(why)));
        }
    }
    let found = diagnosis.findings();
    assert!(found.iter().all(|it| it.health == Health::Unknown), "{found:?}");
    assert!(found[0].evidence[0].contains("the right `list`"), "{}", found[0]);
    // Four hundred namespaces of one tenant are more than anybody asks about.
    let spaces = (0..400).map(|at| {
        named(
            "Namespace",
            "",
            &format!("n{at}"),
            json!({ "metadata": { "labels": { "tenant": "a" } } }),
        )
    });
    let found = Cluster(spaces.collect()).look(Topic::Quota, "tenant/a");
    assert!(
        found.iter().any(|it| it.what.starts_with("not everything was looked at")),
        "{found:?}"
    );
    assert!(found.len() <= MOST_FINDINGS);
}
