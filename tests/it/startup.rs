//! A start that cannot succeed: one line that says why, an exit code, and nothing left running.

use std::path::Path;

use crate::support::command::{Ran, onceward};
use crate::support::{Process, locked};

const SERVE: &[&str] =
    &["serve", "--source", "stripe=whsec_hunter2", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--database"];

/// Serves on this database, which must be refused for this reason.
async fn refused(folder: &Path, database: &str, reason: &[&str]) -> Ran {
    let arguments: Vec<_> = SERVE.iter().copied().chain([database]).collect();
    onceward(folder, &arguments).await.ended(1).complains(reason)
}

#[tokio::test]
async fn a_database_that_cannot_be_used_is_named_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    refused(path, "sqlite:absent/a.db", &["cannot open the database absent/a.db"]).await;
    std::fs::create_dir(path.join("folder.db")).unwrap();
    refused(path, "sqlite:folder.db", &["cannot open the database folder.db"]).await;
    let letter = "Dear database, you are none. ".repeat(100);
    std::fs::write(path.join("letter.db"), &letter).unwrap();
    refused(path, "sqlite:letter.db", &["letter.db is not a SQLite database, or it is damaged"]).await;
    assert_eq!(std::fs::read_to_string(path.join("letter.db")).unwrap(), letter);
    let foreign = rusqlite::Connection::open(path.join("foreign.db")).unwrap();
    foreign.execute_batch("CREATE TABLE customer (id INTEGER); PRAGMA user_version = 7").unwrap();
    refused(path, "sqlite:foreign.db", &["foreign.db is not a database of Onceward"]).await;
    let tables: i64 = foreign.query_row("SELECT count(*) FROM sqlite_schema", (), |row| row.get(0)).unwrap();
    assert_eq!(tables, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_a_newer_program_or_in_somebody_elses_hands_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(Process::serve(folder.path(), &["--source", "stripe=s"]).await.terminate().await, Some(0));
    let database = folder.path().join("onceward.db");
    let lock = locked(&database);
    refused(folder.path(), "sqlite:onceward.db", &["onceward.db is locked by another process"]).await;
    lock.execute_batch("ROLLBACK; PRAGMA user_version = 99").unwrap();
    refused(folder.path(), "sqlite:onceward.db", &["onceward.db is of version 99", "use a newer program"]).await;
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = "tls = { cert = \"cert.pem\", key = \"key.pem\" }\n[sources.stripe]\nprovider = \"stripe\"\nsecret = \"whsec_hunter2\"\n";
    std::fs::write(folder.path().join("onceward.toml"), file).unwrap();
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];
    onceward(folder.path(), &arguments).await.ended(78).complains(&["tls: cert.pem: "]);
    onceward(folder.path(), &["check"]).await.ended(78).complains(&["tls: cert.pem: "]);
    std::fs::write(folder.path().join("cert.pem"), "hunter2").unwrap();
    std::fs::write(folder.path().join("key.pem"), "hunter2").unwrap();
    onceward(folder.path(), &arguments).await.ended(78).complains(&["tls: key.pem: "]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_taken_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (public, admin) in [(address.as_str(), "127.0.0.1:0"), ("127.0.0.1:0", &address)] {
        let arguments = ["serve", "--source", "stripe=whsec_hunter2", "--listen", public, "--admin-listen", admin];
        onceward(folder.path(), &arguments).await.ended(1).complains(&["cannot listen on", &address]);
    }
    // What was opened before the address was tried has been left in good order.
    assert_eq!(Process::serve(folder.path(), &["--source", "stripe=s"]).await.terminate().await, Some(0));
}
