//! The command line as types; no behaviour.

use clap::Parser;

use crate::command::chat::ChatArgs;
use crate::command::{AFTER_HELP, Command};

#[derive(Debug, Parser)]
#[command(
    name = "llmx",
    version,
    about = "Prompt many LLM providers through one command line and audit what every call costs",
    after_help = AFTER_HELP,
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true
)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// `llmx "prompt"` is `llmx chat "prompt"`, see `command::bare`.
    #[command(flatten)]
    chat: ChatArgs,
}

impl From<Cli> for Command {
    fn from(cli: Cli) -> Command {
        cli.command.unwrap_or_else(|| Command::Bare(cli.chat.into()))
    }
}
