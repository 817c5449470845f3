//! What a real API server tells: twenty thousand events, half as many transitions of conditions, a server that dies and comes
//! back, a daemon that dies and comes back, and a history that the server has forgotten. Nothing is lost, and nothing is told
//! twice. And what becomes of pods and of objects that the configuration names.

use crate::{
    plane::Plane,
    support::{
        daemon::{self, Killable, Orders},
        free_port, nats, until,
    },
};
use k8s_openapi::api::core::v1::{Event, Node, Pod};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api,
    api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams},
};
use medevac::adapters::nats::Nats;
use medevac::log::{Log, Stream};
use serde_json::json;
use std::{collections::BTreeMap, sync::Arc};

const RULES: &str = r#"
rules:
  - {name: events, when: kubernetes.event, if: event.reason == "nobody", then: [{wait: {time: 1s}}]}
  - {name: conditions, when: kubernetes.node.condition, if: event.reason == "nobody", then: [{wait: {time: 1s}}]}
"#;
const EVENTS: usize = 20_000;
/// Transitions, of so many nodes; and those over the server's death.
const CONDITIONS: usize = 10_000;
const SHAKEN: usize = 2_000;
const TURNING: usize = 40;
/// Requests under way at the same time.
const ABREAST: usize = 48;

async fn makes(plane: &Plane, from: usize, to: usize, reason: &str) {
    let all: Vec<usize> = (from..to).collect();
    let lanes = all.chunks(all.len().div_ceil(ABREAST).max(1)).map(|lane| {
        let (api, lane, reason) =
            (Api::<Event>::namespaced(plane.client.clone(), "default"), lane.to_vec(), reason.to_owned());
        tokio::spawn(async move {
            for number in lane {
                let now = jiff::Timestamp::now();
                let event = serde_json::from_value(json!({
                    "metadata": { "name": format!("{reason}-{number}") }, "type": "Warning", "reason": reason,
                    "involvedObject": { "kind": "Node", "name": "nobody" }, "message": format!("number {number}"),
                    "firstTimestamp": now, "lastTimestamp": now, "count": 1, "source": { "component": "test" },
                }))
                .unwrap();
                until("the event is made", || async {
                    match api.create(&PostParams::default(), &event).await {
                        Ok(_) => Some(()),
                        Err(kube::Error::Api(status)) if status.reason == "AlreadyExists" => Some(()),
                        Err(_) => None,
                    }
                })
                .await;
            }
        })
    });
    for lane in lanes.collect::<Vec<_>>() {
        lane.await.unwrap();
    }
}

/// A condition of each node changes again and again: another reason each time, one after the other.
async fn turns(plane: &Plane, condition: &str, transitions: usize) {
    let lanes = (0..TURNING).map(|node| {
        let api: Api<Node> = Api::all(plane.client.clone());
        let (name, condition) = (format!("fed-{node}"), condition.to_owned());
        tokio::spawn(async move {
            for number in 0..transitions / TURNING {
                let now = jiff::Timestamp::now();
                let patch = json!({ "status": { "conditions": [{
                    "type": condition, "status": if number % 2 == 0 { "True" } else { "False" },
                    "reason": format!("Turn{number}"), "message": format!("{name} {number}"),
                    "lastTransitionTime": now, "lastHeartbeatTime": now,
                }] } });
                until("the condition turns", || async {
                    api.patch_status(&name, &PatchParams::default(), &Patch::Strategic(&patch))
                        .await
                        .ok()
                })
                .await;
            }
        })
    });
    for lane in lanes.collect::<Vec<_>>() {
        lane.await.unwrap();
    }
}

/// How often each message of a reason, or of a condition, stands in the log.
struct Tally {
    of: String,
    after: u64,
    all: BTreeMap<String, usize>,
}

impl Tally {
    fn new(of: &str) -> Tally {
        Tally { of: of.into(), after: 0, all: BTreeMap::new() }
    }

    /// Goes on where it was.
    async fn read<L: Log>(&mut self, log: &L) -> &BTreeMap<String, usize> {
        loop {
            let page = log.read(self.after, &[Stream::Events], 2000).await.unwrap();
            for record in &page {
                self.after = record.seq;
                let body: serde_json::Value = serde_json::from_slice(&record.body).unwrap();
                let data = &body["data"]["payload"];
                if data["reason"] == self.of || data["condition"] == self.of {
                    *self.all.entry(data["message"].as_str().unwrap().to_owned()).or_default() += 1;
                }
            }
            if page.len() < 2000 {
                return &self.all;
            }
        }
    }

    /// Waits until that holds of what has been told.
    async fn until<L: Log>(
        &mut self,
        log: &L,
        what: &str,
        holds: impl Fn(&BTreeMap<String, usize>) -> bool,
    ) {
        for _ in 0..1200 {
            if holds(self.read(log).await) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        panic!("in vain: {what}; {} of {} have been told", self.all.len(), self.of);
    }
}

async fn told<L: Log>(log: &L, reason: &str) -> BTreeMap<String, usize> {
    let mut tally = Tally::new(reason);
    tally.read(log).await.clone()
}

async fn each_once<L: Log>(log: &L, reason: &str, wanted: usize) {
    let mut tally = Tally::new(reason);
    tally.until(log, "everything is told", |all| all.len() >= wanted).await;
    let all = tally.read(log).await;
    let twice: Vec<&String> =
        all.iter().filter(|(_, count)| **count > 1).map(|(it, _)| it).take(5).collect();
    assert!(twice.is_empty(), "told twice: {twice:?}");
    assert_eq!(all.len(), wanted, "{reason}");
}

async fn start(plane: &Plane, server: &nats::Server) -> Killable {
    let mut orders = Orders::new(plane.directory.path(), free_port(), RULES);
    orders.kubeconfig = Some(plane.kubeconfig.clone());
    orders.nats = vec![server.url()];
    daemon::spawn("feeds", &orders).await
}

/// The condition of a node that says which GPU is ill.
async fn ill(plane: &Plane, node: &str, reason: &str, message: &str) {
    let api: Api<Node> = Api::all(plane.client.clone());
    let now = jiff::Timestamp::now();
    let patch = json!({ "status": { "conditions": [{
        "type": "GPUHealthy", "status": "False", "reason": reason, "message": message,
        "lastTransitionTime": now, "lastHeartbeatTime": now,
    }] } });
    until("the condition is set", || async {
        api.patch_status(node, &PatchParams::default(), &Patch::Strategic(&patch)).await.ok()
    })
    .await;
}

pub(crate) async fn twenty_thousand_events_are_told_once_over_every_restart(plane: Arc<Plane>) {
    std::fs::create_dir_all(plane.directory.path().join("feeds")).unwrap();
    let server = nats::single(&plane.directory.path().join("feeds"), "");
    let log = nats::connect(&nats::options(&[&server])).await;
    for number in 0..TURNING {
        plane.node(&format!("fed-{number}"), "fed").await;
    }
    makes(&plane, 0, 20, "Before").await;
    let mut daemon = start(&plane, &server).await;
    // What was there before it came for the first time is history.
    let mut tries = 0;
    until("it listens", || {
        tries += 1;
        let (plane, log) = (&plane, &log);
        async move {
            makes(plane, tries, tries + 1, "Listening").await;
            (!told(log, "Listening").await.is_empty()).then_some(())
        }
    })
    .await;
    assert!(told(&log, "Before").await.is_empty());
    // The API server is killed, and started again, while they are made.
    let (making, dying) = (Arc::clone(&plane), Arc::clone(&plane));
    turns(&plane, "Turning", CONDITIONS).await;
    each_once(&log, "Turning", CONDITIONS).await;
    let making = tokio::spawn(async move {
        tokio::join!(makes(&making, 0, EVENTS, "Storm"), turns(&making, "Shaken", SHAKEN));
    });
    Tally::new("Storm").until(&log, "a part is told", |all| all.len() > EVENTS / 10).await;
    dying.restart_api_server().await;
    ill(&plane, "fed-0", "Xid", "during").await;
    making.await.unwrap();
    each_once(&log, "Storm", EVENTS).await;
    // What a node was in between is nowhere once the server has forgotten; what it is at last is told.
    let last = |node: usize| format!("fed-{node} {}", SHAKEN / TURNING - 1);
    let at_last =
        |all: &BTreeMap<String, usize>| (0..TURNING).all(|node| all.contains_key(&last(node)));
    Tally::new("Shaken").until(&log, "how every node is at last is told", at_last).await;
    assert!(told(&log, "Shaken").await.values().all(|count| *count == 1));
    each_once(&log, "Xid", 1).await;
    daemon.kill();
    away(&plane, &server, &log).await;
}

/// The daemon is away: it goes on where it was, also where the server has forgotten that.
async fn away(plane: &Arc<Plane>, server: &nats::Server, log: &Nats) {
    makes(plane, 0, 300, "Away").await;
    ill(plane, "fed-1", "XidAway", "one").await;
    let mut daemon = start(plane, server).await;
    each_once(log, "Away", 300).await;
    each_once(log, "XidAway", 1).await;
    assert_eq!(told(log, "Storm").await.len(), EVENTS);
    daemon.kill();
    makes(plane, 0, 300, "Forgotten").await;
    ill(plane, "fed-2", "XidForgotten", "two").await;
    plane.forget().await;
    let _daemon = start(plane, server).await;
    each_once(log, "Forgotten", 300).await;
    each_once(log, "XidForgotten", 1).await;
    for (reason, count) in
        [("Storm", EVENTS), ("Turning", CONDITIONS), ("Away", 300), ("Xid", 1), ("XidAway", 1)]
    {
        each_once(log, reason, count).await;
    }
    assert!(told(log, "Before").await.is_empty());
}

const TOLD: &str = r#"
rules:
  - {name: pods, when: kubernetes.pod.phase, if: event.reason == "nobody", then: [{wait: {time: 1s}}]}
  - {name: objects, when: kubernetes.object, if: event.reason == "nobody", then: [{wait: {time: 1s}}]}
"#;

/// Whether the log has that reason, told of that.
async fn hears<L: Log>(log: &L, subject: &str, reason: &str) -> Option<()> {
    let all = log.read(0, &[Stream::Events], 10_000).await.unwrap();
    let is_it = |body: &[u8]| {
        let body: serde_json::Value = serde_json::from_slice(body).unwrap();
        body["subject"] == subject && body["data"]["payload"]["reason"] == reason
    };
    all.iter().any(|record| is_it(&record.body)).then_some(())
}

/// A pod that the real scheduler has no node for, until there is one; one that is deleted before; and an object of a kind that
/// the configuration names.
pub(crate) async fn pods_and_objects_tell_what_becomes_of_them(plane: Arc<Plane>) {
    let kind = json!({
        "metadata": { "name": "externalsecrets.external-secrets.io" },
        "spec": { "group": "external-secrets.io", "scope": "Namespaced",
            "names": { "kind": "ExternalSecret", "singular": "externalsecret", "plural": "externalsecrets" },
            "versions": [{ "name": "v1", "served": true, "storage": true, "schema": { "openAPIV3Schema": {
                "type": "object", "x-kubernetes-preserve-unknown-fields": true } } }] },
    });
    let kinds: Api<CustomResourceDefinition> = Api::all(plane.client.clone());
    kinds.create(&PostParams::default(), &serde_json::from_value(kind).unwrap()).await.unwrap();
    let gvk = GroupVersionKind::gvk("external-secrets.io", "v1", "ExternalSecret");
    let of = ApiResource::from_gvk(&gvk);
    let secrets: Api<DynamicObject> = Api::namespaced_with(plane.client.clone(), "default", &of);
    until("the kind is served", || async { secrets.list(&Default::default()).await.ok() }).await;
    let mut orders = Orders::new(&plane.directory.path().join("told"), 0, TOLD);
    orders.kubeconfig = Some(plane.kubeconfig.clone());
    orders.objects =
        vec![("external-secrets.io/v1".into(), "ExternalSecret".into(), "externalsecrets".into())];
    let daemon = daemon::start(&orders, daemon::Door::default()).await;
    let pod = |name: String, case: &str| {
        plane.create::<Pod>(json!({ "metadata": { "name": name },
            "spec": { "nodeSelector": { "case": case }, "containers": [{ "name": "c", "image": "i" }] } }))
    };
    // What is there when it comes for the first time is history: the first that is told tells that it listens.
    let mut tries = 0;
    let waits = until("a pod without a node is told", || {
        tries += 1;
        let (name, log) = (format!("told-{tries}"), &daemon.log);
        let made = pod(name.clone(), "told");
        async move {
            made.await;
            tokio::time::sleep(std::time::Duration::from_millis(500)).await;
            let subject = format!("pod/default/{name}");
            hears(log, &subject, "Unschedulable").await.map(|()| subject)
        }
    })
    .await;
    pod("untold".into(), "nowhere").await;
    until("the other one is told", || hears(&daemon.log, "pod/default/untold", "Unschedulable"))
        .await;
    let pods: Api<Pod> = Api::namespaced(plane.client.clone(), "default");
    pods.delete("untold", &Default::default()).await.unwrap();
    until("it is gone", || hears(&daemon.log, "pod/default/untold", "Deleted")).await;
    plane.node("told-node", "told").await;
    until("it has a node", || hears(&daemon.log, &waits, "Scheduled")).await;
    let mut tries = 0;
    until("a secret that does not come is told", || {
        tries += 1;
        let (name, log, secrets) = (format!("db-{tries}"), &daemon.log, &secrets);
        let condition = json!({ "type": "Ready", "status": "False", "reason": "SecretSyncedError",
            "message": "denied", "lastTransitionTime": jiff::Timestamp::now() });
        let object = json!({ "apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret",
            "metadata": { "name": name }, "status": { "conditions": [condition] } });
        async move {
            let object = serde_json::from_value(object).unwrap();
            secrets.create(&PostParams::default(), &object).await.unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(500)).await;
            hears(log, &format!("externalsecret/default/{name}"), "SecretSyncedError").await
        }
    })
    .await;
}
