//! `backup`: whole and consistent while a server records, and never in the place of something else.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures_util::future::join_all;

use crate::support::command::onceward;
use crate::support::{Process, github, until};

fn files(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn ask(database: &Path, question: &str) -> String {
    let conn = rusqlite::Connection::open_with_flags(database, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    conn.query_row(question, (), |row| row.get::<_, rusqlite::types::Value>(0)).map(|value| format!("{value:?}")).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_under_load_is_whole_and_has_every_event_that_was_answered_before_it_began() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::serve(folder.path(), &["--source", "github=whsec_test_secret"]).await;
    let (sent, enough) = (AtomicUsize::new(0), AtomicBool::new(false));
    let sender = async || {
        while !enough.load(Ordering::SeqCst) {
            let id = sent.fetch_add(1, Ordering::SeqCst);
            let body = format!("{{\"n\":{id},\"padding\":\"{}\"}}", "x".repeat(10_000));
            assert_eq!(process.send(github(&format!("evt_{id}"), "push", body)).await.status, 200);
        }
    };
    let load = join_all((0..8).map(|_| sender()));
    let backups = async {
        for round in 1..=3 {
            let due = round * 100;
            until("there is a load", async || sent.load(Ordering::SeqCst) > due + 8).await;
            let answered: Vec<String> =
                process.rows("/api/v1/events").await.iter().map(|row| row["event_id"].as_str().unwrap().to_owned()).collect();
            let file = format!("backup-{round}.db");
            onceward(folder.path(), &["backup", &file]).await.ended(0).says(&["onceward.db is backed up to", &file, "MiB"]);
            let copy = folder.path().join(&file);
            assert_eq!(ask(&copy, "PRAGMA integrity_check"), "Text(\"ok\")");
            let listed = onceward(folder.path(), &["events", "list", "--json", "--all", "--database", &file]).await.ended(0).json();
            let there: std::collections::BTreeSet<_> = listed.iter().map(|row| row["event_id"].as_str().unwrap()).collect();
            let missing: Vec<_> = answered.iter().filter(|id| !there.contains(id.as_str())).collect();
            assert!(answered.len() > due && missing.is_empty(), "{missing:?} of {}", answered.len());
        }
        enough.store(true, Ordering::SeqCst);
    };
    tokio::join!(load, backups);
    assert_eq!(process.terminate().await, Some(0));
    assert_eq!(files(folder.path()), ["backup-1.db", "backup-2.db", "backup-3.db", "onceward.db", "onceward.db-search"]);

    // It is a database like any other.
    let process = Process::serve(folder.path(), &["--source", "github=whsec_test_secret", "--database", "sqlite:backup-3.db"]).await;
    let known = process.send(github("evt_1", "push", format!("{{\"n\":1,\"padding\":\"{}\"}}", "x".repeat(10_000)))).await;
    assert_eq!(known.header("onceward-status"), "duplicate");
    assert_eq!(process.terminate().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_replaces_nothing_unasked_and_never_the_database() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    onceward(path, &["backup", "copy.db"]).await.ended(1).complains(&["onceward.db"]);
    assert!(files(path).is_empty(), "no database is made, and no backup of none");
    let process = Process::serve(path, &["--source", "github=whsec_test_secret"]).await;
    assert_eq!(process.send(github("1", "push", "{}")).await.status, 200);
    std::fs::write(path.join("copy.db"), "mine").unwrap();
    onceward(path, &["backup", "copy.db"]).await.ended(1).complains(&["copy.db is there already", "--force"]);
    assert_eq!(std::fs::read(path.join("copy.db")).unwrap(), b"mine");
    std::os::unix::fs::symlink("onceward.db", path.join("link.db")).unwrap();
    for itself in ["onceward.db", "./onceward.db", "onceward.db-wal", "link.db"] {
        onceward(path, &["backup", itself, "--force"]).await.ended(1).complains(&["the database itself, or a part of it"]);
    }
    let made = onceward(path, &["backup", "copy.db", "--force", "--json"]).await.ended(0).json();
    assert_eq!(made[0]["size"].as_u64().unwrap(), std::fs::metadata(path.join("copy.db")).unwrap().len());
    onceward(path, &["events", "list", "--database", "copy.db"]).await.ended(0).says(&["push"]);
    onceward(path, &["backup", "absent/copy.db"]).await.ended(1).complains(&["absent/copy.db"]);
    std::fs::write(path.join("other.db"), "no database, but long enough to be read as the header of one, which it is not").unwrap();
    onceward(path, &["backup", "of-other.db", "--database", "other.db"]).await.ended(1).complains(&["other.db is not a SQLite database"]);
    assert_eq!(process.terminate().await, Some(0));
    assert_eq!(files(path), ["copy.db", "link.db", "onceward.db", "onceward.db-search", "other.db"]);
}
