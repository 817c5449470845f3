//! Kubelets: pods become ready, are told to stop, save what they have, and are gone.

use super::{Due, Kind, Mark, World};
use crate::model::PodPhase;
use jiff::Timestamp;
use std::time::Duration;

impl World {
    pub(super) fn bind(&mut self, uid: &str, node: &str) {
        let Some(run) = self.pods.get_mut(uid) else { return };
        run.pod.node = node.to_owned();
        let number = self.born;
        run.pod.ip = format!("10.{}.{}.{}", number >> 16 & 255, number >> 8 & 255, number & 255);
        let spec = &self.apps[run.app].spec;
        let (starts_in, counts) =
            (spec.starts_in, !matches!(spec.kind, Kind::DaemonSet | Kind::Static));
        self.news.pod(&run.pod);
        self.unseat(node);
        if let Some(machine) = self.nodes.get_mut(node) {
            let on = if counts { &mut machine.pods } else { &mut machine.daemons };
            on.insert(uid.to_owned());
        }
        self.seat(node);
        self.plan(self.later(starts_in), Due::Ready(uid.to_owned()));
    }

    pub(super) fn becomes_ready(&mut self, uid: &str) {
        let now = self.now;
        let Some(run) = self.pods.get_mut(uid) else { return };
        if run.pod.deleted_at.is_some() || run.pod.ready {
            return;
        }
        (run.pod.ready, run.pod.phase) = (true, PodPhase::Running);
        run.running_since = Some(now);
        run.pod.started_at = Some(now);
        let (at, maker) = (run.app, run.pod.maker());
        let (name, node) = (run.pod.full_name(), run.pod.node.clone());
        self.news.pod(&run.pod);
        self.no_longer_waits(&maker, uid);
        let app = &mut self.apps[at];
        app.healthy += 1;
        let (kind, works_for) = (app.spec.kind, app.spec.works_for);
        if kind == Kind::Gang && app.healthy == app.spec.replicas as usize {
            app.together_since = Some(now);
        }
        if kind == Kind::Job {
            self.plan(self.later(works_for), Due::Finished(uid.to_owned()));
        }
        if !matches!(kind, Kind::DaemonSet | Kind::Static) {
            self.note(Some(&node), Mark::Running, format!("{name} runs on {node}"));
        }
        self.changed_app(at);
    }

    fn no_longer_waits(&mut self, maker: &str, uid: &str) {
        if let Some(waiting) = self.waiting.get_mut(maker) {
            waiting.remove(uid);
            if waiting.is_empty() {
                self.waiting.remove(maker);
            }
        }
    }

    /// SIGTERM, and SIGKILL after `grace` seconds. A second time only ever shortens it.
    pub(super) fn told_to_stop(&mut self, uid: &str, grace: u32) {
        let now = self.now;
        let ends = self.later(Duration::from_secs(u64::from(grace)));
        let saving = self.saving_time(uid);
        let Some(run) = self.pods.get_mut(uid) else { return };
        let at = run.app;
        let spec = &self.apps[at].spec;
        let first = run.pod.deleted_at.is_none();
        if first {
            let stops = now.checked_add(spec.stops_in.max(saving.unwrap_or_default()));
            run.stops_at = stops.ok();
            run.saves_at = saving.and_then(|saving| now.checked_add(saving).ok());
            if run.pod.ready {
                self.apps[at].healthy -= 1;
            }
            if run.pod.phase != PodPhase::Succeeded {
                self.apps[at].going += 1;
            }
            run.pod.ready = false;
        }
        run.pod.deleted_at = Some(run.pod.deleted_at.map_or(ends, |before| before.min(ends)));
        // Unbound pods have no kubelet to wait for.
        let bound = !run.pod.node.is_empty();
        let over = if bound { run.stops_at.map_or(ends, |stops| stops.min(ends)) } else { now };
        let sooner = run.gone_at.is_none_or(|before| over < before);
        run.gone_at = Some(run.gone_at.map_or(over, |before| before.min(over)));
        let maker = run.pod.maker();
        self.news.pod(&run.pod);
        if first {
            self.no_longer_waits(&maker, uid);
        }
        if sooner {
            self.plan(over, Due::Gone(uid.to_owned()));
        }
        self.unsettled.insert(at);
        self.changed_app(at);
    }

    /// How long the checkpoint takes that the pod makes when it is told to stop.
    fn saving_time(&mut self, uid: &str) -> Option<Duration> {
        let run = self.pods.get(uid)?;
        let checkpoint = self.apps[run.app].spec.checkpoint.as_ref()?;
        if !checkpoint.on_stop || run.running_since.is_none() || run.saves_at.is_some() {
            return None;
        }
        let now = self.now;
        self.saving.retain(|(until, _)| *until > now);
        let takes = self.cloud.storage_takes(checkpoint.takes, self.saving.len());
        self.saving.insert((self.later(takes), uid.to_owned()));
        Some(takes)
    }

    /// The time to be gone has come, unless it was moved.
    pub(super) fn is_over(&mut self, uid: &str) {
        let Some(run) = self.pods.get(uid) else { return };
        if run.gone_at.is_none_or(|at| at > self.now) {
            return;
        }
        let silent = self.nodes.get(&run.pod.node).is_some_and(|machine| !machine.alive);
        if silent {
            // Nobody ends it there. It is looked at again when the kubelet answers.
            return;
        }
        let killed = run.stops_at.is_some_and(|stops| stops > self.now) && !run.pod.node.is_empty();
        self.dies(uid, killed);
    }

    /// A Job's pod has done its work.
    pub(super) fn has_finished(&mut self, uid: &str) {
        let Some(run) = self.pods.get_mut(uid) else { return };
        if run.pod.deleted_at.is_some() || run.pod.phase != PodPhase::Running {
            return;
        }
        (run.pod.phase, run.pod.ready) = (PodPhase::Succeeded, false);
        let (at, node) = (run.app, run.pod.node.clone());
        self.news.pod(&run.pod);
        self.apps[at].done += 1;
        self.apps[at].going += 1;
        self.apps[at].healthy -= 1;
        self.unseat(&node);
        if let Some(machine) = self.nodes.get_mut(&node) {
            machine.pods.remove(uid);
        }
        self.seat(&node);
        self.changed_app(at);
    }

    /// The pod ends now: by itself, or `killed`.
    pub(super) fn dies(&mut self, uid: &str, killed: bool) {
        let Some(run) = self.pods.get(uid) else { return };
        let (at, name, node) = (run.app, run.pod.full_name(), run.pod.node.clone());
        let saved = run.saves_at.is_some_and(|at| at <= self.now);
        let lost = self.lost_with(uid, saved);
        self.sums.lost_work += lost;
        if saved {
            self.sums.checkpoints += 1;
        }
        if killed {
            self.sums.hard_killed += 1;
            let text = match lost.as_secs() {
                0 => format!("{name} is killed on {node}"),
                lost => format!("{name} is killed on {node}: {lost} s of work are lost"),
            };
            self.note(Some(&node), Mark::Killed, text);
        }
        self.stops_saving(uid);
        self.forget(uid);
        self.apps[at].together_since = None;
        self.unsettled.insert(at);
    }

    /// Work since the last durable checkpoint. Of a gang, that of every rank.
    fn lost_with(&self, uid: &str, saved: bool) -> Duration {
        let Some(run) = self.pods.get(uid) else { return Duration::ZERO };
        let app = &self.apps[run.app];
        let Some(checkpoint) = app.spec.checkpoint.as_ref().filter(|_| !saved) else {
            return Duration::ZERO;
        };
        let (since, kept, ranks) = match app.spec.kind {
            Kind::Gang => (app.together_since, app.saves.kept, app.spec.replicas),
            _ => (run.running_since, run.saves.kept, 1),
        };
        let after =
            |kept: jiff::Timestamp| self.now.duration_since(kept).try_into().unwrap_or_default();
        let unsaved = |since| {
            let by_itself = unsaved(checkpoint.every, checkpoint.takes, since, self.now);
            kept.map_or(by_itself, |kept| by_itself.min(after(kept)))
        };
        since.map_or(Duration::ZERO, unsaved) * ranks
    }

    /// Takes every trace of a pod away.
    pub(super) fn forget(&mut self, uid: &str) {
        let Some(run) = self.pods.remove(uid) else { return };
        let pod = &run.pod;
        self.unseat(&pod.node);
        if let Some(machine) = self.nodes.get_mut(&pod.node) {
            machine.pods.remove(uid);
            machine.daemons.remove(uid);
        }
        self.seat(&pod.node);
        let key = (pod.namespace.clone(), pod.name.clone());
        if self.names.get(&key).is_some_and(|known| known == uid) {
            self.names.remove(&key);
        }
        if let Some(queued) = run.queued {
            self.dequeue(run.app, queued);
        }
        self.no_longer_waits(&pod.maker(), uid);
        let app = &mut self.apps[run.app];
        app.pods.remove(uid);
        if pod.deleted_at.is_some() || pod.phase == PodPhase::Succeeded {
            app.going -= 1;
        }
        if pod.ready && pod.deleted_at.is_none() {
            app.healthy -= 1;
        }
        self.unsettled.insert(run.app);
        self.news.pod(pod);
        self.changed_app(run.app);
    }
}

/// What is not durable of the work from `since` to `until`: a checkpoint is begun `every` so often, holds what
/// was worked out until it began, and is durable once it is written.
fn unsaved(every: Duration, takes: Duration, since: Timestamp, until: Timestamp) -> Duration {
    let worked = Duration::try_from(until.duration_since(since)).unwrap_or_default();
    if every.is_zero() {
        return worked;
    }
    let written = worked.saturating_sub(takes).as_millis() / every.as_millis();
    let kept = every.saturating_mul(u32::try_from(written).unwrap_or(u32::MAX));
    worked.saturating_sub(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_kept_up_to_the_beginning_of_the_last_checkpoint_that_was_written() {
        let at = |seconds: u64| Timestamp::UNIX_EPOCH + Duration::from_secs(seconds);
        let lost =
            |until| unsaved(Duration::from_secs(600), Duration::from_secs(60), at(0), at(until));
        assert_eq!(lost(500).as_secs(), 500);
        assert_eq!(lost(650).as_secs(), 650, "the first is still being written");
        assert_eq!(lost(660).as_secs(), 60);
        assert_eq!(lost(1800).as_secs(), 600);
    }
}
