//! Checkpoint-then-drain on a real API server: a gang over three nodes, both feeds, a budget, and kill -9 on the way.

use crate::{
    plane::{Plane, incident_when, pod_spec},
    support::{
        client,
        daemon::{self, Door, Orders},
        dying::Death,
        free_port, get,
        moto::Moto,
        until,
    },
};
use k8s_openapi::api::{
    apps::v1 as apps, core::v1 as core, events::v1 as events, policy::v1 as policy,
};
use kube::api::{Api, ListParams, Patch, PatchParams};
use medevac::log::Stream;
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

const REQUEST: &str = "medevac.dev/checkpoint-request";
const STATE: &str = "medevac.dev/checkpoint-state";

/// The rules that ship.
fn rules() -> String {
    [
        include_str!("../../rules/spot.yaml"),
        include_str!("../../rules/capacity.yaml"),
        include_str!("../../rules/escalation.yaml"),
    ]
    .join("\n---\n")
}

/// The workload's half of the handshake: whatever pod of `app` carries a request has a checkpoint `takes` later. The
/// names of those that were told to go before it was durable.
fn trains(plane: &Plane, app: &str, takes: Duration) -> Arc<Mutex<BTreeSet<String>>> {
    let pods: Api<core::Pod> = Api::namespaced(plane.client.clone(), "default");
    let (params, early) = (ListParams::default().labels(&format!("app={app}")), Arc::default());
    let told: Arc<Mutex<BTreeSet<String>>> = Arc::clone(&early);
    tokio::spawn(async move {
        let mut asked: Option<(std::time::Instant, Value, String)> = None;
        let mut durable = false;
        loop {
            let Ok(all) = pods.list(&params).await else {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            for pod in &all.items {
                let name = pod.metadata.name.clone().unwrap();
                let annotations = pod.metadata.annotations.clone().unwrap_or_default();
                if let Some(request) = annotations.get(REQUEST).filter(|_| asked.is_none()) {
                    let request: Value = serde_json::from_str(request).unwrap();
                    asked = Some((std::time::Instant::now(), request, name.clone()));
                }
                if pod.metadata.deletion_timestamp.is_some() && !durable {
                    told.lock().unwrap().insert(name);
                }
            }
            if let Some((since, request, leader)) = &asked
                && since.elapsed() >= takes
                && !durable
            {
                let state = json!({ "state": "durable", "id": request["id"], "reference": "s3://b/step-9", "step": 9 });
                let patch = json!({ "metadata": { "annotations": { STATE: state.to_string() } } });
                let patch = Patch::Merge(&patch);
                durable = pods.patch(leader, &PatchParams::default(), &patch).await.is_ok();
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    early
}

/// A gang of ranks, spread over the nodes of `case`.
async fn gang(plane: &Plane, name: &str, case: &str, ranks: usize) {
    let mut spec = pod_spec(case, 20);
    spec["topologySpreadConstraints"] = json!([{
        "maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": { "matchLabels": { "app": name } },
    }]);
    // A StatefulSet that says that it is a gang: kwok ends the pods of Jobs at once.
    plane
        .create::<apps::StatefulSet>(json!({
            "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": { "name": name },
            "spec": { "replicas": ranks, "serviceName": name, "podManagementPolicy": "Parallel",
                "selector": { "matchLabels": { "app": name } },
                "template": { "metadata": { "labels": { "app": name, "medevac.dev/gang": "true" },
                    "annotations": { "medevac.dev/checkpoint": "annotation" } }, "spec": spec } },
        }))
        .await;
    plane.running(name, ranks).await;
}

fn notice(node: &str, at: jiff::Timestamp) -> String {
    let at = jiff::Timestamp::from_second(at.as_second()).unwrap();
    json!({
        "version": "0", "id": format!("{node}-{at}"), "source": "aws.ec2", "time": at,
        "detail-type": "EC2 Spot Instance Interruption Warning", "account": "1", "region": "eu-west-1",
        "detail": { "instance-id": format!("i-{node}"), "instance-action": "terminate" },
    })
    .to_string()
}

/// The same from the other feed, as the agent tells it.
async fn told_by_metadata(url: &str, node: &str, given: jiff::Timestamp) {
    let ends = given + Duration::from_secs(119);
    let event = json!({
        "specversion": "1.0", "id": "1", "source": format!("metadata/i-{node}"), "type": "aws.ec2.spot.interruption",
        "subject": format!("instance/i-{node}"), "time": given, "deadline": ends,
        "data": { "feed": "metadata", "action": "terminate", "time": ends,
            "detail": { "instance-id": format!("i-{node}"), "instance-action": "terminate" } },
    });
    let post = client()
        .post(format!("{url}/api/v1/events"))
        .header("content-type", "application/cloudevents+json");
    let answer = post.body(event.to_string()).send().await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
}

async fn record(url: &str, incident: &Value) -> Value {
    let plan = incident["plans"][0].as_str().unwrap();
    get(&format!("{url}/api/v1/remediations/{plan}")).await.unwrap()
}

pub(crate) async fn a_gang_has_its_checkpoint_before_any_of_it_is_told_to_go(plane: Arc<Plane>) {
    let nodes = ["gang1", "gang2", "gang3"];
    for node in nodes {
        plane.node(node, "gang").await;
    }
    gang(&plane, "llm", "gang", 6).await;
    plane.deployment("triton", "gang", 6, json!({ "medevac.test/start-delay": "1s" }), 5).await;
    plane
        .create::<policy::PodDisruptionBudget>(json!({
            "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": { "name": "triton" },
            "spec": { "minAvailable": 4, "selector": { "matchLabels": { "app": "triton" } } },
        }))
        .await;
    for node in ["gang4", "gang5", "gang6"] {
        plane.node(node, "gang").await;
    }
    let early = trains(&plane, "llm", Duration::from_secs(6));
    let moto = Moto::start().await;
    let queue = moto.queue("notices").await;
    let mut orders = Orders::new(&plane.directory.path().join("gang"), 0, &rules());
    orders.kubeconfig = Some(plane.kubeconfig.clone());
    orders.queues = vec![(moto.url.clone(), queue.url.clone())];
    let daemon = daemon::start(&orders, Door::default()).await;
    daemon.ready().await;
    let least = watch_budget(&plane);
    let given = jiff::Timestamp::now();
    for node in &nodes[..2] {
        told_by_metadata(&daemon.url, node, given).await;
        queue.send(&notice(node, given)).await;
    }
    for node in &nodes[..2] {
        let incident =
            incident_when(&daemon.url, node, "remediated", |one| !one["last_end"].is_null()).await;
        assert_eq!(
            (incident["last_end"].as_str(), incident["epoch"].as_u64()),
            (Some("succeeded"), Some(1)),
            "{incident:#}"
        );
        assert_eq!(incident["plans"].as_array().unwrap().len(), 1, "both feeds are one drain");
        let record = record(&daemon.url, &incident).await;
        assert_eq!(record["hard_killed"], 0, "{record:#}");
        assert_eq!(record["lost_work_seconds"], 0);
        assert!(record["slack_seconds"].as_f64().unwrap() > 0.0);
        let checkpoint = &record["checkpoints"][0];
        assert_eq!(
            (&checkpoint["unit"], &checkpoint["members"]),
            (&json!("default/StatefulSet/llm"), &json!(6))
        );
        assert_eq!(checkpoint["state"]["reference"], "s3://b/step-9", "{record:#}");
        let waited = record["pods"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|pod| pod["checkpoint"] == "default/StatefulSet/llm");
        assert!(
            waited.into_iter().all(|pod| pod["slack_at_sigterm_seconds"].as_f64().unwrap() > 20.0)
        );
        let events: Api<events::Event> = Api::namespaced(plane.client.clone(), "default");
        until("the node has its event", || async {
            let all = events.list(&ListParams::default()).await.unwrap().items;
            let of = |event: &&events::Event| {
                event.regarding.as_ref().is_some_and(|it| it.name.as_deref() == Some(node))
            };
            let told = all
                .iter()
                .filter(of)
                .find(|event| event.reason.as_deref() == Some("RemediationSucceeded"));
            told.map(|event| assert!(event.note.as_ref().unwrap().contains("s3://b/step-9")))
        })
        .await;
    }
    assert_eq!(
        *early.lock().unwrap(),
        BTreeSet::new(),
        "told to go before the checkpoint was durable"
    );
    queue.empties().await;
    assert!(
        *least.lock().unwrap() >= 4,
        "the budget was kept: {} were ready",
        least.lock().unwrap()
    );
    plane.running("triton", 6).await;
    // One request for all of them: whoever is left of the gang carries at most one id.
    let ids: BTreeSet<String> = plane
        .pods("llm")
        .await
        .iter()
        .filter_map(|pod| {
            Some(
                serde_json::from_str::<Value>(pod.metadata.annotations.as_ref()?.get(REQUEST)?)
                    .unwrap()["id"]
                    .to_string(),
            )
        })
        .collect();
    assert!(ids.len() <= 1, "{ids:?}");
}

/// The fewest ready pods that were ever seen.
fn watch_budget(plane: &Plane) -> Arc<Mutex<usize>> {
    let pods: Api<core::Pod> = Api::namespaced(plane.client.clone(), "default");
    let least = Arc::new(Mutex::new(usize::MAX));
    let seen = Arc::clone(&least);
    tokio::spawn(async move {
        loop {
            let Ok(all) = pods.list(&ListParams::default().labels("app=triton")).await else {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let ready = |pod: &&core::Pod| {
                let conditions = pod.status.as_ref().and_then(|status| status.conditions.clone());
                pod.metadata.deletion_timestamp.is_none()
                    && conditions
                        .unwrap_or_default()
                        .iter()
                        .any(|is| is.type_ == "Ready" && is.status == "True")
            };
            let count = all.items.iter().filter(ready).count();
            {
                let mut least = seen.lock().unwrap();
                *least = count.min(*least);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    least
}

/// Lines of the journal that a death is tried at; a remediation with a checkpoint has some more than ten appends.
const LINES: u64 = 12;
const AT_ONCE: usize = 4;

pub(crate) async fn killed_at_every_step_the_node_is_empty_before_the_deadline(plane: Arc<Plane>) {
    let deaths: Vec<(u64, bool)> = (1..=LINES).flat_map(|at| [(at, false), (at, true)]).collect();
    let mut died = 0;
    for some in deaths.chunks(AT_ONCE) {
        let runs: Vec<_> = some
            .iter()
            .map(|(at, after)| tokio::spawn(one(Arc::clone(&plane), *at, *after)))
            .collect();
        for run in runs {
            died += usize::from(run.await.unwrap());
        }
    }
    assert!(died >= 18, "{died} of {} daemons died on the way", deaths.len());
}

/// One life that ends at that line, if it comes so far, and one that goes on. Whether the first one died.
async fn one(plane: Arc<Plane>, at: u64, after: bool) -> bool {
    let case = format!("kill{at}{}", if after { "after" } else { "before" });
    let node = format!("{case}x1");
    plane.node(&node, &case).await;
    gang(&plane, &case, &case, 2).await;
    plane.node(&format!("{case}x2"), &case).await;
    let early = trains(&plane, &case, Duration::from_secs(2));
    let mut orders = Orders::new(&plane.directory.path().join(&case), free_port(), &rules());
    orders.kubeconfig = Some(plane.kubeconfig.clone());
    orders.death = Some(Death { stream: Stream::Outcomes.number(), at, after });
    let mut first = daemon::spawn("", &orders).await;
    let given = jiff::Timestamp::now();
    told_by_metadata(&first.url, &node, given).await;
    let url = first.url.clone();
    // It dies, or it comes to the end before it would have.
    let died = until("the first daemon dies or is done", || {
        let dead = first.dead();
        let (url, node) = (url.clone(), node.clone());
        async move {
            if dead {
                return Some(true);
            }
            let all = crate::support::incidents(&url).await;
            let done =
                |one: &Value| one["target"] == format!("node/{node}") && !one["last_end"].is_null();
            all.iter().any(done).then_some(false)
        }
    })
    .await;
    drop(first);
    orders.death = None;
    orders.port = free_port();
    let second = daemon::spawn("", &orders).await;
    let incident =
        incident_when(&second.url, &node, "remediated", |one| !one["last_end"].is_null()).await;
    assert_eq!(incident["last_end"], "succeeded", "{case}: {incident:#}");
    let record = record(&second.url, &incident).await;
    assert!(record["slack_seconds"].as_f64().unwrap() > 0.0, "{case}: {record:#}");
    assert_eq!(
        (&record["hard_killed"], &record["lost_work_seconds"]),
        (&json!(0), &json!(0)),
        "{case}: {record:#}"
    );
    assert_eq!(record["checkpoints"][0]["state"]["is"], "durable", "{case}: {record:#}");
    assert_eq!(
        *early.lock().unwrap(),
        BTreeSet::new(),
        "{case}: told to go before the checkpoint was durable"
    );
    assert!(
        plane.on_node(&node).await.iter().all(|pod| !pod.starts_with(&case)),
        "{case}: it is empty"
    );
    died
}
