//! `llmx man`: the pages say what the help says, and every formatter can read them.

#![expect(clippy::print_stderr, reason = "a skipped test must say so")]

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use common::binary::Llmx;

/// Every page, by the words of its command.
fn pages(folder: &Path) -> BTreeMap<Vec<String>, String> {
    Llmx::new(&["man", "--dir", folder.to_str().expect("UTF-8")]).run().exits(0).prints("").says(&["wrote "]);
    let mut pages = BTreeMap::new();
    let mut commands = vec![Vec::new()];
    while let Some(command) = commands.pop() {
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        let name = [&["llmx"], &words[..]].concat().join("-");
        let page =
            std::fs::read_to_string(folder.join(format!("{name}.1"))).unwrap_or_else(|error| panic!("{name}: {error}"));
        let below =
            help(&words).lines().skip_while(|line| *line != "Commands:").skip(1).map(str::to_owned).collect::<Vec<_>>();
        for line in below.iter().take_while(|line| !line.is_empty()) {
            if let Some(name) = line.strip_prefix("  ").filter(|name| !name.starts_with(' ')) {
                let name = name.split_whitespace().next().expect("a name").to_owned();
                commands.push([&command[..], &[name]].concat());
            }
        }
        pages.insert(command, page);
    }
    let files = std::fs::read_dir(folder).expect("the folder").count();
    assert_eq!(files, pages.len(), "a page of a command that the help does not show");
    pages
}

fn help(words: &[&str]) -> String {
    Llmx::new(words).args(&["--help"]).run().exits(0).text().to_owned()
}

/// What a page says when its requests and escapes are taken away: words, each once apart from the next.
fn plain(page: &str) -> String {
    let mut text = String::new();
    for line in page.lines().skip_while(|line| !line.starts_with(".TH")).skip(1) {
        let request = line.strip_prefix('.').and_then(|request| request.split_once(' ').or(Some((request, ""))));
        match request {
            Some(("SH", heading)) => text.push_str(heading.trim_matches('"')),
            Some(("TP" | "br" | "RS" | "RE" | "IP" | "nf" | "fi" | "PP", _)) => {}
            Some((other, _)) => panic!("an unknown request: .{other}"),
            None => text.push_str(line),
        }
        text.push('\n');
    }
    for (escape, sign) in [
        ("\\fB", ""),
        ("\\fI", ""),
        ("\\fR", ""),
        ("\\&", ""),
        ("\\-", "-"),
        ("\\*(Aq", "'"),
        ("\\(ti", "~"),
        ("\\(ha", "^"),
        ("\\(ga", "`"),
        ("\\\\", "\\"),
    ] {
        text = text.replace(escape, sign);
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn every_command_has_a_page_with_all_that_its_help_says() {
    let folder = tempfile::tempdir().expect("a folder");
    let pages = pages(folder.path());
    assert!(pages.len() >= 25, "{}", pages.len());
    for (command, page) in &pages {
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        let (help, page) = (help(&words), plain(page));
        let mut section = "";
        let mut flags = 0;
        for line in help.lines() {
            if !line.is_empty() && !line.starts_with(' ') {
                section = line;
            }
            match section {
                "Options:" => {
                    for flag in line
                        .trim_start()
                        .split([' ', ','])
                        .take(2)
                        .filter(|flag| line.trim_start().starts_with('-') && flag.starts_with('-'))
                    {
                        let flag = flag.split(['=', '[']).next().unwrap_or(flag);
                        assert!(
                            page.split([' ', ',', '[', '=']).any(|word| word == flag),
                            "{command:?}: {flag} in {page}"
                        );
                        flags += 1;
                    }
                }
                "Commands:" | "Arguments:" => {}
                _ if section.starts_with("Usage:") => {}
                _ => {
                    let said = line.split_whitespace().collect::<Vec<_>>().join(" ");
                    let heading = said.trim_end_matches(':').to_uppercase();
                    assert!(page.contains(&said) || page.contains(&heading), "{command:?}: {said} in {page}");
                }
            }
        }
        assert!(flags > 0, "{command:?}");
    }
}

#[test]
fn a_page_is_built_as_manual_pages_are() {
    let folder = tempfile::tempdir().expect("a folder");
    let pages = pages(folder.path());
    let page = &pages[&vec!["budget".to_owned(), "set".to_owned()]];
    let title = format!(".TH LLMX-BUDGET-SET 1 \"\" \"llmx {}\" \"llmx manual\"", env!("CARGO_PKG_VERSION"));
    assert!(page.lines().any(|line| line == title), "{page}");
    assert!(page.contains(".SH \"SEE ALSO\"\nllmx\\-budget(1)\n"), "{page}");
    let root = Llmx::new(&["man"]).run().exits(0).stays_quiet();
    assert_eq!(root.text(), pages[&Vec::new()]);
    for part in [".SH EXAMPLES\n.nf\nllmx chat \\-m sim/echo", ".SH \"EXIT CODES\"\n.nf\n0 ok", "llmx\\-chat(1)"] {
        assert!(root.text().contains(part), "{part}");
    }
    assert!(!root.text().contains("__complete"));
}

#[test]
fn every_formatter_reads_every_page_without_a_warning() {
    let folder = tempfile::tempdir().expect("a folder");
    let pages = pages(folder.path());
    for (program, args) in [("groff", &["-k", "-man", "-ww", "-z"][..]), ("man", &["--warnings=w", "-l"])] {
        if Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
            eprintln!("skipped: {program} is not installed");
            continue;
        }
        for command in pages.keys() {
            let name = [&["llmx".to_owned()], &command[..]].concat().join("-");
            let mut run = Command::new(program);
            run.args(args).arg(folder.path().join(format!("{name}.1"))).env("MANPAGER", "cat");
            let done = run_in(&mut run);
            assert_eq!((done.0, done.2.as_str()), (true, ""), "{program} {name}");
            assert!(program == "groff" || done.1.contains("SYNOPSIS"), "{name}: {}", done.1);
        }
    }
}

fn run_in(command: &mut Command) -> (bool, String, String) {
    let done =
        command.env("LC_ALL", "C.UTF-8").env("MANWIDTH", "100").stdin(Stdio::null()).output().expect("it starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (done.status.success(), text(&done.stdout), text(&done.stderr))
}
