//! Notices about machines that are no nodes yet: remembered until they join or die.
//!
//! A machine can get its notice while it boots. What was said of it is in the log, where no rule can do anything
//! about it; once it is a node, it is said again, with all that is known of the node.

use super::Intake;
use crate::clock::Clock;
use crate::cluster::ClusterView;
use crate::log::{Condition, Kv, Log, LogError, bucket};
use crate::model::{Envelope, Event, Id, Target, kind};
use jiff::Timestamp;
use std::time::Duration;

/// What is worth saying again, and for how long after it was said, or after its deadline.
const WORTH: [(&str, Duration); 5] = [
    (kind::SPOT_INTERRUPTION, Duration::from_secs(60)),
    (kind::CAPACITY_INTERRUPTION, Duration::from_secs(60)),
    (kind::REBALANCE, Duration::from_secs(3600)),
    (kind::MAINTENANCE, Duration::from_secs(86_400)),
    (kind::LIFECYCLE, Duration::from_secs(48 * 3600)),
];
/// Looked at this often: another replica may have taken a notice in, and a node that has just joined has two minutes.
const TICK: Duration = Duration::from_secs(2);
/// Machines that are waited for. A cluster does not boot more at a time.
const MOST: usize = 10_000;
/// Replicas that write the same key at once come to an end after so many tries.
const TRIES: u32 = 8;

/// Until when it is worth saying again.
fn until(event: &Envelope<Event>) -> Option<Timestamp> {
    let (_, worth) = WORTH.iter().find(|(kind, _)| *kind == event.kind)?;
    event.deadline.unwrap_or(event.time).checked_add(*worth).ok()
}

/// Remembers what is said about a machine that is no node; forgets the machine when it is gone.
pub(super) async fn remember(
    kv: &impl Kv,
    event: &Envelope<Event>,
    now: Timestamp,
) -> Result<(), LogError> {
    let Target::Instance(instance) = &event.subject else { return Ok(()) };
    let state = event.data.context.cloud.get("state").map(String::as_str);
    if event.kind == kind::INSTANCE_STATE && matches!(state, Some("shutting-down" | "terminated")) {
        return kv.delete(bucket::AWAITED, instance, Condition::Always).await;
    }
    if until(event).is_none_or(|until| until <= now) {
        return Ok(());
    }
    for _ in 0..TRIES {
        let before = kv.get(bucket::AWAITED, instance).await?;
        let condition =
            before.as_ref().map_or(Condition::Absent, |entry| Condition::Is(entry.revision));
        let mut notices = before.map(|entry| notices(&entry.value)).unwrap_or_default();
        // One of each kind: the newest says all.
        notices.retain(|other| other.kind != event.kind);
        notices.push(event.clone());
        let last = notices.iter().filter_map(until).max();
        let value = serde_json::to_vec(&notices).unwrap_or_default();
        match kv.put(bucket::AWAITED, instance, value, condition, last).await {
            Err(LogError::Conflict) => {}
            done => return done.map(|_| ()),
        }
    }
    Err(LogError::Conflict)
}

fn notices(value: &[u8]) -> Vec<Envelope<Event>> {
    serde_json::from_slice(value).unwrap_or_default()
}

/// Says again what concerns machines that have joined, for as long as the process lives.
pub async fn run<L: Log + Kv, C: Clock, V: ClusterView>(intake: Intake<L, C, V>) {
    loop {
        if intake.view.ready()
            && let Err(error) = joined(&intake).await
        {
            tracing::warn!(%error, "machines that have joined are looked at again");
        }
        intake.clock.after(TICK).await;
    }
}

async fn joined<L: Log + Kv, C: Clock, V: ClusterView>(
    intake: &Intake<L, C, V>,
) -> Result<(), LogError> {
    for entry in intake.log.list(bucket::AWAITED, None, MOST).await? {
        if intake.view.node_named(&entry.key).is_none() {
            continue;
        }
        let now = intake.clock.now();
        let mut again = notices(&entry.value);
        again.retain(|event| until(event).is_some_and(|until| until > now));
        for event in &mut again {
            tracing::info!(
                instance = entry.key,
                kind = event.kind,
                "a machine with a notice has joined"
            );
            event.id = Id::of(&["joined", event.id.as_str()]);
        }
        intake.accept("awaited", again, vec![]).await?;
        match intake.log.delete(bucket::AWAITED, &entry.key, Condition::Is(entry.revision)).await {
            Ok(()) | Err(LogError::Conflict) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
