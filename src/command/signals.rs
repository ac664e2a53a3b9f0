//! Ctrl-C and its kin: the first one stops the call gently, the second one at once.

use std::sync::mpsc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::domain::report::Stop;
use crate::render::terminal;
use system::Signals;

/// How long a call that was stopped may take to end.
const LEAVE: Duration = Duration::from_secs(3);

/// Listens from now on, and waits for the first signal that asks us to stop. From then on a second one ends the process
/// with its code, and so does a while without an end: whoever does not read our output must not keep us.
///
/// The signals are waited for on a thread of their own, since a write that blocks would hold up everything else. A signal
/// that was ignored when we were started stays ignored (`nohup`, and interrupts for a script's background jobs).
pub fn stopped() -> impl Future<Output = Stop> {
    let (sender, first) = oneshot::channel();
    let (listening, ready) = mpsc::channel();
    std::thread::spawn(move || {
        // Without a runtime or handlers a signal ends the process as the system does it.
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        runtime.block_on(obey(&listening, sender));
    });
    // Nothing may be sent before a signal would be obeyed; an error says that there is no such thread.
    let _ = ready.recv();
    async {
        match first.await {
            Ok(stop) => stop,
            Err(_) => std::future::pending().await,
        }
    }
}

/// Waits until somebody else has heard the signal: several calls that are made together end together.
pub async fn told(mut heard: tokio::sync::watch::Receiver<Option<Stop>>) -> Stop {
    match heard.wait_for(Option::is_some).await.map(|stop| *stop) {
        Ok(Some(stop)) => stop,
        Ok(None) | Err(_) => std::future::pending().await,
    }
}

async fn obey(listening: &mpsc::Sender<()>, first: oneshot::Sender<Stop>) {
    let mut signals = Signals::listen();
    let _ = listening.send(());
    let stop = signals.next().await;
    if first.send(stop).is_err() {
        terminal::give_back();
        std::process::exit(i32::from(stop.exit_code()));
    }
    let last = timeout(LEAVE, signals.next()).await.unwrap_or(stop);
    terminal::give_back();
    std::process::exit(i32::from(last.exit_code()));
}

#[cfg(unix)]
mod system {
    use tokio::signal::unix::{Signal, SignalKind, signal};

    use crate::domain::report::Stop;

    pub struct Signals {
        interrupt: Option<Signal>,
        terminate: Option<Signal>,
        hangup: Option<Signal>,
    }

    impl Signals {
        pub fn listen() -> Signals {
            let ignored = ignored();
            let listen = |kind: SignalKind| {
                let is_ignored = ignored & (1 << (kind.as_raw_value() - 1)) != 0;
                if is_ignored { None } else { signal(kind).ok() }
            };
            Signals {
                interrupt: listen(SignalKind::interrupt()),
                terminate: listen(SignalKind::terminate()),
                hangup: listen(SignalKind::hangup()),
            }
        }

        pub async fn next(&mut self) -> Stop {
            tokio::select! {
                () = came(&mut self.interrupt) => Stop::Interrupt,
                () = came(&mut self.terminate) => Stop::Terminate,
                () = came(&mut self.hangup) => Stop::Hangup,
            }
        }
    }

    async fn came(signal: &mut Option<Signal>) {
        match signal {
            Some(signal) => _ = signal.recv().await,
            None => std::future::pending().await,
        }
    }

    /// The signals that were ignored when this process was started, where the system says so (Linux: `SigIgn`), a bit each.
    fn ignored() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
    }
}

/// Ctrl-C and Ctrl-Break, the console's window that is closed, and the end of the session.
#[cfg(windows)]
mod system {
    use tokio::signal::windows::{
        CtrlBreak, CtrlC, CtrlClose, CtrlShutdown, ctrl_break, ctrl_c, ctrl_close, ctrl_shutdown,
    };

    use crate::domain::report::Stop;

    pub struct Signals {
        interrupt: Option<CtrlC>,
        key: Option<CtrlBreak>,
        close: Option<CtrlClose>,
        shutdown: Option<CtrlShutdown>,
    }

    impl Signals {
        pub fn listen() -> Signals {
            Signals {
                interrupt: ctrl_c().ok(),
                key: ctrl_break().ok(),
                close: ctrl_close().ok(),
                shutdown: ctrl_shutdown().ok(),
            }
        }

        pub async fn next(&mut self) -> Stop {
            let Signals { interrupt, key, close, shutdown } = self;
            tokio::select! {
                Some(()) = async { interrupt.as_mut()?.recv().await } => Stop::Interrupt,
                Some(()) = async { key.as_mut()?.recv().await } => Stop::Interrupt,
                Some(()) = async { close.as_mut()?.recv().await } => Stop::Hangup,
                Some(()) = async { shutdown.as_mut()?.recv().await } => Stop::Terminate,
                else => std::future::pending().await,
            }
        }
    }
}
