//! The half of remediation that carries out one plan.

pub(super) mod run;

use crate::model::{Entry, Handshake};

/// One line per transition, for whoever reads the log at night.
fn tell(entry: &Entry) {
    match entry {
        Entry::Failed { step, why } | Entry::UndoFailed { step, why } => {
            tracing::warn!(step, why, "failed")
        }
        Entry::Succeeded { step, note, .. } => tracing::info!(step, note, "done"),
        Entry::Started { step, .. } => tracing::info!(step, "started"),
        Entry::Skipped { step, why } => tracing::info!(step, why, "skipped"),
        Entry::Checkpoint { unit, state, .. } => match state {
            Handshake::Expired { why, lost } => {
                tracing::warn!(unit, why, %lost, "no checkpoint in time")
            }
            state => tracing::info!(unit, state = state.word(), "checkpoint"),
        },
        Entry::Ended { how } => tracing::info!(how = how.word(), "ended"),
        other => tracing::info!(entry = ?other, "recorded"),
    }
}
