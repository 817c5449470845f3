//! The half of remediation that carries out one plan.

pub(super) mod run;
