//! Escalation: who is called, with what in hand, and when the calling stops.
//!
//! `ladder` decides from the state, one input and `now`; `outbox` is what has been decided to be sent and has
//! not been taken yet; `evidence` is what a page carries. `run` records, sends and waits. Who has a duty is found when it
//! rings. Pure but for `run`. May import: `model`, `calendar`.

mod evidence;
mod ladder;
mod outbox;
pub mod run;

pub use evidence::Case;
pub use ladder::{Input, State, step};
pub use outbox::{Outbox, Outgoing};

use crate::model::{Contact, Delivery, PageKey, Report};
use std::future::Future;

/// The roads to people. A provider's answer is told as it is; nothing is tried twice in here.
pub trait Dispatch: Clone + Send + Sync + 'static {
    fn send(
        &self,
        contact: &Contact,
        key: &PageKey,
        report: &Report,
    ) -> impl Future<Output = Delivery> + Send;
}

#[cfg(test)]
mod tests;
