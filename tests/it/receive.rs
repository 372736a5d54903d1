//! What a sender is answered: accepted, duplicate, handshake, and every refusal. Also guarantee 1: nothing but a request
//! that is proved becomes an event.

use crate::support::signed::{SECRET, hmac_hex, now, slack, stripe_at, stripe_body};
use crate::support::{Answer, Receiver, Request, TestApp, github, stripe};

const STRIPE: &str = "[sources.stripe]\nprovider = \"stripe\"\nsecret = \"whsec_test_secret\"\n";
const GITHUB: &str = "[sources.github]\nprovider = \"github\"\nsecret = \"whsec_test_secret\"\n";
const SLACK: &str = "[sources.slack]\nprovider = \"slack\"\nsecret = \"whsec_test_secret\"\n";

/// Requests to the source `stripe` that are no event, with the code that they are refused by.
fn forged() -> Vec<(Request, &'static str)> {
    let good = || stripe("evt_forged");
    let signed = |value: &str| good().without("stripe-signature").header("stripe-signature", value);
    let valid = good().headers[0].1.clone();
    let other = hmac_hex("whsec_other", &[now().to_string().as_bytes(), b".", &good().body]);
    let undated = hmac_hex(SECRET, &[b"", b".", &good().body]);
    let changed = Request { body: br#"{"id":"evt_forged","changed":true}"#.to_vec(), ..good() };
    vec![
        (good().without("stripe-signature"), "signature-missing"),
        (signed("nonsense"), "signature-malformed"),
        (signed(""), "signature-malformed"),
        (signed(&format!("t={},v0=00ff", now())), "signature-malformed"),
        (signed(&valid.to_uppercase()), "signature-malformed"),
        (good().header("stripe-signature", valid), "signature-malformed"),
        (signed(&format!("t={},{}", now(), vec!["v1=00ff"; 100].join(","))), "signature-malformed"),
        (signed(&format!("t={},v1={other}", now())), "signature-mismatch"),
        (changed, "signature-mismatch"),
        (signed(&format!("v1={undated}")), "timestamp-missing"),
        (stripe_at(now() - 301, good().body), "timestamp-stale"),
        (stripe_at(now() + 320, good().body), "timestamp-stale"),
    ]
}

/// Whether an answer gives away what would open the source.
fn gives_away(answer: &Answer, request: &Request) -> bool {
    let text = String::from_utf8_lossy(&answer.body).into_owned() + &format!("{:?}", answer.headers);
    let valid = hmac_hex(SECRET, &[now().to_string().as_bytes(), b".", &request.body]);
    [SECRET, &valid].iter().any(|secret| text.contains(*secret))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_request_leaves_nothing_behind() {
    let receiver = Receiver::start().await;
    let app = TestApp::start(&format!("{STRIPE}forward = \"{}\"\n", receiver.url)).await;
    let forged = forged();
    for (request, code) in &forged {
        let answer = app.send(request.clone()).await;
        assert_eq!((answer.status, answer.problem().as_str()), (401, *code), "{request:?}");
        assert_eq!(answer.header("onceward-status"), "");
        assert!(!gives_away(&answer, request), "{code}: {answer:?}");
    }
    assert_eq!(app.get("/api/v1/events/stripe/evt_forged").await.status, 404);
    assert!(app.rows("/api/v1/events").await.is_empty());
    assert!(app.rows("/api/v1/deliveries").await.is_empty());
    let rejections = app.rows("/api/v1/rejections?source=stripe&order=asc").await;
    assert_eq!(rejections.len(), forged.len());
    for (rejection, (_, code)) in rejections.iter().zip(&forged) {
        assert_eq!((&rejection["code"], &rejection["status"]), (&(*code).into(), &"refused".into()));
        assert!(!rejection["diagnosis"].as_str().unwrap().is_empty(), "{code} has no explanation");
    }
    for (request, _) in &forged {
        assert!(!gives_away(&app.get("/api/v1/rejections").await, request));
    }
    // The first delivery is that of the first proved request: nothing was under way before it.
    assert_eq!(app.send(stripe("evt_proved")).await.status, 200);
    assert_eq!(receiver.got(1).await[0].header("onceward-event-id"), "evt_proved");
    app.settled().await;
    assert_eq!(receiver.seen().len(), 1);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proved_request_without_what_makes_it_an_event_is_a_400() {
    let app = TestApp::start(&format!("{STRIPE}{GITHUB}")).await;
    let cases = [
        (stripe_body("{\"object\":\"event\"}"), "event-id-missing"),
        (stripe_body("{\"id\":\"\"}"), "event-id-missing"),
        (stripe_body("[]"), "event-id-missing"),
        (github("", "push", "{}"), "event-id-missing"),
        (github("x", "push", "{}").without("x-github-delivery"), "event-id-missing"),
        (github("x", "push", "{}").header("x-github-delivery", "y"), "event-id-missing"),
        (stripe_body("{\"id\":\"evt_cut"), "body-unreadable"),
        (stripe_body(""), "body-unreadable"),
        (stripe_body(b"\xff\xfe".to_vec()), "body-unreadable"),
    ];
    for (request, code) in cases {
        let answer = app.send(request.clone()).await;
        assert_eq!((answer.status, answer.problem().as_str()), (400, code), "{request:?}");
    }
    assert!(app.rows("/api/v1/events").await.is_empty());
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_but_the_sources_is_served() {
    let app = TestApp::start(STRIPE).await;
    for path in ["/hooks/nobody", "/hooks/", "/hooks/stripe%20", "/hooks/Stripe", "/hooks//stripe"] {
        let answer = app.send(stripe("evt_1").to(path)).await;
        assert_eq!((answer.status, answer.problem().as_str()), (404, "source-unknown"), "{path}");
    }
    for path in ["/", "/hooks", "/hook/stripe", "/api/v1/events", "/metrics", "/readyz", "/healthz/"] {
        let answer = app.send(stripe("evt_1").to(path)).await;
        assert_eq!((answer.status, answer.problem().as_str()), (404, "not-found"), "{path}");
    }
    for (method, status, allow) in [("GET", 200, ""), ("HEAD", 200, ""), ("POST", 405, "GET, HEAD")] {
        let answer = app.send(Request::post("/healthz", "").method(method)).await;
        assert_eq!((answer.status, answer.header("allow")), (status, allow), "{method}");
    }
    for method in ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW"] {
        let answer = app.send(stripe("evt_1").method(method)).await;
        assert_eq!((answer.status, answer.problem().as_str(), answer.header("allow")), (405, "method-not-allowed", "POST"), "{method}");
    }
    assert_eq!(app.send(stripe("evt_1").method("HEAD")).await.status, 405);
    assert!(app.rows("/api/v1/events").await.is_empty());
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_says_accepted_once_and_duplicate_from_then_on() {
    let app = TestApp::start(STRIPE).await;
    for status in ["accepted", "duplicate", "duplicate"] {
        let answer = app.send(stripe("evt_1")).await;
        assert_eq!((answer.status, answer.header("onceward-status")), (200, status));
        assert_eq!(answer.header("content-type"), "application/json");
        assert_eq!(answer.json(), serde_json::json!({ "status": status, "event_id": "evt_1" }));
    }
    let event = app.json("/api/v1/events/stripe/evt_1").await;
    assert_eq!((&event["duplicates"], &event["last_duplicate_at"].is_string()), (&2.into(), &true));
    assert_eq!((&event["type"], &event["verified_by"]), (&"invoice.paid".into(), &"secret:1".into()));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_that_wants_an_answer_of_its_own_gets_it() {
    let app = TestApp::start(SLACK).await;
    let event = r#"{"type":"event_callback","event_id":"Ev1","event":{"type":"app_mention"}}"#;
    for status in ["accepted", "duplicate"] {
        let answer = app.send(slack(event)).await;
        assert_eq!((answer.status, answer.body.as_slice()), (200, &b""[..]), "{answer:?}");
        assert_eq!(answer.header("onceward-status"), status);
    }
    assert_eq!(app.json("/api/v1/events/slack/Ev1").await["type"], "app_mention");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_is_answered_and_is_no_event() {
    let app = TestApp::start(SLACK).await;
    let handshake = r#"{"type":"url_verification","challenge":"3eZbrw1a"}"#;
    let answer = app.send(slack(handshake)).await;
    assert_eq!((answer.status, answer.body.as_slice()), (200, &b"3eZbrw1a"[..]));
    assert_eq!(answer.header("onceward-status"), "");
    let forged = app.send(slack(handshake).without("x-slack-signature")).await;
    assert_eq!((forged.status, forged.problem().as_str()), (401, "signature-missing"));
    assert!(!String::from_utf8_lossy(&forged.body).contains("3eZbrw1a"), "a forged handshake is not echoed");
    assert!(app.rows("/api/v1/events").await.is_empty());
    assert_eq!(app.metric("onceward_requests_total{source=\"slack\",outcome=\"handshake\"}").await, 1.0);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_secret_of_one_source_does_not_open_another() {
    let configuration = "[sources.one]\nprovider = \"stripe\"\nsecret = \"whsec_test_secret\"\n\
                         [sources.two]\nprovider = \"stripe\"\nsecret = \"whsec_another\"\n";
    let app = TestApp::start(configuration).await;
    assert_eq!(app.send(stripe("evt_1").to("/hooks/two")).await.problem(), "signature-mismatch");
    assert_eq!(app.send(stripe("evt_1").to("/hooks/one")).await.status, 200);
    assert_eq!(app.rows("/api/v1/events?source=two").await.len(), 0);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_secrets_rotate_each_of_them_opens_the_source() {
    let configuration = "[sources.stripe]\nprovider = \"stripe\"\nsecrets = [\"whsec_new\", \"whsec_test_secret\"]\n";
    let app = TestApp::start(configuration).await;
    let body = br#"{"id":"evt_new"}"#;
    let (old, new) = (SECRET, "whsec_new");
    let sign = |secret: &str| hmac_hex(secret, &[now().to_string().as_bytes(), b".", body]);
    let by_new = Request::post("/hooks/stripe", *body).header("stripe-signature", format!("t={},v1={}", now(), sign(new)));
    assert_eq!(app.send(by_new).await.header("onceward-status"), "accepted");
    assert_eq!(app.send(stripe("evt_old")).await.header("onceward-status"), "accepted");
    // The sender signs with both while it rotates.
    let by_both =
        Request::post("/hooks/stripe", *body).header("stripe-signature", format!("t={},v1={},v1={}", now(), sign(old), sign(new)));
    assert_eq!(app.send(by_both).await.header("onceward-status"), "duplicate");
    for (id, by) in [("evt_new", "secret:1"), ("evt_old", "secret:2")] {
        assert_eq!(app.json(&format!("/api/v1/events/stripe/{id}")).await["verified_by"], by);
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_none_takes_anything_and_says_so() {
    let app = TestApp::start("[sources.open]\nprovider = \"github\"\nverify = \"none\"\n").await;
    let unsigned = Request::post("/hooks/open", "{}").header("x-github-delivery", "1").header("x-github-event", "push");
    assert_eq!(app.send(unsigned.clone()).await.header("onceward-status"), "accepted");
    assert_eq!(app.send(unsigned.clone()).await.header("onceward-status"), "duplicate");
    assert_eq!(app.json("/api/v1/events/open/1").await["verified_by"], "none");
    assert_eq!(app.send(unsigned.without("x-github-delivery")).await.problem(), "event-id-missing");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_of_ones_own_is_a_row_like_any_other() {
    let configuration = r#"
        [sources.acme]
        provider = "acme"
        secret = "whsec_test_secret"
        [providers.acme]
        signature = { header = "X-Acme-Signature", prefix = "sha256=", encoding = "base64" }
        signed = "{header:X-Acme-Id}.{body}"
        event_id = ["header:X-Acme-Id"]
        event_id_signed = true
        event_type = ["{json:/kind}[.{json:/state}]"]
        answer = { status = 202, content_type = "text/plain", body = "thanks" }
    "#;
    let app = TestApp::start(configuration).await;
    let body = r#"{"kind":"order","state":"paid"}"#;
    let tag = hex::decode(hmac_hex(SECRET, &[b"a-1", b".", body.as_bytes()])).unwrap();
    let tag = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, tag);
    let request = |id: &str| {
        let request = Request::post("/hooks/acme", body).header("x-acme-signature", format!("sha256={tag}"));
        request.header("x-acme-id", id)
    };
    let answer = app.send(request("a-1")).await;
    assert_eq!((answer.status, answer.body.as_slice(), answer.header("onceward-status")), (202, &b"thanks"[..], "accepted"));
    assert_eq!(app.json("/api/v1/events/acme/a-1").await["type"], "order.paid");
    assert_eq!(app.send(request("a-2")).await.problem(), "signature-mismatch", "the ID is signed");
    app.finish().await;
}
