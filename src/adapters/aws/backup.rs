//! AWS Backup's jobs and recovery points, and what has tags; `snapshots` has EC2's own.

mod snapshots;

use super::Cloud;
use super::cloud::refused;
use crate::model::{Answer, CloudCall, Protected, Refusal, Span, Standing, Vault};
use aws_sdk_backup as backup;
use aws_sdk_resourcegroupstagging as tagging;
use aws_smithy_types::DateTime;
use jiff::Timestamp;
pub(super) use snapshots::KEY;
use std::collections::BTreeMap;

/// Pages that are read of a list.
const PAGES: usize = 50;

const UNFINISHED: [&str; 4] = ["CREATED", "PENDING", "RUNNING", "ABORTING"];

impl Cloud {
    pub(super) async fn backup(&self, call: CloudCall) -> Answer {
        let done = match call {
            call @ CloudCall::StartBackup { .. } => self.start_backup(call).await,
            CloudCall::RunningBackup { vault, resource } => self.running(&vault, &resource).await,
            CloudCall::BackupJob { id } => self.job(&id).await,
            CloudCall::RecoveryPoint { vault, arn } => self.point(&vault, &arn).await,
            CloudCall::NewestRecoveryPoint { vault, resource } => {
                self.newest_point(&vault, &resource).await
            }
            CloudCall::Tagged { tags } => return self.tagged(&tags).await,
            CloudCall::TakeSnapshot { volume, key, tags } => {
                self.take_snapshot(&volume, &key, tags).await
            }
            CloudCall::SnapshotState { id } => self.snapshot(&id).await,
            CloudCall::NewestSnapshot { volume } => self.newest_snapshot(&volume).await,
            CloudCall::CompleteHook { .. }
            | CloudCall::Heartbeat { .. }
            | CloudCall::ObjectChanged { .. }
            | CloudCall::Provision(_)
            | CloudCall::GiveBack { .. } => Err(invalid("this is no backup")),
        };
        match done {
            Ok(Some(standing)) => {
                Answer::Said(serde_json::to_string(&standing).unwrap_or_default())
            }
            Ok(None) => Answer::Refused(Refusal::Gone),
            Err(answer) => answer,
        }
    }

    async fn backups(&self) -> backup::Client {
        backup::Client::new(self.config().await)
    }

    fn vault(&self, given: &Vault) -> Result<String, Answer> {
        given.vault.clone().or_else(|| self.backup.vault.clone()).ok_or_else(|| {
            invalid(
                "no vault: name `vault` in the step, or `aws.backup.vault` in the configuration",
            )
        })
    }

    fn role(&self, given: &Vault) -> Result<String, Answer> {
        given.role.clone().or_else(|| self.backup.role.clone()).ok_or_else(|| {
            invalid("no role: name `role` in the step, or `aws.backup.role` in the configuration")
        })
    }

    async fn arn(&self, vault: &Vault, resource: &Protected) -> Result<String, Answer> {
        if let Protected::Arn(arn) = resource {
            return Ok(arn.clone());
        }
        let config = self.config().await;
        let region = config.region().map(ToString::to_string).ok_or_else(|| {
            invalid("no region: name it in `aws.region` of the configuration, or in AWS_REGION")
        })?;
        resource.arn(&self.role(vault)?, &region).map_err(|why| invalid(&why))
    }

    async fn start_backup(&self, call: CloudCall) -> Result<Option<Standing>, Answer> {
        let CloudCall::StartBackup {
            vault,
            resource,
            token,
            start_within,
            complete_within,
            delete_after_days,
            tags,
        } = call
        else {
            return Ok(None);
        };
        let lifecycle = delete_after_days
            .map(|days| backup::types::Lifecycle::builder().delete_after_days(days.into()).build());
        let (name, role) = (self.vault(&vault)?, self.role(&vault)?);
        let arn = self.arn(&vault, &resource).await?;
        let begun = self.backups().await.start_backup_job();
        let begun = begun
            .backup_vault_name(name)
            .resource_arn(arn)
            .iam_role_arn(role)
            .idempotency_token(token)
            .start_window_minutes(minutes(start_within))
            .complete_window_minutes(minutes(complete_within))
            .set_lifecycle(lifecycle)
            .set_recovery_point_tags(Some(tags.into_iter().collect()))
            .send();
        let begun = begun.await.map_err(|error| {
            refused(&error, "backup:StartBackupJob, and iam:PassRole for the role")
        })?;
        Ok(begun.backup_job_id().map(|id| Standing { id: id.into(), ..Standing::default() }))
    }

    async fn running(
        &self,
        vault: &Vault,
        resource: &Protected,
    ) -> Result<Option<Standing>, Answer> {
        let arn = self.arn(vault, resource).await?;
        let listed = self.backups().await.list_backup_jobs().by_resource_arn(arn).send();
        let listed = listed.await.map_err(|error| refused(&error, "backup:ListBackupJobs"))?;
        let running = listed
            .backup_jobs()
            .iter()
            .find(|job| job.state().is_some_and(|state| UNFINISHED.contains(&state.as_str())));
        let id = running.and_then(|job| job.backup_job_id());
        Ok(id.map(|id| Standing { id: id.into(), ..Standing::default() }))
    }

    async fn job(&self, id: &str) -> Result<Option<Standing>, Answer> {
        let job = self.backups().await.describe_backup_job().backup_job_id(id).send();
        let job = job.await.map_err(|error| refused(&error, "backup:DescribeBackupJob"))?;
        Ok(Some(Standing {
            id: id.into(),
            state: job.state().map(|state| state.as_str().to_owned()).unwrap_or_default(),
            message: job.status_message().unwrap_or_default().into(),
            recovery_point: job.recovery_point_arn().map(str::to_owned),
            made_at: None,
        }))
    }

    async fn point(&self, vault: &Vault, arn: &str) -> Result<Option<Standing>, Answer> {
        let name = self.vault(vault)?;
        let point = self.backups().await.describe_recovery_point();
        let point = point.backup_vault_name(name).recovery_point_arn(arn).send();
        let point = point.await.map_err(|error| refused(&error, "backup:DescribeRecoveryPoint"))?;
        Ok(Some(Standing {
            id: arn.into(),
            state: point.status().map(|state| state.as_str().to_owned()).unwrap_or_default(),
            message: point.status_message().unwrap_or_default().into(),
            recovery_point: None,
            made_at: point.creation_date().and_then(moment),
        }))
    }

    async fn newest_point(
        &self,
        vault: &Vault,
        resource: &Protected,
    ) -> Result<Option<Standing>, Answer> {
        let arn = self.arn(vault, resource).await?;
        let wanted = vault.vault.as_ref().or(self.backup.vault.as_ref());
        let (client, mut next, mut newest) = (self.backups().await, None, None::<Standing>);
        for _ in 0..PAGES {
            let page = client.list_recovery_points_by_resource().resource_arn(&arn);
            let page = page.set_next_token(next).send().await;
            let need = "backup:ListRecoveryPointsByResource";
            let page = page.map_err(|error| refused(&error, need))?;
            for point in page.recovery_points() {
                let state = point.status().map(|state| state.as_str()).unwrap_or_default();
                let there = matches!(state, "COMPLETED" | "AVAILABLE");
                let at = point.creation_date().and_then(moment);
                let here = wanted.is_none_or(|name| point.backup_vault_name() == Some(name));
                if there && here && at > newest.as_ref().and_then(|it| it.made_at) {
                    let id = point.recovery_point_arn().unwrap_or_default().to_owned();
                    let state = state.to_owned();
                    newest = Some(Standing { id, state, made_at: at, ..Standing::default() });
                }
            }
            next = page.next_token().map(str::to_owned);
            if next.is_none() {
                break;
            }
        }
        Ok(newest)
    }

    /// Everything that has all of these tags, whatever it is: AWS Backup says itself what it cannot back up.
    async fn tagged(&self, tags: &BTreeMap<String, String>) -> Answer {
        let client = tagging::Client::new(self.config().await);
        let (mut next, mut all) = (None, vec![]);
        for _ in 0..PAGES {
            let mut page = client.get_resources();
            for (key, value) in tags {
                let filter = tagging::types::TagFilter::builder().key(key).values(value).build();
                page = page.tag_filters(filter);
            }
            let page = match page.set_pagination_token(next).send().await {
                Ok(page) => page,
                Err(error) => return refused(&error, "tag:GetResources"),
            };
            let found = page.resource_tag_mapping_list().iter();
            all.extend(found.filter_map(|it| it.resource_arn().map(str::to_owned)));
            next = page.pagination_token().filter(|next| !next.is_empty()).map(str::to_owned);
            if next.is_none() {
                break;
            }
        }
        Answer::Said(serde_json::to_string(&all).unwrap_or_default())
    }
}

fn invalid(why: &str) -> Answer {
    Answer::Refused(Refusal::Invalid(why.to_owned()))
}

fn minutes(span: Span) -> i64 {
    i64::try_from(span.0.as_secs() / 60).unwrap_or(i64::MAX)
}

fn moment(at: &DateTime) -> Option<Timestamp> {
    Timestamp::from_second(at.secs()).ok()
}
