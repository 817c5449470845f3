//! The log on NATS JetStream: one ordered stream, buckets of keys, durable pull consumers; for many replicas.
//!
//! Who accepts what: events and dead letters are written by every replica, each message with its id
//! (`Nats-Msg-Id`); decisions, plans and outcomes by the one that has fenced the others off, in atomic batches
//! that the server refuses once somebody else has fenced (`writer`). So a replica that was paused and wakes
//! cannot record anything, and what is not recorded is not done.
//! During an election publishing goes on with the same ids; after `publish::PATIENCE` the caller is told.

mod consumer;
mod feed;
mod fence;
mod kv;
mod link;
mod moving;
mod options;
mod places;
mod publish;
mod reader;
mod room;
mod streams;
mod writer;

pub use consumer::NatsConsumer;
pub use feed::{FEED_STREAM, FEED_SUBJECT, Feed};
pub use link::ConnectError;
pub use options::{Certificates, Identity, Options};
pub use streams::Difference;

use crate::clock::Clock;
use crate::log::{Appended, Entry, Log, LogError, Place, Policy, Record, Seq, Stream};
use crate::model::Target;
use futures_util::{StreamExt, TryStreamExt, stream};
use link::Link;
use places::Note;
use publish::{Trouble, patiently};
use reader::Readers;
use room::Room;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use streams::{LOG, all_of};
use tokio::sync::{mpsc, oneshot};
use writer::Append;

/// The log on JetStream. Clones share the connection.
#[derive(Clone)]
pub struct Nats {
    inner: Arc<Inner>,
    /// The position of our fence; only a fenced log is refused when another one comes.
    fence: Option<Seq>,
}

struct Inner {
    link: Link,
    writer: mpsc::Sender<Append>,
    places: mpsc::UnboundedSender<Note>,
    readers: Readers,
    /// The highest position seen.
    last: Arc<AtomicU64>,
    differences: Vec<Difference>,
    max_bytes: u64,
    room: Room,
}

/// Messages of one append that are on their way together.
const ABREAST: usize = 256;
/// Appends that may wait for the writer.
const QUEUE: usize = 4096;
/// What the headers and the envelope of a dead letter may need beside the payload.
const HEADROOM: usize = 16 << 10;

impl Nats {
    /// Connects, makes the streams that are missing and tells which differ.
    ///
    /// # Errors
    /// Where no server can be reached, it is too old, or a stream cannot be used.
    pub async fn connect(options: &Options, clock: impl Clock) -> Result<Nats, ConnectError> {
        let link = Link::make(options, clock).await?;
        let differences = streams::reconcile(&link, options).await?;
        let bad = |why: String| ConnectError::Stream { stream: LOG.into(), why, passes: true };
        let info = link.jetstream.get_stream(LOG).await.map_err(|error| bad(error.to_string()))?;
        let last = Arc::new(AtomicU64::new(info.cached_info().state.last_sequence));
        let (places, notes) = mpsc::unbounded_channel();
        let (writer, inbox) = mpsc::channel(QUEUE);
        let seen = Arc::clone(&last);
        let told = move |seq| {
            seen.fetch_max(seq, Ordering::SeqCst);
        };
        tokio::spawn(writer::run(link.clone(), told, inbox));
        let inner = Inner {
            link,
            writer,
            places,
            readers: Readers::default(),
            last,
            differences,
            max_bytes: options.max_bytes,
            room: Room::default(),
        };
        let log = Nats { inner: Arc::new(inner), fence: None };
        tokio::spawn(room::run(Arc::downgrade(&log.inner)));
        tokio::spawn(places::run(Arc::downgrade(&log.inner), notes));
        Ok(log)
    }

    /// Settings of streams that are not as the configuration says.
    pub fn differences(&self) -> &[Difference] {
        &self.inner.differences
    }

    /// The connection, for sources that read other people's subjects.
    pub fn client(&self) -> async_nats::Client {
        self.inner.link.client.clone()
    }

    /// What is waited for, in words: the connection, room, a right. Nothing: all is well.
    pub fn trouble(&self) -> Vec<String> {
        self.inner.link.health.trouble()
    }

    fn saw(&self, seq: Seq) {
        self.inner.last.fetch_max(seq, Ordering::SeqCst);
    }

    /// Events and dead letters: each for itself, each once.
    async fn accept(&self, entries: &[Entry]) -> Result<Vec<Appended>, LogError> {
        let mut first: BTreeMap<&str, usize> = BTreeMap::new();
        for (at, entry) in entries.iter().enumerate() {
            first.entry(entry.id.as_str()).or_insert(at);
        }
        let fresh: BTreeSet<usize> = first.values().copied().collect();
        let sends: Vec<_> = fresh.iter().map(|at| self.send(&entries[*at])).collect();
        let sent: Vec<Appended> = stream::iter(sends).buffered(ABREAST).try_collect().await?;
        let ids = fresh.iter().map(|at| entries[*at].id.as_str());
        let sent: BTreeMap<&str, Appended> = ids.zip(sent).collect();
        let one = |(at, entry): (usize, &Entry)| {
            let found = sent[entry.id.as_str()];
            let again = first[entry.id.as_str()] != at;
            Appended { duplicate: found.duplicate || again, ..found }
        };
        Ok(entries.iter().enumerate().map(one).collect())
    }

    async fn send(&self, entry: &Entry) -> Result<Appended, LogError> {
        let (link, message) = (&self.inner.link, writer::message(entry));
        let message = &message;
        let ack = patiently(|| publish::one(link, message)).await;
        let ack = ack.map_err(|trouble| self.told(trouble));
        link.health.refused(match &ack {
            Err(error @ (LogError::Full(_) | LogError::Denied(_))) => Some(error.to_string()),
            Ok(_) | Err(_) => None,
        });
        let ack = ack?;
        self.saw(ack.seq);
        Ok(Appended { seq: ack.seq, duplicate: ack.duplicate })
    }

    fn told(&self, trouble: Trouble) -> LogError {
        match trouble.told() {
            LogError::TooLarge { size, .. } => {
                LogError::TooLarge { size, limit: self.max_record() }
            }
            other => other,
        }
    }

    async fn state(&self) -> Result<async_nats::jetstream::stream::State, LogError> {
        let link = &self.inner.link;
        let info = patiently(|| async move {
            let stream = link.stream(LOG).await?;
            stream.get_info().await.map_err(|error| publish::again(&error))
        });
        Ok(info.await.map_err(Trouble::told)?.state)
    }
}

impl Log for Nats {
    type Consumer = NatsConsumer;

    async fn append(&self, entries: Vec<Entry>) -> Result<Vec<Appended>, LogError> {
        let limit = self.max_record();
        if let Some(size) = entries.iter().map(|one| one.body.len()).find(|size| *size > limit) {
            return Err(LogError::TooLarge { size, limit });
        }
        let many = |entry: &Entry| matches!(entry.subject.stream, Stream::Events | Stream::Dead);
        // What the active replica itself says goes behind its fence, and into the room that is kept.
        if self.fence.is_none() && entries.iter().all(many) {
            if self.inner.room.is_short() {
                let why = "what is left is kept for decisions and journals";
                self.inner.link.health.refused(Some(why.into()));
                return Err(LogError::Full(why.into()));
            }
            return self.accept(&entries).await;
        }
        let gone = || LogError::Unavailable("the writer has stopped".into());
        let (reply, answer) = oneshot::channel();
        let append = Append { entries, fence: self.fence, reply };
        self.inner.writer.send(append).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    async fn read(
        &self,
        after: Seq,
        streams: &[Stream],
        limit: usize,
    ) -> Result<Vec<Record>, LogError> {
        let filters: Vec<String> = streams.iter().map(|stream| all_of(*stream)).collect();
        self.inner.readers.read(&self.inner.link, after, &filters, limit).await
    }

    async fn history(
        &self,
        target: &Target,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<Record>, LogError> {
        let about = |stream: Stream| {
            let subject = crate::log::Subject::new(stream, "kind", None, target).to_string();
            let token = subject.rsplit('.').next().unwrap_or_default();
            format!("medevac.{}.*.*.{token}", stream.word())
        };
        let filters = [Stream::Decisions, Stream::Plans, Stream::Outcomes].map(about);
        self.inner.readers.read(&self.inner.link, after, &filters, limit).await
    }

    async fn get(&self, seq: Seq) -> Result<Option<Record>, LogError> {
        if seq == 0 {
            return Ok(None);
        }
        Ok(reader::at(&self.inner.link, seq).await?.and_then(reader::record_of))
    }

    fn last(&self) -> Seq {
        self.inner.last.load(Ordering::SeqCst)
    }

    fn max_record(&self) -> usize {
        self.inner.link.client.max_payload().saturating_sub(HEADROOM)
    }

    async fn fence(&self, holder: &str, term: u64) -> Result<Nats, LogError> {
        fence::set(self, holder, term).await
    }

    async fn trim(&self, covered: Seq) -> Result<(), LogError> {
        room::trim(self, covered).await
    }

    async fn places(&self) -> Result<Vec<Place>, LogError> {
        places::all(self).await
    }

    async fn consumer(
        &self,
        name: &str,
        streams: &[Stream],
        policy: Policy,
    ) -> Result<NatsConsumer, LogError> {
        NatsConsumer::open(self, name, streams, policy).await
    }
}
