//! `medevac agent`: one per node, asks the instance metadata service and tells the daemon.

use super::{Exit, client, logs, words};
use crate::adapters::{imds::Imds, nats, outlet::ToDaemon, rulefiles};
use crate::agent;
use crate::clock::System;
use crate::model::{Secret, chain};
use crate::rules::SecretRef;
use crate::telemetry;
use std::{
    io::IsTerminal,
    path::{Path, PathBuf},
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where the daemon listens. Without it and without NATS: http://127.0.0.1:9095.
    #[arg(long, env = "MEDEVAC_URL", value_name = "URL", conflicts_with = "nats")]
    url: Option<String>,
    /// File with a bearer token for the daemon.
    #[arg(long, env = "MEDEVAC_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Tell NATS instead: nats://host:4222. Every replica of the daemon reads there.
    #[arg(long, env = "MEDEVAC_NATS", value_delimiter = ',', value_name = "URL")]
    nats: Vec<String>,
    /// NATS credentials file (JWT and seed).
    #[arg(long, env = "MEDEVAC_NATS_CREDS", value_name = "FILE", requires = "nats")]
    nats_creds: Option<PathBuf>,
    /// The instance metadata service; http://[fd00:ec2::254] where IPv6 is all there is.
    #[arg(
        long,
        env = "MEDEVAC_METADATA",
        default_value = "http://169.254.169.254",
        value_name = "URL"
    )]
    metadata: String,
}

pub(super) async fn run(args: Args) -> Exit {
    telemetry::log(std::io::stderr().is_terminal(), "info,async_nats=warn");
    match watch(args).await {
        Ok(()) => Exit::Good,
        Err(exit) => exit,
    }
}

async fn watch(args: Args) -> Result<(), Exit> {
    for (flag, url) in [("--metadata", Some(&args.metadata)), ("--url", args.url.as_ref())] {
        if let Some(url) = url
            && !(url.starts_with("http://") || url.starts_with("https://"))
        {
            let url = words::plain(url);
            return Err(Exit::Usage(format!(
                "{flag} `{url}` is no URL: it starts with http:// or https://"
            )));
        }
    }
    let client = client::http()?;
    let metadata = Imds::new(client.clone(), &args.metadata);
    if args.nats.is_empty() {
        let url = args.url.unwrap_or_else(|| "http://127.0.0.1:9095".into());
        let token = args.token_file.as_deref().map(token).transpose()?;
        tracing::info!(metadata = args.metadata, to = url, "the agent watches");
        let outlet = ToDaemon::new(client, &url, token);
        until_told(agent::run::run(metadata, outlet, System)).await;
        return Ok(());
    }
    let identity = args.nats_creds.map_or(nats::Identity::Nobody, nats::Identity::Credentials);
    let options = nats::Options { servers: args.nats, identity, ..nats::Options::default() };
    tracing::info!(metadata = args.metadata, to = "NATS", "the agent watches");
    let feed = loop {
        match nats::Feed::connect(&options, System).await {
            Ok(feed) => break feed,
            Err(error) if error.passes() => {
                tracing::warn!(error = chain(&error), "waiting for NATS");
                logs::pause().await;
            }
            Err(error) => return Err(Exit::Usage(chain(&error))),
        }
    };
    until_told(agent::run::run(metadata, feed, System)).await;
    Ok(())
}

/// Until it is told to stop: what was not accepted is asked for again by the next life.
async fn until_told(work: impl Future<Output = ()>) {
    tokio::select! {
        biased;
        () = super::run::signal() => {}
        () = work => {}
    }
}

fn token(path: &Path) -> Result<Secret, Exit> {
    rulefiles::secret(&SecretRef::File(path.display().to_string())).map_err(Exit::Usage)
}
