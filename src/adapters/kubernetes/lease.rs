//! The lease as a Kubernetes Lease, where the cluster is trusted more than the log's servers to be there.

use crate::daemon::{Claim, LeaseStore, Version};
use crate::log::LogError;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::{Api, Client, api::PostParams};

const NAME: &str = "medevac";
const BEAT: &str = "medevac.dev/beat";
/// As others read it: a holder that has not renewed for so long is gone.
const SECONDS: i32 = 3;

#[derive(Clone)]
pub struct KubernetesLease {
    api: Api<Lease>,
}

impl KubernetesLease {
    pub fn new(client: Client, namespace: &str) -> KubernetesLease {
        KubernetesLease { api: Api::namespaced(client, namespace) }
    }
}

fn told(error: kube::Error) -> LogError {
    match error {
        kube::Error::Api(status) if status.code == 409 => LogError::Conflict,
        kube::Error::Api(status) if status.code == 403 => LogError::Denied(status.message),
        other => LogError::Unavailable(crate::model::chain(&other)),
    }
}

impl LeaseStore for KubernetesLease {
    async fn read(&self) -> Result<Option<(Claim, Version)>, LogError> {
        let Some(lease) = self.api.get_opt(NAME).await.map_err(told)? else { return Ok(None) };
        let spec = lease.spec.unwrap_or_default();
        let beat = lease.metadata.annotations.as_ref().and_then(|all| all.get(BEAT)?.parse().ok());
        let claim = Claim {
            holder: spec.holder_identity.unwrap_or_default(),
            term: spec.lease_transitions.and_then(|term| term.try_into().ok()).unwrap_or_default(),
            since: spec.acquire_time.map(|time| time.0).unwrap_or_default(),
            beat: beat.unwrap_or_default(),
        };
        Ok(Some((claim, lease.metadata.resource_version.unwrap_or_default())))
    }

    async fn write(&self, claim: &Claim, over: Option<&Version>) -> Result<Version, LogError> {
        let lease = Lease {
            metadata: ObjectMeta {
                name: Some(NAME.into()),
                resource_version: over.cloned(),
                annotations: Some([(BEAT.to_owned(), claim.beat.to_string())].into()),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(claim.holder.clone()),
                acquire_time: Some(MicroTime(claim.since)),
                lease_duration_seconds: Some(SECONDS),
                lease_transitions: i32::try_from(claim.term).ok(),
                ..LeaseSpec::default()
            }),
        };
        let params = PostParams::default();
        let written = match over {
            Some(_) => self.api.replace(NAME, &params, &lease).await,
            None => self.api.create(&params, &lease).await,
        };
        Ok(written.map_err(told)?.metadata.resource_version.unwrap_or_default())
    }
}
