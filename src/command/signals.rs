//! Ctrl-C and its kin: the first one stops the call gently, the second one at once.

use crate::domain::report::Stop;

/// Waits for the first signal that asks us to stop. From then on a second one ends the process with its code.
#[cfg(unix)]
pub async fn stopped() -> Stop {
    use tokio::signal::unix::{SignalKind, signal};

    let listen = |kind| signal(kind).ok();
    let (Some(mut interrupt), Some(mut terminate), Some(mut hangup)) =
        (listen(SignalKind::interrupt()), listen(SignalKind::terminate()), listen(SignalKind::hangup()))
    else {
        // Without handlers a signal ends the process as the system does it.
        return std::future::pending().await;
    };
    let stop = tokio::select! {
        _ = interrupt.recv() => Stop::Interrupt,
        _ = terminate.recv() => Stop::Terminate,
        _ = hangup.recv() => Stop::Hangup,
    };
    tokio::spawn(async move {
        let again = tokio::select! {
            _ = interrupt.recv() => Stop::Interrupt,
            _ = terminate.recv() => Stop::Terminate,
        };
        std::process::exit(i32::from(again.exit_code()));
    });
    stop
}

/// Waits for Ctrl-C.
#[cfg(not(unix))]
pub async fn stopped() -> Stop {
    match tokio::signal::ctrl_c().await {
        Ok(()) => Stop::Interrupt,
        Err(_) => std::future::pending().await,
    }
}
