//! The main job: a real alert drains a node through a real API server.

use crate::{
    plane::{A_WHILE, Plane, alert, incident_when, pod_spec, post},
    support::{
        daemon::{self, Door, Orders},
        get, until,
    },
};
use k8s_openapi::api::{apps::v1 as apps, core::v1 as core, policy::v1 as policy};
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;
use std::sync::Arc;

const RULES: &str = r#"
contacts: [{name: c, console: {}}]
escalations: [{name: p, levels: [{contacts: c, evidence: [remediation]}]}]
guards: [{name: g, per: node.pool, limits: {at_once: 4}}]
rules:
  - name: ill
    when: alertmanager.alert.firing
    if: alert.name == "Ill"
    guard: g
    deadline: 60s
    then:
      - cordon: {taint: medevac.dev/ill}
      - drain: {}
      - verify: {expect: pods_running, for: 1s, within: 1m}
    escalate: p
  - name: short
    when: alertmanager.alert.firing
    if: alert.name == "Short"
    guard: g
    deadline: 14s
    then: [{cordon: {}}, {drain: {}}]
    escalate: p
  - name: undone
    when: alertmanager.alert.firing
    if: alert.name == "Undone"
    then: [{cordon: {}}, {http: {url: "http://not-listed.example/x"}}]
    escalate: p
  - name: renew
    when: alertmanager.alert.firing
    if: alert.name == "Renew"
    guard: g
    then:
      - restart: {workload: deployment/default/renewed}
      - scale: {workload: deployment/default/renewed, replicas: 3}
      - verify: {expect: pods_running, for: 1s}
    escalate: p
"#;

async fn start(plane: &Plane, name: &str, observe: bool) -> daemon::Running {
    let mut orders = Orders::new(&plane.directory.path().join(name), 0, RULES);
    orders.kubeconfig = Some(plane.kubeconfig.clone());
    orders.observe = observe;
    let running = daemon::start(&orders, Door::default()).await;
    running.ready().await;
    running
}

pub(crate) async fn an_alert_drains_a_node_by_all_the_rules(plane: Arc<Plane>) {
    plane.node("full-1", "full").await;
    // Replacements take their time, so that the second eviction meets a budget that is used up.
    plane.deployment("web", "full", 3, json!({ "medevac.test/start-delay": "2s" }), 30).await;
    plane
        .create::<policy::PodDisruptionBudget>(json!({
            "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": { "name": "web" },
            "spec": { "minAvailable": 2, "selector": { "matchLabels": { "app": "web" } } },
        }))
        .await;
    // It would like an hour to end.
    plane.deployment("slow", "full", 1, json!({ "medevac.test/term-seconds": "3600" }), 3600).await;
    plane.create::<apps::DaemonSet>(json!({
        "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": { "name": "agent" },
        "spec": { "selector": { "matchLabels": { "app": "agent" } },
            "template": { "metadata": { "labels": { "app": "agent" } }, "spec": pod_spec("full", 1) } },
    })).await;
    let node_uid = plane.get_node("full-1").await.metadata.uid.unwrap();
    let mut fixed = pod_spec("full", 1);
    fixed["nodeName"] = json!("full-1");
    plane.create::<core::Pod>(json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "static-full-1", "labels": { "app": "static" },
            "annotations": { "kubernetes.io/config.mirror": "x", "kubernetes.io/config.source": "file" },
            "ownerReferences": [{ "apiVersion": "v1", "kind": "Node", "name": "full-1", "uid": node_uid, "controller": true }] },
        "spec": fixed,
    })).await;
    plane.create::<core::Pod>(json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "naked", "labels": { "app": "naked" } },
        "spec": pod_spec("full", 1),
    })).await;
    for (app, count) in [("agent", 1), ("static", 1), ("naked", 1)] {
        plane.running(app, count).await;
    }
    plane.node("full-2", "full").await;
    let daemon = start(&plane, "full", false).await;
    let refused = plane.evictions_answered("429").await;
    post(&daemon.url, &alert("Ill", "full-1")).await;
    let incident =
        incident_when(&daemon.url, "full-1", "remediated", |one| !one["last_end"].is_null()).await;
    assert_eq!(incident["last_end"], "succeeded", "{incident:#}");
    assert!(plane.evictions_answered("429").await > refused, "the budget refused at least once");
    let left = plane.on_node("full-1").await;
    assert_eq!(left.len(), 2, "{left:?}");
    assert!(left[0].starts_with("agent-") && left[1] == "static-full-1", "{left:?}");
    plane.running("web", 3).await;
    plane.running("slow", 1).await;
    let node = plane.get_node("full-1").await;
    let spec = node.spec.unwrap();
    assert_eq!(spec.unschedulable, Some(true));
    assert!(spec.taints.unwrap().iter().any(|taint| taint.key == "medevac.dev/ill"));
    let plan = incident["plans"][0].as_str().unwrap();
    let plan = get(&format!("{}/api/v1/plans/{plan}", daemon.url)).await.unwrap();
    let remarks = plan["plan"]["remarks"].to_string();
    assert!(remarks.contains("default/naked has no controller"), "{remarks}");
    let chain =
        get(&format!("{}/api/v1/incidents/{}", daemon.url, incident["id"].as_str().unwrap()))
            .await
            .unwrap();
    let streams: Vec<&str> = chain["chain"]
        .as_array()
        .unwrap()
        .iter()
        .map(|link| link["stream"].as_str().unwrap())
        .collect();
    for stream in ["events", "decisions", "plans", "outcomes"] {
        assert!(streams.contains(&stream), "the chain is whole: {streams:?}");
    }
    assert!(!chain.to_string().contains("medevac.page"), "nobody was called");
}

pub(crate) async fn a_pod_that_does_not_want_to_die_is_named_to_a_person(plane: Arc<Plane>) {
    plane.node("stuck-1", "stuck").await;
    plane.deployment("stuck", "stuck", 1, json!({ "medevac.test/stuck": "true" }), 5).await;
    plane.node("stuck-2", "stuck").await;
    let daemon = start(&plane, "stuck", false).await;
    post(&daemon.url, &alert("Short", "stuck-1")).await;
    let incident =
        incident_when(&daemon.url, "stuck-1", "given up", |one| !one["last_end"].is_null()).await;
    assert_eq!(incident["last_end"], "failed", "{incident:#}");
    let note = incident["note"].as_str().unwrap();
    assert!(note.contains("default/stuck-") && note.contains("terminating"), "{note}");
    let path = format!("{}/api/v1/incidents/{}", daemon.url, incident["id"].as_str().unwrap());
    until("a person is called", || async {
        get(&path).await.filter(|chain| chain.to_string().contains("\"page\":\"delivered\""))
    })
    .await;
    assert!(
        plane.get_node("stuck-1").await.spec.unwrap().unschedulable.unwrap(),
        "its cordon stays: pods were moved"
    );
}

pub(crate) async fn a_persons_cordon_stays(plane: Arc<Plane>) {
    plane.node("theirs-1", "theirs").await;
    plane.node("ours-1", "ours").await;
    let nodes: Api<core::Node> = Api::all(plane.client.clone());
    let cordon = json!({ "spec": { "unschedulable": true } });
    nodes.patch("theirs-1", &PatchParams::default(), &Patch::Merge(&cordon)).await.unwrap();
    let daemon = start(&plane, "theirs", false).await;
    tokio::time::sleep(A_WHILE).await;
    // The http step fails before anything was moved, so what was done is undone.
    for node in ["theirs-1", "ours-1"] {
        post(&daemon.url, &alert("Undone", node)).await;
        let incident =
            incident_when(&daemon.url, node, "failed", |one| !one["last_end"].is_null()).await;
        assert_eq!(incident["last_end"], "failed");
    }
    let theirs = plane.get_node("theirs-1").await;
    assert_eq!(theirs.spec.unwrap().unschedulable, Some(true), "a person's cordon stays");
    assert!(
        !theirs.metadata.annotations.unwrap_or_default().contains_key("medevac.dev/cordoned-by")
    );
    let ours = plane.get_node("ours-1").await;
    assert_ne!(ours.spec.unwrap().unschedulable, Some(true), "our own is taken back");
    assert!(!ours.metadata.annotations.unwrap_or_default().contains_key("medevac.dev/cordoned-by"));
}

pub(crate) async fn observe_mode_writes_nothing(plane: Arc<Plane>) {
    plane.node("seen-1", "seen").await;
    plane.deployment("seen", "seen", 2, json!({}), 1).await;
    let before = plane.get_node("seen-1").await.metadata.managed_fields.unwrap_or_default().len();
    let daemon = start(&plane, "seen", true).await;
    post(&daemon.url, &alert("Ill", "seen-1")).await;
    let incident =
        incident_when(&daemon.url, "seen-1", "observed", |one| one["last_end"] == "observed").await;
    assert_eq!(
        incident["state"], "open",
        "an alert that a rule matches opens an incident in every mode"
    );
    let node = plane.get_node("seen-1").await;
    assert_ne!(node.spec.unwrap().unschedulable, Some(true));
    let managers = node.metadata.managed_fields.unwrap_or_default();
    assert!(
        managers.iter().all(|fields| fields.manager.as_deref() != Some("medevac"))
            && managers.len() == before
    );
    assert_eq!(plane.on_node("seen-1").await.len(), 2);
}

pub(crate) async fn restart_and_scale_change_the_workload_once(plane: Arc<Plane>) {
    plane.node("renew-1", "renew").await;
    plane.deployment("renewed", "renew", 2, json!({}), 1).await;
    let before: Vec<_> =
        plane.pods("renewed").await.into_iter().filter_map(|pod| pod.metadata.name).collect();
    let daemon = start(&plane, "renew", false).await;
    post(&daemon.url, &alert("Renew", "renew-1")).await;
    let incident =
        incident_when(&daemon.url, "renew-1", "renewed", |one| !one["last_end"].is_null()).await;
    assert_eq!(incident["last_end"], "succeeded", "{incident:#}");
    plane.running("renewed", 3).await;
    let after: Vec<_> =
        plane.pods("renewed").await.into_iter().filter_map(|pod| pod.metadata.name).collect();
    assert!(after.iter().all(|name| !before.contains(name)), "all are new: {before:?} {after:?}");
    let of: Api<apps::Deployment> = Api::namespaced(plane.client.clone(), "default");
    assert_eq!(
        of.get("renewed").await.unwrap().metadata.generation,
        Some(3),
        "one restart, one scaling"
    );
}
