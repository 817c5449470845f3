//! What the daemon is told at its start: parsed and bounded, each thing of its own type.
//!
//! May import: `model`, and of `rules` how files are read.

mod file;

pub use file::load;

use crate::model::{Mapping, Mode, Secret, Vault};
use crate::rules::Policy;
use std::{collections::BTreeSet, net::SocketAddr, path::PathBuf, time::Duration};

#[derive(Debug, Clone)]
pub struct Config {
    /// Files or directories of rules.
    pub rules: Vec<PathBuf>,
    /// Of the embedded log, where `settings` name no NATS.
    pub data_dir: PathBuf,
    pub listen: SocketAddr,
    pub auth: Auth,
    pub tls: Option<Tls>,
    pub kubeconfig: Option<PathBuf>,
    pub mode: Mode,
    /// The name given to events that carry none.
    pub cluster: Option<String>,
    /// Base URLs of Alertmanager, for truncated groups.
    pub alertmanagers: Vec<String>,
    /// Hosts that `http` steps may call.
    pub http_hosts: BTreeSet<String>,
    /// What the configuration file says.
    pub settings: Settings,
}

/// The configuration file.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Absent: the embedded log.
    pub nats: Option<Nats>,
    pub lease: LeaseKind,
    pub sources: Vec<SubjectSource>,
    pub aws: Aws,
    pub kubernetes: Kubernetes,
    pub evidence: Evidence,
    pub heartbeat: Option<Heartbeat>,
    /// What is asked of every rule.
    pub policy: Policy,
}

/// What pages carry that is fetched when they go out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// The last lines of each log.
    pub log_lines: u32,
    /// Base URL.
    pub grafana: Option<String>,
    /// UIDs.
    pub dashboards: Vec<String>,
    /// Base URL.
    pub prometheus: Option<String>,
    pub graphs: Vec<Graph>,
    /// Base URL of runbooks that are no URLs themselves.
    pub runbooks: Option<String>,
    /// Where people reach this daemon.
    pub public_url: Option<String>,
}

impl Default for Evidence {
    fn default() -> Evidence {
        Evidence {
            log_lines: 20,
            grafana: None,
            dashboards: vec![],
            prometheus: None,
            graphs: vec![],
            runbooks: None,
            public_url: None,
        }
    }
}

/// Numbers that are drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Graph {
    pub title: String,
    /// PromQL, with names in double braces.
    pub query: String,
}

/// Somebody outside who calls people when they have not heard of us for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heartbeat {
    /// File with the URL: it is a secret.
    pub url_file: PathBuf,
    pub every: Duration,
}

/// What the cluster tells, besides what the daemon keeps in mind anyway.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kubernetes {
    /// Events that are no warnings, too.
    pub all_events: bool,
    pub objects: Vec<Kind>,
}

/// A kind whose conditions are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kind {
    pub api_version: String,
    pub kind: String,
    pub plural: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LeaseKind {
    #[default]
    Nats,
    Kubernetes,
}

/// The log's servers, and what its streams should be.
#[derive(Debug, Clone)]
pub struct Nats {
    pub servers: Vec<String>,
    pub identity: NatsIdentity,
    pub ca: Option<PathBuf>,
    /// Certificate and key.
    pub certificate: Option<(PathBuf, PathBuf)>,
    pub replicas: usize,
    pub max_age: Duration,
    /// 0: as the server allows.
    pub max_bytes: u64,
    pub duplicates: Duration,
    /// Zero: no copies are kept beside the log.
    pub copies: Duration,
}

impl Default for Nats {
    fn default() -> Self {
        Nats {
            servers: vec![],
            identity: NatsIdentity::Nobody,
            ca: None,
            certificate: None,
            replicas: 1,
            max_age: Duration::from_secs(14 * 86_400),
            max_bytes: 0,
            duplicates: Duration::from_secs(600),
            copies: Duration::from_secs(365 * 86_400),
        }
    }
}

/// Who we are to NATS; secrets stand in files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NatsIdentity {
    Nobody,
    Token(PathBuf),
    Nkey(PathBuf),
    Credentials(PathBuf),
    User(String, PathBuf),
}

/// How AWS is reached. Credentials are found as every AWS program finds them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Aws {
    /// Default: the environment's.
    pub region: Option<String>,
    /// Instead of AWS's own: for private endpoints, and for tests.
    pub endpoint: Option<String>,
    pub queues: Vec<QueueSource>,
    /// AWS Backup, where a step does not say it.
    pub backup: Vault,
}

/// An SQS queue with what AWS says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueSource {
    pub url: String,
    /// Receivers beside each other, in each replica.
    pub receivers: u32,
    /// How long a message is hidden while it is worked on; it is extended.
    pub visibility: Duration,
    /// What is AWS's and not for us, or about machines that are no nodes of ours.
    pub foreign: Leftover,
    /// What cannot be read. Deleted, it is a dead letter.
    pub broken: Leftover,
}

/// What becomes of a message that leads to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Leftover {
    #[default]
    Delete,
    /// It stays for others, and comes back later each time.
    Leave,
}

/// A subject with other people's events.
#[derive(Debug, Clone)]
pub struct SubjectSource {
    pub name: String,
    pub subject: String,
    /// Present: a durable consumer of that stream. Absent: a plain subscription.
    pub stream: Option<String>,
    pub format: Format,
}

#[derive(Debug, Clone)]
pub enum Format {
    CloudEvents,
    Json(Box<Mapping>),
}

/// Who may come in. Empty: nobody is asked, and only loopback is listened on.
#[derive(Debug, Clone, Default)]
pub struct Auth {
    /// Any of them is accepted: two at once while one is being replaced.
    pub tokens: Vec<Secret>,
    /// User and password.
    pub basic: Vec<(String, Secret)>,
    /// DNS names of client certificates that are accepted. Needs a client CA.
    pub client_names: Vec<String>,
}

/// Files in PEM form.
#[derive(Debug, Clone)]
pub struct Tls {
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// Clients that show a certificate of this authority are known.
    pub client_ca: Option<PathBuf>,
}

impl Auth {
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty() && self.basic.is_empty() && self.client_names.is_empty()
    }
}

/// What cannot be run with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadConfig {
    #[error(
        "{0} is not loopback, and nobody would be asked who they are: give --token-file, --basic-file or --client-ca with --client-name, or listen on 127.0.0.1"
    )]
    Open(SocketAddr),
    #[error("--client-name needs --client-ca, --tls-cert and --tls-key")]
    NoClientCa,
}

impl Config {
    /// # Errors
    /// Where it would open a door to everybody.
    pub fn check(&self) -> Result<(), BadConfig> {
        if self.auth.is_empty() && !self.listen.ip().is_loopback() {
            return Err(BadConfig::Open(self.listen));
        }
        let ca = self.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some());
        if !self.auth.client_names.is_empty() && !ca {
            return Err(BadConfig::NoClientCa);
        }
        Ok(())
    }
}
