//! Starting and stopping the listeners.

use std::any::Any;
use std::fs::File;
use std::io::BufReader;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::dev::{Extensions, Server, ServerHandle};
use actix_web::middleware::from_fn;
use actix_web::web::{Data, route};
use actix_web::{App, HttpServer};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_util::sync::CancellationToken;

use super::access::{self, Access};
use super::api::destinations::Destinations;
use super::api::sources::Sources;
use super::audit;
use super::body::Budget;
use super::connections::Connections;
use super::idempotent;
use super::ops::{self, Ops};
use super::problem;
use super::receive::{self, Public};
use crate::config::{Destination, Limits, Source, Tls};
use crate::domain::{Clock, Lanes};
use crate::feed::Feed;
use crate::history::{Control, History, Trail};
use crate::idempotency::Idempotency;
use crate::ingest::Ingest;
use crate::provider::Table;
use crate::replay::Replays;
use crate::telemetry::Telemetry;

/// How long a TLS handshake or the wait for a client to close may take.
const CONNECTION_STEP: Duration = Duration::from_secs(5);
/// How long requests in flight may take to end at a shutdown.
const SHUTDOWN_SECONDS: u64 = 5;
/// The most connections to the admin listener.
const ADMIN_CONNECTIONS: usize = 1_000;

/// Why a listener cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The address is taken, or not this machine's.
    #[error("cannot listen on {0}: {1}")]
    Bind(SocketAddr, std::io::Error),
    /// The certificate or key cannot be used.
    #[error("tls: {0}")]
    Tls(String),
}

/// What the public listener works with.
pub struct PublicParts {
    /// Takes the requests in.
    pub ingest: Arc<Ingest>,
    /// The bounds.
    pub limits: Limits,
    /// Worker threads.
    pub workers: usize,
    /// The certificate, when it speaks TLS itself.
    pub tls: Option<Tls>,
    /// Cancelled when the program stops: connections are then closed after their answer.
    pub closing: CancellationToken,
}

/// What the admin listener works with.
pub struct AdminParts {
    /// For readiness, and to verify refused requests again.
    pub ingest: Arc<Ingest>,
    /// Answers the API's questions.
    pub history: History,
    /// Does what the API orders.
    pub control: Control,
    /// What happens.
    pub feed: Arc<Feed>,
    /// The trail of what is asked for.
    pub trail: Trail,
    /// The most bytes of bodies being published at once.
    pub bodies: usize,
    /// The sources as configured.
    pub sources: Vec<Source>,
    /// The senders.
    pub providers: Arc<Table>,
    /// The destinations as configured.
    pub destinations: Vec<Destination>,
    /// Tells how they fare.
    pub lanes: Arc<dyn Lanes>,
    /// Has events delivered again.
    pub replays: Arc<Replays>,
    /// Knows which requests came before.
    pub idempotency: Arc<Idempotency>,
    /// Has the metrics.
    pub telemetry: Arc<Telemetry>,
    /// The time, for ages.
    pub clock: Arc<dyn Clock>,
    /// Who may use it.
    pub access: Access,
    /// The bound on the time for a request's headers.
    pub header_timeout: Duration,
    /// How long an idle connection is kept.
    pub keep_alive: Duration,
}

/// A listener that has its address and waits to be run.
pub struct Listener {
    server: Server,
    address: SocketAddr,
    connections: Arc<Connections>,
}

impl Listener {
    /// The address it has, with the port that was chosen for port 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A handle to stop it: no new connections, requests in flight are finished.
    pub fn handle(&self) -> ServerHandle {
        self.server.handle()
    }

    /// Serves until it is stopped.
    ///
    /// # Errors
    /// When the server itself fails.
    pub async fn run(self) -> std::io::Result<()> {
        tokio::select! {
            ended = self.server => ended,
            () = self.connections.watch() => Ok(()),
        }
    }
}

/// Opens the public listener.
///
/// # Errors
/// [`ListenError`] when the address or the certificate cannot be used.
pub fn public(address: SocketAddr, parts: PublicParts) -> Result<Listener, ListenError> {
    let limits = parts.limits;
    let connections = Connections::new(limits.keep_alive + limits.header_timeout);
    let budget = Budget::new(limits.bodies);
    let public = Data::new(Public { ingest: parts.ingest, limits, budget, connections: Arc::clone(&connections), closing: parts.closing });
    let socket = bind(address)?;
    let bound = socket.local_addr().map_err(|error| ListenError::Bind(address, error))?;
    let server = HttpServer::new(move || App::new().app_data(public.clone()).default_service(route().to(receive::entry)))
        .on_connect(noting(&connections))
        .workers(parts.workers)
        .max_connections((limits.connections / parts.workers).max(1))
        .client_request_timeout(limits.header_timeout)
        .client_disconnect_timeout(CONNECTION_STEP)
        .keep_alive(limits.keep_alive)
        .shutdown_timeout(SHUTDOWN_SECONDS)
        .disable_signals();
    let listening = match parts.tls {
        None => server.listen(socket),
        Some(tls) => server.listen_rustls_0_23(socket, tls_config(&tls)?),
    };
    let server = listening.map_err(|error| ListenError::Bind(address, error))?;
    Ok(Listener { server: server.run(), address: bound, connections })
}

/// Takes note of each connection.
fn noting(connections: &Arc<Connections>) -> impl Fn(&dyn Any, &mut Extensions) + Send + Clone + 'static {
    let connections = Arc::clone(connections);
    move |stream, data| connections.opened(stream, data)
}

/// Opens the admin listener.
///
/// # Errors
/// [`ListenError`] when the address cannot be used.
pub fn admin(address: SocketAddr, parts: AdminParts) -> Result<Listener, ListenError> {
    let history = Data::new(parts.history.clone());
    let ingest = Data::from(Arc::clone(&parts.ingest));
    let replays = Data::from(parts.replays);
    let idempotency = Data::from(parts.idempotency);
    let ops = Data::new(Ops {
        ingest: parts.ingest,
        history: parts.history,
        telemetry: parts.telemetry,
        clock: Arc::clone(&parts.clock),
        lanes: Arc::clone(&parts.lanes),
        control: parts.control.clone(),
        backlogged: Mutex::default(),
    });
    let control = Data::new(parts.control);
    let (feed, trail, budget) = (Data::from(parts.feed), Data::new(parts.trail), Data::new(Budget::new(parts.bodies)));
    let sources = Data::new(Sources { configured: parts.sources, providers: parts.providers, clock: Arc::clone(&parts.clock) });
    let destinations = Data::new(Destinations { configured: parts.destinations, lanes: parts.lanes, clock: parts.clock });
    let access = Data::new(parts.access);
    let connections = Connections::new(parts.keep_alive + parts.header_timeout);
    let used = Data::from(Arc::clone(&connections));
    let socket = bind(address)?;
    let bound = socket.local_addr().map_err(|error| ListenError::Bind(address, error))?;
    let server = HttpServer::new(move || {
        App::new()
            .app_data(access.clone())
            .app_data(history.clone())
            .app_data(ingest.clone())
            .app_data(replays.clone())
            .app_data(idempotency.clone())
            .app_data(ops.clone())
            .app_data(control.clone())
            .app_data(destinations.clone())
            .app_data(sources.clone())
            .app_data(feed.clone())
            .app_data(trail.clone())
            .app_data(budget.clone())
            .app_data(used.clone())
            // The last one is asked first: without access nobody learns what a key stands for, and whatever is asked for is noted.
            .wrap(from_fn(idempotent::guard))
            .wrap(from_fn(audit::trail))
            .wrap(from_fn(access::guard))
            .configure(ops::configure)
            .configure(super::api::configure)
            .default_service(route().to(problem::not_found))
    })
    .on_connect(noting(&connections))
    .workers(1)
    .max_connections(ADMIN_CONNECTIONS)
    .client_request_timeout(parts.header_timeout)
    .client_disconnect_timeout(CONNECTION_STEP)
    .keep_alive(parts.keep_alive)
    .shutdown_timeout(SHUTDOWN_SECONDS)
    .disable_signals();
    let server = server.listen(socket).map_err(|error| ListenError::Bind(address, error))?;
    Ok(Listener { server: server.run(), address: bound, connections })
}

fn bind(address: SocketAddr) -> Result<TcpListener, ListenError> {
    TcpListener::bind(address).map_err(|error| ListenError::Bind(address, error))
}

/// Checks the certificate and its key.
///
/// # Errors
/// [`ListenError::Tls`].
pub fn check_tls(tls: &Tls) -> Result<(), ListenError> {
    tls_config(tls).map(drop)
}

fn tls_config(tls: &Tls) -> Result<rustls::ServerConfig, ListenError> {
    let wrong = |path: &std::path::Path, error: &dyn std::fmt::Display| ListenError::Tls(format!("{}: {error}", path.display()));
    let open = |path: &std::path::Path| File::open(path).map(BufReader::new).map_err(|error| wrong(path, &error));
    let chain: Vec<_> =
        CertificateDer::pem_reader_iter(open(&tls.cert)?).collect::<Result<_, _>>().map_err(|error| wrong(&tls.cert, &error))?;
    let key = PrivateKeyDer::from_pem_reader(open(&tls.key)?).map_err(|error| wrong(&tls.key, &error))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|error| wrong(&tls.cert, &error))
}
