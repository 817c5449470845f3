//! Draining a node: what to ask of the API server next, given what it answered and what the caches show.
//!
//! Per pod, never all or nothing: a refusal by a disruption budget waits and asks again, a pod that will
//! not go is deleted when its time is up, and what may not be touched is left alone. Grace is
//! `min(spec, deadline - now)`, never lengthened, never zero (invariant I7).

use super::saga::Work;
use crate::model::{Answer, ClusterCall, Look, Pod, PodRecord, Question, Refusal, Span};
use crate::planted::{Bug, planted};
use jiff::Timestamp;
use std::{collections::BTreeMap, time::Duration};

/// First pause after a refusal, and the longest.
const PAUSE_FIRST: Duration = Duration::from_millis(250);
const PAUSE_MOST: Duration = Duration::from_secs(5);
/// Late bindings: a pod may have been bound just before the cordon, and shows up this much later.
const SETTLE: Duration = Duration::from_secs(5);
/// A pod this long past its deletion time is held by something: said, with its finalizers.
const STUCK_AFTER: Duration = Duration::from_secs(60);
/// How long an empty node is waited for to let go of its volumes: elsewhere they cannot be mounted before.
const VOLUMES: Duration = Duration::from_secs(10);
/// How often the server is asked for a last look.
const CONFIRM_TRIES: u32 = 10;
/// Nothing is looked at more often than this without news.
const SOONEST: Duration = Duration::from_millis(250);

/// When the drain has to be done, and what it may do about those that will not go.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub until: Timestamp,
    /// Delete what could not be evicted in time. Always so before a hard deadline.
    pub force: bool,
    /// Seconds that no pod is given more than.
    pub grace: Option<u32>,
}

#[derive(Debug, Clone)]
struct Going {
    pod: Pod,
    in_flight: bool,
    next_at: Timestamp,
    refusals: u32,
    /// The shortest grace asked for so far.
    asked: Option<u32>,
    /// Pods of the same controller that were not ready when it was last looked at.
    siblings: usize,
    /// Its checkpoint is not durable yet: it stays while there is time.
    held: bool,
    /// When it was told to go, and whether past its budget.
    told: Option<(Timestamp, bool)>,
    /// The grace that it was told last.
    granted: Option<u32>,
    forces: bool,
    last: String,
}

#[derive(Debug)]
pub struct Drain {
    limits: Limits,
    started: Timestamp,
    going: BTreeMap<String, Going>,
    records: Vec<PodRecord>,
    gone: u32,
    forced: u32,
    unmanaged: Vec<String>,
    /// UIDs of pods that are made anew, without a controller.
    made_anew: Vec<String>,
    fatal: Option<String>,
    reported: Vec<String>,
    /// Seen once with the cordon on it: if that goes away, a person took over.
    cordoned: bool,
    emptied: Option<Timestamp>,
    node: String,
    confirmation: Confirmation,
}

/// The last look, past the caches.
#[derive(Debug, Default)]
struct Confirmation {
    in_flight: bool,
    given: bool,
    tries: u32,
    next_at: Option<Timestamp>,
}

/// Where the drain stands.
#[derive(Debug, PartialEq, Eq)]
pub enum Progress {
    Working,
    Done(String),
    Failed(String),
    /// The world made it pointless.
    Moot(String),
}

impl Drain {
    pub fn new(node: &str, limits: Limits, now: Timestamp) -> Drain {
        Drain {
            limits,
            started: now,
            going: BTreeMap::new(),
            records: vec![],
            gone: 0,
            forced: 0,
            unmanaged: vec![],
            made_anew: vec![],
            fatal: None,
            reported: vec![],
            cordoned: false,
            emptied: None,
            node: node.to_owned(),
            confirmation: Confirmation::default(),
        }
    }

    /// These come back, although no controller makes them.
    pub fn made_anew(self, uids: Vec<String>) -> Drain {
        Drain { made_anew: uids, ..self }
    }

    /// Takes in what the caches show.
    fn look(&mut self, look: &Look, now: Timestamp) {
        if look.stale {
            return;
        }
        self.cordoned |= look.node.as_ref().is_some_and(|node| node.unschedulable);
        let mut seen = BTreeMap::new();
        let silent = look.node.as_ref().is_some_and(|node| !node.ready);
        // A kubelet that does not answer ends nothing: what was told to go counts as gone.
        let over = |pod: &&Pod| silent && pod.deleted_at.is_some_and(|at| at <= now);
        for pod in look.pods.iter().filter(|pod| pod.stays().is_none() && !over(pod)) {
            seen.insert(pod.uid.clone(), pod);
        }
        let gone: Vec<String> =
            self.going.keys().filter(|uid| !seen.contains_key(*uid)).cloned().collect();
        for going in gone.iter().filter_map(|uid| self.going.remove(uid)) {
            self.gone += 1;
            // A machine that is gone took with it what had not ended.
            let taken = look.node.is_none();
            self.records.push(going.record(Some(now), taken));
        }
        for (uid, pod) in seen {
            match self.going.get_mut(&uid) {
                Some(going) => going.see(pod, look, now),
                None => self.join(pod, now),
            }
        }
        self.emptied = if self.going.is_empty() { self.emptied.or(Some(now)) } else { None };
    }

    fn join(&mut self, pod: &Pod, now: Timestamp) {
        let lost = pod.unmanaged() && !self.made_anew.contains(&pod.uid);
        if lost && self.unmanaged.len() < 20 {
            self.unmanaged.push(pod.full_name());
        }
        let pod = pod.clone();
        let going = Going {
            in_flight: false,
            next_at: now,
            refusals: 0,
            asked: None,
            siblings: 0,
            held: false,
            told: None,
            granted: None,
            forces: false,
            last: String::new(),
            pod,
        };
        self.going.insert(going.pod.uid.clone(), going);
    }

    /// What to ask now, each with the pod's UID as its tag.
    /// `held` says of which pods the checkpoint is still waited for.
    pub(super) fn poll(
        &mut self,
        look: &Look,
        held: &dyn Fn(&Pod) -> bool,
        now: Timestamp,
    ) -> Vec<(String, Work)> {
        self.look(look, now);
        if look.stale || self.fatal.is_some() || now >= self.limits.until {
            return vec![];
        }
        let limits = self.limits;
        let mut work = vec![];
        // The pod that this daemon runs in goes last: until then somebody has to drain. Before it those of
        // DaemonSets: the others may need what they do.
        let turn =
            |going: &Going| u8::from(going.pod.of_daemon_set()) + 2 * u8::from(going.pod.own);
        let first = self.going.values().map(turn).min().unwrap_or_default();
        // The most urgent first.
        let mut going: Vec<(&String, &mut Going)> = self.going.iter_mut().collect();
        going.sort_by_key(|(_, one)| one.pod.last_call(limits.until));
        for (uid, going) in going {
            going.held = held(&going.pod) && now < going.pod.last_call(limits.until);
            let late = limits.force && now >= going.force_at(limits) && !going.pod.own;
            if going.held || (turn(going) > first && !late) {
                continue;
            }
            if let Some(call) = going.next(limits, now) {
                let forced = matches!(call, ClusterCall::Delete { .. });
                if let ClusterCall::Delete { grace, .. } | ClusterCall::Evict { grace, .. } = &call
                {
                    going.granted = Some(*grace);
                }
                if forced {
                    self.forced += u32::from(going.pod.deleted_at.is_none());
                }
                (going.in_flight, going.forces) = (true, forced);
                work.push((uid.clone(), Work::Cluster(call)));
            }
        }
        let asked =
            self.confirmation.in_flight || self.confirmation.next_at.is_some_and(|at| at > now);
        if self.over(look, now) && !self.confirmation.given && !asked {
            self.confirmation.in_flight = true;
            let question = Question::Empty { node: self.node.clone() };
            work.push((String::new(), Work::Ask(question)));
        }
        work
    }

    /// As far as the caches tell, nothing is left to do.
    fn over(&self, look: &Look, now: Timestamp) -> bool {
        let passed = |since: Timestamp, wait: Duration| {
            now.duration_since(since) >= wait.try_into().unwrap_or_default()
        };
        let held = look.node.as_ref().is_some_and(|node| !node.volumes_attached.is_empty());
        let freed = !held || self.emptied.is_none_or(|at| passed(at, VOLUMES));
        self.going.is_empty() && passed(self.started, SETTLE) && freed
    }

    fn confirmed(&mut self, answer: &Answer, now: Timestamp) {
        let confirmation = &mut self.confirmation;
        confirmation.in_flight = false;
        confirmation.tries += 1;
        // A server that cannot be asked does not hold the drain up for ever.
        confirmation.given = *answer == Answer::Done || confirmation.tries >= CONFIRM_TRIES;
        confirmation.next_at = now.checked_add(Duration::from_secs(1)).ok();
    }

    /// What became of each pod so far, those that are still there included.
    pub(super) fn records(&self) -> Vec<PodRecord> {
        let left = self.going.values().map(|going| going.record(None, false));
        self.records.iter().cloned().chain(left).collect()
    }

    /// A request is under way whose effect is not known yet.
    pub(super) fn busy(&self) -> bool {
        self.confirmation.in_flight || self.going.values().any(|going| going.in_flight)
    }

    pub(super) fn answer(&mut self, uid: &str, answer: Answer, now: Timestamp) {
        if uid.is_empty() {
            return self.confirmed(&answer, now);
        }
        let Some(going) = self.going.get_mut(uid) else { return };
        going.in_flight = false;
        if matches!(answer, Answer::Done | Answer::Said(_)) {
            going.told.get_or_insert((now, going.forces));
        }
        let (pause, said) = match answer {
            // Gone, or another one of that name now: the caches will show it in a moment.
            Answer::Done
            | Answer::Said(_)
            | Answer::Refused(Refusal::Gone | Refusal::Changed(_)) => {
                (Duration::from_secs(1), String::new())
            }
            Answer::Refused(Refusal::Forbidden(why)) => {
                self.fatal = Some(why);
                return;
            }
            Answer::Refused(Refusal::Budget { retry_after, message }) => {
                (going.pause(uid, retry_after), message)
            }
            Answer::Refused(Refusal::TwoBudgets(message)) => {
                // A misconfiguration that asking again does not mend; the deadline will.
                (Duration::from_secs(10), message)
            }
            Answer::Refused(Refusal::NamespaceEnding) => {
                (PAUSE_MOST, "its namespace is being deleted".into())
            }
            Answer::Refused(Refusal::Busy { retry_after, message }) => {
                (going.pause(uid, retry_after), message)
            }
            Answer::Refused(Refusal::Admission(message) | Refusal::Invalid(message)) => {
                (going.pause(uid, None), message)
            }
            Answer::Unknown(message) => (going.pause(uid, None), message),
        };
        going.last = said;
        going.next_at = now.checked_add(pause).unwrap_or(now);
    }

    pub fn progress(&mut self, look: &Look, now: Timestamp) -> Progress {
        self.look(look, now);
        if look.stale {
            return Progress::Working;
        }
        let Some(node) = &look.node else {
            return Progress::Moot("the node is gone".into());
        };
        if self.cordoned && !node.unschedulable {
            return Progress::Moot("a person uncordoned the node".into());
        }
        if let Some(why) = &self.fatal {
            return Progress::Failed(why.clone());
        }
        if self.over(look, now) && self.confirmation.given {
            return Progress::Done(self.report());
        }
        if now >= self.limits.until {
            let left: Vec<String> = self.going.values().map(Going::describe).collect();
            return match left.len() {
                0 => Progress::Done(self.report()),
                1 => Progress::Failed(format!("one pod is left: {}", left.join("; "))),
                n => Progress::Failed(format!("{n} pods are left: {}", left.join("; "))),
            };
        }
        Progress::Working
    }

    /// When to look again, if nothing happens before.
    pub fn wake_at(&self, now: Timestamp) -> Timestamp {
        let settle = self.started.checked_add(SETTLE).unwrap_or(now);
        let next = self
            .going
            .values()
            .filter(|going| !going.in_flight)
            .map(|going| going.wake(self.limits));
        let next = next.min().unwrap_or(self.confirmation.next_at.unwrap_or(settle).max(settle));
        // What is due was asked for already: what is left of it waits for news.
        next.min(self.limits.until).max(now.checked_add(SOONEST).unwrap_or(now))
    }

    /// Pods that something holds back, each named once, for the log and for whoever is paged.
    pub fn stuck(&mut self, now: Timestamp) -> Vec<String> {
        let mut news = vec![];
        for (uid, going) in &self.going {
            let past = going.pod.deleted_at.map(|at| now.duration_since(at));
            let stuck = past.is_some_and(|past| past > STUCK_AFTER.try_into().unwrap_or_default());
            if stuck && !self.reported.contains(uid) {
                self.reported.push(uid.clone());
                news.push(going.describe());
            }
        }
        news
    }

    fn report(&self) -> String {
        let mut report = match self.gone {
            1 => "one pod moved".to_owned(),
            n => format!("{n} pods moved"),
        };
        if self.forced > 0 {
            report.push_str(&format!(", {} of them deleted past their budget", self.forced));
        }
        if !self.unmanaged.is_empty() {
            report.push_str(&format!("; will not come back: {}", self.unmanaged.join(", ")));
        }
        report
    }
}

impl Going {
    /// Takes in how the pod looks now. A replacement that has become ready may have freed the budget.
    fn see(&mut self, pod: &Pod, look: &Look, now: Timestamp) {
        self.pod = pod.clone();
        let Some(controller) = pod.controller().filter(|_| self.refusals > 0) else { return };
        let siblings = look.waiting.get(&controller).map_or(0, |waiting| waiting.count);
        if siblings < self.siblings {
            self.next_at = self.next_at.min(now);
        }
        self.siblings = siblings;
    }

    /// Exponential with a spread that is the pod's own: not all ask in the same instant.
    fn pause(&mut self, uid: &str, retry_after: Option<u32>) -> Duration {
        self.refusals += 1;
        if let Some(seconds) = retry_after {
            return Duration::from_secs(u64::from(seconds.min(60)));
        }
        let doubled = PAUSE_FIRST.saturating_mul(1 << self.refusals.min(6).saturating_sub(1));
        let spread = uid
            .bytes()
            .fold(self.refusals, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte)));
        doubled.min(PAUSE_MOST).mul_f64(0.75 + f64::from(spread % 512) / 1024.0)
    }

    fn grace_left(&self, limits: Limits, now: Timestamp) -> u32 {
        let left = limits.until.duration_since(now).as_secs();
        let most = limits.grace.map_or(self.pod.grace, |most| most.min(self.pod.grace));
        most.min(u32::try_from(left).unwrap_or(0)).max(1)
    }

    /// The latest moment at which the pod still gets its whole grace before the time is up.
    fn force_at(&self, limits: Limits) -> Timestamp {
        self.pod.last_call(limits.until)
    }

    fn wake(&self, limits: Limits) -> Timestamp {
        match self.pod.deleted_at {
            None if self.held => self.pod.last_call(limits.until).max(self.next_at),
            Some(at) if at > limits.until && limits.force => self.next_at,
            Some(at) => at.checked_add(STUCK_AFTER).unwrap_or(at).max(self.next_at),
            None => self.next_at,
        }
    }

    fn next(&mut self, limits: Limits, now: Timestamp) -> Option<ClusterCall> {
        if self.in_flight || self.next_at > now {
            return None;
        }
        let (namespace, name) = (self.pod.namespace.clone(), self.pod.name.clone());
        let uid = if planted(Bug::IgnoreUid) { String::new() } else { self.pod.uid.clone() };
        let grace = self.grace_left(limits, now);
        if let Some(ends) = self.pod.deleted_at {
            // Already on its way; only if it would outlast the deadline is it asked to hurry, once per value.
            let hurry =
                limits.force && ends > limits.until && self.asked.is_none_or(|asked| grace < asked);
            if !hurry {
                return None;
            }
            self.asked = Some(grace);
            return Some(ClusterCall::Delete { namespace, name, uid, grace });
        }
        if limits.force && now >= self.force_at(limits) {
            self.asked = Some(grace);
            return Some(ClusterCall::Delete { namespace, name, uid, grace });
        }
        if let Some(kept) = self.pod.keeps().filter(|_| !limits.force) {
            self.last = kept;
            self.next_at = now.checked_add(PAUSE_MOST).unwrap_or(now);
            return None;
        }
        Some(ClusterCall::Evict { namespace, name, uid, grace })
    }

    fn record(&self, gone_at: Option<Timestamp>, taken: bool) -> PodRecord {
        let grace = self.granted.unwrap_or(self.pod.grace);
        // Told by another life, or by somebody else: what the server shows of it.
        let shown = self
            .pod
            .deleted_at
            .and_then(|ends| ends.checked_sub(Duration::from_secs(u64::from(self.pod.grace))).ok());
        let told_at = self.told.map(|(at, _)| at).or(shown);
        // Its kubelet takes a pod that has ended away with no grace at all: what counts is what it was given.
        let ends = told_at.and_then(|at| at.checked_add(Duration::from_secs(grace.into())).ok());
        let used_up = ends.is_some_and(|ends| gone_at.is_some_and(|gone| gone >= ends));
        PodRecord {
            name: self.pod.full_name(),
            uid: self.pod.uid.clone(),
            told_at,
            grace,
            forced: self.told.is_some_and(|(_, forced)| forced),
            gone_at,
            killed: taken || used_up || gone_at.is_none(),
        }
    }

    fn describe(&self) -> String {
        let name = self.pod.full_name();
        match (&self.pod.deleted_at, self.pod.finalizers.as_slice()) {
            (Some(_), []) => format!("{name} is terminating and does not end"),
            (Some(_), held) => format!("{name} is terminating, held by {}", held.join(", ")),
            (None, _) if self.last.is_empty() => format!("{name} is still there"),
            (None, _) => format!("{name}: {}", self.last),
        }
    }
}

/// The time a drain has: its own timeout, or the plan's where that is nearer.
pub(super) fn limits(
    timeout: Span,
    force: bool,
    grace: Option<Span>,
    until: Option<Timestamp>,
    now: Timestamp,
) -> Limits {
    let grace = grace.map(|it| u32::try_from(it.0.as_secs()).unwrap_or(u32::MAX).max(1));
    let own = now.checked_add(timeout.0).unwrap_or(now);
    match until {
        Some(hard) if hard < own && !planted(Bug::OwnTimeout) => {
            Limits { until: hard, force: true, grace }
        }
        _ => Limits { until: own, force, grace },
    }
}

#[cfg(test)]
mod tests;
