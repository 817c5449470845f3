//! What the caches show of a checkpoint's members.

use crate::model::{Look, PlannedCheckpoint, Pod, Said};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// What can be said of a unit's members now.
pub(super) struct Seen<'a> {
    pub(super) pods: BTreeMap<&'a str, &'a Pod>,
}

impl<'a> Seen<'a> {
    pub(super) fn of(unit: &PlannedCheckpoint, look: &'a Look) -> Seen<'a> {
        let members: BTreeSet<&str> = unit.members.iter().map(|it| it.uid.as_str()).collect();
        let all = look.pods.iter().chain(look.peers.iter().map(AsRef::as_ref));
        let pods = all.filter(|pod| members.contains(pod.uid.as_str()));
        Seen { pods: pods.map(|pod| (pod.uid.as_str(), pod)).collect() }
    }

    /// What a member says that was true at or after `since`: durable before anything else.
    pub(super) fn says(&self, since: Timestamp) -> Option<Said> {
        // By the request that it answers, where it says so: clocks differ. An older request's answer is none.
        let fresh = |pod: &&Pod| {
            let said = pod.says_of_checkpoint()?;
            let asked = pod.checkpoint_asked().filter(|(_, at)| *at >= since);
            let answers = asked.is_some_and(|(id, _)| said.id == Some(id));
            (answers || said.at.is_some_and(|at| at >= since)).then_some(said)
        };
        let said: Vec<Said> = self.pods.values().filter_map(fresh).collect();
        let durable = said.iter().find(|said| said.durable).or(said.first()).cloned();
        let newer = self.pods.values().filter_map(|pod| pod.told_of_checkpoint()).max();
        match durable {
            Some(said) if said.durable => Some(said),
            other => match newer.filter(|at| *at > since) {
                Some(at) => Some(Said { durable: true, at: Some(at), ..Said::default() }),
                None => other,
            },
        }
    }
}
