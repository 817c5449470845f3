//! The stage: the daemon and its practice cluster, and what the show needs to know of them.

use super::super::Exit;
use crate::adapters::embedded::{Embedded, Options};
use crate::adapters::{aws::Cloud, beyond::Beyond, pagers::Pagers, web::WebClient};
use crate::api::{Gate, Readiness, Server, Site, router};
use crate::clock::{Clock, System};
use crate::config::Auth;
use crate::daemon::{self, Alone, Ports, Witness};
use crate::log::{Log, Stream};
use crate::model::{Outcome, PageKind, PageStep, Secret};
use crate::remediation::run::Hands;
use crate::rules::{self, Source};
use crate::simulation::world::{App, Asked, Budget, Checkpoint, Kind, Market, Pool};
use crate::simulation::{Practice, World};
use crate::sources::Intake;
use crate::telemetry::Metrics;
use jiff::Timestamp;
use serde_json::Value;
use std::{path::PathBuf, sync::Arc, time::Duration};
use tokio::{sync::watch, task::JoinSet};

const RULES: &str = include_str!("rules.yaml");

pub(super) struct Stage {
    pub(super) log: Embedded,
    pub(super) practice: Practice<System>,
    pub(super) url: String,
    pub(super) directory: PathBuf,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

#[derive(Clone)]
struct Always;

impl Readiness for Always {
    fn not_ready(&self) -> Vec<String> {
        vec![]
    }
}

/// A cluster that has run for a while: everything is where it belongs.
fn world(now: Timestamp) -> World {
    let start = now.checked_sub(Duration::from_secs(5)).unwrap_or(now);
    let mut world = World::new(start);
    let mut pool = |name: &str, nodes: u32, market, workload: &str| {
        world.add_pool(Pool {
            name: name.into(),
            nodes,
            zones: ["eu-west-1a", "eu-west-1b", "eu-west-1c"].map(String::from).to_vec(),
            instance_type: "p4d.24xlarge".into(),
            market,
            slots: 6,
            labels: [("workload".to_owned(), workload.to_owned())].into(),
            ..Pool::default()
        });
    };
    pool("spot-training-a", 7, Market::Spot, "training");
    pool("spot-training-b", 7, Market::Spot, "training");
    pool("inference", 6, Market::OnDemand, "inference");
    let app = |namespace: &str, name: &str, replicas, pools: &[&str], min_available| App {
        namespace: namespace.into(),
        name: name.into(),
        replicas,
        pools: pools.iter().map(|pool| (*pool).to_owned()).collect(),
        budgets: vec![Budget::MinAvailable(min_available)],
        grace: 30,
        starts_in: Duration::from_millis(900),
        stops_in: Duration::from_secs(1),
        ..App::default()
    };
    world.add_app(app("training", "llm-pretrain", 28, &["spot-training-a", "spot-training-b"], 20));
    world.add_app(app("training", "eval", 14, &["spot-training-b", "spot-training-a"], 10));
    world.add_app(App {
        kind: Kind::Gang,
        budgets: vec![],
        // It saves its work only when it is asked for it.
        checkpoint: Some(Checkpoint {
            every: Duration::from_secs(86_400),
            takes: Duration::from_secs(4),
            on_stop: false,
            asked: Some(Asked::Annotation),
            fails: false,
        }),
        ..app("training", "mixture", 7, &["spot-training-b"], 0)
    });
    world.add_app(app("inference", "triton", 10, &["inference"], 8));
    world.add_app(app("inference", "license-server", 1, &["inference"], 1));
    world.pass(now);
    let (running, _) = world.health();
    world.take_told();
    world.tell(format!("{running} pods run on 20 nodes"));
    world
}

impl Stage {
    pub(super) async fn build(client: reqwest::Client) -> Result<Stage, Exit> {
        let failed = |error: &dyn std::error::Error| Exit::from_error(error);
        let directory = std::env::temp_dir().join(format!("medevac-demo-{}", std::process::id()));
        let log = Embedded::open(&directory, Options::default(), System).map_err(|e| failed(&e))?;
        let practice = Practice::new(world(System.now()), System);
        let source = Arc::new(Source { path: "demo/rules.yaml".into(), text: RULES.into() });
        let ruleset = rules::load(&[source], &|_| Ok(Secret::new("unused"))).map_err(|faults| {
            Exit::Failed(faults.iter().map(rules::Diagnostic::line).collect::<Vec<_>>().join("\n"))
        })?;
        let (stop, stopped) = watch::channel(false);
        let (_keep, in_force) = watch::channel(Arc::new(ruleset));
        let metrics = Metrics::default();
        let auth = Auth::default();
        let server =
            Server::bind(([127, 0, 0, 1], 0).into(), None, &auth).await.map_err(|e| failed(&e))?;
        let url = format!("http://{}", server.address().map_err(|e| failed(&e))?);
        let intake = Intake {
            log: log.clone(),
            clock: System,
            view: practice.clone(),
            cluster: None,
            truncated: None,
        };
        let site = Site {
            intake,
            gate: Gate::new(&auth),
            metrics: metrics.clone(),
            readiness: Always,
            rules: in_force.clone(),
        };
        let ports = Ports {
            log: log.clone(),
            clock: System,
            hands: Hands {
                view: practice.clone(),
                control: Some(practice.clone()),
                beyond: Beyond {
                    web: WebClient::new(client.clone(), std::collections::BTreeSet::new()),
                    cloud: Cloud::default(),
                },
            },
            dispatch: Pagers::new(client, System),
            lease: Alone,
            me: "alone".into(),
            told: daemon::Told::default(),
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(practice.clone().run());
        tasks.spawn(server.run(router(site), stopped.clone()));
        tasks.spawn(daemon::run(ports, in_force, Witness(metrics), stopped));
        Ok(Stage { log, practice, url, directory, stop, tasks })
    }

    /// Ends the show and takes the temporary log away.
    pub(super) async fn strike(mut self) {
        self.stop.send_replace(true);
        self.tasks.shutdown().await;
        let directory = self.directory.clone();
        drop(self);
        if let Err(error) = std::fs::remove_dir_all(&directory) {
            tracing::debug!(%error, "the temporary log stays where it is");
        }
    }

    /// Notes the beginning of an act, for the screen.
    pub(super) fn announce(&self, number: &str, what: &str) {
        self.practice.world().tell(format!("\u{1}{number}\u{1}{what}"));
    }

    pub(super) async fn post(
        &self,
        client: &reqwest::Client,
        path: &str,
        content: &str,
        body: &Value,
    ) -> Result<(), Exit> {
        let request = client.post(format!("{}{path}", self.url)).header("Content-Type", content);
        let response = request
            .body(body.to_string())
            .send()
            .await
            .map_err(|error| Exit::from_error(&error))?;
        match response.status().is_success() {
            true => Ok(()),
            false => Err(Exit::Failed(format!("{path} answered {}", response.status()))),
        }
    }

    pub(super) async fn incidents(&self, client: &reqwest::Client) -> Vec<Value> {
        let Ok(response) = client.get(format!("{}/api/v1/incidents", self.url)).send().await else {
            return vec![];
        };
        let body: Value = response.json().await.unwrap_or_default();
        body["incidents"].as_array().cloned().unwrap_or_default()
    }

    async fn find(&self, client: &reqwest::Client, node: &str) -> Option<Value> {
        let target = format!("node/{node}");
        self.incidents(client).await.into_iter().find(|one| one["target"] == *target)
    }

    pub(super) async fn state_of(&self, client: &reqwest::Client, node: &str) -> Option<String> {
        self.find(client, node).await?["state"].as_str().map(str::to_owned)
    }

    pub(super) async fn incident_of(&self, client: &reqwest::Client, node: &str) -> Option<String> {
        self.find(client, node).await?["id"].as_str().map(str::to_owned)
    }

    pub(super) async fn remediated(&self, client: &reqwest::Client, node: &str) -> bool {
        self.find(client, node).await.is_some_and(|one| one["last_end"] == "succeeded")
    }

    /// Pages that somebody was reached by.
    pub(super) async fn pages_delivered(&self) -> usize {
        let records = self.log.read(0, &[Stream::Outcomes], 10_000).await.unwrap_or_default();
        let delivered = |record: &&crate::log::Record| match record
            .open::<Outcome>()
            .map(|envelope| envelope.data)
        {
            Ok(Outcome::Page { step: PageStep::Delivered { key, .. }, .. }) => {
                key.kind == PageKind::Trigger
            }
            _ => false,
        };
        records.iter().filter(delivered).count()
    }
}
