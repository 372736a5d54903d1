//! A delivery for tests.

use std::sync::Arc;

use bytes::Bytes;

use crate::domain::{ClaimedDelivery, DeliveryId, EventKey, Lease, StoredEvent, Timestamp};

/// Every byte that there is.
pub(super) static BODY: [u8; 256] = {
    let mut body = [0; 256];
    let mut at = 0;
    while at < body.len() {
        body[at] = at as u8;
        at += 1;
    }
    body
};

/// The first attempt at a delivery of a push.
pub(super) fn delivery() -> ClaimedDelivery {
    ClaimedDelivery {
        lease: Lease { delivery: DeliveryId(7), attempt: 1, ordered: false },
        destination: "deploy".into(),
        failures: 0,
        replay: false,
        event: Arc::new(StoredEvent {
            key: EventKey { source: "github".into(), event_id: "guid 1".into() },
            provider: "github".into(),
            event_type: "push".to_owned(),
            method: "PUT".to_owned(),
            subpath: "/eu/a%2Fb".to_owned(),
            query: "a=1&b=%20".to_owned(),
            headers: [("content-type", &b"text/plain; charset=utf-8"[..])].into_iter().collect(),
            body: Bytes::from_static(&BODY),
            received_at: Timestamp::from_millis(1_767_323_045_000),
        }),
    }
}
