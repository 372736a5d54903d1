//! Keys that senders publish: fetched when a request needs one, and kept. Fetching is bounded in time, size, number and
//! rate, because whoever sends a request can have one fetched, if only from the sender's own host.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

use crate::domain::{Clock, Timestamp};
use crate::verify::{PublishedKey, Wanted};

/// The keys that are kept for a source.
const MAX_KEPT: usize = 32;
/// How long a key is used before it is fetched again.
const FRESH: Duration = Duration::from_secs(12 * 3_600);
/// How long a set of keys stands before a key that is not in it has it fetched again.
const SETTLED: Duration = Duration::from_secs(60);
/// How long a failure stands before it is tried again.
const FAILED: Duration = Duration::from_secs(10);
/// Fetches of a source in a burst, and then in each second.
const FETCHES: NonZeroU32 = NonZeroU32::new(5).unwrap();

/// Asks senders for what they publish, outside of this module.
#[async_trait]
pub trait Fetch: Send + Sync {
    /// What is found at a URL of a sender. Where names are given it must be a certificate that has one of them, by a
    /// chain that this system trusts.
    ///
    /// # Errors
    /// Why it could not be had, for the log.
    async fn fetch(&self, url: &str, names: &[String]) -> Result<Bytes, String>;
}

/// The published keys of one source.
pub(super) struct Keyring {
    kept: Mutex<HashMap<String, Kept>>,
    /// One fetch at a time: who waits for it finds what it brought.
    fetching: tokio::sync::Mutex<()>,
    fetches: DefaultDirectRateLimiter,
}

struct Kept {
    outcome: Result<PublishedKey, String>,
    at: Timestamp,
}

impl Keyring {
    pub(super) fn new() -> Self {
        let fetches = RateLimiter::direct(Quota::per_second(FETCHES));
        Self { kept: Mutex::new(HashMap::new()), fetching: tokio::sync::Mutex::new(()), fetches }
    }

    /// The key that a request needs.
    ///
    /// # Errors
    /// Why there is none, for the log. The request may be right all the same, and should come again.
    pub(super) async fn key(&self, wanted: &Wanted, fetch: &dyn Fetch, clock: &dyn Clock) -> Result<PublishedKey, String> {
        if let Some(outcome) = self.kept(wanted, clock.now()) {
            return outcome;
        }
        let _one_at_a_time = self.fetching.lock().await;
        if let Some(outcome) = self.kept(wanted, clock.now()) {
            return outcome;
        }
        if self.fetches.check().is_err() {
            return Err("too many keys are asked for".to_owned());
        }
        let fetched = fetch.fetch(&wanted.url, &wanted.rule.names).await;
        let read =
            fetched.and_then(|bytes| PublishedKey::read(&bytes, &wanted.rule.form).map_err(|problem| format!("what is there {problem}")));
        self.keep(wanted, read, clock.now())
    }

    /// What is known already and still counts.
    fn kept(&self, wanted: &Wanted, now: Timestamp) -> Option<Result<PublishedKey, String>> {
        let kept = self.lock();
        let known = kept.get(&wanted.url)?;
        let age = now.since(known.at);
        let lasts = match &known.outcome {
            Ok(key) if key.has(wanted.kid.as_deref()) => FRESH,
            Ok(_) => SETTLED,
            Err(_) => FAILED,
        };
        (age < lasts).then(|| known.outcome.clone())
    }

    /// Keeps what was fetched. A key that was had before outlives a failure to fetch it again.
    fn keep(&self, wanted: &Wanted, read: Result<PublishedKey, String>, now: Timestamp) -> Result<PublishedKey, String> {
        let mut kept = self.lock();
        if let (Err(_), Some(Ok(old))) = (&read, kept.get(&wanted.url).map(|known| &known.outcome))
            && old.has(wanted.kid.as_deref())
        {
            return Ok(old.clone());
        }
        if kept.len() >= MAX_KEPT
            && !kept.contains_key(&wanted.url)
            // Failures go first: a flood of invented names must not push a key out.
            && let Some(oldest) = kept.iter().min_by_key(|(_, known)| (known.outcome.is_ok(), known.at)).map(|(url, _)| url.clone())
        {
            kept.remove(&oldest);
        }
        kept.insert(wanted.url.clone(), Kept { outcome: read.clone(), at: now });
        read
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

    use super::*;
    use crate::provider::{Published, PublishedForm, Template};

    const KEY: &[u8] = b"6kpsY+KcUgq+9VB7Ey7F+ZVHdq6+vnuSQh7qaRRG0iw=";

    /// A sender that answers or fails, and counts how often it is asked.
    #[derive(Default)]
    struct Sender {
        asked: AtomicUsize,
        fails: bool,
    }

    #[async_trait]
    impl Fetch for Sender {
        async fn fetch(&self, _: &str, _: &[String]) -> Result<Bytes, String> {
            self.asked.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            if self.fails { Err("no answer".into()) } else { Ok(Bytes::from_static(KEY)) }
        }
    }

    struct At(AtomicI64);

    impl Clock for At {
        fn now(&self) -> Timestamp {
            Timestamp::from_secs(self.0.load(Ordering::SeqCst))
        }
    }

    fn wanted(url: &str) -> Wanted {
        let rule = Published { url: Template::parse(url).unwrap(), hosts: vec![], path: None, names: vec![], form: PublishedForm::Pem };
        Wanted { url: url.to_owned(), rule, kid: None }
    }

    #[tokio::test]
    async fn many_requests_at_once_fetch_a_key_once() {
        let (ring, sender, clock) = (Keyring::new(), Sender::default(), At(AtomicI64::new(1_000_000)));
        let wanted = wanted("https://h.test/a");
        let keys = futures_util::future::join_all((0..50).map(|_| ring.key(&wanted, &sender, &clock))).await;
        assert!(keys.iter().all(Result::is_ok));
        assert_eq!(sender.asked.load(Ordering::SeqCst), 1);
        clock.0.fetch_add(FRESH.as_secs() as i64, Ordering::SeqCst);
        assert!(ring.key(&wanted, &Sender { fails: true, ..Sender::default() }, &clock).await.is_ok(), "an old key outlives a failure");
        assert!(ring.key(&wanted, &sender, &clock).await.is_ok());
        assert_eq!(sender.asked.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn a_failure_stands_for_a_while_and_fetching_is_bounded() {
        let (ring, clock) = (Keyring::new(), At(AtomicI64::new(1_000_000)));
        let sender = Sender { fails: true, ..Sender::default() };
        for _ in 0..10 {
            assert!(ring.key(&wanted("https://h.test/a"), &sender, &clock).await.is_err());
        }
        assert_eq!(sender.asked.load(Ordering::SeqCst), 1);
        for at in 0..100 {
            assert!(ring.key(&wanted(&format!("https://h.test/{at}")), &sender, &clock).await.is_err());
        }
        assert!(sender.asked.load(Ordering::SeqCst) < 20, "a flood of names");
        assert!(ring.lock().len() <= MAX_KEPT);
    }

    #[tokio::test]
    async fn invented_names_do_not_push_a_key_out() {
        let (ring, clock) = (Keyring::new(), At(AtomicI64::new(1_000_000)));
        let (sender, key) = (Sender::default(), wanted("https://h.test/key"));
        assert!(ring.key(&key, &sender, &clock).await.is_ok());
        for at in 0..2 * MAX_KEPT {
            clock.0.fetch_add(1, Ordering::SeqCst);
            let failed = Err("no answer".to_owned());
            assert!(ring.keep(&wanted(&format!("https://h.test/{at}")), failed, clock.now()).is_err());
        }
        assert!(ring.key(&key, &sender, &clock).await.is_ok());
        assert_eq!(sender.asked.load(Ordering::SeqCst), 1);
    }
}
