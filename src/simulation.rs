//! The simulator: the shipped daemon in a world of plain data, on virtual time, with seeded faults.
//!
//! - `world` is pure: nodes, pods, budgets, a scheduler, kubelets, a cloud. `time` and `dice` are all that a run has
//!   of clocks and of chance.
//! - `stage` is what everybody shares and the one road from a daemon to the outside, where `faults` are.
//! - The ports: `memory` is the log on a `store` that outlives every process, `hands` are view, hand, web and pagers,
//!   `service` is the way in. `crew` starts, kills and stops the daemons, each of them [`crate::daemon::run`] itself.
//! - Everybody else: `alertmanager`, `queue`, `people`, and `script`, which makes happen what the scenario says.
//! - Looking on: `ledger` folds what happened into facts, `invariants` checks, `judge` compares with what was
//!   expected, `tape` writes it down.
//! - `play` is one run of a `scenario`, `explore` many of them, `random` draws worlds from seeds. `practice` is the
//!   world on real time, for the demonstration.
//!
//! A run is one runtime of one thread whose clock is paused: it jumps from one thing to the next. Whatever a
//! process asks of the outside passes its `gate`; a gate that is shut is a kill -9.
//! May import: every room. Never `adapters`.

mod alertmanager;
mod crew;
mod dice;
mod explore;
mod faults;
mod gate;
mod hands;
mod invariants;
mod judge;
mod ledger;
mod memory;
mod people;
mod play;
mod practice;
mod queue;
mod random;
pub mod scenario;
mod script;
mod service;
mod stage;
mod store;
mod tape;
mod time;
pub mod trial;
pub mod world;

pub use dice::Dice;
pub use explore::{complaint, crash_at, crashes, first_bad, shrink};
pub use faults::{Mishap, Rates, Source};
pub use invariants::Violation;
pub use judge::Verdict;
pub use ledger::{Ledger, Ring};
pub use memory::Memory;
pub use play::{Orders, Report, play};
pub use practice::Practice;
pub use random::{Vocabulary, draw};
pub use scenario::Scenario;
pub use tape::Line;
pub use world::World;
