//! Remediation: a plan carried out as a journaled saga. Record, then act; after a crash, probe before repeating.
//!
//! `journal` is the table of legal transitions, `saga` decides what has to be recorded and done next,
//! `steps` holds one small machine per kind of step; `drain` and `checkpoint` are the largest of them. `run` keeps one plan per
//! target, `worker` waits, records and calls for it; `shown` is what everybody may see of it, `record` what is left of it in the end.
//! Pure but for `run`. May import: `model`.

mod checkpoint;
mod drain;
#[cfg(test)]
mod fixture;
mod journal;
mod record;
pub mod run;
mod saga;
mod shown;
mod steps;
mod worker;

pub use drain::{Drain, Limits};
pub use journal::{Illegal, Journal, StepState};
pub use record::Record;
pub use saga::{Call, Saga, Work};
pub use shown::Shown;
pub use steps::RESTART_KEY;

use crate::model::{Answer, CloudCall};
use std::{future::Future, time::Duration};

/// A call over HTTP or NATS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebCall {
    pub method: String,
    pub url: String,
    pub body: String,
    pub timeout: Duration,
    /// Sent as `Idempotency-Key`: the same effect has the same key, for ever.
    pub key: String,
    /// Sent as `ce-cause`: whoever answers with an event passes it on, so that a circle is noticed.
    pub cause: String,
    pub road: Road,
}

/// Where a call may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Road {
    /// To a host that the configuration lists.
    Listed,
    /// To a pod's own address, as the API server tells it.
    Pod,
    /// To a subject on NATS, whose answer is waited for.
    Nats,
}

/// What is reached beyond the cluster.
pub trait Beyond: Clone + Send + Sync + 'static {
    fn web(&self, call: WebCall) -> impl Future<Output = Answer> + Send;

    fn cloud(&self, call: CloudCall) -> impl Future<Output = Answer> + Send;
}
