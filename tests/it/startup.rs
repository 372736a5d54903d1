//! A start that cannot succeed: one line that says why, an exit code, and nothing left running.

use std::path::Path;

use crate::support::command::{Ran, onceward};
use crate::support::tls::Authority;
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

#[tokio::test]
async fn a_pem_file_of_a_destination_that_cannot_be_used_is_named_by_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let authority = Authority::new();
    authority.write(path, "ca.pem");
    authority.vouch("a.example.com", 2999).write(path, "a");
    authority.vouch("b.example.com", 2999).write(path, "b");
    std::fs::write(path.join("text.pem"), "hunter2\n").unwrap();
    std::fs::write(path.join("broken.pem"), "-----BEGIN hunter2\n").unwrap();
    std::fs::write(path.join("open.pem"), "-----BEGIN CERTIFICATE-----\nhunter2\n").unwrap();
    std::fs::write(path.join("empty.pem"), "-----BEGIN CERTIFICATE-----\naHVudGVyMg==\n-----END CERTIFICATE-----\n").unwrap();
    std::fs::write(path.join("key.pem"), "-----BEGIN PRIVATE KEY-----\naHVudGVyMg==\n-----END PRIVATE KEY-----\n").unwrap();
    std::fs::write(path.join("large.pem"), vec![b'\n'; 2 << 20]).unwrap();
    let cases = [
        ("ca = \"absent.pem\"", "ca: absent.pem: No such file"),
        ("ca = \".\"", "ca: .: "),
        ("ca = \"text.pem\"", "ca: text.pem holds no certificate in PEM"),
        ("ca = \"a-key.pem\"", "ca: a-key.pem holds no certificate in PEM"),
        ("ca = \"broken.pem\"", "ca: broken.pem is no valid PEM"),
        ("ca = \"open.pem\"", "ca: open.pem is no valid PEM"),
        ("ca = \"empty.pem\"", "ca: empty.pem holds a certificate that cannot be read"),
        ("ca = \"large.pem\"", "ca: large.pem is too large"),
        ("cert = \"text.pem\", key = \"a-key.pem\"", "cert: text.pem holds no certificate in PEM"),
        ("cert = \"empty.pem\", key = \"a-key.pem\"", "cert: empty.pem holds a certificate that cannot be read"),
        ("cert = \"a.pem\", key = \"a.pem\"", "key: a.pem holds no private key in PEM"),
        ("cert = \"a.pem\", key = \"key.pem\"", "key: key.pem holds a private key of a kind that is not supported"),
        ("cert = \"a.pem\", key = \"b-key.pem\"", "key: b-key.pem is not the key of the first certificate in a.pem"),
    ];
    let file = |tls: &str| {
        format!(
            "[sources.github]\nprovider = \"github\"\nsecret = \"hunter2\"\n\
             [destinations.x]\nfrom = [\"github\"]\nurl = \"https://127.0.0.1:1/\"\ntls = {{ {tls} }}\n"
        )
    };
    for (tls, said) in cases {
        std::fs::write(path.join("onceward.toml"), file(tls)).unwrap();
        for arguments in [&["check"][..], &["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]] {
            let ran = onceward(path, arguments).await.ended(78).complains(&[&format!("destinations.x.tls.{said}")]);
            assert!(!ran.stderr.contains("aHVudGVyMg"), "{}", ran.stderr);
        }
    }
    std::fs::write(path.join("onceward.toml"), file("ca = \"ca.pem\", cert = \"a.pem\", key = \"a-key.pem\"")).unwrap();
    onceward(path, &["check"]).await.ended(0);
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
