//! Where log lines go: standard error, as text for people or JSON for programs.

use tracing_subscriber::EnvFilter;

/// Our own lines, and of what we are built on only its trouble; not what the HTTP parser says of each malformed request, of
/// which anyone can send as many as they like.
const DEFAULT_FILTER: &str = "info,actix_server=warn,actix_http=off";

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Sends log lines to standard error, filtered by `filter` (the form of `RUST_LOG`), our own from `info` when it is empty. A second
/// call changes nothing.
pub fn init(format: Format, filter: &str) {
    let filter =
        EnvFilter::try_new(if filter.is_empty() { DEFAULT_FILTER } else { filter }).unwrap_or_else(|_| EnvFilter::new(DEFAULT_FILTER));
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    // An error only says that a subscriber is set already, as it is when several run in one process.
    let _ = match format {
        Format::Text => subscriber.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).try_init(),
        Format::Json => subscriber.json().flatten_event(true).try_init(),
    };
}
