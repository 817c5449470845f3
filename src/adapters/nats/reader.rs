//! Reading the log in order: short-lived pull consumers, kept while somebody reads on where he stopped.

use super::link::Link;
use super::publish::{PATIENCE, Trouble, again, patiently};
use super::streams::LOG;
use crate::log::{LogError, Record, Seq, Subject};
use async_nats::HeaderMap;
use async_nats::jetstream::{
    consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull},
    message::StreamMessage,
    stream::LastRawMessageErrorKind,
};
use futures_util::StreamExt;
use jiff::Timestamp;
use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// Readers that are kept.
const KEPT: usize = 4;
/// The server forgets a reader that nobody asks.
const IDLE: Duration = Duration::from_secs(30);
/// When a record was taken where it first was, if that was in another log.
pub(super) const TAKEN_AT: &str = "Medevac-At";

struct Reader {
    filters: Vec<String>,
    /// What it gives next comes after this.
    after: Seq,
    /// Deliveries so far: the server counts them without a gap.
    delivered: u64,
    consumer: PullConsumer,
}

#[derive(Default)]
pub(super) struct Readers(Mutex<Vec<Reader>>);

impl Readers {
    /// At most `limit` records of the subjects in `filters` after `after`, and all of them if there are fewer.
    pub(super) async fn read(
        &self,
        link: &Link,
        after: Seq,
        filters: &[String],
        limit: usize,
    ) -> Result<Vec<Record>, LogError> {
        if filters.is_empty() || limit == 0 {
            return Ok(vec![]);
        }
        let (mut all, mut from) = (vec![], after);
        let mut reader = self.take(after, filters);
        loop {
            // A replica that lags tells an end that is none: only the stream's leader knows.
            if reader.is_none() && !more(link, from, filters).await? {
                break;
            }
            let mut one = match reader.take() {
                Some(reader) => reader,
                None => open(link, from, filters).await?,
            };
            // What was taken before it broke off is asked for again.
            let Ok(page) = fetch(&mut one, limit - all.len()).await else {
                continue;
            };
            all.extend(page);
            from = one.after;
            if all.len() == limit || !more(link, from, filters).await? {
                self.keep(one);
                break;
            }
            reader = Some(one);
        }
        Ok(all)
    }

    fn take(&self, after: Seq, filters: &[String]) -> Option<Reader> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.iter().position(|one| one.after == after && one.filters == filters)?;
        Some(kept.remove(found))
    }

    fn keep(&self, reader: Reader) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push(reader);
        if kept.len() > KEPT {
            kept.remove(0);
        }
    }
}

/// Whether the log has anything of `filters` after `after`, as its leader knows it.
async fn more(link: &Link, after: Seq, filters: &[String]) -> Result<bool, LogError> {
    for filter in filters {
        if next(link, filter, after).await?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The first message of `filter` after `after`, from the stream's leader.
async fn next(link: &Link, filter: &str, after: Seq) -> Result<Option<StreamMessage>, LogError> {
    raw(|| async move {
        let stream = link.stream(LOG).await?;
        let found =
            stream.raw_message_builder().sequence(after + 1).next_by_subject(filter).send().await;
        told(found)
    })
    .await
}

/// The message at `seq`.
pub(super) async fn at(link: &Link, seq: Seq) -> Result<Option<StreamMessage>, LogError> {
    raw(|| async move {
        let stream = link.stream(LOG).await?;
        told(stream.get_raw_message(seq).await)
    })
    .await
}

/// The last message of `subject` in `stream`.
pub(super) async fn last(
    link: &Link,
    stream: &str,
    subject: &str,
) -> Result<Option<StreamMessage>, LogError> {
    raw(|| async move {
        let stream = link.stream(stream).await?;
        told(stream.get_last_raw_message_by_subject(subject).await)
    })
    .await
}

type Raw = Result<StreamMessage, async_nats::error::Error<LastRawMessageErrorKind>>;

fn told(found: Raw) -> Result<Option<StreamMessage>, Trouble> {
    match found {
        Ok(message) => Ok(Some(message)),
        Err(error) => match error.kind() {
            LastRawMessageErrorKind::NoMessageFound => Ok(None),
            LastRawMessageErrorKind::InvalidSubject => Err(Trouble::No("not a subject".into())),
            LastRawMessageErrorKind::JetStream(_) | LastRawMessageErrorKind::Other => {
                Err(again(&error))
            }
        },
    }
}

async fn raw<F>(ask: impl FnMut() -> F) -> Result<Option<StreamMessage>, LogError>
where
    F: Future<Output = Result<Option<StreamMessage>, Trouble>>,
{
    patiently(ask).await.map_err(Trouble::told)
}

async fn open(link: &Link, after: Seq, filters: &[String]) -> Result<Reader, LogError> {
    let config = pull::Config {
        deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: after + 1 },
        ack_policy: AckPolicy::None,
        filter_subjects: filters.to_vec(),
        inactive_threshold: IDLE,
        memory_storage: true,
        num_replicas: 1,
        ..pull::Config::default()
    };
    let consumer = link.consumer(&config).await?;
    Ok(Reader { filters: filters.to_vec(), after, delivered: 0, consumer })
}

/// What the reader has at once, and no more.
async fn fetch(reader: &mut Reader, limit: usize) -> Result<Vec<Record>, Trouble> {
    let batch = reader.consumer.fetch().max_messages(limit).expires(PATIENCE / 2).messages();
    let mut batch = batch.await.map_err(|error| again(&error))?;
    let mut all = vec![];
    while let Some(message) = batch.next().await {
        let message = message.map_err(|error| again(&error))?;
        let info = message.info().map_err(|error| Trouble::No(error.to_string()))?;
        reader.delivered += 1;
        if info.consumer_sequence != reader.delivered {
            return Err(Trouble::Again("a message was lost on its way".into()));
        }
        let (seq, at) = (info.stream_sequence, info.published.unix_timestamp_nanos());
        // Also past what is no record: a foreign hand may have written to our subjects.
        reader.after = seq;
        let headers = message.headers.clone().unwrap_or_default();
        all.extend(record(seq, at, &message.subject, &headers, message.payload.to_vec()));
    }
    Ok(all)
}

/// The record in a message; none where it is no record: a fence, a gap.
pub(super) fn record(
    seq: Seq,
    taken: i128,
    subject: &str,
    headers: &HeaderMap,
    body: Vec<u8>,
) -> Option<Record> {
    let stream = subject.parse::<Subject>().ok()?.stream;
    let moved = headers.get(TAKEN_AT).and_then(|at| at.as_str().parse().ok());
    let at = moved.or_else(|| Timestamp::from_nanosecond(taken).ok())?;
    Some(Record { seq, at, stream, body })
}

pub(super) fn record_of(message: StreamMessage) -> Option<Record> {
    let taken = message.time.unix_timestamp_nanos();
    record(message.sequence, taken, &message.subject, &message.headers, message.payload.to_vec())
}
