//! The binary: parse, hand over to a command, turn its answer into an exit code.

use medevac::cli::{Cli, Exit};
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = match Cli::read() {
        Ok(cli) => cli,
        Err(error) => return medevac::cli::usage(&error),
    };
    let mut builder = match cli.is_small() {
        true => tokio::runtime::Builder::new_current_thread(),
        false => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime = match builder.enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Exit::from_error(&error).code(),
    };
    runtime.block_on(cli.run()).code()
}
