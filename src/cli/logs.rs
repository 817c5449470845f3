//! The log that a command works with: a data directory, or NATS.

use super::{Exit, words};
use crate::adapters::{embedded::Embedded, nats, rulefiles};
use crate::clock::{Clock, System};
use crate::config::{self, NatsIdentity, Settings};
use crate::model::chain;
use crate::rules::{SecretRef, Source};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// Where the log is.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Where {
    /// Where the embedded log lives. Default: medevac-data, where no NATS is given.
    #[arg(long, env = "MEDEVAC_DATA_DIR", value_name = "DIR", conflicts_with = "nats")]
    data_dir: Option<PathBuf>,
    /// The log is on these NATS servers: nats://host:4222.
    #[arg(long, env = "MEDEVAC_NATS", value_delimiter = ',', value_name = "URL")]
    nats: Vec<String>,
    /// NATS credentials file (JWT and seed).
    #[arg(long, env = "MEDEVAC_NATS_CREDS", value_name = "FILE")]
    nats_creds: Option<PathBuf>,
    /// Configuration file: NATS, the lease, other people's events.
    #[arg(long, env = "MEDEVAC_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Where {
    /// What the file says, with what the flags say over it.
    pub(super) fn settings(&self) -> Result<Settings, Exit> {
        let mut settings = match &self.config {
            Some(path) => read(path)?,
            None => Settings::default(),
        };
        if self.data_dir.is_some() && settings.nats.is_some() {
            return Err(Exit::Usage(
                "the log is in one place: --data-dir, or `nats` in the configuration".into(),
            ));
        }
        if !self.nats.is_empty() {
            let mut nats = settings.nats.take().unwrap_or_default();
            nats.servers.clone_from(&self.nats);
            settings.nats = Some(nats);
        }
        if let (Some(file), Some(nats)) = (&self.nats_creds, &mut settings.nats) {
            nats.identity = NatsIdentity::Credentials(file.clone());
        }
        Ok(settings)
    }

    /// Whether a data directory was named.
    pub(super) fn given(&self) -> bool {
        self.data_dir.is_some()
    }

    pub(super) fn directory(&self) -> PathBuf {
        self.data_dir.clone().unwrap_or_else(|| "medevac-data".into())
    }
}

pub(super) fn read(path: &Path) -> Result<Settings, Exit> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Exit::Usage(format!("cannot read {}: {error}", path.display())))?;
    let source = Arc::new(Source { path: path.display().to_string(), text });
    config::load(&source).map_err(|faults| {
        faults.iter().for_each(|fault| words::complain(&fault.render(false)));
        Exit::Usage(format!("{} faults in the configuration", faults.len()))
    })
}

const AGAIN: Duration = Duration::from_secs(2);

/// Before servers that are not there yet are tried again.
pub(super) async fn pause() {
    System.after(AGAIN).await;
}

/// Connects to the log on NATS, and waits for servers that are not there yet, as a daemon has to.
pub(super) async fn wait_for(settings: &config::Nats) -> Result<nats::Nats, Exit> {
    let options = options(settings)?;
    loop {
        match nats::Nats::connect(&options, System).await {
            Ok(log) => return Ok(log),
            Err(error) if error.passes() => {
                tracing::warn!(error = chain(&error), "waiting for NATS");
                pause().await;
            }
            Err(error) => return Err(Exit::Usage(chain(&error))),
        }
    }
}

/// Connects to the log on NATS.
pub(super) async fn connect(settings: &config::Nats) -> Result<nats::Nats, Exit> {
    let options = options(settings)?;
    nats::Nats::connect(&options, System).await.map_err(|error| match error.passes() {
        true => Exit::Failed(chain(&error)),
        false => Exit::Usage(chain(&error)),
    })
}

fn options(settings: &config::Nats) -> Result<nats::Options, Exit> {
    let secret = |path: &PathBuf| {
        rulefiles::secret(&SecretRef::File(path.display().to_string())).map_err(Exit::Usage)
    };
    let identity = match &settings.identity {
        NatsIdentity::Nobody => nats::Identity::Nobody,
        NatsIdentity::Token(file) => nats::Identity::Token(secret(file)?),
        NatsIdentity::Nkey(file) => nats::Identity::Nkey(secret(file)?),
        NatsIdentity::Credentials(file) => nats::Identity::Credentials(file.clone()),
        NatsIdentity::User(user, file) => nats::Identity::User(user.clone(), secret(file)?),
    };
    Ok(nats::Options {
        servers: settings.servers.clone(),
        identity,
        certificates: nats::Certificates {
            ca: settings.ca.clone(),
            own: settings.certificate.clone(),
        },
        replicas: settings.replicas,
        max_age: settings.max_age,
        max_bytes: settings.max_bytes,
        duplicates: settings.duplicates,
        views: settings.copies,
    })
}

/// Opens the embedded log that must be there.
pub(super) fn open_existing(directory: &Path) -> Result<Embedded, Exit> {
    match directory.join("medevac.db").exists() {
        true => open(directory),
        false => Err(Exit::Usage(format!(
            "there is no log in {}; give --data-dir or --nats",
            directory.display()
        ))),
    }
}

/// Opens the embedded log, and says what a crash had left.
pub(super) fn open(directory: &Path) -> Result<Embedded, Exit> {
    let log = Embedded::open(directory, crate::adapters::embedded::Options::default(), System)
        .map_err(|error| Exit::Usage(chain(&error)))?;
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
