//! Where consumers stand, kept in keys: floors outlive the server that a consumer happened to be on.
//!
//! The consumers themselves have one copy, in memory: an acknowledgement is not worth a round among three
//! servers, and what is delivered twice is known by its position.

use super::publish::pause;
use super::reader;
use super::streams::{FENCE, LOG, all_of};
use super::{Inner, Nats};
use crate::log::{Condition, Kv, LogError, Place, Policy, Seq, Stream, bucket::PLACES};
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::Weak, time::Duration};
use tokio::sync::{mpsc, oneshot};

/// Records that may be in hand.
const PENDING: i64 = 4096;
/// The server forgets a consumer that nobody asks.
const IDLE: Duration = Duration::from_secs(60);
/// Places are written so far apart: what lies between comes again after a crash.
const APART: Duration = Duration::from_millis(100);
/// Consumers that a log has.
const MOST: usize = 1000;

/// What the last life left behind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Past {
    /// Counts the lives: an older one that wakes up has nothing to say any more.
    pub(super) life: u64,
    /// Everything up to here is acknowledged.
    pub(super) floor: Seq,
    pub(super) handed_out: Seq,
    /// Records after the floor and up to `handed_out` that were in hand.
    pub(super) in_hand: usize,
    /// How often they were in hand when a life ended without a word.
    pub(super) tries: u32,
    /// Nothing was acknowledged since the life began.
    pub(super) fresh: bool,
}

impl Past {
    /// The life after this one. Where several records may be the one that kills, counting begins anew.
    fn next(self) -> Past {
        let died = self.handed_out > self.floor;
        let (life, narrow) = (self.life + 1, self.careful() && self.in_hand > 1);
        let tries = if died && !narrow { self.tries.saturating_add(1) } else { 0 };
        let handed_out = if narrow { self.floor } else { self.handed_out };
        Past { life, handed_out, tries, fresh: true, ..self }
    }

    /// Whether the next life goes one by one: this one died and had done nothing.
    fn careful(self) -> bool {
        self.fresh && self.handed_out > self.floor
    }

    /// Nothing is in hand any more: the life ends in order.
    pub(super) fn released(self) -> Past {
        Past { handed_out: self.floor, in_hand: 0, tries: 0, ..self }
    }
}

pub(super) enum Note {
    Write(String, Past),
    Flush(oneshot::Sender<()>),
}

/// Begins a new life of the consumer where the last one stopped: the past, and whether to go one by one.
pub(super) async fn begin(
    log: &Nats,
    name: &str,
    streams: &[Stream],
    policy: Policy,
) -> Result<(PullConsumer, Past, bool), LogError> {
    let (told, flushed) = oneshot::channel();
    // What another reader in this process has noted is written first.
    if log.inner.places.send(Note::Flush(told)).is_ok() {
        drop(flushed.await);
    }
    still_ours(log).await?;
    let (past, careful) = loop {
        let (last, condition) = stored(log, name).await?;
        let past = last.next();
        match store(log, name, &past, condition).await {
            // Another life begins at the same moment: the fence tells which of them may go on.
            Err(LogError::Conflict) => {}
            Err(error) => return Err(error),
            Ok(()) => break (past, last.careful()),
        }
    };
    let config = pull::Config {
        description: Some(format!("medevac: {name}")),
        deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: past.floor + 1 },
        ack_policy: AckPolicy::Explicit,
        ack_wait: policy.ack_wait,
        // What is delivered too often is buried by the reader, with its reason.
        max_deliver: -1,
        filter_subjects: streams.iter().map(|stream| all_of(*stream)).collect(),
        max_ack_pending: PENDING,
        inactive_threshold: IDLE,
        memory_storage: true,
        num_replicas: 1,
        ..pull::Config::default()
    };
    Ok((log.inner.link.consumer(&config).await?, past, careful))
}

/// A replica that was fenced off while it slept begins no new life: it would end that of the one that reads now.
async fn still_ours(log: &Nats) -> Result<(), LogError> {
    let Some(own) = log.fence else { return Ok(()) };
    let last = reader::last(&log.inner.link, LOG, FENCE).await?;
    match last.is_some_and(|message| message.sequence > own) {
        true => Err(LogError::Fenced),
        false => Ok(()),
    }
}

async fn stored(log: &Nats, name: &str) -> Result<(Past, Condition), LogError> {
    let Some(entry) = Kv::get(log, PLACES, name).await? else {
        return Ok((Past::default(), Condition::Absent));
    };
    let past = serde_json::from_slice(&entry.value).unwrap_or_default();
    Ok((past, Condition::Is(entry.revision)))
}

async fn store(log: &Nats, name: &str, past: &Past, condition: Condition) -> Result<(), LogError> {
    let value = serde_json::to_vec(past).unwrap_or_default();
    log.put(PLACES, name, value, condition, None).await.map(|_| ())
}

/// Writes the place, unless a later life has begun.
pub(super) async fn write(log: &Nats, name: &str, past: &Past) -> Result<(), LogError> {
    let (last, condition) = stored(log, name).await?;
    if last.life > past.life {
        return Err(LogError::Fenced);
    }
    store(log, name, past, condition).await
}

/// Writes the newest of what is noted, now and then.
pub(super) async fn run(log: Weak<Inner>, mut notes: mpsc::UnboundedReceiver<Note>) {
    let mut newest: BTreeMap<String, Past> = BTreeMap::new();
    loop {
        let mut waiting = vec![];
        let Some(first) = notes.recv().await else { return };
        let mut next = Some(first);
        while let Some(note) = next {
            match note {
                Note::Write(name, past) => drop(newest.insert(name, past)),
                Note::Flush(told) => waiting.push(told),
            }
            next = notes.try_recv().ok();
        }
        let Some(inner) = log.upgrade() else { return };
        let log = Nats { inner, fence: None };
        for (name, past) in std::mem::take(&mut newest) {
            if let Err(error) = write(&log, &name, &past).await {
                tracing::debug!(%error, name, "its place was not saved; records will come again");
            }
        }
        drop(log);
        match waiting.is_empty() {
            true => pause(APART).await,
            // Who waits may have gone.
            false => {
                for told in waiting {
                    if told.send(()).is_err() {
                        tracing::trace!("nobody waits for it any more");
                    }
                }
            }
        }
    }
}

/// Where the consumers stand.
pub(super) async fn all(log: &Nats) -> Result<Vec<Place>, LogError> {
    log.saw(log.state().await?.last_sequence);
    let entries = log.list(PLACES, None, MOST).await?;
    let place = |entry: &crate::log::KvEntry| {
        let past: Past = serde_json::from_slice(&entry.value).ok()?;
        Some(Place { consumer: entry.key.clone(), floor: past.floor })
    };
    Ok(entries.iter().rev().filter_map(place).collect())
}

/// Puts a consumer that nobody reads at `place`.
pub(super) async fn put(log: &Nats, place: &Place) -> Result<(), LogError> {
    let (last, condition) = stored(log, &place.consumer).await?;
    let floor = place.floor;
    let past = Past { life: last.life + 1, floor, handed_out: floor, ..Past::default() };
    store(log, &place.consumer, &past, condition).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_that_kills_is_found_and_only_it() {
        let many =
            Past { floor: 10, handed_out: 200, in_hand: 190, fresh: false, ..Past::default() };
        let second = many.next();
        assert_eq!((second.tries, many.careful()), (1, false), "it had done something before");
        let third = second.next();
        assert!(second.careful() && third.tries == 0 && third.handed_out == 10, "one by one now");
        let one = Past { handed_out: 11, in_hand: 1, ..third };
        assert_eq!((one.next().tries, one.next().next().tries), (1, 2));
        assert_eq!(one.released().next().tries, 0, "an orderly end says nothing against a record");
    }
}
