//! Keys: one stream per bucket with one message per key, as every NATS client knows them. Read from the leader.

use super::Nats;
use super::publish::{self, Message, Trouble, again, patiently};
use super::reader;
use super::streams::kv_stream;
use crate::log::{Condition, Kv, KvEntry, LogError, Revision};
use crate::model::{escape, unescape};
use async_nats::{HeaderMap, jetstream::message::StreamMessage};
use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;

const MARK: char = '=';
const OPERATION: &str = "KV-Operation";
const EXPIRES: &str = "Medevac-Expires";
const TTL: &str = "Nats-TTL";
/// A deleted key is remembered for so long.
const TOMBSTONE: &str = "3600s";
/// Values fetched at once for a list.
const ABREAST: usize = 32;

fn prefix(bucket: &str) -> String {
    format!("$KV.MEDEVAC_{bucket}.")
}

/// A key as one token that every NATS client takes.
fn token(key: &str) -> String {
    escape(key, MARK, "-_/")
}

fn gone(message: &StreamMessage, now: Timestamp) -> bool {
    let deleted = message.headers.get(OPERATION).is_some();
    deleted || expires(message).is_some_and(|at| at <= now)
}

fn expires(message: &StreamMessage) -> Option<Timestamp> {
    message.headers.get(EXPIRES).and_then(|at| at.as_str().parse().ok())
}

async fn last(log: &Nats, bucket: &str, key: &str) -> Result<Option<StreamMessage>, LogError> {
    let subject = format!("{}{}", prefix(bucket), token(key));
    reader::last(&log.inner.link, &kv_stream(bucket), &subject).await
}

impl Nats {
    /// Writes a message for the key where `condition` holds. Where the answer to a conditional write is lost and it
    /// is sent again, it may conflict with itself: who cares looks at what is there.
    async fn set(
        &self,
        bucket: &str,
        key: &str,
        value: Vec<u8>,
        mut headers: HeaderMap,
        condition: Condition,
    ) -> Result<Revision, LogError> {
        let link = &self.inner.link;
        let expected = match condition {
            Condition::Always => None,
            Condition::Is(revision) => Some(revision),
            // What is deleted or has run out may still have its last message.
            Condition::Absent => match last(self, bucket, key).await? {
                Some(found) if gone(&found, self.now()) => Some(found.sequence),
                Some(_) => return Err(LogError::Conflict),
                None => Some(0),
            },
        };
        if let Some(expected) = expected {
            headers.insert("Nats-Expected-Last-Subject-Sequence", expected.to_string());
        }
        let id = link.client.new_inbox();
        headers.insert("Nats-Msg-Id", id);
        let subject = format!("{}{}", prefix(bucket), token(key));
        let message = Message { subject, headers, body: value };
        let sent = patiently(|| publish::one(link, &message)).await;
        sent.map(|ack| ack.seq).map_err(Trouble::told)
    }

    fn now(&self) -> Timestamp {
        (self.inner.link.now)()
    }

    /// The live keys of a bucket.
    async fn keys_of(&self, bucket: &str) -> Result<Vec<String>, LogError> {
        let (link, prefix) = (&self.inner.link, &prefix(bucket));
        let asked = patiently(|| async move {
            let stream = link.stream(&kv_stream(bucket)).await?;
            let info = stream.info_builder().subjects(format!("{prefix}>")).fetch().await;
            let info = info.map_err(|error| again(&error))?;
            info.map_ok(|(subject, _)| subject)
                .try_collect::<Vec<String>>()
                .await
                .map_err(|e| again(&e))
        });
        let subjects = asked.await.map_err(Trouble::told)?;
        Ok(subjects
            .iter()
            .filter_map(|subject| unescape(subject.strip_prefix(prefix.as_str())?, MARK))
            .collect())
    }
}

impl Kv for Nats {
    async fn get(&self, bucket: &str, key: &str) -> Result<Option<KvEntry>, LogError> {
        let found = last(self, bucket, key).await?.filter(|found| !gone(found, self.now()));
        Ok(found.map(|found| KvEntry {
            key: key.to_owned(),
            revision: found.sequence,
            expires: expires(&found),
            value: found.payload.to_vec(),
        }))
    }

    async fn put(
        &self,
        bucket: &str,
        key: &str,
        value: Vec<u8>,
        condition: Condition,
        expires: Option<Timestamp>,
    ) -> Result<Revision, LogError> {
        let mut headers = HeaderMap::new();
        if let Some(at) = expires {
            // The server counts whole seconds, at least one; to the moment it is we who look.
            let left = at.duration_since(self.now()).as_secs().max(0) + 1;
            headers.insert(TTL, format!("{left}s"));
            headers.insert(EXPIRES, at.to_string());
        }
        self.set(bucket, key, value, headers, condition).await
    }

    async fn delete(&self, bucket: &str, key: &str, condition: Condition) -> Result<(), LogError> {
        let mut headers = HeaderMap::new();
        headers.insert(OPERATION, "DEL");
        headers.insert(TTL, TOMBSTONE);
        self.set(bucket, key, vec![], headers, condition).await.map(|_| ())
    }

    async fn list(
        &self,
        bucket: &str,
        before: Option<&str>,
        limit: usize,
    ) -> Result<Vec<KvEntry>, LogError> {
        let mut keys = self.keys_of(bucket).await?;
        keys.retain(|key| before.is_none_or(|before| key.as_str() < before));
        keys.sort_unstable_by(|a, b| b.cmp(a));
        let fetched = stream::iter(keys)
            .map(async |key| Kv::get(self, bucket, &key).await)
            .buffered(ABREAST.min(limit.max(1)));
        let mut fetched = std::pin::pin!(fetched);
        let mut all = vec![];
        while all.len() < limit
            && let Some(entry) = fetched.try_next().await?
        {
            all.extend(entry);
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_one_token_and_comes_back() {
        for key in ["inc-1", "gpu nodes\u{1f}pool.a", "=", "ä>*", ""] {
            let token = token(key);
            assert!(!token.contains(['.', '*', '>', ' ']), "{token}");
            assert_eq!(unescape(&token, MARK).as_deref(), Some(key));
        }
    }
}
