//! The remediation shell: one task per plan. It records, calls and waits; `saga` decides.

use super::{Call, Journal, Saga, Web, Work};
use crate::clock::Clock;
use crate::cluster::{ClusterControl, ClusterView};
use crate::log::{self, Consumer, Kv, Log, LogError, Policy, Record, Stream};
use crate::model::{
    Answer, Entry, Envelope, Id, IncidentChange, Look, Mode, Move, Outcome, Plan, PlanEnd, Reach,
    Refusal, Target, kind,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use tokio::{sync::mpsc, task::JoinSet};
use tracing::Instrument;

/// Of its consumer and of its snapshot.
pub const NAME: &str = "remediation";
const REMEDIATION: &str = "medevac/remediation";
/// Before a full log is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// Records between two snapshots.
const SNAPSHOT_EVERY: u64 = 10_000;

/// What the shell tells of its work, for metrics.
pub trait Witness: Clone + Send + Sync + 'static {
    /// The first request of a plan went out, so long after its cause was recorded.
    fn first_call(&self, plan: &Plan, waited: Duration);
    fn ended(&self, plan: &Plan, how: &PlanEnd, slack: Option<f64>);
}

/// What this shell needs of the world. `control` is absent in observe mode.
#[derive(Clone)]
pub struct Hands<V, K, W> {
    pub view: V,
    pub control: Option<K>,
    pub web: W,
}

/// Plans that have not ended, with their journals: the fold of plans and outcomes.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Open {
    plans: BTreeMap<Id, (Envelope<Plan>, Journal)>,
    /// Incidents whose alerts have all resolved while a plan was open.
    cleared: BTreeSet<String>,
}

impl Open {
    fn fold(&mut self, record: &Record) {
        match record.stream {
            Stream::Plans => {
                if let Ok(plan) = record.open::<Plan>() {
                    let fresh = (plan.clone(), Journal::new(&plan.data));
                    self.plans.entry(plan.data.id.clone()).or_insert(fresh);
                }
            }
            Stream::Outcomes => {
                let Ok(Envelope { data: Outcome::Remediation { plan, entry, .. }, .. }) =
                    record.open()
                else {
                    return;
                };
                let Some((_, journal)) = self.plans.get_mut(&plan) else { return };
                if let Err(error) = journal.take(&entry) {
                    tracing::warn!(%plan, %error, "a journal line is passed over");
                }
                if journal.ended.is_some() {
                    self.plans.remove(&plan);
                }
            }
            Stream::Decisions => {
                if let Some((incident, mail)) = news(record) {
                    note(&mut self.cleared, &incident, &mail);
                }
            }
            Stream::Events | Stream::Dead => {}
        }
    }
}

/// What happened to an incident that its plan has to know.
#[derive(Clone)]
enum Mail {
    Cleared,
    Fires,
    Resolved(String),
    Superseded(Id),
}

/// The incident concerned and the news, if the record has any.
fn news(record: &Record) -> Option<(String, Mail)> {
    let change =
        record.open::<IncidentChange>().ok().filter(|envelope| envelope.kind == kind::INCIDENT)?;
    let mail = match change.data.change {
        Move::Cleared { left: 0, .. } => Mail::Cleared,
        Move::Opened { signal: Some(_), .. } | Move::Joined { signal: Some(_), .. } => Mail::Fires,
        Move::Resolved { by, .. } => Mail::Resolved(by),
        _ => return None,
    };
    Some((change.data.incident, mail))
}

/// Keeps the set of incidents whose alerts have all resolved.
fn note(cleared: &mut BTreeSet<String>, incident: &str, mail: &Mail) {
    match mail {
        Mail::Cleared => {
            cleared.insert(incident.to_owned());
        }
        Mail::Fires | Mail::Resolved(_) | Mail::Superseded(_) => {
            cleared.remove(incident);
        }
    }
}

/// Runs until the log is gone.
///
/// # Errors
/// Where the log cannot be read or written any more.
pub async fn run<L, C, V, K, W>(
    log: L,
    clock: C,
    hands: Hands<V, K, W>,
    witness: impl Witness,
) -> Result<(), LogError>
where
    L: Log + Kv,
    C: Clock,
    V: ClusterView,
    K: ClusterControl,
    W: Web,
{
    let streams = [Stream::Plans, Stream::Outcomes, Stream::Decisions];
    let log::Saved { seq, state: mut open } = log::snapshot::<Open>(&log, NAME).await?;
    let mut newest = log::replay(&log, seq, &streams, |record| open.fold(record)).await?;
    let mut consumer =
        log.consumer(NAME, &[Stream::Plans, Stream::Decisions], Policy::default()).await?;
    let mut desk = Desk {
        log,
        clock,
        hands,
        witness,
        tasks: JoinSet::new(),
        held: BTreeMap::new(),
        waiting: vec![],
        cleared: BTreeSet::new(),
    };
    desk.resume(open);
    let mut snapshot_at = newest;
    loop {
        tokio::select! {
            biased;
            Some(done) = desk.tasks.join_next() => {
                desk.done(&done.map_err(|error| LogError::Unavailable(error.to_string()))??);
            }
            batch = consumer.next(64) => {
                for delivered in batch? {
                    let record = delivered.record;
                    if record.seq > newest {
                        newest = record.seq;
                        desk.hear(&record);
                    }
                    consumer.ack(record.seq).await?;
                }
            }
        }
        if desk.held.is_empty() && desk.waiting.is_empty() && newest > snapshot_at + SNAPSHOT_EVERY
        {
            let open = Open { plans: BTreeMap::new(), cleared: desk.cleared.clone() };
            log::save(&desk.log, NAME, newest, &open).await?;
            snapshot_at = newest;
        }
    }
}

/// A plan that is being carried out, as the room knows it.
struct Held {
    mail: mpsc::UnboundedSender<Mail>,
    target: Target,
    incident: String,
    /// An observed plan is carried out by nobody, and holds nothing.
    holds: bool,
}

/// All plans that are open. One per target is carried out; a newer one waits until the older has stopped (invariant I2).
struct Desk<L, C, V, K, W, T> {
    log: L,
    clock: C,
    hands: Hands<V, K, W>,
    witness: T,
    tasks: JoinSet<Result<Id, LogError>>,
    held: BTreeMap<Id, Held>,
    waiting: Vec<(Envelope<Plan>, Journal)>,
    /// Incidents whose alerts have all resolved: a plan that comes later has to know it too.
    cleared: BTreeSet<String>,
}

impl<L, C, V, K, W, T> Desk<L, C, V, K, W, T>
where
    L: Log + Kv,
    C: Clock,
    V: ClusterView,
    K: ClusterControl,
    W: Web,
    T: Witness,
{
    /// Takes up what another life had left open, older epochs first.
    fn resume(&mut self, open: Open) {
        self.cleared = open.cleared;
        let mut recovered: Vec<_> = open.plans.into_values().collect();
        recovered.sort_by_key(|(envelope, _)| envelope.data.epoch);
        for (envelope, journal) in recovered {
            let plan = &envelope.data;
            tracing::info!(plan = plan.id.short(10), incident = plan.incident, "taken up again");
            self.take(envelope, journal);
        }
    }

    fn hear(&mut self, record: &Record) {
        if let Some((incident, mail)) = news(record) {
            note(&mut self.cleared, &incident, &mail);
            for held in self.held.values().filter(|held| held.incident == incident) {
                post(&held.mail, mail.clone());
            }
        }
        if record.stream == Stream::Plans {
            match record.open::<Plan>() {
                Ok(envelope) => {
                    let journal = Journal::new(&envelope.data);
                    self.take(envelope, journal);
                }
                Err(error) => tracing::error!(%error, "a plan cannot be read"),
            }
        }
    }

    fn take(&mut self, envelope: Envelope<Plan>, journal: Journal) {
        let plan = &envelope.data;
        let holder = |held: &&Held| held.holds && held.target == plan.target;
        match self.held.values().find(holder).filter(|_| plan.mode == Mode::Enforce) {
            Some(older) => {
                post(&older.mail, Mail::Superseded(plan.id.clone()));
                self.waiting.push((envelope, journal));
            }
            None => self.spawn(envelope, journal),
        }
    }

    fn done(&mut self, id: &Id) {
        self.held.remove(id);
        for (envelope, journal) in std::mem::take(&mut self.waiting) {
            self.take(envelope, journal);
        }
    }

    fn spawn(&mut self, envelope: Envelope<Plan>, journal: Journal) {
        let (mail, inbox) = mpsc::unbounded_channel();
        let plan = envelope.data.clone();
        let (target, incident) = (plan.target.clone(), plan.incident.clone());
        let held = Held { mail, target, incident, holds: plan.mode == Mode::Enforce };
        let span = tracing::info_span!(
            "incident",
            plan = plan.id.short(10),
            incident = plan.incident,
            traceparent = envelope.traceparent
        );
        let mut saga = Saga::new(plan, journal);
        if self.cleared.contains(&saga.plan.incident) {
            saga.alerts_cleared();
        }
        let worker = Worker {
            log: self.log.clone(),
            clock: self.clock.clone(),
            hands: self.hands.clone(),
            witness: self.witness.clone(),
            saga,
            envelope,
            inbox,
            calls: JoinSet::new(),
            called: false,
        };
        self.held.insert(worker.saga.plan.id.clone(), held);
        self.tasks.spawn(worker.run().instrument(span));
    }
}

/// A worker that has just ended needs no mail.
fn post(to: &mpsc::UnboundedSender<Mail>, mail: Mail) {
    if to.send(mail).is_err() {
        tracing::debug!("the remediation has ended already");
    }
}

/// One plan being carried out.
struct Worker<L, C, V, K, W, T> {
    log: L,
    clock: C,
    hands: Hands<V, K, W>,
    witness: T,
    envelope: Envelope<Plan>,
    saga: Saga,
    inbox: mpsc::UnboundedReceiver<Mail>,
    calls: JoinSet<(Call, Answer)>,
    called: bool,
}

impl<L, C, V, K, W, T> Worker<L, C, V, K, W, T>
where
    L: Log + Kv,
    C: Clock,
    V: ClusterView,
    K: ClusterControl,
    W: Web,
    T: Witness,
{
    async fn run(mut self) -> Result<Id, LogError> {
        loop {
            let now = self.clock.now();
            let version = self.hands.view.version();
            let look = self.look();
            let entries = self.saga.advance(&look, now);
            if !entries.is_empty() {
                if self.record(&entries, &look).await? {
                    return Ok(self.saga.plan.id.clone());
                }
                continue;
            }
            for call in self.saga.calls(&look, now) {
                self.send(call);
            }
            for remark in self.saga.remarks(now) {
                tracing::warn!(remark, "a pod does not end");
            }
            let wake = self.saga.wake_at(now);
            tokio::select! {
                biased;
                Some(mail) = self.inbox.recv() => match mail {
                    Mail::Cleared => self.saga.alerts_cleared(),
                    Mail::Fires => self.saga.alerts_fire(),
                    Mail::Resolved(by) => self.saga.resolved(&by),
                    Mail::Superseded(by) => self.saga.superseded(by),
                },
                Some(done) = self.calls.join_next() => {
                    let (call, answer) = done.map_err(|error| LogError::Unavailable(error.to_string()))?;
                    tracing::debug!(step = call.step, ?answer, "answered");
                    self.saga.answer(&call, answer, self.clock.now());
                }
                () = self.hands.view.changed(version) => {}
                () = self.clock.until(wake) => {}
            }
        }
    }

    /// The node and the workload that the plan is about, as the caches have them.
    fn look(&self) -> Look {
        let plan = &self.saga.plan;
        let mut node = None;
        let mut workload = None;
        for step in &plan.steps {
            match &step.reach {
                Reach::Node { name } => node = Some(Target::Node(name.clone())),
                Reach::Workload { kind, namespace, name } => {
                    let (namespace, name) = (namespace.clone(), name.clone());
                    workload = Some(Target::Workload { kind: kind.word().into(), namespace, name });
                }
                Reach::World => {}
            }
        }
        let mut look =
            self.hands.view.look(node.as_ref().or(workload.as_ref()).unwrap_or(&plan.target));
        if let (Some(_), Some(workload)) = (&node, &workload) {
            look.workload = self.hands.view.look(workload).workload;
        }
        look.stale |= !self.hands.view.ready();
        look
    }

    /// Makes `entries` durable, then takes them in. True: the plan has ended.
    async fn record(&mut self, entries: &[Entry], look: &Look) -> Result<bool, LogError> {
        let now = self.clock.now();
        let plan = &self.saga.plan;
        let line = |(at, entry): (u64, &Entry)| {
            let number = (self.saga.journal.lines + at).to_string();
            let id = Id::of(&["journal", plan.id.as_str(), &number]);
            let outcome = Outcome::of(plan, entry.clone());
            let envelope = self.envelope.follow(kind::OUTCOME, id, REMEDIATION, now, outcome);
            log::Entry::of(Stream::Outcomes, &envelope)
        };
        let lines: Vec<log::Entry> = (0..).zip(entries).map(line).collect();
        let pause = || self.clock.after(AGAIN);
        log::insist(&self.log, lines, "nothing is done", pause).await?;
        for entry in entries {
            tell(entry);
            if let Err(error) = self.saga.recorded(entry, look, now) {
                tracing::error!(%error, "the journal does not allow its own line");
                return Err(LogError::Unavailable(error.to_string()));
            }
        }
        let Some(how) = &self.saga.journal.ended else { return Ok(false) };
        let slack = self.saga.plan.deadline.map(|at| at.duration_since(now).as_secs_f64());
        self.witness.ended(&self.saga.plan, how, slack);
        Ok(true)
    }

    fn send(&mut self, call: Call) {
        if !std::mem::replace(&mut self.called, true) {
            let waited = self.clock.now().duration_since(self.saga.plan.caused_at);
            self.witness.first_call(&self.saga.plan, waited.try_into().unwrap_or_default());
        }
        let (control, web) = (self.hands.control.clone(), self.hands.web.clone());
        let view = self.hands.view.clone();
        self.calls.spawn(async move {
            let answer = match (&call.work, control) {
                (Work::Cluster(work), Some(control)) => control.call(work.clone()).await,
                (Work::Web(work), Some(_)) => web.call(work.clone()).await,
                (Work::Confirm(node), _) => view.confirm_empty(node).await,
                // Observe mode has no hands; a plan that got here was made before it was switched on.
                (_, None) => {
                    Answer::Refused(Refusal::Invalid("the daemon runs in observe mode".into()))
                }
            };
            (call, answer)
        });
    }
}

/// One line per transition, for whoever reads the log at night.
fn tell(entry: &Entry) {
    match entry {
        Entry::Failed { step, why } | Entry::UndoFailed { step, why } => {
            tracing::warn!(step, why, "failed")
        }
        Entry::Succeeded { step, note, .. } => tracing::info!(step, note, "done"),
        Entry::Started { step, .. } => tracing::info!(step, "started"),
        Entry::Skipped { step, why } => tracing::info!(step, why, "skipped"),
        Entry::Ended { how } => tracing::info!(how = how.word(), "ended"),
        other => tracing::info!(entry = ?other, "recorded"),
    }
}
