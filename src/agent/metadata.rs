//! What the metadata service answers, read. Source: the EC2 user guide, "Instance metadata categories".

use jiff::{Timestamp, fmt::rfc2822};
use serde::Deserialize;
use serde_json::Value;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Item {
    /// Who the machine is.
    Identity,
    InstanceAction,
    Rebalance,
    Scheduled,
    /// What became of maintenance that is not scheduled any more.
    History,
    TargetState,
}

impl Item {
    pub fn path(self) -> &'static str {
        match self {
            Item::Identity => "/latest/dynamic/instance-identity/document",
            Item::InstanceAction => "/latest/meta-data/spot/instance-action",
            Item::Rebalance => "/latest/meta-data/events/recommendations/rebalance",
            Item::Scheduled => "/latest/meta-data/events/maintenance/scheduled",
            Item::History => "/latest/meta-data/events/maintenance/history",
            Item::TargetState => "/latest/meta-data/autoscaling/target-lifecycle-state",
        }
    }
}

/// What the machine is told to do, and when.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Action {
    pub(super) action: String,
    pub(super) time: Timestamp,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Recommendation {
    notice_time: Timestamp,
}

/// Maintenance that is planned for the machine, or was.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Maintenance {
    pub(super) event_id: String,
    pub(super) code: String,
    #[serde(default)]
    pub(super) description: String,
    #[serde(default)]
    pub(super) state: String,
    pub(super) not_before: String,
    /// May be missing or empty.
    #[serde(default)]
    pub(super) not_after: String,
}

impl Maintenance {
    pub(super) fn is_planned(&self) -> bool {
        !matches!(self.state.as_str(), "completed" | "canceled")
    }

    /// The moment before which it does not begin.
    pub(super) fn begins(&self) -> Option<Timestamp> {
        rfc2822::DateTimeParser::new().parse_timestamp(&self.not_before).ok()
    }
}

/// Characters of an answer that are quoted where it cannot be read.
const QUOTED: usize = 60;
/// Maintenance of one machine. AWS plans one thing at a time.
const MOST: usize = 100;

fn unreadable(item: Item, body: &str) -> String {
    let some: String = body.chars().filter(|c| !c.is_control()).take(QUOTED).collect();
    format!("{} is nothing that can be read: `{some}`", item.path())
}

pub(super) fn unreadable_identity(body: &str) -> String {
    unreadable(Item::Identity, body)
}

pub(super) fn action(body: &str) -> Result<Action, String> {
    let read = serde_json::from_str::<Action>(body);
    let known = |it: &Action| matches!(it.action.as_str(), "terminate" | "stop" | "hibernate");
    read.ok().filter(known).ok_or_else(|| unreadable(Item::InstanceAction, body))
}

pub(super) fn rebalance(body: &str) -> Result<Timestamp, String> {
    let read = serde_json::from_str::<Recommendation>(body);
    read.map(|it| it.notice_time).map_err(|_| unreadable(Item::Rebalance, body))
}

pub(super) fn maintenance(item: Item, body: &str) -> Result<Vec<Maintenance>, String> {
    let read = serde_json::from_str::<Vec<Value>>(body).map_err(|_| unreadable(item, body))?;
    let one = |value: Value| {
        let read = serde_json::from_value::<Maintenance>(value).ok();
        read.filter(|it| it.begins().is_some() && !it.event_id.is_empty())
    };
    let all: Option<Vec<Maintenance>> = read.into_iter().take(MOST).map(one).collect();
    all.ok_or_else(|| unreadable(item, body))
}

/// The word of the life-cycle that the machine is on its way to.
pub(super) fn target_state(body: &str) -> Result<String, String> {
    let word = body.trim();
    let known = word.len() <= 40 && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b':');
    match known && !word.is_empty() {
        true => Ok(word.to_owned()),
        false => Err(unreadable(Item::TargetState, body)),
    }
}
