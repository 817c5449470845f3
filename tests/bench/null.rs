//! A log that keeps nothing: the ceiling.

use jiff::Timestamp;
use medevac::log::{
    Appended, Condition, Consumer, Delivered, Entry, Kv, KvEntry, Log, LogError, Place, Policy,
    Record, Revision, Seq, Stream,
};
use medevac::model::Target;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

#[derive(Clone, Default)]
pub(crate) struct Null(Arc<AtomicU64>);

impl Log for Null {
    type Consumer = Nobody;

    async fn append(&self, entries: Vec<Entry>) -> Result<Vec<Appended>, LogError> {
        let first = self.0.fetch_add(entries.len() as u64, Ordering::Relaxed) + 1;
        Ok((first..).zip(&entries).map(|(seq, _)| Appended { seq, duplicate: false }).collect())
    }

    async fn read(&self, _: Seq, _: &[Stream], _: usize) -> Result<Vec<Record>, LogError> {
        Ok(vec![])
    }

    async fn history(&self, _: &Target, _: Seq, _: usize) -> Result<Vec<Record>, LogError> {
        Ok(vec![])
    }

    async fn get(&self, _: Seq) -> Result<Option<Record>, LogError> {
        Ok(None)
    }

    fn last(&self) -> Seq {
        self.0.load(Ordering::Relaxed)
    }

    fn max_record(&self) -> usize {
        4 << 20
    }

    async fn fence(&self, _: &str, _: u64) -> Result<Self, LogError> {
        Ok(self.clone())
    }

    async fn trim(&self, _: Seq) -> Result<(), LogError> {
        Ok(())
    }

    async fn places(&self) -> Result<Vec<Place>, LogError> {
        Ok(vec![])
    }

    async fn consumer(&self, _: &str, _: &[Stream], _: Policy) -> Result<Nobody, LogError> {
        Ok(Nobody)
    }
}

impl Kv for Null {
    async fn get(&self, _: &str, _: &str) -> Result<Option<KvEntry>, LogError> {
        Ok(None)
    }

    async fn put(
        &self,
        _: &str,
        _: &str,
        _: Vec<u8>,
        _: Condition,
        _: Option<Timestamp>,
    ) -> Result<Revision, LogError> {
        Ok(1)
    }

    async fn delete(&self, _: &str, _: &str, _: Condition) -> Result<(), LogError> {
        Ok(())
    }

    async fn list(&self, _: &str, _: Option<&str>, _: usize) -> Result<Vec<KvEntry>, LogError> {
        Ok(vec![])
    }
}

pub(crate) struct Nobody;

impl Consumer for Nobody {
    async fn next(&mut self, _: usize) -> Result<Vec<Delivered>, LogError> {
        std::future::pending().await
    }

    async fn ack(&mut self, _: Seq) -> Result<(), LogError> {
        Ok(())
    }

    async fn nak(&mut self, _: Seq, _: Duration) -> Result<(), LogError> {
        Ok(())
    }

    async fn in_progress(&mut self, _: Seq) -> Result<(), LogError> {
        Ok(())
    }

    fn floor(&self) -> Seq {
        0
    }
}
