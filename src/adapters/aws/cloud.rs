//! What is asked of AWS: hooks of Auto Scaling groups, and when an object in S3 was written.

use super::capacity::Desk;
use super::configure;
use crate::clock::{Clock, System};
use crate::model::{Answer, CloudCall, Hook, HookResult, Refusal, Vault, chain};
use aws_config::SdkConfig;
use aws_sdk_autoscaling as autoscaling;
use aws_sdk_s3 as s3;
use jiff::Timestamp;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::OnceCell;

/// AWS as the daemon reaches it. Clones are the same; the first call looks for credentials and region.
#[derive(Clone, Default)]
pub struct Cloud {
    region: Option<String>,
    pub(super) endpoint: Option<String>,
    /// Where a step does not say it.
    pub(super) backup: Vault,
    config: Arc<OnceCell<SdkConfig>>,
    pub(super) desk: Arc<Desk>,
    patience: Arc<Mutex<BTreeMap<(String, String), Patience>>>,
}

/// What a hook's patience was, and until when that is believed: what nobody said is soon asked for again.
type Patience = (Timestamp, Option<Duration>);

const KNOWN: Duration = Duration::from_secs(600);
const UNKNOWN: Duration = Duration::from_secs(20);
/// Hooks that are remembered; a cluster has a few for each of its groups.
const MOST_KNOWN: usize = 10_000;
/// Nobody waits longer for it: the notice comes first.
const LOOKED_UP: Duration = Duration::from_secs(3);
/// Pages of a thousand objects that are looked at.
const PAGES: usize = 20;

impl Cloud {
    /// With what the configuration names; else as every AWS program.
    pub fn new(region: Option<String>, endpoint: Option<String>) -> Cloud {
        Cloud { region, endpoint, ..Cloud::default() }
    }

    /// With the vault and the role of AWS Backup that hold where a step does not say it.
    pub fn with_backup(self, backup: Vault) -> Cloud {
        Cloud { backup, ..self }
    }

    /// With a configuration that was made elsewhere.
    pub fn with(config: SdkConfig, endpoint: Option<String>) -> Cloud {
        let config = Arc::new(OnceCell::new_with(Some(config)));
        Cloud { endpoint, config, ..Cloud::default() }
    }

    pub async fn config(&self) -> &SdkConfig {
        let reach = || configure(self.region.as_deref(), self.endpoint.as_deref());
        self.config.get_or_init(reach).await
    }

    pub async fn call(&self, call: CloudCall) -> Answer {
        match call {
            CloudCall::CompleteHook { hook, result } => self.complete(&hook, result).await,
            CloudCall::Heartbeat { hook } => self.heartbeat(&hook).await,
            CloudCall::ObjectChanged { bucket, key } => self.changed(&bucket, &key).await,
            CloudCall::Provision(order) => self.provision(&order).await,
            CloudCall::GiveBack { order, machines } => self.give_back(&order, &machines).await,
            other => self.backup(other).await,
        }
    }

    async fn complete(&self, hook: &Hook, result: HookResult) -> Answer {
        let client = autoscaling::Client::new(self.config().await);
        let done = client
            .complete_lifecycle_action()
            .auto_scaling_group_name(&hook.group)
            .lifecycle_hook_name(&hook.name)
            .instance_id(&hook.instance)
            .set_lifecycle_action_token(token(hook))
            .lifecycle_action_result(result.word())
            .send();
        done.await.map_or_else(
            |error| refused(&error, "autoscaling:CompleteLifecycleAction"),
            |_| Answer::Done,
        )
    }

    async fn heartbeat(&self, hook: &Hook) -> Answer {
        let client = autoscaling::Client::new(self.config().await);
        let done = client
            .record_lifecycle_action_heartbeat()
            .auto_scaling_group_name(&hook.group)
            .lifecycle_hook_name(&hook.name)
            .instance_id(&hook.instance)
            .set_lifecycle_action_token(token(hook))
            .send();
        let need = "autoscaling:RecordLifecycleActionHeartbeat";
        done.await.map_or_else(|error| refused(&error, need), |_| Answer::Done)
    }

    /// The one object, or the newest below the prefix.
    async fn changed(&self, bucket: &str, key: &str) -> Answer {
        // Another endpoint than AWS's own has no name for each bucket.
        let config = s3::config::Builder::from(self.config().await);
        let config = config.force_path_style(self.endpoint.is_some()).build();
        let client = s3::Client::from_conf(config);
        let newest = if key.ends_with('/') {
            newest_below(&client, bucket, key).await
        } else {
            let head = client.head_object().bucket(bucket).key(key).send();
            head.await.map(|head| head.last_modified().map(|at| at.secs())).or_else(|error| {
                let status = error.raw_response().map(|response| response.status().as_u16());
                match status {
                    Some(404) => Ok(None),
                    // So it answers for what is not there, too, to whoever may not list the bucket.
                    Some(403) => {
                        let need = "s3:GetObject, and s3:ListBucket to tell what is not there";
                        tracing::warn!(bucket, key, need, "S3 does not let it be looked at");
                        Ok(None)
                    }
                    _ => Err(refused(&error, "s3:GetObject")),
                }
            })
        };
        match newest {
            Ok(Some(at)) => Answer::Said(at.to_string()),
            Ok(None) => Answer::Refused(Refusal::Gone),
            Err(answer) => answer,
        }
    }
}

/// S3 lists by name: the newest may be the last of many.
async fn newest_below(
    client: &s3::Client,
    bucket: &str,
    prefix: &str,
) -> Result<Option<i64>, Answer> {
    let (mut newest, mut next) = (None, None);
    for _ in 0..PAGES {
        let list = client.list_objects_v2().bucket(bucket).prefix(prefix);
        let list = list.set_continuation_token(next).send().await;
        let list = list.map_err(|error| refused(&error, "s3:ListBucket"))?;
        let times = list.contents().iter().filter_map(|object| object.last_modified());
        newest = newest.max(times.map(|at| at.secs()).max());
        next = list.next_continuation_token().map(str::to_owned);
        if next.is_none() {
            break;
        }
    }
    Ok(newest)
}

fn token(hook: &Hook) -> Option<String> {
    Some(hook.token.clone()).filter(|token| !token.is_empty())
}

impl Cloud {
    /// How long a group waits for its hook: `HeartbeatTimeout`. None: nobody says.
    pub async fn patience(&self, group: &str, hook: &str) -> Option<Duration> {
        let (name, now) = ((group.to_owned(), hook.to_owned()), System.now());
        if let Some((until, patience)) = self.known().get(&name)
            && now < *until
        {
            return *patience;
        }
        let ask = async {
            let client = autoscaling::Client::new(self.config().await);
            let hooks = client
                .describe_lifecycle_hooks()
                .auto_scaling_group_name(group)
                .lifecycle_hook_names(hook)
                .send();
            hooks.await
        };
        let found = match tokio::time::timeout(LOOKED_UP, ask).await {
            Ok(Ok(found)) => {
                found.lifecycle_hooks().first().and_then(|hook| hook.heartbeat_timeout())
            }
            Ok(Err(error)) => {
                tracing::debug!(group, hook, error = chain(&error), "its patience is not known");
                None
            }
            Err(_) => None,
        };
        let patience =
            found.and_then(|seconds| u64::try_from(seconds).ok()).map(Duration::from_secs);
        let mut known = self.known();
        if known.len() >= MOST_KNOWN {
            known.clear();
        }
        let believed = if patience.is_some() { KNOWN } else { UNKNOWN };
        known.insert(name, (now.checked_add(believed).unwrap_or(now), patience));
        patience
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<(String, String), Patience>> {
        self.patience.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Auto Scaling says by `ValidationError` that nothing waits, and much else besides: only its words tell which.
const NOTHING_WAITS: &str = "No active Lifecycle Action found";

/// What AWS Backup says of a resource that another job works on.
const ANOTHER_JOB: &str = "running job for the same resource";

pub(super) fn refused(error: &(dyn std::error::Error + 'static), need: &str) -> Answer {
    let why = chain(error);
    let has = |words: &[&str]| words.iter().any(|word| why.contains(word));
    if has(&[NOTHING_WAITS, "ResourceNotFoundException", ".NotFound"]) {
        Answer::Refused(Refusal::Gone)
    } else if has(&[ANOTHER_JOB]) {
        Answer::Refused(Refusal::Changed(why))
    } else if has(&[
        "AccessDenied",
        "UnauthorizedOperation",
        "NotAuthorized",
        "InvalidClientTokenId",
    ]) {
        Answer::Refused(Refusal::Forbidden(format!("{why}: the role needs {need}")))
    } else if has(&[
        "Throttling",
        "ResourceContention",
        "ScalingActivityInProgress",
        "ServiceUnavailable",
        "InternalFailure",
        "SlowDown",
        "RequestLimitExceeded",
        "RateExceeded",
        "ConcurrentSnapshotLimitExceeded",
        "PendingSnapshotLimitExceeded",
    ]) {
        Answer::Refused(Refusal::Busy { retry_after: None, message: why })
    } else if has(&[
        "ValidationError",
        "NoSuchBucket",
        "InvalidParameter",
        "MissingParameter",
        "InvalidRequest",
        "InsufficientInstanceCapacity",
        "InsufficientCapacity",
        "InsufficientHostCapacity",
        "InsufficientFreeAddressesInSubnet",
        "Unsupported",
        "IdempotentParameterMismatch",
        "LimitExceeded",
        "Malformed",
    ]) {
        Answer::Refused(Refusal::Invalid(why))
    } else {
        Answer::Unknown(why)
    }
}
