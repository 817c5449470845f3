//! Machines by the desired capacity of an Auto Scaling group. Nothing tells which of its machines came for whom: an order
//! leaves a note on the group before it raises it, and claims by a tag what comes after.

use super::super::Cloud;
use super::super::cloud::refused;
use super::ledger::{Entry, ORDER, Stage};
use super::{Had, invalid, tags};
use crate::clock::{Clock, System};
use crate::model::{Answer, Group, Order, Refusal};
use autoscaling::types::{
    AutoScalingGroup, Filter, Instance, LifecycleState, ScalingActivityStatusCode, Tag,
};
use aws_config::retry::RetryConfig;
use aws_sdk_autoscaling as autoscaling;

const READS: &str = "autoscaling:DescribeAutoScalingGroups";
const CLUSTER: &str = "tag:eks:cluster-name";
const NODE_GROUP: &str = "tag:eks:nodegroup-name";
/// Launches of a group that are looked at: the newest.
const ACTIVITIES: i32 = 50;
/// The clocks of two machines are not the same.
const SKEW: i64 = 5;

impl Cloud {
    async fn scaling(&self) -> autoscaling::Client {
        self.paced().await;
        autoscaling::Client::new(self.config().await)
    }

    async fn group(&self, group: &Group) -> Had<AutoScalingGroup> {
        let ask = self.scaling().await.describe_auto_scaling_groups();
        let filter = |name: &str, value: &str| Filter::builder().name(name).values(value).build();
        let ask = match group {
            Group::Named { name } => ask.auto_scaling_group_names(name),
            Group::Eks { cluster, node_group } => {
                ask.filters(filter(CLUSTER, cluster)).filters(filter(NODE_GROUP, node_group))
            }
        };
        let found = ask.send().await.map_err(|error| refused(&error, READS))?;
        match found.auto_scaling_groups() {
            [one] => Ok(one.clone()),
            [] => Err(invalid(format!("there is no group {group}"))),
            more => {
                let names: Vec<&str> =
                    more.iter().filter_map(|it| it.auto_scaling_group_name()).collect();
                Err(invalid(format!("{group} is several groups: {}", names.join(", "))))
            }
        }
    }

    /// What has come of the order; it is made where it was not yet.
    pub(super) async fn grow(&self, group: &Group, order: &Order) -> Had<Vec<String>> {
        let turn = self.desk.turn(&group.to_string());
        let _mine = turn.lock().await;
        let found = self.group(group).await?;
        let claimed = self.keyed(order).await?;
        if claimed.len() >= order.machines as usize {
            return Ok(claimed);
        }
        let mut entry = match noted(&found, order) {
            Some(entry) => entry,
            None => {
                let newest = self.described(&[of(&found)]).await?.iter().map(|it| it.1).max();
                let entry = fresh(&found, order, newest.unwrap_or(0))?;
                self.note(&found, order, entry).await?
            }
        };
        if entry.stage == Stage::Asking {
            // A life before may have come as far as this.
            if desired(&found) < entry.to {
                self.resize(&found, entry.to).await?;
            }
            entry = self.note(&found, order, Entry { stage: Stage::Asked, ..entry }).await?;
        }
        let claimed = self.claim(&found, order, entry, claimed).await?;
        if claimed.len() < order.machines as usize
            && let Some(why) = self.failure(&found, entry.at).await?
        {
            return Err(invalid(why));
        }
        Ok(claimed)
    }

    /// Nothing more comes of it; what has come already.
    pub(super) async fn call_off(&self, group: &Group, order: &Order) -> Had<Vec<String>> {
        let turn = self.desk.turn(&group.to_string());
        let _mine = turn.lock().await;
        let found = self.group(group).await?;
        let claimed = self.keyed(order).await?;
        let Some(entry) = noted(&found, order) else { return Ok(claimed) };
        let claimed = self.claim(&found, order, entry, claimed).await?;
        let down = match entry.stage {
            Stage::CallingOff(down) => down,
            Stage::Asking if desired(&found) < entry.to => desired(&found),
            Stage::Asking | Stage::Asked => {
                // What has come and cannot be described yet can be neither told whose it is nor ended.
                let known = self.described(&[of(&found)]).await?.len();
                if alive(&found).count() > known {
                    let message = "a machine has come that EC2 does not describe yet".to_owned();
                    return Err(Answer::Refused(Refusal::Busy { retry_after: None, message }));
                }
                let missing = i64::from(entry.machines) - claimed.len() as i64;
                let missing = i32::try_from(missing.max(0)).unwrap_or(0);
                // Lower than what there is would end machines, and nobody could say which.
                let there = i32::try_from(alive(&found).count()).unwrap_or(i32::MAX);
                let down =
                    (desired(&found) - missing).max(there).max(found.min_size().unwrap_or(0));
                let stage = Stage::CallingOff(down.min(desired(&found)));
                self.note(&found, order, Entry { stage, ..entry }).await?;
                down
            }
        };
        if down < desired(&found) {
            self.resize(&found, down).await?;
        }
        self.forget(&found, order).await?;
        Ok(claimed)
    }

    /// Ends those of the order, and the group gets smaller by them: others would be ended in their place otherwise.
    pub(super) async fn shrink(
        &self,
        group: &Group,
        order: &Order,
        machines: &[String],
    ) -> Had<Vec<String>> {
        let turn = self.desk.turn(&group.to_string());
        let _mine = turn.lock().await;
        let found = self.group(group).await?;
        let mut there = self.keyed(order).await?;
        let ours =
            |id: &&str| machines.iter().any(|it| it == id) && there.iter().any(|it| it == id);
        let doomed: Vec<String> = alive(&found)
            .filter_map(Instance::instance_id)
            .filter(ours)
            .map(str::to_owned)
            .collect();
        for id in doomed {
            // Sent again below this, the group would get smaller twice.
            let once = autoscaling::config::Config::builder().retry_config(RetryConfig::disabled());
            let ended = self
                .scaling()
                .await
                .terminate_instance_in_auto_scaling_group()
                .instance_id(&id)
                .should_decrement_desired_capacity(true)
                .customize()
                .config_override(once)
                .send();
            let need = "autoscaling:TerminateInstanceInAutoScalingGroup";
            ended.await.map_err(|error| refused(&error, need))?;
            there.retain(|it| *it != id);
        }
        Ok(there)
    }

    async fn resize(&self, group: &AutoScalingGroup, to: i32) -> Had<()> {
        let set = self
            .scaling()
            .await
            .set_desired_capacity()
            .auto_scaling_group_name(name(group))
            .desired_capacity(to)
            .honor_cooldown(false)
            .send();
        set.await.map_err(|error| refused(&error, "autoscaling:SetDesiredCapacity"))?;
        Ok(())
    }

    async fn note(&self, group: &AutoScalingGroup, order: &Order, entry: Entry) -> Had<Entry> {
        let tag = tag(group, order).value(entry.to_string()).propagate_at_launch(false);
        let noted = self.scaling().await.create_or_update_tags().tags(tag.build()).send();
        noted.await.map_err(|error| refused(&error, "autoscaling:CreateOrUpdateTags"))?;
        Ok(entry)
    }

    async fn forget(&self, group: &AutoScalingGroup, order: &Order) -> Had<()> {
        let gone = self.scaling().await.delete_tags().tags(tag(group, order).build()).send();
        gone.await.map_err(|error| refused(&error, "autoscaling:DeleteTags"))?;
        Ok(())
    }

    /// Tags as many as are missing of those that came after the order and are nobody's.
    async fn claim(
        &self,
        group: &AutoScalingGroup,
        order: &Order,
        entry: Entry,
        mut claimed: Vec<String>,
    ) -> Had<Vec<String>> {
        let missing = (entry.machines as usize).saturating_sub(claimed.len());
        if missing == 0 {
            return Ok(claimed);
        }
        let of = of(group);
        let mut here = self.described(std::slice::from_ref(&of)).await?;
        let marked = ("tag-key".to_owned(), super::KEY.to_owned());
        let taken = self.described(&[of, marked]).await?;
        let grows = |id: &str| alive(group).any(|it| it.instance_id() == Some(id));
        here.retain(|known| known.1 > entry.newest && !taken.contains(known) && grows(&known.0));
        here.sort_by(|one, other| (one.1, &one.0).cmp(&(other.1, &other.0)));
        let ours: Vec<String> = here.into_iter().take(missing).map(|(id, _)| id).collect();
        if !ours.is_empty() {
            let tagged = self.ec2().await.create_tags().set_resources(Some(ours.clone()));
            let tagged = tagged.set_tags(Some(tags(order))).send().await;
            tagged.map_err(|error| refused(&error, "ec2:CreateTags"))?;
            claimed.extend(ours);
        }
        Ok(claimed)
    }

    /// Why the group's last launch since then has failed.
    async fn failure(&self, group: &AutoScalingGroup, since: i64) -> Had<Option<String>> {
        let ask = self.scaling().await.describe_scaling_activities();
        let ask = ask.auto_scaling_group_name(name(group)).max_records(ACTIVITIES).send();
        let found =
            ask.await.map_err(|error| refused(&error, "autoscaling:DescribeScalingActivities"))?;
        let failed = found.activities().iter().find(|it| {
            let over = matches!(
                it.status_code(),
                Some(ScalingActivityStatusCode::Failed | ScalingActivityStatusCode::Cancelled)
            );
            let later = it.start_time().is_some_and(|at| at.secs() + SKEW >= since);
            over && later && it.description().is_none_or(|text| text.starts_with("Launching"))
        });
        Ok(failed.map(|it| it.status_message().unwrap_or("a launch has failed").to_owned()))
    }
}

/// EC2's filter for the machines of a group.
fn of(group: &AutoScalingGroup) -> (String, String) {
    ("tag:aws:autoscaling:groupName".to_owned(), name(group).to_owned())
}

fn name(group: &AutoScalingGroup) -> &str {
    group.auto_scaling_group_name().unwrap_or_default()
}

fn desired(group: &AutoScalingGroup) -> i32 {
    group.desired_capacity().unwrap_or(0)
}

fn tag(group: &AutoScalingGroup, order: &Order) -> autoscaling::types::builders::TagBuilder {
    Tag::builder()
        .resource_id(name(group))
        .resource_type("auto-scaling-group")
        .key(format!("{ORDER}{}", order.key))
}

fn noted(group: &AutoScalingGroup, order: &Order) -> Option<Entry> {
    let key = format!("{ORDER}{}", order.key);
    let tag = group.tags().iter().find(|tag| tag.key() == Some(key.as_str()))?;
    Entry::read(tag.value()?)
}

/// Raised by what is wanted, where it may be.
fn fresh(group: &AutoScalingGroup, order: &Order, newest: i64) -> Had<Entry> {
    let machines = order.machines;
    let to = desired(group).saturating_add(i32::try_from(machines).unwrap_or(i32::MAX));
    let most = group.max_size().unwrap_or(i32::MAX);
    if to > most {
        let why = format!("{} has {} of at most {most} machines", name(group), desired(group));
        return Err(invalid(why));
    }
    let launches = |it: &autoscaling::types::SuspendedProcess| it.process_name() == Some("Launch");
    if group.suspended_processes().iter().any(launches) {
        return Err(invalid(format!("{} launches nothing: that is suspended", name(group))));
    }
    if group.status().is_some() {
        let message = format!("{} is being deleted", name(group));
        return Err(Answer::Refused(Refusal::Invalid(message)));
    }
    Ok(Entry { stage: Stage::Asking, machines, to, at: System.now().as_second(), newest })
}

/// Machines that come or are there.
fn alive(group: &AutoScalingGroup) -> impl Iterator<Item = &Instance> {
    group.instances().iter().filter(|it| {
        let state = it.lifecycle_state();
        state.is_some_and(|state| {
            *state == LifecycleState::InService || state.as_str().starts_with("Pending")
        })
    })
}
