//! The built `llmx`, run as a user runs it: own folder, own environment, nothing of whoever runs the tests.

use std::ffi::OsStr;
use std::io::{Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use serde_json::Value;

use super::server::{PATIENCE, Server};

/// A key that no provider ever gave. Every test key holds this word, and no output may.
pub const KEY: &str = "sk-CANARY-4f1d0c9b";
pub const CANARY: &str = "CANARY";

/// What every run has in its `config.toml`, after what the test puts there: no wait is worth a test's time.
pub const FAST: &str = "[retry]\nbackoff_ms = 1\nwait_max_ms = 20\n";

/// One run to be.
#[derive(Debug)]
pub struct Llmx {
    command: Command,
    folder: tempfile::TempDir,
    stdin: Option<Vec<u8>>,
}

impl Llmx {
    pub fn new(args: &[&str]) -> Llmx {
        Llmx::through(Command::new(binary()), args)
    }

    /// `chat` with these arguments.
    pub fn chat(args: &[&str]) -> Llmx {
        Llmx::new(&["chat"]).args(args)
    }

    /// `chat` with a model of OpenAI's dialect at this server, with a key.
    pub fn openai(server: &Server, args: &[&str]) -> Llmx {
        Llmx::chat(&["-m", "openai/gpt-4o"])
            .env("OPENAI_API_KEY", KEY)
            .env("OPENAI_BASE_URL", format!("{}/v1", server.url()))
            .args(args)
    }

    /// A shell script in which `$LLMX` is the binary.
    pub fn shell(script: &str) -> Llmx {
        Llmx::through(Command::new("sh"), &["-c", script]).env("LLMX", binary())
    }

    fn through(mut command: Command, args: &[&str]) -> Llmx {
        let folder = tempfile::tempdir().expect("a folder");
        at_home(command.args(args), folder.path());
        let llmx = Llmx { command, folder, stdin: None };
        llmx.config("")
    }

    pub fn args(mut self, args: &[&str]) -> Llmx {
        self.command.args(args);
        self
    }

    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Llmx {
        self.command.env(name, value);
        self
    }

    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Llmx {
        self.stdin = Some(bytes.into());
        self
    }

    /// The user's `config.toml`.
    pub fn config(self, text: &str) -> Llmx {
        self.file("config/llmx/config.toml", format!("{text}\n{FAST}"))
    }

    /// A file below the folder that is both home and working directory.
    pub fn file(self, name: &str, content: impl AsRef<[u8]>) -> Llmx {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("below the folder")).expect("made");
        std::fs::write(path, content).expect("written");
        self
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The same in another working directory.
    pub fn within(mut self, folder: &Path) -> Llmx {
        self.command.current_dir(folder);
        self
    }

    /// The command, and the folder that must stay while it runs.
    pub fn into_parts(self) -> (Command, tempfile::TempDir) {
        (self.command, self.folder)
    }

    pub fn run(self) -> Done {
        self.spawn().done()
    }

    pub fn spawn(mut self) -> Running {
        let stdin = if self.stdin.is_some() { Stdio::piped() } else { Stdio::null() };
        let mut child =
            self.command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
        if let (Some(bytes), Some(mut pipe)) = (self.stdin.take(), child.stdin.take()) {
            // A reader that has enough closes the pipe: no fault of the test.
            thread::spawn(move || pipe.write_all(&bytes));
        }
        let out = pieces(child.stdout.take().expect("piped"));
        let err = pieces(child.stderr.take().expect("piped"));
        Running { child, out, err, seen: Vec::new(), said: Vec::new(), folder: self.folder }
    }
}

/// Nothing of whoever runs the tests but where programs are; this folder is home and working directory.
fn at_home(command: &mut Command, folder: &Path) {
    command.env_clear().current_dir(folder);
    for kept in ["PATH", "SystemRoot", "LLVM_PROFILE_FILE"] {
        if let Some(value) = std::env::var_os(kept) {
            command.env(kept, value);
        }
    }
    command.env("HOME", folder).env("XDG_CONFIG_HOME", folder.join("config"));
    // On Windows, where it would be in the home.
    command.env("LOCALAPPDATA", folder.join(".local/share"));
}

fn binary() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_llmx"))
}

/// What a stream brings, as it comes.
fn pieces(mut stream: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let mut piece = [0; 64 << 10];
        while let Ok(count) = stream.read(&mut piece)
            && count > 0
            && sender.send(piece[..count].to_vec()).is_ok()
        {}
    });
    receiver
}

/// A run that is going on.
#[derive(Debug)]
pub struct Running {
    child: Child,
    out: Receiver<Vec<u8>>,
    err: Receiver<Vec<u8>>,
    seen: Vec<u8>,
    said: Vec<u8>,
    folder: tempfile::TempDir,
}

impl Running {
    /// Waits until standard output has brought this text.
    pub fn await_out(&mut self, text: &str) {
        await_text(&self.out, &mut self.seen, text);
    }

    /// Waits until standard error has brought this text.
    pub fn await_err(&mut self, text: &str) {
        await_text(&self.err, &mut self.said, text);
    }

    #[cfg(unix)]
    pub fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), signal).expect("is running");
    }

    /// Ends it at once: it can do nothing more.
    pub fn kill(mut self) {
        self.child.kill().expect("is running");
        self.child.wait().expect("waited for");
    }

    /// Waits for the end.
    pub fn done(mut self) -> Done {
        let mut out = std::mem::take(&mut self.seen);
        let (rest, ended) = drain(&self.out);
        out.extend(rest);
        let mut err = std::mem::take(&mut self.said);
        let (rest, ended_too) = drain(&self.err);
        err.extend(rest);
        if !(ended && ended_too) {
            let _ = self.child.kill();
        }
        let status = self.child.wait().expect("waited for");
        let err = String::from_utf8(err).expect("standard error is UTF-8");
        assert!(ended && ended_too, "it never ended; standard error: {err}");
        #[cfg(unix)]
        let code = {
            use std::os::unix::process::ExitStatusExt as _;
            status.code().or_else(|| status.signal().map(|signal| -signal))
        };
        #[cfg(not(unix))]
        let code = status.code();
        let done = Done { code: code.expect("ended"), out, err, folder: self.folder };
        assert!(!done.text_lossy().contains(CANARY) && !done.err.contains(CANARY), "a key is shown: {done:?}");
        assert!(!done.err.contains("panicked"), "{}", done.err);
        done
    }
}

/// Waits until a stream has brought this text; what it brings is added to what was seen of it.
fn await_text(stream: &Receiver<Vec<u8>>, seen: &mut Vec<u8>, text: &str) {
    while !String::from_utf8_lossy(seen).contains(text) {
        match stream.recv_timeout(PATIENCE) {
            Ok(piece) => seen.extend(piece),
            Err(_) => panic!("\"{text}\" never came; what came: {}", String::from_utf8_lossy(seen)),
        }
    }
}

/// All that still comes, and whether the stream has ended.
fn drain(stream: &Receiver<Vec<u8>>) -> (Vec<u8>, bool) {
    let mut all = Vec::new();
    loop {
        match stream.recv_timeout(PATIENCE) {
            Ok(piece) => all.extend(piece),
            Err(error) => return (all, error == std::sync::mpsc::RecvTimeoutError::Disconnected),
        }
    }
}

/// A run that has ended. No canary is in its output, and it did not panic.
#[derive(Debug)]
pub struct Done {
    /// The exit code; the negative number of a signal that ended it.
    pub code: i32,
    pub out: Vec<u8>,
    pub err: String,
    folder: tempfile::TempDir,
}

impl Done {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.out).expect("standard output is UTF-8")
    }

    /// How many attempts stand in the books of this run's own folder.
    #[track_caller]
    pub fn booked(&self) -> usize {
        self.rows().len()
    }

    /// The attempts in the books of this run's own folder as `logs -j` tells them, the first one first.
    #[track_caller]
    pub fn rows(&self) -> Vec<Value> {
        let mut logs = Command::new(binary());
        at_home(logs.args(["logs", "-j", "-n", "1000"]), self.folder.path());
        let out = logs.stdin(Stdio::null()).output().expect("the binary starts");
        let listed: Value = serde_json::from_slice(&out.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&out.stderr)));
        let mut rows = listed["calls"].as_array().cloned().unwrap_or_default();
        rows.sort_by_key(|row| row["id"].as_str().map(str::to_owned));
        rows
    }

    fn text_lossy(&self) -> String {
        String::from_utf8_lossy(&self.out).into_owned()
    }

    /// Standard output as one JSON value.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Every line of standard output as a JSON value.
    pub fn lines(&self) -> Vec<Value> {
        self.text().lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
    }

    #[track_caller]
    pub fn exits(self, code: i32) -> Done {
        assert_eq!(self.code, code, "{}\n{}", self.text_lossy(), self.err);
        self
    }

    #[track_caller]
    pub fn prints(self, text: &str) -> Done {
        assert_eq!(self.text_lossy(), text, "{}", self.err);
        self
    }

    /// Standard error holds each of these.
    #[track_caller]
    pub fn says(self, words: &[&str]) -> Done {
        for word in words {
            assert!(self.err.contains(word), "no \"{word}\" in: {}", self.err);
        }
        self
    }

    /// Nothing is on standard error.
    #[track_caller]
    pub fn stays_quiet(self) -> Done {
        assert_eq!(self.err, "");
        self
    }
}
