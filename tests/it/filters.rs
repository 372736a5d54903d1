//! Filters of destinations: what they take, what becomes of events on which they fail, and that they hold up nobody.

use std::time::{Duration, Instant};

use crate::support::signed::{SECRET, slack};
use crate::support::{PATIENCE, Receiver, Request, TestApp, github};

const SOURCES: &str = "[sources.github]\nprovider = \"github\"\nsecret = \"whsec_test_secret\"\n\
                       [sources.slack]\nprovider = \"slack\"\nsecret = \"whsec_test_secret\"\n";

/// A destination of this name for both sources, with settings of its own.
fn destination(name: &str, receiver: &Receiver, more: &str) -> String {
    format!("[destinations.{name}]\nfrom = [\"github\", \"slack\"]\nurl = \"{}{name}\"\n{more}\n", receiver.url)
}

/// The destinations to which an event went.
async fn went(app: &TestApp, event: &str) -> Vec<String> {
    let event = app.json(&format!("/api/v1/events/{event}")).await;
    let mut names: Vec<_> =
        event["deliveries"].as_array().unwrap().iter().map(|due| due["destination"].as_str().unwrap().to_owned()).collect();
    names.sort();
    assert_eq!(names.is_empty(), event["status"] == "unrouted", "{event}");
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn each_destination_takes_what_its_filter_says() {
    let receiver = Receiver::start().await;
    let configuration = [
        SOURCES,
        &destination("main", &receiver, r#"filter = 'body.ref == "refs/heads/main" && !("x-test" in headers)'"#),
        &destination("side", &receiver, r#"filter = 'type == "push" && body.ref != "refs/heads/main"'"#),
        &destination("form", &receiver, r#"filter = 'source == "slack" && body.command == "/deploy"'"#),
    ]
    .concat();
    let app = TestApp::start(&configuration).await;
    app.send(github("1", "push", r#"{"ref":"refs/heads/main"}"#)).await;
    app.send(github("2", "push", r#"{"ref":"refs/heads/other"}"#)).await;
    app.send(github("3", "push", r#"{"ref":"refs/heads/main"}"#).header("x-test", "1")).await;
    // Nothing of what is asked for is there: no match, and no failure.
    app.send(github("4", "ping", r#"{"zen":"Design for failure."}"#)).await;
    app.send(github("5", "push", "[]")).await;
    let cases = [("1", vec!["main"]), ("2", vec!["side"]), ("3", vec![]), ("4", vec![]), ("5", vec![])];
    for (id, expected) in cases {
        assert_eq!(went(&app, &format!("github/{id}")).await, expected, "{id}");
    }
    app.send(slack("command=%2Fdeploy&text=now").without("content-type").header("content-type", "application/x-www-form-urlencoded")).await;
    app.settled().await;
    let seen: Vec<_> = receiver.seen().into_iter().map(|seen| seen.target).collect();
    assert_eq!(seen.iter().filter(|target| *target == "/form").count(), 1, "{seen:?}");
    assert_eq!(seen.len(), 3, "{seen:?}");
    for name in ["main", "side", "form"] {
        assert_eq!(app.metric(&format!("onceward_filter_errors_total{{destination=\"{name}\"}}")).await, 0.0, "{name}");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_filter_fails_the_configuration_decides_and_each_failure_is_counted_once() {
    let receiver = Receiver::start().await;
    let fails = r#"filter = 'body.number.startsWith("1")'"#;
    let configuration = [
        SOURCES,
        &destination("default", &receiver, fails),
        &destination("deliver", &receiver, &format!("{fails}\non_filter_error = \"deliver\"")),
        &destination("skip", &receiver, &format!("{fails}\non_filter_error = \"skip\"")),
        &destination("fine", &receiver, "filter = 'body.number == 1'"),
    ]
    .concat();
    let app = TestApp::start(&configuration).await;
    let request = || github("1", "push", r#"{"number":1}"#);
    for status in ["accepted", "duplicate", "duplicate"] {
        assert_eq!(app.send(request()).await.header("onceward-status"), status);
    }
    assert_eq!(went(&app, "github/1").await, ["default", "deliver", "fine"]);
    for (name, count) in [("default", 1.0), ("deliver", 1.0), ("skip", 1.0), ("fine", 0.0)] {
        assert_eq!(app.metric(&format!("onceward_filter_errors_total{{destination=\"{name}\"}}")).await, count, "{name}");
    }
    app.settled().await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_that_would_take_for_ever_delays_neither_its_answer_nor_others() {
    let receiver = Receiver::start().await;
    let slow = "filter = 'body.all(x, body.all(y, x == y))'\non_filter_error = \"skip\"";
    let quick = r#"filter = 'type == "push" && headers["x-github-event"] == "push"'"#;
    let configuration = [SOURCES, &destination("slow", &receiver, slow), &destination("quick", &receiver, quick)].concat();
    let app = TestApp::start(&configuration).await;
    let body = format!("[{}0]", "0,".repeat(50_000));
    let begin = Instant::now();
    let requests = (0..20).map(|number| app.send(github(&number.to_string(), "push", body.clone())));
    let small = app.send(github("small", "push", "[1]"));
    let (answers, small) = tokio::join!(futures_util::future::join_all(requests), small);
    assert!(begin.elapsed() < PATIENCE / 2, "{:?}", begin.elapsed());
    assert!(answers.iter().chain([&small]).all(|answer| answer.status == 200), "{answers:?}");
    for number in 0..20 {
        assert_eq!(went(&app, &format!("github/{number}")).await, ["quick"]);
    }
    assert!(app.metric("onceward_filter_errors_total{destination=\"slow\"}").await >= 20.0);
    app.settled().await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_let_in_later_is_filtered_then() {
    let receiver = Receiver::start().await;
    let wrong = SOURCES.replace(SECRET, "another_secret");
    let filtered = destination("main", &receiver, r#"filter = 'body.ref == "main"'"#);
    let app = TestApp::start(&format!("{wrong}{filtered}")).await;
    for (id, body) in [("1", r#"{"ref":"main"}"#), ("2", r#"{"ref":"side"}"#)] {
        assert_eq!(app.send(github(id, "push", body)).await.status, 401);
    }
    let folder = app.stop().await;
    let app = TestApp::start_in(folder, &format!("{SOURCES}{filtered}")).await;
    let answer = app.ask(Request::post("/api/v1/rejections/reverify", "")).await;
    assert_eq!(answer.json()["accepted"], 2, "{answer:?}");
    assert_eq!(went(&app, "github/1").await, ["main"]);
    assert!(went(&app, "github/2").await.is_empty());
    app.settled().await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_no_filter_reads_is_a_failure_of_the_filter_alone() {
    let receiver = Receiver::start().await;
    let configuration = [
        SOURCES,
        &destination("asks", &receiver, "filter = 'body.ref == \"main\"'\non_filter_error = \"skip\""),
        &destination("does-not", &receiver, "filter = 'type == \"push\"'\non_filter_error = \"skip\""),
    ]
    .concat();
    let app = TestApp::start(&configuration).await;
    let large = format!("{{\"ref\":\"main\",\"text\":\"{}\"}}", "a".repeat(5 << 20));
    let deep = format!("{{\"ref\":\"main\",\"deep\":{}{}}}", "[".repeat(110), "]".repeat(110));
    for (id, body) in [("large", large), ("deep", deep)] {
        let begin = Instant::now();
        assert_eq!(app.send(github(id, "push", body)).await.status, 200, "{id}");
        assert!(begin.elapsed() < PATIENCE + Duration::from_secs(1));
        assert_eq!(went(&app, &format!("github/{id}")).await, ["does-not"], "{id}");
    }
    assert_eq!(app.metric("onceward_filter_errors_total{destination=\"asks\"}").await, 2.0);
    app.settled().await;
    app.finish().await;
}
