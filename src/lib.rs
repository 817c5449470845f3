//! x
pub mod adapters;
pub mod api;
pub mod cli;
pub mod clock;
pub mod cluster;
pub mod config;
pub mod daemon;
pub mod engine;
pub mod escalation;
pub mod log;
pub mod model;
pub mod plan;
pub mod remediation;
pub mod rules;
pub mod simulation;
pub mod sources;
pub mod telemetry;
