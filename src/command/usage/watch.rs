//! `--watch`: the report drawn again and again on the terminal's second screen, until somebody has seen enough.

use std::pin::pin;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;

use crate::command::signals;
use crate::domain::failure::{ErrorClass, Failure};
use crate::domain::spend::report::Report;
use crate::render::compare::live::{Frame, repaint};
use crate::render::terminal::{Screen, Terminal, Written};
use crate::render::usage::{View, table};

/// How often keys, signals and the window's size are looked at.
const LOOK: Duration = Duration::from_millis(100);

/// Draws what `report` gives, anew after each `every`, and at once where the window has another size. The last one stays when
/// it is over. Gives the exit code.
///
/// # Errors
/// Those of `report`, and `invalid-request` where nothing can be written.
pub fn watch(
    terminal: &mut Terminal,
    every: Duration,
    mut report: impl FnMut() -> Result<Report, Failure>,
) -> Result<u8, Failure> {
    let mut last = report()?;
    let mut asked = Instant::now();
    let mut stopped = pin!(signals::stopped());
    let keys = keys::Keys::open();
    let mut drawn: Option<Frame> = None;
    let ended = loop {
        if asked.elapsed() >= every {
            match report() {
                Ok(now) => last = now,
                Err(failure) => break Err(failure),
            }
            asked = Instant::now();
        }
        let now = frame(&last, terminal, every);
        if drawn.as_ref() != Some(&now) {
            let opened = if drawn.is_none() { terminal.open_second() } else { Ok(Written::All) };
            match opened.and_then(|_| terminal.show(&repaint(drawn.as_ref(), &now))) {
                Ok(Written::All) => drawn = Some(now),
                Ok(Written::Closed) => break Ok(0),
                Err(error) => break Err(Failure::new(ErrorClass::InvalidRequest, error.to_string())),
            }
        }
        if keys.wait(LOOK).is_some_and(|key| matches!(key, b'q' | b'Q')) {
            break Ok(0);
        }
        if let Some(stop) = stopped.as_mut().now_or_never() {
            break Ok(stop.exit_code());
        }
    };
    terminal.close_second();
    keys.close();
    let code = ended?;
    let view = View { screen: screen(terminal), drawn: false };
    let _ = terminal.show(&table::page(&last, &view));
    Ok(code)
}

/// The screen with the width that the window has now.
fn screen(terminal: &Terminal) -> Screen {
    Screen { width: terminal.size().map(|(columns, _)| columns).or(terminal.out.width), ..terminal.out }
}

/// As much of the report as the window shows, and how to leave it.
fn frame(report: &Report, terminal: &Terminal, every: Duration) -> Frame {
    let screen = screen(terminal);
    let (width, height) = terminal.size().unwrap_or((80, 24));
    let page = table::page(report, &View { screen, drawn: false });
    let mut lines: Vec<String> = page.lines().map(str::to_owned).collect();
    let room = height.saturating_sub(1).max(1);
    let hidden = lines.len().saturating_sub(room);
    lines.truncate(room);
    lines.resize(room, String::new());
    let more = if hidden > 0 { format!(", {hidden} more lines in a taller window") } else { String::new() };
    let said = format!("every {} s, q ends{more}", every.as_secs());
    lines.push(said.chars().take(width).collect());
    lines.truncate(height);
    Frame { lines, width, height }
}

#[cfg(unix)]
mod keys {
    use std::io::{IsTerminal as _, stdin};
    use std::time::Duration;

    use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};

    /// Keys as they are pressed, until it is dropped.
    pub struct Keys {
        /// How the terminal was.
        before: Option<Termios>,
    }

    impl Keys {
        /// Where no keys can be had, Ctrl-C still ends it.
        pub fn open() -> Keys {
            let before = stdin().is_terminal().then(|| tcgetattr(stdin()).ok()).flatten();
            let before = before.filter(|before| {
                let mut now = before.clone();
                now.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
                // A read waits for a key for a tenth of a second.
                now.special_codes[SpecialCodeIndex::VMIN] = 0;
                now.special_codes[SpecialCodeIndex::VTIME] = 1;
                tcsetattr(stdin(), OptionalActions::Now, &now).is_ok()
            });
            Keys { before }
        }

        /// Gives the terminal back as it was.
        pub fn close(self) {
            drop(self);
        }

        /// The key that was pressed, if one is within a while.
        pub fn wait(&self, a_while: Duration) -> Option<u8> {
            let mut key = [0];
            let read = self.before.is_some().then(|| rustix::io::read(stdin(), &mut key));
            match read {
                Some(Ok(0) | Err(rustix::io::Errno::INTR)) => None,
                Some(Ok(_)) => Some(key[0]),
                Some(Err(_)) | None => {
                    std::thread::sleep(a_while);
                    None
                }
            }
        }
    }

    impl Drop for Keys {
        fn drop(&mut self) {
            if let Some(before) = &self.before {
                let _ = tcsetattr(stdin(), OptionalActions::Now, before);
            }
        }
    }
}

#[cfg(not(unix))]
mod keys {
    use std::time::Duration;

    /// Here only Ctrl-C ends it.
    pub struct Keys;

    impl Keys {
        pub fn open() -> Keys {
            Keys
        }

        pub fn close(self) {}

        pub fn wait(&self, a_while: Duration) -> Option<u8> {
            std::thread::sleep(a_while);
            None
        }
    }
}
