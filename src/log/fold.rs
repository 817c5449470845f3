//! State is a fold over the log. A snapshot only makes the start faster.

use super::{Condition, Kv, Log, LogError, Record, Seq, Stream};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// A snapshot: the state after every record up to `seq`.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Saved<S> {
    pub seq: Seq,
    pub state: S,
}

const BUCKET: &str = "snapshots";
const PAGE: usize = 1024;

/// The last snapshot of that name. One that cannot be read is not used: the whole log is folded instead.
///
/// # Errors
/// Where the log cannot be read.
pub async fn snapshot<S: Default + DeserializeOwned>(
    kv: &impl Kv,
    name: &str,
) -> Result<Saved<S>, LogError> {
    let entry = kv.get(BUCKET, name).await?;
    Ok(entry.and_then(|entry| serde_json::from_slice(&entry.value).ok()).unwrap_or_default())
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

/// Writes a snapshot.
///
/// # Errors
/// Where it could not be written; the state is none the worse for it.
pub async fn save<S: Serialize>(
    kv: &impl Kv,
    name: &str,
    seq: Seq,
    state: &S,
) -> Result<(), LogError> {
    #[derive(Serialize)]
    struct Saving<'a, S> {
        seq: Seq,
        state: &'a S,
    }
    let value = serde_json::to_vec(&Saving { seq, state }).unwrap_or_default();
    kv.put(BUCKET, name, value, Condition::Always, None).await.map(|_| ())
}
