//! `serve` without a file, and `send` against it.

use std::path::Path;

use super::fixture;
use crate::support::command::{Ran, onceward};
use crate::support::{Process, Receiver};

const ARGUMENTS: &[&str] = &["--source", "stripe=whsec_hunter2", "--source", "github=whsec_hunter2"];

/// Sends this fixture to the server, signed with the server's secret.
async fn send(process: &Process, folder: &Path, name: &str, more: &[&str]) -> Ran {
    let file = fixture(name);
    let arguments = [&["send", &file, "--to", &process.public, "--secret", "whsec_hunter2"], more].concat();
    onceward(folder, &arguments).await
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_file_an_event_is_accepted_once_and_forwarded_once() {
    let (receiver, folder) = (Receiver::start().await, tempfile::tempdir().unwrap());
    let process = Process::serve(folder.path(), &[ARGUMENTS, &["--forward", &receiver.url]].concat()).await;
    let path = folder.path();
    send(&process, path, "stripe/invoice-paid.http", &[]).await.ended(0).says(&["200", "accepted", "1 sent, 0 not"]);
    send(&process, path, "stripe/invoice-paid.http", &[]).await.ended(0).says(&["200", "duplicate"]);
    send(&process, path, "github/push.http", &[]).await.ended(0).says(&["200", "accepted"]);
    process.settled().await;
    assert_eq!(receiver.seen().len(), 2);
    assert_eq!(process.rows("/api/v1/events?status=delivered").await.len(), 2);
    assert_eq!(process.terminate().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_requests_succeed_when_they_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::serve(folder.path(), ARGUMENTS).await;
    let path = folder.path();
    send(&process, path, "stripe/invoice-paid.http", &["--tamper"]).await.ended(0).says(&["401", "signature-mismatch"]);
    send(&process, path, "stripe/invoice-paid.http", &["--stale"]).await.ended(0).says(&["401", "timestamp-stale"]);
    send(&process, path, "github/push.http", &["--tamper"]).await.ended(0).says(&["401", "signature-mismatch"]);
    // GitHub signs no timestamp: nothing is stale, and a receiver that takes it is not at fault but shown.
    send(&process, path, "github/push.http", &["--stale"]).await.ended(1).says(&["accepted", "1 not answered as they should be"]);
    // Not found, and nobody there, are no refusals of a forgery.
    send(&process, path, "slack/app-mention.http", &["--tamper"]).await.ended(1).says(&["404", "source-unknown"]);
    let nowhere = ["send", &fixture("stripe/invoice-paid.http"), "--to", "http://127.0.0.1:1/", "--tamper"];
    onceward(path, &nowhere).await.ended(1);
    assert_eq!(process.rows("/api/v1/events").await.len(), 1);
    assert_eq!(process.terminate().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn as_recorded_neither_clock_nor_signature_is_touched() {
    let folder = tempfile::tempdir().unwrap();
    // The secrets that the recorded requests were signed with.
    let secret = |name: &str| {
        let text = std::fs::read_to_string(fixture(name)).unwrap();
        text.lines().find_map(|line| line.strip_prefix("# secret: ")).unwrap().to_owned()
    };
    let (stripe, github) = (secret("stripe/invoice-paid.http"), secret("github/push.http"));
    let arguments = ["--source", &format!("stripe={stripe}"), "--source", &format!("github={github}")];
    let process = Process::serve(folder.path(), &arguments).await;
    let recorded = async |name: &str| {
        let ran = onceward(folder.path(), &["send", &fixture(name), "--to", &process.public, "--as-recorded"]).await;
        assert!(![&stripe, &github].iter().any(|secret| ran.stdout.contains(*secret)));
        ran
    };
    recorded("github/push.http").await.ended(0).says(&["accepted"]);
    recorded("stripe/invoice-paid.http").await.ended(1).says(&["401", "timestamp-stale"]);
    assert_eq!(process.terminate().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_times_five_at_once_is_one_accepted_and_nineteen_duplicates() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::serve(folder.path(), ARGUMENTS).await;
    let many = ["--times", "20", "--concurrency", "5", "--json"];
    let lines = send(&process, folder.path(), "stripe/invoice-paid.http", &many).await.ended(0).json();
    let count = |status: &str| lines.iter().filter(|line| line["onceward_status"] == status).count();
    assert_eq!((lines.len(), count("accepted"), count("duplicate")), (20, 1, 19));
    for line in &lines {
        assert_eq!(line["status"], 200);
        assert!(line["file"].as_str().unwrap().ends_with("stripe/invoice-paid.http"));
        assert!(line["answer"].as_str().unwrap().contains("evt_"));
    }
    // A source's whole URL serves as well as the base.
    let to = format!("{}/hooks/github", process.public);
    let arguments = ["send", &fixture("github/ping.http"), "--to", &to, "--secret", "whsec_hunter2"];
    onceward(folder.path(), &arguments).await.ended(0).says(&["accepted"]);
    assert_eq!(process.terminate().await, Some(0));
}
