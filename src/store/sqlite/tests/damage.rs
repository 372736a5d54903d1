//! Operations that fail and pages that are damaged: whoever is not concerned goes on.

use rusqlite::ffi;

use super::*;
use crate::domain::{DeliveryStatus, VerifiedEvent, VerifiedParts};
use crate::store::contract::{at, claim, claimed, event, fresh, names, parts, wanted};
use crate::store::{DeliveryFilter, History as _, Inbox as _, Outbox as _, Recorded};

/// Fails as SQLite would with this code.
struct Fails(i32);

impl Operation for Fails {
    type Output = ();

    fn run(&self, _: &mut Unit<'_>) -> Result<(), Fault> {
        Err(rusqlite::Error::SqliteFailure(ffi::Error::new(self.0), None).into())
    }
}

#[tokio::test]
async fn whoever_fails_is_found_in_few_commits_and_the_order_is_kept() {
    for code in [ffi::SQLITE_CONSTRAINT, ffi::SQLITE_CORRUPT, ffi::SQLITE_NOMEM, ffi::SQLITE_IOERR_READ] {
        let folder = InAFolder::new();
        let (store, seen) = folder.open_with(&options());
        let (release, held) = hold(&store);
        let record = |n: i64| begin(store.record(event("hub", &(n % 128).to_string(), at(n)), names(&["app"])));
        let before: Vec<_> = (0..200).map(record).collect();
        let failing = begin(store.write(Fails(code)));
        let after: Vec<_> = (200..256).map(record).collect();
        drop(release);
        held.await.unwrap();
        assert!(matches!(failing.await, Err(StoreError::Unavailable(_))));
        for (n, call) in before.into_iter().chain(after).enumerate() {
            assert_eq!(call.await.unwrap(), if n < 128 { Recorded::Fresh } else { Recorded::Duplicate }, "{n}, code {code}");
        }
        let commits = seen.commits.lock().unwrap().len();
        assert!(commits <= 10, "{commits} commits after code {code}");
        assert_eq!(seen.failures.lock().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn where_all_is_damaged_nobody_waits_for_a_search_among_all() {
    let folder = InAFolder::new();
    let (store, seen) = folder.open_with(&options());
    let (release, held) = hold(&store);
    let calls: Vec<_> = (0..500).map(|_| begin(store.write(Fails(ffi::SQLITE_CORRUPT)))).collect();
    drop(release);
    held.await.unwrap();
    for call in calls {
        assert!(matches!(call.await, Err(StoreError::Unavailable(_))));
    }
    let failures = seen.failures.lock().unwrap().len();
    assert!(failures < 100, "{failures} failures were told");
}

/// Breaks the chain of pages that hold a body of this byte. The database must be closed.
fn damage(folder: &InAFolder, byte: u8) {
    let mut file = std::fs::read(folder.path()).unwrap();
    let page = file.chunks_exact_mut(4_096).find(|page| page[4..].iter().all(|found| *found == byte)).expect("a page full of it");
    page[..4].fill(0xff);
    std::fs::write(folder.path(), file).unwrap();
}

#[tokio::test]
async fn a_delivery_whose_event_is_damaged_does_not_hold_up_its_destination() {
    let folder = InAFolder::new();
    let store = folder.open().await;
    for (id, byte) in [("first", b'1'), ("damaged", b'2'), ("last", b'3')] {
        let body = VerifiedParts { body: vec![byte; 30_000].into(), ..parts("hub", id, at(0)) };
        assert_eq!(store.record(VerifiedEvent::attest(body), names(&["app"])).await.unwrap(), Recorded::Fresh);
    }
    store.close().await;
    damage(&folder, b'2');

    let store = folder.open().await;
    let (release, held) = hold(&store);
    let claiming = begin(store.claim(wanted("app", 9, at(1))));
    let recording = begin(store.record(event("hub", "new", at(1)), names(&["mail"])));
    drop(release);
    held.await.unwrap();
    let found = claiming.await.unwrap();
    assert_eq!((claimed(&found), found.next_due), (vec!["first", "last"], Some(at(601))));
    assert_eq!(recording.await.unwrap(), Recorded::Fresh);
    let row = &store.deliveries(DeliveryFilter::default(), contract::all()).await.unwrap()[2];
    assert_eq!((row.status, row.next_attempt_at, row.attempts), (DeliveryStatus::Pending, Some(at(601)), 0));
    assert!(row.last_error.as_deref().unwrap().starts_with("the stored event cannot be read"));
    fresh(&store, "newer", at(2), &["app"]).await;
    assert_eq!(claimed(&claim(&store, "app", 9, at(2)).await), ["newer"]);
}
