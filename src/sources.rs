//! Sources: what arrives is translated, enriched and made durable. Never judged.
//!
//! `alertmanager`, `aws` and `cloudevents` translate; `enrich` finds what an event is about; `intake` makes it
//! durable before anybody is told so; `reconcile` asks Alertmanager about what a truncated body hid; `subjects` reads
//! other people's events on NATS, `sqs` AWS's in a queue; `schedule` says when something is due; `kubernetes` follows what the
//! cluster tells; `awaited` remembers notices about machines that are no nodes yet.
//! May import: `model`, `log`, `clock`, `calendar`, `cluster`, `config`.

pub mod alertmanager;
pub mod awaited;
pub mod aws;
pub mod cloudevents;
mod enrich;
mod intake;
pub mod kubernetes;
mod preview;
pub mod reconcile;
pub mod schedule;
pub mod sqs;
pub mod subjects;

pub use intake::{Intake, Received, Requeued, Tally};
pub use preview::preview;

/// A body that is not what its path expects: the sender is told, and nothing of it was taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadBody(pub String);
