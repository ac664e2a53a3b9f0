//! Parse, run, exit.

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let cli = llmx::cli::Cli::parse();
    ExitCode::from(llmx::command::run(cli.into()))
}
