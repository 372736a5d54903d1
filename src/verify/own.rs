//! Events of Onceward's own. What the program itself says needs no proof.

use sha2::{Digest, Sha256};

use crate::domain::{Body, EventKey, OWN_SOURCE, Timestamp, VerifiedEvent, VerifiedParts};

/// An event of Onceward's own, under an ID that is the same whenever the same thing is said again.
pub fn own(event_id: &str, event_type: &str, body: Body, at: Timestamp) -> VerifiedEvent {
    VerifiedEvent::attest(VerifiedParts {
        key: EventKey { source: OWN_SOURCE.into(), event_id: event_id.into() },
        provider: OWN_SOURCE.into(),
        event_type: event_type.to_owned(),
        method: "POST".to_owned(),
        subpath: String::new(),
        query: String::new(),
        headers: [("content-type", &b"application/json"[..])].into_iter().collect(),
        content_digest: Sha256::digest(&body).into(),
        body,
        replay_guard: None,
        item_ids: Vec::new(),
        verified_by: "none".to_owned(),
        received_at: at,
    })
}
