//! Parse, run, exit.

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};
use llmx::cli::Cli;
use llmx::command;

fn main() -> ExitCode {
    ExitCode::from(match Cli::try_parse() {
        Ok(cli) => command::run(cli.into(), Cli::command),
        Err(error) => command::misused(&error, Cli::command),
    })
}
