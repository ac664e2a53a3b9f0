//! The report before a person: through a pseudo-terminal, on a screen that shows what really stands there.

use std::io::{Read as _, Write as _};
use std::num::NonZeroU16;
use std::process::Child;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};

use pty_process::blocking::{Command, Pty};
use vt100::Parser;

use crate::books::Books;
use crate::common::binary::Llmx;
use crate::common::server::PATIENCE;

const ROWS: u16 = 50;
const WEEK: &str = "2025-10-13..2025-10-19";

/// Someone who sits before the terminal.
struct Sitting {
    pty: Arc<Pty>,
    child: Child,
    pieces: Receiver<Vec<u8>>,
    bytes: Vec<u8>,
    parser: Parser,
    _folder: tempfile::TempDir,
}

fn size(count: u16) -> NonZeroU16 {
    NonZeroU16::new(count).expect("not zero")
}

fn sit(llmx: Llmx, columns: u16) -> Sitting {
    let (command, folder) = llmx.into_parts();
    let (pty, pts) = pty_process::blocking::open().expect("a pseudo-terminal");
    pty.resize(pty_process::Size::new(ROWS, columns)).expect("has a size");
    let environment = command.get_envs().filter_map(|(name, value)| Some((name, value?)));
    let mut sat = Command::new(command.get_program()).args(command.get_args()).env_clear().envs(environment);
    if command.get_envs().all(|(name, _)| name != "TERM") {
        sat = sat.env("TERM", "xterm-256color");
    }
    let child = sat.current_dir(folder.path()).spawn(pts).expect("the binary starts");
    let pty = Arc::new(pty);
    let (sender, pieces) = channel();
    let reading = Arc::clone(&pty);
    std::thread::spawn(move || {
        let mut piece = [0; 64 << 10];
        // The end of a pseudo-terminal is an error on Linux.
        while let Ok(count) = (&*reading).read(&mut piece)
            && count > 0
            && sender.send(piece[..count].to_vec()).is_ok()
        {}
    });
    Sitting {
        pty,
        child,
        pieces,
        bytes: Vec::new(),
        parser: Parser::new(size(ROWS), size(columns), 0),
        _folder: folder,
    }
}

impl Sitting {
    fn take(&mut self, piece: &[u8]) {
        self.parser.process(piece);
        self.bytes.extend(piece);
    }

    #[track_caller]
    fn await_screen(&mut self, holds: impl Fn(&str) -> bool) {
        while !holds(&self.parser.screen().contents()) {
            match self.pieces.recv_timeout(PATIENCE) {
                Ok(piece) => self.take(&piece),
                Err(_) => panic!("it never came; the screen: {}", self.parser.screen().contents()),
            }
        }
    }

    fn type_in(&self, keys: &[u8]) {
        (&*self.pty).write_all(keys).expect("typed");
    }

    fn resize(&mut self, columns: u16) {
        self.pty.resize(pty_process::Size::new(ROWS, columns)).expect("has a size");
        self.parser.screen_mut().set_size(size(ROWS), size(columns));
    }

    /// What stands on the screen when it is over, and every byte that was written.
    #[track_caller]
    fn exits(mut self, code: i32) -> (String, String) {
        let ended = loop {
            match self.pieces.recv_timeout(PATIENCE) {
                Ok(piece) => self.take(&piece),
                Err(RecvTimeoutError::Disconnected) => break true,
                Err(RecvTimeoutError::Timeout) => break false,
            }
        };
        if !ended {
            let _ = self.child.kill();
        }
        let exit = self.child.wait().expect("waited for").code();
        let bytes = String::from_utf8_lossy(&self.bytes).into_owned();
        assert!(ended && exit == Some(code), "{exit:?}: {bytes}");
        let screen = self.parser.screen();
        assert!(!screen.alternate_screen() && !screen.hide_cursor(), "the terminal is not given back");
        let contents = screen.contents();
        let lines: Vec<&str> = contents.lines().map(str::trim_end).collect();
        (lines.join("\n"), bytes)
    }
}

#[test]
fn the_report_fits_its_screen_at_each_width() {
    let books = Books::filled();
    for columns in [60, 80, 120, 200] {
        let (screen, _) = sit(books.usage(&[WEEK, "--compare", "prev"]), columns).exits(0);
        insta::assert_snapshot!(format!("usage_at_{columns}_columns"), screen);
    }
    for columns in [60, 120] {
        let (screen, _) = sit(books.usage(&[WEEK, "--by", "project,day"]), columns).exits(0);
        insta::assert_snapshot!(format!("usage_by_project_and_day_at_{columns}"), screen);
    }
}

#[test]
fn the_smallest_screen_has_every_amount_whole() {
    let books = Books::filled();
    let (_, bytes) = sit(books.usage(&[WEEK]), 24).exits(0);
    for amount in ["57.12+", "10.50", "20.25", "16.37+", "45.50~"] {
        assert!(bytes.contains(&format!(" {amount}\r\n")), "no {amount} in\n{bytes}");
    }
}

#[test]
fn colour_is_on_the_bars_alone() {
    let books = Books::filled();
    let (_, bytes) = sit(books.usage(&[WEEK]), 120).exits(0);
    let sequences: Vec<&str> =
        bytes.split('\u{1b}').skip(1).map(|rest| rest.split_once('m').map_or(rest, |(code, _)| code)).collect();
    assert!(!sequences.is_empty() && sequences.iter().all(|code| ["[36", "[0"].contains(code)), "{sequences:?}");
    let (_, bytes) = sit(books.usage(&[WEEK]).env("NO_COLOR", "1"), 120).exits(0);
    assert!(!bytes.contains('\u{1b}'), "{bytes}");
}

#[test]
fn what_is_watched_grows_with_the_books_and_q_ends_it() {
    let books = Books::filled();
    let mut sitting = sit(books.usage(&[WEEK, "--watch=1"]), 100);
    sitting.await_screen(|screen| screen.contains("Spend at least $57.12") && screen.contains("q ends"));
    assert!(sitting.parser.screen().alternate_screen());
    books.call("another", 1_760_702_400_000).cost("40").make();
    sitting.await_screen(|screen| screen.contains("Spend at least $97.12"));
    let bytes = String::from_utf8_lossy(&sitting.bytes).into_owned();
    // Only what changed was drawn again, and only the first drawing began with an empty screen.
    assert_eq!((bytes.matches("Mon 13 Oct").count(), bytes.matches("\u{1b}[2J").count()), (1, 1), "{bytes}");
    sitting.resize(60);
    sitting.await_screen(|screen| screen.lines().any(|line| line == "─".repeat(60)));
    sitting.type_in(b"q");
    let (screen, _) = sitting.exits(0);
    assert!(screen.contains("Spend at least $97.12"), "{screen}");
}

#[test]
fn ctrl_c_ends_what_is_watched_and_gives_the_terminal_back() {
    let books = Books::filled();
    let mut sitting = sit(books.usage(&[WEEK, "--watch"]), 100);
    sitting.await_screen(|screen| screen.contains("q ends"));
    sitting.type_in(b"\x03");
    let (screen, _) = sitting.exits(130);
    assert!(screen.contains("Spend at least $57.12"), "{screen}");
}
