//! Why no answer came, in one line for people. Never the URL's user, password, path or query.

use std::error::Error;
use std::io::ErrorKind;
use std::time::Duration;

use h2::Reason;
use hyper_util::client::legacy;

use super::connect::{NotResolved, TookTooLong};

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
    /// Reads the error's causes by type. Where they have words, these may hold what was sent, so only those of the last cause
    /// are used.
    pub(super) fn from_client(error: &legacy::Error, connect_timeout: Duration) -> Self {
        if find::<NotResolved>(error).is_some() {
            return Self::NameNotResolved;
        }
        if find::<TookTooLong>(error).is_some() {
            return Self::ConnectTimedOut(connect_timeout);
        }
        if let Some(tls) = find::<rustls::Error>(error) {
            return Self::Tls(one_line(tls));
        }
        if let Some(alert) = causes(error).find_map(alert) {
            return Self::Tls(alert);
        }
        if let Some(error) = find::<h2::Error>(error) {
            return Self::from_http2(error);
        }
        // Those around it say no more than that it failed.
        let io = causes(error).filter_map(|cause| cause.downcast_ref::<std::io::Error>()).last().map(std::io::Error::kind);
        match (io, error.is_connect()) {
            (Some(ErrorKind::ConnectionRefused), _) => Self::Refused,
            (Some(ErrorKind::TimedOut), true) => Self::ConnectTimedOut(connect_timeout),
            (Some(kind), true) => Self::Unreachable(kind.to_string()),
            (None, true) => Self::Unreachable(innermost(error)),
            (Some(ErrorKind::TimedOut), false) => Self::Unreachable("the other side has gone silent".to_owned()),
            (Some(_), false) => Self::Cut,
            (None, false) if find::<hyper::Error>(error).is_none_or(is_cut) => Self::Cut,
            (None, false) => Self::Malformed(innermost(error)),
        }
    }

    /// The reason alone: what the other side wrote to it is left out.
    fn from_http2(error: &h2::Error) -> Self {
        match error.reason() {
            Some(reason) if error.is_remote() => Self::Ended(reason.description().to_owned()),
            Some(reason) => Self::Malformed(reason.description().to_owned()),
            None => Self::Cut,
        }
    }
}

/// Whether the other side says that it has done nothing with the request: a stream of HTTP/2 that it refused, or that was
/// begun behind its farewell (RFC 9113, 8.7).
pub(super) fn is_untouched(error: &legacy::Error) -> bool {
    let Some(error) = find::<h2::Error>(error).filter(|error| error.is_remote()) else { return false };
    let reason = error.reason();
    error.is_go_away() && reason == Some(Reason::NO_ERROR) || error.is_reset() && reason == Some(Reason::REFUSED_STREAM)
}

fn is_cut(error: &hyper::Error) -> bool {
    error.is_incomplete_message() || error.is_closed() || error.is_canceled()
}

fn find<E: Error + 'static>(error: &legacy::Error) -> Option<&E> {
    causes(error).find_map(|cause| cause.downcast_ref::<E>())
}

/// What is below `error`. An I/O error names the cause of its payload as its own source and so leaves the payload
/// itself out, which is where a TLS error sits.
fn causes(error: &legacy::Error) -> impl Iterator<Item = Cause<'_>> {
    std::iter::successors(error.source(), |cause| {
        let cause: Cause<'_> = *cause;
        match cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
            Some(payload) => Some(payload as Cause<'_>),
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
fn innermost(error: &legacy::Error) -> String {
    causes(error).last().map_or_else(|| "unknown cause".to_owned(), one_line)
}

fn one_line(error: &dyn Error) -> String {
    error.to_string().replace(char::is_control, " ")
}
