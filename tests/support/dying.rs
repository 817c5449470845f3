//! A log that kills its own process with SIGKILL at a chosen record.

use jiff::Timestamp;
use medevac::adapters::embedded::{Embedded, EmbeddedConsumer};
use medevac::log::{
    Appended, Condition, Entry, Kv, KvEntry, Log, LogError, Place, Policy, Record, Revision, Seq,
    Stream,
};
use medevac::model::Target;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// Which append is the last.
#[derive(Debug, Clone, Copy, serde::Serialize, serde::Deserialize)]
pub(crate) struct Death {
    /// Number of the stream that is counted.
    pub(crate) stream: u8,
    /// The so-manieth append to it, from 1.
    pub(crate) at: u64,
    /// Once it is durable; otherwise just before.
    pub(crate) after: bool,
}

#[derive(Clone)]
pub(crate) struct Dying {
    pub(crate) log: Embedded,
    death: Option<Death>,
    seen: Arc<AtomicU64>,
}

impl Dying {
    pub(crate) fn new(log: Embedded, death: Option<Death>) -> Dying {
        Dying { log, death, seen: Arc::default() }
    }
}

/// As kill -9 does it: nothing gets to tidy up.
fn die() -> ! {
    std::process::Command::new("kill")
        .args(["-9", &std::process::id().to_string()])
        .status()
        .unwrap();
    loop {
        std::thread::park();
    }
}

impl Log for Dying {
    type Consumer = EmbeddedConsumer;

    async fn append(&self, entries: Vec<Entry>) -> Result<Vec<Appended>, LogError> {
        let due = self.death.filter(|death| {
            entries.iter().any(|entry| entry.subject.stream.number() == death.stream)
                && self.seen.fetch_add(1, Ordering::SeqCst) + 1 == death.at
        });
        match due {
            Some(Death { after: false, .. }) => die(),
            Some(_) => {
                self.log.append(entries).await.unwrap();
                die()
            }
            None => self.log.append(entries).await,
        }
    }

    async fn read(
        &self,
        after: Seq,
        streams: &[Stream],
        limit: usize,
    ) -> Result<Vec<Record>, LogError> {
        self.log.read(after, streams, limit).await
    }

    async fn history(
        &self,
        target: &Target,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<Record>, LogError> {
        self.log.history(target, after, limit).await
    }

    async fn get(&self, seq: Seq) -> Result<Option<Record>, LogError> {
        Log::get(&self.log, seq).await
    }

    fn last(&self) -> Seq {
        self.log.last()
    }

    fn max_record(&self) -> usize {
        self.log.max_record()
    }

    async fn fence(&self, holder: &str, term: u64) -> Result<Self, LogError> {
        Ok(Dying { log: self.log.fence(holder, term).await?, ..self.clone() })
    }

    async fn trim(&self, covered: Seq) -> Result<(), LogError> {
        self.log.trim(covered).await
    }

    async fn places(&self) -> Result<Vec<Place>, LogError> {
        self.log.places().await
    }

    async fn consumer(
        &self,
        name: &str,
        streams: &[Stream],
        policy: Policy,
    ) -> Result<EmbeddedConsumer, LogError> {
        self.log.consumer(name, streams, policy).await
    }
}

impl Kv for Dying {
    async fn get(&self, bucket: &str, key: &str) -> Result<Option<KvEntry>, LogError> {
        Kv::get(&self.log, bucket, key).await
    }

    async fn put(
        &self,
        bucket: &str,
        key: &str,
        value: Vec<u8>,
        condition: Condition,
        expires: Option<Timestamp>,
    ) -> Result<Revision, LogError> {
        self.log.put(bucket, key, value, condition, expires).await
    }

    async fn delete(&self, bucket: &str, key: &str, condition: Condition) -> Result<(), LogError> {
        self.log.delete(bucket, key, condition).await
    }

    async fn list(
        &self,
        bucket: &str,
        before: Option<&str>,
        limit: usize,
    ) -> Result<Vec<KvEntry>, LogError> {
        self.log.list(bucket, before, limit).await
    }
}
