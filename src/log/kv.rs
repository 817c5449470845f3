//! Small durable state beside the log: snapshots, indexes, leases, reservations.

use super::LogError;
use jiff::Timestamp;
use std::future::Future;

/// Grows with every write of a bucket; 0 is never given out.
pub type Revision = u64;

/// What must hold for a write to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    Always,
    /// The key has no live value.
    Absent,
    /// The key was last written with this revision.
    Is(Revision),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KvEntry {
    pub key: String,
    pub value: Vec<u8>,
    pub revision: Revision,
}

/// What a watcher is told: the new entry, or the key that went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KvChange {
    Put(KvEntry),
    Gone(String),
}

pub trait Kv: Clone + Send + Sync + 'static {
    fn get(
        &self,
        bucket: &str,
        key: &str,
    ) -> impl Future<Output = Result<Option<KvEntry>, LogError>> + Send;

    /// Writes, if `condition` holds. With `expires`, the value is gone from then on.
    ///
    /// # Errors
    /// [`LogError::Conflict`] where the condition does not hold.
    fn put(
        &self,
        bucket: &str,
        key: &str,
        value: Vec<u8>,
        condition: Condition,
        expires: Option<Timestamp>,
    ) -> impl Future<Output = Result<Revision, LogError>> + Send;

    /// # Errors
    /// [`LogError::Conflict`] where the condition does not hold.
    fn delete(
        &self,
        bucket: &str,
        key: &str,
        condition: Condition,
    ) -> impl Future<Output = Result<(), LogError>> + Send;

    /// At most `limit` live entries before `before` (or from the end), highest key first.
    fn list(
        &self,
        bucket: &str,
        before: Option<&str>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<KvEntry>, LogError>> + Send;

    /// Changes of a bucket from now on. A slow watcher is told by the channel that it missed some.
    fn watch(&self, bucket: &str) -> tokio::sync::broadcast::Receiver<KvChange>;
}
