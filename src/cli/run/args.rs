//! The flags of `medevac run`, and what they mean together.

use crate::cli::{Exit, logs};
use crate::config::{Auth, Config, Tls};
use crate::model::{Mode, Secret};
use std::{net::SocketAddr, path::PathBuf};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Rule files, or directories of them. May be given several times.
    #[arg(
        long,
        env = "MEDEVAC_RULES",
        required = true,
        value_delimiter = ',',
        value_name = "PATH"
    )]
    rules: Vec<PathBuf>,
    #[command(flatten)]
    log: logs::Where,
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

pub(super) fn configure(args: &Args) -> Result<Config, Exit> {
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
        data_dir: args.log.directory(),
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
        settings: args.log.settings()?,
    };
    config.check().map_err(|bad| Exit::Usage(bad.to_string()))?;
    Ok(config)
}
