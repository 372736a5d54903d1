//! What an operator does with single events: publish one, erase what one held, take one away as a fixture.

use std::fs;

use onceward::domain::SystemClock;
use onceward::fixture;
use onceward::provider::Table;
use secrecy::SecretString;
use serde_json::Value;

use crate::support::{Answer, Behaviour, Receiver, Request, TestApp, github, until};

const SECRET: &str = "whsec_test_secret";

fn sources(receiver: &Receiver) -> String {
    format!("[sources.github]\nprovider = \"github\"\nsecret = \"{SECRET}\"\nforward = \"{}in\"\n", receiver.url)
}

async fn put(app: &TestApp, path: &str, body: &str) -> Answer {
    app.ask(Request::post(&format!("/api/v1/events/{path}"), body).method("PUT").header("content-type", "application/json")).await
}

async fn delete(app: &TestApp, path: &str) -> Answer {
    app.ask(Request::post(&format!("/api/v1/events/{path}"), "").method("DELETE")).await
}

/// The event as the API shows it, what the clock puts into it aside.
async fn event(app: &TestApp, id: &str) -> Value {
    app.json(&format!("/api/v1/events/github/{id}")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_published_event_is_delivered_once_however_often_it_is_said() {
    let receiver = Receiver::start().await;
    let app = TestApp::start(&sources(&receiver)).await;
    let first = put(&app, "github/by-hand%201?type=push", "{\"n\":1}").await;
    assert_eq!((first.status, first.json()["event_id"].as_str()), (201, Some("by-hand 1")), "{first:?}");
    app.settled().await;
    let before = event(&app, "by-hand%201").await;
    assert_eq!(
        (before["type"].as_str(), before["verified_by"].as_str(), before["status"].as_str()),
        (Some("push"), Some("api"), Some("delivered"))
    );
    let again = put(&app, "github/by-hand%201?type=push", "{\"n\":1}").await;
    assert_eq!(again.status, 200, "{again:?}");
    assert_eq!(event(&app, "by-hand%201").await, before, "twice is once");
    let other = put(&app, "github/by-hand%201", "{\"n\":2}").await;
    assert_eq!((other.status, other.problem().as_str()), (409, "conflict"));
    assert_eq!(event(&app, "by-hand%201").await, before, "a conflict changes nothing");
    let seen = receiver.seen();
    assert_eq!((seen.len(), &seen[0].body[..], seen[0].header("content-type").as_str()), (1, &b"{\"n\":1}"[..], "application/json"));
    assert_eq!(seen[0].header("idempotency-key"), "github:by-hand%201");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_sender_brings_after_it_was_published_is_a_duplicate() {
    let receiver = Receiver::start().await;
    let app = TestApp::start(&sources(&receiver)).await;
    assert_eq!(put(&app, "github/guid-1", "{}").await.status, 201);
    assert_eq!(app.send(github("guid-1", "push", "{}")).await.header("onceward-status"), "duplicate");
    assert_eq!(put(&app, "github/guid-1", "{}").await.status, 200);
    assert_eq!(event(&app, "guid-1").await["duplicates"], 1, "the sender's alone is counted");
    app.settled().await;
    assert_eq!(receiver.count(), 1);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_published_says_why() {
    let receiver = Receiver::start().await;
    let app = TestApp::start(&sources(&receiver)).await;
    let long = "x".repeat(1_025);
    let cases = [
        ("nobody/1".to_owned(), 404, "not-found"),
        ("onceward/1".to_owned(), 404, "not-found"),
        (format!("github/{long}"), 400, "invalid-parameter"),
        (format!("github/1?type={}", "x".repeat(257)), 400, "invalid-parameter"),
        ("github/1?typ=push".to_owned(), 400, "invalid-parameter"),
    ];
    for (path, status, code) in cases {
        let answer = put(&app, &path, "{}").await;
        assert_eq!((answer.status, answer.problem().as_str()), (status, code), "{path}");
    }
    let large = put(&app, "github/1", &"x".repeat(27 << 20)).await;
    assert_eq!((large.status, large.problem().as_str()), (413, "body-too-large"));
    assert!(app.rows("/api/v1/events").await.is_empty());
    app.finish().await;
}

/// Whether the database or its log holds these bytes.
fn holds(app: &TestApp, bytes: &str) -> bool {
    let database = app.database();
    let log = database.with_file_name("test.db-wal");
    let read = |path| fs::read(path).unwrap_or_default();
    [read(database), read(log)].iter().any(|file| file.windows(bytes.len()).any(|window| window == bytes.as_bytes()))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_erased_is_gone_from_the_files_and_its_id_stays_known() {
    let receiver = Receiver::start().await;
    receiver.always(Behaviour::Status(200));
    let app = TestApp::start(&sources(&receiver)).await;
    let body = format!("{{\"name\":\"marker-in-a-body\",\"padding\":\"{}\"}}", "marker-in-padding".repeat(1_000));
    let sent = || github("guid-1", "push", body.clone()).header("x-note", "marker-in-a-header").to("/hooks/github?q=marker-in-a-query");
    assert_eq!(app.send(sent()).await.header("onceward-status"), "accepted");
    assert_eq!(app.send(github("guid-2", "push", "{\"stays\":true}")).await.status, 200);
    app.settled().await;
    assert!(holds(&app, "marker-in-a-body") && holds(&app, "marker-in-a-header") && holds(&app, "marker-in-a-query"));

    assert_eq!(delete(&app, "github/guid-1").await.status, 204);
    for marker in ["marker-in-a-body", "marker-in-padding", "marker-in-a-header", "marker-in-a-query"] {
        assert!(!holds(&app, marker), "{marker}");
    }
    assert_eq!(delete(&app, "github/guid-1").await.status, 204, "twice is once");
    let erased = event(&app, "guid-1").await;
    assert_eq!((erased["status"].as_str(), &erased["headers"]), (Some("delivered"), &Value::Null));
    for path in ["body", "fixture"] {
        assert_eq!(app.get(&format!("/api/v1/events/github/guid-1/{path}")).await.status, 404, "{path}");
    }
    assert_eq!(app.send(sent()).await.header("onceward-status"), "duplicate");
    assert_eq!(app.get("/api/v1/events/github/guid-2/body").await.body, b"{\"stays\":true}");
    assert_eq!(delete(&app, "github/unknown").await.status, 404);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_unfinished_of_an_erased_event_is_called_off() {
    let receiver = Receiver::start().await;
    receiver.always(Behaviour::Status(500));
    let app = TestApp::start(&sources(&receiver)).await;
    app.send(github("guid-1", "push", "{}")).await;
    until("the first attempt has failed", async || event(&app, "guid-1").await["status"] == "failing").await;
    assert_eq!(delete(&app, "github/guid-1").await.status, 204);
    assert_eq!(event(&app, "guid-1").await["status"], "cancelled");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_request_that_became_an_event_is_erased_with_it() {
    let receiver = Receiver::start().await;
    let app = TestApp::start(&sources(&receiver).replace(SECRET, "whsec_wrong_secret")).await;
    assert_eq!(app.send(github("guid-1", "push", "{\"m\":\"marker-in-a-refusal\"}")).await.status, 401);
    until("the refusal is explained", async || app.rows("/api/v1/rejections").await.len() == 1).await;
    let folder = app.stop().await;
    let app = TestApp::start_in(folder, &sources(&receiver)).await;
    app.ask(Request::post("/api/v1/rejections/reverify", "")).await;
    app.settled().await;
    assert!(holds(&app, "marker-in-a-refusal"));
    assert_eq!(delete(&app, "github/guid-1").await.status, 204);
    assert!(!holds(&app, "marker-in-a-refusal"));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_taken_away_as_a_fixture_verifies_with_its_secret() {
    let receiver = Receiver::start().await;
    let app = TestApp::start(&sources(&receiver)).await;
    app.send(github("guid-1", "push", "{\"ref\":\"refs/heads/main\"}\n\n")).await;
    let answer = app.get("/api/v1/events/github/guid-1/fixture").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "message/http"));
    assert!(!String::from_utf8_lossy(&answer.body).contains(SECRET));
    let path = app.database().with_file_name("event.http");
    fs::write(&path, &answer.body).unwrap();
    let fixture = fixture::load_file(&path).unwrap();
    assert_eq!(fixture.expect.as_ref().unwrap().to_string(), "accepted guid-1 push");
    let judged = fixture::judge(&fixture, &Table::builtin(), &[SecretString::from(SECRET)], &SystemClock).unwrap();
    assert_eq!(Some(judged.outcome), fixture.expect, "{}", judged.diagnosis);
    app.settled().await;
    app.finish().await;
}
