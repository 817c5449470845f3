//! A durable pull consumer with explicit acknowledgement.
//!
//! Every life makes a new one that starts at the floor of the one before, because what a dead replica had in
//! hand would otherwise only come again after the acknowledgement wait. How often it was in hand is carried on,
//! so that a record that kills whoever takes it is known.

use super::Nats;
use super::places::{self, Past};
use super::publish::{Trouble, again, patiently, pause};
use super::reader;
use super::streams::LOG;
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
    ready: VecDeque<Delivered>,
    pending: BTreeMap<Seq, (Acker, u32)>,
    floor: Seq,
}

impl NatsConsumer {
    pub(super) async fn open(
        log: &Nats,
        name: &str,
        streams: &[Stream],
        policy: Policy,
    ) -> Result<NatsConsumer, LogError> {
        let (consumer, past) = places::begin(log, name, streams, policy).await?;
        Ok(NatsConsumer {
            log: log.clone(),
            name: name.into(),
            policy,
            consumer,
            messages: None,
            past,
            ready: VecDeque::new(),
            pending: BTreeMap::new(),
            floor: past.floor,
        })
    }

    /// Waits for one message and takes what else has come. Nothing is awaited between a message and its place
    /// in `ready`, so that a caller who gives up loses nothing.
    async fn gather(&mut self) -> Result<(), LogError> {
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
                    take(message, self.past, &mut self.ready, &mut self.pending, &self.log)
                }
                Some(Err(error)) if self.ready.is_empty() => {
                    tracing::debug!(%error, name = self.name, "the reader is made anew");
                    self.messages = None;
                    return self.still_there().await;
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

    /// A server that is in an election is waited for; a consumer that another life has removed is the end.
    async fn still_there(&mut self) -> Result<(), LogError> {
        pause(Duration::from_millis(50)).await;
        let (link, name) = (&self.log.inner.link, self.consumer.cached_info().name.as_str());
        let info = patiently(|| async move {
            match link.stream(LOG).await?.consumer_info(name).await {
                Ok(_) => Ok(()),
                Err(error) if error.to_string().contains("not found") => {
                    Err(Trouble::No("another replica reads now".into()))
                }
                Err(error) => Err(again(&error)),
            }
        });
        info.await.map_err(Trouble::told)
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
            let first = self.pending.keys().next().map_or(seq, |first| first - 1);
            self.floor = self.floor.max(first.min(seq));
        }
        Ok(())
    }
}

fn take(
    message: jetstream::Message,
    past: Past,
    ready: &mut VecDeque<Delivered>,
    pending: &mut BTreeMap<Seq, (Acker, u32)>,
    log: &Nats,
) {
    let Ok(info) = message.info() else { return };
    let seq = info.stream_sequence;
    let (taken, times) = (info.published.unix_timestamp_nanos(), u32::try_from(info.delivered));
    let before = if seq <= past.handed_out { past.tries } else { 0 };
    let deliveries = times.unwrap_or(u32::MAX).saturating_add(before);
    let (message, acker) = message.split();
    log.saw(seq);
    let headers = message.headers.unwrap_or_default();
    let record = reader::record(seq, taken, &message.subject, &headers, message.payload.to_vec());
    let Some(record) = record else {
        tracing::warn!(seq, subject = %message.subject, "not a record of ours; passed over");
        return;
    };
    pending.insert(seq, (acker, deliveries));
    ready.push_back(Delivered { record, deliveries });
}

impl Consumer for NatsConsumer {
    async fn next(&mut self, max: usize) -> Result<Vec<Delivered>, LogError> {
        loop {
            self.bury().await?;
            if !self.ready.is_empty() {
                let upto = max.min(self.ready.len());
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
        if last && let Some(record) = self.log.get_record(seq).await? {
            return self.set_aside(seq, &record.body).await;
        }
        self.say(seq, AckKind::Nak(Some(delay))).await
    }

    async fn in_progress(&mut self, seq: Seq) -> Result<(), LogError> {
        self.say(seq, AckKind::Progress).await
    }

    fn floor(&self) -> Seq {
        self.floor
    }
}
