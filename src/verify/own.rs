//! Events that need no proof: what the program itself says, and what an operator publishes.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::domain::{Body, EventKey, Headers, OWN_SOURCE, Timestamp, VerifiedEvent, VerifiedParts};

/// An event of Onceward's own, under an ID that is the same whenever the same thing is said again.
pub fn own(event_id: &str, event_type: &str, body: Body, at: Timestamp) -> VerifiedEvent {
    let headers = [("content-type", &b"application/json"[..])].into_iter().collect();
    let (event_id, event_type) = (event_id.to_owned(), event_type.to_owned());
    let event = ByHand { source: OWN_SOURCE.into(), provider: OWN_SOURCE.into(), event_id, event_type, headers, body };
    unproved(event, "none", at)
}

/// An event as an operator says it.
pub struct ByHand {
    /// Its source's name.
    pub source: Arc<str>,
    /// The name of the source's provider.
    pub provider: Arc<str>,
    /// Its ID.
    pub event_id: String,
    /// Its type; empty for none.
    pub event_type: String,
    /// Its header fields.
    pub headers: Headers,
    /// Its body.
    pub body: Body,
}

/// An event that an operator publishes: proved by who may do that, and marked `api`.
pub fn by_hand(event: ByHand, at: Timestamp) -> VerifiedEvent {
    unproved(event, "api", at)
}

fn unproved(event: ByHand, verified_by: &str, at: Timestamp) -> VerifiedEvent {
    let ByHand { source, provider, event_id, event_type, headers, body } = event;
    VerifiedEvent::attest(VerifiedParts {
        key: EventKey { source, event_id: event_id.into() },
        provider,
        event_type,
        method: "POST".to_owned(),
        subpath: String::new(),
        query: String::new(),
        headers,
        content_digest: Sha256::digest(&body).into(),
        body,
        replay_guard: None,
        item_ids: Vec::new(),
        verified_by: verified_by.to_owned(),
        received_at: at,
    })
}
