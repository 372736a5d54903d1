//! The one outgoing HTTP client: no redirects, no proxies from the environment, a cap on time and on what is read back.
//! It knows nothing of events: `deliver` and the command line say what to send and what an answer means.

pub mod certificate;
mod connect;
mod endpoint;
mod error;
mod settings;
#[cfg(test)]
pub(crate) mod testing;
mod tls;

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Response as Answer};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::{self, Client as Pool};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::{Instant, timeout_at};

pub use endpoint::Endpoint;
pub use error::NetError;
pub use settings::{ClientSettings, Clients, SetupError};

use crate::domain::{HeaderBuilder, Headers};
use connect::Connector;

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

/// How often a request is sent again that the other side has not touched.
const MOST_REFUSALS: u32 = 2;

/// Room for the fields of a usual answer, in bytes.
const ANSWERED_FIELDS: usize = 256;

/// A request to send.
#[derive(Clone)]
pub struct Request {
    /// The method in upper case.
    pub method: String,
    /// Where to. An `Authorization` header in its URL replaces one in `headers`.
    pub to: Endpoint,
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

/// Shows no more of where to than [`Endpoint`] does, and nothing of values and body: they may be secrets.
impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let credentials: Vec<_> = self.credentials.keys().map(HeaderName::as_str).collect();
        let mut shown = f.debug_struct("Request");
        shown.field("method", &self.method).field("to", &self.to).field("headers", &self.headers);
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
    pool: Pool<Connector, Full<Bytes>>,
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
        let pool = pool().build(Connector::new(tls::config(&settings.tls)?, connect_timeout));
        Ok(Self { pool, connect_timeout })
    }

    /// Sends the request and reads the answer. Any status is an answer, a redirect too.
    ///
    /// # Errors
    /// [`NetError`] when no status came back, or the request cannot be put into HTTP.
    pub async fn send(&self, request: Request) -> Result<Response, NetError> {
        let deadline = Instant::now() + request.timeout;
        match timeout_at(deadline, self.exchange(&request)).await {
            Err(_) => Err(NetError::TimedOut(request.timeout)),
            Ok(Err(error)) => Err(error),
            Ok(Ok(answer)) => Ok(read(answer, request.response_cap, deadline).await),
        }
    }

    /// What is sent again within one attempt is only what the other side says it has not touched.
    async fn exchange(&self, request: &Request) -> Result<Answer<Incoming>, NetError> {
        let mut again = MOST_REFUSALS;
        loop {
            match self.pool.request(in_http(request)?).await {
                Ok(answer) => return Ok(answer),
                Err(error) if again > 0 && error::is_untouched(&error) => again -= 1,
                Err(error) => return Err(NetError::from_client(&error, self.connect_timeout)),
            }
        }
    }
}

fn pool() -> legacy::Builder {
    let mut builder = Pool::builder(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .http2_keep_alive_interval(PING)
        .http2_keep_alive_timeout(PING)
        .http2_initial_stream_window_size(STREAM_WINDOW)
        .http2_initial_connection_window_size(CONNECTION_WINDOW)
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_max_idle_per_host(IDLE_CONNECTIONS);
    builder
}

/// The request as the pool takes it. What is large in it is shared, not copied.
fn in_http(request: &Request) -> Result<http::Request<Full<Bytes>>, NetError> {
    let Request { method, to, headers, credentials, body, .. } = request;
    let mut fields = header_map(headers, 1 + credentials.len())?;
    if let Some(authorization) = &to.authorization {
        fields.insert(AUTHORIZATION, authorization.clone());
    }
    for (name, value) in credentials {
        let mut value = value.clone();
        // Keeps it out of logs, and of the tables of HTTP/2's header compression.
        value.set_sensitive(true);
        fields.insert(name, value);
    }
    let mut sent = http::Request::new(Full::new(body.clone()));
    *sent.method_mut() = Method::from_bytes(method.as_bytes()).map_err(|_| NetError::Unsendable("its method"))?;
    *sent.uri_mut() = to.uri.clone();
    *sent.headers_mut() = fields;
    Ok(sent)
}

/// The fields, with room for more.
fn header_map(headers: &Headers, more: usize) -> Result<HeaderMap, NetError> {
    let mut map = HeaderMap::with_capacity(headers.iter().count() + more);
    for (name, value) in headers.iter_shared() {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| NetError::Unsendable("a header's name"))?;
        let value = HeaderValue::from_maybe_shared(value).map_err(|_| NetError::Unsendable("a header's value"))?;
        map.append(name, value);
    }
    Ok(map)
}

async fn read(answer: Answer<Incoming>, cap: usize, deadline: Instant) -> Response {
    let mut headers = HeaderBuilder::with_capacity(ANSWERED_FIELDS);
    for (name, value) in answer.headers() {
        headers.push(name.as_str(), value.as_bytes());
    }
    let status = answer.status().as_u16();
    let mut body = BytesMut::new();
    let mut incoming = answer.into_body();
    let truncated = loop {
        let chunk = match timeout_at(deadline, incoming.frame()).await {
            Ok(None) => break false,
            Ok(Some(Err(_))) | Err(_) => break true,
            // Trailers are no part of the body.
            Ok(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
        };
        let taken = chunk.len().min(cap - body.len());
        body.extend_from_slice(&chunk[..taken]);
        if taken < chunk.len() {
            break true;
        }
    };
    Response { status, headers: headers.build(), body: body.freeze(), truncated }
}

#[cfg(test)]
mod tests;
