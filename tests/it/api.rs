//! The admin API: who may use it, what it shows of events, deliveries and rejections, and what it refuses.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::{Behaviour, Receiver, Request, TestApp, github, stripe};

const SOURCES: &str = "[sources.github]\nprovider = \"github\"\nsecret = \"whsec_test_secret\"\n\
                       [sources.stripe]\nprovider = \"stripe\"\nsecret = \"whsec_test_secret\"\n";

const LISTS: [&str; 3] = ["/api/v1/events", "/api/v1/deliveries", "/api/v1/rejections"];
/// As the others, without filters.
const REPLAYS: &str = "/api/v1/replays";

fn ask(method: &str, path: &str) -> Request {
    Request::post(path, "").method(method)
}

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_but_liveness_and_readiness_is_open_without_the_token() {
    let admin = "[admin]\nlisten = \"127.0.0.1:0\"\ntoken = \"0123456789abcdef-token\"\n";
    let app = TestApp::start(&format!("{SOURCES}{admin}")).await;
    let paths = [
        LISTS.as_slice(),
        &["/", "/metrics", "/api/v1/events/a/b", "/api/v1/events/a/b/body", "/api/v1/events/a/b/replay", "/api/v1/deliveries/retry"],
        &["/api/v1/replays/1/cancel", "/api/v1/rejections/reverify", "/nowhere", "/healthz/"],
    ];
    let wrong = ["", "Bearer", "Bearer ", "Bearer 0123456789abcdef-toke", "Bearer 0123456789abcdef-token2", "Basic 0123456789abcdef-token"];
    let mut refusals = BTreeSet::new();
    for path in paths.concat() {
        for method in ["GET", "POST", "DELETE", "OPTIONS"] {
            let answer = app.ask(ask(method, path)).await;
            assert_eq!((answer.status, answer.problem().as_str()), (401, "unauthorized"), "{method} {path}");
            assert!(answer.header("www-authenticate").starts_with("Bearer"), "{answer:?}");
            refusals.insert(answer.body);
        }
        // Few, or they would have to wait.
        for value in wrong.iter().filter(|_| path == LISTS[0]) {
            let answer = app.ask(ask("GET", path).header("authorization", *value)).await;
            assert_eq!(answer.status, 401, "{value}");
            refusals.insert(answer.body);
        }
        let answer = app.ask(ask("GET", path).header("authorization", "Bearer 0123456789abcdef-token")).await;
        assert_ne!(answer.status, 401, "{path}");
    }
    assert_eq!(refusals.len(), 1, "a refusal tells how near the guess was, or what is there");
    assert_eq!(app.ask(ask("GET", "/api/v1/events?token=0123456789abcdef-token")).await.status, 401, "a token in a URL is none");
    for path in ["/healthz", "/readyz", "/readyz?x"] {
        for method in ["GET", "HEAD"] {
            assert_eq!(app.ask(ask(method, path)).await.status, 200, "{method} {path}");
        }
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_token_no_web_page_reaches_the_api_through_a_browser() {
    let app = TestApp::start(SOURCES).await;
    for path in LISTS {
        for host in ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8081"] {
            let answer = app.ask(ask("GET", path).header("host", host)).await;
            assert_eq!((answer.status, answer.problem().as_str()), (401, "unauthorized"), "{host}");
        }
        for origin in ["https://evil.example", "null", "http://localhost.evil.example"] {
            assert_eq!(app.ask(ask("GET", path).header("origin", origin)).await.status, 401, "{origin}");
        }
        for (name, value) in [("host", "localhost:8081"), ("host", "[::1]"), ("origin", "http://127.0.0.1:8081")] {
            assert_eq!(app.ask(ask("GET", path).header(name, value)).await.status, 200, "{name}: {value}");
        }
    }
    app.finish().await;
}

/// A program with one event of the source `github`, delivered at the second attempt.
async fn with_one_event() -> (TestApp, Receiver) {
    let receiver = Receiver::start().await;
    receiver.next([Behaviour::Status(500)]);
    let hook = format!("[destinations.hook]\nfrom = [\"github\"]\nurl = \"{}\"\nretry = {{ first = \"1ms\" }}\n", receiver.url);
    let app = TestApp::start(&format!("{SOURCES}{hook}")).await;
    app.send(github("1", "push", "{}")).await;
    app.settled().await;
    (app, receiver)
}

const EVENT: &str = "source provider event_id type received_at status duplicates last_duplicate_at size content_type headers verified_by same_content_as body_differs deliveries";
/// `source` and `event_id` say whose a delivery is that is shown alone.
const DELIVERY: &str = "id source event_id destination status attempts next_attempt_at waits_in_line holds_line created_at finished_at replay last_error history";
const ATTEMPT: &str = "attempt at duration_ms status_code error response";

/// These fields but for one.
fn fields<'a>(all: &'a str, without: &str) -> BTreeSet<&'a str> {
    all.split(' ').filter(|field| *field != without).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_has_the_documented_fields() {
    let (app, _receiver) = with_one_event().await;
    let event = app.json("/api/v1/events/github/1").await;
    let delivery = &event["deliveries"][0];
    assert_eq!(keys(&event), fields(EVENT, ""));
    assert_eq!(keys(delivery), fields(DELIVERY, ""));
    assert_eq!(keys(&delivery["history"][0]), fields(ATTEMPT, ""));
    assert_eq!((&event["source"], &event["provider"], &event["type"]), (&"github".into(), &"github".into(), &"push".into()));
    assert_eq!((&event["size"], &event["content_type"]), (&2.into(), &"application/json".into()));
    assert_eq!((&event["duplicates"], &event["last_duplicate_at"]), (&0.into(), &Value::Null));
    assert!(event["headers"].as_array().unwrap().contains(&serde_json::json!(["x-github-event", "push"])));
    for time in [&event["received_at"], &delivery["created_at"], &delivery["finished_at"], &delivery["history"][1]["at"]] {
        let text = time.as_str().unwrap();
        assert!(text.ends_with('Z') && onceward::domain::Timestamp::parse(text).is_ok(), "{text} is not RFC 3339 in UTC");
    }
    assert_eq!(app.json(&format!("/api/v1/deliveries/{}", delivery["id"].as_str().unwrap())).await, *delivery);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_leave_out_headers_and_history() {
    let (app, _receiver) = with_one_event().await;
    let page = app.json("/api/v1/events").await;
    assert_eq!((keys(&page), &page["next"]), (BTreeSet::from(["data", "next"]), &Value::Null));
    assert_eq!(keys(&page["data"][0]), fields(EVENT, "headers"));
    assert_eq!(keys(&page["data"][0]["deliveries"][0]), fields(DELIVERY, "history"));
    let delivery = &app.rows("/api/v1/deliveries").await[0];
    assert_eq!(keys(delivery), fields(DELIVERY, "history"));
    assert_eq!((&delivery["source"], &delivery["event_id"], &delivery["replay"]), (&"github".into(), &"1".into(), &false.into()));
    assert_eq!((&delivery["status"], &delivery["attempts"]), (&"delivered".into(), &2.into()));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejection_has_the_documented_fields() {
    let app = TestApp::start(SOURCES).await;
    app.send(github("1", "push", "{}").without("x-hub-signature-256")).await;
    app.send(stripe("evt_1").without("stripe-signature").header("stripe-signature", "?")).await;
    let rejections = app.rows("/api/v1/rejections").await;
    let fields = BTreeSet::from(["id", "source", "received_at", "code", "diagnosis", "status", "event_id"]);
    assert!(rejections.iter().all(|rejection| keys(rejection) == fields), "{rejections:?}");
    assert_eq!((&rejections[0]["source"], &rejections[1]["source"]), (&"stripe".into(), &"github".into()), "newest first");
    assert_eq!((&rejections[0]["status"], &rejections[0]["event_id"]), (&"refused".into(), &Value::Null));
    for (filter, count) in
        [("source=stripe", 1), ("code=signature-missing", 1), ("code=timestamp-stale", 0), ("since=2999-01-01T00:00:00Z", 0)]
    {
        assert_eq!(app.rows(&format!("/api/v1/rejections?{filter}")).await.len(), count, "{filter}");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_comes_back_byte_for_byte_and_a_browser_only_saves_it() {
    let app = TestApp::start(SOURCES).await;
    let script = "<script>alert(1)</script>";
    for (id, content_type) in [("html", Some("text/html; charset=utf-8")), ("none", None)] {
        let request = github(id, "push", script).without("content-type");
        app.send(content_type.map_or(request.clone(), |value| request.header("content-type", value))).await;
        let answer = app.get(&format!("/api/v1/events/github/{id}/body")).await;
        assert_eq!((answer.status, answer.body.as_slice()), (200, script.as_bytes()));
        assert_eq!(answer.header("content-type"), content_type.unwrap_or("application/octet-stream"));
        assert_eq!((answer.header("content-disposition"), answer.header("x-content-type-options")), ("attachment", "nosniff"));
        assert_eq!(app.json(&format!("/api/v1/events/github/{id}")).await["content_type"], content_type.map_or(Value::Null, Value::from));
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_a_404_and_what_is_not_allowed_a_405() {
    let app = TestApp::start(SOURCES).await;
    app.send(github("1", "push", "{}")).await;
    let absent = [
        "/api/v1/events/github/2",
        "/api/v1/events/stripe/1",
        "/api/v1/events/nobody/1",
        "/api/v1/events/github/2/body",
        "/api/v1/deliveries/99",
        "/api/v1/replays/99",
        "/api/v1/replays/x",
        "/api/v1/deliveries/x",
        "/api/v1/deliveries/-1",
        "/api/v1/deliveries/99999999999999999999",
        "/api/v1/nothing",
        "/api/v2/events",
        "/api",
        "/api/v1/events/github",
        "/hooks/github",
    ];
    for path in absent {
        let answer = app.get(path).await;
        assert_eq!((answer.status, answer.problem().as_str()), (404, "not-found"), "{path}");
    }
    let one = ["/api/v1/events/github/1", "/api/v1/events/github/1/body", "/api/v1/deliveries/1"];
    for path in LISTS.iter().chain(&one).chain(&[REPLAYS, "/metrics", "/readyz", "/healthz"]) {
        let answer = app.ask(ask("PATCH", path)).await;
        assert_eq!((answer.status, answer.problem().as_str()), (405, "method-not-allowed"), "{path}");
        let allowed: Vec<_> = answer.header("allow").split(", ").collect();
        assert!(allowed.contains(&"GET"), "{path}: {answer:?}");
        // What is said to be allowed is.
        for method in allowed.iter().filter(|method| matches!(**method, "GET" | "HEAD")) {
            assert_ne!(app.ask(ask(method, path)).await.status, 405, "{method} {path}");
        }
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_parameter_is_an_error_that_names_it() {
    let app = TestApp::start(SOURCES).await;
    let everywhere = [
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=-1", "limit"),
        ("limit=ten", "limit"),
        ("limit=", "limit"),
        ("until=", "until"),
        ("order=", "order"),
        ("cursor=", "cursor"),
        ("cursor=nonsense", "cursor"),
        ("order=sideways", "order"),
        ("since=yesterday", "since"),
        ("until=2026-13-01T00:00:00Z", "until"),
        ("sorce=github", "sorce"),
        ("limit=1&limit=2", "limit"),
        ("=x", ""),
    ];
    let some = [
        ("/api/v1/events", "status=open", "status"),
        ("/api/v1/events", "destination=x", "destination"),
        ("/api/v1/deliveries", "status=failing", "status"),
        ("/api/v1/deliveries", "type=push", "type"),
        ("/api/v1/rejections", "code=wrong", "code"),
        ("/api/v1/rejections", "event_id=1", "event_id"),
        ("/api/v1/rejections", "status=dead", "status"),
        (REPLAYS, "limit=0", "limit"),
        (REPLAYS, "cursor=nonsense", "cursor"),
        (REPLAYS, "status=running", "status"),
    ];
    let all = LISTS.into_iter().flat_map(|list| everywhere.map(|(query, name)| (list, query, name)));
    for (path, query, name) in all.chain(some) {
        let answer = app.get(&format!("{path}?{query}")).await;
        assert_eq!((answer.status, answer.problem().as_str()), (400, "invalid-parameter"), "{path}?{query}");
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.starts_with(&format!("{name}: ")), "{path}?{query}: {detail}");
    }
    for query in ["limit=1", "limit=200", "source=", "source=nobody", "type=nothing", "order=asc"] {
        assert_eq!(app.get(&format!("/api/v1/events?{query}")).await.status, 200, "{query}");
    }
    app.finish().await;
}
