//! The only place that writes: which streams are terminals, in colour, how wide; and a pipe that nobody reads any more.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use unicode_segmentation::UnicodeSegmentation as _;
use unicode_width::UnicodeWidthStr as _;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};

use super::compare::live;
use crate::domain::untrusted::{one_line, visible};

/// `--color`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Colour {
    #[default]
    Auto,
    Always,
    Never,
}

impl FromStr for Colour {
    type Err = WriteError;

    fn from_str(text: &str) -> Result<Colour, WriteError> {
        match text {
            "auto" => Ok(Colour::Auto),
            "always" => Ok(Colour::Always),
            "never" => Ok(Colour::Never),
            other => Err(WriteError::Colour(one_line(other))),
        }
    }
}

/// What one stream can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Screen {
    /// A person may be looking: not a pipe, not a file.
    pub terminal: bool,
    pub colour: bool,
    /// Columns, or `None` for no limit.
    pub width: Option<usize>,
    /// `TERM` is `dumb` or missing: nothing that moves.
    pub dumb: bool,
}

impl Screen {
    /// What a stream can show, from what is known of it. `env` gives the environment, `size` the columns of the terminal.
    ///
    /// `--color` decides; left at auto, a non-empty `NO_COLOR` means no, `FORCE_COLOR` or `CLICOLOR_FORCE` (neither
    /// empty nor `0`) yes, and else a terminal that is not dumb has colour. `COLUMNS` beats the terminal's own width.
    #[must_use]
    pub fn of(colour: Colour, terminal: bool, size: Option<usize>, env: impl Fn(&str) -> Option<String>) -> Screen {
        let set = |name: &str| env(name).filter(|value| !value.is_empty());
        let dumb = set("TERM").is_none_or(|term| term == "dumb");
        let forced = |name: &str| set(name).is_some_and(|value| value != "0");
        let colour = match colour {
            Colour::Always => true,
            Colour::Never => false,
            Colour::Auto if set("NO_COLOR").is_some() => false,
            Colour::Auto => forced("FORCE_COLOR") || forced("CLICOLOR_FORCE") || (terminal && !dumb),
        };
        let columns = set("COLUMNS").and_then(|columns| columns.trim().parse().ok()).filter(|columns| *columns > 0);
        let width = columns.or(if terminal && !dumb { size } else { None });
        Screen { terminal, colour, width, dumb }
    }

    /// Whether bytes go out as they are: no terminal would act on them, and colour was not asked for.
    #[must_use]
    pub fn raw(&self) -> bool {
        !self.terminal && !self.colour
    }
}

/// How a write ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a closed pipe ends the program, after the ledger is settled"]
pub enum Written {
    All,
    /// The reader has gone (`| head`): no error, and nothing more to write.
    Closed,
}

/// Why nothing could be shown.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    #[error("cannot write to {stream}: {source}")]
    Stream {
        stream: &'static str,
        #[source]
        source: io::Error,
    },
    #[error("--color takes auto, always or never, not {0}")]
    Colour(String),
}

/// Standard output and standard error of this process.
#[derive(Debug)]
pub struct Terminal {
    pub out: Screen,
    pub err: Screen,
    quiet: bool,
    status: Option<ProgressBar>,
}

impl Terminal {
    /// The streams of this process as they are now. `quiet` shows no status.
    #[must_use]
    pub fn new(colour: Colour, quiet: bool, env: impl Fn(&str) -> Option<String>) -> Terminal {
        let (out, err) = (io::stdout(), io::stderr());
        Terminal {
            out: Screen::of(colour, out.is_terminal(), columns_of(&out), named(&env, obeys(&out))),
            err: Screen::of(colour, err.is_terminal(), columns_of(&err), named(&env, obeys(&err))),
            quiet,
            status: None,
        }
    }

    /// Text from outside to standard output: byte for byte into a pipe, made visible on a terminal.
    ///
    /// # Errors
    /// [`WriteError::Stream`] if it could not be written (a full disk).
    pub fn answer(&mut self, text: &str) -> Result<Written, WriteError> {
        let shown = if self.out.raw() { Cow::Borrowed(text) } else { visible(text) };
        self.show(&shown)
    }

    /// What `render` made, to standard output.
    ///
    /// # Errors
    /// [`WriteError::Stream`] if it could not be written.
    pub fn show(&mut self, rendered: &str) -> Result<Written, WriteError> {
        let written = self.show_bytes(rendered.as_bytes());
        if self.out.terminal && self.err.terminal {
            aside(|aside| aside.answering(rendered));
        }
        written
    }

    /// The same for a format that is no text.
    ///
    /// # Errors
    /// [`WriteError::Stream`] if it could not be written.
    pub fn show_bytes(&mut self, rendered: &[u8]) -> Result<Written, WriteError> {
        self.clear_status();
        write("standard output", &mut io::stdout().lock(), rendered)
    }

    /// Text from outside or our own to standard error: always made visible, a terminal or not.
    ///
    /// # Errors
    /// [`WriteError::Stream`] if it could not be written.
    pub fn note(&mut self, text: &str) -> Result<Written, WriteError> {
        self.show_note(&visible(text))
    }

    /// What `render` made, to standard error.
    ///
    /// # Errors
    /// [`WriteError::Stream`] if it could not be written.
    pub fn show_note(&mut self, rendered: &str) -> Result<Written, WriteError> {
        self.clear_status();
        aside(Aside::catch_up);
        let written = write("standard error", &mut io::stderr().lock(), rendered.as_bytes());
        aside(|aside| aside.in_a_line = !rendered.is_empty() && !rendered.ends_with('\n'));
        written
    }

    /// Shows that something is waited for: a line that moves, with the seconds so far, until anything is written. Nothing
    /// where nobody looks.
    pub fn status(&mut self, text: &str) {
        if self.quiet || !self.err.terminal || self.err.dumb || LISTENS.load(Ordering::Relaxed) {
            return;
        }
        // Short of the line's end: a terminal writes `^C` after it, which must not begin a line of its own.
        let width = self.err.width.unwrap_or(80);
        let room = width.saturating_sub(BESIDE_STATUS);
        let mut used = 0;
        let fits = |cluster: &&str| {
            used += cluster.width();
            used <= room
        };
        let text: String = one_line(text).graphemes(true).take_while(fits).collect();
        let bar = self.status.get_or_insert_with(|| spinner(width));
        bar.set_message(text);
    }

    /// Whether a person looks at both streams, on something that can be drawn on.
    #[must_use]
    pub fn draws(&self) -> bool {
        !self.quiet && [self.out, self.err].iter().all(|screen| screen.terminal && !screen.dumb)
    }

    /// Columns and rows of standard output as they are now; `None` where it has none.
    #[must_use]
    pub fn size(&self) -> Option<(usize, usize)> {
        size_of(&io::stdout())
    }

    /// Shows the terminal's second screen, on which [`live`] draws, until [`Terminal::close_second`].
    ///
    /// # Errors
    /// [`WriteError::Stream`] if it could not be written.
    pub fn open_second(&mut self) -> Result<Written, WriteError> {
        // Before the first byte: whatever ends the process gives the terminal back.
        IS_SECOND.store(true, Ordering::SeqCst);
        aside(|aside| aside.answers = true);
        self.show(live::OPEN)
    }

    /// Back to what was there before.
    pub fn close_second(&mut self) {
        give_back();
    }

    /// Takes the status away.
    pub fn clear_status(&mut self) {
        if let Some(bar) = self.status.take() {
            bar.finish_and_clear();
        }
    }
}

/// The terminal's second screen is shown.
static IS_SECOND: AtomicBool = AtomicBool::new(false);

/// The terminal as it was before its second screen was shown, if it is. For every way out of the process.
pub fn give_back() {
    if IS_SECOND.swap(false, Ordering::SeqCst) {
        let _ = write("standard output", &mut io::stdout().lock(), live::CLOSE.as_bytes());
    }
    aside(Aside::write_all);
}

/// Somebody listens to what `-vv` tells: [`tell_aside`] is called.
static LISTENS: AtomicBool = AtomicBool::new(false);

static ASIDE: Mutex<Aside> =
    Mutex::new(Aside { waiting: String::new(), answers: false, answer_in_a_line: false, in_a_line: false });

/// Lines for standard error that belong to nothing else there: they wait where they would stand in the middle of something.
struct Aside {
    waiting: String,
    /// An answer has begun to come on the terminal that standard error is as well.
    answers: bool,
    answer_in_a_line: bool,
    /// The last byte on standard error was no line break.
    in_a_line: bool,
}

impl Aside {
    fn answering(&mut self, rendered: &str) {
        if !rendered.is_empty() {
            self.answers = true;
            self.answer_in_a_line = !rendered.ends_with('\n');
        }
    }

    /// Before a note, which stands by itself: what waits is older.
    fn catch_up(&mut self) {
        if !self.answer_in_a_line && !self.in_a_line && !IS_SECOND.load(Ordering::SeqCst) {
            self.write_all();
        }
    }

    fn write_all(&mut self) {
        self.answers = false;
        if !self.waiting.is_empty() {
            let _ = io::stderr().lock().write_all(std::mem::take(&mut self.waiting).as_bytes());
        }
    }
}

fn aside(work: impl FnOnce(&mut Aside)) {
    if LISTENS.load(Ordering::Relaxed) {
        work(&mut ASIDE.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// From now on lines are told aside: nothing moves on standard error any more.
pub fn listen() {
    LISTENS.store(true, Ordering::Relaxed);
}

/// A line of our own making to standard error, which must never break an answer or another line: now, or after those.
pub fn tell_aside(line: &str) {
    aside(|aside| {
        if aside.answers || aside.in_a_line {
            aside.waiting.push_str(line);
        } else {
            let _ = io::stderr().lock().write_all(line.as_bytes());
        }
    });
}

/// From now on a fault of our own is told in one line, without a backtrace, and ends the process with 1. What it had
/// reserved stays booked.
pub fn tell_panics() {
    std::panic::set_hook(Box::new(|panic| {
        give_back();
        let place = panic.location().map(|place| format!("{}:{}", place.file(), place.line())).unwrap_or_default();
        let line = format!(
            "llmx: a fault of llmx itself at {place} (version {}); the call may have been billed\ntry: report this line, with the command that led to it\n",
            env!("CARGO_PKG_VERSION")
        );
        let _ = io::stderr().lock().write_all(line.as_bytes());
        std::process::exit(1);
    }));
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.clear_status();
        aside(Aside::catch_up);
    }
}

/// Columns that the sign itself, the seconds and a `^C` take beside the text of a status.
const BESIDE_STATUS: usize = 16;

fn spinner(width: usize) -> ProgressBar {
    let line = StatusLine { width: u16::try_from(width.saturating_sub(4)).unwrap_or(u16::MAX).max(1) };
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::term_like(Box::new(line)));
    if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed} {msg}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

/// The line on standard error that moves. It is filled short of its end: the `^C` that a terminal writes behind it must
/// not begin a line of its own, which nobody would clear.
#[derive(Debug)]
struct StatusLine {
    width: u16,
}

impl StatusLine {
    fn put(text: &str) -> io::Result<()> {
        io::stderr().lock().write_all(text.as_bytes())
    }

    /// Moves the cursor by `count` in a direction of ECMA-48 (`A` up, `B` down, `C` right, `D` left).
    fn go(count: usize, direction: char) -> io::Result<()> {
        if count == 0 { Ok(()) } else { StatusLine::put(&format!("\u{1b}[{count}{direction}")) }
    }
}

impl TermLike for StatusLine {
    fn width(&self) -> u16 {
        self.width
    }
    fn move_cursor_up(&self, count: usize) -> io::Result<()> {
        StatusLine::go(count, 'A')
    }
    fn move_cursor_down(&self, count: usize) -> io::Result<()> {
        StatusLine::go(count, 'B')
    }
    fn move_cursor_right(&self, count: usize) -> io::Result<()> {
        StatusLine::go(count, 'C')
    }
    fn move_cursor_left(&self, count: usize) -> io::Result<()> {
        StatusLine::go(count, 'D')
    }
    fn write_line(&self, text: &str) -> io::Result<()> {
        StatusLine::put(&format!("{text}\n"))
    }
    fn write_str(&self, text: &str) -> io::Result<()> {
        StatusLine::put(text)
    }
    fn clear_line(&self) -> io::Result<()> {
        StatusLine::put("\r\u{1b}[2K")
    }
    fn flush(&self) -> io::Result<()> {
        io::stderr().lock().flush()
    }
}

/// One write, flushed once.
fn write(stream: &'static str, to: &mut impl Write, bytes: &[u8]) -> Result<Written, WriteError> {
    if bytes.is_empty() {
        return Ok(Written::All);
    }
    match to.write_all(bytes).and_then(|()| to.flush()) {
        Ok(()) => Ok(Written::All),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Written::Closed),
        Err(source) => Err(WriteError::Stream { stream, source }),
    }
}

/// Asked here and not through `terminal_size`, which takes a terminal of no rows (`stty cols 8` alone) to have no columns.
#[cfg(unix)]
fn columns_of(stream: &impl std::os::fd::AsFd) -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(stream).ok()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

#[cfg(unix)]
fn size_of(stream: &impl std::os::fd::AsFd) -> Option<(usize, usize)> {
    let size = rustix::termios::tcgetwinsize(stream).ok()?;
    Some((usize::from(size.ws_col), usize::from(size.ws_row))).filter(|(columns, rows)| *columns > 0 && *rows > 0)
}

#[cfg(windows)]
fn columns_of(stream: &impl winapi_util::AsHandleRef) -> Option<usize> {
    size_of(stream).map(|(columns, _)| columns)
}

/// Of the console's window, not of all that can be scrolled to.
#[cfg(windows)]
fn size_of(stream: &impl winapi_util::AsHandleRef) -> Option<(usize, usize)> {
    let window = winapi_util::console::screen_buffer_info(stream).ok()?.window_rect();
    let cells = |first: i16, last: i16| usize::try_from(i32::from(last) - i32::from(first) + 1).ok();
    let size = cells(window.left, window.right).zip(cells(window.top, window.bottom));
    size.filter(|(columns, rows)| *columns > 0 && *rows > 0)
}

/// Whether what has no `TERM` obeys escape sequences all the same: elsewhere than on Windows that is what `TERM` says.
#[cfg(unix)]
fn obeys<T>(_: &T) -> bool {
    false
}

/// A Windows console obeys them once it is told to; one before Windows 10 never does (learn.microsoft.com,
/// console-virtual-terminal-sequences, read 2026-11-22).
#[cfg(windows)]
fn obeys(stream: &impl winapi_util::AsHandleRef) -> bool {
    const ENABLE_VIRTUAL_TERMINAL_PROCESSING: u32 = 0x0004;
    winapi_util::console::mode(stream)
        .and_then(|mode| winapi_util::console::set_mode(stream, mode | ENABLE_VIRTUAL_TERMINAL_PROCESSING))
        .is_ok()
}

/// The environment, with a name for a terminal that obeys and has none.
fn named(env: impl Fn(&str) -> Option<String>, obeys: bool) -> impl Fn(&str) -> Option<String> {
    move |name| env(name).or_else(|| (obeys && name == "TERM").then(|| "console".to_owned()))
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};

    use super::{Colour, Screen, WriteError, Written, named, write};

    fn screen(colour: Colour, terminal: bool, variables: &[(&str, &str)]) -> Screen {
        Screen::of(colour, terminal, terminal.then_some(100), |name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn colour_is_decided_for_each_stream() {
        type Case = (Colour, bool, &'static [(&'static str, &'static str)], bool);
        const TERM: (&str, &str) = ("TERM", "xterm");
        let cases: [Case; 16] = [
            (Colour::Auto, true, &[TERM], true),
            (Colour::Auto, false, &[TERM], false),
            (Colour::Auto, true, &[], false),
            (Colour::Auto, true, &[("TERM", "dumb")], false),
            (Colour::Auto, true, &[TERM, ("NO_COLOR", "0")], false),
            (Colour::Auto, true, &[TERM, ("NO_COLOR", "")], true),
            (Colour::Auto, false, &[TERM, ("FORCE_COLOR", "1")], true),
            (Colour::Auto, false, &[TERM, ("FORCE_COLOR", "0")], false),
            (Colour::Auto, false, &[TERM, ("FORCE_COLOR", "")], false),
            (Colour::Auto, false, &[TERM, ("CLICOLOR_FORCE", "1")], true),
            (Colour::Auto, true, &[("TERM", "dumb"), ("CLICOLOR_FORCE", "1")], true),
            (Colour::Auto, false, &[TERM, ("FORCE_COLOR", "1"), ("NO_COLOR", "1")], false),
            (Colour::Always, false, &[("NO_COLOR", "1")], true),
            (Colour::Always, true, &[("TERM", "dumb")], true),
            (Colour::Never, true, &[TERM, ("FORCE_COLOR", "1")], false),
            (Colour::Never, false, &[], false),
        ];
        for (colour, terminal, variables, expected) in cases {
            assert_eq!(screen(colour, terminal, variables).colour, expected, "{colour:?} {terminal} {variables:?}");
        }
    }

    #[test]
    fn a_terminal_that_obeys_escapes_without_a_name_is_not_dumb() {
        let seen = |obeys, term: Option<&'static str>| {
            let env = move |name: &str| (name == "TERM").then(|| term.map(str::to_owned)).flatten();
            let screen = Screen::of(Colour::Auto, true, Some(100), named(env, obeys));
            (screen.colour, screen.dumb, screen.width)
        };
        assert_eq!(seen(true, None), (true, false, Some(100)));
        assert_eq!(seen(false, None), (false, true, None));
        assert_eq!(seen(true, Some("dumb")), (false, true, None));
    }

    #[test]
    fn columns_come_from_the_user_then_from_the_terminal() {
        const TERM: (&str, &str) = ("TERM", "xterm");
        let width = |terminal, variables: &[(&str, &str)]| screen(Colour::Auto, terminal, variables).width;
        assert_eq!(width(true, &[TERM]), Some(100));
        assert_eq!(width(true, &[TERM, ("COLUMNS", "5")]), Some(5));
        assert_eq!(width(true, &[TERM, ("COLUMNS", "0")]), Some(100));
        assert_eq!(width(true, &[TERM, ("COLUMNS", "wide")]), Some(100));
        assert_eq!(width(true, &[TERM, ("NO_COLOR", "1")]), Some(100));
        assert_eq!(width(true, &[("TERM", "dumb")]), None);
        assert_eq!(width(false, &[TERM]), None);
        assert_eq!(width(false, &[TERM, ("COLUMNS", "72")]), Some(72));
    }

    #[test]
    fn a_pipe_gets_raw_bytes_unless_colour_is_forced() {
        assert!(screen(Colour::Auto, false, &[]).raw());
        assert!(!screen(Colour::Always, false, &[]).raw());
        assert!(!screen(Colour::Never, true, &[]).raw());
    }

    /// Counts its flushes and fails as it is told.
    #[derive(Default)]
    struct Sink {
        bytes: Vec<u8>,
        flushes: usize,
        fails: Option<io::ErrorKind>,
    }

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            match self.fails {
                Some(kind) => Err(kind.into()),
                None => {
                    self.bytes.extend_from_slice(bytes);
                    Ok(bytes.len())
                }
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            self.flushes += 1;
            Ok(())
        }
    }

    #[test]
    fn each_write_is_flushed_once_and_nothing_is_not_written() {
        let mut sink = Sink::default();
        assert_eq!(write("a sink", &mut sink, b"one\ntwo").expect("takes all"), Written::All);
        assert_eq!(write("a sink", &mut sink, b"").expect("takes all"), Written::All);
        assert_eq!((sink.bytes.as_slice(), sink.flushes), (&b"one\ntwo"[..], 1));
    }

    #[test]
    fn a_reader_that_left_is_no_error_and_a_full_disk_is() {
        let mut gone = Sink { fails: Some(io::ErrorKind::BrokenPipe), ..Sink::default() };
        assert_eq!(write("a sink", &mut gone, b"x").expect("no error"), Written::Closed);
        let mut full = Sink { fails: Some(io::ErrorKind::StorageFull), ..Sink::default() };
        let error = write("standard output", &mut full, b"x").expect_err("is full");
        assert!(matches!(error, WriteError::Stream { .. }));
        assert!(error.to_string().starts_with("cannot write to standard output: "), "{error}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_device_is_told() {
        let mut full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("Linux has it");
        assert!(write("standard output", &mut full, b"x").is_err());
    }
}
