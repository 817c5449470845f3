//! Medevac keeps GPU training and inference clusters alive on capacity that dies.
//!
//! ```text
//!  sources ──Event──▶ log ──▶ engine ──Decision──▶ plan ──Plan──▶ remediation ──Outcome──▶ escalation ──▶ pagers
//!                      ▲ rules                               │ ClusterControl …                     │ Dispatch
//!                      └──────────────── Outcome ◀───────────┴──────────────────────────────────────┘   (all through the log)
//! ```
//!
//! **The log is the truth.** Every event, decision, plan and outcome is a record in one ordered, durable log.
//! State is a fold over it, so recovery is replay, and a kill -9 at any point loses nothing and repeats nothing.
//!
//! **Three kinds of file.** *Pure*, the default: values in, values out; no `.await`, no clock, no randomness; `now`
//! is an argument. *Shell*: a room's `run.rs`, the only half of a room that may wait. *Edge*: `sources`, `api`,
//! `adapters`, `cli`. What crosses a wall between rooms is a `model` type, the payload of one subject of the log,
//! so the rooms never call each other: they answer mail.
//!
//! | room | what it is for |
//! |---|---|
//! | [`model`] | the vocabulary, in flow order |
//! | [`clock`] | the only reader of the time |
//! | [`calendar`] | what recurs: cron, intervals, windows, duties, by the clock on the wall of a place |
//! | [`log`] | the port to the log and the keys beside it; the grammar of subjects |
//! | [`cluster`] | the port to the cluster: a view, and a hand that observe mode does not have |
//! | [`rules`] | files to a checked ruleset, all faults at once |
//! | [`engine`] | events to decisions: episodes, windows, incidents, throttles, guards |
//! | [`replay`] | a log through other rules, and what would be different |
//! | [`plan`] | decisions to plans: the last place with a choice |
//! | [`diagnosis`] | what is wrong, from looks that change nothing |
//! | [`remediation`] | plans carried out as journaled sagas |
//! | [`escalation`] | people called, level by level, through an outbox |
//! | [`sources`] | translate, enrich, make durable; never judge |
//! | [`agent`] | one per node: what the machine has been told, passed on |
//! | [`api`] | the HTTP port |
//! | [`adapters`] | ports implemented: the embedded log, the log on NATS, Kubernetes, pagers, files |
//! | [`config`] | flags and the configuration file, parsed and bounded |
//! | [`simulation`] | the simulator: this daemon in a world of plain data, on virtual time, with faults |
//! | [`planted`] | bugs on purpose, for the simulator to find; compiled only on demand |
//! | [`daemon`] | the lease that makes one replica active; starts every room on whatever ports it is given |
//! | [`cli`] | one file per command; the only place that prints |
//!
//! **The law of imports** is a table in `tests/tidy.rs`, enforced with sizes and purity. What is absent on purpose:
//! a decision in an adapter, a clock in a decision, a vendor's name in a shell, one room calling another.

pub mod adapters;
pub mod agent;
pub mod api;
pub mod calendar;
pub mod cli;
pub mod clock;
pub mod cluster;
pub mod config;
pub mod daemon;
pub mod diagnosis;
pub mod engine;
pub mod escalation;
pub mod log;
pub mod model;
pub mod plan;
pub mod planted;
pub mod remediation;
pub mod replay;
pub mod rules;
pub mod simulation;
pub mod sources;
pub mod telemetry;
