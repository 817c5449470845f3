//! Did it help? Waits until something holds, for long enough.

use super::Status;
use crate::model::{Expect, Look, Plan, PlannedGang, PodPhase, Waiting, Workload, unfit};
use jiff::Timestamp;
use std::time::Duration;

/// Waits until something holds, for long enough.
#[derive(Debug)]
pub(in crate::remediation) struct Verify {
    expect: Expect,
    hold: Duration,
    until: Timestamp,
    since: Option<Timestamp>,
    movers: Vec<String>,
    gangs: Vec<PlannedGang>,
    /// Of the node's machine when the plan was made.
    boot_id: String,
}

impl Verify {
    pub(super) fn new(expect: Expect, hold: Duration, until: Timestamp, plan: &Plan) -> Verify {
        let (movers, gangs) = (plan.movers.clone(), plan.gangs.clone());
        let boot_id = plan.boot_id.clone();
        Verify { expect, hold, until, since: None, movers, gangs, boot_id }
    }

    pub(super) fn status(&mut self, look: &Look, cleared: bool, now: Timestamp) -> Status {
        if !self.holds(look, cleared) {
            self.since = None;
            let missing = self.missing(look);
            return if now >= self.until { Status::Failed(missing) } else { Status::Working };
        }
        let from = *self.since.get_or_insert(now);
        if now.duration_since(from) >= self.hold.try_into().unwrap_or_default() {
            return Status::Done(self.met().into());
        }
        if now < self.until {
            return Status::Working;
        }
        Status::Failed("it did not hold for long enough".into())
    }

    pub(super) fn wake_at(&self) -> Timestamp {
        let held = self.since.and_then(|since| since.checked_add(self.hold).ok());
        held.map_or(self.until, |held| held.min(self.until))
    }

    fn met(&self) -> &'static str {
        match self.expect {
            Expect::AlertCleared => "the alert has cleared",
            Expect::NodeReady => "the node is Ready",
            Expect::NodeRebooted => "its machine has started anew",
            Expect::NodeEmpty => "nothing is left on the node",
            Expect::PodsRunning => "all pods are running",
        }
    }

    fn holds(&self, look: &Look, cleared: bool) -> bool {
        if look.stale {
            return false;
        }
        match self.expect {
            Expect::AlertCleared => cleared,
            Expect::NodeReady => look.node.as_ref().is_some_and(|node| node.ready),
            Expect::NodeRebooted => {
                let anew = |boot_id: &str| !boot_id.is_empty() && boot_id != self.boot_id;
                look.node.as_ref().is_some_and(|node| node.ready && anew(&node.boot_id))
            }
            Expect::NodeEmpty => look.pods.iter().all(|pod| pod.stays().is_some()),
            Expect::PodsRunning => {
                let whole = |of: &crate::model::Workload| {
                    of.ready >= of.replicas && of.updated >= of.replicas
                };
                look.workload.as_ref().is_none_or(whole)
                    && self.waiting(look).next().is_none()
                    && self.missed(look).next().is_none()
            }
        }
    }

    /// The replacements that are not running yet.
    fn waiting<'a>(&'a self, look: &'a Look) -> impl Iterator<Item = &'a Waiting> {
        self.movers.iter().filter_map(|of| look.waiting.get(of)).filter(|of| of.count > 0)
    }

    /// What was sent elsewhere, or suspended, and is not whole yet: also where none of its pods has been made so far.
    fn missed<'a>(&'a self, look: &'a Look) -> impl Iterator<Item = String> + 'a {
        let lacks = |of: &&Workload| of.ready < of.replicas;
        let moved = look
            .moved
            .iter()
            .filter(lacks)
            .map(|of| format!("{} of {} pods of {} run", of.ready, of.replicas, of.target()));
        let gangs = self.gangs.iter().filter_map(|gang| {
            let all = look.pods.iter().chain(look.peers.iter().map(AsRef::as_ref));
            let ours = all.filter(|pod| pod.gang().as_deref() == Some(gang.unit.as_str()));
            let runs = ours.filter(|pod| pod.runs() || pod.phase == PodPhase::Succeeded).count();
            let lacks = runs < gang.ranks as usize;
            lacks.then(|| format!("{runs} of {} ranks of {} run", gang.ranks, gang.unit))
        });
        moved.chain(gangs)
    }

    /// Why the first of them has no node, node by node, as the scheduler has it.
    fn why(&self, look: &Look) -> String {
        let Some(why) = self.waiting(look).find_map(|of| of.why.as_deref()) else {
            return String::new();
        };
        let unfit: Vec<String> = unfit(why).iter().map(ToString::to_string).collect();
        match unfit.is_empty() {
            true => format!("; {why}"),
            false => format!("; nodes that do not take them: {}", unfit.join(", ")),
        }
    }

    fn missing(&self, look: &Look) -> String {
        match self.expect {
            Expect::AlertCleared => "the alert still fires".into(),
            Expect::NodeReady => "the node is not Ready".into(),
            Expect::NodeRebooted => {
                "its machine has not started anew, as far as its kubelet tells".into()
            }
            Expect::NodeEmpty => {
                let left = look.pods.iter().filter(|pod| pod.stays().is_none()).count();
                format!("{left} pods are left on the node")
            }
            Expect::PodsRunning => {
                let waiting: Vec<&str> = self
                    .waiting(look)
                    .flat_map(|of| &of.names)
                    .take(5)
                    .map(String::as_str)
                    .collect();
                let missed: Vec<String> = self.missed(look).take(5).collect();
                match (&look.workload, waiting.is_empty(), missed.is_empty()) {
                    (Some(of), true, true) => {
                        format!("{} of {} replicas are ready", of.ready, of.replicas)
                    }
                    (_, true, false) => format!("not running yet: {}", missed.join("; ")),
                    _ => format!("not running yet: {}{}", waiting.join(", "), self.why(look)),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
