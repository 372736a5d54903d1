//! Guarantee 8: what is over a bound is refused with a problem document, and what is kept is kept within it.

use serde_json::Value;

use crate::support::raw::RawAnswer;
use crate::support::signed::{SECRET, hmac_hex};
use crate::support::{Raw, Request, TestApp, github, until};

/// A source with small bounds.
const SMALL: &str = "[limits]\nbody_timeout = \"200ms\"\nheader_timeout = \"1s\"\nheaders = \"2KiB\"\n\
                     [sources.github]\nprovider = \"github\"\nsecret = \"whsec_test_secret\"\nmax_body = \"1KiB\"\n";

/// The code of a raw answer, which must be a problem document.
fn problem(answer: &RawAnswer) -> String {
    assert!(answer.head.contains("content-type: application/problem+json"), "{answer:?}");
    let document: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(document["status"], answer.status);
    document["type"].as_str().unwrap().strip_prefix("onceward:").unwrap().to_owned()
}

/// The head of a signed request, up to its framing.
fn head(id: &str, body: &[u8]) -> String {
    let signature = hmac_hex(SECRET, &[body]);
    format!(
        "POST /hooks/github HTTP/1.1\r\nhost: x\r\nx-github-delivery: {id}\r\nx-github-event: push\r\n\
         x-hub-signature-256: sha256={signature}\r\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn every_bound_refuses_with_its_problem_document() {
    let app = TestApp::start(SMALL).await;
    let large = vec![b'x'; 1025];
    // Announced: refused before a byte of the body came. Chunked: nobody says how long it is until it is too long. Slow: a
    // body that stops.
    let chunk = format!("200\r\n{}\r\n", "x".repeat(512));
    let cases = [
        ("content-length: 1025\r\n\r\n".to_owned(), 413, "body-too-large"),
        (format!("transfer-encoding: chunked\r\n\r\n{chunk}{chunk}1\r\nx\r\n"), 413, "body-too-large"),
        ("content-length: 10\r\n\r\nabc".to_owned(), 408, "request-timeout"),
        ("transfer-encoding: chunked\r\n\r\n5\r\nabc".to_owned(), 408, "request-timeout"),
    ];
    for (framing, status, code) in cases {
        let mut connection = Raw::connect(&app.public).await;
        connection.write(format!("{}{framing}", head("refused", &large))).await;
        let answer = connection.answer().await;
        assert_eq!((answer.status, problem(&answer).as_str()), (status, code), "{framing}");
    }
    // Headers: many small ones and one large one.
    let fits = app.send(github("fits", "push", "{}").header("x-large", "v".repeat(1024))).await;
    assert_eq!(fits.status, 200);
    let one = app.send(github("one", "push", "{}").header("x-large", "v".repeat(2048))).await;
    assert_eq!((one.status, one.problem().as_str()), (431, "headers-too-large"));
    let many = (0..60).fold(github("many", "push", "{}"), |request, n| request.header(&format!("x-h{n}"), "v".repeat(30)));
    let many = app.send(many).await;
    assert_eq!((many.status, many.problem().as_str()), (431, "headers-too-large"));
    assert_eq!(app.rows("/api/v1/events").await.len(), 1, "only what fits became an event");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_drips_in_has_no_more_time_than_one_that_stops() {
    let app = TestApp::start(SMALL).await;
    let mut connection = Raw::connect(&app.public).await;
    connection.write(format!("{}content-length: 1000\r\n\r\n", head("drip", b""))).await;
    let mut tick = tokio::time::interval(std::time::Duration::from_millis(50));
    let answer = loop {
        tokio::select! {
            answer = connection.answer() => break answer,
            _ = tick.tick() => {}
        }
        connection.write("x").await;
    };
    assert_eq!((answer.status, problem(&answer).as_str()), (408, "request-timeout"));
    drop(connection);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_that_take_too_long_are_refused_and_their_connection_closed() {
    let app = TestApp::start(SMALL).await;
    for base in [&app.public, &app.admin] {
        let mut connection = Raw::connect(base).await;
        connection.write("POST /hooks/github HTTP/1.1\r\nhost: x\r\nx-slow: ").await;
        // The HTTP server itself answers, before there is a request to answer with a document.
        assert_eq!(connection.answer().await.status, 408);
        connection.closed().await;
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_header_section_is_large_enough_to_be_read_without_end() {
    let app = TestApp::start("[sources.github]\nprovider = \"github\"\nsecret = \"whsec_test_secret\"\n").await;
    // The documented 64 KiB hold for a single value, too.
    let answer = app.send(github("one", "push", "{}").header("x-large", "v".repeat(64 << 10))).await;
    assert_eq!((answer.status, answer.problem().as_str()), (431, "headers-too-large"));
    // Beyond what the HTTP server itself reads at most, it answers alone.
    let mut connection = Raw::connect(&app.public).await;
    connection.write(format!("POST /hooks/github HTTP/1.1\r\nhost: x\r\nx-large: {}", "v".repeat(128 << 10))).await;
    assert_eq!(connection.answer().await.status, 431);
    let many = (0..100).fold(github("many", "push", "{}"), |request, n| request.header(&format!("x-h{n}"), "v"));
    assert_eq!(app.send(many).await.status, 431);
    assert!(app.rows("/api/v1/events").await.is_empty());
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_its_rate_a_source_is_told_when_to_come_again() {
    let configuration = "[sources.github]\nprovider = \"github\"\nsecret = \"whsec_test_secret\"\nrate_limit = \"3/h\"\n\
                         [sources.other]\nprovider = \"github\"\nsecret = \"whsec_test_secret\"\n";
    let app = TestApp::start(configuration).await;
    // Forged requests use nothing up.
    for _ in 0..5 {
        assert_eq!(app.send(github("f", "push", "{}").without("x-hub-signature-256")).await.status, 401);
    }
    for id in ["1", "2", "3"] {
        assert_eq!(app.send(github(id, "push", "{}")).await.status, 200);
    }
    let limited = app.send(github("4", "push", "{}")).await;
    assert_eq!((limited.status, limited.problem().as_str()), (429, "rate-limited"));
    let wait: u32 = limited.header("retry-after").parse().unwrap();
    assert!((1..=1200).contains(&wait), "{wait}");
    assert_eq!(app.send(github("4", "push", "{}").to("/hooks/other")).await.status, 200, "another source has its own share");
    assert_eq!(app.get("/api/v1/events/github/4").await.status, 404);
    assert_eq!(app.metric("onceward_rejections_total{source=\"github\",code=\"rate-limited\"}").await, 1.0);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rejection_log_keeps_the_newest_within_its_bounds() {
    let bounded = |bound: &str| {
        let source = |name: &str| format!("[sources.{name}]\nprovider = \"github\"\nsecret = \"whsec_test_secret\"\n");
        format!("[limits]\n{bound}\n{}{}", source("github"), source("quiet"))
    };
    let forged = |body: Vec<u8>| Request::post("/hooks/github", body);
    for (bound, body, kept) in [("rejections = 5", 10, 5), ("rejection_bytes = \"10KiB\"", 3000, 3), ("rejections = 0", 10, 0)] {
        let app = TestApp::start(&bounded(bound)).await;
        assert_eq!(app.send(forged(Vec::new()).to("/hooks/quiet")).await.status, 401);
        for _ in 0..12 {
            assert_eq!(app.send(forged(vec![b'x'; body])).await.status, 401);
        }
        let rows = app.rows("/api/v1/rejections?source=github").await;
        assert_eq!(rows.len(), kept, "{bound}");
        assert_eq!(app.rows("/api/v1/rejections?source=quiet").await.len(), kept.min(1), "{bound}: one source's flood costs no other");
        assert_eq!(app.metric("onceward_rejections_total{source=\"github\",code=\"signature-missing\"}").await, 12.0);
        app.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_forged_requests_is_counted_whole_and_written_in_part() {
    let app = TestApp::start("[sources.github]\nprovider = \"github\"\nsecret = \"whsec_test_secret\"\n").await;
    let began = std::time::Instant::now();
    let flood = (0..400).map(|_| app.send(Request::post("/hooks/github", "{}")));
    let answers = futures_util::future::join_all(flood).await;
    assert!(answers.iter().all(|answer| answer.status == 401));
    assert_eq!(app.metric("onceward_rejections_total{source=\"github\",code=\"signature-missing\"}").await, 400.0);
    let mut written = 0;
    let mut cursor = String::new();
    loop {
        let page = app.json(&format!("/api/v1/rejections?limit=200{cursor}")).await;
        written += page["data"].as_array().unwrap().len();
        let Some(next) = page["next"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    // 50 at once and 50 a second.
    let most = 51.0 + 50.0 * began.elapsed().as_secs_f64();
    assert!((50.0..=most).contains(&f64::from(written as u32)), "{written} written, at most {most}");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_the_most_connections_a_client_waits_for_another_to_leave() {
    let configuration = format!("workers = 1\n{}", SMALL.replace("[limits]\n", "[limits]\nconnections = 2\n").replace("1s", "20s"));
    let app = TestApp::start(&configuration).await;
    let request = |id: &str| format!("{}content-length: 2\r\n\r\n{{}}", head(id, b"{}"));
    let mut held = Vec::new();
    for id in ["1", "2"] {
        let mut connection = Raw::connect(&app.public).await;
        connection.write(request(id)).await;
        assert_eq!(connection.answer().await.status, 200);
        held.push(connection);
    }
    let mut third = Raw::connect(&app.public).await;
    third.write(request("3")).await;
    // Those inside are served on, which takes long enough for the third to be answered if it were let in.
    for number in 0..20 {
        let connection = &mut held[number % 2];
        connection.write(request(&format!("again-{number}"))).await;
        assert_eq!(connection.answer().await.status, 200);
    }
    assert_eq!(app.get("/api/v1/events/github/3").await.status, 404, "a third is let in");
    held.clear();
    assert_eq!(third.answer().await.status, 200);
    until("its event is there", async || app.get("/api/v1/events/github/3").await.status == 200).await;
    app.finish().await;
}
