//! Questions to the store and the rows of its answers, the same for every engine.

use bytes::Bytes;

use super::words::Sought;
use crate::domain::{Attempt, Code, DeliveryId, DeliveryStatus, EventKey, EventStatus, Headers, RejectionStatus, Timestamp};

/// Which way a list runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// Newest first.
    #[default]
    Newest,
    /// Oldest first.
    Oldest,
}

/// A window into a list: at most `limit` rows strictly behind row number `after` in the given order.
#[derive(Debug, Clone, Copy, Default)]
pub struct Page {
    /// The most rows to return.
    pub limit: usize,
    /// The `seq` of the last row already seen.
    pub after: Option<i64>,
    /// The direction.
    pub order: Order,
}

/// Which events; every condition that is set must hold.
#[derive(Debug, Clone, Default)]
pub struct EventFilter {
    /// Of this source.
    pub source: Option<String>,
    /// Of exactly this type.
    pub event_type: Option<String>,
    /// In this status.
    pub status: Option<EventStatus>,
    /// With this ID.
    pub event_id: Option<String>,
    /// With these words in its ID, type or body.
    pub q: Option<Sought>,
    /// Received at or after.
    pub since: Option<Timestamp>,
    /// Received before.
    pub until: Option<Timestamp>,
}

/// Events, and how far they were looked for.
#[derive(Debug, Default)]
pub struct Found {
    /// As many as the page takes, or as there are.
    pub rows: Vec<EventRow>,
    /// Up to this row all that match are there, and looking went no further: there may be more behind it. `None` when the page
    /// is full, or there are no more.
    pub reached: Option<i64>,
}

/// Which deliveries; every condition that is set must hold.
#[derive(Debug, Clone, Default)]
pub struct DeliveryFilter {
    /// In this status.
    pub status: Option<DeliveryStatus>,
    /// To this destination.
    pub destination: Option<String>,
    /// Of events of this source.
    pub source: Option<String>,
    /// Created at or after.
    pub since: Option<Timestamp>,
    /// Created before.
    pub until: Option<Timestamp>,
}

/// Which rejections; every condition that is set must hold.
#[derive(Debug, Clone, Default)]
pub struct RejectionFilter {
    /// Sent to this source.
    pub source: Option<String>,
    /// Refused with this code.
    pub code: Option<Code>,
    /// In this status.
    pub status: Option<RejectionStatus>,
    /// Received at or after.
    pub since: Option<Timestamp>,
    /// Received before.
    pub until: Option<Timestamp>,
}

/// An event in a list, or alone.
#[derive(Debug, Clone)]
pub struct EventRow {
    /// Its place in the store's order, ascending with arrival.
    pub seq: i64,
    /// The identity.
    pub key: EventKey,
    /// The provider's name.
    pub provider: String,
    /// The type; empty when the sender names none.
    pub event_type: String,
    /// When it was received.
    pub received_at: Timestamp,
    /// Where it stands.
    pub status: EventStatus,
    /// How many duplicates came after it.
    pub duplicates: u64,
    /// When the last of them came.
    pub last_duplicate_at: Option<Timestamp>,
    /// The body's size in bytes.
    pub size: u64,
    /// The body's `Content-Type`.
    pub content_type: Option<String>,
    /// How it was proved, by position: `secret:1`.
    pub verified_by: String,
    /// The ID of an earlier event with the same content, when it was recorded.
    pub same_content_as: Option<String>,
    /// Whether a duplicate came with other content.
    pub body_differs: bool,
    /// The sender's headers; `None` in lists and once the payload has been pruned.
    pub headers: Option<Headers>,
    /// The IDs of the items in it; none in lists and once the payload has been pruned.
    pub item_ids: Vec<String>,
}

/// A raw body.
#[derive(Debug, Clone)]
pub struct StoredBody {
    /// Its `Content-Type` as the sender gave it.
    pub content_type: Option<String>,
    /// Its bytes.
    pub bytes: Bytes,
}

/// A delivery in a list, or alone.
#[derive(Debug, Clone)]
pub struct DeliveryRow {
    /// Its ID, ascending with creation.
    pub id: DeliveryId,
    /// The event it belongs to, by its place in the store's order.
    pub event_seq: i64,
    /// The event it belongs to.
    pub event: EventKey,
    /// The destination's name.
    pub destination: String,
    /// Where it stands.
    pub status: DeliveryStatus,
    /// Attempts begun.
    pub attempts: u32,
    /// When the next attempt is due; `None` while one runs, while another stands before it in its line, and after the end.
    pub next_attempt_at: Option<Timestamp>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// Whether an operator asked for it again.
    pub replay: bool,
    /// Why the last failed attempt failed.
    pub last_error: Option<String>,
    /// Whether another one has to come to its end before this one is due.
    pub waits_in_line: bool,
    /// Whether it is dead and those behind it wait.
    pub holds_line: bool,
    /// Its attempts, oldest first; empty in lists.
    pub history: Vec<AttemptRow>,
}

/// One attempt with its number.
#[derive(Debug, Clone)]
pub struct AttemptRow {
    /// The attempt's number, from 1.
    pub number: u32,
    /// The attempt.
    pub attempt: Attempt,
}

/// A refused request in the log.
#[derive(Debug, Clone)]
pub struct RejectionRow {
    /// Its ID, ascending with arrival.
    pub id: i64,
    /// The source it was sent to.
    pub source: String,
    /// When it arrived.
    pub received_at: Timestamp,
    /// Why it was refused.
    pub code: Code,
    /// The explanation.
    pub diagnosis: String,
    /// The event that it has become, once it was verified again.
    pub event_id: Option<String>,
    /// What is kept of the request; `None` in lists.
    pub request: Option<KeptRequest>,
}

/// What is kept of a refused request, its body aside.
#[derive(Debug, Clone)]
pub struct KeptRequest {
    /// The method in upper case.
    pub method: String,
    /// What followed `/hooks/{source}` in the path.
    pub subpath: String,
    /// The query without static credentials, without `?`.
    pub query: String,
    /// The header fields without static credentials.
    pub headers: Headers,
    /// The body's size in bytes.
    pub size: u64,
}

/// What to forget. What was let in long after it had arrived may be kept from then.
#[derive(Debug, Clone, Copy)]
pub struct Prune {
    /// Payloads (headers, bodies) and attempts of events received before this.
    pub bodies_before: Timestamp,
    /// Events received before this, wholly: a later duplicate is a new event again.
    pub ids_before: Timestamp,
    /// The most rows to touch in this chunk.
    pub chunk: usize,
}

/// What one chunk of pruning removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pruned {
    /// Payloads removed.
    pub payloads: u64,
    /// Events removed wholly.
    pub events: u64,
}

impl Pruned {
    /// Whether nothing was left to remove.
    pub fn nothing(self) -> bool {
        self == Self::default()
    }
}

/// What pruning would remove.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Prunable {
    /// Events, wholly.
    pub events: u64,
    /// Payloads, those of these events among them.
    pub payloads: u64,
    /// Bytes of these payloads: headers and bodies.
    pub bytes: u64,
}

/// The store's size on disk, in bytes, and its queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Size {
    /// The database.
    pub database: u64,
    /// Its write-ahead log.
    pub wal: u64,
    /// Operations that wait to be committed.
    pub queued: u64,
}

/// What has come to a source in an hour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    /// The source's name.
    pub source: String,
    /// When the hour begins; `None` for all time.
    pub hour: Option<Timestamp>,
    /// First-seen events.
    pub events: u64,
    /// Duplicates.
    pub duplicates: u64,
    /// Refused requests, as far as they went into the log.
    pub rejections: u64,
    /// Bytes of the events' headers and bodies.
    pub bytes: u64,
}

/// What has come in, and what has come of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counts {
    /// By source and hour.
    pub tallies: Vec<Tally>,
    /// Deliveries that are dead.
    pub dead: u64,
}
