//! The write-ahead log stays short, also while somebody reads for long.

use super::*;
use crate::domain::{VerifiedEvent, VerifiedParts};
use crate::store::contract::{at, names, parts};
use crate::store::{Inbox as _, Recorded};

const MIB: u64 = 1 << 20;

/// Records so many events of a mebibyte each.
async fn record(store: &SqliteStore, ids: std::ops::Range<u32>) {
    for id in ids {
        let large = VerifiedParts { body: vec![b'x'; 1 << 20].into(), ..parts("hub", &id.to_string(), at(0)) };
        assert_eq!(store.record(VerifiedEvent::attest(large), names(&[])).await.unwrap(), Recorded::Fresh);
    }
}

fn log(folder: &InAFolder) -> u64 {
    std::fs::metadata(folder.0.path().join("store.db-wal")).unwrap().len()
}

#[tokio::test]
async fn the_log_is_written_back_and_used_anew() {
    let folder = InAFolder::new();
    let store = folder.open().await;
    record(&store, 0..30).await;
    assert!(log(&folder) < 10 * MIB, "{} bytes", log(&folder));
    let database = std::fs::metadata(folder.path()).unwrap().len();
    assert!(database > 20 * MIB, "{database} bytes are written back");
    // A new connection of the writer is watched, too.
    store.write(Run("PRAGMA query_only = 1")).await.unwrap();
    assert!(store.ready().await.is_err());
    record(&store, 30..50).await;
    assert!(log(&folder) < 10 * MIB, "{} bytes", log(&folder));
}

#[tokio::test]
async fn the_log_outgrows_a_long_read_and_no_more() {
    let folder = InAFolder::new();
    let (store, seen) = folder.open_with(&Options { busy_timeout: Duration::ZERO, ..options() });
    record(&store, 0..1).await;
    let reader = folder.connect();
    reader.execute_batch("BEGIN; SELECT count(*) FROM event").unwrap();
    record(&store, 1..80).await;
    assert!(log(&folder) > 70 * MIB, "the reader needs it");
    assert!(seen.failures.lock().unwrap().is_empty());
    reader.execute_batch("ROLLBACK").unwrap();
    record(&store, 80..95).await;
    assert!(log(&folder) <= 64 * MIB, "{} bytes: begun anew, and cut to its bound", log(&folder));
}
