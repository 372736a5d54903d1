//! Databases of older programs: brought up to date, and nothing in them is lost.

use super::*;
use crate::domain::{Verdict, VerifiedEvent, VerifiedParts};
use crate::store::contract::{all, at, attempt, claim, event, fresh, key, names, parts};
use crate::store::sqlite::OpenError;
use crate::store::sqlite::keys;
use crate::store::{EventFilter, History as _, Inbox as _, Prune, Recorded, RejectionFilter};

/// A database as the first version left it: one event with a delivery, one rejection.
fn of_the_first_version() -> InAFolder {
    let folder = InAFolder::new();
    let conn = folder.connect();
    conn.execute_batch(include_str!("../migrations/0001.sql")).unwrap();
    conn.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA application_id = 0x4f6e6365; PRAGMA user_version = 1;
         UPDATE counter SET event = 1, delivery = 1, key_0 = 1;
         INSERT INTO name VALUES (1, 0, 'hub'), (2, 1, 'app'), (3, 2, 'github'), (4, 3, 'push');
         INSERT INTO event (seq, source, event_id, type, provider, received_at, method, subpath, query, size, content_type,
                            content_digest, verified_by)
         VALUES (1, 1, 'old', 4, 3, 1767323045000, 'POST', '', '', 7, NULL, unhex('0707070707070707070707070707070707070707070707070707070707070707'), 'secret:1');
         INSERT INTO payload VALUES (1, x'', CAST('{\"n\":1}' AS BLOB));
         INSERT INTO span VALUES (0, 29455384, 1, 1), (1, 29455384, 1, 1);
         INSERT INTO delivery (id, event_seq, source, destination, state, attempts, failures, due_at, created_at, replay)
         VALUES (1, 1, 1, 2, 0, 0, 0, 1767323045000, 1767323045000, 0);
         INSERT INTO rejection (source, received_at, code, diagnosis, method, subpath, query, headers, body, size)
         VALUES (1, 1767323045000, 'signature-mismatch', 'old', 'POST', '', '', x'', CAST('body' AS BLOB), 9);",
    )
    .unwrap();
    conn.execute("INSERT INTO key_0 VALUES (?1, 1)", [keys::key("hub", "old")]).unwrap();
    folder
}

#[tokio::test]
async fn a_database_of_the_first_version_is_brought_up_to_date_and_goes_on() {
    let folder = of_the_first_version();
    let older = SqliteStore::open_read_only(&folder.path()).err();
    assert!(matches!(older, Some(OpenError::Older { found: 1, .. })), "only the server brings it up to date");
    let store = folder.open().await;
    let row = store.event(key("hub", "old")).await.unwrap().unwrap();
    assert_eq!((row.same_content_as, row.body_differs, row.duplicates), (None, false, 0));
    let tallies = store.counts(at(0)).await.unwrap().tallies;
    assert_eq!((tallies.len(), tallies[0].events, tallies[0].bytes), (1, 1, 7), "what was there is counted");
    assert_eq!(store.record(event("hub", "old", at(1)), names(&["app"])).await.unwrap(), Recorded::Duplicate);
    let other = VerifiedEvent::attest(VerifiedParts { content_digest: [8; 32], ..parts("hub", "old", at(2)) });
    assert_eq!(store.record(other, names(&["app"])).await.unwrap(), Recorded::BodyDiffers);
    attempt(&store, "app", at(2), Verdict::Delivered).await;
    for n in 0..20 {
        fresh(&store, &n.to_string(), at(60 + n), &["app"]).await;
    }
    assert_eq!(claim(&store, "app", 99, at(99)).await.deliveries.len(), 20);
    let old = store.rejections(RejectionFilter::default(), all()).await.unwrap().remove(0);
    assert_eq!((&*old.diagnosis, old.event_id), ("old", None));
    let refused = store.refused(old.id).await.unwrap().unwrap();
    assert!(refused.sealed.0.is_empty() && refused.request.body == "body");
    assert_eq!(store.readmit(old.id, event("hub", "mended", at(0)), names(&[]), at(90)).await.unwrap(), Some(Recorded::Fresh));
    assert_eq!(store.rejection(old.id).await.unwrap().unwrap().event_id.as_deref(), Some("mended"));
    store.close().await;

    let store = folder.open().await;
    assert!(store.event(key("hub", "old")).await.unwrap().unwrap().body_differs, "and once more");
    while !store.prune(Prune { bodies_before: at(9), ids_before: at(9), chunk: 9 }).await.unwrap().nothing() {}
    assert_eq!(store.events(EventFilter::default(), all()).await.unwrap().len(), 21, "what was let in late is kept from then");
    assert_eq!(store.record(event("hub", "old", at(1)), names(&[])).await.unwrap(), Recorded::Fresh);
}

#[tokio::test]
async fn processes_that_start_together_bring_a_database_up_to_date_once() {
    let folder = of_the_first_version();
    let opened: Vec<_> = (0..4).map(|_| (folder.path(), Arc::new(Silent))).collect();
    let threads: Vec<_> = opened
        .into_iter()
        .map(|(path, silent)| std::thread::spawn(move || SqliteStore::open(&path, &options(), silent).map(drop).map_err(|e| e.to_string())))
        .collect();
    for thread in threads {
        assert_eq!(thread.join().unwrap(), Ok(()));
    }
    assert!(folder.open().await.event(key("hub", "old")).await.unwrap().is_some());
}
