//! The one outgoing HTTP client: no redirects, no proxies from the environment, a cap on time and on what is read back.
//! It knows nothing of events: `deliver` and the command line say what to send and what an answer means.

pub mod certificate;
mod error;
mod settings;
#[cfg(test)]
pub(crate) mod testing;
mod tls;

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};

pub use error::NetError;
pub use settings::{ClientSettings, Clients, SetupError};

use crate::domain::{HeaderBuilder, Headers};

/// How long an unused connection is kept. Node and actix close theirs after 5 s: a request written in that very moment
/// would be lost and count as a failed attempt, so ours go first.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);

/// Unused connections kept for each host.
const IDLE_CONNECTIONS: usize = 64;

/// How long a connection of HTTP/2 may be silent under requests before it is asked whether it lives, and how long it may
/// take to say so. All requests share it, so one that died unnoticed would fail them all until the system gives it up.
const PING: Duration = Duration::from_secs(10);

/// How much of an answer may be on its way over HTTP/2 before it is read.
const STREAM_WINDOW: u32 = 64 << 10;
/// The same of all answers of a connection together.
const CONNECTION_WINDOW: u32 = 1 << 20;

/// A request to send.
#[derive(Clone)]
pub struct Request {
    /// The method in upper case.
    pub method: String,
    /// Where to; user and password in it become an `Authorization` header, which replaces one in `headers`.
    pub url: Url,
    /// The header fields; `Host` and `Content-Length` are set by the client.
    pub headers: Headers,
    /// Further fields, which replace those of the same name in `headers`. Nothing shows their values.
    pub credentials: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// The most time from connecting to the end of the answer.
    pub timeout: Duration,
    /// How many bytes of the answer's body are read; the rest is dropped, over HTTP/1.1 together with the connection.
    pub response_cap: usize,
}

/// Shows the host alone: user, password, query and body may be secrets.
impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let host = self.url.host_str();
        let credentials: Vec<_> = self.credentials.keys().map(HeaderName::as_str).collect();
        let mut shown = f.debug_struct("Request");
        shown.field("method", &self.method).field("host", &host).field("headers", &self.headers);
        shown.field("credentials", &credentials).finish_non_exhaustive()
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

/// The client: cheap to clone, and the clones share one pool of connections. It speaks HTTP/2 where an `https` server offers
/// it, else HTTP/1.1.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    connect_timeout: Duration,
}

impl Client {
    /// A client that trusts the system's certificate authorities. On a system that has none, `http` still works and
    /// every `https` request fails.
    ///
    /// # Errors
    /// [`NetError::Setup`] when the TLS library cannot be set up.
    pub fn new() -> Result<Self, NetError> {
        Self::with(&ClientSettings::default()).map_err(|error| NetError::Setup(error.problem))
    }

    /// A client with these settings.
    ///
    /// # Errors
    /// [`SetupError`] when a file cannot be used, or the TLS library cannot be set up.
    pub fn with(settings: &ClientSettings) -> Result<Self, SetupError> {
        let connect_timeout = settings.connect_timeout;
        let http = builder(connect_timeout).tls_backend_preconfigured(tls::config(&settings.tls)?).build();
        let http = http.map_err(|error| SetupError { key: None, problem: error::innermost(&error) })?;
        Ok(Self { http, connect_timeout })
    }

    /// Sends the request and reads the answer. Any status is an answer, a redirect too.
    ///
    /// # Errors
    /// [`NetError`] when no status came back, or the request cannot be put into HTTP.
    pub async fn send(&self, request: Request) -> Result<Response, NetError> {
        let Request { method, url, headers, credentials, body, timeout, response_cap } = request;
        let deadline = tokio::time::Instant::now() + timeout;
        let method = Method::from_bytes(method.as_bytes()).map_err(|_| NetError::Unsendable("its method"))?;
        let mut fields = header_map(&headers)?;
        if !url.username().is_empty() || url.password().is_some() {
            fields.remove(AUTHORIZATION);
        }
        for (name, mut value) in credentials.into_iter().filter_map(|(name, value)| Some((name?, value))) {
            // Keeps it out of logs, and of the tables of HTTP/2's header compression.
            value.set_sensitive(true);
            fields.insert(name, value);
        }
        let sending = self.http.request(method, url).headers(fields).body(body).send();
        let answer = match tokio::time::timeout_at(deadline, sending).await {
            Err(_) => return Err(NetError::TimedOut(timeout)),
            Ok(Err(error)) => return Err(NetError::from_reqwest(&error, self.connect_timeout)),
            Ok(Ok(answer)) => answer,
        };
        Ok(read(answer, response_cap, deadline).await)
    }
}

/// What is sent again within one attempt is only what the other side says it has not touched: a stream of HTTP/2 that it
/// refused, or that was begun behind its farewell (RFC 9113, 8.7). That is reqwest's rule unless another one is set.
fn builder(connect_timeout: Duration) -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .referer(false)
        .connect_timeout(connect_timeout)
        .http2_keep_alive_interval(PING)
        .http2_keep_alive_timeout(PING)
        .http2_initial_stream_window_size(STREAM_WINDOW)
        .http2_initial_connection_window_size(CONNECTION_WINDOW)
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
