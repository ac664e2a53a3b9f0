//! A command line that cannot be parsed, told like every other failure: what is wrong, and what to try.

use std::ffi::OsString;

use clap::Command;
use clap::error::{ContextKind, ContextValue, Error, ErrorKind};

use crate::domain::failure::{ErrorClass, Failure};

/// What was wrong with the words after `llmx`. `None`: help or the version was asked for. `tree`: the whole command line.
#[must_use]
pub fn failure(error: &Error, words: impl Iterator<Item = OsString>, tree: Command) -> Option<Failure> {
    if !error.use_stderr() || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return None;
    }
    let text = error.render().to_string();
    let said: Vec<&str> = text.lines().take_while(|line| !line.is_empty()).map(str::trim).collect();
    let said: Vec<&str> = said.into_iter().filter(|line| !line.starts_with("[possible values:")).collect();
    let message = said.join(" ");
    let message = message.strip_prefix("error: ").unwrap_or(&message);
    Some(Failure::new(ErrorClass::Config, message).advise(advice(error, &path(words, tree))))
}

fn advice(error: &Error, path: &str) -> String {
    let of = |kind: ContextKind| error.get(kind).map(strings).filter(|found| !found.is_empty());
    if let Some(near) = of(ContextKind::SuggestedArg) {
        return format!("{}, or see {path} --help", near.join(", "));
    }
    if let Some(near) = of(ContextKind::SuggestedSubcommand) {
        let near: Vec<String> = near.iter().map(|name| format!("{path} {name}")).collect();
        return near.join(", or ");
    }
    if let Some(valid) = of(ContextKind::ValidValue) {
        let near = of(ContextKind::SuggestedValue).map(|near| format!("{}; it takes ", near.join(", ")));
        return format!("{}{}", near.unwrap_or_else(|| "one of ".to_owned()), valid.join(", "));
    }
    if let Some(tips) = of(ContextKind::Suggested) {
        return format!("{}, or see {path} --help", tips.join(", "));
    }
    let usage = of(ContextKind::Usage).filter(|_| error.kind() == ErrorKind::MissingRequiredArgument);
    match usage.as_deref() {
        Some([usage]) => usage.trim_start_matches("Usage:").trim().to_owned(),
        _ => format!("{path} --help"),
    }
}

fn strings(value: &ContextValue) -> Vec<String> {
    match value {
        ContextValue::String(one) => vec![one.clone()],
        ContextValue::Strings(several) => several.clone(),
        ContextValue::StyledStr(one) => vec![one.to_string()],
        ContextValue::StyledStrs(several) => several.iter().map(ToString::to_string).collect(),
        _ => Vec::new(),
    }
}

/// The command that the words name, as far as they do.
fn path(words: impl Iterator<Item = OsString>, mut tree: Command) -> String {
    // Commands below a command are there once it is built.
    tree.build();
    let (mut at, mut path) = (&tree, "llmx".to_owned());
    for word in words {
        if let Some(below) = word.to_str().and_then(|word| at.find_subcommand(word)) {
            at = below;
            path = format!("{path} {}", at.get_name());
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    use super::failure;
    use crate::cli::Cli;

    fn told(line: &str) -> Option<(String, String)> {
        let words = || line.split(' ').map(Into::into);
        let error = Cli::try_parse_from(words()).expect_err("it cannot be parsed");
        let failure = failure(&error, words().skip(1), Cli::command())?;
        Some((failure.message, failure.advice.expect("advice")))
    }

    #[test]
    fn every_error_says_what_to_try() {
        for (line, message, advice) in [
            ("llmx chat --modl x", "unexpected argument '--modl' found", "--model, or see llmx chat --help"),
            (
                "llmx budget set",
                "the following required arguments were not provided: <BUDGET> <LIMIT>",
                "llmx budget set <BUDGET> <LIMIT>",
            ),
            ("llmx compare --sort nix", "invalid value 'nix' for '--sort <BY>'", "one of cost, time, first"),
            ("llmx compare --sort tme", "invalid value 'tme' for '--sort <BY>'", "time; it takes cost, time, first"),
            ("llmx budget stat", "unrecognized subcommand 'stat'", "llmx budget set, or llmx budget status"),
            (
                "llmx usage --by",
                "a value is required for '--by <DIMENSION[,SECOND]>' but none was supplied",
                "llmx usage --help",
            ),
            (
                "llmx chat --temperature abc",
                "invalid value 'abc' for '--temperature <NUMBER>': invalid float literal",
                "llmx chat --help",
            ),
            (
                "llmx chat --retries -1",
                "unexpected argument '-1' found",
                "to pass '-1' as a value, use '-- -1', or see llmx chat --help",
            ),
        ] {
            assert_eq!(told(line), Some((message.to_owned(), advice.to_owned())), "{line}");
        }
    }

    #[test]
    fn help_that_was_asked_for_is_no_error() {
        for line in ["llmx --version", "llmx -h", "llmx budget set --help", "llmx budget"] {
            assert_eq!(told(line), None, "{line}");
        }
    }
}
