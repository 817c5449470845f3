//! The simulated world: a cluster as plain data, and the ports by which the daemon's rooms reach it.
//!
//! `world` is pure: what a scheduler, kubelets, controllers and disruption budgets do as time passes.
//! `practice` puts it behind [`crate::cluster`]'s traits for `medevac demo`. Faults, scenarios and the
//! checking of invariants will have files of their own beside these.

mod practice;
mod world;

pub use practice::Practice;
pub use world::{App, World};
