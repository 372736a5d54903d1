//! The one outgoing HTTP client: no redirects, no proxies from the environment, a cap on time and on what is read back.
//! It knows nothing of events: `deliver` and the command line say what to send and what an answer means.

pub mod certificate;
mod error;
#[cfg(test)]
pub(crate) mod testing;

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};

pub use error::NetError;

use crate::domain::{HeaderBuilder, Headers};

/// How long a connection may take to be made, name resolution and TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long an unused connection is kept. Node and actix close theirs after 5 s: a request written in that very moment
/// would be lost and count as a failed attempt, so ours go first.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);

/// Unused connections kept for each host.
const IDLE_CONNECTIONS: usize = 64;

/// A request to send.
#[derive(Clone)]
pub struct Request {
    /// The method in upper case.
    pub method: String,
    /// Where to; user and password in it become an `Authorization` header, which replaces one in `headers`.
    pub url: Url,
    /// The header fields; `Host` and `Content-Length` are set by the client.
    pub headers: Headers,
    /// The body.
    pub body: Bytes,
    /// The most time from connecting to the end of the answer.
    pub timeout: Duration,
    /// How many bytes of the answer's body are read; the rest is dropped, and the connection with it.
    pub response_cap: usize,
}

/// Shows the host alone: user, password, query and body may be secrets.
impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let host = self.url.host_str();
        f.debug_struct("Request").field("method", &self.method).field("host", &host).field("headers", &self.headers).finish_non_exhaustive()
    }
}

/// An answer. Its status is known, its body may not be whole.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// The header fields.
    pub headers: Headers,
    /// The body, or its beginning.
    pub body: Bytes,
    /// Whether the body is not whole: longer than the cap, cut, or unfinished at the time-out. The status stands all the
    /// same, because whoever sent it has acted on the request.
    pub truncated: bool,
}

/// The client: cheap to clone, and the clones share one pool of connections.
#[derive(Debug, Clone)]
pub struct Client(reqwest::Client);

impl Client {
    /// A client that trusts the system's certificate authorities. On a system that has none, `http` still works and
    /// every `https` request fails.
    ///
    /// # Errors
    /// [`NetError::Setup`] when the TLS library cannot be set up.
    pub fn new() -> Result<Self, NetError> {
        let built = builder().build().or_else(|_| builder().tls_certs_only([]).build());
        built.map(Self).map_err(|error| NetError::setup(&error))
    }

    /// Sends the request and reads the answer. Any status is an answer, a redirect too.
    ///
    /// # Errors
    /// [`NetError`] when no status came back, or the request cannot be put into HTTP.
    pub async fn send(&self, request: Request) -> Result<Response, NetError> {
        let Request { method, url, headers, body, timeout, response_cap } = request;
        let deadline = tokio::time::Instant::now() + timeout;
        let method = Method::from_bytes(method.as_bytes()).map_err(|_| NetError::Unsendable("its method"))?;
        let mut fields = header_map(&headers)?;
        if !url.username().is_empty() || url.password().is_some() {
            fields.remove(AUTHORIZATION);
        }
        let sending = self.0.request(method, url).headers(fields).body(body).send();
        let answer = match tokio::time::timeout_at(deadline, sending).await {
            Err(_) => return Err(NetError::TimedOut(timeout)),
            Ok(Err(error)) => return Err(NetError::from_reqwest(&error, CONNECT_TIMEOUT)),
            Ok(Ok(answer)) => answer,
        };
        Ok(read(answer, response_cap, deadline).await)
    }
}

fn builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .referer(false)
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_max_idle_per_host(IDLE_CONNECTIONS)
}

fn header_map(headers: &Headers) -> Result<HeaderMap, NetError> {
    let mut map = HeaderMap::with_capacity(headers.iter().count());
    for (name, value) in headers.iter() {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| NetError::Unsendable("a header's name"))?;
        let value = HeaderValue::from_bytes(value).map_err(|_| NetError::Unsendable("a header's value"))?;
        map.append(name, value);
    }
    Ok(map)
}

async fn read(mut answer: reqwest::Response, cap: usize, deadline: tokio::time::Instant) -> Response {
    let mut headers = HeaderBuilder::default();
    for (name, value) in answer.headers() {
        headers.push(name.as_str(), value.as_bytes());
    }
    let status = answer.status().as_u16();
    let mut body = BytesMut::new();
    let truncated = loop {
        match tokio::time::timeout_at(deadline, answer.chunk()).await {
            Ok(Ok(Some(chunk))) if chunk.len() <= cap - body.len() => body.extend_from_slice(&chunk),
            Ok(Ok(Some(chunk))) => {
                body.extend_from_slice(&chunk[..cap - body.len()]);
                break true;
            }
            Ok(Ok(None)) => break false,
            Ok(Err(_)) | Err(_) => break true,
        }
    };
    Response { status, headers: headers.build(), body: body.freeze(), truncated }
}

#[cfg(test)]
mod tests;
