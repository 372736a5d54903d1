//! Configuration in two stages: as written (`file`), and resolved ([`Config`]), which is all that the program sees. What
//! is wrong is found between the two and names file, line, key and the nearest allowed value.

mod debug;
mod destination;
mod display;
mod error;
mod expand;
mod file;
mod flags;
mod load;
mod places;
mod read;
mod report;
mod resolve;
#[cfg(test)]
mod tests;
mod warnings;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

use crate::domain::ReplayGuard;
use crate::provider::{Provider, Table};

pub use destination::{Auth, Circuit, ClientTls, Destination, ExecTarget, Retry, Target, UrlTarget};
pub(crate) use error::suggestion;
pub use error::{ConfigError, Problem};
pub use flags::{Overrides, SourceFlag, SourceFlagError};
pub use load::Env;

/// Everything the program needs to know to run, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where webhooks are received.
    pub listen: SocketAddr,
    /// The certificate and key of the public listener, when it speaks TLS itself.
    pub tls: Option<Tls>,
    /// Where events are kept.
    pub database: Database,
    /// Actix workers of the public listener; `None` for one per two cores.
    pub workers: Option<usize>,
    /// The admin listener.
    pub admin: Admin,
    /// How long things are kept.
    pub retention: Retention,
    /// Bounds on what comes in.
    pub limits: Limits,
    /// What is worth an event of Onceward's own.
    pub alerts: Alerts,
    /// Where events come in, in the order of the file.
    pub sources: Vec<Source>,
    /// Where events go, in the order of the file; `forward` shorthands are destinations named after their source.
    pub destinations: Vec<Destination>,
    /// The built-in provider table with the file's own rows added.
    pub providers: Arc<Table>,
}

/// PEM files for TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// The certificate chain.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// Which store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Database {
    /// A SQLite file.
    Sqlite(PathBuf),
}

/// The admin listener.
#[derive(Debug, Clone)]
pub struct Admin {
    /// Its address.
    pub listen: SocketAddr,
    /// The bearer tokens; at least one unless `listen` is loopback.
    pub tokens: Vec<Token>,
}

/// A bearer token of the API.
#[derive(Debug, Clone)]
pub struct Token {
    /// Whose it is, as the audit trail shows it.
    pub name: Arc<str>,
    /// The token.
    pub secret: SecretString,
    /// What may be done with it.
    pub role: Role,
}

/// What may be done with a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Everything may be looked at.
    Read,
    /// Everything may be done.
    Write,
}

impl Role {
    /// Its name in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

/// How long things are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Headers, bodies and attempts.
    pub bodies: Duration,
    /// Identities: how long a duplicate is still recognised.
    pub ids: Duration,
    /// The audit trail.
    pub audit: Duration,
    /// Answers to requests of the API that came with an `Idempotency-Key`, and how long such a key is recognised.
    pub answers: Duration,
}

/// What is worth an event of Onceward's own, for the destinations that take from the source `onceward`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alerts {
    /// More refusals of one source are a spike.
    pub rejections: Rate,
}

/// Bounds on what comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How long the headers of a request may take.
    pub header_timeout: Duration,
    /// How long the body of a request may take.
    pub body_timeout: Duration,
    /// How long a connection without a request is kept.
    pub keep_alive: Duration,
    /// The most bytes of a request's header fields.
    pub headers: usize,
    /// The most connections at once on the public listener.
    pub connections: usize,
    /// The most bytes of bodies being received at once.
    pub bodies: usize,
    /// The most requests waiting for the store.
    pub queue_requests: usize,
    /// The most bytes of bodies waiting for the store.
    pub queue_bytes: usize,
    /// Rejections kept for each source.
    pub rejections: usize,
    /// Bytes of rejections kept for each source.
    pub rejection_bytes: usize,
}

/// Where events come in.
#[derive(Clone)]
pub struct Source {
    /// The name, which is also the URL's: `/hooks/{name}`.
    pub name: Arc<str>,
    /// The sender's row.
    pub provider: Arc<Provider>,
    /// The secrets, never empty and none of them blank unless `verify` is false or the row needs none.
    pub secrets: Vec<SecretString>,
    /// The exact URL given to the sender, when it is known: as configured, else below `public_url`. Always there when the
    /// sender signs it.
    pub url: Option<String>,
    /// Further values that the row asks for.
    pub params: BTreeMap<String, String>,
    /// Instead of the row's timestamp tolerance.
    pub tolerance: Option<Duration>,
    /// The largest body in bytes.
    pub max_body: usize,
    /// Verified requests a second.
    pub rate_limit: Option<Rate>,
    /// False for `verify = "none"`.
    pub verify: bool,
    /// What becomes of content that comes again under another ID.
    pub replay_guard: ReplayGuard,
    /// Whether its events can be found by their words.
    pub search: bool,
}

/// So many in so long: a second, a minute or an hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many, at least one.
    pub count: u32,
    /// In which time, not zero.
    pub per: Duration,
}
