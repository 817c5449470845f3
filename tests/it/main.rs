//! Integration tests that need no Kubernetes: the log's contract, crashes, the HTTP port, a real Alertmanager, the CLI.

#![expect(clippy::unwrap_used, reason = "a failed expectation is a failed test")]
#![expect(clippy::disallowed_methods, reason = "tests wait for real processes, with a deadline")]

#[path = "../support/mod.rs"]
mod support;

mod ahead;
mod alertmanager;
mod backups;
mod capacity;
mod cel;
mod cli;
mod contract;
mod deploy;
mod embedded;
mod evidence;
mod hearts;
mod hooks;
mod http;
mod imds;
mod maintenance;
mod malformed;
mod moving;
mod nats;
mod operate;
mod pagers;
mod prometheus;
mod reload;
mod rules;
mod simulation;
mod spot;
