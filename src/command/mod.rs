//! One file per subcommand: arguments in, report out, an exit code at the end.

pub mod chat;
pub mod config;
pub mod desk;
pub mod input;
pub mod providers;
pub mod schema;
pub mod signals;

use crate::cli::{Cli, Colour, Command};
use crate::command::desk::env;
use crate::domain::failure::Failure;
use crate::render::call;
use crate::render::terminal::{self, Terminal};

/// Runs what was asked for; gives the exit code of the process.
#[must_use]
pub fn run(cli: Cli) -> u8 {
    let done = match cli.command {
        Some(Command::Chat(args)) => chat::run(&args),
        Some(Command::Providers(args)) => providers::run(&args),
        None => chat::run(&cli.chat),
    };
    done.unwrap_or_else(|failure| fail(&failure))
}

/// Says why nothing was done; gives the exit code of the class.
fn fail(failure: &Failure) -> u8 {
    let mut terminal = Terminal::new(terminal::Colour::Auto, false, env);
    let _ = terminal.note(&format!("{}\n", call::failure(None, failure)));
    failure.class.exit_code()
}

/// `--color` as the face knows it.
fn colour(flag: Colour) -> terminal::Colour {
    match flag {
        Colour::Auto => terminal::Colour::Auto,
        Colour::Always => terminal::Colour::Always,
        Colour::Never => terminal::Colour::Never,
    }
}
