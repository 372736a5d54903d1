//! Why no answer came, in one line for people. Never the URL's user, password, path or query.

use std::error::Error;
use std::io::ErrorKind;
use std::time::Duration;

/// Why a request brought no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NetError {
    /// The client itself could not be set up.
    #[error("the HTTP client cannot be set up: {0}")]
    Setup(String),
    /// Some part of the request has no form in HTTP.
    #[error("the request cannot be sent: {0} is not valid in HTTP")]
    Unsendable(&'static str),
    /// No answer within the time.
    #[error("timed out after {}", Seconds(*.0))]
    TimedOut(Duration),
    /// No connection within its own, shorter time.
    #[error("no connection within {}", Seconds(*.0))]
    ConnectTimedOut(Duration),
    /// The host's name is not known, or the resolver does not answer.
    #[error("the host's name was not resolved")]
    NameNotResolved,
    /// Nothing listens there.
    #[error("connection refused")]
    Refused,
    /// The connection could not be made for another reason.
    #[error("no connection: {0}")]
    Unreachable(String),
    /// No secure connection: the certificate is not trusted, or the other side does not speak TLS.
    #[error("TLS failed: {0}")]
    Tls(String),
    /// The connection ended before an answer came.
    #[error("the connection was closed before an answer came")]
    Cut,
    /// The other side gave up the exchange, by the means that HTTP/2 has for it.
    #[error("the other side ended the exchange before an answer came: {0}")]
    Ended(String),
    /// What came back is not HTTP.
    #[error("no valid HTTP answer: {0}")]
    Malformed(String),
}

/// A duration as people write it: `30 s`, `0.25 s`.
struct Seconds(Duration);

impl std::fmt::Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} s", self.0.as_millis() as f64 / 1_000.0)
    }
}

impl NetError {
    /// Reads the error's causes by type. The error's own text holds the URL, so it is never used.
    pub(super) fn from_reqwest(error: &reqwest::Error, connect_timeout: Duration) -> Self {
        if error.is_dns() {
            return Self::NameNotResolved;
        }
        if let Some(tls) = causes(error).find_map(|cause| cause.downcast_ref::<rustls::Error>()) {
            return Self::Tls(one_line(tls));
        }
        if let Some(alert) = causes(error).find_map(alert) {
            return Self::Tls(alert);
        }
        let io = causes(error).find_map(|cause| cause.downcast_ref::<std::io::Error>()).map(std::io::Error::kind);
        match (io, error.is_connect()) {
            (Some(ErrorKind::ConnectionRefused), _) => Self::Refused,
            _ if error.is_connect() && error.is_timeout() => Self::ConnectTimedOut(connect_timeout),
            (Some(kind), true) => Self::Unreachable(kind.to_string()),
            (None, true) => Self::Unreachable(innermost(error)),
            (Some(_), false) => Self::Cut,
            // hyper's own errors, which are no types of ours to ask
            (None, false) if causes(error).any(|cause| cause.to_string() == "http2 error") => Self::from_http2(&innermost(error)),
            (None, false) if causes(error).any(|cause| cause.to_string().contains("connection closed")) => Self::Cut,
            (None, false) => Self::Malformed(innermost(error)),
        }
    }
}

impl NetError {
    /// By the words of h2, up to where it adds what the other side wrote.
    fn from_http2(text: &str) -> Self {
        let (what, reason) = text.split_once(": ").unwrap_or((text, ""));
        let reason = reason.split(" (").next().unwrap_or_default().to_owned();
        match what {
            "stream error received" | "connection error received" => Self::Ended(reason),
            "stream error detected" | "connection error detected" | "protocol error" => Self::Malformed(reason),
            _ => Self::Cut,
        }
    }
}

/// What is below `error`. An I/O error names the cause of its payload as its own source and so leaves the payload
/// itself out, which is where a TLS error sits.
fn causes<'a>(error: &'a reqwest::Error) -> impl Iterator<Item = Cause<'a>> {
    std::iter::successors(error.source(), |cause| {
        let cause: Cause<'a> = *cause;
        match cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
            Some(payload) => Some(payload as Cause<'a>),
            None => cause.source(),
        }
    })
}

/// What the other side says of our certificate, which comes after the handshake and is text alone by then.
fn alert(cause: Cause<'_>) -> Option<String> {
    Some(one_line(cause)).filter(|text| text.starts_with("received fatal alert"))
}

type Cause<'a> = &'a (dyn Error + 'static);

/// The last of the causes, in one line.
pub(super) fn innermost(error: &reqwest::Error) -> String {
    causes(error).last().map_or_else(|| "unknown cause".to_owned(), one_line)
}

fn one_line(error: &dyn Error) -> String {
    error.to_string().replace(char::is_control, " ")
}
