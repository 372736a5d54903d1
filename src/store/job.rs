//! Jobs: work that was asked for in bulk, with how far it has come.

use std::sync::Arc;

use super::query::{DeliveryFilter, EventFilter};
use crate::domain::{DeliveryId, Due, JobStatus, Timestamp};

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
    /// Its name: `replay`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Replay { .. } => "replay",
            Self::Retry { .. } => "retry",
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
