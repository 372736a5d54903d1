//! The composition root: the only module that names an engine and knows every other. Builds the parts, runs them, and
//! stops them in the order in which nothing is lost.

mod build;
mod fetch;
mod keep;
mod offline;
mod watch;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::alert::Scribe;
use crate::config::{Config, Database};
use crate::deliver::{BuildError, Handlers};
use crate::dispatch::{self, Dispatcher};
use crate::domain::{Clock, Observer, SystemClock};
use crate::failpoint;
use crate::history::{Control, History, Trail};
use crate::http::{self, Access, AdminParts, ListenError, Listener, PublicParts};
use crate::idempotency::Idempotency;
use crate::ingest::Ingest;
use crate::replay::{self, Replays};
pub use crate::store::sqlite::BackupError;
use crate::store::sqlite::{OpenError, Options, SqliteStore};
pub use crate::telemetry::{Format as LogFormat, init as init_log};
use crate::verify::{KeyError, Verifier};
pub use offline::{Ages, backup, forget_secret, learned_secret, open_history_at, prunable, prune};
use watch::Watchers;

/// How long everything together may take to stop.
const STOP_WITHIN: Duration = Duration::from_secs(10);

/// Why the program cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A secret is not of the form that its provider's row says.
    #[error("sources.{source_name}: {error}")]
    Key {
        /// The source.
        source_name: String,
        /// What is wrong, by position and never by value.
        error: KeyError,
    },
    /// A destination cannot be made as it is configured.
    #[error("destinations.{name}{}: {error}", .error.key())]
    Destination {
        /// The destination.
        name: String,
        /// What is wrong, without secrets.
        error: BuildError,
    },
    /// The database cannot be used.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// An address cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The outgoing HTTP client cannot be made.
    #[error(transparent)]
    Net(#[from] crate::net::NetError),
}

impl StartError {
    /// Whether the configuration is to be mended, rather than the machine.
    pub fn is_configuration(&self) -> bool {
        matches!(self, Self::Key { .. } | Self::Destination { .. } | Self::Listen(ListenError::Tls(_)))
    }
}

/// Why the program ended other than by being told to.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A part ended that nobody stopped.
    #[error("{part} ended{cause}")]
    Ended {
        /// Which.
        part: &'static str,
        /// Why, led by a colon; empty when it does not say.
        cause: String,
    },
    /// Something did not stop in time.
    #[error("not everything stopped within {} s", STOP_WITHIN.as_secs())]
    SlowStop,
}

/// What a program that embeds this one adds to it.
#[derive(Default)]
pub struct Extras {
    /// Is told what happens, beside the log and the metrics.
    pub watcher: Option<Arc<dyn Observer>>,
    /// The functions that destinations can name as their `handler`.
    pub handlers: Handlers,
}

/// The program, put together and holding its addresses, ready to be run.
pub struct App {
    public: Listener,
    admin: Listener,
    closing: CancellationToken,
    dispatcher: Dispatcher,
    store: Arc<SqliteStore>,
    keeper: keep::Keeper,
    /// There where somebody takes Onceward's own events.
    scribe: Option<Scribe>,
    replays: Arc<Replays>,
    history: History,
}

impl App {
    /// Opens the store and the listeners. Nothing is served or dispatched before [`App::run`].
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(config: &Config) -> Result<Self, StartError> {
        Self::start_with(config, Extras::default()).await
    }

    /// As [`App::start`], with what an embedding program adds.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start_with(config: &Config, extras: Extras) -> Result<Self, StartError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let routes = build::routes(config);
        let watchers = Watchers::new(config, &routes, &clock, extras.watcher);
        let announce = watchers.announce();
        let Watchers { telemetry, feed, alerts, observer } = watchers;
        let sources = build::sources(config)?;
        let lanes = build::lanes(config, &clock, &extras.handlers)?;
        let store = Arc::new(open(config, Arc::clone(&observer))?);
        failpoint::reach("app.store-opened");
        let (history, trail) = (History::new(Arc::clone(&store) as _), Trail::new(Arc::clone(&store) as _, Arc::clone(&clock)));
        let dispatcher = Dispatcher::new(dispatch::Parts {
            outbox: Arc::clone(&store) as _,
            lanes,
            clock: Arc::clone(&clock),
            observer: Arc::clone(&observer),
            announce,
            grace: dispatch::GRACE,
        });
        let (jobs, wake) = (Arc::clone(&store) as _, dispatcher.waker());
        let parts = replay::Parts { jobs, routes: routes.clone(), wake, observer: Arc::clone(&observer), clock: Arc::clone(&clock) };
        let replays = Arc::new(Replays::new(parts));
        let parts = crate::ingest::Parts {
            inbox: Arc::clone(&store) as _,
            routes,
            wake: dispatcher.waker(),
            observer: Arc::clone(&observer),
            clock: Arc::clone(&clock),
            fetch: Arc::new(fetch::Fetcher(crate::net::Client::new()?)),
            table: Arc::clone(&config.providers),
        };
        let ingest = Arc::new(Ingest::new(sources, parts));
        let idempotency = Arc::new(Idempotency::new(Arc::clone(&store) as _, Arc::clone(&clock), config.retention.answers));
        let (public, closing) = public_listener(config, &ingest)?;
        let parts = AdminParts {
            ingest,
            history: history.clone(),
            control: Control::new(Arc::clone(&store) as _, dispatcher.waker(), observer, Arc::clone(&clock)),
            feed,
            trail: trail.clone(),
            bodies: config.limits.bodies,
            sources: config.sources.clone(),
            providers: Arc::clone(&config.providers),
            destinations: config.destinations.clone(),
            lanes: dispatcher.lanes(),
            replays: Arc::clone(&replays),
            idempotency: Arc::clone(&idempotency),
            telemetry: Arc::clone(&telemetry),
            clock: Arc::clone(&clock),
            access: Access::new(&config.admin.tokens),
            header_timeout: config.limits.header_timeout,
            keep_alive: config.limits.keep_alive,
        };
        let admin = http::admin(config.admin.listen, parts)?;
        let scribe = alerts.map(|(alerts, pending)| pending.into_scribe(alerts, Arc::clone(&store) as _, dispatcher.waker()));
        let keeper = keep::Keeper { history: history.clone(), trail, idempotency, telemetry, clock, retention: config.retention };
        Ok(Self { public, admin, closing, dispatcher, store, keeper, scribe, replays, history })
    }

    /// Where webhooks are received, with the port that was chosen for port 0.
    pub fn public_address(&self) -> SocketAddr {
        self.public.address()
    }

    /// Where the API is, with the port that was chosen for port 0.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin.address()
    }

    /// Questions about what happened.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Receives and dispatches until `shutdown`; then stops accepting, lets what is in flight end, and closes the store.
    ///
    /// # Errors
    /// [`RunError`] when a part ends by itself, or when not everything stopped in time.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), RunError> {
        let stopping = CancellationToken::new();
        let (public, admin) = (self.public.handle(), self.admin.handle());
        let mut parts = JoinSet::new();
        let (dispatch, keeper) = (self.dispatcher.run(stopping.clone()), self.keeper.run(stopping.clone()));
        parts.spawn(async { ("dispatch", dispatch.map(Ok).await) });
        parts.spawn(async { ("housekeeping", keeper.map(Ok).await) });
        if let Some(scribe) = self.scribe {
            let scribe = scribe.run(stopping.clone());
            parts.spawn(async { ("alerts", scribe.map(Ok).await) });
        }
        let (replays, stop) = (self.replays, stopping.clone());
        parts.spawn(async move { ("replays", replays.run(stop).map(Ok).await) });
        parts.spawn(async { ("the public listener", self.public.run().await) });
        parts.spawn(async { ("the admin listener", self.admin.run().await) });
        // No part ends before it is told to. One that does takes the others with it: a program that receives and no longer
        // delivers, or the other way, must not look alive.
        let failed = tokio::select! {
            () = shutdown.cancelled() => None,
            Some(ended) = parts.join_next() => Some(RunError::of(ended)),
        };
        failpoint::reach("app.stopping");
        tracing::info!("stopping: no new requests, attempts in flight may end");
        self.closing.cancel();
        stopping.cancel();
        let stop = async {
            tokio::join!(public.stop(true), async {
                admin.stop(false).await;
                while let Some(ended) = parts.join_next().await {
                    if let Err(panic) = ended {
                        tracing::error!(cause = %panic, "a part of the program ended badly");
                    }
                }
            });
            failpoint::reach("app.before-close");
            self.store.close().await;
            failpoint::reach("app.closed");
        };
        tokio::time::timeout(STOP_WITHIN, stop).await.map_err(|_| RunError::SlowStop)?;
        failed.map_or(Ok(()), Err)
    }
}

impl RunError {
    /// Why a part ended that nobody stopped.
    fn of(ended: Result<(&'static str, std::io::Result<()>), JoinError>) -> Self {
        match ended {
            Ok((part, outcome)) => Self::Ended { part, cause: outcome.err().map_or_else(String::new, |error| format!(": {error}")) },
            Err(panic) => Self::Ended { part: "a part of the program", cause: format!(": {panic}") },
        }
    }
}

/// Checks what `start` would check without opening more than PEM files: the form of every secret, certificate and key, and that every
/// destination can be made.
///
/// # Errors
/// [`StartError::Key`], [`StartError::Destination`], or what is wrong with the certificate.
pub fn check(config: &Config, extras: &Extras) -> Result<(), StartError> {
    build::sources(config)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    build::lanes(config, &clock, &extras.handlers)?;
    Ok(config.tls.as_ref().map_or(Ok(()), http::check_tls)?)
}

/// The verifiers of the sources, in the order of the file.
///
/// # Errors
/// [`StartError::Key`] when a secret is not of its provider's form.
pub fn verifiers(config: &Config) -> Result<Vec<Verifier>, StartError> {
    config.sources.iter().map(build::verifier).collect()
}

fn open(config: &Config, observer: Arc<dyn Observer>) -> Result<SqliteStore, OpenError> {
    let Database::Sqlite(path) = &config.database;
    let limits = &config.limits;
    let options = Options {
        queue_requests: limits.queue_requests,
        queue_bytes: limits.queue_bytes,
        rejections_per_source: limits.rejections,
        rejection_bytes_per_source: limits.rejection_bytes,
        unsearched: config.sources.iter().filter(|source| !source.search).map(|source| source.name.to_string()).collect(),
        bodies: config.retention.bodies,
        ..Options::default()
    };
    SqliteStore::open(path, &options, observer)
}

/// The public listener, and what has it close its connections.
fn public_listener(config: &Config, ingest: &Arc<Ingest>) -> Result<(Listener, CancellationToken), ListenError> {
    let closing = CancellationToken::new();
    Ok((http::public(config.listen, public_parts(config, ingest, &closing))?, closing))
}

fn public_parts(config: &Config, ingest: &Arc<Ingest>, closing: &CancellationToken) -> PublicParts {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    PublicParts {
        ingest: Arc::clone(ingest),
        limits: config.limits,
        workers: config.workers.unwrap_or((cores / 2).max(1)),
        tls: config.tls.clone(),
        closing: closing.clone(),
    }
}
