//! A durable reader: acknowledged, refused, or delivered again.

use super::{
    Embedded,
    writer::{Command, Place},
};
use crate::log::{Consumer, DeadLetter, Delivered, Log, LogError, Policy, Record, Seq, Stream};
use jiff::Timestamp;
use std::{collections::BTreeMap, time::Duration};

/// Of a record that nobody could use, so much is kept in its dead letter; the record itself stays too.
const KEPT: usize = 256 << 10;

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

    /// Sets aside what was delivered too often. Until that is durable it stays pending.
    async fn bury(&mut self) -> Result<(), LogError> {
        let most = self.policy.max_deliver;
        while let Some(pending) = self.pending.values().find(|pending| pending.deliveries > most) {
            let seq = pending.record.seq;
            let letter = DeadLetter {
                source: format!("consumer/{}", self.name),
                reason: format!("record {seq} was delivered {most} times without success"),
                body: String::from_utf8_lossy(&pending.record.body).chars().take(KEPT).collect(),
                at: self.now(),
            };
            self.log.dead_letter(letter).await?;
            self.ack(seq).await?;
        }
        Ok(())
    }

    fn poisoned(&self) -> bool {
        self.pending.values().any(|pending| pending.deliveries > self.policy.max_deliver)
    }

    /// What has to be delivered again.
    fn overdue(&mut self, max: usize) -> Vec<Delivered> {
        let (now, due) = (self.now(), self.later(self.policy.ack_wait));
        let most = self.policy.max_deliver;
        let late = self
            .pending
            .values_mut()
            .filter(|pending| pending.due <= now && pending.deliveries <= most);
        let again = late.take(max).map(|pending| {
            pending.deliveries += 1;
            pending.due = due;
            Delivered { record: pending.record.clone(), deliveries: pending.deliveries }
        });
        again.filter(|delivered| delivered.deliveries <= most).collect()
    }

    /// Takes in what was read. Nothing is awaited between here and handing it out, so that a caller who
    /// gives up loses nothing.
    fn hand_out(&mut self, records: Vec<Record>, whole: bool, top: Seq) -> Vec<Delivered> {
        let due = self.later(self.policy.ack_wait);
        let mut out = Vec::with_capacity(records.len());
        for record in records {
            self.cursor = record.seq;
            let again = record.seq <= self.place.handed_out;
            let deliveries = if again { 1 + self.place.tries } else { 1 };
            self.pending.insert(record.seq, Pending { record: record.clone(), deliveries, due });
            if deliveries <= self.policy.max_deliver {
                out.push(Delivered { record, deliveries });
            }
        }
        if whole {
            // What other streams hold in between is not ours to wait for.
            self.cursor = self.cursor.max(top);
        }
        self.save(self.cursor);
        out
    }

    /// Remembers the place: the floor, and how far was handed out. It rides along with the next commit;
    /// one that is lost costs a redelivery.
    fn save(&mut self, handed_out: Seq) {
        let floor = self.pending.keys().next().map_or(self.cursor, |first| first - 1);
        let past = floor >= self.place.handed_out;
        let tries = if past { 0 } else { self.place.tries };
        let place = Place { floor, handed_out: handed_out.max(self.place.handed_out), tries };
        if (place.floor, place.handed_out) != (self.place.floor, self.place.handed_out) {
            self.place = place;
            self.log.tell(Command::Place { name: self.name.clone(), place });
        }
    }
}

impl Consumer for EmbeddedConsumer {
    async fn next(&mut self, max: usize) -> Result<Vec<Delivered>, LogError> {
        let mut last = self.log.inner.last.clone();
        loop {
            last.borrow_and_update();
            self.bury().await?;
            let again = self.overdue(max);
            if !again.is_empty() {
                return Ok(again);
            }
            if self.poisoned() {
                continue;
            }
            let top = self.log.last();
            let records = self.log.read(self.cursor, &self.streams, max).await?;
            let whole = records.len() < max;
            let fresh = self.hand_out(records, whole, top);
            if !fresh.is_empty() {
                return Ok(fresh);
            }
            if self.poisoned() || !whole {
                continue;
            }
            let wait = self.pending.values().map(|pending| pending.due).min();
            let wait = wait.map(|due| due.duration_since(self.now()));
            let wait =
                wait.map_or(Duration::from_secs(60), |wait| wait.try_into().unwrap_or_default());
            // Either news, or the time of the next redelivery: both are looked at above.
            if let Ok(Err(_)) = tokio::time::timeout(wait, last.changed()).await {
                return Err(LogError::Unavailable("the writer has stopped".into()));
            }
        }
    }

    async fn ack(&mut self, seq: Seq) -> Result<(), LogError> {
        self.pending.remove(&seq);
        self.save(self.place.handed_out);
        Ok(())
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
