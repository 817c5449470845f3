//! A pull consumer with explicit acknowledgement, whose place outlives it (`places`).
//!
//! A life that ends with records in hand counts as a delivery of each. After one that acknowledged nothing the
//! next goes one by one, and notes what it takes before it does: the record that kills is found, and only it.

use super::Nats;
use super::places::{self, Note, Past};
use super::publish::{again, pause};
use super::reader;
use crate::log::{Consumer, DeadLetter, Delivered, Log, LogError, Policy, Seq, Stream};
use async_nats::jetstream::{
    self, AckKind,
    consumer::{PullConsumer, pull},
    message::Acker,
};
use futures_util::{FutureExt, StreamExt};
use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

/// Of a record that nobody could use, so much is kept in its dead letter; the record itself stays too.
const KEPT: usize = 64 << 10;
/// A pull request that hears nothing for so long is made anew.
const HEARTBEAT: Duration = Duration::from_secs(2);
const EXPIRES: Duration = Duration::from_secs(20);

pub struct NatsConsumer {
    log: Nats,
    name: String,
    policy: Policy,
    consumer: PullConsumer,
    messages: Option<pull::Stream>,
    past: Past,
    /// A new life has to begin before anything is read.
    broken: bool,
    /// Deliveries so far: the server counts them without a gap.
    delivered: u64,
    /// What earlier lives had in hand, and how often.
    before: (Seq, u32),
    /// One record at a time, until one is acknowledged.
    careful: bool,
    streams: Vec<Stream>,
    /// What a foreign hand wrote to our subjects: it is not delivered again.
    foreign: Vec<Acker>,
    ready: VecDeque<Delivered>,
    pending: BTreeMap<Seq, (Acker, u32)>,
}

impl NatsConsumer {
    pub(super) async fn open(
        log: &Nats,
        name: &str,
        streams: &[Stream],
        policy: Policy,
    ) -> Result<NatsConsumer, LogError> {
        let (consumer, past, careful) = places::begin(log, name, streams, policy).await?;
        Ok(NatsConsumer {
            log: log.clone(),
            name: name.into(),
            policy,
            consumer,
            messages: None,
            past,
            broken: false,
            delivered: 0,
            before: (past.handed_out, past.tries),
            careful,
            streams: streams.to_vec(),
            foreign: vec![],
            ready: VecDeque::new(),
            pending: BTreeMap::new(),
        })
    }

    /// Waits for one message and takes what else has come. Nothing is awaited between a message and its place
    /// in `ready`, so that a caller who gives up loses nothing.
    async fn gather(&mut self) -> Result<(), LogError> {
        if self.broken {
            return self.begin_again().await;
        }
        let messages = match &mut self.messages {
            Some(messages) => messages,
            none => {
                let made = self.consumer.stream().heartbeat(HEARTBEAT).expires(EXPIRES).messages();
                none.insert(made.await.map_err(|error| again(&error).told())?)
            }
        };
        let mut next = messages.next().await;
        loop {
            match next {
                Some(Ok(message)) => {
                    if !self.take(message) {
                        tracing::info!(
                            name = self.name,
                            "a message was lost on its way; it is asked for again"
                        );
                        self.messages = None;
                        return self.begin_again().await;
                    }
                }
                Some(Err(error)) if self.ready.is_empty() => {
                    tracing::debug!(%error, name = self.name, "the reader is made anew");
                    self.messages = None;
                    return self.begin_again().await;
                }
                Some(Err(_)) | None => {
                    self.messages = None;
                    return Ok(());
                }
            }
            next = match self.messages.as_mut().and_then(|messages| messages.next().now_or_never())
            {
                Some(next) => next,
                None => return Ok(()),
            };
        }
    }

    /// Takes a message in. False: one before it has not arrived. It would come after others that follow it in the
    /// log, and whoever folds in order would take it for old.
    fn take(&mut self, message: jetstream::Message) -> bool {
        let Ok(info) = message.info() else { return false };
        let (seq, nth) = (info.stream_sequence, info.consumer_sequence);
        if nth != self.delivered + 1 {
            return false;
        }
        self.delivered = nth;
        let (taken, times) = (info.published.unix_timestamp_nanos(), u32::try_from(info.delivered));
        let before = if seq <= self.before.0 { self.before.1 } else { 0 };
        let deliveries = times.unwrap_or(u32::MAX).saturating_add(before);
        let (message, acker) = message.split();
        self.log.saw(seq);
        let (headers, body) = (message.headers.unwrap_or_default(), message.payload.to_vec());
        match reader::record(seq, taken, &message.subject, &headers, body) {
            Some(record) => {
                self.pending.insert(seq, (acker, deliveries));
                self.ready.push_back(Delivered { record, deliveries });
            }
            None => {
                tracing::warn!(seq, subject = %message.subject, "not a record of ours; passed over");
                self.foreign.push(acker);
            }
        }
        true
    }

    /// The server that had the consumer is gone, or another replica reads now: it goes on from the floor. What is
    /// in hand comes again then, and is known by its position.
    async fn begin_again(&mut self) -> Result<(), LogError> {
        // A caller who gives up half-way finds it so the next time.
        self.broken = true;
        pause(Duration::from_millis(50)).await;
        self.past = self.past.released();
        self.note();
        let (consumer, past, careful) =
            places::begin(&self.log, &self.name, &self.streams, self.policy).await?;
        (self.consumer, self.past, self.careful) = (consumer, past, careful);
        self.delivered = 0;
        self.ready.clear();
        self.pending.clear();
        self.broken = false;
        Ok(())
    }

    /// Notes the place; it is written soon.
    fn note(&self) {
        // Without the writer the log itself is gone.
        drop(self.log.inner.places.send(Note::Write(self.name.clone(), self.past)));
    }

    /// Sets aside what was delivered too often. Until that is durable it stays in hand.
    async fn bury(&mut self) -> Result<(), LogError> {
        let most = self.policy.max_deliver;
        while let Some(found) = self.ready.iter().position(|one| one.deliveries > most) {
            let (seq, body) = (self.ready[found].record.seq, self.ready[found].record.body.clone());
            self.set_aside(seq, &body).await?;
            self.ready.remove(found);
        }
        Ok(())
    }

    async fn set_aside(&mut self, seq: Seq, body: &[u8]) -> Result<(), LogError> {
        let most = self.policy.max_deliver;
        let letter = DeadLetter {
            source: format!("consumer/{}", self.name),
            reason: format!("record {seq} was delivered {most} times without success"),
            body: String::from_utf8_lossy(body).chars().take(KEPT).collect(),
            at: (self.log.inner.link.now)(),
        };
        self.log.dead_letter(letter).await?;
        self.say(seq, AckKind::Term).await
    }

    async fn say(&mut self, seq: Seq, word: AckKind) -> Result<(), LogError> {
        let still = matches!(word, AckKind::Progress);
        let Some((acker, _)) = self.pending.get(&seq) else { return Ok(()) };
        acker.ack_with(word).await.map_err(|error| LogError::Unavailable(error.to_string()))?;
        if !still {
            self.pending.remove(&seq);
            self.acknowledged(seq);
        }
        Ok(())
    }
}

impl NatsConsumer {
    /// Moves the floor up to the first record that is still in hand.
    fn acknowledged(&mut self, seq: Seq) {
        let first =
            self.pending.keys().next().map_or(seq, |first| (first - 1).max(self.past.floor));
        let floor = if self.pending.is_empty() { self.past.floor.max(seq) } else { first };
        if floor > self.past.floor {
            let past = floor >= self.past.handed_out;
            let tries = if past { 0 } else { self.past.tries };
            self.past = Past { floor, tries, fresh: false, ..self.past };
            self.careful = false;
            self.note();
        }
    }
}

/// A life that ends in order gives back what it had in hand; one that dies of a record does not.
impl Drop for NatsConsumer {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.past = self.past.released();
            self.note();
        }
    }
}

impl Consumer for NatsConsumer {
    async fn next(&mut self, max: usize) -> Result<Vec<Delivered>, LogError> {
        loop {
            self.bury().await?;
            while let Some(acker) = self.foreign.pop() {
                let told = acker.ack_with(AckKind::Term).await;
                told.map_err(|error| LogError::Unavailable(error.to_string()))?;
            }
            if let Some(first) = self.ready.front() {
                let first = first.record.seq;
                let upto = if self.careful { 1 } else { max.min(self.ready.len()) };
                let last = self.ready.get(upto - 1).map_or(first, |last| last.record.seq);
                if last > self.past.handed_out {
                    self.past.handed_out = last;
                    self.past.in_hand = self.pending.len() - self.ready.len() + upto;
                    if self.careful {
                        places::write(&self.log, &self.name, &self.past).await?;
                    } else {
                        self.note();
                    }
                }
                return Ok(self.ready.drain(..upto).collect());
            }
            self.gather().await?;
        }
    }

    async fn ack(&mut self, seq: Seq) -> Result<(), LogError> {
        self.say(seq, AckKind::Ack).await
    }

    async fn nak(&mut self, seq: Seq, delay: Duration) -> Result<(), LogError> {
        let last =
            self.pending.get(&seq).is_some_and(|(_, times)| *times >= self.policy.max_deliver);
        if last && let Some(record) = Log::get(&self.log, seq).await? {
            return self.set_aside(seq, &record.body).await;
        }
        self.say(seq, AckKind::Nak(Some(delay))).await
    }

    async fn in_progress(&mut self, seq: Seq) -> Result<(), LogError> {
        self.say(seq, AckKind::Progress).await
    }

    fn floor(&self) -> Seq {
        self.past.floor
    }
}
