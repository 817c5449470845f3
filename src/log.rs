//! The log is the truth: every event, decision, plan and outcome is a record in one ordered, durable log.
//!
//! This room owns the port ([`Log`], [`Consumer`], [`Kv`]) and the grammar of subjects; the adapters
//! implement it (`adapters/embedded`, `adapters/nats`), and one contract test suite holds for each of them.
//! May import: `model`.

mod deliveries;
mod fold;
mod insist;
mod kv;
mod moving;
mod record;
mod subject;

pub use deliveries::{Deliveries, Stand};
pub use fold::{Pace, Saved, covered, replay, save, snapshot};
pub use insist::insist;
pub use kv::{Condition, Kv, KvEntry, Revision, bucket};
pub use moving::{Moving, Restored};
pub use record::{BadRecord, Entry, Record};
pub use subject::{BadSubject, Stream, Subject};

use crate::model::{Id, Target};
use jiff::Timestamp;
use std::{future::Future, time::Duration};

/// A position in the log: 1 is the first record ever.
pub type Seq = u64;

/// What became of an entry that was appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    pub seq: Seq,
    /// It was there already, within the duplicate window: `seq` is the first one's.
    pub duplicate: bool,
}

#[derive(Debug, Clone, thiserror::Error)]
pub enum LogError {
    /// Nothing was accepted, and nothing is lost that was.
    #[error("the log is full: {0}")]
    Full(String),
    #[error("the log is unavailable: {0}")]
    Unavailable(String),
    /// One record is larger than the log takes.
    #[error("a record of {size} bytes is over the limit of {limit}")]
    TooLarge { size: usize, limit: usize },
    /// Compare-and-set lost: somebody else wrote first.
    #[error("the key has changed in the meantime")]
    Conflict,
    /// Another replica writes now: whatever this one still wants to say is not said.
    #[error("another replica has taken over")]
    Fenced,
    /// A newer program has written: this one would not understand all of it.
    #[error(
        "the log holds records of version {found}, and this program reads up to {known}; run the newer one"
    )]
    Newer { found: u32, known: u32 },
    /// The log's server does not allow it: which right is missing.
    #[error("the log does not allow it: {0}")]
    Denied(String),
}

/// The ordered, durable log. Cheap to clone: clones share it.
pub trait Log: Clone + Send + Sync + 'static {
    type Consumer: Consumer;

    /// Appends all of `entries` or none, and returns once they are durable. An entry whose id is in
    /// the duplicate window is not written again. Of events and dead letters alone a part may be there
    /// after an error: their sender comes again, and what is there is a duplicate then.
    ///
    /// # Errors
    /// [`LogError::Full`] and [`LogError::Unavailable`]: nothing was accepted. [`LogError::Fenced`]: decisions,
    /// plans and outcomes are another replica's to write now.
    fn append(
        &self,
        entries: Vec<Entry>,
    ) -> impl Future<Output = Result<Vec<Appended>, LogError>> + Send;

    /// At most `limit` records of `streams` after `after`, in order.
    fn read(
        &self,
        after: Seq,
        streams: &[Stream],
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Record>, LogError>> + Send;

    /// Decisions, plans and outcomes about `target` after `after`, in order.
    fn history(
        &self,
        target: &Target,
        after: Seq,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Record>, LogError>> + Send;

    /// The record at `seq`, unless retention took it.
    fn get(&self, seq: Seq) -> impl Future<Output = Result<Option<Record>, LogError>> + Send;

    /// The last position known here, 0 where there is none.
    fn last(&self) -> Seq;

    /// Bytes of the largest record that is taken.
    fn max_record(&self) -> usize;

    /// The log as its one writer of decisions, plans and outcomes has it: whoever wrote them before is refused
    /// from now on, even where it was only asleep (invariants I3 and I4). `term` grows with every change of the
    /// writer.
    ///
    /// # Errors
    /// [`LogError::Fenced`] where a later term has set its fence, or another one of this term was faster.
    fn fence(&self, holder: &str, term: u64)
    -> impl Future<Output = Result<Self, LogError>> + Send;

    /// Says that everything up to `covered` is in snapshots: where limits demand it, it may go.
    fn trim(&self, covered: Seq) -> impl Future<Output = Result<(), LogError>> + Send;

    /// Where the durable consumers stand, by name.
    fn places(&self) -> impl Future<Output = Result<Vec<Place>, LogError>> + Send;

    /// Opens the durable consumer of that name, where it left off.
    fn consumer(
        &self,
        name: &str,
        streams: &[Stream],
        policy: Policy,
    ) -> impl Future<Output = Result<Self::Consumer, LogError>> + Send;

    /// Sets aside what cannot be used, with the reason. Nothing is lost.
    fn dead_letter(
        &self,
        letter: DeadLetter,
    ) -> impl Future<Output = Result<Seq, LogError>> + Send {
        async move {
            let entry = letter.entry().map_err(|e| LogError::Unavailable(e.to_string()))?;
            Ok(self.append(vec![entry]).await?.first().map_or(0, |appended| appended.seq))
        }
    }
}

/// Where a durable consumer stands.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Place {
    pub consumer: String,
    /// Everything up to here is acknowledged.
    pub floor: Seq,
}

/// How a consumer treats what is not acknowledged.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// Delivered again after this long without a word.
    pub ack_wait: Duration,
    /// After so many deliveries it goes to the dead letters.
    pub max_deliver: u32,
}

impl Default for Policy {
    fn default() -> Self {
        // A minute is longer than any decision takes; five tries are enough to tell bad luck from poison.
        Policy { ack_wait: Duration::from_secs(60), max_deliver: 5 }
    }
}

/// A record handed to a consumer.
#[derive(Debug, Clone)]
pub struct Delivered {
    pub record: Record,
    /// 1 the first time.
    pub deliveries: u32,
}

/// A named reader whose place survives a restart.
pub trait Consumer: Send + 'static {
    /// Waits until there is at least one record, and returns at most `max`, in order. A caller who gives
    /// up waiting loses nothing.
    fn next(&mut self, max: usize)
    -> impl Future<Output = Result<Vec<Delivered>, LogError>> + Send;

    /// The record is done with.
    fn ack(&mut self, seq: Seq) -> impl Future<Output = Result<(), LogError>> + Send;

    /// Not now: deliver it again after `delay`.
    fn nak(
        &mut self,
        seq: Seq,
        delay: Duration,
    ) -> impl Future<Output = Result<(), LogError>> + Send;

    /// Still working on it: the wait for an acknowledgement starts again.
    fn in_progress(&mut self, seq: Seq) -> impl Future<Output = Result<(), LogError>> + Send;

    /// Everything up to here is acknowledged.
    fn floor(&self) -> Seq;
}

/// Something that arrived and could not be used, kept with its reason.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct DeadLetter {
    /// Where it came from: `alertmanager`, `cloudevents`, `consumer/engine`.
    pub source: String,
    pub reason: String,
    /// What arrived, as text; bytes that are no UTF-8 are replaced.
    pub body: String,
    pub at: Timestamp,
}

impl DeadLetter {
    /// The entry that the dead-letter stream keeps. The same letter twice is one.
    pub fn entry(&self) -> Result<Entry, serde_json::Error> {
        let id = Id::of(&["dead", &self.source, &self.reason, &self.body]);
        let target = Target::Other { kind: "dead".into(), name: self.source.replace('/', "-") };
        let subject = Subject::new(Stream::Dead, "dead", None, &target);
        let envelope =
            crate::model::Envelope::new("medevac.dead", id, &self.source, target, self.at, self);
        Ok(Entry { id: envelope.id.clone(), subject, body: serde_json::to_vec(&envelope)? })
    }
}
