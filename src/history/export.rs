//! Recorded events as fixtures: what came in, in the form in which it can be sent, verified and tested with again.

use crate::domain::{RawRequest, StoredEvent};
use crate::fixture::{Expect, Fixture};

/// The event as a fixture. Secrets are not in the store, nor are static credentials: a sender that proves itself by these alone
/// is not verified by it.
pub(super) fn fixture(event: StoredEvent) -> Fixture {
    let StoredEvent { key, provider, event_type, method, subpath, query, headers, body, received_at } = event;
    let path = format!("/hooks/{}{subpath}", key.source);
    Fixture {
        provider: provider.to_string(),
        secrets: Vec::new(),
        at: Some(received_at),
        url: None,
        params: Vec::new(),
        certificate: None,
        expect: Some(Expect::Accepted { event_id: key.event_id.to_string(), event_type }),
        request: RawRequest { method, path, subpath, query, headers, body, received_at },
    }
}
