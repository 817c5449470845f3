//! The remediation shell: one task per plan. It records, calls and waits; `saga` decides.

use super::worker::run::{Beside, Ended, Load, Mail, Worker, post};
use super::{Beyond, Journal, Saga};
use crate::clock::Clock;
use crate::cluster::{ClusterControl, ClusterView};
use crate::log::{self, Condition, Consumer, Kv, Log, LogError, Policy, Record, Stream, bucket};
use crate::model::{
    Envelope, Id, IncidentChange, Mode, Move, Outcome, Plan, PlanEnd, Target, kind,
};
use crate::planted::{Bug, planted};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use tokio::{sync::mpsc, task::JoinSet};
use tracing::Instrument;

/// What is folded: plans, their journals, and what happened to their incidents.
pub const FOLDED: [Stream; 3] = [Stream::Plans, Stream::Outcomes, Stream::Decisions];
/// Of its consumer and of its snapshot.
pub const NAME: &str = "remediation";
/// Resolved incidents that are remembered for plans that are on their way.
const MOST_RESOLVED: usize = 10_000;
/// Journals that are shown; more remediations do not run at once.
const MOST_SHOWN: usize = 100_000;

/// What the shell tells of its work, for metrics.
pub trait Witness: Clone + Send + Sync + 'static {
    /// The first request of a plan went out, so long after its cause was recorded.
    fn first_call(&self, plan: &Plan, waited: Duration);
    fn ended(&self, plan: &Plan, how: &PlanEnd, record: &super::Record);
}

/// What this shell needs of the world. `control` is absent in observe mode.
#[derive(Clone)]
pub struct Hands<V, K, W> {
    pub view: V,
    pub control: Option<K>,
    pub beyond: W,
}

/// Plans that have not ended, with their journals: the fold of plans and outcomes.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Open {
    plans: BTreeMap<Id, (Envelope<Plan>, Journal)>,
    /// Incidents whose alerts have all resolved while a plan was open.
    cleared: BTreeSet<String>,
    /// Incidents that a person or the engine has resolved, and who: a plan that comes later ends at once.
    #[serde(default)]
    resolved: BTreeMap<String, String>,
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
                    if let Mail::Resolved(by) = mail {
                        self.resolved.insert(incident, by);
                    }
                    while self.resolved.len() > MOST_RESOLVED {
                        self.resolved.pop_first();
                    }
                }
            }
            Stream::Events | Stream::Dead => {}
        }
    }
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
    W: Beyond,
{
    let log::Saved { seq, state: mut open } = log::snapshot::<Open>(&log, NAME).await?;
    let mut newest = log::replay(&log, seq, &FOLDED, |record| open.fold(record)).await?;
    sweep(&log, &open).await?;
    let mut consumer = log.consumer(NAME, &FOLDED, Policy::default()).await?;
    let mut desk = Desk {
        log,
        clock,
        hands,
        witness,
        tasks: JoinSet::new(),
        sweeps: JoinSet::new(),
        held: BTreeMap::new(),
        waiting: vec![],
        open,
        load: Load::default(),
    };
    desk.resume();
    let mut pace = log::Pace::new(seq, desk.clock.now());
    loop {
        tokio::select! {
            biased;
            Some(done) = desk.tasks.join_next() => {
                desk.done(done.map_err(|error| LogError::Unavailable(error.to_string()))??);
            }
            Some(_) = desk.sweeps.join_next() => {}
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
            () = desk.clock.after(log::Pace::TICK) => {}
        }
        if pace.due(newest, desk.clock.now()) {
            log::save(&desk.log, NAME, newest, &desk.open).await?;
        }
    }
}

/// Takes away the shown journals of plans that have ended while nobody could.
async fn sweep<L: Kv>(log: &L, open: &Open) -> Result<(), LogError> {
    for entry in log.list(bucket::JOURNALS, None, MOST_SHOWN).await? {
        if !open.plans.keys().any(|plan| plan.as_str() == entry.key) {
            log.delete(bucket::JOURNALS, &entry.key, Condition::Always).await?;
        }
    }
    Ok(())
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
    tasks: JoinSet<Result<Ended, LogError>>,
    sweeps: JoinSet<()>,
    held: BTreeMap<Id, Held>,
    waiting: Vec<(Envelope<Plan>, Journal)>,
    /// What the log says, for snapshots; and which incidents' alerts have resolved, for plans that come later.
    open: Open,
    load: Load,
}

impl<L, C, V, K, W, T> Desk<L, C, V, K, W, T>
where
    L: Log + Kv,
    C: Clock,
    V: ClusterView,
    K: ClusterControl,
    W: Beyond,
    T: Witness,
{
    /// Takes up what another life had left open, older epochs first.
    fn resume(&mut self) {
        let mut recovered: Vec<_> = self.open.plans.values().cloned().collect();
        recovered.sort_by_key(|(envelope, _)| (envelope.data.made_at, envelope.data.epoch));
        for (envelope, journal) in recovered {
            let plan = &envelope.data;
            tracing::info!(plan = plan.id.short(10), incident = plan.incident, "taken up again");
            self.take(envelope, journal);
        }
    }

    fn hear(&mut self, record: &Record) {
        self.open.fold(record);
        if let Some((incident, mail)) = news(record) {
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
        let waits = plan.mode == Mode::Enforce && !planted(Bug::StaleEpoch);
        match self.held.values().find(holder).filter(|_| waits) {
            Some(older) => {
                post(&older.mail, Mail::Superseded(plan.id.clone()));
                self.waiting.push((envelope, journal));
            }
            None => self.spawn(envelope, journal),
        }
    }

    fn done(&mut self, ended: Ended) {
        self.held.remove(&ended.plan);
        self.sweeps.spawn(ended.sweep(self.log.clone()));
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
        if self.open.cleared.contains(&saga.plan.incident) {
            saga.alerts_cleared();
        }
        if let Some(by) = self.open.resolved.get(&saga.plan.incident) {
            saga.resolved(by);
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
            load: self.load.clone(),
            beside: Beside::default(),
        };
        self.held.insert(worker.saga.plan.id.clone(), held);
        self.tasks.spawn(worker.run().instrument(span));
    }
}
