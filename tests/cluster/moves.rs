//! What is sent from a spot pool to an on-demand pool by the real scheduler, and comes back with nothing left on it of the
//! journey: a training Job, with a place held for it and its checkpoint in hand; and each other kind.

use crate::{
    plane::{Plane, incident_when},
    support::{
        client,
        daemon::{self, Door, Orders, Running},
        get, incidents, until,
    },
};
use k8s_openapi::api::{
    apps::v1 as apps, batch::v1 as batch, core::v1 as core, scheduling::v1 as scheduling,
};
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use std::{collections::BTreeSet, sync::Arc};

const TYPE: &str = "karpenter.sh/capacity-type";
/// Who is called, and what the rules of each case go by.
const LADDER: &str = r"
contacts: [{name: c, console: {}}]
escalations: [{name: p, levels: [{contacts: c}]}]
capacity:
  - name: on-demand
    labels: {medevac.dev/fallback: on-demand}
    nodes: {labels: {karpenter.sh/capacity-type: on-demand}}
    rungs: [{karpenter: {namespace: default}, within: 1m}]
";
const GANG: &str = r"
rules:
  - name: goes
    when: demo.goes
    then:
      - cordon: {}
      - provision: {}
      - checkpoint: {}
      - suspend: {}
      - drain: {}
      - reschedule: {extent: whole, needs: [suspend]}
      - resume: {}
      - verify: {expect: pods_running, for: 1s, within: 1m, needs: [resume]}
    escalate: p
  - name: returns
    when: demo.returns
    then: [{checkpoint: {}}, {return_to_spot: {pool: moves}}]
    escalate: p
";

async fn node(plane: &Plane, case: &str, name: &str, market: &str) {
    plane.node(name, case).await;
    let nodes: Api<core::Node> = Api::all(plane.client.clone());
    let label = json!({ "metadata": { "labels": { TYPE: market } } });
    nodes.patch(name, &PatchParams::default(), &Patch::Merge(&label)).await.unwrap();
}

/// A daemon with these rules, whose caches are complete.
async fn start(plane: &Plane, case: &str, rules: &str) -> Running {
    let mut orders =
        Orders::new(&plane.directory.path().join(case), 0, &format!("{LADDER}{rules}"));
    orders.kubeconfig = Some(plane.kubeconfig.clone());
    let daemon = daemon::start(&orders, Door::default()).await;
    daemon.ready().await;
    daemon
}

/// A notice for the node, and what became of it.
async fn goes(daemon: &Running, node: &str) {
    post(&daemon.url, "demo.goes", &format!("node/{node}")).await;
    let gone =
        incident_when(&daemon.url, node, "has ended", |one| !one["last_end"].is_null()).await;
    assert_eq!(gone["last_end"], "succeeded", "{gone:#}");
}

/// The machine is back, and a person opens it; what left the pool is let go back.
async fn returns(plane: &Plane, daemon: &Running, node: &str, pool: &str) {
    let nodes: Api<core::Node> = Api::all(plane.client.clone());
    let open = json!({ "spec": { "unschedulable": false } });
    nodes.patch(node, &PatchParams::default(), &Patch::Merge(&open)).await.unwrap();
    let target = format!("pool/{pool}");
    post(&daemon.url, "demo.returns", &target).await;
    let back = until("they have been let go back", || async {
        let all = incidents(&daemon.url).await;
        all.into_iter().find(|one| one["target"] == *target && !one["last_end"].is_null())
    })
    .await;
    assert_eq!(back["last_end"], "succeeded", "{back:#}");
}

pub(crate) async fn post(url: &str, kind: &str, subject: &str) {
    let event = json!({ "specversion": "1.0", "type": kind, "source": "t", "id": kind, "subject": subject });
    let post = client().post(format!("{url}/api/v1/events"));
    let post = post.header("content-type", "application/cloudevents+json");
    assert!(post.body(event.to_string()).send().await.unwrap().status().is_success());
}

/// The workload's half of the handshake: every request is durable at once, under a reference of its own.
fn answers(plane: &Plane) {
    let pods: Api<core::Pod> = Api::namespaced(plane.client.clone(), "default");
    tokio::spawn(async move {
        loop {
            let all = pods.list(&ListParams::default().labels("app=mover")).await;
            for pod in all.map(|list| list.items).unwrap_or_default() {
                let annotations = pod.metadata.annotations.clone().unwrap_or_default();
                let Some(request) = annotations.get("medevac.dev/checkpoint-request") else {
                    continue;
                };
                let request: Value = serde_json::from_str(request).unwrap();
                let state = json!({ "state": "durable", "id": request["id"], "reference": "s3://b/step-7" }).to_string();
                if annotations.get("medevac.dev/checkpoint-state") != Some(&state) {
                    let patch = json!({ "metadata": { "annotations": { "medevac.dev/checkpoint-state": state } } });
                    let name = pod.metadata.name.unwrap();
                    pods.patch(&name, &PatchParams::default(), &Patch::Merge(&patch)).await.ok();
                }
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    });
}

/// Waits until both ranks run, and says where.
async fn ranks(plane: &Plane, on: &str) -> BTreeSet<String> {
    until(&format!("both ranks run on {on}"), || async {
        let pods = plane.pods("mover").await;
        let runs = |pod: &core::Pod| {
            let phase = pod.status.as_ref()?.phase.clone()?;
            let node = pod.spec.as_ref()?.node_name.clone()?;
            (phase == "Running" && pod.metadata.deletion_timestamp.is_none()).then_some(node)
        };
        let nodes: Vec<String> = pods.iter().filter_map(runs).collect();
        let there = nodes.len() == 2 && nodes.iter().all(|node| node == on);
        there.then(|| nodes.into_iter().collect())
    })
    .await
}

/// What a person wrote of the object: without what the server keeps account of.
fn written(job: &batch::Job) -> Value {
    as_written(serde_json::to_value(job).unwrap())
}

fn as_written(mut all: Value) -> Value {
    all.as_object_mut().unwrap().remove("status");
    let meta = all["metadata"].as_object_mut().unwrap();
    for kept in ["resourceVersion", "generation", "managedFields", "creationTimestamp", "uid"] {
        meta.remove(kept);
    }
    // The controller's own count of templates.
    let own = meta.get_mut("annotations").and_then(Value::as_object_mut);
    own.map(|all| all.remove("deployment.kubernetes.io/revision"));
    for empty in ["annotations", "labels"] {
        if meta.get(empty).is_some_and(|it| it.as_object().is_some_and(serde_json::Map::is_empty)) {
            meta.remove(empty);
        }
    }
    all
}

pub(crate) async fn a_job_goes_to_on_demand_and_comes_back_as_it_was(plane: Arc<Plane>) {
    node(&plane, "moves", "mspot", "spot").await;
    node(&plane, "moves", "mdemand", "on-demand").await;
    let classes: Api<scheduling::PriorityClass> = Api::all(plane.client.clone());
    let class = json!({ "metadata": { "name": "medevac-placeholder" }, "value": -10 });
    classes.create(&PostParams::default(), &serde_json::from_value(class).unwrap()).await.unwrap();
    let jobs: Api<batch::Job> = Api::namespaced(plane.client.clone(), "default");
    let job = json!({
        "metadata": { "name": "mover", "labels": { "team": "research" } },
        "spec": { "parallelism": 2, "completions": 2, "completionMode": "Indexed", "suspend": false,
            "template": {
                "metadata": {
                    "labels": { "app": "mover", "medevac.dev/fallback": "on-demand", "medevac.test/goes-on": "true" },
                    "annotations": { "medevac.dev/checkpoint": "annotation" },
                },
                "spec": { "restartPolicy": "Never", "nodeSelector": { "case": "moves", TYPE: "spot" },
                    "containers": [{ "name": "c", "image": "registry.example/none" }] } } },
    });
    jobs.create(&PostParams::default(), &serde_json::from_value(job).unwrap()).await.unwrap();
    ranks(&plane, "mspot").await;
    let before = written(&jobs.get("mover").await.unwrap());
    answers(&plane);
    let daemon = start(&plane, "moves", GANG).await;
    goes(&daemon, "mspot").await;
    ranks(&plane, "mdemand").await;
    let moved = jobs.get("mover").await.unwrap();
    let template = serde_json::to_value(&moved.spec.as_ref().unwrap().template).unwrap();
    assert_eq!(
        template["metadata"]["annotations"]["medevac.dev/checkpoint-reference"],
        "s3://b/step-7"
    );
    assert_eq!(template["spec"]["nodeSelector"], json!({ "case": "moves" }));
    let terms = &template["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
    assert_eq!(
        terms["nodeSelectorTerms"][0]["matchExpressions"][0]["values"],
        json!(["on-demand"])
    );
    let pods: Api<core::Pod> = Api::namespaced(plane.client.clone(), "default");
    until("no place is held any more", || async {
        let held = pods.list(&ListParams::default().labels("medevac.dev/place")).await.unwrap();
        held.items.iter().all(|pod| pod.metadata.deletion_timestamp.is_some()).then_some(())
    })
    .await;
    returns(&plane, &daemon, "mspot", "moves").await;
    ranks(&plane, "mspot").await;
    let after = written(&jobs.get("mover").await.unwrap());
    assert_eq!(after, before, "nothing is left of the journey");
    let managers: BTreeSet<String> = jobs
        .get("mover")
        .await
        .unwrap()
        .metadata
        .managed_fields
        .unwrap_or_default()
        .into_iter()
        .filter_map(|it| it.manager)
        .collect();
    assert!(!managers.contains("medevac-reschedule"), "{managers:?}");
    jobs.delete("mover", &Default::default()).await.unwrap();
}

const EACH: &str = r"
rules:
  - name: goes
    when: demo.goes
    then:
      - cordon: {}
      - suspend: {}
      - drain: {}
      - reschedule: {bare_pods: true, needs: [suspend]}
      - verify: {expect: pods_running, for: 1s, within: 2m, needs: [drain, reschedule]}
    escalate: p
  - name: returns
    when: demo.returns
    then: [{return_to_spot: {pool: each}}, {verify: {expect: pods_running, for: 1s, within: 2m}}]
    escalate: p
";

/// Where each pod of a kind of mover runs now, by its name.
async fn homes(plane: &Plane, app: &str) -> BTreeSet<String> {
    let runs = |pod: core::Pod| {
        let ready = pod.status.as_ref()?.phase.as_deref() == Some("Running");
        let stays = pod.metadata.deletion_timestamp.is_none();
        (ready && stays).then(|| pod.spec?.node_name).flatten()
    };
    plane.pods(app).await.into_iter().filter_map(runs).collect()
}

async fn all_on(plane: &Plane, apps: &[&str], node: &str) {
    until(&format!("{apps:?} run on {node}"), || async {
        for app in apps {
            if homes(plane, app).await != BTreeSet::from([node.to_owned()]) {
                return None;
            }
        }
        Some(())
    })
    .await;
}

/// A Deployment, a StatefulSet and a pod that no controller makes anew leave one node together, through the daemon and the
/// real scheduler. The first two come back as they were; the pod has its name, its containers and its labels.
pub(crate) async fn each_kind_goes_elsewhere_and_what_can_comes_back(plane: Arc<Plane>) {
    node(&plane, "each", "espot", "spot").await;
    node(&plane, "each", "edemand", "on-demand").await;
    let spec = json!({ "nodeSelector": { "case": "each", TYPE: "spot" }, "terminationGracePeriodSeconds": 1,
        "containers": [{ "name": "c", "image": "registry.example/none", "env": [{ "name": "A", "value": "1" }] }] });
    let labels = |app: &str| json!({ "app": app, "medevac.dev/fallback": "on-demand" });
    let template = |app: &str| json!({ "metadata": { "labels": labels(app) }, "spec": spec });
    let of = |app: &str| json!({ "replicas": 1, "selector": { "matchLabels": { "app": app } }, "template": template(app), "serviceName": app });
    let mut deployment = of("edep");
    deployment.as_object_mut().unwrap().remove("serviceName");
    plane
        .create::<apps::Deployment>(json!({ "metadata": { "name": "edep" }, "spec": deployment }))
        .await;
    plane
        .create::<apps::StatefulSet>(json!({ "metadata": { "name": "ests" }, "spec": of("ests") }))
        .await;
    plane.create::<core::Pod>(json!({ "metadata": { "name": "ebare", "labels": labels("ebare"), "annotations": { "team": "research" } }, "spec": spec })).await;
    let kinds = ["edep", "ests", "ebare"];
    all_on(&plane, &kinds, "espot").await;
    let deployments: Api<apps::Deployment> = Api::namespaced(plane.client.clone(), "default");
    let sets: Api<apps::StatefulSet> = Api::namespaced(plane.client.clone(), "default");
    let pods: Api<core::Pod> = Api::namespaced(plane.client.clone(), "default");
    let state = || async {
        let deployment = serde_json::to_value(deployments.get("edep").await.unwrap()).unwrap();
        let set = serde_json::to_value(sets.get("ests").await.unwrap()).unwrap();
        [deployment, set].map(as_written)
    };
    let (before, bare) = (state().await, pods.get("ebare").await.unwrap());
    let daemon = start(&plane, "each", EACH).await;
    goes(&daemon, "espot").await;
    all_on(&plane, &kinds, "edemand").await;
    let anew = pods.get("ebare").await.unwrap();
    assert_ne!(anew.metadata.uid, bare.metadata.uid, "it is another one of that name");
    assert_eq!(anew.metadata.annotations.as_ref().unwrap()["team"], "research");
    assert_eq!(anew.metadata.labels.as_ref().unwrap()["medevac.dev/moved-from"], "each");
    let env = |pod: &core::Pod| pod.spec.as_ref().unwrap().containers[0].env.clone();
    assert_eq!(env(&anew), env(&bare));
    let kept: Api<core::PodTemplate> = Api::namespaced(plane.client.clone(), "default");
    assert!(kept.list(&ListParams::default()).await.unwrap().items.is_empty(), "nothing is kept");
    returns(&plane, &daemon, "espot", "each").await;
    all_on(&plane, &["edep", "ests"], "espot").await;
    assert_eq!(state().await, before, "nothing is left of the journey");
    assert_eq!(homes(&plane, "ebare").await, BTreeSet::from(["edemand".to_owned()]));
    deployments.delete("edep", &Default::default()).await.unwrap();
    sets.delete("ests", &Default::default()).await.unwrap();
    pods.delete("ebare", &Default::default()).await.unwrap();
}
