//! The levels of keys: whatever level a key is in, and whatever moves it, its event is recorded once.

use std::collections::HashSet;
use std::path::Path;

use futures_util::future::join_all;

use super::*;
use crate::domain::{ReplayGuard, VerifiedEvent, VerifiedParts};
use crate::store::contract::{at, event, fresh, key, names, parts};
use crate::store::sqlite::keys::{Bounds, Merge};
use crate::store::sqlite::prune::{Erase, Extent};
use crate::store::{History as _, Inbox as _, Recorded};

const LEVELS: [&str; 3] = ["key_0", "key_1", "key_2"];

/// The events in each level, after a look at what must hold: no key is in two, none is missing, and the counts are right.
fn levels(folder: &InAFolder) -> [Vec<i64>; 3] {
    let conn = folder.connect();
    let column =
        |sql: &str| -> Vec<i64> { conn.prepare(sql).unwrap().query_map((), |row| row.get(0)).unwrap().map(Result::unwrap).collect() };
    let levels = LEVELS.map(|level| column(&format!("SELECT seq FROM {level} ORDER BY seq")));
    let keys: HashSet<Vec<u8>> =
        conn.prepare("SELECT key FROM event_key").unwrap().query_map((), |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let mut all = levels.concat();
    all.sort_unstable();
    assert_eq!((&all, keys.len()), (&column("SELECT seq FROM event ORDER BY seq"), all.len()));
    let counted: (i64, i64) = conn.query_row("SELECT key_0, key_1 FROM counter", (), |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    assert_eq!(counted, (levels[0].len() as i64, levels[1].len() as i64));
    levels
}

async fn record(store: &SqliteStore, id: usize) -> Recorded {
    store.record(event("hub", &id.to_string(), at(0)), names(&[])).await.unwrap()
}

/// Each of these is a duplicate.
async fn are_known(store: &SqliteStore, ids: std::ops::Range<usize>) {
    for (id, recorded) in ids.clone().zip(join_all(ids.map(|id| record(store, id))).await) {
        assert_eq!(recorded, Recorded::Duplicate, "{id}");
    }
}

#[tokio::test]
async fn a_duplicate_is_found_in_every_level_and_after_every_merge() {
    let folder = InAFolder::new();
    let (store, _) = folder.open_with(&options());
    let (mut before, mut merges) = (levels(&folder), [0, 0]);
    for id in 0..60 {
        assert_eq!(record(&store, id).await, Recorded::Fresh);
        let now = levels(&folder);
        merges[0] += usize::from(now[1] != before[1]);
        merges[1] += usize::from(now[2] != before[2]);
        before = now;
        are_known(&store, 0..id + 1).await;
    }
    assert!(merges.iter().all(|merges| *merges > 10) && before.iter().all(|level| !level.is_empty()), "{merges:?} merges");
    for id in 0..60 {
        let row = store.event(key("hub", &id.to_string())).await.unwrap().unwrap();
        assert_eq!((row.seq, row.duplicates), (id + 1, 60 - id as u64), "one for each round since");
    }
}

#[tokio::test]
async fn a_batch_dedupes_within_itself_and_against_every_level() {
    let folder = InAFolder::new();
    let (store, _) = folder.open_with(&options());
    for id in 0..20 {
        assert_eq!(record(&store, id).await, Recorded::Fresh);
    }
    assert!(levels(&folder).iter().all(|level| !level.is_empty()));
    let (release, held) = hold(&store);
    let calls: Vec<_> = (0..120).map(|n| begin(store.record(event("hub", &(n % 40).to_string(), at(0)), names(&[])))).collect();
    drop(release);
    held.await.unwrap();
    for (n, outcome) in join_all(calls).await.into_iter().enumerate() {
        assert_eq!(outcome.unwrap(), if (20..40).contains(&n) { Recorded::Fresh } else { Recorded::Duplicate }, "{n}");
    }
    levels(&folder);
}

/// An event whose content is its own, and guarded.
fn guarded(event_id: &str, content: usize) -> VerifiedEvent {
    let mut digest = [0; 32];
    digest[..8].copy_from_slice(&content.to_be_bytes());
    let replay_guard = Some(ReplayGuard::Drop);
    VerifiedEvent::attest(VerifiedParts { content_digest: digest, replay_guard, ..parts("hub", event_id, at(0)) })
}

#[tokio::test]
async fn content_is_found_in_every_level_and_pruned_from_every_level() {
    let folder = InAFolder::new();
    let (store, _) = folder.open_with(&options());
    let count = || {
        let sql =
            "SELECT (SELECT count(*) FROM key_0), (SELECT count(*) FROM key_1), (SELECT count(*) FROM key_2), key_0, key_1 FROM counter";
        let read = |row: &rusqlite::Row<'_>| (0..5).map(|column| row.get::<_, i64>(column)).collect::<Result<Vec<_>, _>>();
        folder.connect().query_row(sql, (), read).unwrap()
    };
    for n in 0..30 {
        assert_eq!(store.record(guarded(&n.to_string(), n), names(&[])).await.unwrap(), Recorded::Fresh);
        let again = (0..=n).map(|n| store.record(guarded("again", n), names(&[])));
        for (n, recorded) in join_all(again).await.into_iter().enumerate() {
            assert_eq!(recorded.unwrap(), Recorded::Dropped { earlier: n.to_string().into() });
        }
        let counts = count();
        assert_eq!((counts[0] + counts[1] + counts[2], counts[0], counts[1]), (2 * (n as i64 + 1), counts[3], counts[4]));
    }
    store.write(Erase { extent: Extent::Whole, events: (1..=20).collect(), rows: 999 }).await.unwrap();
    let counts = count();
    assert_eq!((counts[0] + counts[1] + counts[2], counts[0], counts[1]), (20, counts[3], counts[4]));
    for n in 0..30 {
        let recorded = store.record(guarded(&format!("new {n}"), n), names(&[])).await.unwrap();
        assert_eq!(recorded.is_fresh(), n < 20, "{n}");
    }
}

#[tokio::test]
async fn a_batch_compares_content_within_itself() {
    let folder = InAFolder::new();
    let (store, _) = folder.open_with(&options());
    let (release, held) = hold(&store);
    let calls: Vec<_> = (0..60).map(|n| begin(store.record(guarded(&n.to_string(), n % 20), names(&["app"])))).collect();
    drop(release);
    held.await.unwrap();
    for (n, outcome) in join_all(calls).await.into_iter().enumerate() {
        let expected = if n < 20 { Recorded::Fresh } else { Recorded::Dropped { earlier: (n % 20).to_string().into() } };
        assert_eq!(outcome.unwrap(), expected, "{n}");
    }
    let row = store.event(key("hub", "7")).await.unwrap().unwrap();
    assert_eq!((row.duplicates, levels_of(&folder)), (2, 40));
}

fn levels_of(folder: &InAFolder) -> i64 {
    folder.connect().query_row("SELECT count(*) FROM event_key", (), |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn the_levels_keep_to_their_bounds_also_after_large_batches() {
    let folder = InAFolder::new();
    let keys = Bounds { keys: [100, 300], step: 20 };
    let (store, _) = folder.open_with(&Options { keys, ..options() });
    for batch in 0..10 {
        join_all((0..90).map(|n| record(&store, batch * 90 + n))).await;
        let [first, second, _] = levels(&folder);
        // The last step of a round may be a short one.
        assert!(first.len() <= 120 && second.len() <= 320, "{} and {}", first.len(), second.len());
    }
    assert!(levels(&folder)[2].len() >= 500);
    are_known(&store, 0..900).await;
}

#[tokio::test]
async fn two_processes_merge_the_same_levels() {
    let folder = InAFolder::new();
    let (one, other) = (folder.open().await, folder.open().await);
    for id in 0..40 {
        let (first, second) = if id % 3 == 0 { (&other, &one) } else { (&one, &other) };
        assert_eq!((record(first, id).await, record(second, id).await), (Recorded::Fresh, Recorded::Duplicate), "{id}");
    }
    assert!(levels(&folder).iter().all(|level| !level.is_empty()));
    let (together, apart) = tokio::join!(join_all((0..200).map(|id| record(&one, id))), join_all((0..200).map(|id| record(&other, id))));
    let fresh = together.into_iter().chain(apart).filter(|recorded| *recorded == Recorded::Fresh).count();
    assert_eq!(fresh, 160);
    levels(&folder);
}

#[tokio::test]
async fn what_is_pruned_is_pruned_from_whatever_level() {
    let folder = InAFolder::new();
    let (store, _) = folder.open_with(&options());
    for id in 0..20 {
        assert_eq!(record(&store, id).await, Recorded::Fresh);
    }
    for (level, name) in LEVELS.into_iter().enumerate() {
        let seq = levels(&folder)[level][0];
        let erased = store.write(Erase { extent: Extent::Whole, events: vec![seq], rows: 9 }).await.unwrap();
        assert_eq!(erased.pruned.events, 1);
        levels(&folder);
        assert!(store.event(key("hub", &(seq - 1).to_string())).await.unwrap().is_none(), "from {name}");
        assert_eq!(record(&store, seq as usize - 1).await, Recorded::Fresh, "from {name}");
    }
    are_known(&store, 0..20).await;
}

/// The database and its log as they are on disk.
fn copy(from: &Path) -> InAFolder {
    let to = InAFolder::new();
    for name in ["store.db", "store.db-wal"] {
        if from.join(name).exists() {
            std::fs::copy(from.join(name), to.0.path().join(name)).unwrap();
        }
    }
    to
}

/// Merges through both levels in one transaction, as the writer does; returns the files as they were on disk all the while.
fn crashes(folder: &InAFolder, counts: [i64; 2]) -> Vec<InAFolder> {
    let mut conn = folder.connect();
    // Pages leave the cache at once, so that a crash finds them in the log without the commit.
    conn.execute_batch("PRAGMA synchronous = FULL; PRAGMA cache_size = 2; PRAGMA wal_autocheckpoint = 0; BEGIN IMMEDIATE").unwrap();
    let copies = Arc::new(Mutex::new(vec![copy(folder.0.path())]));
    let (seen, from) = (Arc::clone(&copies), folder.0.path().to_owned());
    let look = move || {
        seen.lock().unwrap().push(copy(&from));
        false
    };
    conn.progress_handler(1_000, Some(look)).unwrap();
    let (mut merge, mut merged) = (Merge::new(Bounds { keys: [50, 100], step: 100 }), counts);
    merge.run(&conn, &mut merged).unwrap();
    assert!(merged[0] < counts[0] && merged[0] + merged[1] < counts[0] + counts[1], "keys went down from both");
    conn.progress_handler(0, None::<fn() -> bool>).unwrap();
    conn.execute("UPDATE counter SET key_0 = ?1, key_1 = ?2", (merged[0], merged[1])).unwrap();
    copies.lock().unwrap().push(copy(folder.0.path()));
    conn.execute_batch("COMMIT").unwrap();
    copies.lock().unwrap().push(copy(folder.0.path()));
    std::mem::take(&mut *copies.lock().unwrap())
}

#[tokio::test]
async fn a_crash_before_in_or_after_a_merge_loses_and_doubles_nothing() {
    let folder = InAFolder::new();
    let unmerged = |keys| Options { keys: Bounds { keys, step: 100 }, ..options() };
    let (store, _) = folder.open_with(&unmerged([0, 1_000]));
    join_all((0..400).map(|id| record(&store, id))).await;
    store.close().await;
    let (store, _) = folder.open_with(&unmerged([1_000, 1_000]));
    join_all((400..700).map(|id| record(&store, id))).await;
    store.close().await;
    let before = levels(&folder);

    let copies = crashes(&folder, [before[0].len() as i64, before[1].len() as i64]);
    let log = |folder: &InAFolder| std::fs::metadata(folder.0.path().join("store.db-wal")).map_or(0, |file| file.len());
    assert!(copies.len() > 5 && copies[..copies.len() - 2].iter().any(|copy| log(copy) > 4_096), "{} copies", copies.len());
    for (n, crashed) in copies.iter().enumerate() {
        let (store, _) = crashed.open_with(&unmerged([1_000, 1_000]));
        assert_eq!(levels(crashed) == before, n + 1 < copies.len(), "as before the merge until its commit");
        are_known(&store, 0..700).await;
        fresh(&store, "new", at(0), &[]).await;
    }
}

#[tokio::test]
async fn keys_that_cannot_be_merged_stay_where_they_are_and_hold_up_nobody() {
    let folder = InAFolder::new();
    let (store, seen) = folder.open_with(&Options { keys: Bounds { keys: [2, 100], step: 2 }, ..options() });
    for id in 0..2 {
        assert_eq!(record(&store, id).await, Recorded::Fresh);
    }
    store.write(Run("INSERT INTO key_1 SELECT key, seq FROM key_0")).await.unwrap();
    for id in 2..9 {
        assert_eq!(record(&store, id).await, Recorded::Fresh);
    }
    are_known(&store, 0..9).await;
    assert_eq!(seen.failures.lock().unwrap().len(), 1);
}
