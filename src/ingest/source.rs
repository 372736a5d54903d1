//! A source as ingest sees it: its verifier and its limits.

use std::num::NonZeroU32;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use secrecy::SecretString;

use super::keyring::Keyring;
use crate::verify::Verifier;

/// Refusals of one source that are written of in a burst, and then in each second: forged traffic must not become disk load,
/// nor must a captured request that somebody sends again and again.
const REFUSALS_WRITTEN: NonZeroU32 = NonZeroU32::new(50).unwrap();

/// Where events come in.
pub struct Source {
    /// The name, which is also the URL's.
    pub name: Arc<str>,
    /// Judges its requests. Shared with what explains refusals.
    pub verifier: Arc<Verifier>,
    /// The largest body in bytes.
    pub max_body: usize,
    admission: Option<DefaultDirectRateLimiter>,
    refusals: DefaultDirectRateLimiter,
    contents: DefaultDirectRateLimiter,
    filters: DefaultDirectRateLimiter,
    /// Keys that the sender publishes.
    pub(super) keyring: Keyring,
    /// Judges its requests with the secret that the sender has told.
    learned: OnceLock<Arc<Verifier>>,
}

impl Source {
    /// A source that takes `rate` (count, in which time) verified requests, in a burst of at most `count`; `None` for
    /// any number.
    pub fn new(name: Arc<str>, verifier: Verifier, max_body: usize, rate: Option<(NonZeroU32, Duration)>) -> Self {
        let admission = rate.and_then(|(count, per)| {
            let quota = Quota::with_period(per / count.get())?.allow_burst(count);
            Some(RateLimiter::direct(quota))
        });
        let [refusals, contents, filters] = [(); 3].map(|()| RateLimiter::direct(Quota::per_second(REFUSALS_WRITTEN)));
        let verifier = Arc::new(verifier);
        Self { name, verifier, max_body, admission, refusals, contents, filters, keyring: Keyring::new(), learned: OnceLock::new() }
    }

    /// Judges its requests, with the secret that the sender has told where there is one.
    pub fn verifier(&self) -> &Arc<Verifier> {
        self.learned.get().unwrap_or(&self.verifier)
    }

    /// Takes the secret that the sender has told. The first stays.
    pub(super) fn take_secret(&self, secret: SecretString) {
        match self.verifier.with_secret(secret) {
            Ok(verifier) => drop(self.learned.set(Arc::new(verifier))),
            Err(error) => tracing::error!(source.name = &*self.name, cause = %error, "the secret of a handshake is of no use"),
        }
    }

    /// Takes one request's place under the rate limit, or says how long to wait for one.
    pub(super) fn admit(&self) -> Result<(), Duration> {
        let Some(limiter) = &self.admission else { return Ok(()) };
        limiter.check().map_err(|refused| refused.wait_time_from(DefaultClock::default().now()))
    }

    /// Whether one more line on identity and content may go into the log.
    pub(super) fn may_write_of_content(&self) -> bool {
        self.contents.check().is_ok()
    }

    /// Whether one more line on a filter that failed may go into the log.
    pub(super) fn may_write_of_filters(&self) -> bool {
        self.filters.check().is_ok()
    }

    /// Whether one more refusal may go into the log and the rejection log.
    pub(super) fn may_write_of_refusal(&self) -> bool {
        self.refusals.check().is_ok()
    }
}
