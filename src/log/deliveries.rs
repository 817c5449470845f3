//! What a durable consumer has handed out and not yet heard of: the bookkeeping of a log that delivers itself.

use super::{DeadLetter, Delivered, Policy, Record, Seq};
use jiff::Timestamp;
use std::{collections::BTreeMap, time::Duration};

/// Of a record that nobody could use, so much is kept in its dead letter; the record itself stays too.
const KEPT: usize = 256 << 10;

/// What is remembered of a consumer from life to life. A life that ended in order left nothing in hand; one
/// that did not counts as a delivery of all that it had, and the next goes one by one through that, until it is
/// known which record it was.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stand {
    /// Everything up to here is acknowledged.
    pub floor: Seq,
    /// Everything up to here was handed out in some life.
    pub handed_out: Seq,
    /// How many lives ended with what was handed out still in hand.
    pub tries: u32,
}

impl Stand {
    /// The stand of the next life: what was in hand when this one ended was delivered once more.
    pub fn reopened(self) -> Stand {
        let died = u32::from(self.handed_out > self.floor);
        Stand { tries: self.tries.saturating_add(died), ..self }
    }
}

/// A record that was handed out and not yet acknowledged.
#[derive(Debug)]
struct Pending {
    record: Record,
    deliveries: u32,
    due: Timestamp,
}

#[derive(Debug)]
pub struct Deliveries {
    policy: Policy,
    pending: BTreeMap<Seq, Pending>,
    /// Everything up to here was handed out in this life.
    cursor: Seq,
    stand: Stand,
    /// What the life before had when it died.
    suspects: Stand,
}

impl Deliveries {
    /// The deliveries of a life that begins with `stand`, which was [`Stand::reopened`].
    pub fn new(policy: Policy, stand: Stand) -> Deliveries {
        let pending = BTreeMap::new();
        Deliveries { policy, pending, cursor: stand.floor, stand, suspects: stand }
    }

    /// Whether one of those that may have killed the life before is not done with yet.
    fn careful(&self) -> bool {
        self.suspects.tries > 0 && self.stand.floor < self.suspects.handed_out
    }

    /// How many records may be read at most, if the reader wants `max`.
    pub fn room(&self, max: usize) -> usize {
        match (self.careful(), self.pending.is_empty()) {
            (false, _) => max,
            (true, true) => max.min(1),
            (true, false) => 0,
        }
    }

    /// The stand of a life that ends in order: nothing is in hand any more.
    pub fn released(&self) -> Stand {
        Stand { handed_out: self.stand.floor, tries: 0, ..self.stand }
    }

    /// Where to read on.
    pub fn cursor(&self) -> Seq {
        self.cursor
    }

    pub fn stand(&self) -> Stand {
        self.stand
    }

    fn later(now: Timestamp, wait: Duration) -> Timestamp {
        now.checked_add(wait).unwrap_or(Timestamp::MAX)
    }

    /// A record that was delivered too often, and the letter that sets it aside. Until that is durable it
    /// stays pending.
    pub fn poisoned(&self, consumer: &str, now: Timestamp) -> Option<(Seq, DeadLetter)> {
        let most = self.policy.max_deliver;
        let (seq, pending) = self.worn_out()?;
        let letter = DeadLetter {
            source: format!("consumer/{consumer}"),
            reason: format!("record {seq} was delivered {most} times without success"),
            body: String::from_utf8_lossy(&pending.record.body).chars().take(KEPT).collect(),
            at: now,
        };
        Some((*seq, letter))
    }

    fn worn_out(&self) -> Option<(&Seq, &Pending)> {
        self.pending.iter().find(|(_, pending)| pending.deliveries > self.policy.max_deliver)
    }

    /// Whether something has to be set aside before anything else is delivered.
    pub fn is_poisoned(&self) -> bool {
        self.worn_out().is_some()
    }

    /// What has to be delivered again.
    pub fn overdue(&mut self, max: usize, now: Timestamp) -> Vec<Delivered> {
        let (most, due) = (self.policy.max_deliver, Self::later(now, self.policy.ack_wait));
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

    /// Takes in what was read after the cursor. Nothing may be awaited between here and handing it out, so
    /// that a caller who gives up loses nothing. `whole`: nothing more stood there up to `top`.
    pub fn hand_out(
        &mut self,
        records: Vec<Record>,
        whole: bool,
        top: Seq,
        now: Timestamp,
    ) -> Vec<Delivered> {
        let due = Self::later(now, self.policy.ack_wait);
        let mut out = Vec::with_capacity(records.len());
        for record in records {
            self.cursor = record.seq;
            let again = record.seq <= self.suspects.handed_out;
            let deliveries = if again { 1 + self.suspects.tries } else { 1 };
            self.pending.insert(record.seq, Pending { record: record.clone(), deliveries, due });
            if deliveries <= self.policy.max_deliver {
                out.push(Delivered { record, deliveries });
            }
        }
        if whole {
            // What other streams hold in between is not ours to wait for.
            self.cursor = self.cursor.max(top);
        }
        self.settle();
        out
    }

    pub fn ack(&mut self, seq: Seq) {
        self.pending.remove(&seq);
        self.settle();
    }

    /// Delivered again at `now + wait`, unless it is acknowledged before.
    pub fn delay(&mut self, seq: Seq, wait: Duration, now: Timestamp) {
        if let Some(pending) = self.pending.get_mut(&seq) {
            pending.due = Self::later(now, wait);
        }
    }

    /// Still being worked on: the wait for an acknowledgement starts again.
    pub fn in_progress(&mut self, seq: Seq, now: Timestamp) {
        self.delay(seq, self.policy.ack_wait, now);
    }

    /// When something has to be delivered again.
    pub fn due(&self) -> Option<Timestamp> {
        self.pending.values().map(|pending| pending.due).min()
    }

    fn settle(&mut self) {
        let floor = self.pending.keys().next().map_or(self.cursor, |first| first - 1);
        // Of what is in hand, those that were so before have their deaths counted on.
        let suspect = floor < self.suspects.handed_out && !self.pending.is_empty();
        let tries = if suspect { self.suspects.tries } else { 0 };
        self.stand = Stand { floor, handed_out: self.cursor.max(floor), tries };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Stream;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn record(seq: Seq) -> Record {
        Record { seq, at: NOW, stream: Stream::Events, body: vec![] }
    }

    /// A life that hands out what it may of 1 to 4, acknowledges up to `done`, and dies.
    fn life(stand: Stand, done: Seq) -> (Stand, Vec<(Seq, u32)>) {
        let policy = Policy { max_deliver: 9, ..Policy::default() };
        let mut hand = Deliveries::new(policy, stand.reopened());
        let mut seen = vec![];
        loop {
            let from = hand.cursor() + 1;
            let most = u64::try_from(hand.room(9)).unwrap();
            let records: Vec<Record> = (from..=4).take(most as usize).map(record).collect();
            if records.is_empty() {
                return (hand.stand(), seen);
            }
            let whole = records.last().is_some_and(|last| last.seq == 4);
            let out = hand.hand_out(records, whole, 4, NOW);
            for one in out {
                seen.push((one.record.seq, one.deliveries));
                if one.record.seq <= done {
                    hand.ack(one.record.seq);
                }
            }
        }
    }

    #[test]
    fn the_record_that_kills_is_found_and_its_neighbours_are_not_blamed() {
        let (stand, seen) = life(Stand::default(), 0);
        assert_eq!(seen, [(1, 1), (2, 1), (3, 1), (4, 1)]);
        let (stand, seen) = life(stand, 2);
        assert_eq!(seen, [(1, 2), (2, 2), (3, 2)], "one by one, and the third kills");
        let (stand, seen) = life(stand, 2);
        assert_eq!(seen, [(3, 3)]);
        let (stand, seen) = life(stand, 4);
        assert_eq!(seen, [(3, 4), (4, 1)], "the fourth was never alone with a death");
        assert_eq!((stand.floor, stand.tries), (4, 0));
    }

    #[test]
    fn an_orderly_end_says_nothing_against_a_record() {
        let mut hand = Deliveries::new(Policy::default(), Stand::default());
        hand.hand_out(vec![record(1), record(2)], true, 2, NOW);
        let again = hand.released().reopened();
        assert_eq!((again.floor, again.tries), (0, 0));
    }
}
