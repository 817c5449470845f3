//! The connection: how it is made, and what is known of its health.

use super::{Identity, Options};
use crate::clock::Clock;
use async_nats::{Client, ConnectOptions, Event, ServerAddr, jetstream};
use jiff::Timestamp;
use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("cannot read the NATS credentials {path}")]
    Credentials {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("`{server}` is no NATS server: it is written nats://host:4222 or tls://host:4222")]
    Address { server: String },
    #[error("cannot connect to NATS at {servers}")]
    Connect {
        servers: String,
        #[source]
        source: async_nats::ConnectError,
    },
    #[error(
        "the NATS server is {found}; 2.12 or newer is needed: decisions are written in atomic batches"
    )]
    TooOld { found: String },
    #[error("cannot use the stream {stream}: {why}")]
    Stream {
        stream: String,
        why: String,
        /// No leader, no answer: it may go well in a moment.
        passes: bool,
    },
}

impl ConnectError {
    /// Whether waiting may help: servers that are not there yet, or are still electing.
    pub fn passes(&self) -> bool {
        use async_nats::ConnectErrorKind::{Dns, Io, TimedOut};
        match self {
            ConnectError::Connect { source, .. } => matches!(source.kind(), Dns | Io | TimedOut),
            ConnectError::Stream { passes, .. } => *passes,
            ConnectError::Credentials { .. }
            | ConnectError::Address { .. }
            | ConnectError::TooOld { .. } => false,
        }
    }
}

/// What the server said about us, unasked.
#[derive(Debug, Default)]
pub(super) struct Health(Mutex<Said>);

#[derive(Debug, Default)]
struct Said {
    /// The last refusal for want of a right.
    violation: Option<String>,
    connected: bool,
    /// Why the last message was not taken, where it was refused.
    refused: Option<String>,
    /// Since when no request was answered.
    silent_since: Option<Timestamp>,
}

/// A server that has answered nothing for so long is left for another: it may be cut off from the others.
/// An election is shorter.
const SILENT: Duration = Duration::from_secs(6);

impl Health {
    fn with<T>(&self, look: impl FnOnce(&mut Said) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The refusal that explains why nobody answered on `subject`. It is told once: rights may be given later.
    pub(super) fn denied(&self, subject: &str) -> Option<String> {
        let about = |said: &&String| said.contains(subject);
        self.with(|said| match said.violation.as_ref().filter(about) {
            Some(_) => said.violation.take(),
            None => None,
        })
    }

    /// Notes whether a request was answered; true: this server has been silent for too long.
    fn too_silent(&self, answered: bool, now: Timestamp) -> bool {
        self.with(|said| {
            if answered {
                said.silent_since = None;
                return false;
            }
            let since = *said.silent_since.get_or_insert(now);
            let silent = now.duration_since(since) >= SILENT.try_into().unwrap_or_default();
            if silent {
                said.silent_since = None;
            }
            silent
        })
    }

    /// Notes what became of a message: refused with a reason, or taken.
    pub(super) fn refused(&self, why: Option<String>) {
        self.with(|said| said.refused = why);
    }

    /// What is wrong, in words. Nothing: all is well.
    pub(super) fn trouble(&self) -> Vec<String> {
        self.with(|said| {
            let lost = (!said.connected).then(|| "the connection to NATS".to_owned());
            let refused = said.refused.as_ref().map(|why| format!("the log to take events: {why}"));
            lost.into_iter().chain(refused).collect()
        })
    }

    /// Each event in the daemon's log, in words that say what it means for us.
    fn heard(&self, event: &Event) {
        match event {
            Event::Connected => {
                self.with(|said| said.connected = true);
                tracing::info!("connected to NATS");
            }
            Event::Disconnected | Event::Closed => {
                self.with(|said| said.connected = false);
                tracing::warn!(
                    "the connection to NATS is lost; senders are told 503 until it is back"
                );
            }
            Event::SlowConsumer(subscription) => {
                tracing::warn!(
                    subscription,
                    "we read more slowly than NATS sends; what was dropped is delivered again"
                );
            }
            Event::ServerError(error) => {
                let text = error.to_string();
                tracing::error!(error = text, "NATS refuses");
                if text.to_ascii_lowercase().contains("permissions violation") {
                    self.with(|said| said.violation = Some(text));
                }
            }
            Event::ClientError(error) => tracing::warn!(%error, "the NATS client complains"),
            Event::LameDuckMode => {
                tracing::info!("this NATS server stops soon; the client moves to another")
            }
            Event::Draining => {}
        }
    }
}

/// A connection that comes back by itself.
#[derive(Clone)]
pub(super) struct Link {
    pub(super) client: Client,
    pub(super) jetstream: jetstream::Context,
    pub(super) health: Arc<Health>,
    pub(super) now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
}

const REQUEST: Duration = Duration::from_secs(5);

impl Link {
    /// Notes whether a request was answered, and moves on to another server where this one has nothing to say.
    pub(super) async fn answered(&self, answered: bool) {
        if self.health.too_silent(answered, (self.now)()) {
            tracing::warn!("this NATS server does not answer; another one is tried");
            if let Err(error) = self.client.force_reconnect().await {
                tracing::warn!(%error, "and cannot be left");
            }
        }
    }

    pub(super) async fn make(options: &Options, clock: impl Clock) -> Result<Link, ConnectError> {
        let health = Arc::new(Health::default());
        let ears = Arc::clone(&health);
        let connect = identify(ConnectOptions::new(), &options.identity).await?;
        let mut connect = connect
            .name("medevac")
            .connection_timeout(Duration::from_secs(3))
            .ping_interval(Duration::from_secs(2))
            .reconnect_delay_callback(|attempts| {
                Duration::from_millis(
                    u64::try_from(attempts).unwrap_or(u64::MAX).saturating_mul(100).min(1000),
                )
            })
            .event_callback(move |event| {
                let ears = Arc::clone(&ears);
                async move { ears.heard(&event) }
            });
        if let Some(ca) = &options.certificates.ca {
            connect = connect.add_root_certificates(ca.clone()).require_tls(true);
        }
        if let Some((certificate, key)) = &options.certificates.own {
            connect = connect.add_client_certificate(certificate.clone(), key.clone());
        }
        let client = connect.connect(addresses(&options.servers)?).await.map_err(|source| {
            let servers = options.servers.iter().map(|server| without_user(server));
            ConnectError::Connect { servers: servers.collect::<Vec<_>>().join(", "), source }
        })?;
        if !client.is_server_compatible(2, 12, 0) {
            return Err(ConnectError::TooOld { found: client.server_info().version });
        }
        health.with(|said| said.connected = true);
        let jetstream = jetstream::ContextBuilder::new().timeout(REQUEST).build(client.clone());
        Ok(Link { client, jetstream, health, now: Arc::new(move || clock.now()) })
    }
}

fn addresses(servers: &[String]) -> Result<Vec<ServerAddr>, ConnectError> {
    let address = |server: &String| {
        server.parse().map_err(|_| ConnectError::Address { server: without_user(server) })
    };
    servers.iter().map(address).collect()
}

/// A URL may carry a password; what is shown must not.
fn without_user(server: &str) -> String {
    match (server.split_once("://"), server.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://{host}"),
        (None, Some((_, host))) => host.to_owned(),
        (_, None) => server.to_owned(),
    }
}

async fn identify(
    options: ConnectOptions,
    identity: &Identity,
) -> Result<ConnectOptions, ConnectError> {
    Ok(match identity {
        Identity::Nobody => options,
        Identity::Token(token) => options.token(token.expose().to_owned()),
        Identity::User(user, word) => {
            options.user_and_password(user.clone(), word.expose().to_owned())
        }
        Identity::Nkey(seed) => options.nkey(seed.expose().to_owned()),
        Identity::Credentials(path) => options
            .credentials_file(path)
            .await
            .map_err(|source| ConnectError::Credentials { path: path.clone(), source })?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_an_address_is_not_shown() {
        assert_eq!(without_user("nats://me:secret@host:4222"), "nats://host:4222");
        assert_eq!(without_user("me:secret@host"), "host");
        assert_eq!(without_user("nats://host"), "nats://host");
    }
}
