use bytes::Bytes;

use super::*;
use crate::config::Auth;
use crate::deliver::testing;
use crate::domain::{Headers, ManualClock, StoredEvent, Timestamp};
use crate::net::testing::{Answer, Server};

const BODY: &[u8] = b"{\"a\": 1}\n\xff\x00";

fn delivery() -> ClaimedDelivery {
    let common = testing::delivery();
    let event = StoredEvent {
        subpath: "/eu/1".to_owned(),
        query: "a=1".to_owned(),
        headers: [("content-type", &b"text/plain"[..]), ("host", b"us"), ("content-length", b"3")].into_iter().collect(),
        body: Bytes::from_static(BODY),
        ..(*common.event).clone()
    };
    ClaimedDelivery { event: Arc::new(event), ..common }
}

fn destination(url: Url, append_path: bool, timeout: Duration) -> HttpDestination {
    let clock = ManualClock::at(Timestamp::parse("2026-01-02T03:04:05Z").unwrap());
    let target = UrlTarget { append_path, ..UrlTarget::plain(url) };
    HttpDestination::new(Client::new().unwrap(), &target, timeout, Arc::new(clock)).unwrap()
}

async fn attempt_at(server: &Server) -> AttemptResult {
    destination(server.url("/in"), false, Duration::from_secs(10)).attempt(&delivery()).await
}

fn retry(reason: &str, after: Option<u64>) -> Outcome {
    Outcome::Retry { reason: reason.to_owned(), after: after.map(Duration::from_secs) }
}

fn taken(status: u16, response: Option<&[u8]>) -> AttemptResult {
    let response = response.map(<[u8]>::to_vec);
    AttemptResult { outcome: Outcome::Delivered, health: Health::Well, status_code: Some(status), response }
}

fn failed(outcome: Outcome) -> AttemptResult {
    unanswered(outcome, Health::Unwell)
}

#[tokio::test]
async fn forwards_method_body_and_headers_byte_for_byte() {
    let server = Server::start(Answer::status("200 OK", "", b"thanks")).await;
    let result = attempt_at(&server).await;
    assert_eq!(result, taken(200, Some(b"thanks")));
    let seen = &server.requests(1).await[0];
    assert_eq!((seen.line.as_str(), &seen.body[..]), ("PUT /in HTTP/1.1", BODY));
    assert_eq!(seen.headers.all("content-type").collect::<Vec<_>>(), [b"text/plain"]);
    assert_eq!(seen.headers.all("content-length").collect::<Vec<_>>(), [BODY.len().to_string().as_bytes()]);
    let host = server.url("/").authority().to_owned();
    assert_eq!(seen.headers.all("host").collect::<Vec<_>>(), [host.as_bytes()]);
    assert_eq!(seen.headers.text("idempotency-key"), Some("github:guid%201"));
    assert_eq!(seen.headers.text("onceward-delivery"), Some("7"));
}

#[tokio::test]
async fn an_empty_body_is_sent_as_one() {
    let server = Server::start(Answer::status("204 No Content", "", b"")).await;
    let mut delivery = delivery();
    Arc::get_mut(&mut delivery.event).unwrap().body = Bytes::new();
    let result = destination(server.url("/in"), false, Duration::from_secs(10)).attempt(&delivery).await;
    assert_eq!(result, taken(204, None));
    assert_eq!(server.requests(1).await[0].body, b"");
}

#[tokio::test]
async fn path_and_query_are_appended_only_when_asked_for() {
    let server = Server::start(Answer::status("200 OK", "", b"")).await;
    destination(server.url("/in?own=1"), true, Duration::from_secs(10)).attempt(&delivery()).await;
    destination(server.url("/in?own=1"), false, Duration::from_secs(10)).attempt(&delivery()).await;
    let lines: Vec<_> = server.requests(2).await.into_iter().map(|seen| seen.line).collect();
    assert_eq!(lines, ["PUT /in/eu/1?own=1&a=1 HTTP/1.1", "PUT /in?own=1 HTTP/1.1"]);
}

#[tokio::test]
async fn a_path_that_leaves_the_url_is_given_up_unsent() {
    let server = Server::start(Answer::status("200 OK", "", b"")).await;
    let mut delivery = delivery();
    Arc::get_mut(&mut delivery.event).unwrap().subpath = "/../admin".to_owned();
    let result = destination(server.url("/in"), true, Duration::from_secs(10)).attempt(&delivery).await;
    assert!(matches!(result.outcome, Outcome::GiveUp { .. }));
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn each_answer_has_its_outcome() {
    let cases = [
        ("500 Internal Server Error", "", retry("answered 500", None)),
        ("404 Not Found", "", retry("answered 404", None)),
        ("429 Too Many Requests", "Retry-After: 7\r\n", retry("answered 429", Some(7))),
        ("503 Service Unavailable", "Retry-After: Fri, 02 Jan 2026 03:05:05 GMT\r\n", retry("answered 503", Some(60))),
        ("503 Service Unavailable", "Retry-After: 999999\r\n", retry("answered 503", Some(86_400))),
        ("307 Temporary Redirect", "Location: /other\r\n", retry("answered 307: redirects are not followed", None)),
        ("410 Gone", "", Outcome::GiveUp { reason: "answered 410: the destination is gone".to_owned() }),
    ];
    for (status, headers, outcome) in cases {
        let server = Server::start(Answer::status(status, headers, b"why")).await;
        let result = attempt_at(&server).await;
        assert_eq!((result.outcome, result.response.as_deref()), (outcome, Some(&b"why"[..])), "{status}");
        assert_eq!(server.requests(1).await.len(), 1, "{status}");
    }
}

#[tokio::test]
async fn a_huge_answer_is_kept_up_to_4_kib() {
    let server = Server::start(Answer::status("500 Oh", "", &vec![b'x'; 3_000_000])).await;
    let result = attempt_at(&server).await;
    assert_eq!((result.status_code, result.response.map(|kept| kept.len())), (Some(500), Some(4_096)));
}

/// A destination with these settings, at a clock of the test's own.
fn configured(target: &UrlTarget, clock: &Arc<ManualClock>) -> HttpDestination {
    let clock = Arc::clone(clock) as Arc<dyn Clock>;
    HttpDestination::new(Client::new().unwrap(), target, Duration::from_secs(10), clock).unwrap()
}

fn with_headers(headers: &[(&'static str, &[u8])]) -> ClaimedDelivery {
    let mut delivery = delivery();
    Arc::get_mut(&mut delivery.event).unwrap().headers = headers.iter().copied().collect();
    delivery
}

#[tokio::test]
async fn configured_fields_and_credentials_replace_the_senders() {
    let server = Server::start(Answer::status("302 Found", "Location: /elsewhere\r\n", b"")).await;
    let clock = Arc::new(ManualClock::at(Timestamp::from_secs(0)));
    let sent =
        with_headers(&[("x-api-key", b"theirs"), ("x-api-key", b"theirs too"), ("authorization", b"Bearer theirs"), ("x-kept", b"1")]);
    let auths =
        [(Auth::Bearer("hunter2".into()), "Bearer hunter2"), (Auth::Basic("us\u{e9}r:hunter2".into()), "Basic dXPDqXI6aHVudGVyMg==")];
    for (at, (auth, expected)) in auths.into_iter().enumerate() {
        let headers = vec![("x-api-key".to_owned(), "hunter2".into()), ("content-type".to_owned(), "text/ours".into())];
        let target = UrlTarget { headers, auth: Some(auth), ..UrlTarget::plain(server.url("/in")) };
        let result = configured(&target, &clock).attempt(&sent).await;
        assert_eq!(result.outcome, retry("answered 302: redirects are not followed", None), "no other place is told the credentials");
        let seen = server.requests(at + 1).await.pop().unwrap();
        for (name, value) in [("authorization", expected), ("x-api-key", "hunter2"), ("content-type", "text/ours"), ("x-kept", "1")] {
            assert_eq!(seen.headers.all(name).collect::<Vec<_>>(), [value.as_bytes()], "{name}");
        }
        assert_eq!(seen.line, "PUT /in HTTP/1.1");
    }
    let target = UrlTarget { headers: vec![("x-api-key".to_owned(), "a\nb".into())], ..UrlTarget::plain(server.url("/")) };
    let error = HttpDestination::new(Client::new().unwrap(), &target, Duration::from_secs(1), clock).err().unwrap();
    assert_eq!(error.to_string(), "the header x-api-key cannot be sent");
}

#[tokio::test]
async fn nothing_shows_what_is_configured_to_be_sent() {
    let server = Server::start(Answer::status("200 OK", "", b"")).await;
    let headers = vec![("x-api-key".to_owned(), "hunter2".into())];
    let target = UrlTarget { headers, auth: Some(Auth::Bearer("hunter2".into())), ..UrlTarget::plain(server.url("/in")) };
    let credentials = credentials::fields(&target).unwrap();
    let to = Endpoint::try_from(&server.url("/")).unwrap();
    let (method, headers, body) = ("GET".to_owned(), Headers::default(), Bytes::new());
    let request = Request { method, to, headers, credentials: credentials.clone(), body, timeout: Duration::ZERO, response_cap: 0 };
    let shown = format!("{target:?} {credentials:?} {request:?}");
    assert!(!shown.contains("hunter2") && shown.contains("x-api-key"), "{shown}");
}

#[tokio::test]
async fn every_attempt_is_signed_for_its_own_time_over_the_bytes_that_are_sent() {
    let server = Server::start(Answer::status("500 Oh", "", b"")).await;
    let keys = ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsk_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc="];
    let sign = keys.map(|key| SigningKey::parse(key).unwrap());
    let target = UrlTarget { sign: sign.to_vec(), ..UrlTarget::plain(server.url("/in")) };
    let clock = Arc::new(ManualClock::at(Timestamp::from_secs(1_000)));
    let sent = with_headers(&[("webhook-signature", b"v1,theirs"), ("webhook-id", b"theirs"), ("webhook-timestamp", b"7")]);
    let destination = configured(&target, &clock);
    for (attempt, second) in [(1, 1_000), (2, 87_400)] {
        clock.set(Timestamp::from_secs(second));
        destination.attempt(&sent).await;
        let seen = server.requests(attempt).await.pop().unwrap();
        let expected = crate::signing::sign(&sign, "github:guid%201".to_owned(), Timestamp::from_secs(second), &seen.body);
        for (name, value) in crate::signing::FIELDS.iter().zip(expected) {
            assert_eq!(seen.headers.all(name).collect::<Vec<_>>(), [value.as_bytes()], "{name}");
        }
        assert_eq!(seen.body, BODY);
    }
}

#[tokio::test]
async fn no_answer_is_worth_another_attempt() {
    let hanging = Server::start(Answer::SendAndHang(Vec::new())).await;
    let result = destination(hanging.url("/in"), false, Duration::from_millis(50)).attempt(&delivery()).await;
    assert_eq!(result, failed(retry("timed out after 0.05 s", None)));
    let cut = Server::start(Answer::SendAndCut(Vec::new())).await;
    assert_eq!(attempt_at(&cut).await, failed(retry("the connection was closed before an answer came", None)));
    let url = cut.url("/in");
    cut.stop().await;
    let result = destination(url, false, Duration::from_secs(10)).attempt(&delivery()).await;
    assert_eq!(result, failed(retry("connection refused", None)));
}
