//! One plan being carried out: it waits, records and calls; the saga decides.

use super::super::run::{Hands, Witness};
use super::super::{Beyond, Call, Record, Saga, Shown, WebCall, Work};
use super::tell;
use crate::clock::Clock;
use crate::cluster::{ClusterControl, ClusterView, Sight};
use crate::log::{self, Condition, Kv, Log, LogError, Stream, bucket};
use crate::model::{
    Answer, ClusterCall, Entry, Envelope, Handshake, Id, Learned, Look, Mode, Outcome, Plan, Reach,
    Refusal, Target, kind, learned_key,
};
use crate::planted::{Bug, planted};
use jiff::Timestamp;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};

const REMEDIATION: &str = "medevac/remediation";
/// Before a full log is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// What a checkpoint took is known for so long.
const LEARNED: Duration = Duration::from_secs(90 * 86_400);

/// What happened to an incident that its plan has to know.
#[derive(Clone)]
pub(in crate::remediation) enum Mail {
    Cleared,
    Fires,
    Resolved(String),
    Superseded(Id),
}

/// A worker that has just ended needs no mail.
pub(in crate::remediation) fn post(to: &mpsc::UnboundedSender<Mail>, mail: Mail) {
    if to.send(mail).is_err() {
        tracing::debug!("the remediation has ended already");
    }
}

/// One plan being carried out.
pub(in crate::remediation) struct Worker<L, C, V, K, W, T> {
    pub(in crate::remediation) log: L,
    pub(in crate::remediation) clock: C,
    pub(in crate::remediation) hands: Hands<V, K, W>,
    pub(in crate::remediation) witness: T,
    pub(in crate::remediation) envelope: Envelope<Plan>,
    pub(in crate::remediation) saga: Saga,
    pub(in crate::remediation) inbox: mpsc::UnboundedReceiver<Mail>,
    pub(in crate::remediation) calls: JoinSet<(Call, Answer)>,
    pub(in crate::remediation) called: bool,
    pub(in crate::remediation) load: Load,
    pub(in crate::remediation) beside: Beside,
}

/// What is written down for others, one after the other: nothing that has a deadline waits for it.
#[derive(Default)]
pub(in crate::remediation) struct Beside {
    tasks: JoinSet<()>,
    /// What is shown of the plan is behind.
    behind: bool,
}

/// A plan that has ended, with what is still being written down about it.
pub(in crate::remediation) struct Ended {
    pub(in crate::remediation) plan: Id,
    beside: Beside,
}

impl Ended {
    /// It is not shown any more, once nobody writes about it.
    pub(in crate::remediation) async fn sweep(mut self, log: impl Kv) {
        while self.beside.tasks.join_next().await.is_some() {}
        if let Err(error) =
            log.delete(bucket::JOURNALS, self.plan.as_str(), Condition::Always).await
        {
            tracing::debug!(%error, "a journal is shown for too long");
        }
    }
}

/// What the checkpoints of each plan need now, in bytes a second: all write to the same storage.
pub(in crate::remediation) type Load = watch::Sender<BTreeMap<Id, u64>>;

impl<L, C, V, K, W, T> Worker<L, C, V, K, W, T>
where
    L: Log + Kv,
    C: Clock,
    V: ClusterView,
    K: ClusterControl,
    W: Beyond,
    T: Witness,
{
    pub(in crate::remediation) async fn run(mut self) -> Result<Ended, LogError> {
        let sight = sight(&self.saga.plan);
        let mut others = self.load.subscribe();
        loop {
            let now = self.clock.now();
            let version = self.hands.view.version(&sight);
            let mut look = self.hands.view.look(&sight);
            look.stale |= !self.hands.view.ready();
            let own =
                |(plan, need): (&Id, &u64)| if *plan == self.saga.plan.id { 0 } else { *need };
            self.saga.load(others.borrow_and_update().iter().map(own).fold(0, u64::saturating_add));
            let entries = self.saga.advance(&look, now);
            if !entries.is_empty() {
                if self.record(&entries, &look).await? {
                    return Ok(Ended { plan: self.saga.plan.id.clone(), beside: self.beside });
                }
                continue;
            }
            for call in self.saga.calls(&look, now) {
                self.send(call);
            }
            for remark in self.saga.remarks(now) {
                tracing::warn!(remark, "a pod does not end");
            }
            let wake = self.saga.wake_at(now).filter(|_| !planted(Bug::LoseWake));
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
                Some(_) = self.beside.tasks.join_next() => self.show(),
                () = self.hands.view.changed(&sight, version) => {}
                Ok(()) = others.changed(), if self.saga.crowded() => {}
                () = self.clock.until(wake) => {}
            }
        }
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
        let lines: Vec<log::Entry> =
            (0..).zip(entries).filter(|(_, entry)| !unwritten(entry)).map(line).collect();
        let pause = || self.clock.after(AGAIN);
        log::insist(&self.log, lines, "nothing is done", pause).await?;
        for entry in entries {
            tell(entry);
            self.learn(entry, now);
            if let Err(error) = self.saga.recorded(entry, look, now) {
                tracing::error!(%error, "the journal does not allow its own line");
                return Err(LogError::Unavailable(error.to_string()));
            }
        }
        self.share();
        self.beside.behind = true;
        let Some(how) = &self.saga.journal.ended else {
            self.show();
            return Ok(false);
        };
        let record = Record::of(&self.saga.plan, &self.saga.journal, now);
        self.witness.ended(&self.saga.plan, how, &record);
        self.announce(&record, now);
        Ok(true)
    }

    /// Tells the other plans what this one's checkpoints need.
    fn share(&self) {
        let (id, need) = (&self.saga.plan.id, self.saga.need());
        self.load.send_if_modified(|load| match need {
            0 => load.remove(id).is_some(),
            need => load.insert(id.clone(), need) != Some(need),
        });
    }

    /// Leaves an event on the node, for whoever looks there first. It is a courtesy: nothing depends on it.
    fn announce(&mut self, record: &Record, now: Timestamp) {
        let Some(control) = self.hands.control.clone() else { return };
        let call = self.saga.plan.steps.iter().find_map(|step| match &step.reach {
            Reach::Node { name } => Some(ClusterCall::Announce {
                node: name.clone(),
                key: self.saga.plan.id.as_str().into(),
                at: now,
                good: record.good(),
                reason: record.reason().into(),
                message: record.sentence(),
            }),
            Reach::Workload { .. } | Reach::Hook { .. } | Reach::World => None,
        });
        let Some(call) = call.filter(|_| self.saga.plan.mode == Mode::Enforce) else { return };
        self.beside.tasks.spawn(async move {
            let said = control.call(call, None).await;
            if !matches!(said, Answer::Done | Answer::Said(_)) {
                tracing::debug!(?said, "the node's event was not written");
            }
        });
    }

    /// Remembers what a checkpoint took. What is not remembered is only not known the next time.
    fn learn(&mut self, entry: &Entry, now: Timestamp) {
        let Entry::Checkpoint { unit, state, .. } = entry else { return };
        let Handshake::Durable { took: Some(took), bytes, .. } = state else { return };
        let (key, took, bytes) = (learned_key(unit), *took, *bytes);
        let (log, expires) = (self.log.clone(), now.checked_add(LEARNED).ok());
        self.beside.tasks.spawn(async move {
            let before = Kv::get(&log, bucket::LEARNED, key.as_str()).await.ok().flatten();
            let before = before.and_then(|it| serde_json::from_slice(&it.value).ok());
            let learned = Learned::and(before, took, bytes, now);
            let value = serde_json::to_vec(&learned).unwrap_or_default();
            let kept = log.put(bucket::LEARNED, key.as_str(), value, Condition::Always, expires);
            if let Err(error) = kept.await {
                tracing::debug!(%error, "what its checkpoint took is not remembered");
            }
        });
    }

    /// Shows where the plan stands to every replica. The log is the truth: what is not shown is only not seen.
    fn show(&mut self) {
        if !self.beside.tasks.is_empty() || !std::mem::take(&mut self.beside.behind) {
            return;
        }
        let shown = Shown::of(&self.saga.plan, &self.saga.journal, self.clock.now());
        let (log, plan) = (self.log.clone(), self.saga.plan.id.clone());
        self.beside.tasks.spawn(async move {
            let value = serde_json::to_vec(&shown).unwrap_or_default();
            let put = log.put(bucket::JOURNALS, plan.as_str(), value, Condition::Always, None);
            if let Err(error) = put.await {
                tracing::debug!(%error, "the journal is not shown");
            }
        });
    }

    fn send(&mut self, call: Call) {
        if !std::mem::replace(&mut self.called, true) {
            let waited = self.clock.now().duration_since(self.saga.plan.caused_at);
            self.witness.first_call(&self.saga.plan, waited.try_into().unwrap_or_default());
        }
        let (control, beyond) = (self.hands.control.clone(), self.hands.beyond.clone());
        let view = self.hands.view.clone();
        let cause = self.envelope.cause.clone();
        let due = self.saga.plan.deadline;
        self.calls.spawn(async move {
            let answer = match (&call.work, control) {
                (Work::Cluster(work), Some(control)) => control.call(work.clone(), due).await,
                (Work::Web(work), Some(_)) => {
                    beyond.web(WebCall { cause: cause.into(), ..work.clone() }).await
                }
                (Work::Cloud(work), Some(_)) => beyond.cloud(work.clone()).await,
                (Work::Ask(question), _) => view.ask(question.clone()).await,
                // Observe mode has no hands; a plan that got here was made before it was switched on.
                (_, None) => {
                    Answer::Refused(Refusal::Invalid("the daemon runs in observe mode".into()))
                }
            };
            (call, answer)
        });
    }
}

fn unwritten(entry: &Entry) -> bool {
    planted(Bug::SkipJournal) && matches!(entry, Entry::Started { .. })
}

/// The node and the workload that the plan is about.
fn sight(plan: &Plan) -> Sight {
    let mut node = None;
    let mut workload = None;
    for step in &plan.steps {
        match &step.reach {
            Reach::Node { name } => node = Some(Target::Node(name.clone())),
            Reach::Workload { kind, namespace, name } => {
                let (namespace, name) = (namespace.clone(), name.clone());
                workload = Some(Target::Workload { kind: kind.word().into(), namespace, name });
            }
            Reach::Hook { .. } | Reach::World => {}
        }
    }
    let target = node.or(workload.clone()).unwrap_or_else(|| plan.target.clone());
    let gangs = plan.checkpoints.iter().map(|it| &it.unit);
    let gangs = gangs.chain(plan.gangs.iter().map(|it| &it.unit));
    let controllers: BTreeSet<String> = plan.movers.iter().chain(gangs).cloned().collect();
    let moved = plan.moves.iter().filter_map(|of| of.mover.watched()).collect();
    Sight { target: Some(target), workload, controllers: controllers.into_iter().collect(), moved }
}
