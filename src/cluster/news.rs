//! Which change concerns whom.

use super::Sight;
use crate::model::{Pod, Target};
use std::collections::BTreeMap;

/// More names than a cluster has at a time: the names of what is long gone are forgotten then.
const MOST: usize = 500_000;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Topic {
    Target(Target),
    Controller(String),
}

/// Counts the changes of a cluster, in all and of each thing that somebody may look at.
#[derive(Debug, Clone, Default)]
pub struct News {
    total: u64,
    of: BTreeMap<Topic, u64>,
}

impl News {
    /// The node or workload has changed, has come or has gone.
    pub fn target(&mut self, target: Target) {
        self.note(Topic::Target(target));
    }

    /// The pod has changed, has come or has gone.
    pub fn pod(&mut self, pod: &Pod) {
        if !pod.node.is_empty() {
            self.note(Topic::Target(Target::Node(pod.node.clone())));
        }
        if let Some(controller) = pod.controller() {
            self.note(Topic::Controller(controller));
        }
    }

    fn note(&mut self, topic: Topic) {
        self.total += 1;
        if self.of.len() >= MOST {
            // Whoever waits for one of them is woken once for nothing.
            let horizon = self.total.saturating_sub(MOST as u64 / 2);
            self.of.retain(|_, version| *version > horizon);
        }
        self.of.insert(topic, self.total);
    }

    /// Another number after every change of what `sight` shows.
    pub fn version(&self, sight: &Sight) -> u64 {
        let known = |topic: &Topic| self.of.get(topic).copied().unwrap_or(0);
        let target = match &sight.target {
            Some(target @ (Target::Node(_) | Target::Workload { .. })) => {
                known(&Topic::Target(target.clone()))
            }
            // Nothing in the cluster shows what it is about.
            Some(Target::Other { .. }) => 0,
            Some(Target::Pod { .. } | Target::Instance(_)) | None => return self.total,
        };
        let workload = sight.workload.clone().map_or(0, |of| known(&Topic::Target(of)));
        let waiting = sight.controllers.iter().map(|of| known(&Topic::Controller(of.clone())));
        waiting.chain([target, workload]).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Owner;

    #[test]
    fn a_change_concerns_those_who_look_at_it() {
        let node = |name: &str| Sight::of(&Target::Node(name.into()));
        let mut news = News::default();
        news.target(Target::Node("a".into()));
        let before = (news.version(&node("a")), news.version(&node("b")));
        let owner = Owner {
            api_version: "apps/v1".into(),
            kind: "ReplicaSet".into(),
            name: "r".into(),
            controller: true,
        };
        let pod =
            Pod { namespace: "ns".into(), node: "b".into(), owners: vec![owner], ..Pod::default() };
        news.pod(&pod);
        assert_eq!(news.version(&node("a")), before.0);
        assert_ne!(news.version(&node("b")), before.1);
        let waits = Sight { controllers: vec!["ns/ReplicaSet/r".into()], ..node("a") };
        assert_ne!(news.version(&waits), before.0);
        assert_eq!(news.version(&Sight::default()), 3);
    }
}
