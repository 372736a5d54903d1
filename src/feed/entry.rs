//! What is told of a happening.

use std::sync::Arc;

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::{AttemptEnd, Code, DeliveryStatus, Happening, Timestamp, Verdict};

/// Something that happened, as watchers get it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Happening)]
pub struct Entry {
    /// When.
    pub at: Timestamp,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// The kinds of happenings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An event was recorded.
    Event,
    /// One came again.
    Duplicate,
    /// A request was refused.
    Rejection,
    /// A delivery was attempted.
    Attempt,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Event, Self::Duplicate, Self::Rejection, Self::Attempt];

    /// Its name in the stream.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Duplicate => "duplicate",
            Self::Rejection => "rejection",
            Self::Attempt => "attempt",
        }
    }
}

/// What happened. Never anything of a body, a header or a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(untagged)]
pub enum What {
    /// An event was recorded.
    Event {
        /// Its source.
        #[schema(value_type = String)]
        source: Arc<str>,
        /// Its ID.
        #[schema(value_type = String)]
        event_id: Arc<str>,
        /// Its type; none when the sender names none.
        #[schema(required = true)]
        r#type: Option<String>,
    },
    /// One came again.
    Duplicate {
        /// Its source.
        #[schema(value_type = String)]
        source: Arc<str>,
        /// The ID of the event that is recorded.
        #[schema(value_type = String)]
        event_id: Arc<str>,
    },
    /// A request was refused.
    Rejection {
        /// The source it was sent to.
        #[schema(value_type = String)]
        source: Arc<str>,
        /// Why.
        #[schema(value_type = Code)]
        code: &'static str,
        /// The explanation.
        diagnosis: String,
    },
    /// A delivery was attempted, and its end is committed.
    Attempt {
        /// The event's source.
        #[schema(value_type = String)]
        source: Arc<str>,
        /// The event's ID.
        #[schema(value_type = String)]
        event_id: Arc<str>,
        /// Where it went.
        #[schema(value_type = String)]
        destination: Arc<str>,
        /// The delivery's ID.
        delivery: String,
        /// The attempt's number, from 1.
        attempt: u32,
        /// How long it took.
        duration_ms: u64,
        /// The destination's HTTP status, when it gave one.
        #[schema(required = true)]
        status_code: Option<u16>,
        /// What the delivery is now: `delivered`, `pending` or `dead`.
        #[schema(value_type = DeliveryStatus)]
        status: &'static str,
        /// When the next attempt is due.
        #[schema(required = true)]
        next_attempt_at: Option<Timestamp>,
    },
}

impl What {
    /// What watchers are told of a happening, if anything. Refusals of which too many came lately are only counted, so that a
    /// flood of forgeries does not wash away everything else.
    pub(super) fn of(happening: &Happening<'_>) -> Option<Self> {
        Some(match happening {
            Happening::Accepted { event, event_type, .. } | Happening::Readmitted { event, event_type, fresh: true, .. } => Self::Event {
                source: Arc::clone(&event.source),
                event_id: Arc::clone(&event.event_id),
                r#type: Some((*event_type).to_owned()).filter(|name| !name.is_empty()),
            },
            Happening::Duplicate { event } | Happening::Readmitted { event, fresh: false, .. } => {
                Self::Duplicate { source: Arc::clone(&event.source), event_id: Arc::clone(&event.event_id) }
            }
            Happening::Refused { source, code, diagnosis, quiet: false } => {
                Self::Rejection { source: (*source).into(), code: code.as_str(), diagnosis: (*diagnosis).to_owned() }
            }
            Happening::Attempted(end) => Self::attempt(end),
            _ => return None,
        })
    }

    fn attempt(end: &AttemptEnd<'_>) -> Self {
        let (status, next_attempt_at) = match end.verdict {
            Verdict::Delivered => ("delivered", None),
            Verdict::RetryAt(at) => ("pending", Some(at)),
            Verdict::Dead => ("dead", None),
        };
        Self::Attempt {
            source: Arc::clone(&end.event.source),
            event_id: Arc::clone(&end.event.event_id),
            destination: Arc::clone(end.destination),
            delivery: end.delivery.to_string(),
            attempt: end.attempt,
            duration_ms: u64::try_from(end.duration.as_millis()).unwrap_or(u64::MAX),
            status_code: end.status_code,
            status,
            next_attempt_at,
        }
    }

    /// Its kind.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Event { .. } => Kind::Event,
            Self::Duplicate { .. } => Kind::Duplicate,
            Self::Rejection { .. } => Kind::Rejection,
            Self::Attempt { .. } => Kind::Attempt,
        }
    }

    /// The source it is about.
    pub fn source(&self) -> &str {
        let (Self::Event { source, .. } | Self::Duplicate { source, .. } | Self::Rejection { source, .. } | Self::Attempt { source, .. }) =
            self;
        source
    }
}
