//! The environment of a command: little of ours, what is configured, and what is known about the delivery.

use std::ffi::OsString;

use crate::deliver::encoding::{exact, printable};
use crate::deliver::sent::Sent;
use crate::deliver::{facts, trace};
use crate::domain::ClaimedDelivery;

/// What a command inherits. The rest of our environment holds secrets.
const INHERITED: &[&str] = &["PATH", "HOME", "LANG", "TZ"];

/// The variables that a command inherits, as far as they are set.
pub(super) fn inherited() -> Vec<(&'static str, OsString)> {
    INHERITED.iter().filter_map(|name| Some((*name, std::env::var_os(name)?))).collect()
}

/// The `ONCEWARD_*` variables: what URLs get as headers, in the same spelling, and what they see of the request itself.
/// What is empty is not set. `random` becomes a trace's and a span's ID if the sender has begun no trace.
pub(super) fn facts(delivery: &ClaimedDelivery, random: [u8; 24]) -> Vec<(String, String)> {
    let event = &delivery.event;
    let sent = Sent::of(&event.headers);
    let key = sent.idempotency_key().map_or_else(|| facts::idempotency_key(&event.key), printable);
    let trace = sent.trace().map_or_else(|| trace::fresh(random), |trace| printable(trace.as_bytes()));
    let request = [
        ("ONCEWARD_IDEMPOTENCY_KEY", key),
        ("ONCEWARD_TRACEPARENT", trace),
        ("ONCEWARD_PROVIDER", exact(&event.provider)),
        ("ONCEWARD_METHOD", printable(event.method.as_bytes())),
        ("ONCEWARD_PATH", printable(event.subpath.as_bytes())),
        ("ONCEWARD_QUERY", printable(event.query.as_bytes())),
        ("ONCEWARD_CONTENT_TYPE", printable(event.headers.get("content-type").unwrap_or_default())),
        ("ONCEWARD_RECEIVED_AT", event.received_at.to_string()),
    ];
    let known = facts::known(delivery).into_iter().map(|(name, value)| (name.to_ascii_uppercase().replace('-', "_"), value));
    let request = request.into_iter().map(|(name, value)| (name.to_owned(), value));
    known.chain(request).filter(|(_, value)| !value.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::*;
    use crate::deliver::testing::delivery;

    fn variables(delivery: &ClaimedDelivery) -> BTreeMap<String, String> {
        facts(delivery, [0xab; 24]).into_iter().collect()
    }

    #[test]
    fn says_what_is_known_and_what_the_request_was() {
        let said = variables(&delivery());
        let expected = [
            ("ONCEWARD_ATTEMPT", "1"),
            ("ONCEWARD_CONTENT_TYPE", "text/plain; charset=utf-8"),
            ("ONCEWARD_DELIVERY", "7"),
            ("ONCEWARD_EVENT_ID", "guid%201"),
            ("ONCEWARD_EVENT_TYPE", "push"),
            ("ONCEWARD_IDEMPOTENCY_KEY", "github:guid%201"),
            ("ONCEWARD_METHOD", "PUT"),
            ("ONCEWARD_PATH", "/eu/a%2Fb"),
            ("ONCEWARD_PROVIDER", "github"),
            ("ONCEWARD_QUERY", "a=1&b=%20"),
            ("ONCEWARD_RECEIVED_AT", "2026-01-02T03:04:05.000Z"),
            ("ONCEWARD_SOURCE", "github"),
            ("ONCEWARD_TRACEPARENT", "00-abababababababababababababababab-abababababababab-01"),
        ];
        assert_eq!(said, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    }

    #[test]
    fn the_senders_key_and_trace_stay_and_a_replay_is_marked() {
        let mut delivery = delivery();
        delivery.replay = true;
        let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
        let event = Arc::get_mut(&mut delivery.event).unwrap();
        event.headers = [("idempotency-key", &b"\"the sender's\""[..]), ("traceparent", trace.as_bytes())].into_iter().collect();
        let said = variables(&delivery);
        assert_eq!(said["ONCEWARD_IDEMPOTENCY_KEY"], "\"the sender's\"");
        assert_eq!((said["ONCEWARD_TRACEPARENT"].as_str(), said["ONCEWARD_REPLAY"].as_str()), (trace, "true"));
    }

    #[test]
    fn a_key_and_a_trace_that_do_not_go_on_are_ours() {
        let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
        let hop = [("connection", "Idempotency-Key, traceparent"), ("idempotency-key", "theirs"), ("traceparent", trace)];
        let blank = [("idempotency-key", " "), ("traceparent", "")];
        for headers in [&hop[..], &blank[..]] {
            let mut delivery = delivery();
            let event = Arc::get_mut(&mut delivery.event).unwrap();
            event.headers = headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
            let said = variables(&delivery);
            assert_eq!(said["ONCEWARD_IDEMPOTENCY_KEY"], "github:guid%201");
            assert_eq!(said["ONCEWARD_TRACEPARENT"], "00-abababababababababababababababab-abababababababab-01");
        }
    }

    #[test]
    fn what_is_empty_is_not_set() {
        let mut delivery = delivery();
        let event = Arc::get_mut(&mut delivery.event).unwrap();
        event.event_type.clear();
        event.subpath.clear();
        event.query.clear();
        event.headers = [("content-type", &b""[..])].into_iter().collect();
        let said = variables(&delivery);
        for name in ["EVENT_TYPE", "PATH", "QUERY", "CONTENT_TYPE", "REPLAY"] {
            assert_eq!(said.get(&format!("ONCEWARD_{name}")), None, "{name}");
        }
    }

    #[test]
    fn whatever_the_sender_writes_a_variable_can_hold_it() {
        let mut delivery = delivery();
        let every: Vec<u8> = (0..=255).collect();
        let text: String = (0..=255).map(char::from).collect();
        let event = Arc::get_mut(&mut delivery.event).unwrap();
        event.key.event_id = text.as_str().into();
        (event.event_type, event.method, event.subpath, event.query) = (text.clone(), text.clone(), text.clone(), text);
        event.headers = ["content-type", "idempotency-key", "traceparent"].map(|name| (name, &every[..])).into_iter().collect();
        for (name, value) in variables(&delivery) {
            assert!(value.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{name}: {value:?}");
        }
    }
}
