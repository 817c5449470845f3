//! State is a fold over the log. A snapshot only makes the start faster.

use super::{Condition, Kv, Log, LogError, Record, Seq, Stream, bucket::SNAPSHOTS};
use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::time::Duration;

/// A snapshot: the state after every record up to `seq`.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Saved<S> {
    pub seq: Seq,
    pub state: S,
}

const PAGE: usize = 1024;
/// Bytes of one part: a key's value may not be larger than a message of the log's server.
const PART: usize = 256 << 10;

/// Parts of older snapshots that are removed at once: more than a crash leaves behind.
const OLDER: usize = 4096;

/// What stands under the snapshot's name: it is whole once this is written.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    seq: Seq,
    parts: usize,
}

fn part(name: &str, seq: Seq, number: usize) -> String {
    format!("{name}/{seq:020}/{number:05}")
}

/// The last snapshot of that name. One that cannot be read is not used: the whole log is folded instead.
///
/// # Errors
/// Where the log cannot be read.
pub async fn snapshot<S: Default + DeserializeOwned>(
    kv: &impl Kv,
    name: &str,
) -> Result<Saved<S>, LogError> {
    let Some(entry) = kv.get(SNAPSHOTS, name).await? else { return Ok(Saved::default()) };
    let Ok(head) = serde_json::from_slice::<Head>(&entry.value) else {
        // Before snapshots had parts, all of it stood here.
        return Ok(serde_json::from_slice(&entry.value).unwrap_or_default());
    };
    let mut text = vec![];
    for number in 0..head.parts {
        match kv.get(SNAPSHOTS, &part(name, head.seq, number)).await? {
            Some(part) => text.extend(part.value),
            None => return Ok(Saved::default()),
        }
    }
    Ok(serde_json::from_slice(&text)
        .map(|state| Saved { seq: head.seq, state })
        .unwrap_or_default())
}

/// Hands every record of `streams` after `after` to `take`, in order, up to the end of the log: the position of
/// the last one.
///
/// # Errors
/// Where the log cannot be read.
pub async fn replay(
    log: &impl Log,
    mut after: Seq,
    streams: &[Stream],
    mut take: impl FnMut(&Record) + Send,
) -> Result<Seq, LogError> {
    loop {
        let page = log.read(after, streams, PAGE).await?;
        for record in &page {
            take(record);
            after = record.seq;
        }
        if page.len() < PAGE {
            return Ok(after);
        }
    }
}

/// Writes a snapshot: its parts, then the head that makes it the one, then the older parts go.
///
/// # Errors
/// Where it could not be written; the state is none the worse for it.
pub async fn save<S: Serialize>(
    kv: &impl Kv,
    name: &str,
    seq: Seq,
    state: &S,
) -> Result<(), LogError> {
    let before = kv.get(SNAPSHOTS, name).await?;
    let condition = before.as_ref().map_or(Condition::Absent, |it| Condition::Is(it.revision));
    let newer = before.and_then(|it| serde_json::from_slice::<Head>(&it.value).ok());
    if newer.is_some_and(|head| head.seq > seq) {
        return Ok(());
    }
    let text = serde_json::to_vec(state).unwrap_or_default();
    for (number, bytes) in text.chunks(PART).enumerate() {
        let key = part(name, seq, number);
        kv.put(SNAPSHOTS, &key, bytes.to_vec(), Condition::Always, None).await?;
    }
    let head = Head { seq, parts: text.chunks(PART).count() };
    let head = serde_json::to_vec(&head).unwrap_or_default();
    match kv.put(SNAPSHOTS, name, head, condition, None).await {
        Ok(_) => {}
        // Another replica has saved meanwhile: its snapshot is the one.
        Err(LogError::Conflict) => return Ok(()),
        Err(error) => return Err(error),
    }
    let older = part(name, seq, 0);
    let prefix = format!("{name}/");
    for entry in kv.list(SNAPSHOTS, Some(&older), OLDER).await? {
        if entry.key.starts_with(&prefix) {
            kv.delete(SNAPSHOTS, &entry.key, Condition::Always).await?;
        }
    }
    Ok(())
}

/// When the next snapshot is due: so many records after the last one, or so long. What retention takes is then
/// in a snapshot, on a busy log and on a quiet one.
#[derive(Debug)]
pub struct Pace {
    seq: Seq,
    at: Timestamp,
}

/// Records between two snapshots: what a start has to read again.
const RECORDS: u64 = 10_000;
const TIME: Duration = Duration::from_secs(300);

impl Pace {
    /// So often it is asked where nothing is heard: a log that is full has nothing new to say.
    pub const TICK: Duration = TIME;

    pub fn new(seq: Seq, now: Timestamp) -> Pace {
        Pace { seq, at: now }
    }

    /// Whether one is due at `seq`; then it counts as taken.
    pub fn due(&mut self, seq: Seq, now: Timestamp) -> bool {
        let late = now.duration_since(self.at) >= TIME.try_into().unwrap_or_default();
        let due = seq >= self.seq + RECORDS || (late && seq > self.seq);
        if due {
            *self = Pace { seq, at: now };
        }
        due
    }
}

/// Up to where no start needs the log any more, given the names of the snapshots and the streams that each folds.
///
/// # Errors
/// Where the log cannot be read.
pub async fn covered<L: Log + Kv>(log: &L, folds: &[(&str, &[Stream])]) -> Result<Seq, LogError> {
    let mut least = log.last();
    for (name, streams) in folds {
        let entry = Kv::get(log, SNAPSHOTS, name).await?;
        let head = entry.and_then(|entry| serde_json::from_slice::<Head>(&entry.value).ok());
        // What is no business of a fold is covered up to the first record that is.
        let next = log.read(head.map_or(0, |head| head.seq), streams, 1).await?;
        if let Some(next) = next.first() {
            least = least.min(next.seq - 1);
        }
    }
    Ok(least)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_is_due_after_many_records_or_after_a_while_with_some() {
        let at = |seconds: u64| Timestamp::UNIX_EPOCH + Duration::from_secs(seconds);
        let mut pace = Pace::new(5, at(0));
        assert!(!pace.due(10_004, at(299)));
        assert!(pace.due(10_005, at(299)) && !pace.due(10_006, at(299)));
        assert!(!pace.due(10_005, at(9000)), "nothing has happened since");
        assert!(pace.due(10_006, at(9000)));
    }
}
