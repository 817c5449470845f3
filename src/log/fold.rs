//! State is a fold over the log. A snapshot only makes the start faster.

use super::{Condition, Kv, Log, LogError, Record, Seq, Stream};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// State that records change, and nothing else does.
pub trait Fold: Default + Serialize + DeserializeOwned {
    /// Takes one record in. A record at or below what was folded already changes nothing.
    fn fold(&mut self, record: &Record);
}

/// A snapshot: the state after every record up to `seq`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Saved<S> {
    pub seq: Seq,
    pub state: S,
}

const BUCKET: &str = "snapshots";
const PAGE: usize = 1024;

/// The state after all of `streams`, and the position up to which it is complete. A snapshot that
/// cannot be read is not used: the whole log is folded instead.
///
/// # Errors
/// Where the log cannot be read.
pub async fn recover<S: Fold>(
    log: &(impl Log + Kv),
    name: &str,
    streams: &[Stream],
) -> Result<Saved<S>, LogError> {
    let snapshot = Kv::get(log, BUCKET, name).await?;
    let snapshot = snapshot.and_then(|entry| serde_json::from_slice::<Saved<S>>(&entry.value).ok());
    let mut saved = snapshot.unwrap_or_else(|| Saved { seq: 0, state: S::default() });
    loop {
        let page = log.read(saved.seq, streams, PAGE).await?;
        for record in &page {
            saved.state.fold(record);
            saved.seq = record.seq;
        }
        if page.len() < PAGE {
            return Ok(saved);
        }
    }
}

/// Writes a snapshot.
///
/// # Errors
/// Where it could not be written; the state is none the worse for it.
pub async fn save<S: Fold>(kv: &impl Kv, name: &str, seq: Seq, state: &S) -> Result<(), LogError> {
    #[derive(Serialize)]
    struct Saving<'a, S> {
        seq: Seq,
        state: &'a S,
    }
    let value = serde_json::to_vec(&Saving { seq, state }).unwrap_or_default();
    kv.put(BUCKET, name, value, Condition::Always, None).await.map(|_| ())
}
