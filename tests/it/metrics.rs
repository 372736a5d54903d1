//! What is measured: the documented names, with labels that nobody outside can multiply.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::{Behaviour, Receiver, Request, TestApp, github, until};

/// The documented metrics with their labels.
const METRICS: &[(&str, &[&str])] = &[
    ("onceward_requests_total", &["source", "outcome"]),
    ("onceward_verified_total", &["source", "secret"]),
    ("onceward_events_total", &["source"]),
    ("onceward_duplicates_total", &["source"]),
    ("onceward_same_content_total", &["source"]),
    ("onceward_body_differs_total", &["source"]),
    ("onceward_filter_errors_total", &["destination"]),
    ("onceward_rejections_total", &["source", "code"]),
    ("onceward_attempts_total", &["destination", "outcome"]),
    ("onceward_deliveries_total", &["destination", "outcome"]),
    ("onceward_circuit_opened_total", &["destination"]),
    ("onceward_answer_seconds", &[]),
    ("onceward_commit_seconds", &[]),
    ("onceward_commit_events", &[]),
    ("onceward_attempt_seconds", &["destination"]),
    ("onceward_queue_depth", &[]),
    ("onceward_pending_deliveries", &["destination"]),
    ("onceward_oldest_pending_seconds", &["destination"]),
    ("onceward_circuit_open", &["destination"]),
    ("onceward_destination_paused", &["destination"]),
    ("onceward_attempts_in_flight", &["destination"]),
    ("onceward_database_bytes", &[]),
    ("onceward_wal_bytes", &[]),
];

fn configuration(receiver: &Receiver, more: &str) -> String {
    format!(
        "[sources.github]\nprovider = \"github\"\nsecret = \"whsec_test_secret\"\n\
         [destinations.hook]\nfrom = [\"github\"]\nurl = \"{}\"\n{more}\n",
        receiver.url
    )
}

/// The labels of each metric that is shown; `le`, and what a histogram adds to its name, aside.
async fn shown(app: &TestApp) -> BTreeMap<String, BTreeSet<String>> {
    let answer = app.get("/metrics").await;
    assert!(answer.header("content-type").starts_with("text/plain; version=0.0.4"));
    let text = String::from_utf8(answer.body).unwrap();
    let mut shown: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let (series, _) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let name = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        let labels = labels.trim_end_matches('}').split(',').filter_map(|label| label.split_once('=').map(|(name, _)| name));
        assert!(text.contains(&format!("# HELP {name} ")), "{name} is not explained");
        shown.entry(name.to_owned()).or_default().extend(labels.filter(|label| *label != "le").map(str::to_owned));
    }
    shown
}

/// What is measured of the requests in the test below.
const VALUES: &[(&str, f64)] = &[
    ("onceward_requests_total{source=\"github\",outcome=\"accepted\"}", 2.0),
    ("onceward_requests_total{source=\"github\",outcome=\"duplicate\"}", 1.0),
    ("onceward_requests_total{source=\"github\",outcome=\"refused\"}", 1.0),
    ("onceward_verified_total{source=\"github\",secret=\"1\"}", 3.0),
    ("onceward_events_total{source=\"github\"}", 2.0),
    ("onceward_duplicates_total{source=\"github\"}", 1.0),
    ("onceward_same_content_total{source=\"github\"}", 1.0),
    ("onceward_body_differs_total{source=\"github\"}", 1.0),
    ("onceward_filter_errors_total{destination=\"hook\"}", 2.0),
    ("onceward_rejections_total{source=\"github\",code=\"signature-missing\"}", 1.0),
    ("onceward_attempts_total{destination=\"hook\",outcome=\"delivered\"}", 1.0),
    ("onceward_deliveries_total{destination=\"hook\",outcome=\"delivered\"}", 1.0),
    ("onceward_circuit_opened_total{destination=\"hook\"}", 2.0),
    ("onceward_answer_seconds_count", 4.0),
    ("onceward_attempt_seconds_count{destination=\"hook\"}", 3.0),
    ("onceward_pending_deliveries{destination=\"hook\"}", 1.0),
];

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_metrics_are_there_with_the_documented_labels() {
    let receiver = Receiver::start().await;
    receiver.next([Behaviour::Status(500)]);
    // Fails, since no type is a number, and delivers all the same.
    let app = TestApp::start(&configuration(
        &receiver,
        "filter = \"type > 1\"\nretry = { first = \"1ms\" }\ncircuit = { failures = 1, probe = \"1ms\" }",
    ))
    .await;
    app.send(github("1", "push", "{}")).await;
    app.settled().await;
    app.send(github("1", "push", "{\"other\":1}")).await;
    app.send(github("2", "push", "{}").without("x-hub-signature-256")).await;
    receiver.next([Behaviour::RetryAfter(503, "3600".into())]);
    app.send(github("3", "push", "{}")).await;
    until("the failure is measured", async || app.metric("onceward_attempts_total{destination=\"hook\",outcome=\"failed\"}").await == 2.0)
        .await;
    let shown = shown(&app).await;
    for (name, labels) in METRICS {
        let found: Vec<_> =
            shown.get(*name).unwrap_or_else(|| panic!("{name} is not shown: {shown:?}")).iter().map(String::as_str).collect();
        let mut expected = labels.to_vec();
        expected.sort_unstable();
        assert_eq!(found, expected, "{name}");
    }
    let documented = |name: &String| METRICS.iter().any(|(known, _)| known == name);
    assert_eq!(shown.keys().find(|name| !documented(name)), None, "an undocumented metric");
    for (name, value) in VALUES {
        assert_eq!(app.metric(name).await, *value, "{name}");
    }
    assert!(app.metric("onceward_database_bytes").await > 0.0);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_longer_pending_is_no_longer_shown_as_pending() {
    let receiver = Receiver::start().await;
    receiver.always(Behaviour::Hang);
    let app = TestApp::start(&configuration(&receiver, "timeout = \"300ms\"\nretry = { first = \"1ms\" }")).await;
    for id in ["1", "2"] {
        app.send(github(id, "push", "{}")).await;
    }
    let pending = async || app.metric("onceward_pending_deliveries{destination=\"hook\"}").await;
    assert_eq!(pending().await, 2.0);
    receiver.always(Behaviour::Status(200));
    app.settled().await;
    assert_eq!(pending().await, 0.0);
    assert_eq!(app.metric("onceward_oldest_pending_seconds{destination=\"hook\"}").await, 0.0);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_comes_from_outside_becomes_a_label() {
    let receiver = Receiver::start().await;
    let app = TestApp::start(&configuration(&receiver, "")).await;
    for number in 0..20 {
        app.send(github(&format!("id-{number}"), &format!("outsider-{number}"), "{}")).await;
        app.send(Request::post(&format!("/hooks/outsider-{number}"), "{}")).await;
        app.send(Request::post(&format!("/hooks/github/outsider-{number}"), "{}").header("x-outsider", "1")).await;
        app.send(github("m", "push", "{}").method(&format!("OUTSIDER{number}"))).await;
    }
    app.settled().await;
    let text = String::from_utf8(app.get("/metrics").await.body).unwrap().to_lowercase();
    assert!(!text.contains("outsider") && !text.contains("id-"), "{text}");
    app.finish().await;
}
