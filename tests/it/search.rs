//! Events by the words in them: the same answers over the API and from the command line's own reading of the database.

use serde_json::{Value, json};

use crate::support::{Answer, Receiver, Request, TestApp, until};

async fn put(app: &TestApp, path: &str, content_type: &str, body: &str) {
    let request = Request::post(&format!("/api/v1/events/{path}"), body).method("PUT").header("content-type", content_type);
    assert_eq!(app.ask(request).await.status, 201, "{path}");
}

/// The IDs of all pages.
async fn found(app: &TestApp, query: &str) -> Vec<String> {
    let (mut ids, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = app.json(&format!("/api/v1/events?{query}{cursor}")).await;
        ids.extend(page["data"].as_array().unwrap().iter().map(|event| event["event_id"].as_str().unwrap().to_owned()));
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return ids,
        }
    }
}

async fn filled(receiver: &Receiver) -> TestApp {
    let app = TestApp::start(&format!(
        "[sources.github]\nprovider = \"github\"\nsecret = \"s\"\nforward = \"{}in\"\n[sources.quiet]\nprovider = \"github\"\nsecret = \"s\"\nsearch = false\n",
        receiver.url
    ))
    .await;
    put(&app, "github/evt_1?type=invoice.paid", "application/json", r#"{"customer":"alice@example.com","amount":1999}"#).await;
    put(&app, "github/evt_2?type=invoice.failed", "application/json", r#"{"customer":"Z\u00fcrich AG\nbob","amount":2000}"#).await;
    put(&app, "github/evt_3?type=message", "application/x-www-form-urlencoded", "From=%2B49123&Body=See+you%21").await;
    put(&app, "quiet/evt_4?type=invoice.paid", "application/json", r#"{"customer":"alice@example.com"}"#).await;
    app
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_found_by_the_words_in_ids_types_and_bodies() {
    let receiver = Receiver::start().await;
    let app = filled(&receiver).await;
    for (query, expected) in [
        ("q=alice@example.com", vec!["evt_1"]),
        ("q=ALICE", vec!["evt_1"]),
        ("q=1999", vec!["evt_1"]),
        ("q=evt_2", vec!["evt_2"]),
        ("q=invoice", vec!["evt_2", "evt_1"]),
        ("q=invoice&order=asc&limit=1", vec!["evt_1", "evt_2"]),
        ("q=z%C3%BCrich+bob", vec!["evt_2"]),
        ("q=49123", vec!["evt_3"]),
        ("q=invo*+customer", vec!["evt_2", "evt_1"]),
        ("q=invo", vec![]),
        ("q=in*", vec![]),
        ("q=!!!", vec![]),
        ("q=alice+bob", vec![]),
        ("q=invoice&type=invoice.paid", vec!["evt_1"]),
        ("q=alice&source=quiet", vec![]),
        ("q=alice&event_id=evt_1", vec!["evt_1"]),
        ("q=bob&event_id=evt_1", vec![]),
        ("q=&source=quiet", vec!["evt_4"]),
    ] {
        assert_eq!(found(&app, query).await, expected, "{query}");
    }
    let long = app.ask(Request::post(&format!("/api/v1/events?q={}", "a".repeat(257)), "").method("GET")).await;
    assert_eq!((long.status, long.problem().as_str()), (400, "invalid-parameter"), "{long:?}");
    assert_eq!(app.json("/api/v1/sources/quiet").await["search"], false);
    app.settled().await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_erased_is_found_no_more() {
    let receiver = Receiver::start().await;
    let app = filled(&receiver).await;
    let erased: Answer = app.ask(Request::post("/api/v1/events/github/evt_1", "").method("DELETE")).await;
    assert_eq!(erased.status, 204, "{erased:?}");
    assert_eq!(found(&app, "q=alice").await, Vec::<String>::new());
    assert_eq!(found(&app, "q=evt_1").await, Vec::<String>::new());
    assert_eq!(found(&app, "event_id=evt_1").await, ["evt_1"]);
    app.settled().await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_can_be_delivered_again_by_their_words() {
    let receiver = Receiver::start().await;
    let app = filled(&receiver).await;
    app.settled().await;
    let order = json!({ "filter": { "q": "customer invoice" }, "rate": 1_000 });
    let answer = app.ask(Request::post("/api/v1/replays", order.to_string()).header("content-type", "application/json")).await;
    let job: Value = answer.json();
    assert_eq!((answer.status, &job["total"]), (202, &json!(2)), "{job}");
    let path = format!("/api/v1/replays/{}", job["id"].as_str().unwrap());
    until("the job ends", async || app.json(&path).await["status"] == "done").await;
    app.settled().await;
    let mut replayed: Vec<_> = receiver
        .seen()
        .iter()
        .filter(|seen| seen.header("onceward-replay") == "true")
        .map(|seen| seen.header("onceward-event-id"))
        .collect();
    replayed.sort();
    assert_eq!(replayed, ["evt_1", "evt_2"]);
    app.finish().await;
}
