//! The simulated log: the port to the store, with everything that can go wrong on the way.

mod consumer;

use consumer::MemoryConsumer;

use super::World;
use super::faults::{Faults, Outside, Source, Trouble};
use super::invariants::Invariants;
use super::stage::{Life, Silence, Stage};
use super::time::Virtual;
use crate::clock::Clock;
use crate::log::{
    Appended, Condition, Entry, Kv, KvEntry, Log, LogError, Place, Policy, Record, Revision, Seq,
    Stream, bucket,
};
use crate::model::{Mode, Target};
use jiff::Timestamp;
use std::{sync::Arc, time::Duration};
use tokio::sync::mpsc;

/// As large as a NATS server takes messages.
const MAX_RECORD: usize = 1 << 20;

#[derive(Clone)]
pub struct Memory {
    pub(super) life: Life,
    /// The term and holder that the log was fenced as.
    fence: Option<(u64, String)>,
}

fn unavailable() -> LogError {
    LogError::Unavailable("the simulated log does not answer".into())
}

fn silence(silence: Silence) -> LogError {
    match silence {
        Silence::Trouble(Trouble::Full) => LogError::Full("the simulated log has no room".into()),
        Silence::Trouble(Trouble::Forbidden) => LogError::Denied("to publish".into()),
        _ => unavailable(),
    }
}

impl Memory {
    pub(super) fn new(life: Life) -> Memory {
        Memory { life, fence: None }
    }

    /// A log of its own, to which nothing happens. Its time begins at `now` and is the runtime's.
    pub fn alone(now: Timestamp) -> Memory {
        let faults = Faults::new(0, Source::None, vec![]);
        let invariants = Invariants::new(Arc::default(), Mode::Enforce);
        let (rung, echoed) = (mpsc::unbounded_channel().0, mpsc::unbounded_channel().0);
        let time = Virtual::begin(now);
        let stage = Stage::new(time, World::new(now), faults, invariants, rung, echoed);
        Memory::new(Life::new(stage, 0, Arc::default()))
    }

    /// Reading fails while the log cannot be had.
    async fn reachable(&self) -> Result<(), LogError> {
        self.life.gate.pass().await;
        let now = self.life.stage.time.now();
        let trouble = self.life.stage.faults().trouble(Outside::Log, "read", now);
        match trouble {
            Some(Trouble::Unavailable) => {
                self.life.stage.time.after(Duration::from_millis(500)).await;
                self.life.gate.pass().await;
                self.life.stage.invariants().log_failed();
                Err(unavailable())
            }
            _ => Ok(()),
        }
    }

    /// Appends without a way to go wrong: what the store makes of it.
    fn take(&self, entries: &[Entry]) -> Result<Vec<Appended>, LogError> {
        let stage = &self.life.stage;
        let now = stage.time.now();
        let appended = stage.store().append(entries, self.fence.as_ref(), now);
        let (appended, fresh) = appended?;
        for (record, kind) in &fresh {
            stage.tape().record(record.at, record.seq);
            stage.invariants().recorded(record, kind, self.life.number);
        }
        stage.written.notify_waiters();
        stage.judged.notify_one();
        Ok(appended)
    }
}

/// What the entries are, in a few words.
fn about(entries: &[Entry]) -> String {
    let Some(first) = entries.first() else { return "nothing".into() };
    let subject = &first.subject;
    let more = match entries.len() {
        1 => String::new(),
        n => format!(" and {} more", n - 1),
    };
    format!("append {} {}{more}", subject.stream.word(), subject.target)
}

impl Log for Memory {
    type Consumer = MemoryConsumer;

    async fn append(&self, entries: Vec<Entry>) -> Result<Vec<Appended>, LogError> {
        let large = entries.iter().map(|entry| entry.body.len()).find(|size| *size > MAX_RECORD);
        if let Some(size) = large {
            return Err(LogError::TooLarge { size, limit: MAX_RECORD });
        }
        let about = about(&entries);
        let written = self.life.call(Outside::Log, &about, || self.take(&entries)).await;
        if !matches!(written, Ok(Ok(_))) {
            self.life.stage.invariants().log_failed();
        }
        written.map_err(silence)?
    }

    async fn read(
        &self,
        after: Seq,
        streams: &[Stream],
        limit: usize,
    ) -> Result<Vec<Record>, LogError> {
        self.reachable().await?;
        Ok(self.life.stage.store().read(after, streams, limit))
    }

    async fn history(
        &self,
        target: &Target,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<Record>, LogError> {
        self.reachable().await?;
        Ok(self.life.stage.store().history(&target.to_string(), after, limit))
    }

    async fn get(&self, seq: Seq) -> Result<Option<Record>, LogError> {
        self.reachable().await?;
        Ok(self.life.stage.store().get(seq))
    }

    fn last(&self) -> Seq {
        self.life.stage.store().last()
    }

    fn max_record(&self) -> usize {
        MAX_RECORD
    }

    async fn fence(&self, holder: &str, term: u64) -> Result<Memory, LogError> {
        self.reachable().await?;
        self.life.stage.store().set_fence(term, holder)?;
        Ok(Memory { life: self.life.clone(), fence: Some((term, holder.to_owned())) })
    }

    async fn trim(&self, _: Seq) -> Result<(), LogError> {
        Ok(())
    }

    async fn places(&self) -> Result<Vec<Place>, LogError> {
        self.reachable().await?;
        let store = self.life.stage.store();
        let place = |(name, stand): (&String, crate::log::Stand)| Place {
            consumer: name.clone(),
            floor: stand.floor,
        };
        Ok(store.stands().map(place).collect())
    }

    async fn consumer(
        &self,
        name: &str,
        streams: &[Stream],
        policy: Policy,
    ) -> Result<MemoryConsumer, LogError> {
        self.reachable().await?;
        let stand = self.life.stage.store().reopen(name);
        Ok(MemoryConsumer::new(self.clone(), name, streams, policy, stand))
    }
}

impl Kv for Memory {
    async fn get(&self, bucket: &str, key: &str) -> Result<Option<KvEntry>, LogError> {
        self.reachable().await?;
        let now = self.life.stage.time.now();
        Ok(self.life.stage.store().find(bucket, key, now))
    }

    async fn put(
        &self,
        bucket: &str,
        key: &str,
        value: Vec<u8>,
        condition: Condition,
        expires: Option<Timestamp>,
    ) -> Result<Revision, LogError> {
        let stage = &self.life.stage;
        let deed = || stage.store().put(bucket, key, &value, condition, expires, stage.time.now());
        if bucket == bucket::LEASES {
            // The lease is renewed so often that a mishap per call would be one per second.
            self.reachable().await?;
            return deed();
        }
        let about = format!("put {bucket} {key}");
        let done = self.life.call(Outside::Keys, &about, deed).await;
        if done.is_err() {
            self.life.stage.invariants().log_failed();
        }
        done.map_err(silence)?
    }

    async fn delete(&self, bucket: &str, key: &str, condition: Condition) -> Result<(), LogError> {
        let stage = &self.life.stage;
        let deed = || stage.store().remove(bucket, key, condition, stage.time.now());
        let about = format!("delete {bucket} {key}");
        let done = self.life.call(Outside::Keys, &about, deed).await;
        if done.is_err() {
            self.life.stage.invariants().log_failed();
        }
        done.map_err(silence)?
    }

    async fn list(
        &self,
        bucket: &str,
        before: Option<&str>,
        limit: usize,
    ) -> Result<Vec<KvEntry>, LogError> {
        self.reachable().await?;
        let now = self.life.stage.time.now();
        Ok(self.life.stage.store().list(bucket, before, limit, now))
    }
}
