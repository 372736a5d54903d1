//! Questions and forgetting.

use super::*;
use crate::domain::{DeliveryId, DeliveryStatus, EventStatus};
use crate::store::{DeliveryFilter, EventFilter, EventRow, Prune, Pruned, RejectionFilter};

async fn found(store: &impl History, filter: EventFilter) -> Vec<String> {
    ids(&store.events(filter, all()).await.unwrap())
}

fn ids(rows: &[EventRow]) -> Vec<String> {
    rows.iter().map(|row| row.key.event_id.to_string()).collect()
}

async fn typed(store: &impl Inbox, source: &str, event_id: &str, event_type: &str, second: i64) {
    let event = VerifiedParts { event_type: event_type.to_owned(), ..parts(source, event_id, at(second)) };
    assert_eq!(store.record(VerifiedEvent::attest(event), names(&[])).await.unwrap(), Recorded::Fresh);
}

pub(crate) async fn events_are_found_by_every_filter<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    typed(&store, "hub", "1", "push", 10).await;
    typed(&store, "hub", "2", "push.forced", 20).await;
    typed(&store, "pay", "1", "push", 30).await;
    typed(&store, "pay", "4", "", 40).await;
    let none = EventFilter::default;
    let text = |text: &str| Some(text.to_owned());
    let cases = [
        (none(), vec!["4", "1", "2", "1"]),
        (EventFilter { source: text("hub"), ..none() }, vec!["2", "1"]),
        (EventFilter { source: text("nobody"), ..none() }, vec![]),
        (EventFilter { event_type: text("push"), ..none() }, vec!["1", "1"]),
        (EventFilter { event_type: text(""), ..none() }, vec!["4"]),
        (EventFilter { event_type: text("pus"), ..none() }, vec![]),
        (EventFilter { source: text("hub"), event_type: text("push"), ..none() }, vec!["1"]),
        (EventFilter { event_id: text("1"), ..none() }, vec!["1", "1"]),
        (EventFilter { event_id: text("1"), source: text("pay"), ..none() }, vec!["1"]),
        (EventFilter { event_id: text("1"), since: Some(at(30)), ..none() }, vec!["1"]),
        (EventFilter { event_id: text("9"), ..none() }, vec![]),
        (EventFilter { since: Some(at(20)), ..none() }, vec!["4", "1", "2"]),
        (EventFilter { until: Some(at(20)), ..none() }, vec!["1"]),
        (EventFilter { since: Some(at(20)), until: Some(at(40)), ..none() }, vec!["1", "2"]),
        (EventFilter { since: Some(at(9_999)), ..none() }, vec![]),
        (EventFilter { until: Some(at(-9_999)), ..none() }, vec![]),
        (EventFilter { status: Some(EventStatus::Unrouted), source: text("pay"), ..none() }, vec!["4", "1"]),
    ];
    for (filter, expected) in cases {
        assert_eq!(found(&store, filter.clone()).await, expected, "{filter:?}");
    }
    let row = &store.events(none(), all()).await.unwrap()[0];
    assert_eq!((&*row.key.source, &*row.provider, &*row.event_type, row.received_at), ("pay", "github", "", at(40)));
    assert_eq!((row.size, row.content_type.as_deref(), &*row.verified_by), (7, Some("application/json"), "secret:1"));
    assert_eq!((row.duplicates, row.last_duplicate_at, row.headers.is_none()), (0, None, true));
}

pub(crate) async fn an_events_status_is_the_same_in_rows_and_filters<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    type Case = (&'static str, &'static [&'static str], &'static [(&'static str, Verdict)]);
    const LATER: Verdict = Verdict::RetryAt(Timestamp::from_millis(i64::MAX));
    let cases: [Case; 8] = [
        ("unrouted", &[], &[]),
        ("pending", &["a", "b"], &[]),
        ("pending half", &["a", "b"], &[("a", Verdict::Delivered)]),
        ("failing", &["a", "b"], &[("a", Verdict::Delivered), ("b", LATER)]),
        ("failing both", &["a", "b"], &[("b", LATER)]),
        ("dead", &["a", "b"], &[("a", Verdict::Dead), ("b", Verdict::Delivered)]),
        ("dead and failing", &["a", "b"], &[("a", Verdict::Dead), ("b", LATER)]),
        ("delivered", &["a", "b"], &[("a", Verdict::Delivered), ("b", Verdict::Delivered)]),
    ];
    for (n, (id, destinations, attempts)) in cases.iter().enumerate() {
        // Destinations of its own for each event, so that the claim finds the right delivery.
        let own = |name: &str| format!("{name}{n}");
        let destinations: Vec<_> = destinations.iter().map(|name| own(name)).collect();
        fresh(&store, id, at(0), &destinations.iter().map(String::as_str).collect::<Vec<_>>()).await;
        for (destination, verdict) in *attempts {
            attempt(&store, &own(destination), at(0), *verdict).await;
        }
    }
    for row in store.events(EventFilter::default(), all()).await.unwrap() {
        assert!(row.key.event_id.starts_with(row.status.as_str()), "{} is {}", row.key.event_id, row.status.as_str());
    }
    for status in EventStatus::ALL {
        let expected: Vec<_> = cases.iter().rev().map(|case| case.0).filter(|id| id.starts_with(status.as_str())).collect();
        assert_eq!(found(&store, EventFilter { status: Some(status), ..EventFilter::default() }).await, expected);
    }
}

pub(crate) async fn times_are_found_although_the_clock_stepped<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    let seconds = [0, 100, 5_000, 200, 86_400, 300, 60, 90_000, 59, 5_001];
    for (n, second) in seconds.into_iter().enumerate() {
        fresh(&store, &n.to_string(), at(second), &["app"]).await;
    }
    for since in seconds {
        for until in seconds {
            let expected: Vec<_> =
                (0..seconds.len()).rev().filter(|n| (since..until).contains(&seconds[*n])).map(|n| n.to_string()).collect();
            let filter = EventFilter { since: Some(at(since)), until: Some(at(until)), ..EventFilter::default() };
            assert_eq!(found(&store, filter).await, expected, "{since} to {until}");
            let filter = DeliveryFilter { since: Some(at(since)), until: Some(at(until)), ..DeliveryFilter::default() };
            assert_eq!(store.deliveries(filter, all()).await.unwrap().len(), expected.len());
        }
    }
}

pub(crate) async fn pages_run_both_ways_and_show_every_row_once<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    for n in 0..23 {
        let source = if n % 3 == 0 { "pay" } else { "hub" };
        store.record(event(source, &format!("{n:02}"), at(n)), names(&["app"])).await.map(drop).unwrap();
    }
    for source in [None, Some("hub".to_owned())] {
        for order in [Order::Newest, Order::Oldest] {
            let filter = EventFilter { source: source.clone(), since: Some(at(0)), until: Some(at(99)), ..EventFilter::default() };
            let whole = store.events(filter.clone(), page(order, 99, None)).await.unwrap();
            let (mut pages, mut after) = (Vec::new(), None);
            loop {
                let rows = store.events(filter.clone(), page(order, 4, after)).await.unwrap();
                let Some(last) = rows.last() else { break };
                assert!(rows.len() <= 4);
                after = Some(last.seq);
                pages.extend(ids(&rows));
            }
            assert_eq!(pages, ids(&whole));
            assert!(if order == Order::Oldest { pages.is_sorted() } else { pages.iter().rev().is_sorted() });
        }
    }
    let newest = store.deliveries(DeliveryFilter::default(), page(Order::Newest, 5, None)).await.unwrap();
    let behind = store.deliveries(DeliveryFilter::default(), page(Order::Newest, 5, Some(newest[4].id.0))).await.unwrap();
    assert!(behind[0].id < newest[4].id && newest[0].id > newest[4].id);
    let upwards = store.deliveries(DeliveryFilter::default(), page(Order::Oldest, 1, Some(behind[0].id.0))).await.unwrap();
    assert_eq!(upwards[0].id, newest[4].id);
}

pub(crate) async fn a_page_stays_put_while_new_events_arrive<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    for n in 0..6 {
        fresh(&store, &n.to_string(), at(n), &[]).await;
    }
    let first = store.events(EventFilter::default(), page(Order::Newest, 3, None)).await.unwrap();
    assert_eq!(ids(&first), ["5", "4", "3"]);
    fresh(&store, "new", at(9), &[]).await;
    let second = store.events(EventFilter::default(), page(Order::Newest, 3, Some(first[2].seq))).await.unwrap();
    assert_eq!(ids(&second), ["2", "1", "0"]);
    let last = store.events(EventFilter::default(), page(Order::Oldest, 3, Some(first[0].seq))).await.unwrap();
    assert_eq!(ids(&last), ["new"]);
}

pub(crate) async fn deliveries_are_found_by_every_filter<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    for (n, (source, destinations)) in (1..).zip([("hub", &["app", "mail"][..]), ("pay", &["app"]), ("hub", &["mail"])]) {
        store.record(event(source, &n.to_string(), at(n)), names(destinations)).await.map(drop).unwrap();
    }
    attempt(&store, "app", at(9), Verdict::Delivered).await;
    attempt(&store, "mail", at(9), Verdict::Dead).await;
    let none = DeliveryFilter::default;
    let cases = [
        (none(), vec!["3 mail", "2 app", "1 mail", "1 app"]),
        (DeliveryFilter { destination: Some("app".to_owned()), ..none() }, vec!["2 app", "1 app"]),
        (DeliveryFilter { destination: Some("nobody".to_owned()), ..none() }, vec![]),
        (DeliveryFilter { source: Some("hub".to_owned()), ..none() }, vec!["3 mail", "1 mail", "1 app"]),
        (DeliveryFilter { source: Some("hub".to_owned()), destination: Some("mail".to_owned()), ..none() }, vec!["3 mail", "1 mail"]),
        (DeliveryFilter { status: Some(DeliveryStatus::Pending), ..none() }, vec!["3 mail", "2 app"]),
        (DeliveryFilter { status: Some(DeliveryStatus::Delivered), ..none() }, vec!["1 app"]),
        (DeliveryFilter { status: Some(DeliveryStatus::Dead), ..none() }, vec!["1 mail"]),
        (DeliveryFilter { status: Some(DeliveryStatus::Cancelled), ..none() }, vec![]),
        (DeliveryFilter { since: Some(at(2)), until: Some(at(3)), ..none() }, vec!["2 app"]),
    ];
    for (filter, expected) in cases {
        let rows = store.deliveries(filter.clone(), all()).await.unwrap();
        let rows: Vec<_> = rows.iter().map(|row| format!("{} {}", row.event.event_id, row.destination)).collect();
        assert_eq!(rows, expected, "{filter:?}");
    }
}

pub(crate) async fn deliveries_come_with_attempts_when_asked_for<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    fresh(&store, "a", at(0), &["app", "mail"]).await;
    fresh(&store, "b", at(0), &["app"]).await;
    attempt(&store, "mail", at(0), Verdict::RetryAt(at(1))).await;
    attempt(&store, "mail", at(1), Verdict::Delivered).await;
    let seqs: Vec<_> = store.events(EventFilter::default(), all()).await.unwrap().iter().map(|row| row.seq).collect();
    let with = store.deliveries_of(seqs.clone(), true).await.unwrap();
    assert_eq!(with.iter().map(|row| (&*row.event.event_id, row.history.len())).collect::<Vec<_>>(), [("a", 0), ("a", 2), ("b", 0)]);
    assert_eq!(with[1].event_seq, seqs[1]);
    let without = store.deliveries_of(seqs, false).await.unwrap();
    assert!(without.len() == 3 && without.iter().all(|row| row.history.is_empty()));
    assert!(store.deliveries_of(vec![], true).await.unwrap().is_empty());
}

pub(crate) async fn what_is_unknown_is_none<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    fresh(&store, "evt", at(0), &["app"]).await;
    for unknown in [key("hub", "other"), key("pay", "evt"), key("", "")] {
        assert!(store.event(unknown.clone()).await.unwrap().is_none());
        assert!(store.body(unknown).await.unwrap().is_none());
    }
    assert!(store.delivery(DeliveryId(999)).await.unwrap().is_none());
    assert!(store.deliveries_of(vec![999], true).await.unwrap().is_empty());
}

pub(crate) async fn rejections_are_found_by_every_filter<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    for (source, diagnosis, code, second) in
        [("hub", "a", Code::SignatureMismatch, 1), ("pay", "b", Code::TimestampStale, 2), ("hub", "c", Code::TimestampStale, 3)]
    {
        store.refuse(rejection(source, diagnosis, code, at(second), 5)).await.unwrap();
    }
    let none = RejectionFilter::default;
    let cases = [
        (none(), vec!["c", "b", "a"]),
        (RejectionFilter { source: Some("hub".to_owned()), ..none() }, vec!["c", "a"]),
        (RejectionFilter { source: Some("nobody".to_owned()), ..none() }, vec![]),
        (RejectionFilter { code: Some(Code::TimestampStale), ..none() }, vec!["c", "b"]),
        (RejectionFilter { since: Some(at(2)), until: Some(at(3)), ..none() }, vec!["b"]),
    ];
    for (filter, expected) in cases {
        let rows = store.rejections(filter.clone(), all()).await.unwrap();
        assert_eq!(rows.iter().map(|row| &*row.diagnosis).collect::<Vec<_>>(), expected, "{filter:?}");
    }
    let rows = store.rejections(none(), page(Order::Oldest, 2, None)).await.unwrap();
    assert_eq!((rows[1].code, &*rows[1].source, rows[1].received_at), (Code::TimestampStale, "pay", at(2)));
    let behind = store.rejections(none(), page(Order::Oldest, 2, Some(rows[1].id))).await.unwrap();
    assert_eq!(behind.iter().map(|row| &*row.diagnosis).collect::<Vec<_>>(), ["c"]);
}

/// Prunes until nothing is left; returns what went, and in how many chunks. It is what had been said that would go.
async fn prune(store: &impl History, bodies_before: Timestamp, ids_before: Timestamp, chunk: usize) -> (Pruned, usize) {
    let (mut total, mut chunks) = (Pruned::default(), 0);
    let said = store.prunable(Prune { bodies_before, ids_before, chunk }).await.unwrap();
    loop {
        let pruned = store.prune(Prune { bodies_before, ids_before, chunk }).await.unwrap();
        if pruned.nothing() {
            assert_eq!((said.events, said.payloads), (total.events, total.payloads));
            assert_eq!(said.bytes > 0, total.payloads > 0);
            return (total, chunks);
        }
        (total.payloads, total.events) = (total.payloads + pruned.payloads, total.events + pruned.events);
        chunks += 1;
        assert!(chunks < 1_000, "pruning comes to an end");
    }
}

pub(crate) async fn pruning_forgets_payloads_first_and_events_later<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    for n in 0..10 {
        fresh(&store, &n.to_string(), at(n), &["app"]).await;
        attempt(&store, "app", at(n), Verdict::Delivered).await;
    }
    let (pruned, chunks) = prune(&store, at(6), at(3), 2).await;
    assert_eq!((pruned.events, pruned.payloads), (3, 6));
    assert!(chunks >= 4, "in chunks: {chunks}");
    let left = store.events(EventFilter::default(), all()).await.unwrap();
    assert_eq!(ids(&left), ["9", "8", "7", "6", "5", "4", "3"]);

    let bare = store.event(key("hub", "5")).await.unwrap().unwrap();
    assert_eq!((bare.headers.is_none(), bare.status), (true, EventStatus::Delivered));
    assert!(store.body(key("hub", "5")).await.unwrap().is_none());
    let delivery = &store.deliveries_of(vec![bare.seq], true).await.unwrap()[0];
    assert_eq!((delivery.status, delivery.history.len()), (DeliveryStatus::Delivered, 0));
    assert_eq!(store.record(event("hub", "5", at(99)), names(&["app"])).await.unwrap(), Recorded::Duplicate);

    assert!(store.event(key("hub", "2")).await.unwrap().is_none());
    assert_eq!(store.deliveries(DeliveryFilter::default(), all()).await.unwrap().len(), 7);
    assert_eq!(store.record(event("hub", "2", at(99)), names(&["app"])).await.unwrap(), Recorded::Fresh, "a new event again");
    let whole = store.event(key("hub", "6")).await.unwrap().unwrap();
    assert!(whole.headers.is_some() && store.body(key("hub", "6")).await.unwrap().is_some());
}

pub(crate) async fn pruning_never_touches_what_is_unfinished<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    fresh(&store, "waiting", at(0), &["a", "b"]).await;
    fresh(&store, "leased", at(0), &["c"]).await;
    fresh(&store, "failing", at(0), &["d"]).await;
    attempt(&store, "a", at(0), Verdict::Delivered).await;
    attempt(&store, "d", at(0), Verdict::RetryAt(at(9))).await;
    let lease = claim_one(&store, "c", at(0)).await;
    assert_eq!(prune(&store, at(999), at(999), 100).await.1, 0);
    let claim = claim(&store, "b", 9, at(10)).await;
    assert_eq!(claim.deliveries[0].event.body, parts("", "", at(0)).body);
    assert_eq!(store.delivery(lease.delivery).await.unwrap().unwrap().attempts, 1);
    // Once finished it goes.
    assert!(store.finish(ended(lease, at(0), Verdict::Dead)).await.unwrap());
    assert_eq!(prune(&store, at(999), at(999), 100).await.0, Pruned { payloads: 1, events: 1 });
    assert_eq!(found(&store, EventFilter::default()).await, ["failing", "waiting"]);
}

pub(crate) async fn pruning_steps_over_what_must_stay<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    // Every fourth waits for ever; every fifth was received while the clock was far ahead.
    let received = |n: i64| if n % 5 == 0 { 999_999 + n * 60 } else { n * 60 };
    for n in 1..=40 {
        let destinations: &[&str] = if n % 4 == 0 { &["app"] } else { &[] };
        fresh(&store, &n.to_string(), at(received(n)), destinations).await;
    }
    let stays = |n: &i64| n % 4 == 0 || n % 5 == 0;
    let goes = (1..=40).filter(|n| !stays(n)).count() as u64;
    assert_eq!(prune(&store, at(9_999), at(-999), 3).await.0, Pruned { payloads: goes, events: 0 });
    assert_eq!(prune(&store, at(9_999), at(9_999), 3).await.0, Pruned { payloads: 0, events: goes });
    let expected: Vec<_> = (1..=40).rev().filter(stays).map(|n| n.to_string()).collect();
    assert_eq!(found(&store, EventFilter::default()).await, expected);
    for n in 1..=40 {
        let filter = EventFilter { since: Some(at(received(n))), until: Some(at(received(n) + 1)), ..EventFilter::default() };
        let expected = if stays(&n) { vec![n.to_string()] } else { vec![] };
        assert_eq!(found(&store, filter).await, expected, "by its time");
    }
}

pub(crate) async fn the_size_is_told<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    fresh(&store, "evt", at(0), &[]).await;
    let size = store.size().await.unwrap();
    assert!(size.database + size.wal > 4_096);
}

pub(crate) async fn what_comes_in_is_counted_by_source_and_hour<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    let old = 9 * 24 * 3_600;
    fresh(&store, "oldest", at(0), &[]).await;
    fresh(&store, "old", at(old), &[]).await;
    for n in 0..3 {
        let _ = store.record(event("hub", "old", at(old + 3_600 + n)), names(&[])).await.unwrap();
    }
    assert_eq!(store.publish(event("hub", "old", at(old)), names(&[])).await.unwrap(), Recorded::Duplicate, "which is not counted");
    fresh(&store, "lost", at(old + 1), &["app"]).await;
    attempt(&store, "app", at(old + 1), Verdict::Dead).await;
    let counts = store.counts(at(old)).await.unwrap();
    let hours: Vec<_> = counts.tallies.iter().map(|tally| (tally.hour.is_some(), tally.events, tally.duplicates)).collect();
    assert_eq!(hours, [(false, 3, 3), (true, 2, 0), (true, 0, 3)]);
    assert!(counts.tallies.iter().all(|tally| tally.source == "hub" && (tally.bytes > 0) == (tally.events > 0)));
    assert_eq!(counts.dead, 1);
    while !store.prune(Prune { bodies_before: at(old * 9), ids_before: at(old * 9), chunk: 9 }).await.unwrap().nothing() {}
    assert_eq!(store.counts(at(old)).await.unwrap().tallies, counts.tallies, "whatever is pruned");
    assert_eq!(store.counts(at(-3_600)).await.unwrap().tallies.len(), 3, "what is older than a week is only in the sum");
}

pub(crate) async fn what_is_erased_is_known_but_not_held_any_more<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    fresh(&store, "evt", at(0), &["app", "other"]).await;
    attempt(&store, "app", at(0), Verdict::Delivered).await;
    assert_eq!(store.erase(key("hub", "unknown"), at(5)).await.unwrap(), None);
    let request = store.request(key("hub", "evt")).await.unwrap().unwrap();
    assert_eq!((&request.body, &*request.key.event_id), (&parts("hub", "evt", at(0)).body, "evt"));
    for _ in 0..2 {
        assert_eq!(store.erase(key("hub", "evt"), at(5)).await.unwrap(), Some(vec!["other".into()]), "safe to repeat");
    }
    assert!(store.body(key("hub", "evt")).await.unwrap().is_none() && store.request(key("hub", "evt")).await.unwrap().is_none());
    let row = store.event(key("hub", "evt")).await.unwrap().unwrap();
    assert!(row.headers.is_none());
    assert!(claim(&store, "other", 9, at(99)).await.deliveries.is_empty());
    assert_eq!(store.record(event("hub", "evt", at(9)), names(&["app"])).await.unwrap(), Recorded::Duplicate);
}
