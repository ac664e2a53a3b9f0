//! `llmx chat` before a person: through a pseudo-terminal, with a screen that shows what really stands there.

#![cfg(unix)]

mod common;

use std::io::{Read as _, Write as _};
use std::num::NonZeroU16;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};

use common::binary::{CANARY, KEY, Llmx};
use common::bodies::{CHAT_USAGE, DONE, chat_stream, chunk, says};
use common::server::{PATIENCE, Script, Server};
use common::sitting::pieces;
use pty_process::blocking::{Command, Pty};
use serde_json::json;
use vt100::{Callbacks, MouseProtocolMode, Parser, Screen};

const ROWS: u16 = 60;

/// Someone who sits before the terminal.
struct Sitting {
    pty: Arc<Pty>,
    child: Child,
    pieces: Receiver<Vec<u8>>,
    bytes: Vec<u8>,
    columns: u16,
    _folder: tempfile::TempDir,
}

/// What was seen when it was over.
struct Seen {
    code: Option<i32>,
    bytes: Vec<u8>,
    screen: Screen,
    steered: Vec<String>,
    /// Standard error, where it was a pipe.
    err: String,
}

/// Where only one of the streams is a terminal, which one is a pipe.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pipe {
    None,
    Out,
    Err,
}

fn sit(llmx: Llmx, columns: u16) -> Sitting {
    sit_with(llmx, columns, Pipe::None)
}

fn sit_with(llmx: Llmx, columns: u16, pipe: Pipe) -> Sitting {
    let (command, folder) = llmx.into_parts();
    let (pty, pts) = pty_process::blocking::open().expect("a pseudo-terminal");
    pty.resize(pty_process::Size::new(ROWS, columns)).expect("has a size");
    let environment = command.get_envs().filter_map(|(name, value)| Some((name, value?)));
    let mut sat = Command::new(command.get_program()).args(command.get_args()).env_clear().envs(environment);
    if command.get_envs().all(|(name, _)| name != "TERM") {
        sat = sat.env("TERM", "xterm-256color");
    }
    sat = match pipe {
        Pipe::None => sat,
        Pipe::Out => sat.stdout(Stdio::piped()),
        Pipe::Err => sat.stderr(Stdio::piped()),
    };
    let child = sat.current_dir(folder.path()).spawn(pts).expect("the binary starts");
    let pty = Arc::new(pty);
    let pieces = pieces(&pty);
    Sitting { pty, child, pieces, bytes: Vec::new(), columns, _folder: folder }
}

impl Sitting {
    fn await_text(&mut self, text: &str) {
        while !String::from_utf8_lossy(&self.bytes).contains(text) {
            match self.pieces.recv_timeout(PATIENCE) {
                Ok(piece) => self.bytes.extend(piece),
                Err(_) => panic!("\"{text}\" never came; what came: {}", String::from_utf8_lossy(&self.bytes)),
            }
        }
    }

    fn type_in(&self, keys: &[u8]) {
        (&*self.pty).write_all(keys).expect("typed");
    }

    fn end(mut self) -> Seen {
        let ended = loop {
            match self.pieces.recv_timeout(PATIENCE) {
                Ok(piece) => self.bytes.extend(piece),
                Err(RecvTimeoutError::Disconnected) => break true,
                Err(RecvTimeoutError::Timeout) => break false,
            }
        };
        if !ended {
            let _ = self.child.kill();
        }
        let mut err = String::new();
        if let Some(mut pipe) = self.child.stderr.take() {
            pipe.read_to_string(&mut err).expect("UTF-8");
        }
        let code = self.child.wait().expect("waited for").code();
        let shown = String::from_utf8_lossy(&self.bytes).into_owned();
        assert!(ended, "it never ended; what came: {shown}");
        assert!(!shown.contains(CANARY) && !shown.contains("panicked"), "{shown}");
        let size = |count: u16| NonZeroU16::new(count).expect("not zero");
        let mut parser = Parser::new_with_callbacks(size(ROWS), size(self.columns), 0, Steered::default());
        parser.process(&self.bytes);
        let steered = std::mem::take(&mut parser.callbacks_mut().0);
        Seen { code, bytes: self.bytes, screen: parser.screen().clone(), steered, err }
    }
}

/// Everything that a program may make a terminal do beside showing text.
#[derive(Default)]
struct Steered(Vec<String>);

impl Callbacks for Steered {
    fn audible_bell(&mut self, _: &mut Screen) {
        self.0.push("bell".into());
    }
    fn visual_bell(&mut self, _: &mut Screen) {
        self.0.push("visual bell".into());
    }
    fn resize(&mut self, _: &mut Screen, _: (u16, u16)) {
        self.0.push("resize".into());
    }
    fn set_window_icon_name(&mut self, _: &mut Screen, _: &[u8]) {
        self.0.push("icon".into());
    }
    fn set_window_title(&mut self, _: &mut Screen, _: &[u8]) {
        self.0.push("title".into());
    }
    fn copy_to_clipboard(&mut self, _: &mut Screen, _: &[u8], _: &[u8]) {
        self.0.push("clipboard".into());
    }
    fn paste_from_clipboard(&mut self, _: &mut Screen, _: &[u8]) {
        self.0.push("paste".into());
    }
    fn unhandled_char(&mut self, _: &mut Screen, character: char) {
        self.0.push(format!("character {character:?}"));
    }
    fn unhandled_control(&mut self, _: &mut Screen, byte: u8) {
        self.0.push(format!("control {byte}"));
    }
    fn unhandled_escape(&mut self, _: &mut Screen, _: Option<u8>, _: Option<u8>, byte: u8) {
        self.0.push(format!("escape {byte}"));
    }
    fn unhandled_csi(&mut self, _: &mut Screen, _: Option<u8>, _: Option<u8>, _: &[&[u16]], last: char) {
        self.0.push(format!("CSI {last}"));
    }
    fn unhandled_osc(&mut self, _: &mut Screen, _: &[&[u8]]) {
        self.0.push("OSC".into());
    }
}

impl Seen {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// The lines on the screen, without the empty ones at its end and without the line of what was consumed.
    fn lines(&self) -> Vec<String> {
        let mut lines = self.all_lines();
        if lines.last().is_some_and(|line| line.contains(" · ") && line.contains("unpriced")) {
            lines.pop();
        }
        while lines.last().is_some_and(String::is_empty) {
            lines.pop();
        }
        lines
    }

    fn all_lines(&self) -> Vec<String> {
        self.screen.contents().trim_end().lines().map(|line| line.trim_end().to_owned()).collect()
    }

    #[track_caller]
    fn exits(self, code: i32) -> Seen {
        assert_eq!(self.code, Some(code), "{}", self.text());
        self
    }

    /// Nothing but text was shown, and the terminal is as it was before.
    #[track_caller]
    fn leaves_the_terminal_alone(self) -> Seen {
        assert!(self.steered.is_empty(), "{:?}", self.steered);
        let screen = &self.screen;
        assert!(!screen.alternate_screen() && !screen.hide_cursor() && !screen.bracketed_paste());
        assert!(!screen.application_cursor() && !screen.application_keypad());
        assert_eq!(screen.mouse_protocol_mode(), MouseProtocolMode::None);
        assert_eq!((screen.fgcolor(), screen.bgcolor()), (vt100::Color::Default, vt100::Color::Default));
        assert!(!screen.bold() && !screen.italic() && !screen.underline() && !screen.inverse());
        self
    }

    /// Whether any sequence sets a colour or another attribute.
    fn has_attributes(&self) -> bool {
        let text = self.text();
        text.split("\u{1b}[").skip(1).any(|rest| {
            rest.find(|character: char| !character.is_ascii_digit() && character != ';')
                .is_some_and(|at| rest[at..].starts_with('m'))
        })
    }
}

const MARKDOWN: &str =
    "# Lakes\n\nComo is **deep** and `cold`.\n\n- one\n- two\n\n```rust\nlet depth = 425; // m\n```\n";

fn speaking(text: &str) -> Server {
    Server::new(Script::stream(chat_stream(text)))
}

#[test]
fn markdown_is_rendered_in_colour_before_a_person_and_nowhere_else() {
    let server = speaking(MARKDOWN);
    let seen = sit(Llmx::openai(&server, &["x"]), 80).end().exits(0).leaves_the_terminal_alone();
    let lines = seen.lines().join("\n");
    assert!(lines.contains("Lakes") && lines.contains("Como is deep and cold."), "{lines}");
    assert!(!lines.contains("**") && !lines.contains("```") && !lines.contains("# Lakes"), "{lines}");
    assert!(lines.contains("let depth = 425; // m"), "{lines}");
    assert!(seen.has_attributes());
    Llmx::openai(&server, &["x"]).env("TERM", "xterm-256color").run().exits(0).prints(MARKDOWN);
    let raw = sit(Llmx::openai(&server, &["--raw", "x"]), 80).end().exits(0);
    assert_eq!(raw.lines().join("\n"), MARKDOWN.trim_end());
    assert!(!raw.has_attributes());
}

#[test]
fn who_types_llmx_alone_is_told_what_to_type() {
    let seen = sit(Llmx::new(&[]), 80).end().exits(2);
    let all = seen.all_lines().join(" ");
    assert!(all.contains("there is nothing to ask") && all.contains("llmx chat -m sim/echo \"hello\""), "{all}");
}

#[test]
fn the_providers_fit_the_screen_and_end_in_those_that_are_here() {
    for columns in [80, 200] {
        let seen = sit(Llmx::new(&["providers"]).env("GROQ_API_KEY", KEY), columns).end().exits(0);
        let all = String::from_utf8_lossy(&seen.bytes).into_owned();
        assert!(all.lines().all(|line| line.trim_end().chars().count() <= usize::from(columns)), "{all}");
        assert!(all.trim_end().ends_with("have a credential here: groq"), "{all}");
        assert_eq!(all.contains("speaks"), columns == 200);
    }
}

#[test]
fn what_was_consumed_stands_below_the_answer_unless_quiet() {
    let server = speaking("Como.");
    let seen = sit(Llmx::openai(&server, &["x"]), 80).end().exits(0);
    let last = seen.all_lines().pop().unwrap_or_default();
    assert!(last.contains(" in · ") && last.contains(" out · ") && last.contains(" first · "), "{last}");
    let quiet = sit(Llmx::openai(&server, &["-q", "x"]), 80).end().exits(0);
    assert_eq!(quiet.all_lines(), ["Como."]);
}

#[test]
fn what_is_traced_never_stands_within_an_answer_and_nothing_moves_beside_it() {
    let pieces = MARKDOWN.split_inclusive('\n').map(says);
    let script = pieces.fold(Script::events(), |script, piece| script.piece(piece));
    let server = Server::new(script.piece(chat_stream("")).end());
    let plain = sit(Llmx::openai(&server, &["-q", "x"]), 80).end().exits(0);
    let traced = sit(Llmx::openai(&server, &["-q", "-vv", "x"]), 160).end().exits(0).leaves_the_terminal_alone();
    let (answer, all) = (plain.all_lines().join("\n"), traced.all_lines().join("\n"));
    assert!(all.contains(&answer), "{all}");
    let (before, after) = all.split_once(&answer).expect("the answer");
    assert!(before.contains("answer begins") && !before.contains("settle") && after.contains("settle"), "{all}");
}

#[test]
fn no_color_takes_the_colour_and_leaves_the_layout() {
    let server = speaking(MARKDOWN);
    let plain = |value| Llmx::openai(&server, &["x"]).env("NO_COLOR", value);
    for llmx in [plain("1"), plain("0"), plain("no"), Llmx::openai(&server, &["--color", "never", "x"])] {
        let seen = sit(llmx, 80).end().exits(0).leaves_the_terminal_alone();
        assert!(!seen.has_attributes(), "{:?}", seen.text());
        assert!(seen.lines().join("\n").contains("Como is deep and "), "{:?}", seen.lines());
        assert!(seen.lines().contains(&"  let depth = 425; // m".to_owned()), "{:?}", seen.lines());
    }
    let empty = sit(Llmx::openai(&server, &["x"]).env("NO_COLOR", ""), 80).end().exits(0);
    assert!(empty.has_attributes());
}

#[test]
fn a_pipe_is_in_colour_only_where_that_is_asked_for() {
    type Asked = (&'static [&'static str], &'static [(&'static str, &'static str)], bool);
    let cases: [Asked; 12] = [
        (&[], &[], false),
        (&[], &[("FORCE_COLOR", "1")], true),
        (&[], &[("FORCE_COLOR", "0")], false),
        (&[], &[("CLICOLOR_FORCE", "1")], true),
        (&[], &[("CLICOLOR_FORCE", "0")], false),
        (&[], &[("CLICOLOR_FORCE", "")], false),
        (&[], &[("FORCE_COLOR", "1"), ("NO_COLOR", "0")], false),
        (&[], &[("FORCE_COLOR", "1"), ("NO_COLOR", "")], true),
        (&["--color", "always"], &[("NO_COLOR", "1")], true),
        (&["--color", "always"], &[("TERM", "dumb")], true),
        (&["--color", "never"], &[("FORCE_COLOR", "1"), ("CLICOLOR_FORCE", "1")], false),
        (&["--color", "auto"], &[], false),
    ];
    let server = speaking(MARKDOWN);
    for (args, variables, colour) in cases {
        let llmx = Llmx::openai(&server, &["x"]).args(args).env("TERM", "xterm-256color");
        let done = variables.iter().fold(llmx, |llmx, (name, value)| llmx.env(name, value)).run().exits(0);
        assert_eq!(done.text().contains("\u{1b}["), colour, "{args:?} {variables:?}");
        assert!(colour || done.text() == MARKDOWN, "{args:?} {variables:?}");
    }
}

#[test]
fn a_dumb_terminal_gets_no_escape_at_all() {
    let server = speaking(MARKDOWN);
    let seen = sit(Llmx::openai(&server, &["x"]).env("TERM", "dumb"), 80).end().exits(0);
    assert!(!seen.bytes.contains(&0x1b), "{:?}", seen.text());
    assert!(seen.text().contains("Como"));
}

#[test]
fn words_are_never_broken_at_the_edge_of_the_screen() {
    let prose = "The lake is deep because a glacier carved it, and cold because the sun does not reach its bottom.";
    let server = speaking(&format!("{prose}\n\n- {prose}\n"));
    for columns in [80, 40, 20] {
        let seen = sit(Llmx::openai(&server, &["-q", "x"]), columns).end().exits(0).leaves_the_terminal_alone();
        let wrapped = (0..ROWS).filter(|row| seen.screen.row_wrapped(*row)).count();
        assert_eq!(wrapped, 0, "{:?}", seen.lines());
        let words: Vec<String> = seen.lines().join(" ").split_whitespace().map(str::to_owned).collect();
        let said: Vec<&str> =
            words.iter().map(String::as_str).filter(|word| word.chars().any(char::is_alphabetic)).collect();
        let twice: Vec<&str> = prose.split_whitespace().chain(prose.split_whitespace()).collect();
        assert_eq!(said, twice, "at {columns} columns");
    }
}

#[test]
fn the_narrowest_screens_show_the_answer_all_the_same() {
    let server = speaking("naïve 日本語 👩‍👩‍👧 שלום\n\n| a | b |\n|---|---|\n| 1 | 2 |\n");
    for columns in [1, 2, 5, 8] {
        let seen = sit(Llmx::openai(&server, &["x"]), columns).end().exits(0);
        assert!(seen.steered.is_empty(), "{:?}", seen.steered);
    }
    for columns in ["1", "5", "0", "wide", "99999999999"] {
        sit(Llmx::openai(&server, &["x"]).env("COLUMNS", columns), 80).end().exits(0);
    }
}

#[test]
fn the_sign_of_waiting_leaves_nothing_behind() {
    let answer = chat_stream("fine");
    let server = Server::new(Script::bare().gate("asked").raw("HTTP/1.1 200 OK\r\n\r\n").raw(answer));
    let mut sitting = sit(Llmx::openai(&server, &["x"]), 80);
    sitting.await_text("waiting for openai/gpt-4o");
    server.open("asked");
    let seen = sitting.end().exits(0).leaves_the_terminal_alone();
    assert_eq!(seen.lines(), ["fine"]);
    assert_eq!(seen.screen.cursor_position(), (2, 0), "below the line of what was consumed");
}

#[test]
fn the_sign_of_waiting_leaves_nothing_behind_a_failure_either() {
    let server = Server::new(Script::bare().gate("asked").raw("HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n"));
    let mut sitting = sit(Llmx::openai(&server, &["--retries", "0", "x"]), 80);
    sitting.await_text("waiting for");
    server.open("asked");
    let seen = sitting.end().exits(6).leaves_the_terminal_alone();
    assert!(seen.lines()[0].starts_with("llmx: openai/gpt-4o: overloaded:"), "{:?}", seen.lines());
    assert!(!seen.lines().join("").contains("waiting"));
}

#[test]
fn each_stream_is_looked_at_by_itself() {
    let server = speaking(MARKDOWN);
    // The answer goes to the screen, the rest into a file: it stays free of escapes.
    let seen = sit_with(Llmx::openai(&server, &["-v", "x"]), 80, Pipe::Err).end().exits(0);
    assert!(seen.has_attributes());
    assert!(!seen.err.contains(['\u{1b}', '\r']) && !seen.err.contains("waiting"), "{:?}", seen.err);
    assert!(seen.err.contains("OPENAI_API_KEY"));
    // The answer goes into a file, the rest to the screen.
    let mut sitting = sit_with(Llmx::openai(&server, &["x"]), 80, Pipe::Out);
    let mut out = String::new();
    sitting.child.stdout.take().expect("piped").read_to_string(&mut out).expect("UTF-8");
    let seen = sitting.end().exits(0).leaves_the_terminal_alone();
    assert_eq!((out.as_str(), seen.lines().len()), (MARKDOWN, 0));
}

/// More than 200 sequences that would steer a terminal, each between two letters.
fn hostile() -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    all.extend((0x20..0x7f_u8).map(|byte| format!("\u{1b}{}", char::from(byte))));
    all.extend((0x80..0xa0_u32).filter_map(char::from_u32).map(String::from));
    all.extend((b'@'..=b'~').map(|byte| format!("\u{1b}[1;2{}", char::from(byte))));
    all.extend((b'@'..=b'~').map(|byte| format!("\u{9b}5{}", char::from(byte))));
    all.extend(
        [0, 1, 2, 4, 7, 8, 9, 10, 11, 50, 52, 104, 133, 777, 1337].map(|code| format!("\u{1b}]{code};aGk=\u{7}")),
    );
    all.extend([1, 3, 5, 6, 7, 25, 47, 1000, 1002, 1003, 1006, 1049, 2004].map(|mode| format!("\u{1b}[?{mode}h")));
    for text in [
        "\u{1b}c",
        "\u{1b}P+q544e\u{1b}\\",
        "\u{1b}_Gi=1\u{1b}\\",
        "\u{1b}^x\u{1b}\\",
        "\u{1b}]8;;http://x\u{1b}\\y\u{1b}]8;;\u{1b}\\",
        "\u{7}",
        "\u{8}",
        "\u{b}",
        "\u{c}",
        "\u{e}",
        "\u{f}",
        "\u{0}",
        "\u{7f}",
        "\u{1b}[6n",
        "\u{1b}[c",
        "\u{1b}[201~",
        "\r",
    ] {
        all.push(text.to_owned());
    }
    all
}

#[test]
fn no_escape_of_a_model_reaches_the_terminal_however_it_is_cut() {
    let sequences = hostile();
    assert!(sequences.len() > 200, "{}", sequences.len());
    for forms in
        [sequences.join("x"), format!("`{}`", sequences.join("x")), format!("```\n{}\n```\n", sequences.join("x\n"))]
    {
        let whole = Script::stream(chat_stream(&forms));
        let by_character: String = forms.chars().map(|character| says(&character.to_string())).collect();
        let pieces = Script::stream(format!("{by_character}{}{CHAT_USAGE}{DONE}", chunk(&json!({}), Some("stop"))));
        for script in [whole, pieces] {
            let server = Server::new(script);
            for args in [&["x"][..], &["--raw", "x"], &["-j", "x"], &["--jsonl", "x"]] {
                let seen = sit(Llmx::openai(&server, args), 80).end().exits(0).leaves_the_terminal_alone();
                let controls =
                    |character: char| character.is_control() && !matches!(character, '\n' | '\r' | '\t' | '\u{1b}');
                let text = seen.text();
                assert!(!text.contains(controls), "{args:?}");
                assert!(
                    !text.contains("\u{1b}]") && !text.contains("\u{1b}[6n") && !text.contains("\u{1b}[c"),
                    "{args:?}"
                );
            }
        }
    }
}

#[test]
fn no_escape_in_thinking_errors_or_names_reaches_the_terminal() {
    let words = hostile().join("x");
    for script in [
        Script::json(400, json!({"error": {"message": words, "type": words}}).to_string()),
        Script::whole(502, "text/html", format!("<title>{words}</title>")),
        Script::stream(chunk(&json!({"reasoning_content": words}), None) + &chat_stream("fine")),
        Script::stream(chunk(&json!({"refusal": words}), None) + &chunk(&json!({}), Some("stop"))),
        Script::stream(says("fine") + &chunk(&json!({}), Some(&words))),
    ] {
        let server = Server::new(script);
        let seen = sit(Llmx::openai(&server, &["-v", "--show-reasoning", "x"]), 80).end().leaves_the_terminal_alone();
        assert!(!seen.text().contains("\u{1b}]") && !seen.text().contains("\u{1b}[6n"));
    }
    let named = Llmx::chat(&["-m", "openai/\u{1b}]0;x\u{7}\u{9b}31m", "x"]).env("OPENAI_API_KEY", KEY);
    sit(named.env("OPENAI_BASE_URL", "http://127.0.0.1:1"), 80).end().exits(6).leaves_the_terminal_alone();
}

#[test]
fn ctrl_c_keeps_what_came_and_gives_the_line_back() {
    let server = Server::new(Script::events().piece(says("one two three")).silence());
    let mut sitting = sit(Llmx::openai(&server, &["--raw", "x"]), 80);
    sitting.await_text("three");
    sitting.type_in(b"\x03");
    let seen = sitting.end().exits(130).leaves_the_terminal_alone();
    let lines = seen.lines();
    assert!(lines[0].starts_with("one two three"), "{lines:?}");
    assert!(lines.last().is_some_and(|line| line.contains("stopped")), "{lines:?}");
    assert_eq!(seen.screen.cursor_position().1, 0);
    server.await_disconnect();
}

#[test]
fn ctrl_c_while_nothing_has_come_takes_the_sign_of_waiting_away() {
    let server = Server::new(Script::bare().silence());
    let mut sitting = sit(Llmx::openai(&server, &["x"]), 80);
    sitting.await_text("waiting for");
    server.await_request();
    sitting.type_in(b"\x03");
    let seen = sitting.end().exits(130).leaves_the_terminal_alone();
    assert!(!seen.lines().join("").contains("waiting"), "{:?}", seen.lines());
    assert_eq!(seen.screen.cursor_position().1, 0);
}

#[test]
fn before_a_terminal_without_a_prompt_nothing_is_waited_for() {
    let seen = sit(Llmx::chat(&["-m", "sim/echo"]), 80).end().exits(2).leaves_the_terminal_alone();
    assert!(seen.lines().join(" ").contains("nothing to ask"), "{:?}", seen.lines());
}
