//! The agent: one small process per node that asks the machine what AWS has told it, every second.
//!
//! `metadata` reads the answers of the instance metadata service, `token` is what they are had for, `poller` decides what to ask next and what of the
//! answers is news, `news` says it as CloudEvents; `run` asks, waits and passes on until it is accepted.
//! IMDSv2 only: it never falls back to what needs no token, and says why it hears nothing.
//! Pure but for `run`. May import: `model`, `clock`.

mod metadata;
mod news;
mod poller;
pub mod run;
mod token;

pub use metadata::Item;
pub use news::{Identity, News};
pub use poller::{Ask, Poller, Reply};

use std::future::Future;

/// The metadata service of the machine.
pub trait Metadata: Clone + Send + Sync + 'static {
    fn ask(&self, ask: &Ask) -> impl Future<Output = Reply> + Send;
}

/// What became of an event that was passed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Passed {
    /// The log has it.
    Accepted,
    /// Not now: why.
    Later(String),
    /// Never: it is refused as it stands.
    Refused(String),
}

/// Where events go.
pub trait Outlet: Clone + Send + Sync + 'static {
    fn pass(&self, news: &News) -> impl Future<Output = Passed> + Send;
}
