//! x
pub mod adapters;
pub mod clock;
pub mod cluster;
pub mod engine;
pub mod escalation;
pub mod log;
pub mod model;
pub mod plan;
pub mod remediation;
pub mod rules;
