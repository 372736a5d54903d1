//! Lists of the admin API: filters, order, and pages that neither skip nor repeat while new rows arrive.

use onceward::domain::Timestamp;
use serde_json::Value;

use crate::support::{Behaviour, Receiver, TestApp, github, stripe};

const SOURCES: &str = "[sources.github]\nprovider = \"github\"\nsecret = \"whsec_test_secret\"\n\
                       [sources.stripe]\nprovider = \"stripe\"\nsecret = \"whsec_test_secret\"\n";

fn ids(rows: &[Value]) -> Vec<&str> {
    rows.iter().map(|row| row["event_id"].as_str().unwrap()).collect()
}

/// Walks all pages of a list; `between` runs after each.
async fn walk(app: &TestApp, path: &str, mut between: impl AsyncFnMut()) -> Vec<Value> {
    let (mut rows, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = app.json(&format!("{path}{cursor}")).await;
        rows.extend(page["data"].as_array().unwrap().clone());
        let Some(next) = page["next"].as_str() else { return rows };
        assert!(!page["data"].as_array().unwrap().is_empty(), "an empty page has a next one");
        cursor = format!("&cursor={next}");
        between().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_neither_skip_nor_repeat_while_new_events_arrive() {
    let app = TestApp::start(SOURCES).await;
    let all: Vec<_> = (0..23).map(|number| format!("e{number:02}")).collect();
    for id in &all {
        app.send(github(id, "push", "{}")).await;
    }
    let mut arrived = 0;
    let newest = walk(&app, "/api/v1/events?limit=5", async || {
        arrived += 1;
        app.send(github(&format!("new{arrived}"), "push", "{}")).await;
    })
    .await;
    let expected: Vec<_> = all.iter().rev().map(String::as_str).collect();
    assert_eq!(ids(&newest), expected, "newest first, as it was when the walk began");
    assert_eq!(arrived, 4);
    let mut later = 0;
    let oldest = walk(&app, "/api/v1/events?limit=9&order=asc", async || {
        later += 1;
        if later == 1 {
            app.send(github("last", "push", "{}")).await;
        }
    })
    .await;
    let expected: Vec<_> = all.iter().map(String::as_str).chain(["new1", "new2", "new3", "new4", "last"]).collect();
    assert_eq!(ids(&oldest), expected, "oldest first, with all that came while it was walked");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_page_says_so_even_when_it_is_full() {
    let app = TestApp::start(SOURCES).await;
    for id in ["1", "2", "3", "4"] {
        app.send(github(id, "push", "{}")).await;
    }
    let page = app.json("/api/v1/events?limit=4").await;
    assert_eq!((page["data"].as_array().unwrap().len(), &page["next"]), (4, &Value::Null));
    assert_eq!(walk(&app, "/api/v1/events?limit=2", async || {}).await.len(), 4);
    assert_eq!(app.json("/api/v1/events?source=stripe").await, serde_json::json!({ "data": [], "next": null }));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_rows_are_a_page_when_nobody_says_how_many() {
    let app = TestApp::start(SOURCES).await;
    futures_util::future::join_all((0..51).map(|number| app.send(github(&number.to_string(), "push", "{}")))).await;
    let page = app.json("/api/v1/events").await;
    assert_eq!((page["data"].as_array().unwrap().len(), page["next"].is_string()), (50, true));
    assert_eq!(walk(&app, "/api/v1/events?", async || {}).await.len(), 51);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_found_by_what_they_are() {
    let receiver = Receiver::start().await;
    receiver.always(Behaviour::Status(410));
    let hook = format!("[destinations.hook]\nfrom = [\"github\"]\ntypes = [\"push\"]\nurl = \"{}\"\n", receiver.url);
    let app = TestApp::start(&format!("{SOURCES}{hook}")).await;
    for (id, event, body) in [("a", "push", "{}"), ("b", "issues", r#"{"action":"opened"}"#), ("c", "issues", r#"{"action":"closed"}"#)] {
        app.send(github(id, event, body)).await;
    }
    app.send(stripe("a")).await;
    app.settled().await;
    let cases = [
        ("source=github", vec!["c", "b", "a"]),
        ("source=stripe", vec!["a"]),
        ("type=issues.opened", vec!["b"]),
        ("type=invoice.paid", vec!["a"]),
        ("event_id=a", vec!["a", "a"]),
        ("event_id=a&source=github", vec!["a"]),
        ("event_id=a&type=push", vec!["a"]),
        ("event_id=b&source=stripe", vec![]),
        ("status=dead", vec!["a"]),
        ("status=unrouted", vec!["a", "c", "b"]),
        ("status=unrouted&source=github&order=asc", vec!["b", "c"]),
        ("status=delivered", vec![]),
        ("status=pending", vec![]),
        ("status=failing", vec![]),
        ("status=cancelled", vec![]),
        ("source=nobody", vec![]),
    ];
    for (filter, expected) in cases {
        assert_eq!(ids(&app.rows(&format!("/api/v1/events?{filter}")).await), expected, "{filter}");
        // Filters and pages go together.
        assert_eq!(ids(&walk(&app, &format!("/api/v1/events?limit=1&{filter}"), async || {}).await), expected, "{filter}, page by page");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn since_includes_its_instant_and_until_does_not() {
    let app = TestApp::start(SOURCES).await;
    let mut times: Vec<Timestamp> = Vec::new();
    for id in ["1", "2", "3"] {
        // Each in a millisecond of its own.
        let after = times.last().copied();
        crate::support::until("a millisecond has passed", async || {
            use onceward::domain::Clock as _;
            after.is_none_or(|after| onceward::domain::SystemClock.now() > after)
        })
        .await;
        app.send(github(id, "push", "{}")).await;
        let event = app.json(&format!("/api/v1/events/github/{id}")).await;
        times.push(Timestamp::parse(event["received_at"].as_str().unwrap()).unwrap());
    }
    let [first, second, third] = times[..] else { panic!("three events") };
    let cases = [
        (format!("since={second}"), vec!["3", "2"]),
        (format!("until={second}"), vec!["1"]),
        (format!("since={second}&until={third}"), vec!["2"]),
        (format!("since={first}&until={first}"), vec![]),
        ("since=2000-01-01T00:00:00%2B02:00".to_owned(), vec!["3", "2", "1"]),
        ("since=2999-01-01T00:00:00Z".to_owned(), vec![]),
        ("until=1999-01-01T00:00:00Z".to_owned(), vec![]),
    ];
    for (filter, expected) in cases {
        assert_eq!(ids(&app.rows(&format!("/api/v1/events?{filter}")).await), expected, "{filter}");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_are_found_by_what_they_are_and_paged_both_ways() {
    let (good, gone) = (Receiver::start().await, Receiver::start().await);
    gone.always(Behaviour::Status(410));
    let destination =
        |name: &str, from: &str, receiver: &Receiver| format!("[destinations.{name}]\nfrom = {from}\nurl = \"{}\"\n", receiver.url);
    let both = "[\"github\", \"stripe\"]";
    let app = TestApp::start(&format!("{SOURCES}{}{}", destination("good", both, &good), destination("gone", "[\"github\"]", &gone))).await;
    for id in ["1", "2", "3"] {
        app.send(github(id, "push", "{}")).await;
    }
    app.send(stripe("evt_1")).await;
    app.settled().await;
    let cases = [
        ("", 7),
        ("status=delivered", 4),
        ("status=dead", 3),
        ("status=pending", 0),
        ("status=cancelled", 0),
        ("destination=good", 4),
        ("destination=gone", 3),
        ("destination=nowhere", 0),
        ("source=stripe", 1),
        ("source=github&destination=good", 3),
        ("source=stripe&status=dead", 0),
        ("since=2999-01-01T00:00:00Z", 0),
        ("until=2999-01-01T00:00:00Z", 7),
    ];
    for (filter, count) in cases {
        assert_eq!(app.rows(&format!("/api/v1/deliveries?{filter}")).await.len(), count, "{filter}");
        let newest = walk(&app, &format!("/api/v1/deliveries?limit=2&{filter}"), async || {}).await;
        let mut oldest = walk(&app, &format!("/api/v1/deliveries?limit=3&order=asc&{filter}"), async || {}).await;
        oldest.reverse();
        assert_eq!(newest, oldest, "{filter}");
        assert_eq!(newest.len(), count, "{filter}, page by page");
    }
    app.finish().await;
}
