//! What happens, told once to whoever watches: the log and the metrics now, live streams later.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::code::Code;
use super::delivery::{Buried, ClaimedDelivery, DeliveryId, Outcome, Verdict};
use super::event::{EventKey, OwnEvent};
use super::job::JobStatus;

/// How an attempt ended, for an [`Observer`].
#[derive(Debug)]
pub struct AttemptEnd<'a> {
    /// The event.
    pub event: &'a EventKey,
    /// The destination's name.
    pub destination: &'a Arc<str>,
    /// The delivery.
    pub delivery: DeliveryId,
    /// The attempt's number, from 1.
    pub attempt: u32,
    /// How long it took.
    pub duration: Duration,
    /// The destination's HTTP status, when it gave one.
    pub status_code: Option<u16>,
    /// What the attempt brought.
    pub outcome: &'a Outcome,
    /// What becomes of the delivery.
    pub verdict: Verdict,
}

/// Something that happened.
#[derive(Debug)]
pub enum Happening<'a> {
    /// A request was verified, whatever becomes of it.
    Verified {
        /// The source.
        source: &'a Arc<str>,
        /// How, by position: `secret:1`, or `none`.
        by: &'a str,
    },
    /// An event was recorded, synced and is about to be answered.
    Accepted {
        /// The event.
        event: &'a EventKey,
        /// Its type.
        event_type: &'a str,
        /// How many deliveries were created with it.
        deliveries: usize,
    },
    /// A verified request turned out to be recorded already.
    Duplicate {
        /// The event.
        event: &'a EventKey,
    },
    /// The signed content of a request was recorded before under another ID, which the signature does not cover: a sender
    /// that repeats itself, or somebody who has captured a request. Told beside what became of it.
    SameContent {
        /// What the request called itself.
        event: &'a EventKey,
        /// The ID of the earlier event.
        earlier: &'a str,
        /// Whether it was counted as a duplicate of the earlier event; else it is an event of its own.
        dropped: bool,
        /// Whether too many came lately to write of each: then it is only counted.
        quiet: bool,
    },
    /// A duplicate had other content than the recorded event. Told beside the duplicate.
    BodyDiffers {
        /// The event.
        event: &'a EventKey,
        /// Whether too many came lately to write of each: then it is only counted.
        quiet: bool,
    },
    /// The filter of a destination failed on a new event, and its configuration decided instead.
    FilterFailed {
        /// The destination's name.
        destination: &'a Arc<str>,
        /// The event.
        event: &'a EventKey,
        /// Why, without anything of what the event holds.
        cause: &'a str,
        /// Whether too many failed lately to write of each: then it is only counted.
        quiet: bool,
    },
    /// A handshake was answered.
    Handshake {
        /// The source.
        source: &'a str,
    },
    /// A request to a known source was refused.
    Refused {
        /// The source.
        source: &'a str,
        /// Why.
        code: Code,
        /// The explanation for the operator; empty when the code says all.
        diagnosis: &'a str,
        /// Whether the source has refused too much lately to write of each: then it is only counted.
        quiet: bool,
    },
    /// A refused request was verified again and let in.
    Readmitted {
        /// The rejection's ID.
        rejection: i64,
        /// The event that it is.
        event: &'a EventKey,
        /// Its type.
        event_type: &'a str,
        /// Whether it is a new event, rather than a duplicate.
        fresh: bool,
    },
    /// New deliveries were made for a recorded event, because an operator asked for them.
    Replayed {
        /// The event.
        event: &'a EventKey,
        /// How many.
        deliveries: usize,
    },
    /// An operator has published an event. Told beside its acceptance.
    Published {
        /// The event.
        event: &'a EventKey,
    },
    /// What an event held was erased, because an operator asked for it.
    Erased {
        /// The event.
        event: &'a EventKey,
    },
    /// An operator's order about a delivery or a destination was carried out.
    Ordered {
        /// What: `retry`, `cancel`, `pause` or `resume`.
        what: &'static str,
        /// The destination.
        destination: &'a Arc<str>,
        /// The delivery, unless it is about the destination as a whole.
        delivery: Option<DeliveryId>,
    },
    /// A job has begun, or has ended.
    Job {
        /// Its ID.
        id: i64,
        /// What it does: `replay` or `retry`.
        kind: &'static str,
        /// Where it stands.
        status: JobStatus,
        /// How many events or deliveries it was to be about.
        total: u64,
        /// How many are done.
        done: u64,
        /// How many could not be.
        failed: u64,
    },
    /// A request came for a source that there is none of.
    UnknownSource {
        /// What was asked for.
        name: &'a str,
        /// Whether too many came lately to write of each: then it is only counted.
        quiet: bool,
    },
    /// A sender was answered.
    Answered {
        /// From the whole request's arrival to the answer.
        took: Duration,
    },
    /// The store committed a batch.
    Committed {
        /// Events and ends in it.
        operations: usize,
        /// How long the transaction took, with its sync.
        took: Duration,
    },
    /// The store could not commit, or could not be read.
    StoreFailed {
        /// The cause, for the log alone.
        cause: &'a str,
    },
    /// An attempt ended and its end is committed.
    Attempted(AttemptEnd<'a>),
    /// A delivery ended dead without an attempt: its event cannot be delivered any more.
    Buried {
        /// The destination.
        destination: &'a Arc<str>,
        /// The delivery, and why.
        buried: &'a Buried,
    },
    /// A destination has failed so often that it is left alone for a while.
    CircuitOpened {
        /// The destination.
        destination: &'a Arc<str>,
        /// The wait before the first probe.
        probe_in: Duration,
    },
    /// A destination that was left alone works again.
    CircuitClosed {
        /// The destination.
        destination: &'a Arc<str>,
    },
}

/// Is told what happens. Must return quickly and never block.
pub trait Observer: Send + Sync {
    /// Something happened.
    fn happened(&self, happening: &Happening<'_>);
}

/// Makes events of Onceward's own of what happens.
#[async_trait]
pub trait Announce: Send + Sync {
    /// The event that tells of a delivery that is about to end as dead, for this reason; it is committed together with that
    /// end. `None` where nobody is to be told.
    async fn dead(&self, end: &AttemptEnd<'_>, error: Option<&str>) -> Option<OwnEvent>;
}

/// An observer that does not care.
#[derive(Debug, Default, Clone, Copy)]
pub struct Silent;

impl Observer for Silent {
    fn happened(&self, _: &Happening<'_>) {}
}

/// Whoever delivers, as those see it who record.
pub trait Wake: Send + Sync {
    /// A commit has made something due at this destination.
    fn wake(&self, destination: &Arc<str>);

    /// A commit has called a delivery to this destination off, whose attempt may be under way.
    fn called_off(&self, _: &Arc<str>) {}

    /// A commit has held this destination: what has been taken for it and not begun goes back.
    fn held(&self, _: &Arc<str>) {}

    /// A place for an attempt that begins as soon as its delivery is committed, so that nobody has to claim it; `None` where
    /// it has to wait for its turn. Its body has so many bytes.
    fn reserve(&self, _: &Arc<str>, _bytes: usize) -> Option<Reservation> {
        None
    }
}

/// How a destination fares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneState {
    /// Its name.
    pub destination: Arc<str>,
    /// Attempts under way.
    pub in_flight: usize,
    /// The wait until the next probe may begin, while the circuit is open.
    pub next_probe: Option<Duration>,
    /// For how long nothing goes there because it has said that it is overloaded.
    pub overloaded: Option<Duration>,
}

/// Tells how destinations fare.
pub trait Lanes: Send + Sync {
    /// Those that are configured.
    fn states(&self) -> Vec<LaneState>;
}

/// A place at a destination, kept free until it is used or dropped.
pub struct Reservation {
    lease: Duration,
    begin: Box<dyn FnOnce(ClaimedDelivery) + Send>,
}

impl Reservation {
    /// A place for an attempt under a lease of this length, and what has it begin.
    pub fn new(lease: Duration, begin: impl FnOnce(ClaimedDelivery) + Send + 'static) -> Self {
        Self { lease, begin: Box::new(begin) }
    }

    /// How long the lease is to last.
    pub fn lease(&self) -> Duration {
        self.lease
    }

    /// Has the attempt begin, whose delivery is committed under its lease.
    pub fn begin(self, delivery: ClaimedDelivery) {
        (self.begin)(delivery);
    }
}

#[async_trait]
impl Announce for Silent {
    async fn dead(&self, _: &AttemptEnd<'_>, _: Option<&str>) -> Option<OwnEvent> {
        None
    }
}

impl Wake for Silent {
    fn wake(&self, _: &Arc<str>) {}
}
