//! Keys beside the records, and records that came from another log.

use super::{Embedded, reader, writer::Command};
use crate::log::{Condition, Kv, KvEntry, LogError, Moving, Place, Restored, Revision};
use jiff::Timestamp;

impl Moving for Embedded {
    async fn restore(&self, records: Vec<Restored>) -> Result<(), LogError> {
        self.ask(|reply| Command::Restore { records, reply }).await
    }

    async fn put_place(&self, place: &Place) -> Result<(), LogError> {
        let (name, floor) = (place.consumer.clone(), place.floor);
        self.ask(|reply| Command::PutPlace { name, floor, reply }).await
    }
}

impl Kv for Embedded {
    async fn get(&self, bucket: &str, key: &str) -> Result<Option<KvEntry>, LogError> {
        let (bucket, key, now) = (bucket.to_owned(), key.to_owned(), (self.inner.now)());
        self.inner.readers.run(move |db| reader::kv_get(db, &bucket, &key, now)).await
    }

    async fn put(
        &self,
        bucket: &str,
        key: &str,
        value: Vec<u8>,
        condition: Condition,
        expires: Option<Timestamp>,
    ) -> Result<Revision, LogError> {
        let (bucket, key) = (bucket.to_owned(), key.to_owned());
        self.ask(|reply| Command::Put { bucket, key, value, condition, expires, reply }).await
    }

    async fn delete(&self, bucket: &str, key: &str, condition: Condition) -> Result<(), LogError> {
        let (bucket, key) = (bucket.to_owned(), key.to_owned());
        self.ask(|reply| Command::Delete { bucket, key, condition, reply }).await
    }

    async fn list(
        &self,
        bucket: &str,
        before: Option<&str>,
        limit: usize,
    ) -> Result<Vec<KvEntry>, LogError> {
        let (bucket, before) = (bucket.to_owned(), before.map(str::to_owned));
        let now = (self.inner.now)();
        let list = move |db: &_| reader::kv_list(db, &bucket, before.as_deref(), limit, now);
        self.inner.readers.run(list).await
    }
}
