//! A durable reader: acknowledged, refused, or delivered again.

use super::{Embedded, writer::Command};
use crate::log::{Consumer, Delivered, Deliveries, Log, LogError, Policy, Seq, Stand, Stream};
use jiff::Timestamp;
use std::time::Duration;

pub struct EmbeddedConsumer {
    log: Embedded,
    name: String,
    streams: Vec<Stream>,
    hand: Deliveries,
    /// The stand that was saved last.
    saved: Stand,
}

impl EmbeddedConsumer {
    pub(super) fn new(
        log: Embedded,
        name: &str,
        streams: &[Stream],
        policy: Policy,
        stand: Stand,
    ) -> EmbeddedConsumer {
        EmbeddedConsumer {
            log,
            name: name.into(),
            streams: streams.to_vec(),
            hand: Deliveries::new(policy, stand),
            saved: stand,
        }
    }

    fn now(&self) -> Timestamp {
        (self.log.inner.now)()
    }

    /// Sets aside what was delivered too often.
    async fn bury(&mut self) -> Result<(), LogError> {
        while let Some((seq, letter)) = self.hand.poisoned(&self.name, self.now()) {
            self.log.dead_letter(letter).await?;
            self.ack(seq).await?;
        }
        Ok(())
    }

    /// Remembers the place: it rides along with the next commit; one that is lost costs a redelivery.
    fn save(&mut self) {
        self.write(self.hand.stand());
    }

    fn write(&mut self, stand: Stand) {
        let before = std::mem::replace(&mut self.saved, stand);
        if (stand.floor, stand.handed_out) != (before.floor, before.handed_out) {
            self.log.tell(Command::Place { name: self.name.clone(), place: stand });
        }
    }
}

impl Drop for EmbeddedConsumer {
    /// A reader that lets go says nothing against what it had; one that panics does.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.write(self.hand.released());
        }
    }
}

impl Consumer for EmbeddedConsumer {
    async fn next(&mut self, max: usize) -> Result<Vec<Delivered>, LogError> {
        let mut last = self.log.inner.last.clone();
        loop {
            last.borrow_and_update();
            self.bury().await?;
            let again = self.hand.overdue(max, self.now());
            if !again.is_empty() {
                return Ok(again);
            }
            if self.hand.is_poisoned() {
                continue;
            }
            let top = self.log.last();
            let room = self.hand.room(max);
            let records = match room {
                0 => vec![],
                room => self.log.read(self.hand.cursor(), &self.streams, room).await?,
            };
            let whole = records.len() < room;
            let fresh = self.hand.hand_out(records, whole, top, self.now());
            self.save();
            if !fresh.is_empty() {
                return Ok(fresh);
            }
            if self.hand.is_poisoned() || (room > 0 && !whole) {
                continue;
            }
            let wait = self.hand.due().map(|due| due.duration_since(self.now()));
            let wait =
                wait.map_or(Duration::from_secs(60), |wait| wait.try_into().unwrap_or_default());
            // Either news, or the time of the next redelivery: both are looked at above.
            if let Ok(Err(_)) = tokio::time::timeout(wait, last.changed()).await {
                return Err(LogError::Unavailable("the writer has stopped".into()));
            }
        }
    }

    async fn ack(&mut self, seq: Seq) -> Result<(), LogError> {
        self.hand.ack(seq);
        self.save();
        Ok(())
    }

    async fn nak(&mut self, seq: Seq, delay: Duration) -> Result<(), LogError> {
        let now = self.now();
        self.hand.delay(seq, delay, now);
        Ok(())
    }

    async fn in_progress(&mut self, seq: Seq) -> Result<(), LogError> {
        let now = self.now();
        self.hand.in_progress(seq, now);
        Ok(())
    }

    fn floor(&self) -> Seq {
        self.hand.stand().floor
    }
}
