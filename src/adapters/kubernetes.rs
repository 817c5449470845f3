//! Kubernetes: watch caches to read from, and calls to change things with.
//!
//! `watch` keeps `cache` up to date and resumes where a watch broke off; `control` changes things;
//! `jobs` suspends those of any operator, `claims` gives Karpenter's machines back, `objects` reads and makes what is
//! not watched;
//! `feed` follows what else the server tells; `answer` reads what the API server said; `convert` takes from its objects what we need;
//! `rights` is what all of that needs to be allowed.

mod answer;
mod cache;
mod claims;
mod clocks;
mod control;
mod convert;
mod events;
mod exec;
mod feed;
mod jobs;
mod kept;
mod lease;
mod moves;
mod objects;
mod rights;
mod turns;
mod watch;

pub use control::KubernetesControl;
pub use lease::KubernetesLease;
pub use rights::{Rights, rights, rules as role_rules};
pub use watch::KubernetesView;

use crate::model::{Answer, Question};
use kube::config::{KubeConfigOptions, Kubeconfig};
use std::{path::Path, time::Duration};

/// Asks the API server something, without the watches that a daemon keeps.
pub async fn ask(client: &kube::Client, question: &Question) -> Answer {
    objects::ask(client, question).await
}

#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error(
        "cannot use the kubeconfig {path}; check the path, the current context and what it refers to"
    )]
    Kubeconfig {
        path: String,
        #[source]
        source: kube::config::KubeconfigError,
    },
    #[error(
        "this does not run inside a cluster, and no kubeconfig was given; give --kubeconfig FILE"
    )]
    Nowhere(#[source] Box<kube::config::InferConfigError>),
    #[error("cannot make a client from that configuration")]
    Client(#[source] kube::Error),
}

/// A client by `kubeconfig`, or by what stands around: `KUBECONFIG`, then the pod's own account.
///
/// # Errors
/// Where no usable configuration is found. The cluster itself is not asked.
pub async fn connect(kubeconfig: Option<&Path>) -> Result<kube::Client, ConnectError> {
    let mut config = match kubeconfig {
        Some(path) => {
            let bad =
                |source| ConnectError::Kubeconfig { path: path.display().to_string(), source };
            let file = Kubeconfig::read_from(path).map_err(bad)?;
            kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default())
                .await
                .map_err(bad)?
        }
        None => {
            kube::Config::infer().await.map_err(|source| ConnectError::Nowhere(Box::new(source)))?
        }
    };
    config.connect_timeout = Some(Duration::from_secs(5));
    // Every refusal is a fact for the saga, which has its own pauses.
    config.default_retry = false;
    kube::Client::try_from(config).map_err(ConnectError::Client)
}
