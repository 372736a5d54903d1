//! The way in: verify, record, wake. Knows nothing of the HTTP server before it or the engine behind it.

mod explain;
mod handover;
mod handshake;
mod keyring;
mod publish;
mod reverify;
mod source;

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tokio::sync::OnceCell;

pub use crate::store::StoreError;
pub use keyring::Fetch;
pub use publish::{Publication, Published};
pub use reverify::Reverified;
pub use source::Source;

use crate::domain::{
    Clock, Code, Due, EventKey, Happening, NewRejection, Observer, RawRequest, Rejection, Reply, SealKey, SealedCredentials, Timestamp,
    VerifiedEvent, Wake,
};
use crate::failpoint;
use crate::provider::Table;
use crate::route::{Routed, Routes};
use crate::store::{Inbox, Recorded};
use crate::verify::{Judgement, PublishedKey};
use explain::{Explainer, Explaining};

/// How long a request waits for a key that its sender publishes.
const FETCH_DEADLINE: Duration = Duration::from_secs(5);
/// What `Retry-After` says when that key cannot be had now.
const FETCH_RETRY_AFTER: Duration = Duration::from_secs(15);
/// Requests for unknown sources that are written of in a burst, and then in each second.
const UNKNOWN_WRITTEN: NonZeroU32 = NonZeroU32::new(5).unwrap();
/// How long a request waits for the store before it is told to come back: below every sender's time-out that matters.
const COMMIT_DEADLINE: Duration = Duration::from_secs(5);
/// How long the answer to a refused request waits until the refusal is in the log.
const REFUSAL_PATIENCE: Duration = Duration::from_millis(250);
/// What `Retry-After` says when the store cannot take a request now.
const STORE_RETRY_AFTER: Duration = Duration::from_secs(5);

/// What to answer a sender.
#[derive(Debug)]
#[must_use]
pub enum Answer {
    /// A verified event is committed: now, or before.
    Event {
        /// Its identity.
        event: EventKey,
        /// Whether this request was the first to bring it.
        fresh: bool,
    },
    /// A handshake, which is no event.
    Handshake(Reply),
    /// A refusal.
    Refused {
        /// Why: all that the sender learns.
        code: Code,
        /// When to come back, for those that may.
        retry_after: Option<Duration>,
    },
}

/// The parts that ingest works with, put together by `app`.
pub struct Parts {
    /// Records what is verified.
    pub inbox: Arc<dyn Inbox>,
    /// Which destinations take an event.
    pub routes: Routes,
    /// Wakes dispatch.
    pub wake: Arc<dyn Wake>,
    /// Is told what happens.
    pub observer: Arc<dyn Observer>,
    /// The time against which timestamps are judged.
    pub clock: Arc<dyn Clock>,
    /// Fetches what senders publish.
    pub fetch: Arc<dyn Fetch>,
    /// The senders whose ways to sign are tried on what is refused.
    pub table: Arc<Table>,
}

/// The way in for all sources.
pub struct Ingest {
    sources: HashMap<Arc<str>, Source>,
    parts: Parts,
    /// Requests for unknown sources that are written of.
    unknown: DefaultDirectRateLimiter,
    /// Under which static credentials of refused requests are sealed, once it was needed.
    seal_key: Arc<OnceCell<SealKey>>,
    explainer: Explainer,
}

impl Ingest {
    /// The way in for these sources.
    pub fn new(sources: Vec<Source>, parts: Parts) -> Self {
        let explainer = Explainer::new(&sources, Arc::clone(&parts.table));
        let sources = sources.into_iter().map(|source| (Arc::clone(&source.name), source)).collect();
        let unknown = RateLimiter::direct(Quota::per_second(UNKNOWN_WRITTEN));
        Self { sources, parts, unknown, seal_key: Arc::default(), explainer }
    }

    /// The source of that name.
    pub fn source(&self, name: &str) -> Option<&Source> {
        self.sources.get(name)
    }

    /// The clock by which requests are stamped and judged.
    pub fn clock(&self) -> &dyn Clock {
        &*self.parts.clock
    }

    /// Whether the store could commit now.
    ///
    /// # Errors
    /// The reason why not.
    pub async fn ready(&self) -> Result<(), StoreError> {
        tokio::time::timeout(COMMIT_DEADLINE, self.parts.inbox.ready()).await.unwrap_or_else(|_| Err(self.slow_store()))
    }

    /// Takes a request in: when it returns, whatever the answer claims is on disk.
    pub async fn receive(&self, source: &Source, request: RawRequest) -> Answer {
        failpoint::reach("ingest.received");
        let Ok(verifier) = self.verifier(source).await else {
            return self.turn_away(source, Code::StoreUnavailable, Some(STORE_RETRY_AFTER), "the store cannot be asked for the secret now");
        };
        let key = match self.published(source, &request).await {
            Ok(key) => key,
            Err(answer) => return answer,
        };
        let now = self.parts.clock.now();
        match verifier.judge_by(&request, now, key.as_ref()) {
            Ok(Judgement::Handshake(answered)) => self.shake_hands(source, request, answered).await,
            Ok(Judgement::Event(event)) => self.record(source, event).await,
            Err(rejection) => self.refuse(source, request, rejection, now).await,
        }
    }

    /// The key that the sender publishes, where this request needs one. A request whose key cannot be had now may be right:
    /// its sender is told to come back.
    async fn published(&self, source: &Source, request: &RawRequest) -> Result<Option<PublishedKey>, Answer> {
        let Some(wanted) = source.verifier.wanted_key(request) else { return Ok(None) };
        let key = source.keyring.key(&wanted, &*self.parts.fetch, self.clock());
        match tokio::time::timeout(FETCH_DEADLINE, key).await.unwrap_or_else(|_| Err("no answer in time".to_owned())) {
            Ok(key) => Ok(Some(key)),
            Err(cause) => {
                let why = format!("the key that the sender publishes at {} cannot be had: {cause}", wanted.url);
                Err(self.turn_away(source, Code::StoreUnavailable, Some(FETCH_RETRY_AFTER), &why))
            }
        }
    }

    async fn record(&self, source: &Source, event: VerifiedEvent) -> Answer {
        failpoint::reach("ingest.verified");
        self.tell(&Happening::Verified { source: &event.key.source, by: &event.verified_by });
        if let Err(wait) = source.admit() {
            return self.turn_away(source, Code::RateLimited, Some(wait), "rate_limit of this source is used up");
        }
        let key = event.key.clone();
        let event_type = event.event_type.clone();
        let routed = self.parts.routes.choose(&event).await;
        let recording = handover::record(Arc::clone(&self.parts.inbox), Arc::clone(&self.parts.wake), event, routed.deliveries.clone());
        let recorded = tokio::time::timeout(COMMIT_DEADLINE, recording).await;
        match recorded.unwrap_or_else(|_| Err(self.slow_store())) {
            Ok(recorded) => {
                let fresh = recorded.is_fresh();
                Answer::Event { event: self.committed(source, key, &event_type, &recorded, &routed), fresh }
            }
            Err(StoreError::QueueFull) => {
                let why = "the store's queue is full (limits.queue_requests, limits.queue_bytes)";
                self.turn_away(source, Code::QueueFull, Some(STORE_RETRY_AFTER), why)
            }
            // The store has told why, once for all who waited for the same commit.
            Err(StoreError::Unavailable(_)) => {
                self.turn_away(source, Code::StoreUnavailable, Some(STORE_RETRY_AFTER), "the store cannot commit now")
            }
        }
    }

    /// Tells; returns which event the sender is told of.
    fn committed(&self, source: &Source, event: EventKey, event_type: &str, recorded: &Recorded, routed: &Routed) -> EventKey {
        if recorded.is_fresh() {
            self.tell(&Happening::Accepted { event: &event, event_type, deliveries: routed.deliveries.len() });
            self.tell_of_filters(source, &event, routed);
            return self.tell_of_content(source, event, recorded);
        }
        let known = self.tell_of_content(source, event, recorded);
        self.tell(&Happening::Duplicate { event: &known });
        known
    }

    fn wake(&self, deliveries: &[Due]) {
        deliveries.iter().for_each(|due| self.parts.wake.wake(&due.destination));
    }

    /// Tells which filters failed on a new event. On a duplicate they decide nothing.
    fn tell_of_filters(&self, source: &Source, event: &EventKey, routed: &Routed) {
        for failure in &routed.failures {
            let (destination, quiet) = (&failure.destination, !source.may_write_of_filters());
            self.tell(&Happening::FilterFailed { destination, event, cause: &failure.cause, quiet });
        }
    }

    /// Tells when identity and content do not go together; returns which event this is.
    fn tell_of_content(&self, source: &Source, event: EventKey, recorded: &Recorded) -> EventKey {
        let (earlier, dropped) = match recorded {
            Recorded::Fresh | Recorded::Duplicate => return event,
            Recorded::BodyDiffers => {
                self.tell(&Happening::BodyDiffers { event: &event, quiet: !source.may_write_of_content() });
                return event;
            }
            Recorded::SameContent { earlier } => (earlier, false),
            Recorded::Dropped { earlier } => (earlier, true),
        };
        self.tell(&Happening::SameContent { event: &event, earlier, dropped, quiet: !source.may_write_of_content() });
        if dropped { EventKey { event_id: Arc::clone(earlier), ..event } } else { event }
    }

    async fn refuse(&self, source: &Source, request: RawRequest, rejection: Rejection, now: Timestamp) -> Answer {
        let code = rejection.code;
        let tell = |diagnosis: &str, quiet: bool| self.tell(&Happening::Refused { source: &source.name, code, diagnosis, quiet });
        if source.may_write_of_refusal() {
            let (rejection, explaining) = self.explainer.describe(source, &request, rejection, now);
            tell(&rejection.diagnosis, false);
            self.log_rejection(source, request, rejection, explaining).await;
        } else {
            tell(&rejection.diagnosis, true);
        }
        Answer::Refused { code, retry_after: None }
    }

    /// Refuses what has nothing to be explained, and keeps nothing of its body.
    async fn refuse_plainly(&self, source: &Source, request: RawRequest, rejection: Rejection) -> Answer {
        let (code, request) = (rejection.code, RawRequest { body: Bytes::new(), ..request });
        let quiet = !source.may_write_of_refusal();
        self.tell(&Happening::Refused { source: &source.name, code, diagnosis: &rejection.diagnosis, quiet });
        if !quiet {
            self.log_rejection(source, request, rejection, None).await;
        }
        Answer::Refused { code, retry_after: None }
    }

    /// Keeps a refused request. A refusal stands whether or not it could be kept, and its answer does not wait for a store
    /// that has trouble: the store has told of it, and that is all. What explains it follows later.
    async fn log_rejection(&self, source: &Source, request: RawRequest, rejection: Rejection, explaining: Option<Explaining>) {
        let (headers, query, credentials) = source.verifier.kept_of_refused(&request, &self.parts.table);
        let mut rejection = NewRejection {
            source: Arc::clone(&source.name),
            rejection,
            headers,
            query,
            sealed: SealedCredentials::default(),
            method: request.method,
            subpath: request.subpath,
            body: request.body,
            received_at: request.received_at,
        };
        let (inbox, key) = (Arc::clone(&self.parts.inbox), Arc::clone(&self.seal_key));
        let logging = tokio::spawn(async move {
            if !credentials.is_empty() {
                rejection.sealed = credentials.seal(key.get_or_try_init(|| inbox.seal_key()).await?);
            }
            let id = inbox.refuse(rejection).await?;
            if let Some(explaining) = explaining {
                tokio::spawn(async move { explaining.into_log(&*inbox, id).await });
            }
            Ok::<_, StoreError>(())
        });
        if let Ok(Ok(Err(error))) = tokio::time::timeout(REFUSAL_PATIENCE, logging).await {
            tracing::debug!(source.name = &*source.name, cause = %error, "a refused request is not kept");
        }
    }

    /// The key of credentials in the log, asked for once.
    async fn seal_key(&self) -> Result<&SealKey, StoreError> {
        self.seal_key.get_or_try_init(|| self.parts.inbox.seal_key()).await
    }

    fn turn_away(&self, source: &Source, code: Code, retry_after: Option<Duration>, why: &str) -> Answer {
        self.refused_early(source, code, why);
        Answer::Refused { code, retry_after }
    }

    /// Tells that a request was refused without being judged: too large, too slow, too many, a method that is not taken.
    pub fn refused_early(&self, source: &Source, code: Code, why: &str) {
        let quiet = !source.may_write_of_refusal();
        self.tell(&Happening::Refused { source: &source.name, code, diagnosis: why, quiet });
    }

    /// Tells that somebody asked for a source that there is none of: most often a mistyped URL.
    pub fn unknown_source(&self, name: &str) {
        let quiet = self.unknown.check().is_err();
        self.tell(&Happening::UnknownSource { name, quiet });
    }

    /// Tells how long an answer took.
    pub fn answered(&self, took: Duration) {
        self.tell(&Happening::Answered { took });
    }

    fn slow_store(&self) -> StoreError {
        let cause = format!("no commit within {} s", COMMIT_DEADLINE.as_secs());
        self.tell(&Happening::StoreFailed { cause: &cause });
        StoreError::Unavailable(cause)
    }

    fn tell(&self, happening: &Happening<'_>) {
        self.parts.observer.happened(happening);
    }
}
