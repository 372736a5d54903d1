//! Signals: which end the program in good order, and which must not end it.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Cancels the token at SIGINT or SIGTERM, from now on. Asked for before anything is opened: until then a signal ends the
/// program as it always does, and the first process of a container not at all.
pub(super) fn stop_on_signals(shutdown: &CancellationToken) -> std::io::Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let shutdown = shutdown.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        shutdown.cancel();
    });
    Ok(())
}

/// A file at the limit of its size (`ulimit -f`) is a write that fails, as on a full disk, and not the end of the program.
pub(super) fn outlive_file_limits() -> std::io::Result<()> {
    // Whoever listens has taken the place of what the signal does by itself; there is nothing to hear.
    signal(SignalKind::from_raw(libc::SIGXFSZ)).map(drop)
}
