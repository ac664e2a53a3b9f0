//! Where on a command line the word stands that is to be completed. Pure: knows only clap's tree, so that a new command or
//! flag is completed without a word here.

use clap::{Arg, ArgAction, Command};

/// What was read up to the word, and what may stand there.
#[derive(Debug)]
pub struct Place<'a> {
    /// Options that were given, each with its value where that stands in a word of its own or after a `=`.
    pub given: Vec<(&'a Arg, Option<&'a str>)>,
    pub next: Next<'a>,
}

#[derive(Debug)]
pub enum Next<'a> {
    /// A value of this argument, which begins so many bytes into the word: after `--model=`, `-m` or `a,`.
    Value(&'a Arg, usize),
    /// An option of this command.
    Option(&'a Command),
    /// A subcommand or the next positional argument.
    Word { subcommands: Option<&'a Command>, positional: Option<&'a Arg> },
}

/// Reads the words after the program's name. `root` must be built.
#[must_use]
pub fn place<'a>(root: &'a Command, words: &'a [String], word: &str) -> Place<'a> {
    let mut reading = Reading { command: root, given: Vec::new(), positionals: 0, waiting: None, only_values: false };
    for word in words {
        reading.read(word);
    }
    let next = reading.next(word);
    Place { given: reading.given, next }
}

struct Reading<'a> {
    command: &'a Command,
    given: Vec<(&'a Arg, Option<&'a str>)>,
    /// How many positional values stood there.
    positionals: usize,
    /// An option that takes values, and how many it has.
    waiting: Option<(&'a Arg, usize)>,
    /// After `--`.
    only_values: bool,
}

impl<'a> Reading<'a> {
    fn read(&mut self, word: &'a str) {
        if let Some((arg, count)) = self.waiting.take().filter(|waiting| takes(*waiting, word)) {
            if let Some(given) = self.given.last_mut().filter(|_| count == 0) {
                given.1 = Some(word);
            }
            self.wait(arg, count + 1);
        } else if self.only_values {
            self.positionals += 1;
        } else if word == "--" {
            self.only_values = true;
        } else if let Some(long) = word.strip_prefix("--") {
            let (name, value) = long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value)));
            if let Some(arg) = self.long(name) {
                self.given.push((arg, value));
                if value.is_none() {
                    self.wait(arg, 0);
                }
            }
        } else if let Some(cluster) = word.strip_prefix('-').filter(|cluster| !cluster.is_empty()) {
            let (arg, at) = self.cluster(cluster);
            if let Some(arg) = arg.filter(|_| at == cluster.len()) {
                self.wait(arg, 0);
            }
        } else if let Some(command) = self.subcommands().and_then(|command| command.find_subcommand(word)) {
            self.command = command;
        } else {
            self.positionals += 1;
        }
    }

    fn next(&mut self, word: &str) -> Next<'a> {
        if let Some((arg, _)) = self.waiting.take().filter(|waiting| takes(*waiting, word)) {
            return Next::Value(arg, after_delimiter(arg, word, 0));
        }
        if !self.only_values
            && let Some(dashed) = word.strip_prefix('-')
        {
            let valued = match dashed.strip_prefix('-').map(|long| long.split_once('=')) {
                Some(Some((name, _))) => self.long(name).map(|arg| (arg, name.len() + 3)),
                Some(None) => None,
                None => match self.cluster(dashed) {
                    // `-x=` and `-x` are followed by the same value.
                    (Some(arg), at) if at < dashed.len() => {
                        Some((arg, 1 + at + usize::from(dashed[at..].starts_with('='))))
                    }
                    _ => None,
                },
            };
            return match valued {
                Some((arg, at)) if arg.get_action().takes_values() => Next::Value(arg, after_delimiter(arg, word, at)),
                _ => Next::Option(self.command),
            };
        }
        Next::Word { subcommands: self.subcommands(), positional: self.positional() }
    }

    fn wait(&mut self, arg: &'a Arg, count: usize) {
        let most = arg.get_num_args().map_or(0, |values| values.max_values());
        self.waiting = (count < most && !arg.is_require_equals_set()).then_some((arg, count));
    }

    /// The command, where one of its subcommands may follow.
    fn subcommands(&self) -> Option<&'a Command> {
        let alone = self.given.is_empty() || !self.command.is_args_conflicts_with_subcommands_set();
        (self.positionals == 0 && !self.only_values && alone).then_some(self.command)
    }

    fn positional(&self) -> Option<&'a Arg> {
        let mut before = 0;
        self.command.get_positionals().find(|arg| {
            let many = arg.get_num_args().is_some_and(|values| values.max_values() > 1)
                || matches!(arg.get_action(), ArgAction::Append);
            before += 1;
            many || before > self.positionals
        })
    }

    fn long(&self, name: &str) -> Option<&'a Arg> {
        self.command.get_arguments().find(|arg| {
            arg.get_long_and_visible_aliases().is_some_and(|longs| longs.contains(&name))
                || arg.get_all_aliases().is_some_and(|longs| longs.contains(&name))
        })
    }

    /// The option in a cluster of letters (`-qm`) that takes a value, and where that begins; the others are given.
    fn cluster(&mut self, cluster: &str) -> (Option<&'a Arg>, usize) {
        for (at, letter) in cluster.char_indices() {
            let is_it = |arg: &&Arg| arg.get_short_and_visible_aliases().is_some_and(|shorts| shorts.contains(&letter));
            let Some(arg) = self.command.get_arguments().find(is_it) else { return (None, at) };
            self.given.push((arg, None));
            if arg.get_action().takes_values() {
                return (Some(arg), at + letter.len_utf8());
            }
        }
        (None, cluster.len())
    }
}

/// Whether a word is a value of the option before it: one that it need not have begins with no dash.
fn takes((arg, count): (&Arg, usize), word: &str) -> bool {
    let least = arg.get_num_args().map_or(0, |values| values.min_values());
    count < least || !word.starts_with('-')
}

fn after_delimiter(arg: &Arg, word: &str, from: usize) -> usize {
    let delimiter = arg.get_value_delimiter().and_then(|delimiter| Some((delimiter, word[from..].rfind(delimiter)?)));
    delimiter.map_or(from, |(delimiter, at)| from + at + delimiter.len_utf8())
}

#[cfg(test)]
mod tests {
    use clap::{Arg, ArgAction, Command};

    use super::{Next, place};

    fn tree() -> Command {
        let model = || Arg::new("model").short('m').long("model");
        let quiet = || Arg::new("quiet").short('q').long("quiet").action(ArgAction::SetTrue);
        let mut tree = Command::new("llmx")
            .args_conflicts_with_subcommands(true)
            .args([model(), quiet(), Arg::new("prompt").num_args(0..).action(ArgAction::Append)])
            .subcommand(Command::new("compare").args([
                model().value_delimiter(','),
                quiet(),
                Arg::new("one"),
                Arg::new("two"),
            ]))
            .subcommand(
                Command::new("chat")
                    .arg(Arg::new("extract").short('x').num_args(0..=1).require_equals(true))
                    .arg(Arg::new("prompt").num_args(0..)),
            );
        tree.build();
        tree
    }

    /// What may stand at the last word of a line, in short.
    fn at(line: &str) -> String {
        let mut words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let word = words.pop().unwrap_or_default();
        let tree = tree();
        match place(&tree, &words, &word).next {
            Next::Value(arg, from) => format!("{} after {:?}", arg.get_id(), &word[..from]),
            Next::Option(command) => format!("option of {}", command.get_name()),
            Next::Word { subcommands, positional } => {
                let command = subcommands.map_or("no command", Command::get_name);
                format!("{command}, {}", positional.map_or("no value", |arg| arg.get_id().as_str()))
            }
        }
    }

    #[test]
    fn every_way_to_give_a_value_is_one() {
        for (line, told) in [
            ("", "llmx, prompt"),
            ("-m ", "model after \"\""),
            ("--model sim/", "model after \"\""),
            ("--model=sim/", "model after \"--model=\""),
            ("-msim/", "model after \"-m\""),
            ("-qm=s", "model after \"-qm=\""),
            ("-qm s", "model after \"\""),
            ("compare -m a,b,c", "model after \"a,b,\""),
            ("compare --model=a,b", "model after \"--model=a,\""),
            ("--quiet=", "option of llmx"),
            ("-m a -", "option of llmx"),
            ("-m -", "model after \"\""),
            ("chat -x=", "extract after \"-x=\""),
            ("chat -x ", "chat, prompt"),
            ("-- -", "no command, prompt"),
        ] {
            assert_eq!(at(line), told, "{line}");
        }
    }

    #[test]
    fn subcommands_stand_where_they_may() {
        for (line, told) in [
            ("comp", "llmx, prompt"),
            ("hello comp", "no command, prompt"),
            ("-q comp", "no command, prompt"),
            ("compare ", "compare, one"),
            ("compare compare ", "no command, two"),
            ("compare a b ", "no command, no value"),
            ("compare -m chat -q x ", "no command, two"),
            ("compare -", "option of compare"),
        ] {
            assert_eq!(at(line), told, "{line}");
        }
    }

    #[test]
    fn what_was_given_is_known_with_its_value() {
        let words = ["compare", "-qm", "a", "--model=b"].map(str::to_owned);
        let tree = tree();
        let place = place(&tree, &words, "");
        let given: Vec<_> = place.given.iter().map(|(arg, value)| (arg.get_id().as_str(), *value)).collect();
        assert_eq!(given, [("quiet", None), ("model", Some("a")), ("model", Some("b"))]);
    }
}
