//! The header fields of a forwarded request: those of the sender's that go on, and Onceward's.

use crate::deliver::sent::Sent;
use crate::deliver::{facts, trace};
use crate::domain::{ClaimedDelivery, HeaderBuilder, Headers, Timestamp};
use crate::signing::{self, SigningKey};

/// Room for the fields that are added.
const ADDED: usize = 512;

/// The fields to send. `random` becomes a trace's and a span's ID if the sender has begun no trace. With keys
/// it is signed for `now`, and the sender's fields of that kind stay behind; without, they are the sender's to send.
pub(super) fn forwarded(delivery: &ClaimedDelivery, random: [u8; 24], keys: &[SigningKey], now: Timestamp) -> Headers {
    let event = &delivery.event;
    let sent = Sent::of(&event.headers);
    let mut fields = HeaderBuilder::with_capacity(event.headers.encoded().len() + ADDED);
    let is_ours = |name: &str| !keys.is_empty() && signing::FIELDS.contains(&name);
    let mut has_key = false;
    for (name, value) in sent.fields().filter(|(name, _)| !is_ours(name)) {
        has_key |= name == "idempotency-key";
        fields.push(name, value);
    }
    if sent.trace().is_none() {
        fields.push("traceparent", trace::fresh(random).as_bytes());
    }
    if !has_key {
        fields.push("idempotency-key", facts::idempotency_key(&event.key).as_bytes());
    }
    for (name, value) in facts::known(delivery) {
        fields.push(name, value.as_bytes());
    }
    if !keys.is_empty() {
        // A "." ends the ID in what is signed, so that none may be in it; "%" is always encoded, so that this is no other ID's.
        let id = facts::idempotency_key(&event.key).replace('.', "%2E");
        for (name, value) in signing::FIELDS.iter().zip(signing::sign(keys, id, now, &event.body)) {
            fields.push(name, value.as_bytes());
        }
    }
    fields.build()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::domain::{DeliveryId, EventKey, Lease, StoredEvent};

    fn delivery(event_id: &str, event_type: &str, headers: &[(&str, &str)]) -> ClaimedDelivery {
        ClaimedDelivery {
            lease: Lease { delivery: DeliveryId(42), attempt: 3, ordered: false },
            destination: "deploy".into(),
            failures: 2,
            replay: false,
            event: Arc::new(StoredEvent {
                key: EventKey { source: "github".into(), event_id: event_id.into() },
                provider: "github".into(),
                event_type: event_type.to_owned(),
                method: "POST".to_owned(),
                subpath: String::new(),
                query: String::new(),
                headers: headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect(),
                body: Bytes::new(),
                received_at: Timestamp::from_secs(0),
            }),
        }
    }

    /// The fields of an unsigned request.
    fn forwarded(delivery: &ClaimedDelivery, random: [u8; 24]) -> Headers {
        super::forwarded(delivery, random, &[], Timestamp::from_secs(0))
    }

    fn list(headers: &Headers) -> Vec<(String, String)> {
        headers.iter().map(|(name, value)| (name.to_owned(), String::from_utf8(value.to_vec()).unwrap())).collect()
    }

    fn pairs(fields: &[(&str, &str)]) -> Vec<(String, String)> {
        fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn adds_what_onceward_knows() {
        let fields = forwarded(&delivery("guid-1", "push", &[]), [0xab; 24]);
        let expected = [
            ("traceparent", "00-abababababababababababababababab-abababababababab-01"),
            ("idempotency-key", "github:guid-1"),
            ("onceward-source", "github"),
            ("onceward-event-id", "guid-1"),
            ("onceward-event-type", "push"),
            ("onceward-attempt", "3"),
            ("onceward-delivery", "42"),
        ];
        assert_eq!(list(&fields), pairs(&expected));
    }

    #[test]
    fn the_senders_fields_stay_in_order_and_number() {
        let sent = [("content-type", "application/json"), ("x-hub-signature-256", "sha256=1"), ("x-a", "1"), ("x-a", "2"), ("x-empty", "")];
        let fields = list(&forwarded(&delivery("1", "", &sent), [1; 24]));
        assert_eq!(fields[..sent.len()], pairs(&sent));
    }

    #[test]
    fn what_concerns_only_the_senders_connection_is_dropped() {
        let sent = [
            ("connection", "close, X-Hop"),
            ("connection", "x-other"),
            ("x-hop", "1"),
            ("x-other", "1"),
            ("keep-alive", "5"),
            ("te", "trailers"),
            ("trailer", "x"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("proxy-authorization", "hush"),
            ("proxy-connection", "keep-alive"),
            ("host", "hooks.example.com"),
            ("content-length", "7"),
            ("expect", "100-continue"),
            ("onceward-event-id", "forged"),
            ("onceward-anything", "forged"),
            ("x-kept", "1"),
        ];
        let with = list(&forwarded(&delivery("1", "", &sent), [1; 24]));
        let without = list(&forwarded(&delivery("1", "", &[("x-kept", "1")]), [1; 24]));
        assert_eq!(with, without);
    }

    #[test]
    fn an_empty_type_is_left_out_and_a_replay_is_marked() {
        let mut replay = delivery("1", "", &[]);
        replay.replay = true;
        let fields = forwarded(&replay, [1; 24]);
        assert_eq!(fields.get("onceward-event-type"), None);
        assert_eq!(fields.text("onceward-replay"), Some("true"));
    }

    #[test]
    fn the_senders_idempotency_key_stays() {
        let fields = forwarded(&delivery("1", "", &[("idempotency-key", "\"theirs\"")]), [1; 24]);
        assert_eq!(fields.all("idempotency-key").collect::<Vec<_>>(), [b"\"theirs\""]);
    }

    #[test]
    fn a_key_and_a_trace_that_do_not_go_on_are_ours() {
        let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
        let hop =
            [("connection", "Idempotency-Key, traceparent"), ("idempotency-key", "theirs"), ("traceparent", trace), ("tracestate", "a=1")];
        let blank = [("idempotency-key", ""), ("idempotency-key", " "), ("traceparent", "")];
        let ours = list(&forwarded(&delivery("1", "", &[]), [1; 24]));
        for sent in [&hop[..], &blank[..]] {
            assert_eq!(list(&forwarded(&delivery("1", "", sent), [1; 24])), ours);
        }
    }

    #[test]
    fn a_valid_trace_goes_on_and_an_invalid_one_goes_with_its_state() {
        let valid = [("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"), ("tracestate", "a=1")];
        assert_eq!(list(&forwarded(&delivery("1", "", &valid), [1; 24]))[..2], pairs(&valid));
        let fields = forwarded(&delivery("1", "", &[("traceparent", "nonsense"), ("tracestate", "a=1")]), [1; 24]);
        assert_eq!(fields.all("traceparent").collect::<Vec<_>>(), [b"00-01010101010101010101010101010101-0101010101010101-01"]);
        assert_eq!(fields.get("tracestate"), None);
    }

    #[test]
    fn ids_are_percent_encoded_where_a_header_could_not_hold_them() {
        let cases = [("evt_1PQ", "evt_1PQ"), ("sha256:ab", "sha256:ab"), ("a b", "a%20b"), ("50%", "50%25"), ("ü\r\n", "%C3%BC%0D%0A")];
        for (id, expected) in cases {
            let fields = forwarded(&delivery(id, id, &[]), [1; 24]);
            assert_eq!(fields.text("onceward-event-id"), Some(expected));
            assert_eq!(fields.text("onceward-event-type"), Some(expected));
            assert_eq!(fields.text("idempotency-key"), Some(format!("github:{expected}").as_str()));
        }
    }

    const SIGNED: &[(&str, &str)] =
        &[("webhook-id", "theirs"), ("webhook-timestamp", "1"), ("webhook-signature", "v1,theirs"), ("x-kept", "1")];

    #[test]
    fn the_senders_own_signature_stays_unless_we_sign() {
        let delivery = delivery("guid.1%", "", SIGNED);
        assert_eq!(list(&forwarded(&delivery, [1; 24]))[..4], pairs(SIGNED));
        let key = SigningKey::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let keys = [key.clone(), key];
        let fields = super::forwarded(&delivery, [1; 24], &keys, Timestamp::from_millis(7_999));
        for name in signing::FIELDS {
            assert_eq!(fields.all(name).count(), 1, "{name}");
        }
        assert_eq!((fields.text("webhook-id"), fields.text("webhook-timestamp")), (Some("github:guid%2E1%25"), Some("7")));
        assert_eq!(fields.text("idempotency-key"), Some("github:guid.1%25"));
        let [.., signature] = signing::sign(&keys, "github:guid%2E1%25".to_owned(), Timestamp::from_secs(7), b"");
        assert_eq!((fields.text("webhook-signature"), fields.text("x-kept")), (Some(signature.as_str()), Some("1")));
    }

    proptest! {
        #[test]
        fn the_id_that_is_signed_has_no_dot_and_is_one_events_alone(ids in any::<[String; 2]>(), dots in "[.%2E]{0,6}") {
            let key = SigningKey::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
            let sent = |id: &str| {
                let fields = super::forwarded(&delivery(id, "", &[]), [1; 24], std::slice::from_ref(&key), Timestamp::from_secs(0));
                fields.text("webhook-id").unwrap().to_owned()
            };
            let ids = ids.map(|id| format!("{id}{dots}"));
            let sent = ids.each_ref().map(|id| sent(id));
            prop_assert!(sent.iter().all(|id| !id.contains('.') && id.bytes().all(|byte| byte.is_ascii_graphic())));
            prop_assert_eq!(ids[0] == ids[1], sent[0] == sent[1]);
        }

    }
}
