//! Guarantee 3: for one identity there is one event and one set of deliveries.

use std::collections::BTreeMap;

use futures_util::future::join_all;

use crate::support::{Process, Receiver, Request, TestApp, github, stripe, until};

fn forwarding(receiver: &Receiver) -> String {
    format!("[sources.stripe]\nprovider = \"stripe\"\nsecret = \"whsec_test_secret\"\nforward = \"{}\"\n", receiver.url)
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_identical_requests_make_one_event_and_one_delivery() {
    let receiver = Receiver::start().await;
    let app = TestApp::start(&forwarding(&receiver)).await;
    let answers = join_all((0..50).map(|_| app.send(stripe("evt_same")))).await;
    let mut counts = BTreeMap::new();
    for answer in &answers {
        assert_eq!(answer.status, 200);
        assert_eq!(answer.json()["event_id"], "evt_same");
        assert_eq!(answer.json()["status"], answer.header("onceward-status"));
        *counts.entry(answer.header("onceward-status").to_owned()).or_insert(0) += 1;
    }
    assert_eq!(counts, BTreeMap::from([("accepted".to_owned(), 1), ("duplicate".to_owned(), 49)]));
    app.settled().await;
    let event = app.json("/api/v1/events/stripe/evt_same").await;
    assert_eq!((&event["duplicates"], event["deliveries"].as_array().unwrap().len()), (&49.into(), 1));
    assert_eq!(app.rows("/api/v1/events").await.len(), 1);
    assert_eq!(receiver.seen().len(), 1);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_identical_requests_after_kill_9_make_no_second_event() {
    let (receiver, folder) = (Receiver::start().await, tempfile::tempdir().unwrap());
    let client = reqwest::Client::new();
    let send = async |process: &Process, request: Request| request.build(&client, &process.public).send().await.unwrap().status();
    let arguments = ["--source", "stripe=whsec_test_secret", "--forward", &receiver.url];
    let process = Process::serve(folder.path(), &arguments).await;
    assert_eq!(send(&process, stripe("evt_once")).await, 200);
    receiver.got(1).await;
    process.kill().await;
    let process = Process::serve(folder.path(), &arguments).await;
    let statuses = join_all((0..50).map(|_| send(&process, stripe("evt_once")))).await;
    assert!(statuses.iter().all(|status| *status == 200));
    let ask = async || {
        let url = format!("{}/api/v1/events/stripe/evt_once", process.admin);
        serde_json::from_slice::<serde_json::Value>(&client.get(url).send().await.unwrap().bytes().await.unwrap()).unwrap()
    };
    until("the one delivery has ended", async || ask().await["status"] == "delivered").await;
    let event = ask().await;
    assert_eq!((&event["duplicates"], event["deliveries"].as_array().unwrap().len()), (&50.into(), 1));
    // The kill may have come between the destination's answer and its commit: then, and only then, it was asked twice.
    let attempts = event["deliveries"][0]["attempts"].as_u64().unwrap();
    assert_eq!(receiver.seen().len() as u64, attempts);
    assert_eq!(process.terminate().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_id_in_two_sources_is_two_events() {
    let configuration = "[sources.stripe]\nprovider = \"stripe\"\nsecret = \"whsec_test_secret\"\n\
                         [sources.github]\nprovider = \"github\"\nsecret = \"whsec_test_secret\"\n";
    let app = TestApp::start(configuration).await;
    assert_eq!(app.send(stripe("same")).await.header("onceward-status"), "accepted");
    assert_eq!(app.send(github("same", "push", "{}")).await.header("onceward-status"), "accepted");
    assert_eq!(app.send(github("same", "push", "{}")).await.header("onceward-status"), "duplicate");
    assert_eq!(app.rows("/api/v1/events").await.len(), 2);
    app.finish().await;
}
