//! The scheduler: pods that wait get the emptiest node of the best pool that has room.

use super::{Due, Kind, World};
use std::time::Duration;

/// An autoscaler looks so long after pods began to wait.
const REACTS: Duration = Duration::from_secs(2);

impl World {
    pub(super) fn enqueue(&mut self, uid: String) {
        self.born += 1;
        if let Some(run) = self.pods.get_mut(&uid) {
            run.queued = Some(self.born);
            self.pending.insert(self.born, uid);
            self.unscheduled = true;
        }
    }

    pub(super) fn schedule(&mut self) {
        if !std::mem::take(&mut self.unscheduled) {
            return;
        }
        // Pods of one app are alike: where one finds no room, its siblings need not look.
        let mut hopeless = std::collections::BTreeSet::new();
        let waiting: Vec<(u64, String)> =
            self.pending.iter().map(|(at, uid)| (*at, uid.clone())).collect();
        for (at, uid) in waiting {
            let Some(app) = self.pods.get(&uid).map(|run| run.app) else { continue };
            if hopeless.contains(&app) {
                continue;
            }
            match self.room(app) {
                Some(node) => {
                    self.pending.remove(&at);
                    if let Some(run) = self.pods.get_mut(&uid) {
                        run.queued = None;
                    }
                    self.bind(&uid, &node);
                }
                None => {
                    hopeless.insert(app);
                }
            }
        }
        for app in hopeless {
            self.ask_for_more(app);
        }
    }

    fn room(&self, app: usize) -> Option<String> {
        let pools = self.apps[app].spec.pools.iter().filter_map(|pool| self.pools.get(pool));
        pools.filter_map(|pool| pool.open.first()).map(|(_, name)| name.clone()).next()
    }

    /// The pools of an app without room look whether they may grow.
    fn ask_for_more(&mut self, app: usize) {
        for name in self.apps[app].spec.pools.clone() {
            let at = self.later(REACTS);
            if let Some(pool) = self.pools.get_mut(&name)
                && pool.spec.grows.is_some()
                && !std::mem::replace(&mut pool.looking, true)
            {
                self.plan(at, Due::Grow(name));
            }
        }
    }

    /// Pods that wait for a node of `pool`.
    pub(super) fn waiting_for(&self, pool: &str) -> usize {
        let wants = |run: &super::Run| {
            let spec = &self.apps[run.app].spec;
            spec.kind != Kind::DaemonSet && spec.pools.iter().any(|name| name == pool)
        };
        self.pending.values().filter_map(|uid| self.pods.get(uid)).filter(|run| wants(run)).count()
    }
}
