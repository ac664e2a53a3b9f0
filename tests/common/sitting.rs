//! A run before a person: through a pseudo-terminal, with a screen that shows what really stands there.

use std::io::{Read as _, Write as _};
use std::num::NonZeroU16;
use std::process::Child;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};

use pty_process::blocking::{Command, Pty};
use vt100::Parser;

use super::binary::{CANARY, Llmx};
use super::server::PATIENCE;

/// Someone who sits before the terminal.
pub struct Sitting {
    pty: Arc<Pty>,
    child: Child,
    pieces: Receiver<Vec<u8>>,
    pub bytes: Vec<u8>,
    pub parser: Parser,
    _folder: tempfile::TempDir,
}

pub fn sit(llmx: Llmx, rows: u16, columns: u16) -> Sitting {
    let (command, folder) = llmx.into_parts();
    let (pty, pts) = pty_process::blocking::open().expect("a pseudo-terminal");
    pty.resize(pty_process::Size::new(rows, columns)).expect("has a size");
    let environment = command.get_envs().filter_map(|(name, value)| Some((name, value?)));
    let mut sat = Command::new(command.get_program()).args(command.get_args()).env_clear().envs(environment);
    if command.get_envs().all(|(name, _)| name != "TERM") {
        sat = sat.env("TERM", "xterm-256color");
    }
    let child = sat.current_dir(folder.path()).spawn(pts).expect("the binary starts");
    let pty = Arc::new(pty);
    let pieces = pieces(&pty);
    let parser = Parser::new(size(rows), size(columns), 0);
    Sitting { pty, child, pieces, bytes: Vec::new(), parser, _folder: folder }
}

/// What is written to the terminal, as it comes.
pub fn pieces(pty: &Arc<Pty>) -> Receiver<Vec<u8>> {
    let (sender, pieces) = channel();
    let reading = Arc::clone(pty);
    std::thread::spawn(move || {
        let mut piece = [0; 64 << 10];
        // The end of a pseudo-terminal is an error on Linux.
        while let Ok(count) = (&*reading).read(&mut piece)
            && count > 0
            && sender.send(piece[..count].to_vec()).is_ok()
        {}
    });
    pieces
}

fn size(count: u16) -> NonZeroU16 {
    NonZeroU16::new(count).expect("not zero")
}

impl Sitting {
    fn take(&mut self, piece: &[u8]) {
        self.parser.process(piece);
        self.bytes.extend(piece);
    }

    /// Waits until this stands on the screen.
    #[track_caller]
    pub fn await_screen(&mut self, holds: impl Fn(&str) -> bool) {
        while !holds(&self.parser.screen().contents()) {
            match self.pieces.recv_timeout(PATIENCE) {
                Ok(piece) => self.take(&piece),
                Err(_) => panic!("it never came; the screen: {}", self.parser.screen().contents()),
            }
        }
    }

    pub fn resize(&mut self, rows: u16, columns: u16) {
        self.pty.resize(pty_process::Size::new(rows, columns)).expect("has a size");
        self.parser.screen_mut().set_size(size(rows), size(columns));
    }

    pub fn type_in(&self, keys: &[u8]) {
        (&*self.pty).write_all(keys).expect("typed");
    }

    /// Waits for the end.
    #[track_caller]
    pub fn exits(mut self, code: i32) -> Seen {
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
        assert!(!bytes.contains(CANARY) && !bytes.contains("panicked"), "{bytes}");
        let screen = self.parser.screen();
        assert!(!screen.alternate_screen() && !screen.hide_cursor(), "the terminal is not given back");
        Seen { lines: screen.contents().lines().map(|line| line.trim_end().to_owned()).collect(), bytes }
    }
}

/// What stands on the screen when it is over, and every byte that was written.
pub struct Seen {
    pub lines: Vec<String>,
    pub bytes: String,
}

impl Seen {
    pub fn text(&self) -> String {
        self.lines.join("\n")
    }
}
