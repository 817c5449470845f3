//! The HTTP port: sources come in, people look and answer.
//!
//! A room of its own at the edge: it serves the intake of `sources` and the indexes that the rooms keep.
//! `routes` are the paths, `operate` and `letters` those of operating, `signs` those of life, `answers` those of people, `auth` who may use them, `server` connections, time-outs and TLS.

mod answers;
mod auth;
mod letters;
mod operate;
mod plans;
mod routes;
mod server;
mod signs;
mod why;

pub use auth::Gate;
pub use routes::{Readiness, Site, router};
pub use server::{Server, ServerError};
