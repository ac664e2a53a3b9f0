//! `llmx completions`: scripts that have a shell ask llmx itself what may stand on its command line, and the answers.

mod line;
mod place;
mod values;

use clap::{Arg, ArgAction, Args, ValueEnum};

use crate::command::GlobalArgs;
use crate::command::logs::print;
use crate::domain::failure::Failure;
use crate::domain::untrusted::one_line;
use line::Quoted;
use place::{Next, Place, place};
use values::{Candidate, Offer, values};

pub const AFTER_HELP: &str = "\
Examples:
  llmx completions bash > ~/.local/share/bash-completion/completions/llmx
  llmx completions zsh > ~/.zfunc/_llmx              in ~/.zshrc before compinit: fpath=(~/.zfunc $fpath)
  llmx completions fish > ~/.config/fish/completions/llmx.fish
  llmx completions powershell >> $PROFILE
  llmx completions elvish >> ~/.config/elvish/rc.elv

The shell then asks llmx at each Tab, so that models, aliases, groups, routes,
budgets, projects, tags and calls are those of the moment. Nothing is sent and
nothing is written for it.";

#[derive(Debug, Clone, Args)]
pub struct CompletionsArgs {
    /// The shell that reads it
    #[arg(value_name = "SHELL", value_enum)]
    shell: Shell,
    #[command(flatten)]
    global: GlobalArgs,
}

/// What the scripts ask.
#[derive(Debug, Clone, Args)]
pub struct CompleteArgs {
    #[arg(value_enum)]
    shell: Shell,
    /// Of bash: the line up to the cursor, and the part of it that bash replaces. Else the words, the last one up to the
    /// cursor
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<std::ffi::OsString>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
    Powershell,
    Elvish,
}

impl Shell {
    /// The script, as it lies in the folder `completions`.
    fn script(self) -> &'static str {
        match self {
            Shell::Bash => include_str!("../../../completions/llmx.bash"),
            Shell::Zsh => include_str!("../../../completions/_llmx"),
            Shell::Fish => include_str!("../../../completions/llmx.fish"),
            Shell::Powershell => include_str!("../../../completions/_llmx.ps1"),
            Shell::Elvish => include_str!("../../../completions/llmx.elv"),
        }
    }
}

/// # Errors
/// `invalid-request` where it cannot be written.
pub fn run(args: &CompletionsArgs) -> Result<u8, Failure> {
    print(args.shell.script(), &args.global)
}

/// Answers a script. `root` is the whole command line.
///
/// # Errors
/// `invalid-request` where it cannot be written.
pub fn complete(args: &CompleteArgs, mut root: clap::Command) -> Result<u8, Failure> {
    let mut words: Vec<String> = args.words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let last = words.pop().unwrap_or_default();
    let (words, word, form) = match args.shell {
        Shell::Bash => {
            let (mut words, quoted) = line::words(words.first().map_or("", String::as_str));
            let word = words.pop().unwrap_or_default();
            // Bash replaces only what stands after the last `:`, `@` or `=`.
            let (mut replaced, _) = line::words(&last);
            let stays = word.strip_suffix(&replaced.pop().unwrap_or_default()).map_or(0, str::len);
            (words, word, Form::Bash { quoted, stays })
        }
        // Older PowerShells lose an empty argument: it comes after a dot.
        Shell::Powershell => (words, last.strip_prefix('.').unwrap_or(&last).to_owned(), Form::Tabs),
        Shell::Zsh => (words, last, Form::Zsh),
        Shell::Fish | Shell::Elvish => (words, last, Form::Tabs),
    };
    root.build();
    let place = place(&root, words.get(1..).unwrap_or_default(), &word);
    let global = GlobalArgs { quiet: true, verbose: 0, color: super::Colour::Never, config: None, db: None };
    print(&told(&offer(&place, &word), &word, form), &global)
}

/// What may stand in place of the word: words are whole, and bytes are counted from its beginning.
fn offer(place: &Place<'_>, word: &str) -> Offer {
    match &place.next {
        Next::Option(command) => Offer::Words(options(command, place, word)),
        Next::Value(arg, from) => value(arg, *from, place, word),
        Next::Word { subcommands, positional } => {
            let commands = subcommands.iter().flat_map(|command| command.get_subcommands());
            let commands: Vec<Candidate> = commands
                .filter(|command| !command.is_hide_set() && command.get_name().starts_with(word))
                .map(|command| Candidate::new(command.get_name(), sentence(command.get_about())))
                .collect();
            match positional.map(|arg| value(arg, 0, place, word)) {
                Some(Offer::Words(words)) => Offer::Words(commands.into_iter().chain(words).collect()),
                Some(paths) if commands.is_empty() => paths,
                _ => Offer::Words(commands),
            }
        }
    }
}

fn value(arg: &Arg, from: usize, place: &Place<'_>, word: &str) -> Offer {
    let (before, begun) = word.split_at(from);
    match values(arg, begun, place) {
        Offer::Files(more) => Offer::Files(from + more),
        Offer::Folders(more) => Offer::Folders(from + more),
        Offer::Words(words) => {
            let whole = |word: Candidate| Candidate { text: format!("{before}{}", word.text), ..word };
            Offer::Words(words.into_iter().map(whole).collect())
        }
    }
}

/// The options that may still be given, by their long names; after a single dash by their letters, too.
fn options(command: &clap::Command, place: &Place<'_>, word: &str) -> Vec<Candidate> {
    let again = |arg: &Arg| {
        matches!(arg.get_action(), ArgAction::Append | ArgAction::Count)
            || !place.given.iter().any(|(given, _)| given.get_id() == arg.get_id())
    };
    let mut words = Vec::new();
    for arg in command.get_arguments().filter(|arg| !arg.is_positional() && !arg.is_hide_set() && again(arg)) {
        let about = sentence(arg.get_help());
        let end = if arg.is_require_equals_set() && arg.get_num_args().is_some_and(|count| count.min_values() > 0) {
            "="
        } else {
            ""
        };
        let longs = arg.get_long_and_visible_aliases().unwrap_or_default();
        words.extend(longs.iter().map(|long| Candidate::new(format!("--{long}{end}"), about.clone())));
        let shorts = arg.get_short_and_visible_aliases().unwrap_or_default();
        words.extend(shorts.iter().map(|short| Candidate::new(format!("-{short}"), about.clone())));
    }
    words.retain(|option| option.text.starts_with(word));
    words
}

/// The first line of a help text.
fn sentence(help: Option<&clap::builder::StyledStr>) -> String {
    help.map(ToString::to_string).unwrap_or_default().lines().next().unwrap_or_default().to_owned()
}

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// `stays`: bytes of the word that bash leaves as they are.
    Bash { quoted: Quoted, stays: usize },
    /// `+word:about`, or `-word:about` where no space is to follow.
    Zsh,
    /// The word, a tab, and what is said of it.
    Tabs,
}

/// The first line says what follows, with what of the word stands before a path; then come the words.
fn told(offer: &Offer, word: &str, form: Form) -> String {
    let words = match offer {
        Offer::Files(from) => return format!("files{}\n", &word[..*from]),
        Offer::Folders(from) => return format!("folders{}\n", &word[..*from]),
        Offer::Words(words) => words,
    };
    let mut lines = vec!["words".to_owned()];
    for candidate in words {
        let about = one_line(&candidate.about);
        match form {
            Form::Bash { quoted, stays } => {
                lines.extend(candidate.text.get(stays..).and_then(|text| line::written(text, quoted)));
            }
            Form::Zsh => {
                let text = candidate.text.replace('\\', "\\\\").replace(':', "\\:");
                let about = if about.is_empty() { about } else { format!(":{about}") };
                lines.push(format!("{}{text}{about}", if candidate.is_open() { '-' } else { '+' }));
            }
            Form::Tabs => lines.push(format!("{}\t{about}", candidate.text)),
        }
    }
    lines.join("\n") + "\n"
}
