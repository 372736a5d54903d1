//! Deliveries: what is due where, one attempt at it, and how the attempt ended.

use std::sync::Arc;
use std::time::Duration;

use super::event::{EventKey, StoredEvent};
use super::time::Timestamp;

/// A delivery's ID in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeliveryId(pub i64);

impl std::fmt::Display for DeliveryId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeliveryStatus {
    /// Still due.
    Pending,
    /// The destination has taken it.
    Delivered,
    /// Given up.
    Dead,
    /// Called off by an operator.
    Cancelled,
}

impl DeliveryStatus {
    /// Every status.
    pub const ALL: [Self; 4] = [Self::Pending, Self::Delivered, Self::Dead, Self::Cancelled];

    /// Its name: `pending`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Where an event stands, from its deliveries taken together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventStatus {
    /// A delivery was given up.
    Dead,
    /// A delivery waits after a failed attempt.
    Failing,
    /// A delivery is unfinished.
    Pending,
    /// Every delivery that was not cancelled has been taken.
    Delivered,
    /// All deliveries were called off.
    Cancelled,
    /// No destination takes this event.
    Unrouted,
}

impl EventStatus {
    /// Every status.
    pub const ALL: [Self; 6] = [Self::Dead, Self::Failing, Self::Pending, Self::Delivered, Self::Cancelled, Self::Unrouted];

    /// Its name: `failing`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dead => "dead",
            Self::Failing => "failing",
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Cancelled => "cancelled",
            Self::Unrouted => "unrouted",
        }
    }

    /// The event's status from `(status, failed attempts)` of each of its deliveries.
    pub fn of(deliveries: impl IntoIterator<Item = (DeliveryStatus, u32)>) -> Self {
        let (mut dead, mut failing, mut pending, mut delivered, mut cancelled) = (false, false, false, false, false);
        for (status, failures) in deliveries {
            match status {
                DeliveryStatus::Dead => dead = true,
                DeliveryStatus::Pending if failures > 0 => failing = true,
                DeliveryStatus::Pending => pending = true,
                DeliveryStatus::Delivered => delivered = true,
                DeliveryStatus::Cancelled => cancelled = true,
            }
        }
        match () {
            () if dead => Self::Dead,
            () if failing => Self::Failing,
            () if pending => Self::Pending,
            () if delivered => Self::Delivered,
            () if cancelled => Self::Cancelled,
            () => Self::Unrouted,
        }
    }
}

/// The right to make one attempt, until it expires. A later claim of the same delivery carries a higher attempt number,
/// so an end that is reported under an old lease changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Lease {
    /// The delivery.
    pub delivery: DeliveryId,
    /// The attempt's number, from 1.
    pub attempt: u32,
    /// Whether others may stand behind the delivery in its order.
    pub ordered: bool,
}

/// A delivery claimed for one attempt.
#[derive(Debug, Clone)]
pub struct ClaimedDelivery {
    /// The right to attempt it.
    pub lease: Lease,
    /// The destination's name.
    pub destination: Arc<str>,
    /// How many attempts have failed so far.
    pub failures: u32,
    /// Whether an operator asked for it again.
    pub replay: bool,
    /// What to deliver.
    pub event: Arc<StoredEvent>,
}

/// What an attempt means for the delivery: the decision as data, with its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The destination has taken the event.
    Delivered,
    /// Try again; `after` is what the destination asked for.
    Retry {
        /// Why it failed, for people.
        reason: String,
        /// The wait that the destination asked for, if it did.
        after: Option<Duration>,
    },
    /// No further attempt can help.
    GiveUp {
        /// Why, for people.
        reason: String,
    },
}

/// What an attempt says about the destination as a whole, whatever it means for the one delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// It works.
    Well,
    /// It does not, or cannot be reached: others would fail, too.
    Unwell,
    /// It asks for fewer requests.
    Overloaded,
    /// Nothing: what was wrong is wrong with this event.
    Unknown,
}

/// What becomes of deliveries that stand behind a dead one in the same order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnDead {
    /// They go on without it.
    #[default]
    Skip,
    /// They wait until it is retried with success, or cancelled.
    Hold,
}

impl OnDead {
    /// Its name in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Hold => "hold",
        }
    }
}

/// What deliveries to one destination have in common that go one at a time and in order: a number, because what is equal
/// is all that matters. Different values that make the same number wait for each other and do no harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Line(pub i64);

/// Where an event goes, and in which order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// The destination's name.
    pub destination: Arc<str>,
    /// The order in which it stands there; `None` for any.
    pub line: Option<Line>,
    /// For how long it is to be leased at once, because a place for its attempt is reserved; `None` to have it claimed.
    pub lease: Option<Duration>,
}

impl Due {
    /// To this destination, in any order.
    pub fn to(destination: Arc<str>) -> Self {
        Self { destination, line: None, lease: None }
    }
}

/// What one attempt brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptResult {
    /// What it means for the delivery.
    pub outcome: Outcome,
    /// What it says about the destination.
    pub health: Health,
    /// The destination's HTTP status, when it gave one.
    pub status_code: Option<u16>,
    /// The beginning of the destination's answer, capped.
    pub response: Option<Vec<u8>>,
}

/// One attempt, as it goes into the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// When it began.
    pub at: Timestamp,
    /// How long it took.
    pub duration: Duration,
    /// The destination's HTTP status, when it gave one.
    pub status_code: Option<u16>,
    /// Why it failed, if it did.
    pub error: Option<String>,
    /// The beginning of the destination's answer, capped.
    pub response: Option<Vec<u8>>,
}

/// What becomes of a delivery after an attempt, decided by the retry policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It ends as delivered.
    Delivered,
    /// It waits until then.
    RetryAt(Timestamp),
    /// It ends as dead.
    Dead,
}

/// The end of an attempt, to be committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinishedAttempt {
    /// The lease under which it was made.
    pub lease: Lease,
    /// What happened.
    pub attempt: Attempt,
    /// What becomes of the delivery.
    pub verdict: Verdict,
    /// What becomes of those behind it, should it be dead.
    pub on_dead: OnDead,
    /// The time by which whoever steps forward into its place is due: now.
    pub now: Timestamp,
}

/// A delivery that ended dead without an attempt, because its event cannot be delivered any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Buried {
    /// The delivery.
    pub delivery: DeliveryId,
    /// Its event.
    pub event: EventKey,
    /// Why.
    pub reason: &'static str,
}

/// How much waits for one destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backlog {
    /// The destination's name.
    pub destination: Arc<str>,
    /// Unfinished deliveries.
    pub pending: u64,
    /// When the oldest of them was created.
    pub oldest: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_events_status_is_its_worst_delivery() {
        use DeliveryStatus::{Cancelled, Dead, Delivered, Pending};
        let cases: [(&[(DeliveryStatus, u32)], EventStatus); 7] = [
            (&[], EventStatus::Unrouted),
            (&[(Delivered, 0), (Dead, 3), (Pending, 1)], EventStatus::Dead),
            (&[(Delivered, 0), (Pending, 1)], EventStatus::Failing),
            (&[(Delivered, 2), (Pending, 0)], EventStatus::Pending),
            (&[(Delivered, 2), (Cancelled, 0)], EventStatus::Delivered),
            (&[(Cancelled, 1)], EventStatus::Cancelled),
            (&[(Delivered, 0)], EventStatus::Delivered),
        ];
        for (deliveries, status) in cases {
            assert_eq!(EventStatus::of(deliveries.iter().copied()), status, "{deliveries:?}");
        }
    }
}
