//! The planner's shell: decisions in, plans out.

use super::{History, build, units};
use crate::clock::Clock;
use crate::cluster::{ClusterView, Sight};
use crate::log::{self, Condition, Consumer, Kv, Log, LogError, Policy, Record, Stream, bucket};
use crate::model::{
    Action, Answer, Decision, Entry, Envelope, Id, Job, Look, Mode, Mover, Order, Outcome, Plan,
    PlanEnd, Question, Refusal, Target, Verdict, kind, learned_key,
};
use futures_util::future::try_join_all;
use std::{collections::BTreeSet, time::Duration};

/// Of its consumer.
pub const NAME: &str = "plan";
const PLANNER: &str = "medevac/plan";
/// Of each kind, what goes back in one plan.
const MOST_MOVED: u32 = 1000;
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
        let batch = consumer.next(64).await?;
        // Many at once: in a storm the last one's node waits for all of them. What comes again comes alone: another
        // one may have been the end of it.
        let again = batch.iter().any(|delivered| delivered.deliveries > 1);
        for some in batch.chunks(if again { 1 } else { 64 }) {
            let decisions: Vec<(Envelope<Decision>, u32)> = some
                .iter()
                .filter_map(|delivered| Some((acts(&delivered.record)?, delivered.deliveries)))
                .collect();
            let drafts = decisions.iter().map(|(decision, deliveries)| {
                // Whoever planned it before has died of it: its incident and its leave are not held for ever.
                let hopeless = *deliveries >= Policy::default().max_deliver;
                draft(&log, &clock, &view, decision, hopeless)
            });
            let drafts: Vec<Draft<'_>> =
                try_join_all(drafts).await?.into_iter().flatten().collect();
            write_down(&log, &clock, &drafts).await?;
            for delivered in some {
                consumer.ack(delivered.record.seq).await?;
            }
        }
    }
}

/// The decision in the record, if it is one and it acts.
fn acts(record: &Record) -> Option<Envelope<Decision>> {
    let decision =
        record.open::<Decision>().ok().filter(|envelope| envelope.kind == kind::DECISION)?;
    matches!(decision.data.verdict, Verdict::Act { .. }).then_some(decision)
}

/// What is to be written down of one decision.
struct Draft<'a> {
    decision: &'a Envelope<Decision>,
    entries: Vec<log::Entry>,
    /// `None`: why there is no plan.
    plan: Option<Id>,
}

async fn draft<'a, L: Log + Kv>(
    log: &L,
    clock: &impl Clock,
    view: &impl ClusterView,
    decision: &'a Envelope<Decision>,
    hopeless: bool,
) -> Result<Option<Draft<'a>>, LogError> {
    let now = clock.now();
    let refused = |why: &str| Draft { decision, entries: refusal(decision, why, now), plan: None };
    if hopeless {
        return Ok(Some(refused("planning it has failed too often")));
    }
    let mut look = view.look(&Sight::of(&decision.subject));
    let (moved, senders) = match moved(view, decision, &look).await {
        Ok(moved) => moved,
        Err(why) => return Ok(Some(refused(&why))),
    };
    let brought = brought(log, &senders).await?;
    if !moved.is_empty() {
        let controllers = moved.iter().filter_map(Mover::job).map(Job::full_name).collect();
        look = view.look(&Sight { controllers, ..Sight::of(&decision.subject) });
    }
    let history = history(log, &look).await?;
    match build(decision, &look, &history, (&moved, &brought), view.skew(), now) {
        Some(Ok(plan)) => {
            let (id, deadline) = (plan.id.clone(), plan.deadline);
            // One plan per decision: a second delivery finds the first one's.
            if Kv::get(log, bucket::PLANS, id.as_str()).await?.is_some() {
                return Ok(None);
            }
            let mut envelope = decision.follow(kind::PLAN, id.clone(), PLANNER, now, plan);
            envelope.deadline = deadline;
            let entries = vec![log::Entry::of(Stream::Plans, &envelope)];
            Ok(Some(Draft { decision, entries, plan: Some(id) }))
        }
        Some(Err(error)) => {
            tracing::warn!(incident = decision.data.incident, rule = decision.data.rule, refused = %error, "no plan");
            Ok(Some(refused(&error.to_string())))
        }
        None => Ok(None),
    }
}

/// All in one, in the order of the decisions; where one of them is too large, each on its own.
async fn write_down<L: Log + Kv>(
    log: &L,
    clock: &impl Clock,
    drafts: &[Draft<'_>],
) -> Result<(), LogError> {
    match append(log, clock, drafts).await {
        Err(LogError::TooLarge { .. }) => {}
        other => return other,
    }
    for draft in drafts {
        match append(log, clock, std::slice::from_ref(draft)).await {
            Err(error @ LogError::TooLarge { .. }) => {
                let why = format!("the plan cannot be written down: {error}");
                log.append(refusal(draft.decision, &why, clock.now())).await?;
            }
            other => other?,
        }
    }
    Ok(())
}

async fn append<L: Log + Kv>(
    log: &L,
    clock: &impl Clock,
    drafts: &[Draft<'_>],
) -> Result<(), LogError> {
    if drafts.is_empty() {
        return Ok(());
    }
    let entries = drafts.iter().flat_map(|draft| draft.entries.clone()).collect();
    let appended = log.append(entries).await?;
    let expires = clock.now().checked_add(KEEP).ok();
    let mut at = 0;
    let index = drafts.iter().filter_map(|draft| {
        let seq = appended.get(at).map_or(0, |first| first.seq);
        at += draft.entries.len();
        let id = draft.plan.as_ref()?;
        let value = seq.to_string().into_bytes();
        Some(log.put(bucket::PLANS, id.as_str(), value, Condition::Always, expires))
    });
    try_join_all(index).await.map(|_| ())
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

/// What was sent elsewhere before and may go back, where the decision asks for that.
///
/// # Errors
/// Where that cannot be known: nothing is not the same as nobody knows.
async fn moved(
    view: &impl ClusterView,
    decision: &Envelope<Decision>,
    look: &Look,
) -> Result<(Vec<Mover>, BTreeSet<String>), String> {
    let nothing = (vec![], BTreeSet::new());
    let Verdict::Act { steps, .. } = &decision.data.verdict else { return Ok(nothing) };
    let pool = steps.iter().find_map(|spec| match &spec.action {
        Action::ReturnToSpot { pool, .. } => Some(pool.as_deref()),
        _ => None,
    });
    let Some(pool) = pool else { return Ok(nothing) };
    let about = match &decision.subject {
        Target::Other { kind, name } if kind == "pool" => Some(name.as_str()),
        _ => look.node.as_ref().map(|node| node.pool.as_str()),
    };
    let pool = pool.or(about).filter(|pool| !pool.is_empty());
    let (mut all, mut senders) = nothing;
    for what in Mover::KINDS {
        let (namespace, limit) = (None, MOST_MOVED);
        let labels = Mover::marked(pool);
        let question = Question::Many { what, namespace, labels, limit };
        match view.ask(question).await {
            Answer::Said(said) => {
                all.extend(Mover::read(what, &said));
                senders.append(&mut Mover::senders(&said));
            }
            // JobSets are not everywhere.
            Answer::Done | Answer::Refused(Refusal::Gone) => {}
            Answer::Refused(Refusal::Forbidden(why)) | Answer::Unknown(why) => {
                return Err(format!("which {} may go back is not known: {why}", what.plural));
            }
            Answer::Refused(other) => {
                return Err(format!("which {} may go back is not known: {other:?}", what.plural));
            }
        }
    }
    Ok((all, senders))
}

/// What these incidents' plans may have asked the cloud for.
async fn brought<L: Log + Kv>(
    log: &L,
    incidents: &BTreeSet<String>,
) -> Result<Vec<Order>, LogError> {
    /// Plans of one incident that are looked for.
    const EPOCHS: u32 = 10;
    let mut all = vec![];
    for (incident, epoch) in incidents.iter().flat_map(|it| (1..=EPOCHS).map(move |at| (it, at))) {
        let id = Plan::id_of(incident, epoch);
        all.extend(find(log, id.as_str()).await?.iter().flat_map(|plan| plan.data.orders()));
    }
    Ok(all)
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
