//! The ports, implemented against real things. No decision is made here.
//!
//! May import: `model` and the traits it implements (`log`, `cluster`, `sources`, `agent`, `remediation`, `escalation`),
//! `clock`; of `config` what it is told.

pub mod aws;
pub mod beyond;
mod body;
pub mod embedded;
pub mod evidence;
pub mod imds;
pub mod kubernetes;
pub mod nats;
pub mod outlet;
pub mod pagers;
pub mod rulefiles;
pub mod web;
