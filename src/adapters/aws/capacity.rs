//! Machines that are asked for: by the desired capacity of a group, or by a fleet; once for each order, whoever asks.
//!
//! `groups` and `fleets` are the two ways, `ledger` is the note that an order leaves on its group.

mod fleets;
mod groups;
mod ledger;

use super::Cloud;
use super::backup::KEY;
use super::cloud::refused;
use crate::model::{Answer, Granted, Order, Refusal, Source};
use aws_sdk_ec2 as ec2;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use std::{collections::BTreeMap, num::NonZeroU32, sync::Arc};
use tokio::sync::Mutex;

/// Requests a second, and at once, of all orders together: the account's other programs have to have their share.
const EACH_SECOND: NonZeroU32 = NonZeroU32::new(5).unwrap();
const AT_ONCE: NonZeroU32 = NonZeroU32::new(20).unwrap();

/// What all orders share.
pub(super) struct Desk {
    pace: DefaultDirectRateLimiter,
    /// A group's desired capacity is read and written: one at a time.
    groups: std::sync::Mutex<BTreeMap<String, Arc<Mutex<()>>>>,
}

impl Default for Desk {
    fn default() -> Desk {
        let quota = Quota::per_second(EACH_SECOND).allow_burst(AT_ONCE);
        Desk { pace: RateLimiter::direct(quota), groups: std::sync::Mutex::default() }
    }
}

impl Desk {
    fn turn(&self, group: &str) -> Arc<Mutex<()>> {
        let mut all = self.groups.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        Arc::clone(all.entry(group.to_owned()).or_default())
    }
}

/// What came of it, or why not.
type Had<T> = Result<T, Answer>;

impl Cloud {
    pub(super) async fn provision(&self, order: &Order) -> Answer {
        said(match &order.source {
            Source::Group { group } => self.grow(group, order).await,
            Source::Fleet { .. } => self.launch(order).await,
            Source::Placeholders(_) => return no_cloud(),
        })
    }

    pub(super) async fn give_back(&self, order: &Order, machines: &[String]) -> Answer {
        said(match (&order.source, machines.is_empty()) {
            (Source::Group { group }, true) => self.call_off(group, order).await,
            (Source::Group { group }, false) => self.shrink(group, order, machines).await,
            (Source::Fleet { .. }, true) => self.launched(order).await,
            (Source::Fleet { .. }, false) => self.end(order, machines).await,
            (Source::Placeholders(_), _) => return no_cloud(),
        })
    }

    async fn paced(&self) {
        self.desk.pace.until_ready().await;
    }

    async fn ec2(&self) -> ec2::Client {
        self.paced().await;
        ec2::Client::new(self.config().await)
    }

    /// The machines that carry the order's key and are not about to end, and when they were launched.
    async fn keyed(&self, order: &Order) -> Had<Vec<String>> {
        let all = self.described(&[(format!("tag:{KEY}"), order.key.clone())]).await?;
        Ok(all.into_iter().map(|(id, _)| id).collect())
    }

    /// Instances that come or run, with the time of their launch in seconds.
    async fn described(&self, filters: &[(String, String)]) -> Had<Vec<(String, i64)>> {
        let (mut next, mut all) = (None, vec![]);
        loop {
            let mut ask = self.ec2().await.describe_instances();
            for (name, value) in filters {
                ask = ask.filters(filter(name, [value.clone()]));
            }
            ask = ask
                .filters(filter("instance-state-name", ["pending", "running"].map(str::to_owned)));
            let page = ask.set_next_token(next).send().await;
            let page = page.map_err(|error| refused(&error, "ec2:DescribeInstances"))?;
            let found = page.reservations().iter().flat_map(|it| it.instances());
            all.extend(found.filter_map(|it| {
                Some((it.instance_id()?.to_owned(), it.launch_time().map_or(0, |at| at.secs())))
            }));
            next = page.next_token().map(str::to_owned);
            if next.is_none() {
                return Ok(all);
            }
        }
    }
}

fn filter<const N: usize>(name: &str, values: [String; N]) -> ec2::types::Filter {
    ec2::types::Filter::builder().name(name).set_values(Some(values.into())).build()
}

fn tags(order: &Order) -> Vec<ec2::types::Tag> {
    let tag = |(key, value): &(String, String)| ec2::types::Tag::builder().key(key).value(value);
    order.tags.iter().map(tag).map(ec2::types::builders::TagBuilder::build).collect()
}

fn said(had: Had<Vec<String>>) -> Answer {
    match had {
        Ok(machines) => {
            Answer::Said(serde_json::to_string(&Granted { machines }).unwrap_or_default())
        }
        Err(answer) => answer,
    }
}

fn invalid(why: String) -> Answer {
    Answer::Refused(Refusal::Invalid(why))
}

fn no_cloud() -> Answer {
    invalid("placeholder pods are the cluster's matter".into())
}
