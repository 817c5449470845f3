//! The fence: a message that refuses whoever wrote decisions, plans and outcomes before it.

use super::Nats;
use super::publish::{self, Message, Trouble, patiently};
use super::reader;
use super::streams::{FENCE, LOG};
use crate::log::LogError;
use crate::model::RECORD_VERSION;
use async_nats::HeaderMap;
use std::sync::Arc;

/// Who writes from here on.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Fence {
    holder: String,
    term: u64,
    /// The version of the records that it writes: who knows only older ones does not take over.
    writes: u32,
}

/// Sets it for `term`, unless a later one has been set.
pub(super) async fn set(log: &Nats, holder: &str, term: u64) -> Result<Nats, LogError> {
    let link = &log.inner.link;
    let before = reader::last(link, LOG, FENCE).await?;
    let set = before.as_ref().and_then(|it| serde_json::from_slice::<Fence>(&it.payload).ok());
    match set {
        Some(set) if set.writes > RECORD_VERSION => {
            return Err(LogError::Newer { found: set.writes, known: RECORD_VERSION });
        }
        Some(set) if set.term > term => return Err(LogError::Fenced),
        Some(_) | None => {}
    }
    let before = before.map_or(0, |message| message.sequence);
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Expected-Last-Subject-Sequence", before.to_string());
    headers.insert("Nats-Msg-Id", format!("fence {before} {holder} {term}"));
    let fence = Fence { holder: holder.to_owned(), term, writes: RECORD_VERSION };
    let body = serde_json::to_vec(&fence).unwrap_or_default();
    let message = &Message { subject: FENCE.into(), headers, body };
    let sent = patiently(|| publish::one(link, message)).await;
    match sent {
        Ok(ack) => {
            log.saw(ack.seq);
            Ok(Nats { inner: Arc::clone(&log.inner), fence: Some(ack.seq) })
        }
        Err(Trouble::Wrong(_)) => Err(LogError::Fenced),
        Err(trouble) => Err(trouble.told()),
    }
}
