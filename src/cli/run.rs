//! `medevac run`: the daemon, wired to the real world.

use super::{Exit, client, words};
use crate::adapters::embedded::{Embedded, Options};
use crate::adapters::kubernetes::{self, KubernetesControl, KubernetesView};
use crate::adapters::{pagers::Pagers, rulefiles, rulefiles::RuleFiles, web::WebClient};
use crate::api::{Gate, Readiness, Server, Site, router};
use crate::clock::System;
use crate::cluster::ClusterView;
use crate::config::{Auth, Config, Tls};
use crate::daemon::{self, Ports, Witness};
use crate::model::{Mode, Secret};
use crate::remediation::run::Hands;
use crate::rules::{self, Ruleset};
use crate::sources::{Intake, reconcile};
use crate::telemetry::{self, Metrics};
use std::{
    io::IsTerminal,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::sync::{mpsc, watch};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Rule files, or directories of them. May be given several times.
    #[arg(
        long,
        env = "MEDEVAC_RULES",
        required = true,
        value_delimiter = ',',
        value_name = "PATH"
    )]
    rules: Vec<PathBuf>,
    /// Where the embedded log lives.
    #[arg(long, env = "MEDEVAC_DATA_DIR", default_value = "medevac-data", value_name = "DIR")]
    data_dir: PathBuf,
    /// Where to listen. Beyond loopback, callers have to say who they are.
    #[arg(long, env = "MEDEVAC_LISTEN", default_value = "127.0.0.1:9095", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Default: KUBECONFIG, then the pod's own account.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// `observe` decides and records, and never writes.
    #[arg(long, env = "MEDEVAC_MODE", value_enum, default_value = "enforce")]
    mode: RunMode,
    /// The name of this cluster, for events that carry none.
    #[arg(long, env = "MEDEVAC_CLUSTER", value_name = "NAME")]
    cluster: Option<String>,
    /// File with bearer tokens, one a line: any of them is accepted.
    #[arg(long, env = "MEDEVAC_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// File with `user:password` lines, for basic authentication.
    #[arg(long, env = "MEDEVAC_BASIC_FILE", value_name = "FILE")]
    basic_file: Option<PathBuf>,
    /// Certificate chain to serve TLS with, PEM.
    #[arg(long, requires = "tls_key", value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    #[arg(long, requires = "tls_cert", value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// Authority whose client certificates are known, PEM.
    #[arg(long, requires = "tls_cert", value_name = "FILE")]
    client_ca: Option<PathBuf>,
    /// DNS name of a client certificate that is let in. May be given several times.
    #[arg(long, value_name = "NAME")]
    client_name: Vec<String>,
    /// Base URL of Alertmanager, asked about groups whose body was truncated. Every peer.
    #[arg(long, env = "MEDEVAC_ALERTMANAGER", value_delimiter = ',', value_name = "URL")]
    alertmanager: Vec<String>,
    /// Host that `http` steps may call. May be given several times.
    #[arg(long, env = "MEDEVAC_HTTP_HOSTS", value_delimiter = ',', value_name = "HOST[:PORT]")]
    http_host: Vec<String>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum RunMode {
    Enforce,
    Observe,
}

pub(super) async fn run(args: Args) -> Exit {
    telemetry::log(std::io::stderr().is_terminal(), "info");
    let served = match configure(&args) {
        Ok(config) => serve(config).await,
        Err(exit) => Err(exit),
    };
    served.err().unwrap_or(Exit::Good)
}

fn configure(args: &Args) -> Result<Config, Exit> {
    let lines = |path: &Option<PathBuf>| -> Result<Vec<String>, Exit> {
        let Some(path) = path else { return Ok(vec![]) };
        let text = std::fs::read_to_string(path)
            .map_err(|error| Exit::Usage(format!("cannot read {}: {error}", path.display())))?;
        let lines: Vec<String> = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .map(str::to_owned)
            .collect();
        if lines.is_empty() {
            return Err(Exit::Usage(format!("there is nothing in {}", path.display())));
        }
        Ok(lines)
    };
    let pair = |line: String| match line.split_once(':') {
        Some((user, word)) => Ok((user.to_owned(), Secret::new(word))),
        None => Err(Exit::Usage("a line of --basic-file is `user:password`".into())),
    };
    let auth = Auth {
        tokens: lines(&args.token_file)?.into_iter().map(Secret::new).collect(),
        basic: lines(&args.basic_file)?.into_iter().map(pair).collect::<Result<_, _>>()?,
        client_names: args.client_name.clone(),
    };
    let tls = args.tls_cert.clone().zip(args.tls_key.clone());
    let config = Config {
        rules: args.rules.clone(),
        data_dir: args.data_dir.clone(),
        listen: args.listen,
        auth,
        tls: tls.map(|(certificate, key)| Tls {
            certificate,
            key,
            client_ca: args.client_ca.clone(),
        }),
        kubeconfig: args.kubeconfig.clone(),
        mode: match args.mode {
            RunMode::Enforce => Mode::Enforce,
            RunMode::Observe => Mode::Observe,
        },
        cluster: args.cluster.clone(),
        alertmanagers: args.alertmanager.clone(),
        http_hosts: args.http_host.iter().cloned().collect(),
    };
    config.check().map_err(|bad| Exit::Usage(bad.to_string()))?;
    Ok(config)
}

/// The rules of `paths`, with every rule at most as bold as `mode`.
fn load(paths: &[PathBuf], mode: Mode) -> Result<Ruleset, Exit> {
    let sources = rulefiles::read(paths).map_err(Exit::Usage)?;
    match rules::load(&sources, &rulefiles::secret) {
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

async fn serve(config: Config) -> Result<(), Exit> {
    let ruleset = load(&config.rules, config.mode)?;
    let client = client::http()?;
    let failed = |error: &dyn std::error::Error| Exit::from_error(error);
    let log = open(&config.data_dir)?;
    let server = Server::bind(config.listen, config.tls.as_ref(), &config.auth)
        .await
        .map_err(|e| failed(&e))?;
    let kube = kubernetes::connect(config.kubeconfig.as_deref())
        .await
        .map_err(|e| Exit::Usage(crate::model::chain(&e)))?;
    let view = KubernetesView::start(&kube, own_pod());
    let metrics = Metrics::default();
    metrics.rules_loaded(ruleset.rules.len());
    let (truncated, groups) = mpsc::channel(64);
    let intake = Intake {
        log: log.clone(),
        clock: System,
        view: view.clone(),
        cluster: config.cluster.clone(),
        truncated: Some(truncated),
    };
    let control = (config.mode == Mode::Enforce).then(|| KubernetesControl::new(kube));
    let web = WebClient::new(client.clone(), config.http_hosts.clone());
    let ports = Ports {
        log: log.clone(),
        clock: System,
        hands: Hands { view: view.clone(), control, web },
        dispatch: Pagers::new(client.clone(), System),
    };
    greet(&config, &server, ruleset.rules.len());
    let (rules, in_force) = watch::channel(Arc::new(ruleset));
    let (stop, stopped) = watch::channel(false);
    let site = Site {
        intake: intake.clone(),
        gate: Gate::new(&config.auth),
        metrics: metrics.clone(),
        readiness: Ready(view),
    };
    let files = Bounded { files: RuleFiles::watch(&config.rules), mode: config.mode };
    tokio::spawn(reconcile::run(groups, intake.clone(), client, config.alertmanagers.clone()));
    tokio::spawn(daemon::reload(files, rules, intake, metrics.clone()));
    let http = tokio::spawn(server.run(router(site), stopped.clone()));
    let rooms = tokio::spawn(daemon::run(ports, in_force, Witness(metrics), stopped));
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

/// The pod that this runs in, by the downward API's usual variables.
fn own_pod() -> Option<(String, String)> {
    Some((std::env::var("POD_NAMESPACE").ok()?, std::env::var("POD_NAME").ok()?))
}

fn open(directory: &Path) -> Result<Embedded, Exit> {
    let log = Embedded::open(directory, Options::default(), System)
        .map_err(|e| Exit::Usage(crate::model::chain(&e)))?;
    let healed = log.healed();
    if healed.discarded_bytes > 0 {
        tracing::warn!(
            bytes = healed.discarded_bytes,
            "an incomplete write at the end of the log was discarded; none of it had been acknowledged"
        );
    }
    if healed.replayed_pages > 0 {
        tracing::info!(
            pages = healed.replayed_pages,
            "the log was recovered after an unclean stop"
        );
    }
    Ok(log)
}

fn greet(config: &Config, server: &Server, rules: usize) {
    let address = server.address().unwrap_or(config.listen);
    if config.auth.is_empty() {
        tracing::info!("no authentication is configured: listening on loopback only");
    }
    if config.mode == Mode::Observe {
        tracing::info!("observe mode: nothing is written, nobody is paged");
    }
    tracing::info!(%address, rules, data_dir = %config.data_dir.display(), "medevac runs");
}

async fn signal() {
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
struct Ready(KubernetesView);

impl Readiness for Ready {
    fn not_ready(&self) -> Vec<String> {
        if self.0.ready() { vec![] } else { self.0.waiting_for() }
    }
}

/// Reloaded rules are bound by the daemon's mode, as those of the start were.
struct Bounded {
    files: RuleFiles,
    mode: Mode,
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

    async fn changed(&mut self) {
        self.files.changed().await;
    }
}
