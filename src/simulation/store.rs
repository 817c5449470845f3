//! What the simulated log has made durable: it outlives every daemon.

use crate::log::{
    Appended, Condition, Entry, KvEntry, LogError, Record, Revision, Seq, Stand, Stream, Subject,
};
use crate::model::Id;
use jiff::Timestamp;
use std::collections::BTreeMap;

#[derive(Debug)]
struct Value {
    bytes: Vec<u8>,
    revision: Revision,
    expires: Option<Timestamp>,
}

/// What became of the entries, and those that are new, each with its type.
pub(super) type Written = (Vec<Appended>, Vec<(Record, String)>);

#[derive(Debug, Default)]
pub(super) struct Store {
    records: Vec<Record>,
    ids: BTreeMap<Id, Seq>,
    by_target: BTreeMap<String, Vec<Seq>>,
    keys: BTreeMap<(String, String), Value>,
    revision: Revision,
    /// What a crash leaves of the consumers' places.
    stands: BTreeMap<String, Stand>,
    /// What the consumers of a process said since the last append: lost with the process.
    unsaved: BTreeMap<String, (u32, Stand)>,
    fence: Option<(u64, String)>,
}

/// The streams that only the active replica writes.
const FENCED: [Stream; 3] = [Stream::Decisions, Stream::Plans, Stream::Outcomes];

impl Store {
    /// Appends all entries or none, as one who has set `fence`: what was new, as it stands.
    pub(super) fn append(
        &mut self,
        entries: &[Entry],
        fence: Option<&(u64, String)>,
        now: Timestamp,
    ) -> Result<Written, LogError> {
        let guarded = entries.iter().any(|entry| FENCED.contains(&entry.subject.stream));
        if guarded && fence.is_some() && fence != self.fence.as_ref() {
            return Err(LogError::Fenced);
        }
        let (mut appended, mut fresh) = (vec![], vec![]);
        for entry in entries {
            if let Some(seq) = self.ids.get(&entry.id) {
                appended.push(Appended { seq: *seq, duplicate: true });
                continue;
            }
            let seq = self.last() + 1;
            let Subject { stream, ref target, ref kind, .. } = entry.subject;
            let record = Record { seq, at: now, stream, body: entry.body.clone() };
            fresh.push((record.clone(), kind.clone()));
            self.records.push(record);
            self.ids.insert(entry.id.clone(), seq);
            if FENCED.contains(&stream) {
                self.by_target.entry(target.clone()).or_default().push(seq);
            }
            appended.push(Appended { seq, duplicate: false });
        }
        self.save();
        Ok((appended, fresh))
    }

    pub(super) fn set_fence(&mut self, term: u64, holder: &str) -> Result<(), LogError> {
        let ours = (term, holder.to_owned());
        match &self.fence {
            Some(known) if known.0 > term || (known.0 == term && *known != ours) => {
                Err(LogError::Fenced)
            }
            _ => {
                self.fence = Some(ours);
                Ok(())
            }
        }
    }

    pub(super) fn last(&self) -> Seq {
        self.records.len() as Seq
    }

    pub(super) fn knows(&self, id: &Id) -> bool {
        self.ids.contains_key(id)
    }

    pub(super) fn get(&self, seq: Seq) -> Option<Record> {
        let at = usize::try_from(seq.checked_sub(1)?).ok()?;
        self.records.get(at).cloned()
    }

    pub(super) fn read(&self, after: Seq, streams: &[Stream], limit: usize) -> Vec<Record> {
        let from = usize::try_from(after).unwrap_or(usize::MAX).min(self.records.len());
        let wanted = self.records[from..]
            .iter()
            .filter(|record| streams.contains(&record.stream))
            .take(limit);
        wanted.cloned().collect()
    }

    pub(super) fn history(&self, target: &str, after: Seq, limit: usize) -> Vec<Record> {
        let seqs = self.by_target.get(target).into_iter().flatten();
        seqs.filter(|seq| **seq > after).take(limit).filter_map(|seq| self.get(*seq)).collect()
    }

    /// The places ride along with what is written next.
    fn save(&mut self) {
        for (name, (_, stand)) in std::mem::take(&mut self.unsaved) {
            self.stands.insert(name, stand);
        }
    }

    /// A process has been killed: what it had not got as far as saving is gone.
    pub(super) fn forget(&mut self, life: u32) {
        self.unsaved.retain(|_, (of, _)| *of != life);
    }

    pub(super) fn reopen(&mut self, consumer: &str) -> Stand {
        self.save();
        let stand = self.stands.entry(consumer.to_owned()).or_default();
        *stand = stand.reopened();
        *stand
    }

    pub(super) fn stand(&mut self, consumer: &str, life: u32, stand: Stand) {
        self.unsaved.insert(consumer.to_owned(), (life, stand));
    }

    pub(super) fn stands(&self) -> impl Iterator<Item = (&String, Stand)> {
        self.stands.iter().map(|(name, stand)| {
            (name, self.unsaved.get(name).map_or(*stand, |(_, unsaved)| *unsaved))
        })
    }

    fn alive(value: &Value, now: Timestamp) -> bool {
        value.expires.is_none_or(|at| at > now)
    }

    fn entry(key: &str, value: &Value) -> KvEntry {
        KvEntry {
            key: key.to_owned(),
            value: value.bytes.clone(),
            revision: value.revision,
            expires: value.expires,
        }
    }

    pub(super) fn find(&self, bucket: &str, key: &str, now: Timestamp) -> Option<KvEntry> {
        let value = self.keys.get(&(bucket.to_owned(), key.to_owned()))?;
        Store::alive(value, now).then(|| Store::entry(key, value))
    }

    fn check(&self, bucket: &str, key: &str, condition: Condition, now: Timestamp) -> bool {
        let found = self.find(bucket, key, now).map(|entry| entry.revision);
        match condition {
            Condition::Always => true,
            Condition::Absent => found.is_none(),
            Condition::Is(revision) => found == Some(revision),
        }
    }

    pub(super) fn put(
        &mut self,
        bucket: &str,
        key: &str,
        bytes: &[u8],
        condition: Condition,
        expires: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Revision, LogError> {
        if !self.check(bucket, key, condition, now) {
            return Err(LogError::Conflict);
        }
        self.revision += 1;
        let value = Value { bytes: bytes.to_vec(), revision: self.revision, expires };
        self.keys.insert((bucket.to_owned(), key.to_owned()), value);
        Ok(self.revision)
    }

    pub(super) fn remove(
        &mut self,
        bucket: &str,
        key: &str,
        condition: Condition,
        now: Timestamp,
    ) -> Result<(), LogError> {
        if !self.check(bucket, key, condition, now) {
            return Err(LogError::Conflict);
        }
        self.keys.remove(&(bucket.to_owned(), key.to_owned()));
        Ok(())
    }

    pub(super) fn list(
        &self,
        bucket: &str,
        before: Option<&str>,
        limit: usize,
        now: Timestamp,
    ) -> Vec<KvEntry> {
        let first = (bucket.to_owned(), String::new());
        let end = (format!("{bucket}\0"), String::new());
        let ours = self.keys.range(first..end).filter(|((_, key), value)| {
            before.is_none_or(|before| key.as_str() < before) && Store::alive(value, now)
        });
        ours.rev().take(limit).map(|((_, key), value)| Store::entry(key, value)).collect()
    }
}
