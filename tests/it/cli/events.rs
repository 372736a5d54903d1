//! `events`, against the database of a running server and without one.

use std::path::Path;
use std::process::Stdio;
use std::sync::Mutex;

use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::support::command::{command, onceward};
use crate::support::{Process, Receiver, stripe, stripe_body, until};

#[tokio::test(flavor = "multi_thread")]
async fn events_are_listed_and_shown_beside_a_running_server_and_after_it() {
    let (receiver, folder) = (Receiver::start().await, tempfile::tempdir().unwrap());
    let process = Process::serve(folder.path(), &["--source", "stripe=whsec_test_secret", "--forward", &receiver.url]).await;
    let body = r#"{"id":"evt_b","type":"charge.failed","note":"Łódź \u001b[2J"}"#;
    for request in [stripe("evt_a"), stripe("evt_a"), stripe_body(body)] {
        assert_eq!(process.send(request).await.status, 200);
    }
    process.settled().await;
    let path = folder.path();
    let look = async || {
        onceward(path, &["events", "list"]).await.ended(0).says(&["evt_a", "evt_b", "invoice.paid", "delivered"]);
        let listed = onceward(path, &["events", "list", "--json", "--order", "asc"]).await.ended(0).json();
        let seen: Vec<_> = listed.iter().map(|row| (row["event_id"].as_str().unwrap(), row["duplicates"].as_u64().unwrap())).collect();
        assert_eq!(seen, [("evt_a", 1), ("evt_b", 0)]);
        let filtered =
            onceward(path, &["events", "list", "--json", "--type", "charge.failed", "--status", "delivered"]).await.ended(0).json();
        assert_eq!((filtered.len(), &filtered[0]["event_id"]), (1, &"evt_b".into()));
        let page = onceward(path, &["events", "list", "--limit", "1"]).await.ended(0).says(&["evt_b", "more: --cursor "]);
        let cursor = page.stdout.split("--cursor ").nth(1).unwrap().trim().to_owned();
        let next = onceward(path, &["events", "list", "--limit", "1", "--cursor", &cursor]).await.ended(0).says(&["evt_a"]);
        assert!(!next.stdout.contains("more:") && !next.stdout.contains("evt_b"));
        onceward(path, &["events", "show", "stripe", "evt_a"]).await.ended(0).says(&["secret:1", "stripe-signature", "delivered", "200"]);
        let shown = onceward(path, &["events", "show", "stripe", "evt_a", "--json"]).await.ended(0).json();
        assert_eq!(shown[0]["deliveries"][0]["history"][0]["status_code"], 200);
        assert_eq!(onceward(path, &["events", "show", "stripe", "evt_b", "--body"]).await.ended(0).stdout, body);
        onceward(path, &["events", "show", "stripe", "evt_c"]).await.ended(1).complains(&["no event evt_c of source stripe"]);
        onceward(path, &["events", "show", "stripe", "evt_c", "--body"]).await.ended(1).complains(&["no event evt_c"]);
    };
    look().await;
    assert_eq!(process.terminate().await, Some(0));
    look().await;
}

#[tokio::test]
async fn without_a_database_the_way_to_one_is_said_and_none_is_made() {
    let folder = tempfile::tempdir().unwrap();
    onceward(folder.path(), &["events", "list"]).await.ended(1).complains(&["onceward.db", "-c", "--database"]);
    onceward(folder.path(), &["events", "tail", "--database", "sqlite:absent.db"]).await.ended(1).complains(&["absent.db"]);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn tail_prints_what_arrives_later_and_ends_at_an_interrupt() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::serve(folder.path(), &["--source", "stripe=whsec_test_secret"]).await;
    assert_eq!(process.send(stripe("evt_before")).await.status, 200);
    for place in [vec![], vec!["--url", &process.admin]] {
        tail(folder.path(), &process, &place).await;
    }
    assert_eq!(process.terminate().await, Some(0));
}

async fn tail(folder: &Path, process: &Process, place: &[&str]) {
    let mut tail = command(folder, &[&["events", "tail", "--json"], place].concat()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(tail.stdout.take().unwrap()).lines();
    let printed = Mutex::new(Vec::new());
    let (reading, sent) = (async { lines.next_line().await.unwrap().unwrap() }, Mutex::new(0));
    // When tail has begun to look is not to be seen from outside: events come until it prints one.
    let sending = until("tail prints an event", async || {
        let number = {
            let mut sent = sent.lock().unwrap();
            *sent += 1;
            *sent
        };
        assert_eq!(process.send(stripe(&format!("evt_later_{}_{number}", place.len()))).await.status, 200);
        !printed.lock().unwrap().is_empty()
    });
    tokio::join!(sending, async {
        let line = reading.await;
        printed.lock().unwrap().push(line);
    });
    let line: serde_json::Value = serde_json::from_str(&printed.lock().unwrap()[0]).unwrap();
    assert!(line["event_id"].as_str().unwrap().starts_with(&format!("evt_later_{}_", place.len())), "{line}");
    assert_eq!(line["type"], "invoice.paid");
    let pid = tail.id().unwrap().to_string();
    assert!(tokio::process::Command::new("sh").args(["-c", "kill -s INT \"$0\"", &pid]).status().await.unwrap().success());
    while lines.next_line().await.unwrap().is_some() {}
    assert_eq!(tail.wait().await.unwrap().code(), Some(0));
}
