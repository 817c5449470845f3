//! Which change concerns whom.

use super::Sight;
use crate::model::{Pod, Target};
use std::collections::BTreeMap;

/// More names than a cluster has at a time: the names of what is long gone are forgotten then.
const MOST: usize = 500_000;

/// Counts the changes of a cluster, in all and of each thing that somebody may look at.
#[derive(Debug, Clone, Default)]
pub struct News {
    total: u64,
    /// The last change that concerned everybody.
    everybody: u64,
    targets: BTreeMap<Target, u64>,
    /// Of controllers and of gangs.
    groups: BTreeMap<String, u64>,
}

impl News {
    /// The node or workload has changed, has come or has gone.
    pub fn target(&mut self, target: Target) {
        self.total += 1;
        forget(&mut self.targets, self.total);
        self.targets.insert(target, self.total);
    }

    /// The pod has changed, has come or has gone.
    pub fn pod(&mut self, pod: &Pod) {
        if !pod.node.is_empty() {
            self.target(Target::Node(pod.node.clone()));
        }
        for group in [Some(pod.maker()), pod.gang()].into_iter().flatten() {
            self.total += 1;
            forget(&mut self.groups, self.total);
            self.groups.insert(group, self.total);
        }
    }

    /// What concerns everybody: what was listed is complete now, so that absences mean something.
    pub fn everybody(&mut self) {
        self.total += 1;
        self.everybody = self.total;
    }

    /// Another number after every change of what `sight` shows.
    pub fn version(&self, sight: &Sight) -> u64 {
        let of = |target: &Target| self.targets.get(target).copied().unwrap_or(0);
        let target = match &sight.target {
            Some(target @ (Target::Node(_) | Target::Workload { .. })) => of(target),
            // Nothing in the cluster shows what it is about.
            Some(Target::Other { .. }) => 0,
            Some(Target::Pod { .. } | Target::Instance(_)) | None => return self.total,
        };
        let workload = sight.workload.as_ref().map_or(0, of);
        let waiting = sight.controllers.iter().filter_map(|of| self.groups.get(of)).copied();
        let moved = sight.moved.iter().map(of);
        waiting.chain(moved).chain([target, workload, self.everybody]).max().unwrap_or(0)
    }
}

/// Keeps the newer half of too many. Whoever waits for one of the others is woken once for nothing.
fn forget<K: Ord>(of: &mut BTreeMap<K, u64>, total: u64) {
    if of.len() >= MOST {
        let horizon = total.saturating_sub(MOST as u64 / 2);
        of.retain(|_, version| *version > horizon);
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
        let nowhere = Sight::of(&Target::Other { kind: "x".into(), name: "y".into() });
        let before = (news.version(&node("a")), news.version(&nowhere));
        news.everybody();
        assert!(news.version(&node("a")) > before.0 && news.version(&nowhere) > before.1);
    }
}
