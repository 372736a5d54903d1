//! An event in its two lives: proved by `verify`, and read back from the store.

use std::sync::Arc;

use super::delivery::Due;
use super::headers::Headers;
use super::request::Body;
use super::time::Timestamp;

/// The identity of an event: which source it came to, and the sender's own ID for it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EventKey {
    /// The source's name.
    pub source: Arc<str>,
    /// The sender's ID, or `sha256:<hex of the body>`.
    pub event_id: Arc<str>,
}

/// The longest event ID, in bytes.
pub const MAX_EVENT_ID: usize = 1_024;
/// The longest event type, in bytes; of a sender's, more is cut.
pub const MAX_EVENT_TYPE: usize = 256;

/// What becomes of a request whose signed content was recorded before under another ID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReplayGuard {
    /// It is an event, and marked.
    #[default]
    Mark,
    /// It is a duplicate of the earlier event.
    Drop,
}

impl ReplayGuard {
    /// Its name in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mark => "mark",
            Self::Drop => "drop",
        }
    }
}

/// What `verify` has established about a request.
#[derive(Clone)]
pub struct VerifiedParts {
    /// The identity.
    pub key: EventKey,
    /// The provider's name.
    pub provider: Arc<str>,
    /// The event's type; empty when the sender names none.
    pub event_type: String,
    /// The method in upper case.
    pub method: String,
    /// What followed `/hooks/{source}` in the path, still percent-encoded.
    pub subpath: String,
    /// The query, without `?`.
    pub query: String,
    /// The sender's header fields without hop-by-hop ones and static credentials.
    pub headers: Headers,
    /// The raw body.
    pub body: Body,
    /// SHA-256 over the signed content, which is the raw body for nearly every sender. Timestamps and IDs beside it are left
    /// out, so that the same content sent again has the same digest.
    pub content_digest: [u8; 32],
    /// What becomes of this content when it was recorded before under another ID; `None` where it cannot be: because the
    /// signature covers the ID, or the ID follows from the content, or the sender repeats content by design.
    pub replay_guard: Option<ReplayGuard>,
    /// The IDs of the items, where the request brings several with IDs of their own.
    pub item_ids: Vec<String>,
    /// How it was proved, by position and never by value: `secret:1`, or `none` for a source that does not verify.
    pub verified_by: String,
    /// When the request had arrived whole.
    pub received_at: Timestamp,
}

/// A request whose signature holds. Only `verify` builds one (`tests/architecture.rs` sees to it), so a function that
/// takes a `VerifiedEvent` cannot be handed something unproved.
#[derive(Debug, Clone)]
pub struct VerifiedEvent(VerifiedParts);

impl VerifiedEvent {
    /// Attests that `parts` were proved. For `verify` alone.
    pub fn attest(parts: VerifiedParts) -> Self {
        Self(parts)
    }

    /// Gives the parts away, to be recorded.
    pub fn into_parts(self) -> VerifiedParts {
        self.0
    }
}

impl std::ops::Deref for VerifiedEvent {
    type Target = VerifiedParts;

    fn deref(&self) -> &VerifiedParts {
        &self.0
    }
}

/// The source of Onceward's own events. No other can have its name.
pub const OWN_SOURCE: &str = "onceward";

/// An event of Onceward's own, with where it goes.
#[derive(Debug, Clone)]
pub struct OwnEvent {
    /// The event.
    pub event: VerifiedEvent,
    /// Where it goes.
    pub deliveries: Vec<Due>,
}

/// An event read back from the store, as a destination gets it.
#[derive(Clone)]
pub struct StoredEvent {
    /// The identity.
    pub key: EventKey,
    /// The provider's name.
    pub provider: Arc<str>,
    /// The event's type; empty when the sender names none.
    pub event_type: String,
    /// The sender's method.
    pub method: String,
    /// What followed `/hooks/{source}` in the path.
    pub subpath: String,
    /// The query, without `?`.
    pub query: String,
    /// The sender's header fields as stored.
    pub headers: Headers,
    /// The raw body.
    pub body: Body,
    /// When it was received.
    pub received_at: Timestamp,
}

/// Shows neither body nor query: what they hold is the sender's.
impl std::fmt::Debug for VerifiedParts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VerifiedParts")
            .field("key", &self.key)
            .field("event_type", &self.event_type)
            .field("headers", &self.headers)
            .field("size", &self.body.len())
            .field("verified_by", &self.verified_by)
            .finish_non_exhaustive()
    }
}

/// Shows neither body nor query: what they hold is the sender's.
impl std::fmt::Debug for StoredEvent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoredEvent")
            .field("key", &self.key)
            .field("event_type", &self.event_type)
            .field("headers", &self.headers)
            .field("size", &self.body.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_neither_body_nor_query_nor_header_values() {
        let parts = VerifiedParts {
            key: EventKey { source: "s".into(), event_id: "e".into() },
            provider: "p".into(),
            event_type: String::new(),
            method: "POST".into(),
            subpath: String::new(),
            query: "token=hush".into(),
            headers: [("x-a", &b"hush"[..])].into_iter().collect(),
            body: Body::from_static(b"hush"),
            content_digest: [0; 32],
            item_ids: Vec::new(),
            replay_guard: None,
            verified_by: "secret:1".into(),
            received_at: Timestamp::from_millis(0),
        };
        let event = VerifiedEvent::attest(parts);
        assert!(!format!("{event:?}").contains("hush"), "{event:?}");
    }
}
