//! Ctrl-C and its kin: the first one stops the call gently, the second one at once.

use crate::domain::report::Stop;

/// Listens from now on, and waits for the first signal that asks us to stop. From then on a second one ends the process with its code, and so does
/// a while without an end: whoever does not read our output must not keep us.
///
/// The signals are waited for on a thread of their own, since a write that blocks would hold up everything else. A signal
/// that was ignored when we were started stays ignored (`nohup`, and interrupts for a script's background jobs).
#[cfg(unix)]
pub fn stopped() -> impl Future<Output = Stop> {
    let (sender, first) = tokio::sync::oneshot::channel();
    let (listening, ready) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        // Without a runtime or handlers a signal ends the process as the system does it.
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        runtime.block_on(unix::obey(&listening, sender));
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

#[cfg(unix)]
mod unix {
    use std::sync::mpsc;
    use std::time::Duration;

    use tokio::signal::unix::{Signal, SignalKind, signal};
    use tokio::sync::oneshot::Sender;
    use tokio::time::timeout;

    use crate::domain::report::Stop;
    use crate::render::terminal;

    /// How long a call that was stopped may take to end.
    const LEAVE: Duration = Duration::from_secs(3);

    pub async fn obey(listening: &mpsc::Sender<()>, first: Sender<Stop>) {
        let ignored = ignored();
        let mut interrupt = listen(SignalKind::interrupt(), ignored);
        let mut terminate = listen(SignalKind::terminate(), ignored);
        let mut hangup = listen(SignalKind::hangup(), ignored);
        let _ = listening.send(());
        let mut next = async || {
            tokio::select! {
                () = came(&mut interrupt) => Stop::Interrupt,
                () = came(&mut terminate) => Stop::Terminate,
                () = came(&mut hangup) => Stop::Hangup,
            }
        };
        let stop = next().await;
        if first.send(stop).is_err() {
            terminal::give_back();
            std::process::exit(i32::from(stop.exit_code()));
        }
        let last = timeout(LEAVE, next()).await.unwrap_or(stop);
        terminal::give_back();
        std::process::exit(i32::from(last.exit_code()));
    }

    fn listen(kind: SignalKind, ignored: u64) -> Option<Signal> {
        let is_ignored = ignored & (1 << (kind.as_raw_value() - 1)) != 0;
        if is_ignored { None } else { signal(kind).ok() }
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

/// Waits for Ctrl-C.
#[cfg(not(unix))]
pub async fn stopped() -> Stop {
    match tokio::signal::ctrl_c().await {
        Ok(()) => Stop::Interrupt,
        Err(_) => std::future::pending().await,
    }
}
