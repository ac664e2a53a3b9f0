//! Parse, run, exit.

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};
use llmx::cli::Cli;

fn main() -> ExitCode {
    let cli = Cli::parse();
    ExitCode::from(llmx::command::run(cli.into(), Cli::command))
}
