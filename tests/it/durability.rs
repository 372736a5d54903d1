//! Guarantees 2 and 4: what was acknowledged is on disk and is delivered, through kill -9 and through store trouble.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::process::Command;
use tokio::sync::{Semaphore, watch};

use crate::support::{Behaviour, Process, Receiver, TestApp, locked, stripe, stripe_body, until};

/// How often the program is killed.
const KILLS: usize = 4;
/// Senders at once.
const CLIENTS: usize = 8;
/// Events of each sender.
const EVENTS: usize = 40;

/// What was acknowledged: the event's ID with the `Onceward-Status` of its 2xx.
type Acknowledged = Arc<Mutex<BTreeMap<String, String>>>;

#[tokio::test(flavor = "multi_thread")]
async fn every_acknowledged_event_survives_kill_9() {
    let (receiver, folder) = (Receiver::start().await, tempfile::tempdir().unwrap());
    let arguments = ["--source", "stripe=whsec_test_secret", "--forward", &receiver.url];
    let mut process = Process::serve(folder.path(), &arguments).await;
    let (address, addresses) = watch::channel(process.public.clone());
    let acknowledged = Acknowledged::default();
    let senders = (0..CLIENTS).map(|sender| tokio::spawn(send_all(sender, addresses.clone(), Arc::clone(&acknowledged))));
    let senders: Vec<_> = senders.collect();
    for kill in 1..=KILLS {
        let goal = kill * CLIENTS * EVENTS / (KILLS + 1);
        until("enough is acknowledged for the next kill", async || acknowledged.lock().unwrap().len() >= goal).await;
        process.kill().await;
        process = Process::serve(folder.path(), &arguments).await;
        address.send_replace(process.public.clone());
    }
    join_all(senders).await.into_iter().for_each(Result::unwrap);
    process.settled().await;
    let acknowledged = acknowledged.lock().unwrap().clone();
    assert_eq!(acknowledged.len(), CLIENTS * EVENTS);
    everything_is_there_and_delivered(&process, &receiver, &acknowledged).await;
    assert_eq!(process.terminate().await, Some(0));
}

/// A sender: each event again and again until a 2xx comes, wherever the program listens by then.
async fn send_all(sender: usize, address: watch::Receiver<String>, acknowledged: Acknowledged) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    for event in 0..EVENTS {
        let id = format!("evt_{sender}_{event}");
        let mut again = tokio::time::interval(Duration::from_millis(10));
        let status = loop {
            again.tick().await;
            let base = address.borrow().clone();
            match stripe(&id).build(&client, &base).send().await {
                Ok(answer) if answer.status().is_success() => break answer.headers()["onceward-status"].to_str().unwrap().to_owned(),
                Ok(answer) => assert_eq!(answer.status(), 503),
                // Refused or cut: the program has just been killed.
                Err(_) => {}
            }
        };
        acknowledged.lock().unwrap().insert(id, status);
    }
}

async fn everything_is_there_and_delivered(process: &Process, receiver: &Receiver, acknowledged: &BTreeMap<String, String>) {
    let events = process.rows("/api/v1/events").await;
    let mut seen: BTreeMap<String, u64> = BTreeMap::new();
    for request in receiver.seen() {
        *seen.entry(request.header("onceward-event-id")).or_default() += 1;
    }
    let stored: Vec<_> = events.iter().map(|event| event["event_id"].as_str().unwrap()).collect();
    assert_eq!(stored.len(), acknowledged.len(), "an event for each that was acknowledged");
    for event in &events {
        let id = event["event_id"].as_str().unwrap();
        assert!(acknowledged.contains_key(id), "stored twice, or never sent: {id}");
        assert_eq!(event["status"], "delivered", "{event}");
        assert_eq!(stored.iter().filter(|other| **other == id).count(), 1, "stored twice: {id}");
        // Acknowledged as a duplicate: a kill came between the first commit and its answer.
        assert!(acknowledged[id] == "accepted" || event["duplicates"].as_u64().unwrap() > 0, "{event}");
        let deliveries = event["deliveries"].as_array().unwrap();
        assert_eq!(deliveries.len(), 1, "{event}");
        let attempts = deliveries[0]["attempts"].as_u64().unwrap();
        let (times, most) = (seen.get(id).copied().unwrap_or(0), 1 + KILLS as u64);
        // Only a kill makes an attempt that is not the last one: the destination took every request.
        assert!((1..=attempts).contains(&times) && attempts <= most, "seen {times} times: {event}");
        let detail = process.get(&format!("/api/v1/events/stripe/{id}")).await.json();
        assert_eq!(detail["deliveries"][0]["history"].as_array().unwrap().len(), 1, "only the last attempt came to its end: {detail}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn store_trouble_is_503_and_nothing_acknowledged_is_lost() {
    let (receiver, folder) = (Receiver::start().await, tempfile::tempdir().unwrap());
    let arguments = ["--source", "stripe=whsec_test_secret", "--forward", &receiver.url];
    let process = Process::serve(folder.path(), &arguments).await;
    accepted(&process, "evt_before").await;

    let lock = locked(&folder.path().join("onceward.db"));
    in_trouble(&process, "evt_locked").await;
    lock.execute_batch("ROLLBACK").unwrap();
    accepted(&process, "evt_locked").await;

    // No byte fits beyond the first page of any file, as on a full disk.
    limit_files(&process, "4096").await;
    in_trouble(&process, "evt_full").await;
    limit_files(&process, "unlimited").await;
    accepted(&process, "evt_full").await;
    accepted(&process, "evt_after").await;

    limit_files(&process, "4096").await;
    in_trouble(&process, "evt_lost").await;
    process.kill().await;
    let process = Process::serve(folder.path(), &arguments).await;
    process.settled().await;
    let mut stored: Vec<_> = process.rows("/api/v1/events?status=delivered").await.iter().map(|row| row["event_id"].clone()).collect();
    stored.sort_by_key(ToString::to_string);
    assert_eq!(stored, ["evt_after", "evt_before", "evt_full", "evt_locked"]);
    assert_eq!(process.rows("/api/v1/events").await.len(), 4, "what was not acknowledged is not there either");
    accepted(&process, "evt_lost").await;
    assert_eq!(process.terminate().await, Some(0));
}

/// Attempts under way when trouble begins.
const UNDER_WAY: usize = 3;

/// Has attempts begin that end when the semaphore says so.
async fn under_way(process: &Process, receiver: &Receiver, name: &str) -> Arc<Semaphore> {
    let (before, permits) = (receiver.count(), Arc::new(Semaphore::new(0)));
    receiver.next(vec![Behaviour::When(Arc::clone(&permits)); UNDER_WAY]);
    for number in 0..UNDER_WAY {
        accepted(process, &format!("evt_{name}_{number}")).await;
    }
    receiver.got(before + UNDER_WAY).await;
    permits
}

/// Lets them end, and waits until their destination has answered.
async fn end(permits: &Semaphore, receiver: &Receiver) {
    permits.add_permits(UNDER_WAY);
    until("the destination has answered", async || receiver.seen().iter().all(|seen| seen.answered.is_some())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_that_end_in_store_trouble_are_recorded_after_it_and_not_made_again() {
    let (receiver, folder) = (Receiver::start().await, tempfile::tempdir().unwrap());
    let process = Process::serve(folder.path(), &["--source", "stripe=whsec_test_secret", "--forward", &receiver.url]).await;

    let permits = under_way(&process, &receiver, "locked").await;
    let lock = locked(&folder.path().join("onceward.db"));
    end(&permits, &receiver).await;
    in_trouble(&process, "evt_in_lock").await;
    lock.execute_batch("ROLLBACK").unwrap();
    process.settled().await;

    let permits = under_way(&process, &receiver, "full").await;
    limit_files(&process, "4096").await;
    end(&permits, &receiver).await;
    in_trouble(&process, "evt_in_full").await;
    limit_files(&process, "unlimited").await;
    accepted(&process, "evt_after").await;
    process.settled().await;

    let deliveries = process.rows("/api/v1/deliveries?status=delivered").await;
    assert_eq!((deliveries.len(), receiver.count()), (2 * UNDER_WAY + 1, 2 * UNDER_WAY + 1), "{deliveries:?}");
    assert!(deliveries.iter().all(|delivery| delivery["attempts"] == 1), "{deliveries:?}");
    assert_eq!(process.rows("/api/v1/events").await.len(), deliveries.len());
    assert_eq!(process.terminate().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_that_end_while_the_database_is_elsewhere_are_made_again_at_most_once_it_is_back() {
    let (receiver, folder) = (Receiver::start().await, tempfile::tempdir().unwrap());
    let arguments = ["--source", "stripe=whsec_test_secret", "--forward", &receiver.url];
    let process = Process::serve(folder.path(), &arguments).await;
    let permits = under_way(&process, &receiver, "replaced").await;
    let files = ["onceward.db", "onceward.db-wal", "onceward.db-shm"].map(|name| folder.path().join(name));
    let aside = |file: &std::path::Path| std::path::PathBuf::from(format!("{}.aside", file.display()));
    files.iter().for_each(|file| std::fs::rename(file, aside(file)).unwrap());
    std::fs::write(&files[0], "something else").unwrap();
    end(&permits, &receiver).await;
    in_trouble(&process, "evt_in_between").await;
    assert_eq!(receiver.count(), UNDER_WAY, "nothing is attempted whose claim cannot be kept");
    process.kill().await;
    files.iter().for_each(|file| std::fs::rename(aside(file), file).unwrap());

    let process = Process::serve(folder.path(), &arguments).await;
    process.settled().await;
    let mut deliveries = process.rows("/api/v1/deliveries").await;
    // The first commit that found the file gone may have reached it nevertheless: that of an attempt's end, or of the event
    // that was refused, whose claimed attempt never began.
    deliveries.retain(|delivery| delivery["event_id"] != "evt_in_between");
    let seen = receiver.seen().into_iter().filter(|seen| seen.header("onceward-event-id") != "evt_in_between").count();
    let attempts: Vec<_> = deliveries.iter().map(|delivery| delivery["attempts"].as_u64().unwrap()).collect();
    assert_eq!((deliveries.len(), seen as u64), (UNDER_WAY, attempts.iter().sum()), "{deliveries:?}");
    assert!(attempts.iter().all(|attempts| (1..=2).contains(attempts)), "{deliveries:?}");
    assert!(deliveries.iter().all(|delivery| delivery["status"] == "delivered"), "{deliveries:?}");
    assert_eq!(process.terminate().await, Some(0));
}

/// Sets how large a file the process may write.
async fn limit_files(process: &Process, bytes: &str) {
    let limit = format!("--fsize={bytes}:unlimited");
    let set = Command::new("prlimit").args(["--pid", &process.pid(), &limit]).status().await.unwrap();
    assert!(set.success());
}

async fn accepted(process: &Process, id: &str) {
    let answer = process.send(stripe(id)).await;
    assert_eq!((answer.status, answer.header("onceward-status")), (200, "accepted"), "{id}: {answer:?}\n{}", process.printed());
    assert_eq!(process.get("/readyz").await.status, 200);
}

/// Events are refused for the time being, and the operator sees it; the process itself is well.
async fn in_trouble(process: &Process, id: &str) {
    let large = stripe_body(format!(r#"{{"id":"{id}","type":"a","pad":"{}"}}"#, "x".repeat(100_000)));
    let (small, large, ready) = tokio::join!(process.send(stripe(id)), process.send(large), process.get("/readyz"));
    for answer in [&small, &large, &ready] {
        assert_eq!((answer.status, answer.problem().as_str()), (503, "store-unavailable"), "{id}: {answer:?}");
        assert!(answer.header("retry-after").parse::<u32>().unwrap() > 0);
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(!["locked", "disk", "large", "onceward.db"].iter().any(|cause| text.contains(cause)), "the cause stays inside: {text}");
    }
    assert_eq!(process.get("/healthz").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_is_503_at_once() {
    let configuration = "[limits]\nqueue_requests = 1\n[sources.stripe]\nprovider = \"stripe\"\nsecret = \"whsec_test_secret\"\n";
    let app = TestApp::start(configuration).await;
    let lock = locked(&app.database());
    let answers = join_all((0..20).map(|event| app.send(stripe(&format!("evt_{event}"))))).await;
    let mut problems: BTreeMap<String, usize> = BTreeMap::new();
    for answer in &answers {
        assert_eq!(answer.status, 503);
        assert!(answer.header("retry-after").parse::<u32>().unwrap() > 0);
        *problems.entry(answer.problem()).or_default() += 1;
    }
    assert_eq!(problems.values().sum::<usize>(), 20);
    assert!(problems["queue-full"] >= 15, "{problems:?}");
    lock.execute_batch("ROLLBACK").unwrap();
    // What keeps house may have taken the one place.
    until("there is room again", async || app.send(stripe("evt_new")).await.status == 200).await;
    app.finish().await;
}
