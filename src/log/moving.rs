//! Moving a log as it is: the same positions, the same times, into another one that is empty.

use super::{Entry, Log, LogError, Place, Seq};
use jiff::Timestamp;
use std::future::Future;

/// A record with the position and time that it had where it came from.
#[derive(Debug, Clone)]
pub struct Restored {
    pub seq: Seq,
    pub at: Timestamp,
    pub entry: Entry,
}

pub trait Moving: Log {
    /// Writes `records` at their own positions, after the last one that is there. Positions that are missing
    /// between them stay empty. Nobody else may write meanwhile.
    ///
    /// # Errors
    /// [`LogError::Conflict`] where a position is taken already.
    fn restore(&self, records: Vec<Restored>) -> impl Future<Output = Result<(), LogError>> + Send;

    /// Puts a durable consumer at its place.
    ///
    /// # Errors
    /// Where the log cannot be written.
    fn put_place(&self, place: &Place) -> impl Future<Output = Result<(), LogError>> + Send;
}
