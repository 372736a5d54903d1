//! The store, seen by role: [`Inbox`] records, [`Outbox`] hands out and ends deliveries, [`Control`] does what an operator asks
//! for and [`Jobs`] what is asked for in bulk, [`Idempotency`] knows what was asked for before, [`History`] answers questions and
//! forgets. Engines live in folders of their own and pass one contract suite; nothing here knows which is used.

mod audit;
#[cfg(test)]
pub(crate) mod contract;
mod history;
mod idempotency;
mod job;
mod query;
pub mod sqlite;
pub(crate) mod words;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use secrecy::SecretString;

pub use audit::{Asked, Audit, AuditFilter, AuditRow};
pub use history::History;
pub use idempotency::{Answer, Idempotency, KeyClaim, KeyId, KeyedRequest, NextAction};
pub use job::{Chunk, ENDED_KEPT, JobRow, Jobs, MOST_RUNNING, Matching, NewJob, Step, Work};
pub use query::{
    AttemptRow, Counts, DeliveryFilter, DeliveryRow, EventFilter, EventRow, Found, KeptRequest, Order, Page, Prunable, Prune, Pruned,
    RejectionFilter, RejectionRow, Size, StoredBody, Tally,
};
pub use words::{LONGEST_SOUGHT, Sought, SoughtError};

use crate::domain::{
    Buried, ClaimedDelivery, DeliveryId, DeliveryStatus, Due, EventKey, FinishedAttempt, Lease, NewRejection, OnDead, OwnEvent,
    RefusedRequest, Rejection, SealKey, Timestamp, VerifiedEvent,
};

/// Why the store did not do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// Too much is waiting to be committed: ask again shortly.
    #[error("the store's queue is full")]
    QueueFull,
    /// The store cannot commit or be read now (locked, full, read-only, closed): nothing was acknowledged.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
}

/// What became of a verified event. All of it is committed and synced.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Recorded {
    /// Seen for the first time: it and its deliveries are recorded.
    Fresh,
    /// Its identity is new and so recorded with its deliveries, but its content came before: it is marked.
    SameContent {
        /// The ID of the earlier event.
        earlier: Arc<str>,
    },
    /// Its identity was recorded before.
    Duplicate,
    /// Its identity was recorded before with other content: the recorded event is marked.
    BodyDiffers,
    /// Its identity is new, but its content came before, and the source drops that: it is a duplicate of the earlier event.
    Dropped {
        /// The ID of the earlier event.
        earlier: Arc<str>,
    },
}

impl Recorded {
    /// Whether it is an event of its own, with deliveries.
    pub fn is_fresh(&self) -> bool {
        matches!(self, Self::Fresh | Self::SameContent { .. })
    }
}

/// Records what came in.
#[async_trait]
pub trait Inbox: Send + Sync {
    /// Records the event with these deliveries, all in one transaction, and returns after that
    /// transaction is synced to disk. A duplicate is counted on the event instead. With a replay guard, content that the
    /// same source recorded before with one decides, too.
    ///
    /// # Errors
    /// [`StoreError::QueueFull`] at once when the queue's bound is reached; [`StoreError::Unavailable`] when the
    /// transaction failed. After an error nothing of the call is in the store, or the event is there whole and a
    /// repeated call finds a duplicate.
    async fn record(&self, event: VerifiedEvent, deliveries: Vec<Due>) -> Result<Recorded, StoreError> {
        self.record_leased(event, deliveries).await.map(|(recorded, _)| recorded)
    }

    /// As [`Inbox::record`]; deliveries that are to be leased at once are, unless others stand before them or their
    /// destination is held. The leases are in the order of the deliveries, and there are none unless the event is fresh.
    ///
    /// # Errors
    /// As [`Inbox::record`].
    async fn record_leased(&self, event: VerifiedEvent, deliveries: Vec<Due>) -> Result<(Recorded, Vec<Option<Lease>>), StoreError>;

    /// Records what an operator says is an event. As [`Inbox::record`], but one that is there already stays as it is.
    ///
    /// # Errors
    /// As [`Inbox::record`]; safe to repeat.
    async fn publish(&self, event: VerifiedEvent, deliveries: Vec<Due>) -> Result<Recorded, StoreError>;

    /// Adds to the rejection log, and returns the number there; the oldest of the same source beyond its bounds go.
    ///
    /// # Errors
    /// As [`Inbox::record`], but the queue is full much sooner: refusals must not crowd out events.
    async fn refuse(&self, rejection: NewRejection) -> Result<i64, StoreError>;

    /// Puts an explanation in the place of the diagnosis of a rejection, if that is still in the log.
    ///
    /// # Errors
    /// As [`Inbox::refuse`]; safe to repeat.
    async fn explain(&self, id: i64, diagnosis: String) -> Result<(), StoreError>;

    /// The key under which static credentials of refused requests are sealed: random, made once for each database.
    ///
    /// # Errors
    /// As [`Inbox::refuse`].
    async fn seal_key(&self) -> Result<SealKey, StoreError>;

    /// A refused request with everything that is kept of it.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn refused(&self, id: i64) -> Result<Option<RefusedRequest>, StoreError>;

    /// The rejections that are still refused, of one source or of all, oldest first: as many as the log may hold.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn still_refused(&self, source: Option<Arc<str>>) -> Result<Vec<i64>, StoreError>;

    /// Records what a refused request has turned out to be, as [`Inbox::record`] does, with deliveries due at `now`, and
    /// marks the rejection accepted in the same transaction. `None`, and nothing is recorded, when it was accepted before.
    ///
    /// # Errors
    /// As [`Inbox::record`]; safe to repeat.
    async fn readmit(&self, id: i64, event: VerifiedEvent, deliveries: Vec<Due>, now: Timestamp) -> Result<Option<Recorded>, StoreError>;

    /// Notes why a request is still refused. One that has been accepted stays so.
    ///
    /// # Errors
    /// As [`Inbox::record`]; safe to repeat.
    async fn refuse_again(&self, id: i64, rejection: Rejection) -> Result<(), StoreError>;

    /// Keeps a secret that a sender has told in a handshake; the first of a source stays. Returns the one that is kept,
    /// after it is synced.
    ///
    /// # Errors
    /// As [`Inbox::record`].
    async fn learn(&self, source: Arc<str>, secret: SecretString, at: Timestamp) -> Result<SecretString, StoreError>;

    /// The secret that a source has been told.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn learned(&self, source: Arc<str>) -> Result<Option<SecretString>, StoreError>;

    /// Forgets the secret that a source has been told, so that its next handshake is believed. Returns whether there was one.
    ///
    /// # Errors
    /// [`StoreError`]; safe to repeat.
    async fn forget(&self, source: Arc<str>) -> Result<bool, StoreError>;

    /// Whether the store could commit now: tries it.
    ///
    /// # Errors
    /// The reason why not.
    async fn ready(&self) -> Result<(), StoreError>;
}

/// What is to be claimed.
#[derive(Debug, Clone)]
pub struct ClaimRequest {
    /// The destination's name.
    pub destination: Arc<str>,
    /// The most deliveries.
    pub limit: usize,
    /// What is due is due by then.
    pub now: Timestamp,
    /// How long the leases last from then.
    pub lease: Duration,
    /// The source that had its turn last: the next one is first.
    pub after: Option<Arc<str>>,
}

/// What [`Outbox::claim`] found.
#[derive(Debug, Clone, Default)]
pub struct Claim {
    /// The deliveries that are now the caller's: one of each source in turn, of each source the oldest due first.
    pub deliveries: Vec<ClaimedDelivery>,
    /// When the next delivery of this destination falls due, of those not claimed; `None` when nothing waits.
    pub next_due: Option<Timestamp>,
    /// Whether the destination is held, so that nothing is claimed.
    pub paused: bool,
    /// Deliveries that were found to be undeliverable, and have ended dead.
    pub buried: Vec<Buried>,
}

/// What became of an operator's wish.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Change {
    /// It is done, or was so already.
    Done {
        /// The destination's name.
        destination: Arc<str>,
    },
    /// There is no such delivery.
    Unknown,
    /// It cannot be, because the delivery is in this status.
    Conflict(DeliveryStatus),
    /// It cannot be, because the event's content is no longer stored.
    Gone,
}

/// Hands out deliveries under leases and takes their ends.
#[async_trait]
pub trait Outbox: Send + Sync {
    /// Claims deliveries that are due, for the length of a lease: until then nobody else gets them. The claim is committed
    /// before it returns; each claimed delivery's attempt number has grown by one. Of deliveries that stand in a line, none
    /// is claimed but the first.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing is claimed, or the leases run out by themselves.
    async fn claim(&self, request: ClaimRequest) -> Result<Claim, StoreError>;

    /// Prolongs leases while their attempts run. Returns those that are lost: somebody else has claimed their deliveries
    /// after they had run out, or an operator has called them off.
    ///
    /// # Errors
    /// [`StoreError`]; safe to repeat.
    async fn renew(&self, leases: Vec<Lease>, until: Timestamp) -> Result<Vec<Lease>, StoreError>;

    /// Commits the end of an attempt: the attempt into the history, the verdict into the delivery. Returns whether the
    /// lease was still the current one; if not, nothing changed.
    ///
    /// # Errors
    /// [`StoreError`]; safe to repeat.
    async fn finish(&self, attempt: FinishedAttempt) -> Result<bool, StoreError> {
        self.finish_telling(attempt, None).await
    }

    /// As [`Outbox::finish`]; if it counts, an event of Onceward's own is recorded in the same transaction.
    ///
    /// # Errors
    /// [`StoreError`]; safe to repeat.
    async fn finish_telling(&self, attempt: FinishedAttempt, told: Option<OwnEvent>) -> Result<bool, StoreError>;

    /// Hands leased deliveries back: they are due at `due`, and no failure is counted. Where the attempt has not begun, its
    /// number is free again.
    ///
    /// # Errors
    /// [`StoreError`]; then the leases run out by themselves.
    async fn release(&self, leases: Vec<Lease>, due: Timestamp, begun: bool) -> Result<(), StoreError>;

    /// Voids the leases of processes that have died, so that their deliveries are due at `now`. Returns how many.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn recover(&self, now: Timestamp) -> Result<u64, StoreError>;

    /// Brings what waits for a destination into the form that its configuration asks for: without an order nothing stands
    /// behind another, and where the dead are skipped none of them holds up a line. Does a part of it; returns whether
    /// there may be more.
    ///
    /// # Errors
    /// [`StoreError`]; safe to repeat.
    async fn straighten(&self, destination: Arc<str>, order: Option<OnDead>, now: Timestamp) -> Result<bool, StoreError>;
}

/// Does what an operator asks for.
#[async_trait]
pub trait Control: Send + Sync {
    /// Makes a delivery due at `now`: one that waits, or one that is dead or cancelled, whose schedule then begins anew.
    ///
    /// # Errors
    /// [`StoreError`]; safe to repeat.
    async fn retry(&self, id: DeliveryId, now: Timestamp) -> Result<Change, StoreError>;

    /// Calls a delivery off that is not delivered. An attempt that runs is broken off when its lane looks at its
    /// leases, and its end no longer counts.
    ///
    /// # Errors
    /// [`StoreError`]; safe to repeat.
    async fn cancel(&self, id: DeliveryId, now: Timestamp) -> Result<Change, StoreError>;

    /// Holds a destination, so that nothing of it is claimed, or releases it. Stays so until it is changed.
    ///
    /// # Errors
    /// [`StoreError`]; safe to repeat.
    async fn pause(&self, destination: Arc<str>, paused: bool) -> Result<(), StoreError>;

    /// Erases what an event held: headers, path, query and body, what destinations answered, and the refused request that
    /// it may have been, from the file and from the log. Its identity stays, and what is unfinished of it is called off.
    /// Returns the destinations of what was called off; `None` when there is no such event.
    ///
    /// # Errors
    /// [`StoreError`]; safe to repeat.
    async fn erase(&self, event: EventKey, now: Timestamp) -> Result<Option<Vec<Arc<str>>>, StoreError>;

    /// The destinations that are held.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn paused(&self) -> Result<Vec<String>, StoreError>;
}
