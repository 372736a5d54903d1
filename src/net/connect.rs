//! Connections to other servers: name, TCP and TLS, all within one time.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::{GaiAddrs, GaiResolver, Name};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tower_service::Service;

/// How long a silent connection is believed in, and how often it is asked after that.
const KEEPALIVE: Duration = Duration::from_secs(15);
/// How often a silent connection is asked before it counts as dead.
const KEEPALIVE_PROBES: u32 = 3;
/// How long sent data may stay unacknowledged.
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);

/// Makes connections. Cheap to clone, which every request does.
#[derive(Clone)]
pub(super) struct Connector(Arc<Inner>);

struct Inner {
    https: HttpsConnector<HttpConnector<Resolver>>,
    timeout: Duration,
}

/// The time for a connection has run out.
#[derive(Debug, thiserror::Error)]
#[error("no connection in time")]
pub(super) struct TookTooLong;

/// The host's name was not resolved.
#[derive(Debug, thiserror::Error)]
#[error("the name was not resolved")]
pub(super) struct NotResolved;

type Connecting<T> = Pin<Box<dyn Future<Output = Result<T, Box<dyn std::error::Error + Send + Sync>>> + Send>>;

impl Connector {
    /// Connections that take at most `timeout`, with this TLS where the URL asks for it.
    pub(super) fn new(tls: ClientConfig, timeout: Duration) -> Self {
        let mut http = HttpConnector::new_with_resolver(Resolver(GaiResolver::new()));
        http.enforce_http(false);
        http.set_nodelay(true);
        // The time for each of a name's addresses, so that one that does not answer leaves some for the next.
        http.set_connect_timeout(Some(timeout));
        http.set_keepalive(Some(KEEPALIVE));
        http.set_keepalive_interval(Some(KEEPALIVE));
        http.set_keepalive_retries(Some(KEEPALIVE_PROBES));
        #[cfg(target_os = "linux")]
        http.set_tcp_user_timeout(Some(UNACKNOWLEDGED));
        Self(Arc::new(Inner { https: HttpsConnector::from((http, tls)), timeout }))
    }
}

impl Service<Uri> for Connector {
    type Response = MaybeHttpsStream<TokioIo<TcpStream>>;
    type Error = Box<dyn std::error::Error + Send + Sync>;
    type Future = Connecting<Self::Response>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        // The parts are asked where they are used.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let (mut https, most) = (self.0.https.clone(), self.0.timeout);
        Box::pin(async move {
            let connecting = async {
                std::future::poll_fn(|context| https.poll_ready(context)).await?;
                https.call(uri).await
            };
            timeout(most, connecting).await.unwrap_or_else(|_| Err(TookTooLong.into()))
        })
    }
}

/// The system's resolver, whose failure has a type of its own.
#[derive(Clone)]
struct Resolver(GaiResolver);

impl Service<Name> for Resolver {
    type Response = GaiAddrs;
    type Error = NotResolved;
    type Future = Pin<Box<dyn Future<Output = Result<GaiAddrs, NotResolved>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), NotResolved>> {
        self.0.poll_ready(context).map_err(not_resolved)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let resolving = self.0.call(name);
        Box::pin(async move { resolving.await.map_err(not_resolved) })
    }
}

/// What the system says of it repeats the name, which may be a secret.
fn not_resolved(_: io::Error) -> NotResolved {
    NotResolved
}
