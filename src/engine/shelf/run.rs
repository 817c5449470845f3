//! Writes what the guards and pauses are into the log's keys.

use super::super::State;
use crate::log::{Condition, Kv, Log, LogError, Revision, bucket};
use std::collections::BTreeMap;

/// Guards and pauses as every replica can show them. Leave is written here, by compare-and-set, before the
/// decision that rests on it is recorded: who finds another's write is not the active replica any more.
pub(in crate::engine) struct Shelf {
    revisions: BTreeMap<String, Revision>,
    /// Ids of the pauses that were written last.
    pauses: Option<Vec<String>>,
}

/// The key of the pauses among the guards; a guard's own key begins with `/`.
pub const PAUSES: &str = "pauses";

impl Shelf {
    /// What another life has left on it. Leave of decisions that were never recorded goes.
    pub(in crate::engine) async fn find<L: Log + Kv>(log: &L) -> Result<Shelf, LogError> {
        let mut revisions = BTreeMap::new();
        for entry in log.list(bucket::GUARDS, None, MOST_SHOWN).await? {
            if entry.key == PAUSES {
                revisions.insert(entry.key, entry.revision);
            } else {
                log.delete(bucket::GUARDS, &entry.key, Condition::Is(entry.revision)).await?;
            }
        }
        Ok(Shelf { revisions, pauses: None })
    }

    pub(in crate::engine) async fn show<L: Log + Kv>(
        &mut self,
        log: &L,
        state: &mut State,
    ) -> Result<(), LogError> {
        for (slot, shown) in state.guards.take_touched() {
            let key = format!("/{slot}");
            match shown {
                Some(shown) => {
                    let value = serde_json::to_vec(&shown).unwrap_or_default();
                    self.put(log, &key, value).await?;
                }
                None => {
                    let known = self.revisions.remove(&key).map(Condition::Is);
                    if let Some(condition) = known {
                        log.delete(bucket::GUARDS, &key, condition).await.map_err(fenced)?;
                    }
                }
            }
        }
        let pauses: Vec<String> = state.pauses.keys().cloned().collect();
        if self.pauses.as_ref() != Some(&pauses) {
            self.pauses = Some(pauses);
            let value = serde_json::to_vec(&state.pauses).unwrap_or_default();
            self.put(log, PAUSES, value).await?;
        }
        Ok(())
    }

    async fn put<L: Log + Kv>(
        &mut self,
        log: &L,
        key: &str,
        value: Vec<u8>,
    ) -> Result<(), LogError> {
        let condition = self.revisions.get(key).map_or(Condition::Absent, |at| Condition::Is(*at));
        let written = log.put(bucket::GUARDS, key, value, condition, None).await;
        self.revisions.insert(key.to_owned(), written.map_err(fenced)?);
        Ok(())
    }
}

/// Guards with a holder that are shown; more are not held at once.
const MOST_SHOWN: usize = 100_000;

fn fenced(error: LogError) -> LogError {
    match error {
        LogError::Conflict => LogError::Fenced,
        other => other,
    }
}
