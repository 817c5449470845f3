//! What a durable consumer has handed out and not yet heard of: the bookkeeping of a log that delivers itself.

use super::{DeadLetter, Delivered, Policy, Record, Seq};
use jiff::Timestamp;
use std::{collections::BTreeMap, time::Duration};

/// Of a record that nobody could use, so much is kept in its dead letter; the record itself stays too.
const KEPT: usize = 256 << 10;

/// What is remembered of a consumer from life to life.
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
}

impl Deliveries {
    pub fn new(policy: Policy, stand: Stand) -> Deliveries {
        Deliveries { policy, pending: BTreeMap::new(), cursor: stand.floor, stand }
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
        let (seq, pending) = self.pending.iter().find(|(_, pending)| pending.deliveries > most)?;
        let letter = DeadLetter {
            source: format!("consumer/{consumer}"),
            reason: format!("record {seq} was delivered {most} times without success"),
            body: String::from_utf8_lossy(&pending.record.body).chars().take(KEPT).collect(),
            at: now,
        };
        Some((*seq, letter))
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
            let again = record.seq <= self.stand.handed_out;
            let deliveries = if again { 1 + self.stand.tries } else { 1 };
            self.pending.insert(record.seq, Pending { record: record.clone(), deliveries, due });
            if deliveries <= self.policy.max_deliver {
                out.push(Delivered { record, deliveries });
            }
        }
        if whole {
            // What other streams hold in between is not ours to wait for.
            self.cursor = self.cursor.max(top);
        }
        self.settle(self.cursor);
        out
    }

    pub fn ack(&mut self, seq: Seq) {
        self.pending.remove(&seq);
        self.settle(self.stand.handed_out);
    }

    /// Delivered again at `now + wait`, unless it is acknowledged before.
    pub fn delay(&mut self, seq: Seq, wait: Duration, now: Timestamp) {
        if let Some(pending) = self.pending.get_mut(&seq) {
            pending.due = Self::later(now, wait);
        }
    }

    /// When something has to be delivered again.
    pub fn due(&self) -> Option<Timestamp> {
        self.pending.values().map(|pending| pending.due).min()
    }

    fn settle(&mut self, handed_out: Seq) {
        let floor = self.pending.keys().next().map_or(self.cursor, |first| first - 1);
        let past = floor >= self.stand.handed_out;
        let tries = if past { 0 } else { self.stand.tries };
        self.stand = Stand { floor, handed_out: handed_out.max(self.stand.handed_out), tries };
    }
}
