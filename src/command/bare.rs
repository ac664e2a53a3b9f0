//! `llmx WORDS` without a command: the help, a command that is misspelt or stands behind a flag, or else a prompt of `chat`.

use std::io::IsTerminal as _;

use clap::Command;

use crate::command::chat::{self, ChatArgs};
use crate::domain::failure::{ErrorClass, Failure};

/// Asks, unless the words were meant otherwise. `tree`: the whole command line.
///
/// # Errors
/// `config` for nothing at all, or for what is nearly a command: a model that is asked `usgae today` is paid for. Those of
/// [`chat::run`].
pub fn run(args: &ChatArgs, tree: fn() -> Command) -> Result<u8, Failure> {
    let words: Vec<&str> = args.input.prompt.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] if asks_nothing(args) => return Err(nothing()),
        [] => {}
        ["help", named @ ..] if are_commands(named, tree()) => {
            let line = ["llmx"].iter().chain(named).chain(&["--help"]);
            tree().get_matches_from(line);
        }
        // A quoted prompt is one word with spaces.
        [first, ..] if first.contains(char::is_whitespace) => {}
        [first, rest @ ..] => {
            if let Some(failure) = refused(first, rest.is_empty(), &tree()) {
                return Err(failure);
            }
        }
    }
    chat::run(args)
}

fn asks_nothing(args: &ChatArgs) -> bool {
    args.input.file.is_empty() && args.input.attach.is_empty() && std::io::stdin().is_terminal()
}

fn nothing() -> Failure {
    Failure::new(ErrorClass::Config, "there is nothing to ask")
        .advise("llmx chat -m sim/echo \"hello\"   (no key, no cost, nothing is sent); `llmx -h` lists the commands")
}

fn are_commands(named: &[&str], mut tree: Command) -> bool {
    // Commands below a command are there once it is built.
    tree.build();
    named.iter().try_fold(&tree, |below, name| below.find_subcommand(name)).is_some()
}

/// A first word that is a command, or nearly one.
fn refused(first: &str, is_alone: bool, tree: &Command) -> Option<Failure> {
    let known = |command: &&Command| !command.is_hide_set();
    let names: Vec<&str> = tree.get_subcommands().filter(known).map(Command::get_name).collect();
    // Around a short name lie too many words of a prompt: `what` is one letter off `chat`.
    let letters = if is_alone { 4 } else { 5 };
    let near = |name: &&&str| name.len() >= letters && strsim::osa_distance(first, name) == 1;
    let wrong = |message: String| Failure::new(ErrorClass::Config, message);
    if names.contains(&first) {
        let failure = wrong(format!("\"{first}\" stands behind a flag, where a prompt begins; nothing was sent"));
        return Some(failure.advise(format!("llmx {first} …, the command first; as a prompt: llmx chat … {first}")));
    }
    let meant = names.iter().find(near)?;
    let failure = wrong(format!("there is no command \"{first}\"; nothing was sent"));
    Some(failure.advise(format!("llmx {meant} …; as a prompt: llmx chat … {first}")))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::refused;
    use crate::cli::Cli;

    #[test]
    fn only_a_word_that_is_nearly_a_command_is_refused() {
        let tree = Cli::command();
        let meant = |first: &str, is_alone: bool| {
            let advice = refused(first, is_alone, &tree)?.advice?;
            Some(advice.split(' ').nth(1)?.to_owned())
        };
        for (first, command) in [("usge", "usage"), ("usgae", "usage"), ("compre", "compare"), ("bugdet", "budget")] {
            assert_eq!(meant(first, false).as_deref(), Some(command));
        }
        assert_eq!(meant("log", true).as_deref(), Some("logs"));
        assert_eq!(meant("models", false).as_deref(), Some("models"), "behind a flag");
        for prompt in ["what", "that", "log", "Model", "why", "summarize", "usages?!", "__complet"] {
            assert_eq!(meant(prompt, false), None, "{prompt}");
        }
    }
}
