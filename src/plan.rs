//! Planning: from a decision and one look at the world to a complete plan. The last place with a choice.
//!
//! Pure but for `run`. May import: `model`.

mod build;
mod checkpoints;
mod lint;
pub mod run;

pub use build::{Refused, build};
pub use checkpoints::{History, unit, units};
pub use lint::lint;
