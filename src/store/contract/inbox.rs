//! Recording: fresh or duplicate, kept as it came, within bounds.

use bytes::Bytes;
use futures_util::future::join_all;

use super::*;
use crate::domain::EventStatus;
use crate::store::{DeliveryFilter, EventFilter, RejectionFilter};

pub(crate) async fn fifty_concurrent_copies_are_one_event<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    let copies = (0..50).map(|_| {
        let store = store.clone();
        tokio::spawn(async move { store.record(event("hub", "evt", at(0)), names(&["app", "mail"])).await.unwrap() })
    });
    let outcomes: Vec<_> = join_all(copies).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Recorded::Fresh).count(), 1);
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Recorded::Duplicate).count(), 49);
    let row = store.event(key("hub", "evt")).await.unwrap().unwrap();
    assert_eq!((row.duplicates, row.last_duplicate_at), (49, Some(at(0))));
    let deliveries = store.deliveries_of(vec![row.seq], false).await.unwrap();
    assert_eq!(deliveries.iter().map(|row| &*row.destination).collect::<Vec<_>>(), ["app", "mail"]);
}

pub(crate) async fn the_same_id_in_two_sources_is_two_events<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    for source in ["hub", "pay", "hub", "pay"].into_iter().zip([Recorded::Fresh, Recorded::Fresh, Recorded::Duplicate, Recorded::Duplicate])
    {
        assert_eq!(store.record(event(source.0, "evt", at(0)), names(&[])).await.unwrap(), source.1);
    }
    // The boundary between source and ID counts, too.
    assert_eq!(store.record(event("hu", "bevt", at(0)), names(&[])).await.unwrap(), Recorded::Fresh);
    assert_eq!(store.events(EventFilter::default(), all()).await.unwrap().len(), 3);
}

pub(crate) async fn two_processes_dedupe_each_other<H: Harness>() {
    let harness = H::new();
    let (one, other) = (harness.open().await, harness.open().await);
    let both = (0..20).flat_map(|n| [(one.clone(), n), (other.clone(), n)]);
    let recordings = both.map(|(store, n)| {
        tokio::spawn(async move { store.record(event("hub", &format!("evt-{n}"), at(0)), names(&["app"])).await.unwrap() })
    });
    let outcomes = join_all(recordings).await;
    let fresh = outcomes.into_iter().filter(|outcome| *outcome.as_ref().unwrap() == Recorded::Fresh).count();
    assert_eq!(fresh, 20);
    assert_eq!(one.deliveries(DeliveryFilter::default(), all()).await.unwrap().len(), 20);
}

pub(crate) async fn a_duplicate_is_counted_and_changes_nothing_else<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    fresh(&store, "evt", at(0), &["app"]).await;
    for second in [9, 5] {
        let other = VerifiedParts { body: Bytes::from_static(b"other"), ..parts("hub", "evt", at(second)) };
        let outcome = store.record(VerifiedEvent::attest(other), names(&["app", "mail"])).await.unwrap();
        assert_eq!(outcome, Recorded::Duplicate);
    }
    let row = store.event(key("hub", "evt")).await.unwrap().unwrap();
    assert_eq!((row.duplicates, row.last_duplicate_at, row.received_at), (2, Some(at(9)), at(0)));
    assert_eq!(store.body(row.key).await.unwrap().unwrap().bytes, parts("", "", at(0)).body);
    assert_eq!(store.deliveries(DeliveryFilter::default(), all()).await.unwrap().len(), 1);
}

pub(crate) async fn ids_and_bodies_come_back_as_they_were_however_odd<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    let kilobyte = "i".repeat(1_024);
    let ids = ["a/b", "50%", "'; DROP TABLE event; --", "\"\"", &kilobyte, "nul\0nul", "\0", "日本 ✓", " ", "%_?*["];
    let bodies: [&[u8]; 3] = [b"", b"\0\xff\xfe\0", &[0xab; 100_000]];
    for (n, id) in ids.into_iter().enumerate() {
        let body = Bytes::copy_from_slice(bodies[n % 3]);
        let odd = VerifiedParts { body, event_type: id.to_owned(), ..parts("hub/50%'\0", id, at(0)) };
        assert_eq!(store.record(VerifiedEvent::attest(odd.clone()), names(&["a'p\0p"])).await.unwrap(), Recorded::Fresh, "{id:?}");
        assert_eq!(store.record(VerifiedEvent::attest(odd.clone()), names(&[])).await.unwrap(), Recorded::Duplicate, "{id:?}");
        let row = store.event(odd.key.clone()).await.unwrap().unwrap();
        assert_eq!((&row.key, &row.event_type, row.headers.as_ref()), (&odd.key, &odd.event_type, Some(&odd.headers)));
        assert_eq!((row.size, row.content_type.as_deref()), (odd.body.len() as u64, Some("application/json")));
        assert_eq!(store.body(odd.key.clone()).await.unwrap().unwrap().bytes, odd.body);
        let filter = EventFilter { event_id: Some(id.to_owned()), ..EventFilter::default() };
        assert_eq!(store.events(filter, all()).await.unwrap().len(), 1, "{id:?}");
        let claim = claim(&store, "a'p\0p", 9, at(0)).await;
        let event = &claim.deliveries[0].event;
        assert_eq!((&event.key, &event.headers, &event.body, &event.event_type), (&odd.key, &odd.headers, &odd.body, &odd.event_type));
        assert_eq!(
            (&*event.provider, &event.method, &event.subpath, &event.query),
            (&*odd.provider, &odd.method, &odd.subpath, &odd.query)
        );
        assert_eq!((event.received_at, claim.deliveries.len()), (at(0), 1));
    }
}

pub(crate) async fn ids_that_only_look_alike_are_different_events<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    for id in ["evt", "EVT", "evt ", " evt", "evt\0", "caf\u{e9}", "cafe\u{301}", "1", "01", "1.0"] {
        fresh(&store, id, at(0), &[]).await;
    }
}

pub(crate) async fn rejections_are_bounded_by_count_for_each_source<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    store.refuse(rejection("pay", "kept", Code::SignatureMismatch, at(0), 1)).await.unwrap();
    for n in 0..12 {
        store.refuse(rejection("hub", &n.to_string(), Code::SignatureMismatch, at(n), 1)).await.unwrap();
    }
    let rows = store.rejections(RejectionFilter::default(), all()).await.unwrap();
    let kept: Vec<_> = rows.iter().map(|row| &*row.diagnosis).collect();
    assert_eq!(kept, ["11", "10", "9", "8", "7", "kept"]);
    assert_eq!(kept.len(), REJECTIONS + 1);
}

pub(crate) async fn rejections_are_bounded_by_bytes<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    for (diagnosis, body) in [("a", 100), ("b", 4_000), ("c", 4_000), ("d", 4_000), ("e", 100)] {
        store.refuse(rejection("hub", diagnosis, Code::SignatureMissing, at(0), body)).await.unwrap();
    }
    let kept = store.rejections(RejectionFilter::default(), all()).await.unwrap();
    assert_eq!(kept.iter().map(|row| &*row.diagnosis).collect::<Vec<_>>(), ["e", "d", "c"]);
    store.refuse(rejection("hub", "huge", Code::SignatureMissing, at(0), REJECTION_BYTES + 1)).await.unwrap();
    assert!(store.rejections(RejectionFilter::default(), all()).await.unwrap().is_empty());
}

pub(crate) async fn an_explanation_takes_the_place_of_a_diagnosis_within_the_bounds<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    let (mut ids, code) = (Vec::new(), Code::SignatureMismatch);
    for (source, diagnosis) in [("pay", "kept"), ("hub", "a"), ("hub", "b"), ("hub", "c")] {
        ids.push(store.refuse(rejection(source, diagnosis, code, at(0), 3_000)).await.unwrap());
    }
    store.explain(ids[2], "b, and why".to_owned()).await.unwrap();
    let kept = async || {
        let rows = store.rejections(RejectionFilter::default(), all()).await.unwrap();
        rows.into_iter().map(|row| (row.id, row.code, row.diagnosis)).collect::<Vec<_>>()
    };
    let [pay, a, b, c] = ids[..] else { unreachable!() };
    let row = |id: i64, diagnosis: &str| (id, code, diagnosis.to_owned());
    assert_eq!(kept().await, [row(c, "c"), row(b, "b, and why"), row(a, "a"), row(pay, "kept")]);
    // One that is not in the log, or not any more.
    store.explain(c + 1, "unknown".to_owned()).await.unwrap();
    let long = "é".repeat(1_000);
    store.explain(c, long.clone()).await.unwrap();
    assert_eq!(kept().await, [row(c, &long), row(b, "b, and why"), row(pay, "kept")], "what is said counts, too");
    store.explain(c, "c".to_owned()).await.unwrap();
    let d = store.refuse(rejection("hub", "d", code, at(0), 3_000)).await.unwrap();
    assert_eq!(kept().await, [row(d, "d"), row(c, "c"), row(b, "b, and why"), row(pay, "kept")], "and no longer than it is there");
}

pub(crate) async fn everything_is_still_there_after_reopening<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    fresh(&store, "evt", at(0), &["app", "mail"]).await;
    attempt(&store, "app", at(1), Verdict::Delivered).await;
    store.refuse(rejection("hub", "why", Code::TimestampStale, at(0), 3)).await.unwrap();
    harness.close(store).await;

    let store = harness.open().await;
    assert_eq!(store.record(event("hub", "evt", at(9)), names(&["app"])).await.unwrap(), Recorded::Duplicate);
    let row = store.event(key("hub", "evt")).await.unwrap().unwrap();
    assert_eq!((row.status, row.duplicates), (EventStatus::Pending, 1));
    assert!(claim(&store, "app", 9, at(999)).await.deliveries.is_empty());
    assert_eq!(claimed(&claim(&store, "mail", 9, at(2)).await), ["evt"]);
    assert_eq!(store.rejections(RejectionFilter::default(), all()).await.unwrap().len(), 1);
}

pub(crate) async fn what_was_acknowledged_survives_a_crash<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    for n in 0..20 {
        fresh(&store, &n.to_string(), at(n), &["app"]).await;
    }
    harness.crash(store).await;

    let store = harness.open().await;
    for n in 0..20 {
        assert_eq!(store.record(event("hub", &n.to_string(), at(n)), names(&["app"])).await.unwrap(), Recorded::Duplicate);
    }
    assert_eq!(claim(&store, "app", 99, at(99)).await.deliveries.len(), 20);
}

pub(crate) async fn a_store_that_can_commit_is_ready<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    store.ready().await.unwrap();
    store.ready().await.unwrap();
}
