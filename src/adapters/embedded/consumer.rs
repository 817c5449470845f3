//! A durable reader: acknowledged, refused, or delivered again.

use super::{Embedded, writer::{Command, Place}};
use crate::log::{Consumer, DeadLetter, Delivered, Log, LogError, Policy, Record, Seq, Stream};
use jiff::Timestamp;
use std::{collections::BTreeMap, time::Duration};

/// A record that was handed out and not yet acknowledged.
struct Pending {
    record: Record,
    deliveries: u32,
    due: Timestamp,
}

pub struct EmbeddedConsumer {
    log: Embedded,
    name: String,
    streams: Vec<Stream>,
    policy: Policy,
    pending: BTreeMap<Seq, Pending>,
    /// Everything up to here was handed out in this life.
    cursor: Seq,
    place: Place,
}

impl EmbeddedConsumer {
    pub(super) fn new(
        log: Embedded,
        name: &str,
        streams: &[Stream],
        policy: Policy,
        place: Place,
    ) -> EmbeddedConsumer {
        EmbeddedConsumer {
            log,
            name: name.into(),
            streams: streams.to_vec(),
            policy,
            pending: BTreeMap::new(),
            cursor: place.floor,
            place,
        }
    }

    fn now(&self) -> Timestamp {
        (self.log.inner.now)()
    }

    fn later(&self, wait: Duration) -> Timestamp {
        self.now().checked_add(wait).unwrap_or(Timestamp::MAX)
    }

    /// What has to be delivered again, with too many tries set aside as dead letters.
    async fn overdue(&mut self, max: usize) -> Result<Vec<Delivered>, LogError> {
        let now = self.now();
        let due: Vec<Seq> = self
            .pending
            .iter()
            .filter(|(_, pending)| pending.due <= now)
            .map(|(seq, _)| *seq)
            .take(max)
            .collect();
        let mut again = vec![];
        for seq in due {
            let Some(pending) = self.pending.get_mut(&seq) else { continue };
            pending.deliveries += 1;
            pending.due = now.checked_add(self.policy.ack_wait).unwrap_or(Timestamp::MAX);
            let delivered = Delivered { record: pending.record.clone(), deliveries: pending.deliveries };
            again.extend(self.unless_poison(delivered).await?);
        }
        Ok(again)
    }

    async fn unless_poison(&mut self, delivered: Delivered) -> Result<Option<Delivered>, LogError> {
        if delivered.deliveries <= self.policy.max_deliver {
            return Ok(Some(delivered));
        }
        let seq = delivered.record.seq;
        let reason = format!("record {seq} was delivered {} times without success", self.policy.max_deliver);
        self.log
            .dead_letter(DeadLetter {
                source: format!("consumer/{}", self.name),
                reason,
                body: String::from_utf8_lossy(&delivered.record.body).into_owned(),
                at: self.now(),
            })
            .await?;
        self.ack(seq).await?;
        Ok(None)
    }

    async fn fresh(&mut self, max: usize) -> Result<Vec<Delivered>, LogError> {
        let top = self.log.last();
        let records = self.log.read(self.cursor, &self.streams, max).await?;
        let whole = records.len() < max;
        let due = self.later(self.policy.ack_wait);
        let mut out = Vec::with_capacity(records.len());
        for record in records {
            self.cursor = record.seq;
            let again = record.seq <= self.place.handed_out;
            let deliveries = if again { 1 + self.place.tries } else { 1 };
            let pending = Pending { record: record.clone(), deliveries, due };
            self.pending.insert(record.seq, pending);
            out.extend(self.unless_poison(Delivered { record, deliveries }).await?);
        }
        if whole {
            // What other streams hold in between is not ours to wait for.
            self.cursor = self.cursor.max(top);
        }
        self.save(self.cursor).await?;
        Ok(out)
    }

    /// Remembers the place: the floor, and how far was handed out.
    async fn save(&mut self, handed_out: Seq) -> Result<(), LogError> {
        let floor = self.pending.keys().next().map_or(self.cursor, |first| first - 1);
        let past = floor >= self.place.handed_out;
        let tries = if past { 0 } else { self.place.tries };
        let place = Place { floor, handed_out: handed_out.max(self.place.handed_out), tries };
        if (place.floor, place.handed_out) != (self.place.floor, self.place.handed_out) {
            self.place = place;
            self.log.send(Command::Place { name: self.name.clone(), place }).await?;
        }
        Ok(())
    }
}

impl Consumer for EmbeddedConsumer {
    async fn next(&mut self, max: usize) -> Result<Vec<Delivered>, LogError> {
        let mut last = self.log.inner.last.clone();
        loop {
            last.borrow_and_update();
            let mut batch = self.overdue(max).await?;
            if batch.len() < max {
                batch.extend(self.fresh(max - batch.len()).await?);
            }
            if !batch.is_empty() {
                return Ok(batch);
            }
            let wait = self.pending.values().map(|pending| pending.due).min();
            let wait = wait.map(|due| due.duration_since(self.now()));
            let wait = wait.map_or(Duration::from_secs(60), |wait| wait.try_into().unwrap_or_default());
            // Either news, or the time of the next redelivery: both are looked at above.
            match tokio::time::timeout(wait, last.changed()).await {
                Ok(Err(_)) => return Err(LogError::Unavailable("the writer has stopped".into())),
                Ok(Ok(())) | Err(_) => {}
            }
        }
    }

    async fn ack(&mut self, seq: Seq) -> Result<(), LogError> {
        self.pending.remove(&seq);
        self.save(self.place.handed_out).await
    }

    async fn nak(&mut self, seq: Seq, delay: Duration) -> Result<(), LogError> {
        let due = self.later(delay);
        if let Some(pending) = self.pending.get_mut(&seq) {
            pending.due = due;
        }
        Ok(())
    }

    async fn in_progress(&mut self, seq: Seq) -> Result<(), LogError> {
        let wait = self.policy.ack_wait;
        self.nak(seq, wait).await
    }

    fn floor(&self) -> Seq {
        self.place.floor
    }
}
