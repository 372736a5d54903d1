//! Delivering again: the role of the store, and what it knows of jobs, which is work that was asked for in bulk, with how far it
//! has come.

use std::sync::Arc;

use async_trait::async_trait;

use super::StoreError;
use super::idempotency::KeyClaim;
use super::query::{DeliveryFilter, DeliveryRow, EventFilter, Page};
use crate::domain::{DeliveryId, Due, EventKey, JobStatus, StoredEvent, Timestamp};

/// The most jobs that run at a time.
pub const MOST_RUNNING: usize = 100;
/// How many jobs that have ended are remembered, the newest.
pub const ENDED_KEPT: usize = 1_000;

/// What a job does, and to which rows.
#[derive(Debug, Clone)]
pub enum Work {
    /// Makes new deliveries for events.
    Replay {
        /// Which events.
        filter: EventFilter,
        /// Where to; `None` for where the routes say.
        destinations: Option<Vec<Arc<str>>>,
    },
    /// Makes dead deliveries due again.
    Retry {
        /// Which deliveries; of these, the dead ones alone.
        filter: DeliveryFilter,
    },
}

impl Work {
    /// The names of the kinds.
    pub const KINDS: [&str; 2] = ["replay", "retry"];

    /// Its name: `replay`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Replay { .. } => Self::KINDS[0],
            Self::Retry { .. } => Self::KINDS[1],
        }
    }
}

/// A job to be begun.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// What it does.
    pub work: Work,
    /// How many events, or deliveries, a second.
    pub rate: u32,
    /// The last row that it looks at: the newest there was when it was asked for.
    pub last: i64,
    /// How many rows matched then.
    pub total: u64,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// Under which key it was asked for: that it has begun is noted with it.
    pub claim: Option<KeyClaim>,
}

/// A job as it is.
#[derive(Debug, Clone)]
pub struct JobRow {
    /// Its ID, ascending with creation.
    pub id: i64,
    /// What it does.
    pub work: Work,
    /// Where it stands.
    pub status: JobStatus,
    /// How many events, or deliveries, a second.
    pub rate: u32,
    /// The last row that it looks at.
    pub last: i64,
    /// Up to this row all is done.
    pub reached: i64,
    /// When its next step is due.
    pub due_at: Timestamp,
    /// How many rows matched when it was asked for.
    pub total: u64,
    /// How many are done.
    pub done: u64,
    /// How many could not be.
    pub failed: u64,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

/// A part of what matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matching {
    /// The numbers of the rows, ascending.
    pub numbers: Vec<i64>,
    /// Up to this row there are no others.
    pub reached: i64,
}

/// What is to be done in a step of a job.
#[derive(Debug, Clone)]
pub enum Chunk {
    /// New deliveries for these events, by [`EventRow::seq`](super::EventRow::seq).
    Replay(Vec<(i64, Vec<Due>)>),
    /// These deliveries again, as far as they are dead.
    Retry(Vec<DeliveryId>),
}

/// A step of a job: all of it is committed, or nothing.
#[derive(Debug, Clone)]
pub struct Step {
    /// The job.
    pub job: i64,
    /// How far it has come, as far as the caller knows: nothing is done if that is not so any more.
    pub from: i64,
    /// How far it comes.
    pub reached: i64,
    /// What is done on the way.
    pub chunk: Chunk,
    /// How many rows on the way are known to be impossible.
    pub failed: u64,
    /// When it is done.
    pub now: Timestamp,
    /// When the next step is due.
    pub due_at: Timestamp,
}

/// Has events delivered again, and keeps account of what is asked for in bulk.
#[async_trait]
pub trait Jobs: Send + Sync {
    /// The place of an event in the store's order; `None` when it is unknown.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn find(&self, key: EventKey) -> Result<Option<i64>, StoreError>;

    /// An event (by [`EventRow::seq`](super::EventRow::seq)) as a destination gets it; `None` when it is unknown, or its payload is no longer stored or
    /// cannot be read.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn recorded(&self, event: i64) -> Result<Option<StoredEvent>, StoreError>;

    /// Makes new deliveries for an event, marked as replays and due at `now`, behind what stands in their lines, and returns them
    /// as they are then. `None`, and there are none, when its payload is no longer stored.
    ///
    /// # Errors
    /// [`StoreError`]. Not safe to repeat: each call makes deliveries of its own.
    async fn replay(&self, event: i64, deliveries: Vec<Due>, now: Timestamp) -> Result<Option<Vec<DeliveryRow>>, StoreError> {
        self.replay_claimed(event, deliveries, now, None).await
    }

    /// As [`Jobs::replay`]; that it is done is noted with it under the claim of the key with which it was asked for.
    ///
    /// # Errors
    /// As [`Jobs::replay`]; also when the claim is not held any more, and then nothing is done.
    async fn replay_claimed(
        &self,
        event: i64,
        deliveries: Vec<Due>,
        now: Timestamp,
        claim: Option<KeyClaim>,
    ) -> Result<Option<Vec<DeliveryRow>>, StoreError>;

    /// The newest row of those that such work is about; 0 when there is none.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn newest(&self, work: Work) -> Result<i64, StoreError>;

    /// The rows that such work is about, behind `after` and up to `last`, ascending: at most `limit`, and not all there are,
    /// because one call looks at a bounded number of rows only. Call again from [`Matching::reached`] until that is `last`.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn matching(&self, work: Work, after: i64, last: i64, limit: usize) -> Result<Matching, StoreError>;

    /// Begins a job. `None` when [`MOST_RUNNING`] run already. Of those that have ended, the newest [`ENDED_KEPT`] stay.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn begin(&self, job: NewJob) -> Result<Option<JobRow>, StoreError>;

    /// Does a step of a job, and ends the job where it has reached its last row. Returns the destinations that have something
    /// due by it; `None`, and nothing is done, when the job does not run any more, or has come further meanwhile.
    ///
    /// # Errors
    /// [`StoreError`]; safe to repeat.
    async fn step(&self, step: Step) -> Result<Option<Vec<Arc<str>>>, StoreError>;

    /// Calls a job off if it runs, after which no step of it is done. `None` when there is no such job.
    ///
    /// # Errors
    /// [`StoreError`]; safe to repeat.
    async fn call_off(&self, id: i64, now: Timestamp) -> Result<Option<JobRow>, StoreError>;

    /// One job.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn job(&self, id: i64) -> Result<Option<JobRow>, StoreError>;

    /// Jobs, at most `page.limit` of them, in the page's order.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn jobs(&self, page: Page) -> Result<Vec<JobRow>, StoreError>;

    /// The jobs that run, oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn running(&self) -> Result<Vec<JobRow>, StoreError>;
}
