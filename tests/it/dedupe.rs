//! Guarantee 3: for one identity there is one event and one set of deliveries.

use std::collections::BTreeMap;

use futures_util::future::join_all;

use crate::support::{Process, Receiver, Request, TestApp, github, stripe, stripe_body, until};

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

/// GitHub does not sign the delivery's ID: somebody who has captured a request sends it again under others.
async fn captured_under_two_more_ids(guard: &str) -> (TestApp, Receiver, Vec<serde_json::Value>) {
    let receiver = Receiver::start().await;
    let github_source =
        format!("[sources.github]\nprovider = \"github\"\nsecret = \"whsec_test_secret\"\nforward = \"{}\"\n", receiver.url);
    let app = TestApp::start(&format!("{github_source}{guard}\n")).await;
    let mut answers = Vec::new();
    for id in ["first", "second", "third", "second"] {
        let answer = app.send(github(id, "push", "{\"ref\":\"main\"}")).await;
        assert_eq!((answer.status, &answer.json()["status"]), (200, &answer.header("onceward-status").into()));
        answers.push(answer.json());
    }
    app.settled().await;
    (app, receiver, answers)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_content_under_another_id_is_marked() {
    let (app, receiver, answers) = captured_under_two_more_ids("").await;
    let told: Vec<_> = answers.iter().map(|answer| (answer["status"].as_str().unwrap(), answer["event_id"].as_str().unwrap())).collect();
    assert_eq!(told, [("accepted", "first"), ("accepted", "second"), ("accepted", "third"), ("duplicate", "second")]);
    let rows = app.rows("/api/v1/events?order=asc").await;
    let marks: Vec<_> = rows.iter().map(|row| row["same_content_as"].as_str()).collect();
    assert_eq!(marks, [None, Some("first"), Some("first")]);
    assert_eq!(app.metric("onceward_same_content_total{source=\"github\"}").await, 2.0);
    assert_eq!(receiver.seen().len(), 3);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_content_under_another_id_is_dropped_where_that_is_wanted() {
    let (app, receiver, answers) = captured_under_two_more_ids("replay_guard = \"drop\"").await;
    let told: Vec<_> = answers.iter().map(|answer| (answer["status"].as_str().unwrap(), answer["event_id"].as_str().unwrap())).collect();
    assert_eq!(told, [("accepted", "first"), ("duplicate", "first"), ("duplicate", "first"), ("duplicate", "first")]);
    let rows = app.rows("/api/v1/events").await;
    assert_eq!((rows.len(), &rows[0]["duplicates"], &rows[0]["same_content_as"]), (1, &3.into(), &serde_json::Value::Null));
    assert_eq!(app.metric("onceward_duplicates_total{source=\"github\"}").await, 3.0);
    assert_eq!(app.metric("onceward_same_content_total{source=\"github\"}").await, 3.0);
    assert_eq!(receiver.seen().len(), 1);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_id_with_other_content_is_a_duplicate_and_marks_the_event() {
    let receiver = Receiver::start().await;
    let app = TestApp::start(&forwarding(&receiver)).await;
    assert_eq!(app.send(stripe("evt")).await.header("onceward-status"), "accepted");
    assert_eq!(app.json("/api/v1/events/stripe/evt").await["body_differs"], false);
    let other = serde_json::json!({ "id": "evt", "type": "invoice.void" }).to_string();
    assert_eq!(app.send(stripe_body(other)).await.header("onceward-status"), "duplicate");
    app.settled().await;
    let event = app.json("/api/v1/events/stripe/evt").await;
    assert_eq!((&event["body_differs"], &event["type"], &event["duplicates"]), (&true.into(), &"invoice.paid".into(), &1.into()));
    assert_eq!(app.metric("onceward_body_differs_total{source=\"stripe\"}").await, 1.0);
    assert_eq!(receiver.seen().len(), 1);
    app.finish().await;
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
