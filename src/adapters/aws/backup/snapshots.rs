//! EC2's snapshots of volumes.

use super::super::Cloud;
use super::super::cloud::refused;
use super::{PAGES, moment};
use crate::model::{Answer, Standing};
use aws_config::retry::RetryConfig;
use aws_sdk_ec2 as ec2;

/// By it a snapshot is known to be ours: CreateSnapshot has no token that makes a second call harmless.
pub(in crate::adapters::aws) const KEY: &str = "medevac.dev/key";

impl Cloud {
    async fn machines(&self) -> ec2::Client {
        ec2::Client::new(self.config().await)
    }

    pub(super) async fn take_snapshot(
        &self,
        volume: &str,
        key: &str,
        tags: Vec<(String, String)>,
    ) -> Result<Option<Standing>, Answer> {
        let client = self.machines().await;
        let before = client.describe_snapshots().owner_ids("self");
        let before = before.filters(filter(&format!("tag:{KEY}"), key));
        let before = before.filters(filter("volume-id", volume)).send().await;
        let before = before.map_err(|error| refused(&error, "ec2:DescribeSnapshots"))?;
        if let Some(known) = before.snapshots().first() {
            return Ok(Some(shown(known)));
        }
        let tag = |(name, value): (String, String)| {
            ec2::types::Tag::builder().key(name).value(value).build()
        };
        let all = tags.into_iter().chain([(KEY.to_owned(), key.to_owned())]).map(tag);
        let specification = ec2::types::TagSpecification::builder()
            .resource_type(ec2::types::ResourceType::Snapshot)
            .set_tags(Some(all.collect()))
            .build();
        let taken = client.create_snapshot().volume_id(volume).description("Made by Medevac");
        // Sent again below this it would be another one: who does not hear an answer looks for the tag first.
        let once = ec2::config::Config::builder().retry_config(RetryConfig::disabled());
        let taken = taken.tag_specifications(specification).customize().config_override(once);
        let taken = taken.send().await;
        let need = "ec2:CreateSnapshot and ec2:CreateTags";
        let taken = taken.map_err(|error| refused(&error, need))?;
        Ok(Some(Standing {
            id: taken.snapshot_id().unwrap_or_default().into(),
            state: taken.state().map(|it| it.as_str().to_owned()).unwrap_or_default(),
            made_at: taken.start_time().and_then(moment),
            ..Standing::default()
        }))
    }

    pub(super) async fn snapshot(&self, id: &str) -> Result<Option<Standing>, Answer> {
        let found = self.machines().await.describe_snapshots().snapshot_ids(id).send();
        let found = found.await.map_err(|error| refused(&error, "ec2:DescribeSnapshots"))?;
        Ok(found.snapshots().first().map(shown))
    }

    pub(super) async fn newest_snapshot(&self, volume: &str) -> Result<Option<Standing>, Answer> {
        let (client, mut next, mut newest) = (self.machines().await, None, None::<Standing>);
        for _ in 0..PAGES {
            let page = client.describe_snapshots().owner_ids("self");
            let page = page.filters(filter("volume-id", volume));
            let page = page.filters(filter("status", "completed")).set_next_token(next).send();
            let page = page.await.map_err(|error| refused(&error, "ec2:DescribeSnapshots"))?;
            let all = page.snapshots().iter().map(shown);
            newest = all.chain(newest).max_by_key(|standing| standing.made_at);
            next = page.next_token().map(str::to_owned);
            if next.is_none() {
                break;
            }
        }
        Ok(newest)
    }
}

fn filter(name: &str, value: &str) -> ec2::types::Filter {
    ec2::types::Filter::builder().name(name).values(value).build()
}

fn shown(snapshot: &ec2::types::Snapshot) -> Standing {
    Standing {
        id: snapshot.snapshot_id().unwrap_or_default().into(),
        state: snapshot.state().map(|it| it.as_str().to_owned()).unwrap_or_default(),
        message: snapshot.state_message().or(snapshot.progress()).unwrap_or_default().into(),
        recovery_point: None,
        made_at: snapshot.start_time().and_then(moment),
    }
}
