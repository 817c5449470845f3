//! A reader of the simulated log: its place survives its process, as far as it was saved.

use super::Memory;
use crate::clock::Clock;
use crate::log::{Consumer, Delivered, Deliveries, Log, LogError, Policy, Seq, Stand, Stream};
use jiff::Timestamp;
use std::time::Duration;

/// A reader of the simulated log.
pub struct MemoryConsumer {
    log: Memory,
    name: String,
    streams: Vec<Stream>,
    hand: Deliveries,
}

impl MemoryConsumer {
    pub(super) fn new(
        log: Memory,
        name: &str,
        streams: &[Stream],
        policy: Policy,
        stand: Stand,
    ) -> MemoryConsumer {
        let (name, streams) = (name.to_owned(), streams.to_vec());
        MemoryConsumer { log, name, streams, hand: Deliveries::new(policy, stand) }
    }

    fn save(&self) {
        let life = &self.log.life;
        life.stage.store().stand(&self.name, life.number, self.hand.stand());
    }

    fn now(&self) -> Timestamp {
        self.log.life.stage.time.now()
    }
}

impl Drop for MemoryConsumer {
    /// A reader that lets go says nothing against what it had. A process that was killed says nothing at all.
    fn drop(&mut self) {
        let life = &self.log.life;
        if !life.gate.is_dead() && !std::thread::panicking() {
            life.stage.store().stand(&self.name, life.number, self.hand.released());
        }
    }
}

impl Consumer for MemoryConsumer {
    async fn next(&mut self, max: usize) -> Result<Vec<Delivered>, LogError> {
        loop {
            self.log.reachable().await?;
            while let Some((seq, letter)) = self.hand.poisoned(&self.name, self.now()) {
                self.log.dead_letter(letter).await?;
                self.ack(seq).await?;
            }
            let again = self.hand.overdue(max, self.now());
            if !again.is_empty() {
                return Ok(again);
            }
            if self.hand.is_poisoned() {
                continue;
            }
            let stage = self.log.life.stage.clone();
            let news = stage.written.notified();
            let room = self.hand.room(max);
            let (top, records) = {
                let store = stage.store();
                (store.last(), store.read(self.hand.cursor(), &self.streams, room))
            };
            let whole = records.len() < room;
            let fresh = self.hand.hand_out(records, whole, top, self.now());
            if !fresh.is_empty() || whole {
                self.save();
            }
            if !fresh.is_empty() {
                return Ok(fresh);
            }
            if self.hand.is_poisoned() || (room > 0 && !whole) {
                continue;
            }
            tokio::select! {
                biased;
                () = news => {}
                () = stage.time.until(self.hand.due()) => {}
            }
        }
    }

    async fn ack(&mut self, seq: Seq) -> Result<(), LogError> {
        self.log.life.gate.pass().await;
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
