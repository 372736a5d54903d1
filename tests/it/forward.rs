//! The request that a destination gets: the sender's own, byte for byte, with what Onceward knows about it.

use crate::support::receiver::Seen;
use crate::support::{Behaviour, Receiver, Request, TestApp, github};

/// A source `github` that forwards to this receiver, with these further keys of its destination.
fn forwarding(receiver: &Receiver, more: &str) -> String {
    format!(
        "[sources.github]\nprovider = \"github\"\nsecret = \"whsec_test_secret\"\n\
         [destinations.hook]\nfrom = [\"github\"]\nurl = \"{}\"\n{more}\n",
        receiver.url
    )
}

/// What a destination gets of one request.
async fn forwarded(request: Request) -> Seen {
    let receiver = Receiver::start().await;
    let app = TestApp::start(&forwarding(&receiver, "")).await;
    let answer = app.send(request).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    app.settled().await;
    app.finish().await;
    receiver.seen().remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn onceward_says_what_it_knows() {
    let seen = forwarded(github("a/b ü%", "pull_request", r#"{"action":"opened"}"#)).await;
    assert_eq!((seen.method.as_str(), seen.target.as_str()), ("POST", "/"));
    assert_eq!(seen.header("onceward-source"), "github");
    assert_eq!(seen.header("onceward-event-id"), "a/b%20%C3%BC%25", "percent-encoded where a header value could not hold it");
    assert_eq!(seen.header("onceward-event-type"), "pull_request.opened");
    assert_eq!(seen.header("onceward-attempt"), "1");
    assert!(!seen.header("onceward-delivery").is_empty());
    assert_eq!(seen.header("idempotency-key"), "github:a/b%20%C3%BC%25");
    let traceparent = seen.header("traceparent");
    let lengths: Vec<_> = traceparent.split('-').map(str::len).collect();
    assert_eq!(lengths, [2, 32, 16, 2], "{traceparent}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_sender_says_of_the_same_kind_stays() {
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let request = github("1", "push", "{}").header("idempotency-key", "the sender's own").header("traceparent", trace);
    let seen = forwarded(request.header("tracestate", "vendor=1")).await;
    assert_eq!(seen.header("idempotency-key"), "the sender's own");
    assert_eq!((seen.header("traceparent").as_str(), seen.header("tracestate").as_str()), (trace, "vendor=1"));
    assert_eq!(seen.headers.iter().filter(|(name, _)| name == "idempotency-key").count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_outside_can_pass_for_onceward() {
    let request = github("1", "push", "{}").header("onceward-event-id", "forged").header("onceward-verified", "yes");
    let seen = forwarded(request.header("Onceward-Attempt", "99")).await;
    assert_eq!((seen.header("onceward-event-id").as_str(), seen.header("onceward-attempt").as_str()), ("1", "1"));
    assert_eq!(seen.header("onceward-verified"), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_deeper_path_and_query_go_along_where_the_destination_wants_them() {
    for (more, expected) in [("append_path = true", "/eu/a%2Fb?x=1&y=%20"), ("", "/")] {
        let receiver = Receiver::start().await;
        let app = TestApp::start(&forwarding(&receiver, more)).await;
        assert_eq!(app.send(github("1", "push", "{}").to("/hooks/github/eu/a%2Fb?x=1&y=%20")).await.status, 200);
        app.settled().await;
        assert_eq!(receiver.seen()[0].target, expected, "{more}");
        app.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_that_would_leave_the_destination_ends_the_delivery() {
    let receiver = Receiver::start().await;
    let url = format!("{}inner", receiver.url);
    let app = TestApp::start(&forwarding(&receiver, "append_path = true").replace(&receiver.url, &url)).await;
    // A client would resolve the plain dots itself.
    assert_eq!(app.send(github("1", "push", "{}").to("/hooks/github/x")).await.status, 200);
    let mut connection = crate::support::Raw::connect(&app.public).await;
    let signature = github("2", "push", "{}").headers[0].1.clone();
    let head = "POST /hooks/github/../admin HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\nx-github-delivery: 2\r\n";
    connection.write(format!("{head}x-github-event: push\r\nx-hub-signature-256: {signature}\r\n\r\n{{}}")).await;
    assert_eq!(connection.answer().await.status, 200);
    app.settled().await;
    assert_eq!(app.json("/api/v1/events/github/2").await["status"], "dead");
    let targets: Vec<_> = receiver.seen().into_iter().map(|seen| seen.target).collect();
    assert_eq!(targets, ["/inner/x"]);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_are_not_followed() {
    let (receiver, elsewhere) = (Receiver::start().await, Receiver::start().await);
    receiver.next([Behaviour::Redirect(307, elsewhere.url.clone()), Behaviour::Redirect(301, elsewhere.url.clone())]);
    let app = TestApp::start(&forwarding(&receiver, "retry = { attempts = 3, first = \"1ms\" }")).await;
    app.send(github("1", "push", "{}")).await;
    app.settled().await;
    assert_eq!((receiver.seen().len(), elsewhere.seen().len()), (3, 0));
    app.finish().await;
}

/// A destination that proves what it gets by our own rows for Standard Webhooks.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_signed_holds_for_a_receiver_of_standard_webhooks() {
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const OTHER: &str = "whsec_c2Vjb25kIGtleSwgMjQgYnl0ZXMgbG9uZw==";
    // RFC 8032, 7.1, test 1.
    const PRIVATE: &str = "whsk_nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=";
    const PUBLIC: &str = "whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
    let source = |provider: &str, secret: &str| format!("[sources.in]\nprovider = \"{provider}\"\nsecret = \"{secret}\"\n");
    let rows = [("standard-webhooks", SECRET), ("standard-webhooks", OTHER), ("standard-webhooks-v1a", PUBLIC)];
    for (provider, secret) in rows {
        let receiving = TestApp::start(&source(provider, secret)).await;
        let sending = format!(
            "[sources.github]\nprovider = \"github\"\nsecret = \"whsec_test_secret\"\n\
             [destinations.hook]\nfrom = [\"github\"]\nurl = \"{}/hooks/in\"\nretry = {{ attempts = 1 }}\n\
             sign = [\"{SECRET}\", \"{PRIVATE}\", \"{OTHER}\"]\n",
            receiving.public
        );
        let sending = TestApp::start(&sending).await;
        let request = github("guid.1 \u{fc}", "push", "{\"a\":\u{20}1}").header("webhook-id", "theirs");
        assert_eq!(sending.send(request).await.status, 200);
        sending.settled().await;
        assert_eq!(sending.rows("/api/v1/deliveries").await[0]["status"], "delivered", "{provider}");
        let event = receiving.rows("/api/v1/events").await.remove(0);
        assert_eq!(event["event_id"], "github:guid%2E1%20%C3%BC", "{provider}");
        sending.finish().await;
        receiving.stop().await;
    }
}
