//! Opening: what is refused and why, and who else is there.

use std::path::Path;

use rusqlite::ffi;

use super::*;
use crate::domain::Verdict;
use crate::store::contract::{at, claim_one, ended, event, fresh, key, names, wanted};
use crate::store::sqlite::OpenError;
use crate::store::{EventFilter, History as _, Inbox as _, Outbox as _, Prune};

fn open(path: &Path) -> Result<SqliteStore, OpenError> {
    SqliteStore::open(path, &Options { busy_timeout: Duration::ZERO, ..options() }, Arc::new(Silent))
}

/// The error, in one line.
fn refusal(path: &Path) -> OpenError {
    let error = open(path).err().expect("it is refused");
    assert!(!error.to_string().contains('\n') && error.to_string().contains(path.to_str().unwrap()), "{error}");
    error
}

#[tokio::test]
async fn a_place_that_cannot_be_is_refused() {
    let folder = InAFolder::new();
    assert!(matches!(refusal(&folder.0.path().join("missing/store.db")), OpenError::CannotOpen { .. }));
    assert!(matches!(refusal(folder.0.path()), OpenError::CannotOpen { .. }));
    assert!(folder.files().is_empty());
}

#[tokio::test]
async fn a_file_that_is_something_else_is_refused_and_left_alone() {
    let folder = InAFolder::new();
    std::fs::write(folder.path(), "not a database, but long enough to look like one might begin".repeat(100)).unwrap();
    assert!(matches!(refusal(&folder.path()), OpenError::NotADatabase { .. }));

    let foreign = folder.0.path().join("foreign.db");
    rusqlite::Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE event (id)").unwrap();
    let before = std::fs::read(&foreign).unwrap();
    assert!(matches!(refusal(&foreign), OpenError::Foreign { .. }));
    assert!(matches!(SqliteStore::open_read_only(&foreign), Err(OpenError::Foreign { .. })));
    assert_eq!(std::fs::read(&foreign).unwrap(), before);
}

#[tokio::test]
async fn a_database_of_a_newer_program_is_refused() {
    let folder = InAFolder::new();
    drop(open(&folder.path()).unwrap());
    folder.connect().pragma_update(None, "user_version", 999).unwrap();
    let error = refusal(&folder.path());
    assert!(matches!(error, OpenError::Newer { found: 999, known: 9, .. }), "{error}");
    assert!(matches!(SqliteStore::open_read_only(&folder.path()), Err(OpenError::Newer { .. })));
}

#[tokio::test]
async fn a_locked_database_is_refused_as_locked() {
    let folder = InAFolder::new();
    drop(open(&folder.path()).unwrap());
    let other = folder.connect();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert!(matches!(refusal(&folder.path()), OpenError::Locked { .. }));
    other.execute_batch("ROLLBACK").unwrap();
    assert!(open(&folder.path()).is_ok());
}

#[tokio::test]
async fn a_lock_file_that_cannot_be_written_is_refused_as_such() {
    let folder = InAFolder::new();
    drop(open(&folder.path()).unwrap());
    // Not even the superuser writes into a folder.
    std::fs::create_dir(folder.0.path().join("store.db-owner-2")).unwrap();
    assert!(matches!(refusal(&folder.path()), OpenError::NotWritable { .. }));
    std::fs::remove_dir(folder.0.path().join("store.db-owner-2")).unwrap();
    assert!(open(&folder.path()).is_ok(), "nothing of the first try is left");
}

#[test]
fn every_cause_has_its_own_error() {
    let path = Path::new("store.db");
    let explain = |code| OpenError::explain(path, &rusqlite::Error::SqliteFailure(ffi::Error::new(code), None));
    assert!(matches!(explain(ffi::SQLITE_CANTOPEN), OpenError::CannotOpen { .. }));
    assert!(matches!(explain(ffi::SQLITE_READONLY), OpenError::NotWritable { .. }));
    assert!(matches!(explain(ffi::SQLITE_READONLY_DIRECTORY), OpenError::NotWritable { .. }));
    assert!(matches!(explain(ffi::SQLITE_PERM), OpenError::NotWritable { .. }));
    assert!(matches!(explain(ffi::SQLITE_NOTADB), OpenError::NotADatabase { .. }));
    assert!(matches!(explain(ffi::SQLITE_CORRUPT), OpenError::NotADatabase { .. }));
    assert!(matches!(explain(ffi::SQLITE_BUSY_RECOVERY), OpenError::Locked { .. }));
    assert!(matches!(explain(ffi::SQLITE_FULL), OpenError::Full { .. }));
}

#[tokio::test]
async fn for_reading_only_questions_are_answered_and_nothing_is_written() {
    let folder = InAFolder::new();
    assert!(matches!(SqliteStore::open_read_only(&folder.path()), Err(OpenError::CannotOpen { .. })));
    assert!(folder.files().is_empty(), "nothing is created");
    let store = folder.open().await;
    fresh(&store, "evt", at(0), &["app"]).await;
    for alone in [false, true] {
        if alone {
            store.close().await;
        }
        let reading = SqliteStore::open_read_only(&folder.path()).unwrap();
        assert_eq!(reading.events(EventFilter::default(), contract::all()).await.unwrap().len(), 1);
        assert!(reading.event(key("hub", "evt")).await.unwrap().unwrap().headers.is_some());
        assert_eq!(reading.backlog().await.unwrap()[0].pending, 1);
        let prune = Prune { bodies_before: at(9), ids_before: at(9), chunk: 9 };
        let refused = [
            reading.ready().await.is_err(),
            reading.record(event("hub", "new", at(0)), names(&[])).await.is_err(),
            reading.recover(at(0)).await.is_err(),
            reading.claim(wanted("app", 1, at(0))).await.is_err(),
        ];
        assert_eq!(refused, [true; 4]);
        assert!(reading.prune(prune).await.unwrap().nothing(), "the one delivery is pending");
        reading.close().await;
    }
}

#[tokio::test]
async fn recovery_cleans_up_after_the_dead_and_leaves_the_living_alone() {
    let folder = InAFolder::new();
    let (dead, living) = (folder.open().await, folder.open().await);
    fresh(&dead, "evt", at(0), &["app"]).await;
    claim_one(&dead, "app", at(0)).await;
    folder.crash(dead).await;
    let locks = |files: Vec<String>| files.into_iter().filter(|name| name.contains("-owner-")).collect::<Vec<_>>();
    assert_eq!(locks(folder.files()), ["store.db-owner-1", "store.db-owner-2"]);
    let new = folder.open().await;
    assert_eq!(new.recover(at(1)).await.unwrap(), 1);
    assert_eq!(locks(folder.files()), ["store.db-owner-2", "store.db-owner-3"]);
    living.ready().await.unwrap();
}

#[tokio::test]
async fn whoever_comes_by_a_symbolic_link_sees_the_same_locks() {
    let folder = InAFolder::new();
    let living = folder.open().await;
    fresh(&living, "evt", at(0), &["app"]).await;
    let lease = claim_one(&living, "app", at(0)).await;
    let elsewhere = tempfile::tempdir().unwrap();
    let link = elsewhere.path().join("link.db");
    std::os::unix::fs::symlink(folder.path(), &link).unwrap();
    let other = open(&link).unwrap();
    assert_eq!(other.recover(at(1)).await.unwrap(), 0);
    assert!(living.finish(ended(lease, at(1), Verdict::Delivered)).await.unwrap());
    assert!(other.size().await.unwrap().wal > 0);
    assert_eq!(std::fs::read_dir(elsewhere.path()).unwrap().count(), 1, "nothing lies beside the link");
}

#[tokio::test]
async fn a_living_owner_that_was_taken_for_dead_takes_its_place_again() {
    let folder = InAFolder::new();
    let living = folder.open().await;
    living.write(Run("DELETE FROM owner")).await.unwrap();
    std::fs::remove_file(folder.0.path().join("store.db-owner-1")).unwrap();
    living.recover(at(0)).await.unwrap();
    fresh(&living, "evt", at(0), &["app"]).await;
    let lease = claim_one(&living, "app", at(0)).await;
    assert_eq!(folder.open().await.recover(at(1)).await.unwrap(), 0);
    assert!(living.finish(ended(lease, at(1), Verdict::Delivered)).await.unwrap());
    let owners: i64 = folder.connect().query_row("SELECT count(*) FROM owner WHERE id = 1", (), |row| row.get(0)).unwrap();
    assert_eq!(owners, 1);
}

#[tokio::test]
async fn an_owner_whose_lock_file_is_gone_is_dead() {
    let folder = InAFolder::new();
    let store = folder.open().await;
    fresh(&store, "evt", at(0), &["app"]).await;
    claim_one(&store, "app", at(0)).await;
    folder.crash(store).await;
    std::fs::remove_file(folder.0.path().join("store.db-owner-1")).unwrap();
    assert_eq!(folder.open().await.recover(at(1)).await.unwrap(), 1);
}

#[tokio::test]
async fn processes_that_start_together_share_one_new_database() {
    for _ in 0..10 {
        let folder = InAFolder::new();
        let start = Arc::new(std::sync::Barrier::new(4));
        let open = |_| {
            let (path, start) = (folder.path(), Arc::clone(&start));
            std::thread::spawn(move || {
                start.wait();
                SqliteStore::open(&path, &options(), Arc::new(Silent)).map(drop).map_err(|error| error.to_string())
            })
        };
        let opened: Vec<_> = (0..4).map(open).collect();
        for thread in opened {
            assert_eq!(thread.join().unwrap(), Ok(()));
        }
    }
}
