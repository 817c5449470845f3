//! The scheduler: pods that wait get the emptiest node of the best pool that has room.

use super::{Due, Kind, World};
use std::{collections::BTreeSet, time::Duration};

/// An autoscaler looks so long after pods began to wait.
const REACTS: Duration = Duration::from_secs(2);

impl World {
    pub(super) fn enqueue(&mut self, uid: String) {
        self.born += 1;
        if let Some(run) = self.pods.get_mut(&uid) {
            run.queued = Some(self.born);
            self.pending.entry(run.app).or_default().insert(self.born, uid);
            self.unscheduled = true;
        }
    }

    pub(super) fn dequeue(&mut self, app: usize, at: u64) -> Option<String> {
        let waiting = self.pending.get_mut(&app)?;
        let uid = waiting.remove(&at);
        if waiting.is_empty() {
            self.pending.remove(&app);
        }
        uid
    }

    pub(super) fn schedule(&mut self) {
        if !std::mem::take(&mut self.unscheduled) {
            return;
        }
        // Pods of one app are alike: where one finds no room, its siblings need not look.
        let mut hopeless = BTreeSet::new();
        while let Some((at, app)) = self.first_in_line(&hopeless) {
            let Some(node) = self.room(app).or_else(|| self.preempts(app)) else {
                hopeless.insert(app);
                continue;
            };
            let Some(uid) = self.dequeue(app, at) else { continue };
            if let Some(run) = self.pods.get_mut(&uid) {
                run.queued = None;
            }
            self.bind(&uid, &node);
        }
        for app in hopeless {
            self.ask_for_more(app);
        }
    }

    fn first_in_line(&self, hopeless: &BTreeSet<usize>) -> Option<(u64, usize)> {
        let hopeful = self.pending.iter().filter(|(app, _)| !hopeless.contains(app));
        hopeful.filter_map(|(app, uids)| Some((*uids.keys().next()?, *app))).min()
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
        let wants = |app: usize| {
            let spec = &self.apps[app].spec;
            spec.kind != Kind::DaemonSet && spec.pools.iter().any(|name| name == pool)
        };
        self.pending.iter().filter(|(app, _)| wants(**app)).map(|(_, uids)| uids.len()).sum()
    }
}
