//! Content that comes again under another ID, and IDs that come again with other content.

use futures_util::future::join_all;

use super::*;
use crate::domain::ReplayGuard;
use crate::store::{DeliveryFilter, EventFilter, Prune};

/// Content number `content` of the source `hub`, guarded like this.
fn guarded(event_id: &str, content: u8, guard: Option<ReplayGuard>) -> VerifiedEvent {
    of_source("hub", event_id, content, guard)
}

fn of_source(source: &str, event_id: &str, content: u8, guard: Option<ReplayGuard>) -> VerifiedEvent {
    VerifiedEvent::attest(VerifiedParts { content_digest: [content; 32], replay_guard: guard, ..parts(source, event_id, at(0)) })
}

const MARK: Option<ReplayGuard> = Some(ReplayGuard::Mark);
const DROP: Option<ReplayGuard> = Some(ReplayGuard::Drop);

fn same_as(earlier: &str) -> Recorded {
    Recorded::SameContent { earlier: earlier.into() }
}

fn dropped_for(earlier: &str) -> Recorded {
    Recorded::Dropped { earlier: earlier.into() }
}

async fn record(store: &impl Inbox, event: VerifiedEvent) -> Recorded {
    store.record(event, names(&["app"])).await.unwrap()
}

/// ID, what it repeats, whether a duplicate differed, and how many duplicates there were: oldest first.
async fn marks(store: &impl History) -> Vec<(String, Option<String>, bool, u64)> {
    let rows = store.events(EventFilter::default(), page(Order::Oldest, 99, None)).await.unwrap();
    rows.into_iter().map(|row| (row.key.event_id.to_string(), row.same_content_as, row.body_differs, row.duplicates)).collect()
}

pub(crate) async fn the_same_content_under_another_id_is_an_event_and_marked<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    assert_eq!(record(&store, guarded("first", 1, MARK)).await, Recorded::Fresh);
    assert_eq!(record(&store, guarded("other", 2, MARK)).await, Recorded::Fresh);
    assert_eq!(record(&store, guarded("second", 1, MARK)).await, same_as("first"));
    assert_eq!(record(&store, guarded("third", 1, MARK)).await, same_as("first"), "the earliest, whichever came between");
    assert_eq!(record(&store, guarded("second", 1, MARK)).await, Recorded::Duplicate);
    let first = Some("first".to_owned());
    let expected = [("first", None, 0), ("other", None, 0), ("second", first.clone(), 1), ("third", first, 0)];
    assert_eq!(marks(&store).await, expected.map(|(id, same, duplicates)| (id.to_owned(), same, false, duplicates)));
    assert_eq!(store.deliveries(DeliveryFilter::default(), all()).await.unwrap().len(), 4);
    let alone = store.event(key("hub", "third")).await.unwrap().unwrap();
    assert_eq!((alone.same_content_as.as_deref(), alone.body_differs), (Some("first"), false));
}

pub(crate) async fn where_repeated_content_is_dropped_it_is_a_duplicate_of_the_earlier_event<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    assert_eq!(record(&store, guarded("first", 1, DROP)).await, Recorded::Fresh);
    for again in 0..2 {
        assert_eq!(record(&store, guarded("second", 1, DROP)).await, dropped_for("first"), "{again}");
    }
    assert_eq!(marks(&store).await, [("first".to_owned(), None, false, 2)]);
    assert_eq!(store.deliveries(DeliveryFilter::default(), all()).await.unwrap().len(), 1);
    // What was dropped has not used its ID up.
    assert_eq!(record(&store, guarded("second", 2, DROP)).await, Recorded::Fresh);
    assert_eq!(record(&store, guarded("second", 2, DROP)).await, Recorded::Duplicate);
    // Neither way to guard depends on how the earlier event was.
    assert_eq!(record(&store, guarded("third", 2, MARK)).await, same_as("second"));
    assert_eq!(record(&store, guarded("fourth", 2, DROP)).await, dropped_for("second"));
}

pub(crate) async fn the_same_id_with_other_content_is_a_duplicate_and_marked<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    for guard in [None, MARK, DROP] {
        let id = format!("{guard:?}");
        assert_eq!(record(&store, guarded(&id, 1, None)).await, Recorded::Fresh);
        assert_eq!(record(&store, guarded(&id, 2, guard)).await, Recorded::BodyDiffers);
        assert_eq!(record(&store, guarded(&id, 1, guard)).await, Recorded::Duplicate, "and the mark stays");
        let row = store.event(key("hub", &id)).await.unwrap().unwrap();
        assert_eq!((row.body_differs, row.duplicates, row.same_content_as), (true, 2, None));
    }
    // Content that never became an event is not remembered.
    assert_eq!(record(&store, guarded("new", 2, MARK)).await, Recorded::Fresh);
}

pub(crate) async fn content_is_compared_within_its_source_and_only_where_it_is_guarded<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    assert_eq!(record(&store, guarded("1", 1, None)).await, Recorded::Fresh);
    assert_eq!(record(&store, guarded("2", 1, None)).await, Recorded::Fresh);
    assert_eq!(record(&store, guarded("3", 1, DROP)).await, Recorded::Fresh, "what was not guarded was not remembered");
    assert_eq!(record(&store, guarded("4", 1, None)).await, Recorded::Fresh);
    assert_eq!(record(&store, of_source("pay", "5", 1, DROP)).await, Recorded::Fresh);
    assert_eq!(record(&store, of_source("pay", "6", 1, DROP)).await, dropped_for("5"));
    // An ID that is made to look like content is still an ID.
    let like_content = format!("\0hub\0{}", String::from_utf8(vec![1; 32]).unwrap());
    assert_eq!(record(&store, guarded(&like_content, 9, MARK)).await, Recorded::Fresh);
}

pub(crate) async fn concurrent_copies_under_fifty_ids_are_one_event_where_they_are_dropped<H: Harness>() {
    let harness = H::new();
    let (one, other) = (harness.open().await, harness.open().await);
    let copies = (0..50).map(|n| {
        let store = if n % 2 == 0 { one.clone() } else { other.clone() };
        tokio::spawn(async move { record(&store, guarded(&n.to_string(), 1, DROP)).await })
    });
    let outcomes: Vec<_> = join_all(copies).await.into_iter().map(Result::unwrap).collect();
    let first = outcomes.iter().position(|outcome| *outcome == Recorded::Fresh).unwrap().to_string();
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == dropped_for(&first)).count(), 49, "{outcomes:?}");
    assert_eq!(marks(&one).await, [(first, None, false, 49)]);
    assert_eq!(one.deliveries(DeliveryFilter::default(), all()).await.unwrap().len(), 1);
}

pub(crate) async fn content_is_known_without_its_payload_and_after_a_crash_and_forgotten_with_its_event<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    assert_eq!(record(&store, guarded("first", 1, MARK)).await, Recorded::Fresh);
    attempt(&store, "app", at(0), Verdict::Delivered).await;
    harness.crash(store).await;
    let store = harness.open().await;
    let prune = async |bodies, ids| {
        while !store.prune(Prune { bodies_before: at(bodies), ids_before: at(ids), chunk: 9 }).await.unwrap().nothing() {}
    };
    prune(9, -9).await;
    assert!(store.body(key("hub", "first")).await.unwrap().is_none());
    let second = VerifiedParts { received_at: at(20), ..guarded("second", 1, MARK).into_parts() };
    assert_eq!(record(&store, VerifiedEvent::attest(second)).await, same_as("first"));
    attempt(&store, "app", at(20), Verdict::Delivered).await;
    prune(9, 9).await;
    // The mark outlives the event that it names; the content does not.
    assert_eq!(marks(&store).await, [("second".to_owned(), Some("first".to_owned()), false, 0)]);
    let third = VerifiedParts { received_at: at(30), ..guarded("third", 1, DROP).into_parts() };
    assert_eq!(record(&store, VerifiedEvent::attest(third)).await, Recorded::Fresh);
    attempt(&store, "app", at(30), Verdict::Delivered).await;
    prune(25, 25).await;
    assert_eq!(record(&store, guarded("fourth", 1, DROP)).await, dropped_for("third"), "the second's end took nothing of the third's");
}
