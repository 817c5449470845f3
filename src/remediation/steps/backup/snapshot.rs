//! EBS snapshots: taken by EC2 at the moment of the request, each once, by its tag; waited for only where that is asked.

use super::super::turn::Weighed;
use super::many::{Many, One, Way};
use super::{Asking, marks};
use crate::model::{CloudCall, Id, Plan, Protected, Snapshot, Standing};
use jiff::Timestamp;

#[derive(Debug)]
pub(super) struct Order {
    wait: bool,
    key: Id,
    tags: Vec<(String, String)>,
}

/// One volume, and its snapshot once EC2 has taken the request.
#[derive(Debug)]
struct Volume {
    id: String,
    snapshot: Option<String>,
}

/// The machine of the step.
pub(super) fn start(
    plan: &Plan,
    key: &Id,
    of: &Snapshot,
    until: Timestamp,
    now: Timestamp,
) -> Box<dyn Asking> {
    let order = Order { wait: of.wait, key: key.clone(), tags: marks(plan).to_vec() };
    Box::new(Many::<Volume>::new(&of.sought, order, until, now))
}

impl Way for Volume {
    type Of = Order;
    // The point in time is that of the request: none waits for another.
    const ABREAST: usize = super::find::MOST;

    fn of(what: Protected) -> Result<Volume, String> {
        let id = what.volume().map(str::to_owned);
        let odd = || format!("{what} is no volume: EC2 makes snapshots of volumes alone");
        Ok(Volume { id: id.ok_or_else(odd)?, snapshot: None })
    }

    fn name(&self) -> String {
        self.id.clone()
    }

    fn ask(&self, of: &Order) -> CloudCall {
        match &self.snapshot {
            None => CloudCall::TakeSnapshot {
                volume: self.id.clone(),
                key: of.key.as_str().to_owned(),
                tags: of.tags.clone(),
            },
            Some(id) => CloudCall::SnapshotState { id: id.clone() },
        }
    }

    fn answer(one: &mut One<Volume>, of: &Order, weighed: Weighed, now: Timestamp) {
        let Standing { id, state, message, .. } = match weighed {
            Weighed::Again(why) => return one.last = why,
            Weighed::Said(said) => serde_json::from_str(&said).unwrap_or_default(),
            Weighed::Gone => {
                return one.over = Some(Err("the volume or its snapshot is gone".into()));
            }
            Weighed::Never(why) | Weighed::Changed(why) => return one.over = Some(Err(why)),
        };
        match state.as_str() {
            "error" => one.over = Some(Err(format!("{id} has failed: {message}"))),
            "pending" if of.wait => {
                one.last = format!("{id} is pending, {message}");
                if one.way.snapshot.is_none() {
                    one.turn.on(now);
                }
                one.turn.later(now);
                one.way.snapshot = Some(id);
            }
            "pending" | "completed" => one.over = Some(Ok(format!("{id} of {}", one.way.id))),
            // "recoverable" and "recovering" lie in the recycle bin.
            other => one.over = Some(Err(format!("{id} is {other}"))),
        }
    }
}
