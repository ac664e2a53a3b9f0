//! `llmx completions` as shells use it: the scripts, what they ask, and what a Tab then writes on the line.

#![cfg_attr(unix, expect(clippy::print_stderr, reason = "a skipped test must say so"))]

mod common;

use std::path::{Path, PathBuf};

use common::binary::Llmx;

/// The scripts that lie in the project, each with the shell that reads it.
const SCRIPTS: [(&str, &str); 5] = [
    ("bash", "llmx.bash"),
    ("zsh", "_llmx"),
    ("fish", "llmx.fish"),
    ("powershell", "_llmx.ps1"),
    ("elvish", "llmx.elv"),
];

const CONFIG: &str = "[alias]\nfast = \"groq/llama-3.3-70b-versatile\"\n[group]\ncheap = [\"sim/echo\", \"sim/lorem\"]\n\
    [[route.auto.rule]]\nmodels = [\"sim/echo\"]\n[budget.files]\nlimit = \"5/day\"\n";

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("completions")
}

/// What may stand at the last of these words, which follow `llmx`: each with what is said of it.
fn offered(llmx: Llmx, words: &[&str]) -> Vec<(String, String)> {
    let done = llmx.args(&["__complete", "fish", "--", "llmx"]).args(words).run().exits(0).stays_quiet();
    let mut lines = done.text().lines();
    assert_eq!(lines.next(), Some("words"), "{words:?}: {}", done.text());
    let lines = lines.map(|line| line.split_once('\t').expect("a word and what is said of it"));
    lines.map(|(word, about)| (word.to_owned(), about.to_owned())).collect()
}

fn words(words: &[&str]) -> Vec<String> {
    offered(Llmx::new(&[]).config(CONFIG), words).into_iter().map(|(word, _)| word).collect()
}

#[test]
fn the_scripts_in_the_project_are_what_llmx_prints() {
    for (shell, file) in SCRIPTS {
        let path = scripts().join(file);
        let kept = std::fs::read_to_string(&path).expect("readable");
        let printed = Llmx::new(&["completions", shell]).run().exits(0).stays_quiet();
        let advice = format!("write it anew: cargo run -- completions {shell} > completions/{file}");
        assert_eq!(printed.text(), kept, "{advice}");
    }
    let kept = std::fs::read_dir(scripts()).expect("the folder").count();
    assert_eq!(kept, SCRIPTS.len(), "a script that no shell has");
}

#[test]
fn every_command_and_flag_of_the_help_is_offered() {
    let mut commands = vec![Vec::new()];
    let mut count = 0;
    while let Some(command) = commands.pop() {
        let mut asked: Vec<&str> = command.iter().map(String::as_str).collect();
        let help = Llmx::new(&asked).args(&["--help"]).run().exits(0);
        let section = |name: &str| {
            let lines = help.text().lines().skip_while(|line| *line != name).skip(1);
            lines.take_while(|line| line.is_empty() || line.starts_with(' ')).map(str::to_owned).collect::<Vec<_>>()
        };
        let below = section("Commands:");
        for line in below.iter().filter(|line| line.starts_with("  ") && !line.starts_with("   ")) {
            let name = line.split_whitespace().next().expect("a name");
            let offered = words(&[&asked[..], &[name]].concat());
            assert!(offered.iter().any(|word| word == name), "{command:?} {name}: {offered:?}");
            commands.push(command.iter().cloned().chain([name.to_owned()]).collect());
        }
        asked.push("--");
        let offered = words(&asked);
        let flags: Vec<String> = section("Options:")
            .iter()
            .filter_map(|line| {
                let flag = line.trim_start().split([' ', '[', '=']).find(|word| word.starts_with("--"))?;
                // Dots: it may be given again.
                line.trim_start().starts_with('-').then(|| flag.trim_end_matches('.').to_owned())
            })
            .collect();
        for flag in &flags {
            assert!(offered.contains(flag), "{command:?} {flag}: {offered:?}");
            count += 1;
        }
        assert!(flags.iter().any(|flag| flag == "--help"), "{command:?}: {flags:?}");
    }
    assert!(count > 200, "{count} flags were looked at");
}

#[test]
fn a_hidden_command_or_flag_is_not_offered_and_one_that_was_given_is_not_offered_again() {
    assert!(!words(&[""]).iter().any(|word| word.starts_with('_')));
    assert_eq!(words(&["chat", "--str"]), [""; 0]);
    assert_eq!(words(&["chat", "--dry"]), ["--dry-run"]);
    assert_eq!(words(&["chat", "--dry-run", "--dry"]), [""; 0]);
    assert_eq!(words(&["chat", "--attach", "a.png", "--att"]), ["--attach"]);
}

#[test]
fn values_that_a_flag_has_are_offered() {
    assert_eq!(words(&["chat", "--effort", "m"]), ["minimal", "medium", "max"]);
    assert_eq!(words(&["chat", "--color=n"]), ["--color=never"]);
    assert_eq!(words(&["compare", "--require", ""]), ["all", "any"]);
    assert_eq!(words(&["ledger", "resolve", "x", "--as", ""]), ["nothing", "ceiling"]);
    assert_eq!(words(&["budget", "set", "x", "5/day", "--zone", "Europe/Berl"]), ["Europe/Berlin"]);
}

#[test]
fn models_are_those_of_the_catalog_the_price_table_and_the_configuration() {
    let all = words(&["chat", "-m", ""]);
    assert_eq!(all[..2], ["fast", "route/auto"]);
    assert!(all.contains(&"openai/".to_owned()) && !all.iter().any(|word| word.starts_with("group:")), "{all:?}");
    assert!(words(&["chat", "-m", "openai/gpt-4o-m"]).contains(&"openai/gpt-4o-mini".to_owned()));
    assert!(words(&["-m", "sim/"]).contains(&"sim/echo".to_owned()));
    assert_eq!(words(&["compare", "-m", "fast,group:"]), ["fast,group:cheap"]);
    assert_eq!(words(&["test-access", "--models=group:"]), ["--models=group:cheap"]);
    assert_eq!(words(&["chat", "--fallback", "group:"]), [""; 0]);
    assert_eq!(words(&["models", "show", "fas"]), ["fast"]);
    assert!(words(&["chat", "-m", "bedrock@eu-"]).contains(&"bedrock@eu-west-1/".to_owned()));
    let here = words(&["chat", "-mbedrock@eu-west-1/anthropic.claude-sonnet-"]);
    assert!(!here.is_empty() && here.iter().all(|word| word.starts_with("-mbedrock@eu-west-1/anthropic.")), "{here:?}");
    let own =
        "[provider.mine]\nname = \"Mine\"\napi = [\"chat\"]\nbase_url = \"http://localhost:1\"\nmodels = [\"one\"]\n";
    let llmx = || Llmx::new(&[]).config(own);
    assert_eq!(offered(llmx(), &["chat", "-m", "min"])[0].0, "minimax/");
    assert!(offered(llmx(), &["chat", "-m", "mi"]).iter().any(|(word, _)| word == "mine/"));
    assert_eq!(offered(llmx(), &["chat", "-m", "mine/"]), [("mine/one".to_owned(), String::new())]);
}

#[test]
fn what_worked_in_the_last_access_test_comes_first_with_its_age() {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_millis();
    let entry = |name: &str, class: &str, days: u128, profile: &str| {
        let (provider, model) = name.split_once('/').expect("both");
        format!(
            "{{\"name\":\"{name}\",\"provider\":\"{provider}\",\"model\":\"{model}\",\"region\":null,\"profile\":{profile},\
             \"class\":\"{class}\",\"at_ms\":{},\"first_token_ms\":null}}",
            now - days * 86_400_000 - 1_000
        )
    };
    let entries = [
        entry("openai/gpt-4o", "ok", 9, "null"),
        entry("groq/one", "ok", 3, "null"),
        entry("openai/gpt-4o-mini", "no-key", 0, "null"),
        entry("bedrock/two", "ok", 0, "\"dev\""),
    ];
    let text = format!("{{\"schema\":1,\"entries\":[{}]}}", entries.join(","));
    let llmx = || Llmx::new(&[]).config(CONFIG).file(".local/share/llmx/access.json", &text);
    let all = offered(llmx(), &["chat", "-m", ""]);
    assert_eq!(all[0], ("groq/one".to_owned(), "worked 3 days ago".to_owned()));
    assert_eq!(all[1], ("openai/gpt-4o".to_owned(), "worked 9 days ago: stale, test-access asks again".to_owned()));
    assert_eq!(all[2].0, "fast");
    assert!(!all.iter().any(|(word, _)| word == "bedrock/two"), "it needs --profile");
    assert_eq!(offered(llmx(), &["chat", "-m", "openai/"])[0].0, "openai/gpt-4o");
}

#[test]
fn names_come_from_the_books_that_the_line_means() {
    let folder = tempfile::tempdir().expect("a folder");
    let db = folder.path().join("mine.db");
    let db = db.to_str().expect("UTF-8");
    let who = ["--project", "shop", "--user", "eve", "--team", "pay", "--session", "night 7", "--tag", "env=ci"];
    Llmx::chat(&["-m", "sim/echo", "--db", db, "hi"]).args(&who).run().exits(0);
    Llmx::new(&["compare", "-m", "sim/echo,sim/lorem", "--db", db, "--project", "odd name", "hi"]).run().exits(0);
    Llmx::new(&["budget", "set", "eng-a", "50/day", "--db", db]).run().exits(0);
    let ask = |words: &[&str]| offered(Llmx::new(&[]).config(CONFIG), words);
    let names = |words: &[&str]| ask(words).into_iter().map(|(word, _)| word).collect::<Vec<_>>();
    assert_eq!(names(&["chat", "--db", db, "--project", ""]), ["odd name", "shop"]);
    assert_eq!(names(&["chat", "--db", db, "--project=s"]), ["--project=shop"]);
    assert_eq!(names(&["chat", "--project", ""]), [""; 0], "other books");
    assert!(names(&["chat", "--db", db, "--user", ""]).contains(&"eve".to_owned()));
    assert_eq!(names(&["chat", "--db", db, "--team", ""]), ["pay"]);
    assert_eq!(names(&["compare", "--db", db, "--session", ""]), ["night 7"]);
    assert_eq!(names(&["chat", "--db", db, "--tag", "env"]), ["env=ci"]);
    assert_eq!(names(&["logs", "show", "--db", db, ""]).len(), 4, "three calls and a group");
    let calls = ask(&["ledger", "resolve", "--db", db, ""]);
    assert!(calls.len() == 3 && calls[2].1.starts_with("chat sim/echo, "), "{calls:?}");
    let budgets = ask(&["budget", "rm", "--db", db, ""]);
    assert_eq!(budgets[0], ("eng-a".to_owned(), "$50/day".to_owned()));
    assert!(budgets[1].0 == "files" && budgets[1].1.ends_with("config.toml"), "{budgets:?}");
}

#[test]
fn nothing_is_written_and_nothing_is_said_whatever_the_line_holds() {
    for line in [
        &["chat", "--project", ""][..],
        &["budget", "rm", ""],
        &["chat", "-m", ""],
        &["\u{1b}[31m", "-", "--", "--x=", ""],
        &["chat", "-m", "nobody/"],
        &["chat", "-m", "é,@/"],
        &["compare", "--diff=", "-x="],
    ] {
        for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
            let llmx = Llmx::new(&["__complete", shell, "--", "llmx"]).config("model = [broken").args(line);
            let home = llmx.path().join(".local");
            llmx.run().exits(0).stays_quiet();
            assert!(!home.exists());
        }
    }
    Llmx::new(&["__complete", "bash"]).run().exits(0).stays_quiet();
    Llmx::new(&["__complete", "zsh", "--"]).run().exits(0).stays_quiet();
}

#[test]
fn bash_is_given_what_it_replaces_and_nothing_that_it_would_run() {
    let config = CONFIG.replace("[group]\n", "[group]\n\"a b$(c)\" = [\"sim/echo\"]\n");
    let ask = |line: &str, replaced: &str| {
        let done =
            Llmx::new(&["__complete", "bash", "--", line, replaced]).config(&config).run().exits(0).stays_quiet();
        done.text().lines().skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(ask("llmx compare -m group:ch", "ch"), ["cheap"]);
    assert_eq!(ask("llmx compare -m group:a", "a"), ["a\\ b\\$\\(c\\)"]);
    assert_eq!(ask("llmx compare -m \"group:a", "group:a"), ["group:a b\\$(c)"]);
    assert_eq!(ask("llmx compare --model=fast,rou", "fast,rou"), [""; 0]);
    assert_eq!(ask("llmx chat -m vertex@glo", "glo"), ["global/"]);
    assert_eq!(ask("llmx chat --model=route/", "route/"), ["route/auto"]);
}

#[cfg(unix)]
mod before_a_person {
    use std::io::Write as _;
    use std::num::NonZeroU16;
    use std::process::Child;
    use std::sync::Arc;
    use std::sync::mpsc::Receiver;

    use super::common::binary::Llmx;
    use super::common::server::PATIENCE;
    use super::common::sitting::pieces;
    use super::{CONFIG, scripts};
    use pty_process::blocking::{Command, Pty};
    use vt100::Parser;

    /// A shell at a terminal, in a folder with two files, and books with a project that has a space in its name.
    struct Shell {
        pty: Arc<Pty>,
        child: Child,
        pieces: Receiver<Vec<u8>>,
        parser: Parser,
        _folder: tempfile::TempDir,
    }

    const ROWS: u16 = 40;
    const COLUMNS: u16 = 200;
    const PROMPT: &str = "ready> ";

    impl Shell {
        /// `None`, with a word on it, where this machine has no such shell.
        fn start(name: &str, args: &[&str], set_up: &str) -> Option<Shell> {
            let places = std::env::var_os("PATH").unwrap_or_default();
            let Some(program) =
                std::env::split_paths(&places).map(|place| place.join(name)).find(|path| path.is_file())
            else {
                eprintln!("skipped: {name} is not installed");
                return None;
            };
            let books = Llmx::chat(&["-m", "sim/echo", "--project", "odd name", "hi"])
                .config(CONFIG)
                .file("notes.txt", "")
                .file("odd notes.md", "")
                .file("folder/x", "");
            let (mut booked, folder) = books.into_parts();
            assert!(booked.output().expect("the binary starts").status.success());
            let (pty, pts) = pty_process::blocking::open().expect("a pseudo-terminal");
            pty.resize(pty_process::Size::new(ROWS, COLUMNS)).expect("has a size");
            let llmx = std::path::Path::new(env!("CARGO_BIN_EXE_llmx"));
            let mut path = llmx.parent().expect("a folder").as_os_str().to_owned();
            path.push(":");
            path.push(&places);
            let child = Command::new(program)
                .args(args)
                .env_clear()
                .env("PATH", path)
                .env("HOME", folder.path())
                .env("XDG_CONFIG_HOME", folder.path().join("config"))
                .env("TERM", "xterm")
                .env("LC_ALL", "C.UTF-8")
                .env("SCRIPTS", scripts())
                .current_dir(folder.path())
                .spawn(pts)
                .expect("the shell starts");
            let size = |count: u16| NonZeroU16::new(count).expect("not zero");
            let pty = Arc::new(pty);
            let pieces = pieces(&pty);
            let mut shell =
                Shell { pty, child, pieces, parser: Parser::new(size(ROWS), size(COLUMNS), 0), _folder: folder };
            shell.type_in(&format!("{set_up}\n"));
            shell.await_line(PROMPT);
            Some(shell)
        }

        fn type_in(&self, keys: &str) {
            (&*self.pty).write_all(keys.as_bytes()).expect("typed");
        }

        /// Waits until the line of the cursor is this one, with the cursor at its end.
        #[track_caller]
        fn await_line(&mut self, line: &str) {
            loop {
                let screen = self.parser.screen();
                let (row, column) = screen.cursor_position();
                let shown = screen.contents_between(row, 0, row, column);
                if shown.trim_end() == line.trim_end() && usize::from(column) == line.chars().count() {
                    return;
                }
                match self.pieces.recv_timeout(PATIENCE) {
                    Ok(piece) => self.parser.process(&piece),
                    Err(_) => panic!("\"{line}\" never came; what is there: {}", screen.contents()),
                }
            }
        }

        /// Types a line and a Tab, and waits for what becomes of it.
        #[track_caller]
        fn completes(&mut self, typed: &str, line: &str) {
            self.type_in(typed);
            self.await_line(&format!("{PROMPT}{typed}"));
            self.type_in("\t");
            self.await_line(&format!("{PROMPT}{line}"));
            // Control-U: the line is emptied.
            self.type_in("\u{15}");
            self.await_line(PROMPT);
        }
    }

    impl Drop for Shell {
        fn drop(&mut self) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }

    /// What every shell writes alike.
    #[track_caller]
    fn completes_alike(shell: &mut Shell) {
        for (typed, line) in [
            ("llmx bud", "llmx budget "),
            ("llmx chat --dry", "llmx chat --dry-run "),
            ("llmx chat --effort hi", "llmx chat --effort high "),
            ("llmx chat -m sim/ec", "llmx chat -m sim/echo "),
            ("llmx chat -m rout", "llmx chat -m route/auto "),
            ("llmx chat -m groq", "llmx chat -m groq/"),
            ("llmx chat -m vertex@glo", "llmx chat -m vertex@global/"),
            ("llmx chat --model=sim/ec", "llmx chat --model=sim/echo "),
            ("llmx compare -m group:ch", "llmx compare -m group:cheap "),
            ("llmx compare -m vertex@global/x,fas", "llmx compare -m vertex@global/x,fast "),
            ("llmx compare --model=group:cheap,grou", "llmx compare --model=group:cheap,group:cheap "),
            ("llmx budget rm fi", "llmx budget rm files "),
            ("llmx chat --project odd", "llmx chat --project odd\\ name "),
            ("llmx chat -f not", "llmx chat -f notes.txt "),
            ("llmx chat --file odd", "llmx chat --file odd\\ notes.md "),
            ("llmx chat --file=not", "llmx chat --file=notes.txt "),
            ("llmx chat -s @not", "llmx chat -s @notes.txt "),
            ("llmx chat --system=@not", "llmx chat --system=@notes.txt "),
            ("llmx man --dir fo", "llmx man --dir folder/"),
        ] {
            shell.completes(typed, line);
        }
    }

    #[test]
    fn bash_completes_names_with_colons_slashes_and_at_signs() {
        let set_up = "bind 'set enable-bracketed-paste off'; bind 'set bell-style none'; PS1='ready> '; . \"$SCRIPTS/llmx.bash\"";
        if let Some(mut shell) = Shell::start("bash", &["--norc", "--noprofile", "-i"], set_up) {
            completes_alike(&mut shell);
            shell.completes("true | llmx chat -m sim/ec", "true | llmx chat -m sim/echo ");
            shell.completes("X=1 llmx chat -m vertex@glo", "X=1 llmx chat -m vertex@global/");
        }
    }

    #[test]
    fn zsh_completes_names_with_colons_slashes_and_at_signs() {
        let set_up = "unsetopt prompt_sp zle_bracketed_paste 2>/dev/null; unset zle_bracketed_paste; setopt no_beep; fpath=($SCRIPTS $fpath); \
            autoload -U compinit; compinit -u -D; PROMPT='ready> '";
        if let Some(mut shell) = Shell::start("zsh", &["-f", "-i"], set_up) {
            completes_alike(&mut shell);
            shell.completes("true | llmx chat -m sim/ec", "true | llmx chat -m sim/echo ");
        }
    }

    #[test]
    fn fish_completes_names_with_colons_slashes_and_at_signs() {
        let set_up = "set -g fish_autosuggestion_enabled 0; set -g fish_greeting; source $SCRIPTS/llmx.fish; \
            function fish_right_prompt; end; function fish_mode_prompt; end; function fish_prompt; echo -n 'ready> '; end";
        if let Some(mut shell) = Shell::start("fish", &["--no-config", "-i"], set_up) {
            completes_alike(&mut shell);
            shell.completes("true | llmx chat -m sim/ec", "true | llmx chat -m sim/echo ");
        }
    }
}
