//! Batches, bounds and faults: what is acknowledged holds, and nobody suffers for a neighbour.

use super::*;
use crate::domain::{Code, Verdict, VerifiedEvent, VerifiedParts};
use crate::store::contract::{at, claim, claim_one, ended, event, fresh, key, names, parts, rejection, wanted};
use crate::store::sqlite::prune::{Erase, Extent};
use crate::store::{EventFilter, History as _, Inbox as _, Outbox as _, Recorded};

/// Fails by its own fault.
const VIOLATION: Run = Run("INSERT INTO counter VALUES (1, 0, 0, 0, 0, 0, 0)");

fn is_unavailable<T>(outcome: &Result<T, StoreError>) -> bool {
    matches!(outcome, Err(StoreError::Unavailable(_)))
}

async fn count(store: &SqliteStore) -> usize {
    store.events(EventFilter::default(), contract::all()).await.unwrap().len()
}

#[tokio::test]
async fn what_is_queued_together_commits_together_and_dedupes_within() {
    let folder = InAFolder::new();
    let (store, seen) = folder.open_with(&options());
    let (release, held) = hold(&store);
    let calls: Vec<_> = (0..30).map(|n| begin(store.record(event("hub", &(n % 10).to_string(), at(n)), names(&["app"])))).collect();
    drop(release);
    held.await.unwrap();
    for (n, call) in (0..).zip(calls) {
        assert_eq!(call.await.unwrap(), if n < 10 { Recorded::Fresh } else { Recorded::Duplicate }, "{n}");
    }
    assert_eq!(*seen.commits.lock().unwrap(), [1, 30]);
    let row = store.event(key("hub", "3")).await.unwrap().unwrap();
    assert_eq!((row.duplicates, row.last_duplicate_at), (2, Some(at(23))));
}

#[tokio::test]
async fn a_failing_operation_does_not_sink_its_neighbours() {
    let folder = InAFolder::new();
    let (store, seen) = folder.open_with(&options());
    let (release, held) = hold(&store);
    let first = begin(store.record(event("new source", "1", at(0)), names(&["new app"])));
    let violation = begin(store.write(VIOLATION));
    let second = begin(store.record(event("new source", "1", at(1)), names(&["new app"])));
    let panic = begin(store.write(Panics));
    let third = begin(store.record(event("new source", "3", at(1)), names(&["new app"])));
    drop(release);
    held.await.unwrap();
    assert!(matches!((first.await, second.await, third.await), (Ok(Recorded::Fresh), Ok(Recorded::Duplicate), Ok(Recorded::Fresh))));
    assert!(is_unavailable(&violation.await) && is_unavailable(&panic.await));
    assert_eq!(seen.failures.lock().unwrap().len(), 2);
    assert_eq!(count(&store).await, 2);
    assert_eq!(claim(&store, "new app", 9, at(9)).await.deliveries.len(), 2);
}

#[tokio::test]
async fn a_full_queue_refuses_at_once_but_lets_begun_work_end() {
    let folder = InAFolder::new();
    let (store, _) = folder.open_with(&Options { queue_requests: 3, ..options() });
    fresh(&store, "old", at(0), &["app"]).await;
    let lease = claim_one(&store, "app", at(0)).await;
    let (release, held) = hold(&store);
    let queued: Vec<_> = (0..3).map(|n| begin(store.record(event("hub", &n.to_string(), at(0)), names(&["app"])))).collect();
    let refused = store.record(event("hub", "refused", at(0)), names(&["app"])).await;
    assert!(matches!(refused, Err(StoreError::QueueFull)));
    assert!(matches!(store.ready().await, Err(StoreError::QueueFull)));
    let end = begin(store.finish(ended(lease, at(0), Verdict::Delivered)));
    drop(release);
    held.await.unwrap();
    for call in queued {
        assert_eq!(call.await.unwrap(), Recorded::Fresh);
    }
    assert!(end.await.unwrap());
    assert!(store.event(key("hub", "refused")).await.unwrap().is_none());
    fresh(&store, "refused", at(0), &[]).await;
}

#[tokio::test]
async fn the_queue_is_bounded_in_bytes() {
    let folder = InAFolder::new();
    let (store, _) = folder.open_with(&Options { queue_bytes: 10_000, ..options() });
    let large = |id: &str| VerifiedEvent::attest(VerifiedParts { body: vec![0; 6_000].into(), ..parts("hub", id, at(0)) });
    let (release, held) = hold(&store);
    let first = begin(store.record(large("1"), names(&[])));
    assert!(matches!(store.record(large("2"), names(&[])).await, Err(StoreError::QueueFull)));
    drop(release);
    held.await.unwrap();
    assert_eq!(first.await.unwrap(), Recorded::Fresh);
    assert_eq!(store.record(large("2"), names(&[])).await.unwrap(), Recorded::Fresh);
}

#[tokio::test]
async fn refusals_leave_the_queue_to_events() {
    let folder = InAFolder::new();
    let (store, _) = folder.open_with(&Options { queue_bytes: 40_000, ..options() });
    let refuse = || store.refuse(rejection("hub", "forged", Code::SignatureMismatch, at(0), 9_000));
    let (release, held) = hold(&store);
    let refused = begin(refuse());
    assert!(matches!(refuse().await, Err(StoreError::QueueFull)));
    let large = VerifiedParts { body: vec![0; 25_000].into(), ..parts("hub", "evt", at(0)) };
    let recorded = begin(store.record(VerifiedEvent::attest(large), names(&[])));
    drop(release);
    held.await.unwrap();
    refused.await.unwrap();
    assert_eq!(recorded.await.unwrap(), Recorded::Fresh);
}

#[tokio::test]
async fn a_claim_that_nobody_waits_for_is_not_made() {
    let folder = InAFolder::new();
    let (store, _) = folder.open_with(&options());
    fresh(&store, "evt", at(0), &["app"]).await;
    let (release, held) = hold(&store);
    drop(begin(store.claim(wanted("app", 9, at(0)))));
    drop(release);
    held.await.unwrap();
    assert_eq!(claim_one(&store, "app", at(0)).await.attempt, 1);
}

#[tokio::test]
async fn a_claim_hands_out_no_more_bodies_than_memory_should_hold() {
    let folder = InAFolder::new();
    let (store, _) = folder.open_with(&options());
    for n in 0..6 {
        let large = VerifiedParts { body: vec![0; 6 << 20].into(), ..parts("hub", &n.to_string(), at(0)) };
        assert_eq!(store.record(VerifiedEvent::attest(large), names(&["app"])).await.unwrap(), Recorded::Fresh);
    }
    let first = claim(&store, "app", 9, at(5)).await;
    assert_eq!((first.deliveries.len(), first.next_due), (3, Some(at(0))));
    assert_eq!(claim(&store, "app", 9, at(5)).await.deliveries.len(), 3);
}

#[tokio::test]
async fn a_delivery_without_a_payload_ends_instead_of_coming_back() {
    let folder = InAFolder::new();
    let (store, _) = folder.open_with(&options());
    for id in ["gone", "garbled", "whole"] {
        fresh(&store, id, at(0), &["app"]).await;
    }
    store.write(Run("DELETE FROM payload WHERE seq = 1; UPDATE payload SET headers = x'01' WHERE seq = 2")).await.unwrap();
    assert_eq!(contract::claimed(&claim(&store, "app", 9, at(0)).await), ["whole"]);
    let rows = store.deliveries_of(vec![1, 2], false).await.unwrap();
    assert!(rows.iter().all(|row| row.status == crate::domain::DeliveryStatus::Dead && row.finished_at == Some(at(0))));
    assert_eq!(rows[0].last_error.as_deref(), Some("the event's payload is no longer stored"));
}

#[tokio::test]
async fn a_foreign_event_under_the_same_key_is_an_error_and_no_duplicate() {
    let folder = InAFolder::new();
    let (store, _) = folder.open_with(&options());
    fresh(&store, "one", at(0), &[]).await;
    store.write(Run("UPDATE event SET event_id = 'another'")).await.unwrap();
    assert!(is_unavailable(&store.record(event("hub", "one", at(0)), names(&[])).await));
    assert!(store.event(key("hub", "one")).await.unwrap().is_none());
    assert!(store.body(key("hub", "one")).await.unwrap().is_none());
}

#[tokio::test]
async fn a_full_database_refuses_loses_nothing_and_recovers() {
    let folder = InAFolder::new();
    let (store, seen) = folder.open_with(&options());
    store.write(Run("PRAGMA max_page_count = 1")).await.unwrap();
    let mut acknowledged = 0;
    let refused = loop {
        match store.record(event("hub", &acknowledged.to_string(), at(0)), names(&["app"])).await {
            Ok(_) => acknowledged += 1,
            Err(error) => break error,
        }
        assert!(acknowledged < 1_000, "a database that cannot grow gets full");
    };
    assert!(refused.to_string().contains("full"), "{refused}");
    assert!(seen.failures.lock().unwrap()[0].contains("full"));
    assert!(store.ready().await.is_err());
    assert_eq!(count(&store).await, acknowledged);

    store.write(Run("PRAGMA max_page_count = 1000000")).await.unwrap();
    store.ready().await.unwrap();
    fresh(&store, &acknowledged.to_string(), at(0), &["app"]).await;
    assert_eq!(claim(&store, "app", 2_000, at(0)).await.deliveries.len(), acknowledged + 1);
}

#[tokio::test]
async fn a_locked_database_refuses_and_works_again() {
    let folder = InAFolder::new();
    let (store, seen) = folder.open_with(&Options { busy_timeout: Duration::ZERO, ..options() });
    let other = folder.connect();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let refused = store.record(event("hub", "evt", at(0)), names(&["app"])).await;
    assert!(is_unavailable(&refused) && is_unavailable(&store.ready().await));
    assert_eq!(*seen.failures.lock().unwrap(), ["the database is locked by another process"; 2]);
    assert_eq!(count(&store).await, 0, "reading goes on");
    other.execute_batch("ROLLBACK").unwrap();
    store.ready().await.unwrap();
    fresh(&store, "evt", at(0), &["app"]).await;
}

#[tokio::test]
async fn a_connection_that_cannot_write_refuses_and_is_replaced() {
    let folder = InAFolder::new();
    let (store, seen) = folder.open_with(&options());
    store.write(Run("PRAGMA query_only = 1")).await.unwrap();
    assert!(is_unavailable(&store.record(event("hub", "evt", at(0)), names(&["app"])).await));
    fresh(&store, "evt", at(0), &["app"]).await;
    store.write(Run("PRAGMA query_only = 1")).await.unwrap();
    assert!(store.ready().await.unwrap_err().to_string().contains("read-only"));
    store.ready().await.unwrap();
    assert_eq!(seen.failures.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn a_database_file_that_was_removed_or_replaced_acknowledges_nothing_more() {
    let ways: [fn(&InAFolder); 3] = [
        |folder| std::fs::remove_file(folder.path()).unwrap(),
        |folder| {
            Connection::open(folder.0.path().join("other.db")).unwrap().execute_batch("CREATE TABLE other (id)").unwrap();
            std::fs::rename(folder.0.path().join("other.db"), folder.path()).unwrap();
        },
        |folder| std::fs::remove_file(folder.0.path().join("store.db-wal")).unwrap(),
    ];
    for way in ways {
        let folder = InAFolder::new();
        let (store, _) = folder.open_with(&options());
        fresh(&store, "evt", at(0), &["app"]).await;
        std::fs::hard_link(folder.path(), folder.0.path().join("kept.db")).unwrap();
        way(&folder);
        let before = folder.files();
        for _ in 0..2 {
            let refused = store.record(event("hub", "lost", at(0)), names(&["app"])).await;
            assert!(refused.unwrap_err().to_string().contains("was replaced"));
            assert!(is_unavailable(&store.ready().await));
        }
        assert_eq!(folder.files(), before, "nothing is begun anew");
        // Back at its place it may lack what others have written meanwhile.
        std::fs::rename(folder.0.path().join("kept.db"), folder.path()).unwrap();
        assert!(is_unavailable(&store.record(event("hub", "evt", at(0)), names(&["app"])).await));
        store.close().await;
    }
}

#[tokio::test]
async fn a_broken_connection_is_not_replaced_by_one_to_another_file() {
    let folder = InAFolder::new();
    let (store, _) = folder.open_with(&options());
    fresh(&store, "evt", at(0), &["app"]).await;
    store.write(Run("PRAGMA query_only = 1")).await.unwrap();
    let copy = folder.0.path().join("copy.db");
    folder.connect().execute("VACUUM INTO ?1", [copy.to_str().unwrap()]).unwrap();
    std::fs::rename(copy, folder.path()).unwrap();
    for _ in 0..2 {
        assert!(is_unavailable(&store.record(event("hub", "new", at(0)), names(&["app"])).await));
    }
    let written: i64 = folder.connect().query_row("SELECT count(*) FROM event WHERE event_id = 'new'", (), |row| row.get(0)).unwrap();
    assert_eq!(written, 0);
}

#[tokio::test]
async fn an_acknowledged_event_is_on_disk_for_everybody_at_once() {
    let folder = InAFolder::new();
    let (store, _) = folder.open_with(&options());
    let other = folder.connect();
    for n in 1..20 {
        fresh(&store, &n.to_string(), at(0), &["app"]).await;
        let seen: (i64, i64) = other
            .query_row("SELECT (SELECT count(*) FROM event), (SELECT count(*) FROM delivery)", (), |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap();
        assert_eq!(seen, (n, n));
    }
    let settings: (String, i64) = other.query_row("SELECT 'wal', 4096", (), |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    let mode: String = other.query_row("PRAGMA journal_mode", (), |row| row.get(0)).unwrap();
    let page: i64 = other.query_row("PRAGMA page_size", (), |row| row.get(0)).unwrap();
    assert_eq!((mode, page), settings);
}

#[tokio::test]
async fn what_came_to_life_after_the_walk_is_not_erased() {
    let folder = InAFolder::new();
    let (store, _) = folder.open_with(&options());
    fresh(&store, "pending", at(0), &["app"]).await;
    fresh(&store, "finished", at(0), &[]).await;
    for extent in [Extent::Payload, Extent::Whole] {
        let erased = store.write(Erase { extent, events: vec![1, 2, 999], rows: 99 }).await.unwrap();
        assert_eq!((erased.pruned.payloads + erased.pruned.events, erased.last), (1, Some(999)));
    }
    assert_eq!(count(&store).await, 1);
    assert!(store.body(key("hub", "pending")).await.unwrap().is_some());
}

#[tokio::test]
async fn closing_commits_and_answers_what_is_queued() {
    let folder = InAFolder::new();
    let (store, _) = folder.open_with(&options());
    let (release, held) = hold(&store);
    let queued = begin(store.record(event("hub", "evt", at(0)), names(&["app"])));
    store.0.close();
    assert!(is_unavailable(&store.record(event("hub", "late", at(0)), names(&[])).await));
    drop(release);
    held.await.unwrap();
    assert_eq!(queued.await.unwrap(), Recorded::Fresh);
    store.close().await;
    store.close().await;
    assert!(is_unavailable(&store.events(EventFilter::default(), contract::all()).await));
    assert_eq!(folder.files(), ["store.db", "store.db-search"], "no log and no lock is left");
    let (store, _) = folder.open_with(&options());
    assert_eq!(contract::claimed(&claim(&store, "app", 9, at(0)).await), ["evt"]);
}

#[tokio::test]
async fn closing_waits_for_nobodys_lock() {
    let folder = InAFolder::new();
    let (store, _) = folder.open_with(&options());
    let other = folder.connect();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let begun = std::time::Instant::now();
    store.close().await;
    assert!(begun.elapsed() < options().busy_timeout);
}

#[tokio::test]
async fn a_killed_writer_leaves_nobody_waiting() {
    let folder = InAFolder::new();
    let (store, _) = folder.open_with(&options());
    let (release, held) = hold(&store);
    let queued = begin(store.record(event("hub", "evt", at(0)), names(&["app"])));
    store.0.writer.as_ref().unwrap().kill();
    assert!(is_unavailable(&queued.await));
    drop(release);
    held.await.unwrap();
    assert!(is_unavailable(&store.ready().await));
}

#[tokio::test]
async fn dropping_the_last_clone_closes_the_store() {
    let folder = InAFolder::new();
    let (store, _) = folder.open_with(&options());
    let clone = store.clone();
    drop(store);
    fresh(&clone, "evt", at(0), &["app"]).await;
    drop(clone);
    assert_eq!(folder.files(), ["store.db", "store.db-search"]);
}
