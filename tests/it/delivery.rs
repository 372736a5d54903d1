//! Guarantees 4 to 6: deliveries are attempted until they end, end visibly, and delay nobody else.

use std::time::{Duration, Instant, UNIX_EPOCH};

use serde_json::Value;

use crate::support::signed::now;
use crate::support::{Behaviour, PATIENCE, Raw, Receiver, TestApp, github, stripe, until};

const GITHUB: &str = "[sources.github]\nprovider = \"github\"\nsecret = \"whsec_test_secret\"\n";
const STRIPE: &str = "[sources.stripe]\nprovider = \"stripe\"\nsecret = \"whsec_test_secret\"\n";

/// A destination `name` for the source `github`, tried again at once.
fn destination(name: &str, receiver: &Receiver, more: &str) -> String {
    let retry = "retry = { attempts = 5, first = \"1ms\", max = \"2ms\" }\n";
    let retry = if more.contains("retry") { "" } else { retry };
    format!("[destinations.{name}]\nfrom = [\"github\"]\nurl = \"{}\"\n{retry}{more}\n", receiver.url)
}

/// The deliveries of an event, by destination.
async fn deliveries(app: &TestApp, event: &str) -> Vec<Value> {
    let mut deliveries = app.json(&format!("/api/v1/events/{event}")).await["deliveries"].as_array().unwrap().clone();
    deliveries.sort_by_key(|delivery| delivery["destination"].as_str().unwrap().to_owned());
    deliveries
}

/// The status that events can be listed by, and that the event itself shows.
async fn has_status(app: &TestApp, event_id: &str, status: &str) {
    assert_eq!(app.json(&format!("/api/v1/events/github/{event_id}")).await["status"], status);
    let listed = app.rows(&format!("/api/v1/events?status={status}&event_id={event_id}")).await;
    assert_eq!(listed.len(), 1, "{event_id} is not listed as {status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_destination_is_retried_until_it_takes_the_event() {
    let receiver = Receiver::start().await;
    receiver.next([500, 404, 302, 429].map(Behaviour::Status));
    let app = TestApp::start(&format!("{GITHUB}{}", destination("hook", &receiver, ""))).await;
    assert_eq!(app.send(github("1", "push", "{}")).await.status, 200);
    app.settled().await;
    let seen = receiver.seen();
    let attempts: Vec<_> = seen.iter().map(|seen| seen.header("onceward-attempt")).collect();
    assert_eq!(attempts, ["1", "2", "3", "4", "5"]);
    let keys: Vec<_> =
        seen.iter().map(|seen| (seen.header("idempotency-key"), seen.header("onceward-delivery"), seen.body.clone())).collect();
    assert!(keys.iter().all(|key| *key == keys[0] && key.0 == "github:1"), "{keys:?}");
    let [delivery] = &deliveries(&app, "github/1").await[..] else { panic!("one delivery") };
    assert_eq!((&delivery["status"], &delivery["attempts"]), (&"delivered".into(), &5.into()));
    assert_eq!((&delivery["next_attempt_at"], delivery["finished_at"].is_string()), (&Value::Null, true));
    let history = delivery["history"].as_array().unwrap();
    let codes: Vec<_> = history.iter().map(|attempt| attempt["status_code"].as_u64().unwrap()).collect();
    assert_eq!(codes, [500, 404, 302, 429, 200]);
    for attempt in history {
        assert_eq!(attempt["error"].is_string(), attempt["status_code"] != 200, "{attempt}");
        assert_eq!(attempt["response"], "noted");
        assert!(attempt["at"].is_string() && attempt["duration_ms"].is_u64());
    }
    assert_eq!(delivery["last_error"], history[3]["error"]);
    has_status(&app, "1", "delivered").await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_ends_dead_after_its_last_attempt_and_stays_visible() {
    let receiver = Receiver::start().await;
    receiver.always(Behaviour::Status(500));
    let more = "retry = { schedule = [\"1ms\", \"1ms\"] }";
    let app = TestApp::start(&format!("{GITHUB}{}", destination("hook", &receiver, more))).await;
    app.send(github("1", "push", "{}")).await;
    app.settled().await;
    assert_eq!(receiver.seen().len(), 3, "two waits are three attempts");
    has_status(&app, "1", "dead").await;
    let [delivery] = &app.rows("/api/v1/deliveries?status=dead").await[..] else { panic!("one dead delivery") };
    assert_eq!((&delivery["attempts"], delivery["last_error"].is_string()), (&3.into(), true));
    let whole = app.json(&format!("/api/v1/deliveries/{}", delivery["id"].as_str().unwrap())).await;
    assert_eq!(whole["history"].as_array().unwrap().len(), 3);
    assert_eq!(app.metric("onceward_deliveries_total{destination=\"hook\",outcome=\"dead\"}").await, 1.0);
    assert_eq!(app.metric("onceward_attempts_total{destination=\"hook\",outcome=\"failed\"}").await, 3.0);
    // It is over: not even a restart takes it up again.
    let folder = app.finish().await;
    let app = TestApp::start_in(folder, &format!("{GITHUB}{}", destination("hook", &receiver, more))).await;
    app.send(github("2", "push", "{}")).await;
    app.settled().await;
    has_status(&app, "1", "dead").await;
    assert!(receiver.seen()[3..].iter().all(|seen| seen.header("onceward-event-id") == "2"));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hanging_destination_delays_nobody_else() {
    let (hanging, quick) = (Receiver::start().await, Receiver::start().await);
    hanging.always(Behaviour::Hang);
    let hang = destination("hanging", &hanging, "concurrency = 2\ntimeout = \"60s\"");
    let app = TestApp::start(&format!("{GITHUB}{hang}{}", destination("quick", &quick, ""))).await;
    let begin = Instant::now();
    for number in 0..20 {
        assert_eq!(app.send(github(&number.to_string(), "push", "{}")).await.status, 200);
    }
    quick.got(20).await;
    // Nothing waited for an attempt that takes 60 s.
    assert!(begin.elapsed() < PATIENCE);
    until("the quick destination's deliveries have ended", async || {
        app.rows("/api/v1/deliveries?destination=quick&status=delivered").await.len() == 20
    })
    .await;
    assert_eq!(hanging.got(2).await.len(), 2, "no more at once than its concurrency");
    has_status(&app, "0", "pending").await;
    assert_eq!(app.rows("/api/v1/deliveries?destination=hanging&status=pending").await.len(), 20);
    // What hangs is cut off, so that stopping need not wait for it.
    drop(hanging);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_body_and_headers_arrive_byte_for_byte() {
    let receiver = Receiver::start().await;
    let app = TestApp::start(&format!("{GITHUB}{}", destination("hook", &receiver, ""))).await;
    let every_byte: Vec<u8> = (0..=255).collect();
    let large = every_byte.repeat(20_000);
    for (id, body) in [("empty", Vec::new()), ("bytes", every_byte), ("spaced", b" {\r\n \"a\" : 1 }\n".to_vec()), ("large", large)] {
        let request = github(id, "push", body.clone()).header("user-agent", "GitHub-Hookshot/1").header("accept", "*/*");
        let request = request.header("x-twice", "one").header("x-twice", "two").header("x-empty", "").header("content-encoding", "gzip");
        let sent = request.headers.clone();
        assert_eq!(app.send(request).await.status, 200);
        app.settled().await;
        let seen = receiver.seen().pop().unwrap();
        assert_eq!(seen.body, body, "{id}");
        for (name, value) in &sent {
            assert!(seen.headers.contains(&(name.clone(), value.clone().into_bytes())), "{name}: {value} is missing in {:?}", seen.headers);
        }
        let added =
            |name: &str| name.starts_with("onceward-") || ["host", "content-length", "idempotency-key", "traceparent"].contains(&name);
        let more: Vec<_> = seen.headers.iter().filter(|field| !added(&field.0)).collect();
        assert_eq!(more.len(), sent.len(), "nothing else is added: {more:?}");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn header_values_that_are_no_text_arrive_as_they_are() {
    let receiver = Receiver::start().await;
    let app = TestApp::start(&format!("{GITHUB}{}", destination("hook", &receiver, ""))).await;
    let signature = github("1", "push", "{}").headers[0].1.clone();
    let mut request =
        format!("POST /hooks/github HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\nx-hub-signature-256: {signature}\r\n").into_bytes();
    request.extend(b"x-github-delivery: 1\r\nx-github-event: push\r\nx-latin: caf\xe9 \xff\r\n\r\n{}");
    let mut connection = Raw::connect(&app.public).await;
    connection.write(request).await;
    assert_eq!(connection.answer().await.status, 200);
    app.settled().await;
    assert!(receiver.seen()[0].headers.contains(&("x-latin".to_owned(), b"caf\xe9 \xff".to_vec())));
    assert_eq!(app.get("/api/v1/events/github/1").await.status, 200);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_takes_too_long_is_a_failed_one() {
    let receiver = Receiver::start().await;
    receiver.next([Behaviour::Hang]);
    let app = TestApp::start(&format!("{GITHUB}{}", destination("hook", &receiver, "timeout = \"100ms\""))).await;
    app.send(github("1", "push", "{}")).await;
    app.settled().await;
    let history = &deliveries(&app, "github/1").await[0]["history"];
    assert_eq!((&history[0]["status_code"], &history[0]["response"]), (&Value::Null, &Value::Null));
    assert!(history[0]["error"].is_string() && history[0]["duration_ms"].as_u64().unwrap() >= 90);
    assert_eq!(history[1]["status_code"], 200);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_that_is_not_there_is_a_failed_attempt() {
    let receiver = Receiver::start().await;
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let configuration = format!("{GITHUB}{}", destination("hook", &receiver, "").replace(&receiver.url, &format!("http://{unused}/")));
    let app = TestApp::start(&configuration).await;
    app.send(github("1", "push", "{}")).await;
    app.settled().await;
    let delivery = &deliveries(&app, "github/1").await[0];
    assert_eq!((&delivery["status"], &delivery["attempts"]), (&"dead".into(), &5.into()));
    assert!(delivery["last_error"].is_string());
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_destination_takes_the_types_and_sources_that_it_names() {
    let receivers = [Receiver::start().await, Receiver::start().await, Receiver::start().await];
    let [all, opened, any] = &receivers;
    let configuration = format!(
        "{GITHUB}{STRIPE}{}{}[destinations.stripes]\nfrom = [\"stripe\"]\nurl = \"{}\"\n",
        destination("pulls", all, "types = [\"pull_request\"]"),
        destination("opened", opened, "types = [\"*.opened\"]"),
        any.url,
    );
    let app = TestApp::start(&configuration).await;
    let opened_body = r#"{"action":"opened"}"#;
    let cases = [
        (github("pr", "pull_request", opened_body), "github/pr", vec!["opened", "pulls"]),
        (github("closed", "pull_request", r#"{"action":"closed"}"#), "github/closed", vec!["pulls"]),
        (github("issue", "issues", opened_body), "github/issue", vec!["opened"]),
        (github("review", "pull_request_review", "{}"), "github/review", vec![]),
        (stripe("evt_1"), "stripe/evt_1", vec!["stripes"]),
    ];
    for (request, event, expected) in cases {
        assert_eq!(app.send(request).await.status, 200);
        let names: Vec<_> = deliveries(&app, event).await.iter().map(|d| d["destination"].as_str().unwrap().to_owned()).collect();
        assert_eq!(names, expected, "{event}");
    }
    app.settled().await;
    has_status(&app, "review", "unrouted").await;
    assert_eq!(receivers.each_ref().map(|receiver| receiver.seen().len()), [2, 2, 1]);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_shows_the_worst_of_its_deliveries() {
    let (good, bad) = (Receiver::start().await, Receiver::start().await);
    bad.always(Behaviour::Status(503));
    let waits = "retry = { schedule = [\"1h\", \"1h\"] }";
    let configuration = format!("{GITHUB}{}{}", destination("good", &good, ""), destination("bad", &bad, waits));
    let app = TestApp::start(&configuration).await;
    app.send(github("1", "push", "{}")).await;
    until("one delivery is done and one waits", async || {
        let deliveries = deliveries(&app, "github/1").await;
        deliveries[0]["history"].as_array().unwrap().len() == 1 && deliveries[1]["status"] == "delivered"
    })
    .await;
    has_status(&app, "1", "failing").await;
    let waiting = &deliveries(&app, "github/1").await[0];
    assert_eq!((&waiting["status"], &waiting["finished_at"]), (&"pending".into(), &Value::Null));
    assert!(waiting["next_attempt_at"].as_str().unwrap() > waiting["history"][0]["at"].as_str().unwrap());
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gone_ends_a_delivery_at_once() {
    let receiver = Receiver::start().await;
    receiver.next([500, 410].map(Behaviour::Status));
    let app = TestApp::start(&format!("{GITHUB}{}", destination("hook", &receiver, ""))).await;
    app.send(github("1", "push", "{}")).await;
    app.settled().await;
    let delivery = &deliveries(&app, "github/1").await[0];
    assert_eq!((&delivery["status"], &delivery["attempts"]), (&"dead".into(), &2.into()));
    assert_eq!(receiver.seen().len(), 2);
    assert_eq!(app.metric("onceward_attempts_total{destination=\"hook\",outcome=\"gave_up\"}").await, 1.0);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_says_when_it_wants_to_be_asked_again() {
    let receiver = Receiver::start().await;
    let in_an_hour = u64::try_from(now()).unwrap() + 3600;
    let soon = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(in_an_hour));
    let far = "99999999".to_owned();
    receiver.next([Behaviour::RetryAfter(503, "3600".into()), Behaviour::RetryAfter(429, soon), Behaviour::RetryAfter(503, far)]);
    // The lane as a whole is slowed down for a second at most.
    let more = "concurrency = 1\ncircuit = { failures = 0, probe = \"1s\", max_probe = \"1s\" }";
    let app = TestApp::start(&format!("{GITHUB}{}", destination("hook", &receiver, more))).await;
    for (id, least, most) in [("seconds", 3500, 3601), ("date", 3500, 3601), ("far", 86_300, 86_401)] {
        app.send(github(id, "push", "{}")).await;
        let path = format!("github/{id}");
        until("its first attempt has failed", async || deliveries(&app, &path).await[0]["last_error"].is_string()).await;
        let next = deliveries(&app, &path).await[0]["next_attempt_at"].as_str().unwrap().to_owned();
        let wait = onceward::domain::Timestamp::parse(&next).unwrap().as_secs() - now();
        assert!((least..=most).contains(&wait), "{id}: {wait} s");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_attempts_run_at_once_than_a_destination_has_places() {
    let receiver = Receiver::start().await;
    receiver.always(Behaviour::Hang);
    let more = "concurrency = 3\ntimeout = \"300ms\"\nretry = { attempts = 1 }";
    let app = TestApp::start(&format!("{GITHUB}{}", destination("hook", &receiver, more))).await;
    for number in 0..7 {
        app.send(github(&number.to_string(), "push", "{}")).await;
    }
    app.settled().await;
    let mut runs = Vec::new();
    for number in 0..7 {
        let attempt = &deliveries(&app, &format!("github/{number}")).await[0]["history"][0];
        let at = onceward::domain::Timestamp::parse(attempt["at"].as_str().unwrap()).unwrap().as_millis();
        runs.push((at, at + attempt["duration_ms"].as_i64().unwrap()));
    }
    // Times are in whole milliseconds: two that touch did not overlap.
    let at_once = |(begin, _): &(i64, i64)| runs.iter().filter(|(other, end)| other <= begin && *begin + 2 < *end).count();
    assert_eq!(runs.iter().map(at_once).max(), Some(3), "{runs:?}");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_delivers_what_was_pending() {
    let receiver = Receiver::start().await;
    receiver.always(Behaviour::Hang);
    let configuration = format!("{GITHUB}{}", destination("hook", &receiver, "concurrency = 1\ntimeout = \"500ms\""));
    let app = TestApp::start(&configuration).await;
    for number in 0..5 {
        app.send(github(&number.to_string(), "push", "{}")).await;
    }
    receiver.got(1).await;
    let folder = app.stop().await;
    receiver.always(Behaviour::Status(200));
    let before = receiver.seen().len();
    let app = TestApp::start_in(folder, &configuration).await;
    app.settled().await;
    assert_eq!(app.rows("/api/v1/deliveries?status=delivered").await.len(), 5);
    let after = receiver.seen();
    let mut ids: Vec<_> = after[before..].iter().map(|seen| seen.header("onceward-event-id")).collect();
    ids.sort_unstable();
    assert_eq!(ids, ["0", "1", "2", "3", "4"], "each once, without a new request from outside");
    app.finish().await;
}
