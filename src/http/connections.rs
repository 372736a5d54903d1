//! Connections on which nothing goes on. The HTTP server bounds the time for the headers of a connection's first request
//! only; whoever then sends half a head could hold the connection for ever. This closes it.

use std::any::Any;
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::HttpRequest;
use actix_web::rt::net::TcpStream as ServedStream;
use tokio::time::interval;

/// How often idle connections are looked for.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The open connections of a listener.
pub(super) struct Connections {
    begun: Instant,
    /// How long a connection may be without a whole request.
    patience: Duration,
    open: Mutex<Vec<Weak<Connection>>>,
}

/// One connection, known to its requests.
struct Connection {
    /// A second handle on the socket, to shut it down.
    socket: TcpStream,
    /// Requests being answered.
    busy: AtomicUsize,
    /// When the last one was answered, in milliseconds since the listener's start.
    idle_since: AtomicU64,
}

/// A request being answered: while it lives, its connection is not idle.
pub(super) struct InUse(Arc<Connections>, Arc<Connection>);

impl Connections {
    /// Connections that are closed after `patience` without a whole request.
    pub(super) fn new(patience: Duration) -> Arc<Self> {
        Arc::new(Self { begun: Instant::now(), patience, open: Mutex::default() })
    }

    /// Takes note of a new connection.
    pub(super) fn opened(&self, stream: &dyn Any, data: &mut actix_web::dev::Extensions) {
        let tls = stream.downcast_ref::<TlsStream<ServedStream>>().map(|tls| tls.get_ref().0);
        let Some(stream) = stream.downcast_ref::<ServedStream>().or(tls) else { return };
        // Without a second handle (no file descriptors left) the connection is served all the same.
        let Ok(socket) = stream.as_fd().try_clone_to_owned() else { return };
        let connection = Connection { socket: socket.into(), busy: AtomicUsize::new(0), idle_since: AtomicU64::new(self.now()) };
        let connection = Arc::new(connection);
        self.open.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&connection));
        data.insert(connection);
    }

    /// Marks the request's connection as in use.
    pub(super) fn using(self: Arc<Self>, request: &HttpRequest) -> Option<InUse> {
        let connection = Arc::clone(request.conn_data::<Arc<Connection>>()?);
        connection.busy.fetch_add(1, Ordering::Relaxed);
        Some(InUse(self, connection))
    }

    /// Closes what is idle for too long, again and again.
    pub(super) async fn watch(&self) {
        let mut ticks = interval(LOOK_EVERY);
        loop {
            ticks.tick().await;
            self.close_idle();
        }
    }

    fn close_idle(&self) {
        let latest = self.now().saturating_sub(u64::try_from(self.patience.as_millis()).unwrap_or(u64::MAX));
        self.open.lock().unwrap_or_else(PoisonError::into_inner).retain(|connection| {
            let Some(connection) = connection.upgrade() else { return false };
            let idle = connection.busy.load(Ordering::Relaxed) == 0 && connection.idle_since.load(Ordering::Relaxed) < latest;
            if idle {
                // An error says that it is closed already.
                let _ = connection.socket.shutdown(Shutdown::Both);
            }
            !idle
        });
    }

    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        self.1.idle_since.store(self.0.now(), Ordering::Relaxed);
        self.1.busy.fetch_sub(1, Ordering::Relaxed);
    }
}
