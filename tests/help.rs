//! What `--help` says, all of it: a change of any command or flag is a change of this snapshot.

mod common;

use common::binary::Llmx;

/// The commands below one, by its own help, in the help's order.
fn below(help: &str) -> Vec<String> {
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    // A name stands two spaces in; what is said of it goes on further in.
    let names = commands.filter_map(|line| line.strip_prefix("  ").filter(|name| !name.starts_with(' ')));
    names.filter_map(|line| line.split_whitespace().next().map(str::to_owned)).collect()
}

/// The help of a command and of all below it. Its width is that of no terminal: clap's own, since the environment is empty
/// and the streams are pipes.
fn all(command: &[String]) -> String {
    let words: Vec<&str> = command.iter().map(String::as_str).collect();
    let done = Llmx::new(&words).args(&["--help"]).run().exits(0).stays_quiet();
    let help = done.text();
    let title = format!("$ llmx {}", [&words[..], &["--help"]].concat().join(" "));
    let children = below(help).into_iter().map(|name| all(&[command, &[name]].concat()));
    format!("{title}\n\n{help}\n\n{}", children.collect::<String>())
}

#[test]
fn the_help_of_every_command_is_as_it_was_reviewed() {
    insta::assert_snapshot!("help", all(&[]));
}

#[test]
fn the_help_fits_an_ordinary_terminal_and_tells_nothing_of_the_environment() {
    let help = all(&[]);
    assert!(help.matches("\n$ llmx ").count() >= 25, "the commands were not found");
    for line in help.lines().filter(|line| !line.starts_with('$')) {
        assert!(line.chars().count() <= 120, "{line}");
    }
    let with = Llmx::new(&["chat", "--help"]).env("LLMX_CONFIG", "/secret/place").env("LLMX_BASE_URL", "http://u:p@h");
    let told = with.run().exits(0);
    for secret in ["secret", "u:p"] {
        assert!(!told.text().contains(secret), "{}", told.text());
    }
}

#[test]
fn a_command_line_that_is_none_says_what_to_try() {
    let misspelt = Llmx::new(&["budget", "stat"]).run().exits(2).prints("");
    misspelt.says(&["llmx: unrecognized subcommand 'stat'\n", "try: llmx budget set, or llmx budget status\n"]);
    Llmx::new(&["usage", "--wher", "x"]).run().exits(2).prints("").says(&["try: --where, or see llmx usage --help\n"]);
}
