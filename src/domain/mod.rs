//! The words of Onceward as plain types: what was received, what was proved, what is due, what came of it.
//! Nothing here does I/O, reads a clock or knows of HTTP servers, databases or configuration files.

mod code;
mod delivery;
mod event;
mod headers;
mod job;
pub mod lifecycle;
mod observe;
mod rejection;
mod request;
mod route;
pub mod schema;
mod time;
mod units;

pub use code::Code;
pub use delivery::{
    Attempt, AttemptResult, Backlog, Buried, ClaimedDelivery, DeliveryId, DeliveryStatus, Due, EventStatus, FinishedAttempt, Health, Lease,
    Line, OnDead, Outcome, Verdict,
};
pub use event::{EventKey, MAX_EVENT_ID, MAX_EVENT_TYPE, OWN_SOURCE, OwnEvent, ReplayGuard, StoredEvent, VerifiedEvent, VerifiedParts};
pub use headers::{HeaderBuilder, Headers, MalformedHeaders};
pub use job::JobStatus;
pub use observe::{Announce, AttemptEnd, Happening, LaneState, Lanes, Observer, Reservation, Silent, Wake};
pub use rejection::{
    CredentialPlace, NewRejection, RefusedRequest, Rejection, RejectionStatus, SealKey, SealedCredential, SealedCredentials,
};
pub use request::{Body, RawRequest, Reply};
pub use route::{PatternError, TypePattern};
pub use time::{Clock, ManualClock, SystemClock, Timestamp, TimestampError};
pub use units::{UnitError, parse_duration, parse_size, print_duration};
