//! `medevac run`: the daemon, wired to the real world.

mod args;
mod pulse;

pub(super) use args::Args;

use super::{Exit, client, logs, words};
use crate::adapters::aws;
use crate::adapters::kubernetes::{self, KubernetesControl, KubernetesLease, KubernetesView};
use crate::adapters::nats::{FEED_STREAM, FEED_SUBJECT, Nats};
use crate::adapters::{
    beyond::Beyond, evidence::Evident, pagers::Pagers, rulefiles, rulefiles::RuleFiles,
    web::WebClient,
};
use crate::api::{Gate, Readiness, Server, Site, router};
use crate::clock::{Clock, System};
use crate::cluster::{ClusterView, Custom, Follows};
use crate::config::{Config, Format, Kind, Kubernetes, LeaseKind, Settings, SubjectSource};
use crate::daemon::{self, Alone, KvLease, LeaseStore, Ports, Told, Witness};
use crate::log::{Kv, Log};
use crate::model::{Mode, Secret};
use crate::remediation::run::Hands;
use crate::rules::{self, Policy, Ruleset};
use crate::sources::{Intake, awaited, reconcile, sqs, subjects};
use crate::telemetry::{self, Metrics};
use std::{io::IsTerminal, path::PathBuf, sync::Arc};
use tokio::sync::{mpsc, watch};

pub(super) async fn run(args: Args) -> Exit {
    telemetry::log(std::io::stderr().is_terminal(), "info,async_nats=warn");
    let served = match args::configure(&args) {
        Ok(config) => serve(config).await,
        Err(exit) => Err(exit),
    };
    served.err().unwrap_or(Exit::Good)
}

/// The rules of `paths`, with every rule at most as bold as `mode`.
fn load(paths: &[PathBuf], mode: Mode, policy: &Policy) -> Result<Ruleset, Exit> {
    let sources = rulefiles::read(paths).map_err(Exit::Usage)?;
    match rules::load_under(policy, &sources, &rulefiles::secret) {
        Ok(ruleset) => {
            for warning in &ruleset.warnings {
                tracing::warn!("{}", warning.line());
            }
            Ok(ruleset.at_most(mode))
        }
        Err(faults) => {
            faults.iter().for_each(|fault| words::complain(&fault.render(false)));
            Err(Exit::Usage(format!(
                "{} faults in the rules; `medevac check` shows them too",
                faults.len()
            )))
        }
    }
}

/// Opens the log and the lease that belongs to it.
async fn serve(config: Config) -> Result<(), Exit> {
    let ruleset = load(&config.rules, config.mode, &config.settings.policy)?;
    client::http()?;
    let Some(nats) = &config.settings.nats else {
        let log = logs::open(&config.data_dir)?;
        return work(config, ruleset, log, Alone, None).await;
    };
    let log = logs::wait_for(nats).await?;
    match config.settings.lease {
        LeaseKind::Nats => {
            let lease = KvLease(log.clone());
            work(config, ruleset, log.clone(), lease, Some(log)).await
        }
        LeaseKind::Kubernetes => {
            let kube = connect(&config).await?;
            let namespace = own_pod().map_or_else(|| "default".into(), |(namespace, _)| namespace);
            let lease = KubernetesLease::new(kube, &namespace);
            work(config, ruleset, log.clone(), lease, Some(log)).await
        }
    }
}

async fn connect(config: &Config) -> Result<kube::Client, Exit> {
    kubernetes::connect(config.kubeconfig.as_deref())
        .await
        .map_err(|error| Exit::Usage(crate::model::chain(&error)))
}

async fn work<L: Log + Kv, S: LeaseStore>(
    config: Config,
    ruleset: Ruleset,
    log: L,
    lease: S,
    nats: Option<Nats>,
) -> Result<(), Exit> {
    let client = client::http()?;
    let failed = |error: &dyn std::error::Error| Exit::from_error(error);
    let server = Server::bind(config.listen, config.tls.as_ref(), &config.auth).await;
    let server = server.map_err(|e| failed(&e))?;
    let kube = connect(&config).await?;
    let view = KubernetesView::start(&kube, own_pod());
    let metrics = Metrics::default();
    crate::daemon::in_force(&metrics, &ruleset);
    let (truncated, groups) = mpsc::channel(64);
    let (cluster, truncated) = (config.cluster.clone(), Some(truncated));
    let intake = Intake { log: log.clone(), clock: System, view: view.clone(), cluster, truncated };
    let hands = hands(&config, &view, nats.as_ref(), kube, &client);
    let cloud = hands.beyond.cloud.clone();
    greet(&config, &server, ruleset.rules.len());
    let (rules, in_force) = watch::channel(Arc::new(ruleset));
    let (stop, stopped) = watch::channel(false);
    let (gate, readiness) = (Gate::new(&config.auth), Ready { view, nats: nats.clone() });
    let site = Site {
        intake: intake.clone(),
        gate,
        metrics: metrics.clone(),
        readiness,
        rules: in_force.clone(),
    };
    let policy = config.settings.policy.clone();
    let files = Bounded { files: RuleFiles::watch(&config.rules), mode: config.mode, policy };
    let peers = config.alertmanagers.clone();
    tokio::spawn(reconcile::run(groups, intake.clone(), client.clone(), peers));
    tokio::spawn(daemon::reload(files, rules, intake.clone(), metrics.clone()));
    let dispatch = Evident {
        inner: Pagers::new(client.clone(), System),
        view: hands.view.clone(),
        log: log.clone(),
        clock: System,
        client,
        config: Arc::new(config.settings.evidence.clone()),
    };
    let witness = Witness(metrics);
    let http = tokio::spawn(server.run(router(site), stopped.clone()));
    listen(&config, nats.as_ref(), &cloud, &intake, &witness).await;
    let told = told(&config)?;
    let ports = Ports { log, clock: System, hands, dispatch, lease, me: identity(), told };
    let rooms = tokio::spawn(daemon::run(ports, in_force, witness, stopped));
    signal().await;
    tracing::info!("stopping: no new requests, then the rooms");
    if stop.send(true).is_err() {
        tracing::debug!("everything had stopped already");
    }
    for task in [http, rooms] {
        task.await.map_err(|error| failed(&error))?;
    }
    Ok(())
}

/// What the daemon touches the world with. In observe mode there is nothing to touch the cluster with.
fn hands(
    config: &Config,
    view: &KubernetesView,
    nats: Option<&Nats>,
    kube: kube::Client,
    client: &reqwest::Client,
) -> Hands<KubernetesView, KubernetesControl, Beyond> {
    let control = (config.mode == Mode::Enforce).then(|| KubernetesControl::new(kube));
    let web = WebClient::new(client.clone(), config.http_hosts.clone());
    let web = web.with_nats(nats.map(Nats::client));
    let reach = &config.settings.aws;
    let cloud = aws::Cloud::new(reach.region.clone(), reach.endpoint.clone())
        .with_backup(reach.backup.clone());
    Hands { view: view.clone(), control, beyond: Beyond { web, cloud } }
}

/// Starts reading what others say: queues, agents, other people's subjects.
async fn listen<L: Log + Kv>(
    config: &Config,
    nats: Option<&Nats>,
    cloud: &aws::Cloud,
    intake: &Intake<L, System, KubernetesView>,
    witness: &Witness,
) {
    tokio::spawn(awaited::run(intake.clone()));
    let Settings { aws: reach, sources, .. } = &config.settings;
    for source in &reach.queues {
        let queue = aws::Sqs::new(cloud, &source.url, source.visibility).await;
        for _ in 0..source.receivers {
            let (queue, source) = (queue.clone(), source.clone());
            tokio::spawn(sqs::run(queue, source, intake.clone(), witness.clone()));
        }
    }
    let Some(nats) = nats else { return };
    let agents = SubjectSource {
        name: "agents".into(),
        subject: format!("{FEED_SUBJECT}.>"),
        stream: Some(FEED_STREAM.into()),
        format: Format::CloudEvents,
    };
    for source in sources.iter().cloned().chain([agents]) {
        tokio::spawn(subjects::run(nats.client(), source, intake.clone()));
    }
}

fn told(config: &Config) -> Result<Told, Exit> {
    let Kubernetes { all_events, objects } = &config.settings.kubernetes;
    let custom = |kind: &Kind| Custom {
        api_version: kind.api_version.clone(),
        kind: kind.kind.clone(),
        plural: kind.plural.clone(),
    };
    let objects = objects.iter().map(custom).collect();
    let follows = Follows { all_events: *all_events, objects, ..Follows::default() };
    let pulse = config.settings.heartbeat.as_ref().map(pulse::pulse).transpose()?;
    Ok(Told { cluster: config.cluster.clone(), follows, pulse })
}

/// The name of this replica: the pod or host, the process, and when it began. No other life had it.
fn identity() -> String {
    let host = own_pod().map(|(_, name)| name).or_else(|| std::env::var("HOSTNAME").ok());
    let host = host.unwrap_or_else(|| "localhost".into());
    format!("{host}-{}-{}", std::process::id(), System.now().as_millisecond())
}

/// The pod that this runs in, by the downward API's usual variables.
fn own_pod() -> Option<(String, String)> {
    Some((std::env::var("POD_NAMESPACE").ok()?, std::env::var("POD_NAME").ok()?))
}

fn greet(config: &Config, server: &Server, rules: usize) {
    let address = server.address().unwrap_or(config.listen);
    if config.auth.is_empty() {
        tracing::info!("no authentication is configured: listening on loopback only");
    }
    if config.mode == Mode::Observe {
        tracing::info!("observe mode: nothing is written, nobody is paged");
    }
    let log = match &config.settings.nats {
        Some(nats) => format!("NATS with {} servers", nats.servers.len()),
        None => config.data_dir.display().to_string(),
    };
    tracing::info!(%address, rules, log, "medevac runs");
}

pub(super) async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        biased;
        _ = terminate.recv() => {}
        interrupted = tokio::signal::ctrl_c() => if interrupted.is_err() { std::future::pending().await },
    }
}

#[derive(Clone)]
struct Ready {
    view: KubernetesView,
    nats: Option<Nats>,
}

impl Readiness for Ready {
    fn not_ready(&self) -> Vec<String> {
        let caches = if self.view.ready() { vec![] } else { self.view.waiting_for() };
        caches.into_iter().chain(self.nats.iter().flat_map(Nats::trouble)).collect()
    }
}

/// Reloaded rules are bound by the daemon's mode, as those of the start were.
struct Bounded {
    files: RuleFiles,
    mode: Mode,
    policy: Policy,
}

impl daemon::Files for Bounded {
    fn read(&self) -> Result<Vec<Arc<rules::Source>>, String> {
        self.files.read()
    }

    fn secret(&self, reference: &rules::SecretRef) -> Result<Secret, String> {
        self.files.secret(reference)
    }

    fn mode(&self) -> Mode {
        self.mode
    }

    fn policy(&self) -> Policy {
        self.policy.clone()
    }

    async fn changed(&mut self) {
        self.files.changed().await;
    }
}
