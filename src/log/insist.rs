//! Appending what is decided already, however long the log takes to have room.

use super::{Appended, Entry, Log, LogError};
use std::future::Future;

/// Appends `entries`; while the log is full it waits for `pause` and tries again. `what` is said meanwhile.
///
/// # Errors
/// Where the log is gone altogether.
pub async fn insist<F: Future<Output = ()>>(
    log: &impl Log,
    entries: Vec<Entry>,
    what: &str,
    pause: impl Fn() -> F,
) -> Result<Vec<Appended>, LogError> {
    loop {
        match log.append(entries.clone()).await {
            Err(error @ LogError::Full(_)) => {
                tracing::error!(%error, "{what} until the log has room");
                pause().await;
            }
            other => return other,
        }
    }
}
