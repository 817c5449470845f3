//! Where the servers are, who we are to them, and what the streams should be.

use crate::model::Secret;
use std::{path::PathBuf, time::Duration};

/// Who we are to the server.
#[derive(Debug, Clone, Default)]
pub enum Identity {
    #[default]
    Nobody,
    Token(Secret),
    User(String, Secret),
    /// The seed of an nkey.
    Nkey(Secret),
    /// A credentials file with JWT and seed.
    Credentials(PathBuf),
}

/// Certificates in PEM form.
#[derive(Debug, Clone, Default)]
pub struct Certificates {
    /// Authority of the server, besides the usual ones. Its presence demands TLS.
    pub ca: Option<PathBuf>,
    /// Our certificate and key.
    pub own: Option<(PathBuf, PathBuf)>,
}

/// Where the servers are, who we are, and what the streams should be.
#[derive(Debug, Clone)]
pub struct Options {
    /// `nats://host:port` or `tls://host:port`; any of them will do.
    pub servers: Vec<String>,
    pub identity: Identity,
    pub certificates: Certificates,
    /// Copies of every stream; 3 in production.
    pub replicas: usize,
    /// Records older than this are dropped by the server.
    pub max_age: Duration,
    /// Bytes of the log; what would exceed them is refused. 0: as the server allows.
    pub max_bytes: u64,
    /// An id seen within this time is a duplicate.
    pub duplicates: Duration,
    /// How long the server's copies of decisions, outcomes and dead letters are kept. 0: no copies.
    pub views: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            servers: vec!["nats://127.0.0.1:4222".into()],
            identity: Identity::Nobody,
            certificates: Certificates::default(),
            replicas: 1,
            max_age: Duration::from_secs(14 * 86_400),
            max_bytes: 0,
            duplicates: Duration::from_secs(600),
            views: Duration::from_secs(365 * 86_400),
        }
    }
}
