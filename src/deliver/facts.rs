//! What Onceward knows about a delivery, in the one spelling that every kind of destination gets it in.

use super::encoding::exact;
use crate::domain::{ClaimedDelivery, EventKey};

/// The facts under the names of their header fields. What is empty or does not apply is left out.
pub(super) fn known(delivery: &ClaimedDelivery) -> Vec<(&'static str, String)> {
    let event = &delivery.event;
    let mut facts = vec![("onceward-source", exact(&event.key.source)), ("onceward-event-id", exact(&event.key.event_id))];
    if !event.event_type.is_empty() {
        facts.push(("onceward-event-type", exact(&event.event_type)));
    }
    facts.push(("onceward-attempt", delivery.lease.attempt.to_string()));
    facts.push(("onceward-delivery", delivery.lease.delivery.to_string()));
    if delivery.replay {
        facts.push(("onceward-replay", "true".to_owned()));
    }
    facts
}

/// The key that is the same in every delivery of an event, for whoever wants to have its effect once.
pub(super) fn idempotency_key(event: &EventKey) -> String {
    format!("{}:{}", exact(&event.source), exact(&event.event_id))
}
