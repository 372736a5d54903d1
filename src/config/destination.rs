//! Destinations as resolved: where events go, and how they are delivered there.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

use super::Rate;
use crate::domain::{OnDead, TypePattern};
use crate::route::{Filter, OnFilterError, OrderBy};
use crate::signing::SigningKey;

/// Where events go.
#[derive(Debug, Clone)]
pub struct Destination {
    /// Its name.
    pub name: Arc<str>,
    /// The sources it takes from, all of which exist.
    pub from: Vec<Arc<str>>,
    /// The types it takes; empty for all.
    pub types: Vec<TypePattern>,
    /// What an event must be like besides.
    pub filter: Option<Filter>,
    /// What becomes of an event on which the filter fails.
    pub on_filter_error: OnFilterError,
    /// What it is.
    pub target: Target,
    /// The most time for one attempt.
    pub timeout: Duration,
    /// The most attempts at once.
    pub concurrency: usize,
    /// The most attempts in a time.
    pub rate_limit: Option<Rate>,
    /// Which events go one at a time and in order; `None` for any order.
    pub order_by: Option<OrderBy>,
    /// What becomes of those behind a dead delivery in the same order.
    pub on_dead: OnDead,
    /// When to try again.
    pub retry: Retry,
    /// When to leave it alone.
    pub circuit: Circuit,
}

/// What a destination is.
#[derive(Debug, Clone)]
pub enum Target {
    /// A URL to which requests are forwarded.
    Url(Box<UrlTarget>),
    /// A command that is run.
    Exec(ExecTarget),
    /// A function of the program that this one is a part of, by its name.
    Handler(Arc<str>),
}

/// A URL as destination.
#[derive(Clone)]
pub struct UrlTarget {
    /// The URL, http or https.
    pub url: url::Url,
    /// Whether it came out of a variable: then its path may be a secret, too.
    pub from_variable: bool,
    /// Whether the deeper path and the query of the request go to the URL too.
    pub append_path: bool,
    /// Header fields to set, which replace the sender's.
    pub headers: Vec<(String, SecretString)>,
    /// Credentials for it.
    pub auth: Option<Auth>,
    /// Instead of the system's authorities, and to prove who we are.
    pub tls: ClientTls,
    /// The most time until the connection stands.
    pub connect_timeout: Duration,
    /// Statuses after which a delivery is not tried again.
    pub dead_on: Vec<u16>,
    /// Keys to sign with, by Standard Webhooks; none to leave unsigned.
    pub sign: Vec<SigningKey>,
}

impl UrlTarget {
    /// How long a connection may take to be made, unless it is configured.
    pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

    /// The URL with nothing else configured.
    pub fn plain(url: url::Url) -> Self {
        Self {
            url,
            from_variable: false,
            append_path: false,
            headers: Vec::new(),
            auth: None,
            tls: ClientTls::default(),
            connect_timeout: Self::CONNECT_TIMEOUT,
            dead_on: Vec::new(),
            sign: Vec::new(),
        }
    }
}

/// Credentials for a URL.
#[derive(Clone)]
pub enum Auth {
    /// `Authorization: Bearer …`
    Bearer(SecretString),
    /// `Authorization: Basic …`, of `user:password`.
    Basic(SecretString),
}

/// PEM files for TLS towards a destination.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct ClientTls {
    /// The authorities to trust, instead of the system's.
    pub ca: Option<PathBuf>,
    /// Certificate chain and private key of ours.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// A command as destination.
#[derive(Clone)]
pub struct ExecTarget {
    /// The program and its arguments; never empty.
    pub command: Vec<String>,
    /// Variables beside those that it always gets.
    pub env: Vec<(String, SecretString)>,
    /// Its working directory, instead of ours.
    pub dir: Option<PathBuf>,
    /// Exit codes after which a delivery is not tried again.
    pub dead_on: Vec<u8>,
}

/// When to try again after a failed attempt.
#[derive(Debug, Clone, PartialEq)]
pub enum Retry {
    /// Exponential backoff with full jitter.
    Exponential {
        /// Attempts in all, at least 1.
        attempts: u32,
        /// The upper bound of the first wait.
        first: Duration,
        /// The upper bound of any wait.
        max: Duration,
        /// The growth of that bound from wait to wait, at least 1.
        factor: f64,
    },
    /// These waits; one attempt more than there are waits.
    Schedule(Vec<Duration>),
}

/// When a destination that keeps failing is left alone, and how it is looked after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Circuit {
    /// So many failures one after another; `None` for never.
    pub failures: Option<u32>,
    /// The wait before the first probe.
    pub probe: Duration,
    /// The longest wait between probes, each being twice as long as the one before.
    pub max_probe: Duration,
}
