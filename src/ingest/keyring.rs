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

/// What is known of a URL.
struct Kept {
    /// The key that was found there last; a failure does not take it away.
    key: Option<PublishedKey>,
    /// When it was found.
    found_at: Timestamp,
    /// When it was last asked for.
    asked_at: Timestamp,
    /// Why it was not had then.
    failure: Option<String>,
}

impl Kept {
    /// The key, where it can be the one of this ID.
    fn key(&self, kid: Option<&str>) -> Option<&PublishedKey> {
        self.key.as_ref().filter(|key| key.has(kid))
    }

    /// What to answer without asking again; nothing where it is time to ask.
    fn answer(&self, kid: Option<&str>, now: Timestamp) -> Option<Result<PublishedKey, String>> {
        let asked = now.since(self.asked_at);
        match (self.key(kid), &self.failure) {
            (Some(key), None) if now.since(self.found_at) < FRESH => Some(Ok(key.clone())),
            (Some(key), Some(_)) if asked < FAILED => Some(Ok(key.clone())),
            (None, None) if asked < SETTLED => self.key.clone().map(Ok),
            (None, Some(failure)) if asked < FAILED => Some(Err(failure.clone())),
            _ => None,
        }
    }
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
        if let Some(answer) = self.answer(wanted, clock.now()) {
            return answer;
        }
        let old = self.old(wanted);
        let _one_at_a_time = match (self.fetching.try_lock(), &old) {
            (Ok(turn), _) => turn,
            // Nobody waits for a new key while there is an old one.
            (Err(_), Some(old)) => return Ok(old.clone()),
            (Err(_), None) => self.fetching.lock().await,
        };
        if let Some(answer) = self.answer(wanted, clock.now()) {
            return answer;
        }
        // Only URLs at which a key was found once are asked again without a limit, which strangers could use up.
        if !self.is_known(wanted) && self.fetches.check().is_err() {
            return Err("too many keys are asked for".to_owned());
        }
        let fetched = fetch.fetch(&wanted.url, &wanted.rule.names).await;
        let read =
            fetched.and_then(|bytes| PublishedKey::read(&bytes, &wanted.rule.form).map_err(|problem| format!("what is there {problem}")));
        match (self.keep(wanted, read, clock.now()), old) {
            (Err(_), Some(old)) => Ok(old),
            (read, _) => read,
        }
    }

    fn answer(&self, wanted: &Wanted, now: Timestamp) -> Option<Result<PublishedKey, String>> {
        self.lock().get(&wanted.url)?.answer(wanted.kid.as_deref(), now)
    }

    /// The key that was found before, however long ago.
    fn old(&self, wanted: &Wanted) -> Option<PublishedKey> {
        self.lock().get(&wanted.url)?.key(wanted.kid.as_deref()).cloned()
    }

    /// Whether a key was found at this URL before.
    fn is_known(&self, wanted: &Wanted) -> bool {
        self.lock().get(&wanted.url).is_some_and(|kept| kept.key.is_some())
    }

    /// Keeps what came of asking.
    fn keep(&self, wanted: &Wanted, read: Result<PublishedKey, String>, now: Timestamp) -> Result<PublishedKey, String> {
        let mut all = self.lock();
        if all.len() >= MAX_KEPT
            && !all.contains_key(&wanted.url)
            // URLs without a key go first: a flood of invented names must not push a key out.
            && let Some(oldest) = all.iter().min_by_key(|(_, kept)| (kept.key.is_some(), kept.asked_at)).map(|(url, _)| url.clone())
        {
            all.remove(&oldest);
        }
        let kept = all.entry(wanted.url.clone()).or_insert(Kept { key: None, found_at: now, asked_at: now, failure: None });
        kept.asked_at = now;
        match &read {
            Ok(key) => (kept.key, kept.found_at, kept.failure) = (Some(key.clone()), now, None),
            Err(failure) => kept.failure = Some(failure.clone()),
        }
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
        clock.0.fetch_add(FAILED.as_secs() as i64, Ordering::SeqCst);
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
    async fn an_old_key_outlives_failures_under_load_and_invented_ids() {
        const SET: &str = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"own","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
        let (ring, clock) = (Keyring::new(), At(AtomicI64::new(1_000_000)));
        let of = |kid: &str| Wanted { kid: Some(kid.into()), ..wanted("https://h.test/set") };
        let set = PublishedKey::read(SET.as_bytes(), &PublishedForm::JwkSet).unwrap();
        assert!(ring.keep(&of("own"), Ok(set), clock.now()).is_ok());
        let down = Sender { fails: true, ..Sender::default() };
        for _ in 0..3 {
            clock.0.fetch_add(SETTLED.as_secs() as i64, Ordering::SeqCst);
            assert!(ring.key(&of("invented"), &down, &clock).await.is_err());
            assert!(ring.key(&of("own"), &down, &clock).await.is_ok(), "a stranger's ID takes no key away");
        }
        clock.0.fetch_add(FRESH.as_secs() as i64, Ordering::SeqCst);
        let before = down.asked.load(Ordering::SeqCst);
        let own = of("own");
        let keys = futures_util::future::join_all((0..200).map(|_| ring.key(&own, &down, &clock))).await;
        assert!(keys.iter().all(Result::is_ok));
        assert_eq!(down.asked.load(Ordering::SeqCst), before + 1, "asked once, and nobody waits");
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
