//! The planner's shell: decisions in, plans out.

use super::{History, build, units};
use crate::clock::Clock;
use crate::cluster::{ClusterView, Sight};
use crate::log::{self, Condition, Consumer, Kv, Log, LogError, Policy, Record, Stream, bucket};
use crate::model::{
    Decision, Entry, Envelope, Id, Look, Mode, Outcome, Plan, PlanEnd, kind, learned_key,
};
use std::time::Duration;

/// Of its consumer.
pub const NAME: &str = "plan";
const PLANNER: &str = "medevac/plan";
/// A plan stays in the index for so long.
const KEEP: Duration = Duration::from_secs(14 * 86_400);

/// Runs until the log is gone.
///
/// # Errors
/// Where the log cannot be read or written any more.
pub async fn run<L: Log + Kv>(
    log: L,
    clock: impl Clock,
    view: impl ClusterView,
) -> Result<(), LogError> {
    let mut consumer = log.consumer(NAME, &[Stream::Decisions], Policy::default()).await?;
    loop {
        // Before the caches are complete a plan would be built on absences.
        while !view.ready() {
            let all = Sight::default();
            let version = view.version(&all);
            tokio::select! {
                biased;
                () = view.changed(&all, version) => {}
                () = clock.after(Duration::from_secs(1)) => {}
            }
        }
        for delivered in consumer.next(64).await? {
            let seq = delivered.record.seq;
            match acts(&delivered.record) {
                // Whoever planned it before has died of it: its incident and its leave are not held for ever.
                Some(decision) if delivered.deliveries >= Policy::default().max_deliver => {
                    let refused =
                        refusal(&decision, "planning it has failed too often", clock.now());
                    log.append(refused).await?;
                }
                Some(decision) => plan(&log, &clock, &view, &decision).await?,
                None => {}
            }
            consumer.ack(seq).await?;
        }
    }
}

/// The decision in the record, if it is one and it acts.
fn acts(record: &Record) -> Option<Envelope<Decision>> {
    let decision =
        record.open::<Decision>().ok().filter(|envelope| envelope.kind == kind::DECISION)?;
    matches!(decision.data.verdict, crate::model::Verdict::Act { .. }).then_some(decision)
}

async fn plan<L: Log + Kv>(
    log: &L,
    clock: &impl Clock,
    view: &impl ClusterView,
    decision: &Envelope<Decision>,
) -> Result<(), LogError> {
    let now = clock.now();
    let look = view.look(&Sight::of(&decision.subject));
    let history = history(log, &look).await?;
    match build(decision, &look, &history, view.skew(), now) {
        Some(Ok(plan)) => {
            let (id, deadline) = (plan.id.clone(), plan.deadline);
            // One plan per decision: a second delivery finds the first one's.
            if Kv::get(log, bucket::PLANS, id.as_str()).await?.is_some() {
                return Ok(());
            }
            let mut envelope = decision.follow(kind::PLAN, id.clone(), PLANNER, now, plan);
            envelope.deadline = deadline;
            let appended = log.append(vec![log::Entry::of(Stream::Plans, &envelope)]).await;
            if let Err(error @ LogError::TooLarge { .. }) = appended {
                let why = format!("the plan cannot be written down: {error}");
                return log.append(refusal(decision, &why, now)).await.map(|_| ());
            }
            let appended = appended?;
            let seq = appended.first().map_or(0, |appended| appended.seq);
            let expires = now.checked_add(KEEP).ok();
            let value = seq.to_string().into_bytes();
            log.put(bucket::PLANS, id.as_str(), value, Condition::Always, expires).await?;
            Ok(())
        }
        Some(Err(refused)) => {
            tracing::warn!(incident = decision.data.incident, rule = decision.data.rule, %refused, "no plan");
            log.append(refusal(decision, &refused.to_string(), now)).await.map(|_| ())
        }
        None => Ok(()),
    }
}

/// What the checkpoints took before of those that are there.
async fn history(log: &impl Kv, look: &Look) -> Result<History, LogError> {
    let mut history = History::new();
    for unit in units(look) {
        let key = learned_key(&unit);
        let learned = log.get(bucket::LEARNED, key.as_str()).await?;
        if let Some(learned) = learned.and_then(|it| serde_json::from_slice(&it.value).ok()) {
            history.insert(unit, learned);
        }
    }
    Ok(history)
}

/// A plan that cannot be made is a remediation that failed: a person hears of it.
fn refusal(decision: &Envelope<Decision>, why: &str, now: jiff::Timestamp) -> Vec<log::Entry> {
    let Decision { incident, epoch, policy, .. } = &decision.data;
    let plan = Plan::id_of(incident, *epoch);
    let why = why.to_owned();
    let enforced = policy.as_ref().filter(|_| decision.data.mode == Mode::Enforce);
    let escalate = enforced.map(|policy| Entry::Escalate {
        policy: policy.clone(),
        level: 1,
        why: format!("no plan could be made: {why}"),
    });
    let ended = Entry::Ended { how: PlanEnd::Failed { step: "plan".into(), why } };
    let record = |(at, entry): (usize, Entry)| {
        let id = Id::of(&["journal", plan.as_str(), &at.to_string()]);
        let (plan, incident) = (plan.clone(), incident.clone());
        let data = Outcome::Remediation { plan, incident, epoch: *epoch, entry };
        log::Entry::of(Stream::Outcomes, &decision.follow(kind::OUTCOME, id, PLANNER, now, data))
    };
    escalate.into_iter().chain([ended]).enumerate().map(record).collect()
}

/// The plan with that id.
///
/// # Errors
/// Where the log cannot be read.
pub async fn find<L: Log + Kv>(log: &L, id: &str) -> Result<Option<Envelope<Plan>>, LogError> {
    let Some(entry) = Kv::get(log, bucket::PLANS, id).await? else { return Ok(None) };
    let seq =
        std::str::from_utf8(&entry.value).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    Ok(Log::get(log, seq).await?.and_then(|record| record.open().ok()))
}
