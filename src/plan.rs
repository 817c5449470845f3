//! Planning: from a decision and one look at the world to a complete plan. The last place with a choice.
//!
//! `build` resolves every step, `checkpoints` says which workloads are asked for one and by when each pod has to go,
//! `elsewhere` which machines come in place of one that goes and what is sent there, `lint` what no plan may contain.
//! Pure but for `run`. May import: `model`.

mod build;
mod checkpoints;
mod elsewhere;
mod lint;
mod remarks;
pub mod run;

pub use build::{Refused, build};
pub use checkpoints::{History, units};
pub use lint::lint;
