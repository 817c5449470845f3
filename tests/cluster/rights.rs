//! What the daemon may not do is named, with what to grant.

use crate::{
    moves::post,
    plane::{Plane, incident_when},
    support::{
        daemon::{self, Door, Orders},
        get, until,
    },
};
use k8s_openapi::api::{
    authorization::v1::SelfSubjectAccessReview, batch::v1 as batch, core::v1 as core,
    rbac::v1 as rbac,
};
use kube::api::{Api, Patch, PatchParams, PostParams};
use medevac::adapters::kubernetes::{self, KubernetesControl, KubernetesView};
use medevac::cluster::{ClusterControl, ClusterView, Followed};
use medevac::diagnosis::Diagnosis;
use medevac::model::{
    Answer, Bearing, ClusterCall, Destination, Extent, Job, Made, Mover, NodePatch, Question,
    Refusal, Resource, Topic, WorkloadKind,
};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};

pub(crate) async fn a_missing_right_is_named(plane: Arc<Plane>) {
    let rules = "rules: [{name: r, when: x, then: [{wait: {time: 1s}}]}]";
    let mut orders = Orders::new(&plane.directory.path().join("rights"), 0, rules);
    orders.kubeconfig = Some(plane.powerless.clone());
    let daemon = daemon::start(&orders, Door::default()).await;
    let client = medevac::adapters::kubernetes::connect(Some(&plane.powerless)).await.unwrap();
    let view = medevac::adapters::kubernetes::KubernetesView::start(&client, None);
    let wanted = "the right `list` on `nodes` is missing: grant it to powerless";
    let said = until("the watch of nodes is refused, in words", || async {
        let said = view.waiting_for().join("\n");
        said.contains(wanted).then_some(said)
    })
    .await;
    assert!(!said.contains("token") && !said.contains(plane.url()), "{said}");
    let ready = get(&format!("{}/readyz", daemon.url)).await.unwrap();
    assert_eq!(ready["ready"], false);
}

const PACKS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/rules");

/// The rules of the role that `medevac rbac` prints for those rule files.
fn printed(rules: &str) -> Value {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_medevac"));
    let output = command.args(["rbac", "--rules", rules, "--output", "rules"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The user `limited` may do that, and nothing else.
async fn grant(plane: &Plane, rights: Value) {
    let params = PatchParams::apply("tests").force();
    let api = "rbac.authorization.k8s.io/v1";
    let subjects =
        json!([{ "kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "limited" }]);
    let of = |kind: &str| json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": "limited" });
    let meta = json!({ "name": "limited" });
    let roles: Api<rbac::ClusterRole> = Api::all(plane.client.clone());
    let role = json!({ "apiVersion": api, "kind": "ClusterRole", "metadata": meta, "rules": rights["everywhere"] });
    roles.patch("limited", &params, &Patch::Apply(&role)).await.unwrap();
    let bindings: Api<rbac::ClusterRoleBinding> = Api::all(plane.client.clone());
    let binding = json!({ "apiVersion": api, "kind": "ClusterRoleBinding", "metadata": meta, "roleRef": of("ClusterRole"), "subjects": subjects });
    bindings.patch("limited", &params, &Patch::Apply(&binding)).await.unwrap();
    for (namespace, rules) in rights["within"].as_object().unwrap() {
        let spaces: Api<core::Namespace> = Api::all(plane.client.clone());
        let space =
            json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": namespace } });
        spaces.patch(namespace, &params, &Patch::Apply(&space)).await.unwrap();
        let roles: Api<rbac::Role> = Api::namespaced(plane.client.clone(), namespace);
        let role = json!({ "apiVersion": api, "kind": "Role", "metadata": meta, "rules": rules });
        roles.patch("limited", &params, &Patch::Apply(&role)).await.unwrap();
        let bindings: Api<rbac::RoleBinding> = Api::namespaced(plane.client.clone(), namespace);
        let binding = json!({ "apiVersion": api, "kind": "RoleBinding", "metadata": meta, "roleRef": of("Role"), "subjects": subjects });
        bindings.patch("limited", &params, &Patch::Apply(&binding)).await.unwrap();
    }
}

async fn may(client: &kube::Client, group: &str, resource: &str, verb: &str) -> bool {
    let (resource, part) = resource.split_once('/').unwrap_or((resource, ""));
    let ask = json!({ "metadata": {}, "spec": { "resourceAttributes": { "group": group, "resource": resource, "subresource": part, "verb": verb } } });
    let reviews: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let answer = reviews
        .create(&PostParams::default(), &serde_json::from_value(ask).unwrap())
        .await
        .unwrap();
    answer.status.unwrap().allowed
}

fn to() -> Destination {
    let bearing =
        Bearing { labels: [("a".to_owned(), "b".to_owned())].into(), tolerations: vec![] };
    Destination { bearing, extent: Extent::Whole, from: "p".into() }
}

/// Every request that a step of the shipped packs makes; what it is about need not be there: rights are looked at first.
fn calls() -> Vec<ClusterCall> {
    let name = || "right".to_owned();
    let space = || "default".to_owned();
    let job = |api_version: &str, kind: &str| Job {
        api_version: api_version.into(),
        kind: kind.into(),
        namespace: space(),
        name: name(),
    };
    let movers = [
        Mover::Rolls { kind: WorkloadKind::Deployment, namespace: space(), name: name() },
        Mover::Rolls { kind: WorkloadKind::StatefulSet, namespace: space(), name: name() },
        Mover::Job(job("batch/v1", "Job")),
        Mover::Job(job("jobset.x-k8s.io/v1alpha2", "JobSet")),
    ];
    let mut all = vec![
        ClusterCall::PatchNode {
            name: "rights1".into(),
            patch: NodePatch { unschedulable: Some(true), ..NodePatch::default() },
        },
        ClusterCall::Announce {
            node: "rights1".into(),
            key: "0123456789abcdef".into(),
            at: jiff::Timestamp::now(),
            good: true,
            reason: "Tested".into(),
            message: "m".into(),
        },
        ClusterCall::PatchPod {
            namespace: space(),
            name: name(),
            uid: "u".into(),
            annotations: [("a".to_owned(), Some("b".to_owned()))].into(),
            claim: None,
        },
        ClusterCall::Exec {
            namespace: space(),
            name: name(),
            container: None,
            command: vec!["true".into()],
            timeout: Duration::from_secs(1),
        },
        ClusterCall::Evict { namespace: space(), name: name(), uid: "u".into(), grace: 1 },
        ClusterCall::Delete { namespace: space(), name: name(), uid: "u".into(), grace: 1 },
        ClusterCall::Release { claim: name(), by: Some(jiff::Timestamp::now()) },
        ClusterCall::Unmake {
            what: Resource::POD,
            namespace: "medevac".into(),
            labels: "medevac.dev/place=right".into(),
        },
        ClusterCall::Restart {
            kind: WorkloadKind::Deployment,
            namespace: space(),
            name: name(),
            key: "k".into(),
        },
        ClusterCall::Make(Made {
            what: Resource::BACKUP,
            namespace: "velero".into(),
            name: name(),
            body: json!({ "spec": {} }),
            labels: Default::default(),
        }),
        ClusterCall::Make(Made {
            what: Resource::POD,
            namespace: "medevac".into(),
            name: "placeholder".into(),
            labels: Default::default(),
            body: json!({ "spec": {
                "securityContext": { "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } }, "nodeSelector": { "no": "such" },
                "containers": [{ "name": "c", "image": "i", "securityContext": { "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } } }],
            } }),
        }),
    ];
    for (api_version, kind) in [
        ("batch/v1", "Job"),
        ("jobset.x-k8s.io/v1alpha2", "JobSet"),
        ("kubeflow.org/v1", "PyTorchJob"),
        ("trainer.kubeflow.org/v1alpha1", "TrainJob"),
    ] {
        for suspended in [true, false] {
            all.push(ClusterCall::Suspend {
                job: job(api_version, kind),
                suspended,
                by: "inc-1".into(),
            });
        }
    }
    for mover in movers {
        all.push(ClusterCall::Move {
            mover: mover.clone(),
            to: to(),
            by: "inc-1".into(),
            reference: None,
        });
        all.push(ClusterCall::MoveBack { mover, by: None });
    }
    all
}

fn forbidden(answer: &Answer) -> Option<&String> {
    match answer {
        Answer::Refused(Refusal::Forbidden(why)) => Some(why),
        Answer::Said(said) if said.contains("forbidden") => Some(said),
        _ => None,
    }
}

/// The daemon with the packs that ship, under exactly these rights: a machine is emptied, and everything that it did is said.
async fn the_daemon_itself(plane: &Plane) {
    let mut orders = Orders::new(&plane.directory.path().join("packs"), 0, daemon::PACKS);
    orders.kubeconfig = Some(plane.limited.clone());
    let daemon = daemon::start(&orders, Door::default()).await;
    daemon.ready().await;
    let nodes: Api<core::Node> = Api::all(plane.client.clone());
    let open = Patch::Merge(json!({ "spec": { "unschedulable": false } }));
    for name in ["rights1", "rights2"] {
        nodes.patch(name, &PatchParams::default(), &open).await.unwrap();
    }
    let home = plane.pods("right").await[0].spec.as_ref().unwrap().node_name.clone().unwrap();
    post(&daemon.url, "aws.ec2.spot.interruption", &format!("node/{home}")).await;
    let gone =
        incident_when(&daemon.url, &home, "has ended", |one| !one["last_end"].is_null()).await;
    assert_eq!(gone["last_end"], "succeeded", "{gone:#}");
    until("it runs elsewhere", || async {
        let pods = plane.pods("right").await;
        let pod = pods.into_iter().find(|pod| pod.metadata.deletion_timestamp.is_none())?;
        Some(pod.spec?.node_name?).filter(|node| *node != home)
    })
    .await;
}

pub(crate) async fn the_generated_rights_are_enough_and_no_more(plane: Arc<Plane>) {
    for name in ["rights1", "rights2"] {
        plane.node(name, "rights").await;
    }
    plane.deployment("right", "rights", 1, json!({}), 5).await;
    let job = json!({ "metadata": { "name": "right" }, "spec": { "suspend": true,
        "template": { "spec": { "restartPolicy": "Never", "nodeSelector": { "no": "such" }, "containers": [{ "name": "c", "image": "i" }] } } } });
    plane.create::<batch::Job>(job).await;
    until("its pod has a node", || async {
        plane.pods("right").await.first()?.spec.as_ref()?.node_name.clone()
    })
    .await;
    let client = medevac::adapters::kubernetes::connect(Some(&plane.limited)).await.unwrap();
    let hand = KubernetesControl::new(client.clone());
    grant(&plane, printed(PACKS)).await;
    until("the rights are in force", || async {
        may(&client, "", "nodes", "patch").await.then_some(())
    })
    .await;
    for call in calls() {
        let answer = hand.call(call.clone(), None).await;
        assert_eq!(forbidden(&answer), None, "{call:?}");
    }
    let pod = plane.pods("right").await[0].metadata.name.clone().unwrap();
    for (_, topic) in Topic::ALL {
        for about in [
            "namespace/default",
            "node/rights1",
            "deployment/default/right",
            &format!("pod/default/{pod}"),
            "tenant/a",
        ] {
            let mut diagnosis = Diagnosis::new(topic, about.parse().unwrap());
            while !diagnosis.is_over() {
                for (tag, question) in diagnosis.questions() {
                    let answer = kubernetes::ask(&client, &question).await;
                    assert_eq!(forbidden(&answer), None, "{question:?}");
                    diagnosis.answer(&tag, answer);
                }
            }
        }
    }
    let logs = Question::Logs { namespace: "default".into(), name: pod, before: false, lines: 5 };
    assert_eq!(forbidden(&kubernetes::ask(&client, &logs).await), None);
    // The watches of the daemon come up.
    let view = KubernetesView::start(&client, None);
    until("the caches are complete", || async { view.ready().then_some(()) }).await;
    let velero = || Some("velero".to_owned());
    let name = "none".to_owned();
    for question in [
        Question::Many {
            what: Resource::BACKUP,
            namespace: velero(),
            labels: String::new(),
            limit: 5,
        },
        Question::Many {
            what: Resource::BACKUP_LOCATION,
            namespace: velero(),
            labels: String::new(),
            limit: 5,
        },
        Question::One { what: Resource::BACKUP, namespace: velero(), name: name.clone() },
        Question::Events { namespace: "default".into(), kind: "Node", name },
    ] {
        assert_eq!(forbidden(&kubernetes::ask(&client, &question).await), None, "{question:?}");
    }
    let mut events = view.follow(Followed::Events { all: false }, None);
    events.recv().await.unwrap();
    the_daemon_itself(&plane).await;
    for (group, resource, verb) in [
        ("", "secrets", "get"),
        ("", "secrets", "list"),
        ("", "pods", "create"),
        ("", "configmaps", "get"),
        ("", "nodes", "delete"),
        ("", "namespaces", "delete"),
        ("", "configmaps", "list"),
        ("", "serviceaccounts/token", "create"),
        ("", "pods/portforward", "create"),
        ("", "pods/ephemeralcontainers", "patch"),
        ("", "nodes/proxy", "get"),
        ("apps", "deployments", "create"),
        ("apps", "deployments", "delete"),
        ("batch", "jobs", "create"),
        ("rbac.authorization.k8s.io", "clusterroles", "bind"),
        ("rbac.authorization.k8s.io", "clusterroles", "escalate"),
        ("admissionregistration.k8s.io", "validatingwebhookconfigurations", "create"),
        ("velero.io", "backups", "delete"),
        ("authentication.k8s.io", "users", "impersonate"),
    ] {
        assert!(!may(&client, group, resource, verb).await, "{verb} {group}/{resource}");
    }
    // Who makes bare pods anew has asked for the right to make pods.
    let bare = plane.directory.path().join("bare.yaml");
    let text = "capacity: [{name: l, labels: {a: b}, nodes: {labels: {a: b}}, rungs: [{group: {name: g}, within: 1m}]}]\nrules: [{name: r, when: x, then: [{reschedule: {bare_pods: true}}]}]";
    std::fs::write(&bare, text).unwrap();
    grant(&plane, printed(bare.to_str().unwrap())).await;
    until("pods may be made", || async { may(&client, "", "pods", "create").await.then_some(()) })
        .await;
    let spec = json!({ "nodeSelector": { "case": "nowhere" }, "containers": [{ "name": "c", "image": "registry.example/none" }] });
    plane.create::<core::Pod>(json!({ "metadata": { "name": "lone" }, "spec": spec })).await;
    let pods: Api<core::Pod> = Api::namespaced(plane.client.clone(), "default");
    let uid = pods.get("lone").await.unwrap().metadata.uid.unwrap();
    let (namespace, name, by) = ("default".to_owned(), "lone".to_owned(), "inc-1".to_owned());
    let mover = Mover::Pod { namespace: namespace.clone(), name: name.clone(), uid: uid.clone() };
    let keep = ClusterCall::Keep { namespace, name, uid: uid.clone(), by: by.clone() };
    let goes = ClusterCall::Move { mover, to: to(), by, reference: None };
    assert_eq!(hand.call(keep.clone(), None).await, Answer::Done);
    assert_eq!(hand.call(keep, None).await, Answer::Done, "twice is once");
    let early = hand.call(goes.clone(), None).await;
    assert!(matches!(early, Answer::Refused(Refusal::Busy { .. })), "{early:?}");
    pods.delete("lone", &Default::default()).await.unwrap();
    until("it is gone", || async { pods.get_opt("lone").await.unwrap().is_none().then_some(()) })
        .await;
    assert_eq!(hand.call(goes.clone(), None).await, Answer::Done);
    assert_eq!(hand.call(goes, None).await, Answer::Done, "twice is once");
    assert_ne!(pods.get("lone").await.unwrap().metadata.uid.unwrap(), uid);
    // Rules that only cordon may only cordon.
    let small = plane.directory.path().join("small.yaml");
    std::fs::write(&small, "rules: [{name: r, when: x, then: [{cordon: {}}]}]").unwrap();
    grant(&plane, printed(small.to_str().unwrap())).await;
    until("the rights are fewer", || async {
        (!may(&client, "", "pods/eviction", "create").await).then_some(())
    })
    .await;
    let evict = ClusterCall::Evict {
        namespace: "default".into(),
        name: "right".into(),
        uid: "u".into(),
        grace: 1,
    };
    assert!(forbidden(&hand.call(evict, None).await).is_some());
    let cordon = ClusterCall::PatchNode {
        name: "rights1".into(),
        patch: NodePatch { unschedulable: Some(true), ..NodePatch::default() },
    };
    assert_eq!(hand.call(cordon, None).await, Answer::Done);
}
