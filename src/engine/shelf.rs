//! Guards and pauses as every replica can show them.

pub mod run;
