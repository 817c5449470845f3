//! The binary: parse, hand over to a command, turn its answer into an exit code.

use clap::Parser;
use medevac::cli::{Cli, Exit};
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return medevac::cli::usage(&error),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Exit::from_error(&error).code(),
    };
    runtime.block_on(cli.run()).code()
}
