//! What routes look at in an event, whether it is about to be recorded or has been for long.

use std::sync::Arc;

use crate::domain::{Body, Headers, StoredEvent, VerifiedEvent};

/// An event as routes see it. Made from what was proved, now or when it was recorded: from nothing else.
#[derive(Clone, Copy)]
pub struct Subject<'e> {
    pub(super) source: &'e Arc<str>,
    pub(super) event_type: &'e str,
    pub(super) headers: &'e Headers,
    pub(super) body: &'e Body,
}

impl<'e> From<&'e VerifiedEvent> for Subject<'e> {
    fn from(event: &'e VerifiedEvent) -> Self {
        Self { source: &event.key.source, event_type: &event.event_type, headers: &event.headers, body: &event.body }
    }
}

impl<'e> From<&'e StoredEvent> for Subject<'e> {
    fn from(event: &'e StoredEvent) -> Self {
        Self { source: &event.key.source, event_type: &event.event_type, headers: &event.headers, body: &event.body }
    }
}
