//! Why a server did not do what was asked, in one line that says what to look at.

use serde::Deserialize;
use url::Url;

use crate::cli::output;
use crate::net::{NetError, Response};

/// The code of what is not there.
const NOT_FOUND: &str = "onceward:not-found";

/// Why a server did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum RemoteError {
    /// No answer came.
    #[error(
        "no answer from {base}: {cause} (does the server run, and is this the address of its admin listener? --url or -c FILE says which)"
    )]
    Unreachable {
        /// Where it was asked for.
        base: String,
        /// Why none came.
        cause: NetError,
    },
    /// The server wants a token, or another one.
    #[error("{base} refuses: {what} (--token or ONCEWARD_TOKEN gives one, or -c FILE a configuration that has it)")]
    Unauthorized {
        /// Who refuses.
        base: String,
        /// In the server's words.
        what: String,
    },
    /// What was asked for is not there.
    #[error("{0}: there is no such thing")]
    NotFound(String),
    /// The server says why not.
    #[error("{0}")]
    Refused(String),
    /// Somebody else answers there.
    #[error("{base} answered {status}, and not as Onceward does: is it the address of the admin listener?")]
    Foreign {
        /// Who answered.
        base: String,
        /// The status.
        status: u16,
    },
    /// The answer is not whole.
    #[error("the answer of {0} was cut off, or is too long")]
    Cut(String),
    /// The request has no form in HTTP.
    #[error("the request cannot be sent: its URL is not valid, or too long")]
    Unsendable,
}

/// A problem document (RFC 9457), as far as we tell of it.
#[derive(Deserialize)]
struct Problem {
    r#type: String,
    title: String,
    detail: Option<String>,
}

impl RemoteError {
    pub(super) fn unreachable(base: &Url, cause: NetError) -> Self {
        Self::Unreachable { base: shown(base), cause }
    }

    pub(super) fn foreign(base: &Url, status: u16) -> Self {
        Self::Foreign { base: shown(base), status }
    }

    /// What an answer means that is none of success.
    pub(super) fn refused(base: &Url, answer: &Response) -> Self {
        let Ok(problem) = serde_json::from_slice::<Problem>(&answer.body) else { return Self::foreign(base, answer.status) };
        if !problem.r#type.starts_with("onceward:") {
            return Self::foreign(base, answer.status);
        }
        let what = [Some(problem.title), problem.detail].into_iter().flatten().map(|text| output::clean(&text)).collect::<Vec<_>>();
        match answer.status {
            401 => Self::Unauthorized { base: shown(base), what: what.join(": ") },
            404 if problem.r#type == NOT_FOUND => Self::NotFound(shown(base)),
            _ => Self::Refused(what.join(": ")),
        }
    }

    /// Whether what was asked for by name is not there.
    pub(in crate::cli) fn is_absent(&self) -> bool {
        matches!(self, Self::NotFound(_))
    }

    /// What is asked for by name is not there, in words of whoever asked; else as it is.
    pub(in crate::cli) fn or_absent(self, absent: impl FnOnce() -> String) -> anyhow::Error {
        match self {
            Self::NotFound(_) => anyhow::anyhow!(absent()),
            other => other.into(),
        }
    }

    /// A whole list is not there: then this is no admin API.
    pub(in crate::cli) fn or_no_api(self) -> Self {
        match self {
            Self::NotFound(base) => Self::Foreign { base, status: 404 },
            other => other,
        }
    }
}

/// A server's address, without user, password and query.
pub(super) fn shown(base: &Url) -> String {
    let port = base.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}", base.scheme(), base.host_str().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn answered(status: u16, body: &'static str) -> String {
        let response = Response { status, headers: Default::default(), body: Bytes::from_static(body.as_bytes()), truncated: false };
        RemoteError::refused(&"http://user:hunter2@h:81/x?y".parse().unwrap(), &response).to_string()
    }

    #[test]
    fn a_problem_is_told_in_one_line_without_what_is_in_the_url() {
        let conflict = r#"{"type":"onceward:conflict","title":"Conflict","status":409,"detail":"the delivery\nis delivered\u001b[2J"}"#;
        assert_eq!(answered(409, conflict), "Conflict: the delivery\\u{a}is delivered\\u{1b}[2J");
        let unauthorized = r#"{"type":"onceward:unauthorized","title":"Unauthorized","status":401,"detail":"a bearer token is needed"}"#;
        assert!(answered(401, unauthorized).starts_with("http://h:81 refuses: Unauthorized: a bearer token is needed (--token"));
        for (status, body) in [(502, "<html>"), (404, ""), (404, "{}"), (403, r#"{"type":"about:blank","title":"Forbidden"}"#)] {
            assert!(answered(status, body).starts_with(&format!("http://h:81 answered {status}, and not as Onceward does")));
        }
    }
}
