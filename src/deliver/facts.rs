//! What Onceward knows about a delivery, in the one spelling that every kind of destination gets it in.

use crate::domain::{ClaimedDelivery, EventKey};

/// The facts under the names of their header fields. What is empty or does not apply is left out.
pub(super) fn known(delivery: &ClaimedDelivery) -> Vec<(&'static str, String)> {
    let event = &delivery.event;
    let mut facts = vec![("onceward-source", encode(&event.key.source)), ("onceward-event-id", encode(&event.key.event_id))];
    if !event.event_type.is_empty() {
        facts.push(("onceward-event-type", encode(&event.event_type)));
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
    format!("{}:{}", encode(&event.source), encode(&event.event_id))
}

/// A text as a header value or a variable. IDs may hold any character and these may not, so every byte that is not visible
/// ASCII, and `%` itself, is percent-encoded: decoding gives the text back, whatever it was, and what needs no encoding
/// stays as it is.
pub(super) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'!'..=b'~' if byte != b'%' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_id_is_a_legal_value_and_decodes_to_itself(id in any::<String>()) {
            let encoded = encode(&id);
            prop_assert!(encoded.bytes().all(|byte| byte.is_ascii_graphic()));
            let mut decoded = Vec::new();
            let mut rest = encoded.as_bytes();
            while let Some((&byte, after)) = rest.split_first() {
                rest = after;
                if byte == b'%' {
                    decoded.push(u8::from_str_radix(std::str::from_utf8(&rest[..2]).unwrap(), 16).unwrap());
                    rest = &rest[2..];
                } else {
                    decoded.push(byte);
                }
            }
            prop_assert_eq!(decoded, id.into_bytes());
        }
    }
}
