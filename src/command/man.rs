//! `llmx man`: manual pages, made from the same tree of commands as the help.

use std::path::PathBuf;

use clap::{Args, Command};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use crate::command::GlobalArgs;
use crate::command::logs::{note, print};
use crate::domain::failure::{ErrorClass, Failure};

pub const AFTER_HELP: &str = "\
Examples:
  llmx man | man -l -                                   read it here
  llmx man --dir ~/.local/share/man/man1                then: man llmx, man llmx-budget-set";

/// A heading of the text after the options has at most so many words; a longer line before a block is a sentence.
const HEADING_WORDS: usize = 3;

#[derive(Debug, Clone, Args)]
pub struct ManArgs {
    /// Write llmx.1 and a page for each subcommand into this folder
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    dir: Option<PathBuf>,
    #[command(flatten)]
    global: GlobalArgs,
}

/// `root`: the whole command line.
///
/// # Errors
/// `invalid-request` where a page cannot be written.
pub fn run(args: &ManArgs, mut root: Command) -> Result<u8, Failure> {
    root.build();
    let source = format!("{} {}", root.get_name(), root.get_version().unwrap_or_default());
    let Some(folder) = &args.dir else {
        return print(&page(&root, None, &source)?, &args.global);
    };
    let failed = |error: std::io::Error| {
        Failure::new(ErrorClass::InvalidRequest, format!("{} cannot be written: {error}", folder.display()))
    };
    std::fs::create_dir_all(folder).map_err(failed)?;
    let pages = pages(&root, None, &source)?;
    for (name, text) in &pages {
        std::fs::write(folder.join(format!("{name}.1")), text).map_err(failed)?;
    }
    note(&format!("wrote {} pages into {}", pages.len(), folder.display()), &args.global);
    Ok(0)
}

/// The pages of a command and of all below it that are not hidden, each with its name.
fn pages(command: &Command, above: Option<&str>, source: &str) -> Result<Vec<(String, String)>, Failure> {
    let mut found = vec![(name(command).to_owned(), page(command, above, source)?)];
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        found.extend(pages(below, Some(name(command)), source)?);
    }
    Ok(found)
}

fn name(command: &Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}

/// `above`: the page of the command that this one is a part of.
fn page(command: &Command, above: Option<&str>, source: &str) -> Result<String, Failure> {
    let usage = command.clone().render_usage().to_string();
    let after = command.get_after_long_help().or_else(|| command.get_after_help()).map(ToString::to_string);
    // What the crate would run together, or say in a section of its own, is written below or stands in the footer.
    let bare = command
        .clone()
        .override_usage(usage.trim_start_matches("Usage:").trim_start().to_owned())
        .after_help(None::<&'static str>)
        .after_long_help(None::<&'static str>)
        .version(None::<&'static str>);
    let mut written = Vec::new();
    Man::new(bare).render(&mut written).map_err(|error| Failure::new(ErrorClass::InvalidRequest, error.to_string()))?;
    let written = String::from_utf8_lossy(&written);
    // The crate writes a day that is not given as nothing, so that all after it would move up.
    let title = |line: &str| match line.strip_prefix(".TH ") {
        Some(_) => format!(".TH {} 1 \"\" \"{source}\" \"llmx manual\"\n", name(command).to_uppercase()),
        None => format!("{line}\n"),
    };
    let written: String = written.lines().map(title).collect();
    let mut rest = Roff::new();
    sections(&mut rest, &after.unwrap_or_default());
    if let Some(above) = above {
        rest.control("SH", ["SEE ALSO"]);
        rest.text([roman(format!("{above}(1)"))]);
    }
    let page = written + &rest.to_roff();
    // Typographers' signs to a formatter, and no longer what a shell understands (groff_char(7), groff 1.23).
    Ok(page.replace('~', "\\(ti").replace('^', "\\(ha").replace('`', "\\(ga"))
}

/// The text after the options as sections: `Examples:` is a heading, what is indented stays as it is, the rest flows.
fn sections(roff: &mut Roff, text: &str) {
    let indented = |line: &&str| line.starts_with(' ');
    let mut lines = text.lines().peekable();
    let (mut headed, mut parted) = (false, false);
    while let Some(line) = lines.next() {
        let short = |heading: &&str| heading.split(' ').count() <= HEADING_WORDS;
        let heading =
            line.strip_suffix(':').filter(short).filter(|_| !indented(&line) && lines.peek().is_some_and(indented));
        if line.is_empty() {
            parted = true;
            continue;
        }
        if let Some(heading) = heading {
            roff.control("SH", [heading.to_uppercase().as_str()]);
        } else if !headed {
            roff.control("SH", ["NOTES"]);
        } else if parted {
            roff.control("PP", []);
        }
        (headed, parted) = (true, false);
        if indented(&line) {
            roff.control("nf", []);
            for line in std::iter::once(line).chain(std::iter::from_fn(|| lines.next_if(indented))) {
                // Two spaces are the help's own margin.
                roff.text([roman(line.strip_prefix("  ").unwrap_or(line))]);
            }
            roff.control("fi", []);
        } else if heading.is_none() {
            roff.text([roman(line)]);
        }
    }
}
