//! A daemon for tests: in this process, or in a child that can be killed.

use super::{
    client,
    dying::{Death, Dying},
    until,
};
use medevac::adapters::embedded::{Embedded, Options};
use medevac::adapters::kubernetes::{self, KubernetesControl, KubernetesView};
use medevac::adapters::nats::{self, Nats};
use medevac::adapters::{aws, beyond::Beyond, pagers::Pagers, web::WebClient};
use medevac::api::{Gate, Readiness, Server, Site, router};
use medevac::clock::{Clock, System};
use medevac::cluster::{ClusterControl, ClusterView, Custom, Follows};
use medevac::config::{Auth, Tls};
use medevac::daemon::{self, Alone, Beat, KvLease, LeaseStore, Ports, Pulse, Told, Witness};
use medevac::log::{Kv, Log};
use medevac::model::{Mode, Secret};
use medevac::remediation::run::Hands;
use medevac::rules::{self, Ruleset, Source};
use medevac::simulation::world::{App, Budget, Market, Pool};
use medevac::simulation::{Practice, World};
use medevac::sources::{Intake, awaited, reconcile, sqs};
use medevac::telemetry::Metrics;
use serde::{Deserialize, Serialize};
use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};
use tokio::sync::{mpsc, watch};

/// What a child is told.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Orders {
    pub(crate) directory: PathBuf,
    pub(crate) port: u16,
    pub(crate) rules: String,
    pub(crate) death: Option<Death>,
    pub(crate) alertmanager: Option<String>,
    /// `None`: a practice cluster of four nodes.
    pub(crate) kubeconfig: Option<PathBuf>,
    pub(crate) observe: bool,
    /// The log is on these servers, and there are other replicas.
    pub(crate) nats: Vec<String>,
    /// Hosts that `http` steps may call, besides this one without a port.
    pub(crate) hosts: Vec<String>,
    /// SQS queues that it reads: where the service is, and the queue's URL.
    pub(crate) queues: Vec<(String, String)>,
    /// Where its own calls to AWS go.
    pub(crate) aws: Option<String>,
    /// Kinds whose conditions are told: version, kind and plural.
    pub(crate) objects: Vec<(String, String, String)>,
    /// Where it says that it lives, five times a second.
    pub(crate) beats: Option<String>,
    /// Of this replica; its process tells it where it is empty.
    pub(crate) name: String,
}

impl Orders {
    pub(crate) fn new(directory: &Path, port: u16, rules: &str) -> Orders {
        Orders {
            directory: directory.into(),
            port,
            rules: rules.into(),
            death: None,
            alertmanager: None,
            kubeconfig: None,
            observe: false,
            nats: vec![],
            hosts: vec![],
            queues: vec![],
            aws: None,
            objects: vec![],
            beats: None,
            name: String::new(),
        }
    }
}

impl Orders {
    fn follows(&self) -> Follows {
        let custom = |(api_version, kind, plural): (String, String, String)| Custom {
            api_version,
            kind,
            plural,
        };
        let objects = self.objects.iter().cloned().map(custom).collect();
        Follows { objects, ..Follows::default() }
    }
}

fn pulse(url: String) -> Pulse {
    let beat: Beat = Arc::new(move || {
        let asked = client().post(&url).send();
        Box::pin(async move { asked.await.map(|_| ()).map_err(|error| error.to_string()) })
    });
    Pulse { every: Duration::from_millis(200), beat }
}

/// Instead of a text: the packs that ship.
pub(crate) const PACKS: &str = "the packs";

pub(crate) fn ruleset(text: &str) -> Ruleset {
    let packs = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/rules"));
    let sources = match text == PACKS {
        true => medevac::adapters::rulefiles::read(&[packs]).unwrap(),
        false => vec![Arc::new(Source { path: "test.yaml".into(), text: text.into() })],
    };
    rules::load(&sources, &|_| Ok(Secret::new("test-secret"))).unwrap_or_else(|faults| {
        panic!("{}", faults.iter().map(rules::Diagnostic::line).collect::<Vec<_>>().join("\n"))
    })
}

/// Four nodes, `n1` to `n4`, with six pods.
pub(crate) fn world() -> World {
    let mut world = World::new(System.now());
    world.add_pool(Pool {
        name: "training".into(),
        prefix: "n".into(),
        nodes: 4,
        zones: vec!["z".into()],
        market: Market::Spot,
        slots: 6,
        labels: [("workload".to_owned(), "training".to_owned())].into(),
        ..Pool::default()
    });
    world.add_app(App {
        namespace: "ns".into(),
        name: "app".into(),
        replicas: 6,
        pools: vec!["training".into()],
        budgets: vec![Budget::MinAvailable(3)],
        starts_in: Duration::from_millis(900),
        stops_in: Duration::from_secs(1),
        grace: 5,
        ..App::default()
    });
    world
}

#[derive(Clone)]
struct Ready<V>(V);

impl<V: ClusterView> Readiness for Ready<V> {
    fn not_ready(&self) -> Vec<String> {
        if self.0.ready() { vec![] } else { vec!["caches".into()] }
    }
}

/// A daemon in this process. It ends with the test.
pub(crate) struct Running<L = Dying> {
    pub(crate) url: String,
    pub(crate) log: L,
    pub(crate) rules: watch::Sender<Arc<Ruleset>>,
    pub(crate) metrics: Metrics,
    _stop: watch::Sender<bool>,
}

impl<L> Running<L> {
    /// Waits until its caches are complete.
    pub(crate) async fn ready(&self) {
        super::until("the caches are complete", || async {
            super::get(&format!("{}/readyz", self.url)).await.filter(|body| body["ready"] == true)
        })
        .await;
    }
}

#[derive(Default)]
pub(crate) struct Door {
    pub(crate) auth: Auth,
    pub(crate) tls: Option<Tls>,
}

pub(crate) async fn start(orders: &Orders, door: Door) -> Running {
    let log = Embedded::open(&orders.directory, Options::default(), System).unwrap();
    let log = Dying::new(log, orders.death);
    match &orders.kubeconfig {
        Some(kubeconfig) => {
            client();
            let kube = kubernetes::connect(Some(kubeconfig)).await.unwrap();
            let (view, control) =
                (KubernetesView::start(&kube, None), KubernetesControl::new(kube));
            serve(orders, door, log, Alone, view, control).await
        }
        None => {
            let practice = Practice::new(world(), System);
            tokio::spawn(practice.clone().run());
            serve(orders, door, log, Alone, practice.clone(), practice).await
        }
    }
}

/// One of several replicas on NATS; without a cluster, with a practice cluster of its own.
async fn replica(orders: &Orders) -> Running<Nats> {
    client();
    let options = nats::Options {
        servers: orders.nats.clone(),
        replicas: if orders.nats.len() > 1 { 3 } else { 1 },
        views: Duration::ZERO,
        ..nats::Options::default()
    };
    let log = super::nats::connect(&options).await;
    let lease = KvLease(log.clone());
    if let Some(kubeconfig) = &orders.kubeconfig {
        let kube = kubernetes::connect(Some(kubeconfig)).await.unwrap();
        let (view, control) = (KubernetesView::start(&kube, None), KubernetesControl::new(kube));
        return serve(orders, Door::default(), log, lease, view, control).await;
    }
    let practice = Practice::new(world(), System);
    tokio::spawn(practice.clone().run());
    serve(orders, Door::default(), log, lease, practice.clone(), practice).await
}

pub(crate) async fn serve<L: Log + Kv, S: LeaseStore, V: ClusterView, K: ClusterControl>(
    orders: &Orders,
    door: Door,
    log: L,
    lease: S,
    view: V,
    control: K,
) -> Running<L> {
    let http = client();
    let server = Server::bind(([127, 0, 0, 1], orders.port).into(), door.tls.as_ref(), &door.auth)
        .await
        .unwrap();
    let scheme = if door.tls.is_some() { "https" } else { "http" };
    let url = format!("{scheme}://localhost:{}", server.address().unwrap().port());
    let mode = if orders.observe { Mode::Observe } else { Mode::Enforce };
    let (rules, in_force) = watch::channel(Arc::new(ruleset(&orders.rules).at_most(mode)));
    let (stop, stopped) = watch::channel(false);
    let (truncated, groups) = mpsc::channel(16);
    let metrics = Metrics::default();
    let intake = Intake {
        log: log.clone(),
        clock: System,
        view: view.clone(),
        cluster: None,
        truncated: Some(truncated),
    };
    let site = Site {
        intake: intake.clone(),
        gate: Gate::new(&door.auth),
        metrics: metrics.clone(),
        readiness: Ready(view.clone()),
        rules: in_force.clone(),
    };
    let cloud = match &orders.aws {
        Some(endpoint) => super::moto::cloud(endpoint).await,
        None => aws::Cloud::default(),
    };
    let own = ["127.0.0.1".to_owned(), "localhost".to_owned()];
    let hosts = own.into_iter().chain(orders.hosts.iter().cloned()).collect();
    let ports = Ports {
        log: log.clone(),
        clock: System,
        hands: Hands {
            view,
            control: (!orders.observe).then_some(control),
            beyond: Beyond { web: WebClient::new(http.clone(), hosts), cloud: cloud.clone() },
        },
        dispatch: Pagers::new(http.clone(), System),
        lease,
        me: match orders.name.as_str() {
            "" => format!("replica-{}", std::process::id()),
            name => name.to_owned(),
        },
        told: Told {
            cluster: None,
            follows: orders.follows(),
            pulse: orders.beats.clone().map(pulse),
        },
    };
    let peers = orders.alertmanager.iter().cloned().collect();
    tokio::spawn(reconcile::run(groups, intake.clone(), http, peers));
    for (endpoint, url) in &orders.queues {
        let source = super::moto::source(url);
        let cloud = super::moto::cloud(endpoint).await;
        let queue = aws::Sqs::new(&cloud, url, source.visibility).await;
        tokio::spawn(sqs::run(queue, source, intake.clone(), Witness(metrics.clone())));
    }
    tokio::spawn(awaited::run(intake));
    tokio::spawn(server.run(router(site), stopped.clone()));
    tokio::spawn(daemon::run(ports, in_force, Witness(metrics.clone()), stopped));
    Running { url, log, rules, metrics, _stop: stop }
}

/// A daemon in a child process: killed when dropped.
pub(crate) struct Killable {
    child: Child,
    pub(crate) url: String,
}

const ORDERS: &str = "MEDEVAC_TEST_ORDERS";

/// Starts this test binary again, as the daemon that `orders` describe. `test` is the path of the test
/// function that calls [`child`].
pub(crate) async fn spawn(test: &str, orders: &Orders) -> Killable {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(ORDERS, serde_json::to_string(orders).unwrap())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let url = format!("http://127.0.0.1:{}", orders.port);
    let mut killable = Killable { child, url };
    let health = format!("{}/readyz", killable.url);
    // A daemon that dies at its start answers nobody: that is what was ordered.
    until("the child is ready or dead", || {
        let dead = killable.dead();
        let health = health.clone();
        async move {
            let ready = client()
                .get(health)
                .send()
                .await
                .is_ok_and(|response| response.status().is_success());
            (ready || dead).then_some(())
        }
    })
    .await;
    killable
}

impl Killable {
    pub(crate) fn dead(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    pub(crate) async fn died(&mut self) {
        until("the child dies as it was ordered to", || {
            let dead = self.dead();
            async move { dead.then_some(()) }
        })
        .await;
    }

    pub(crate) fn signal(&self, word: &str) {
        let pid = self.pid().to_string();
        assert!(Command::new("kill").args([word, &pid]).status().unwrap().success());
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Killable {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            self.kill();
        }
    }
}

/// The child's life: call it from a test function of its own.
pub(crate) async fn child() {
    let Ok(orders) = std::env::var(ORDERS) else { return };
    let level = std::env::var("MEDEVAC_TEST_LOG").unwrap_or_else(|_| "error".into());
    medevac::telemetry::log(true, &level);
    let orders: Orders = serde_json::from_str(&orders).unwrap();
    if orders.nats.is_empty() {
        let _running = start(&orders, Door::default()).await;
        return std::future::pending().await;
    }
    let _running = replica(&orders).await;
    std::future::pending().await
}
