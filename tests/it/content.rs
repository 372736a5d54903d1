//! What is kept of a request: the body byte for byte, whatever it holds; the headers but for credentials; the ID,
//! whatever is in it.

use std::fmt::Write as _;

use crate::support::signed::{SECRET, hmac_hex, stripe_body};
use crate::support::{Raw, Receiver, Request, TestApp, github, until};

const SOURCES: &str = "[sources.stripe]\nprovider = \"stripe\"\nsecret = \"whsec_test_secret\"\n\
                       [sources.github]\nprovider = \"github\"\nsecret = \"whsec_test_secret\"\nmax_body = \"10MiB\"\n";

/// Everything but unreserved characters percent-encoded.
fn encoded(id: &str) -> String {
    let mut text = String::new();
    for byte in id.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'~' => text.push(char::from(byte)),
            _ => write!(text, "%{byte:02X}").unwrap(),
        }
    }
    text
}

/// Which of the texts stand anywhere in the files that the program leaves.
async fn on_disk(app: TestApp, texts: &[&'static str]) -> Vec<&'static str> {
    let database = app.database();
    let folder = app.finish().await;
    assert!(database.exists(), "the files are elsewhere");
    let files = std::fs::read_dir(folder.path()).unwrap().map(|entry| std::fs::read(entry.unwrap().path()).unwrap());
    let bytes: Vec<u8> = files.flatten().collect();
    let found = |text: &&&str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    texts.iter().filter(found).copied().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_body_is_kept_byte_for_byte() {
    let app = TestApp::start(SOURCES).await;
    let bodies: [&[u8]; 8] = [
        b"",
        b"{}",
        b"{ \"order\" : 1,\r\n\t\"is\": \"kept\" } \n",
        b"\xff\xfe\x80 invalid UTF-8",
        b"\x00\x01\x02\x00",
        b"\r\n\r\n--",
        "\u{feff}{\"bom\":true}".as_bytes(),
        &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    ];
    for (number, body) in bodies.iter().enumerate() {
        let answer = app.send(github(&format!("b{number}"), "push", *body)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let kept = app.get(&format!("/api/v1/events/github/b{number}/body")).await;
        assert_eq!((kept.status, kept.body.as_slice()), (200, *body));
        assert_eq!(app.json(&format!("/api/v1/events/github/b{number}")).await["size"], body.len());
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compressed_body_is_neither_unpacked_nor_refused() {
    let receiver = Receiver::start().await;
    let app = TestApp::start(&format!("{SOURCES}forward = \"{}\"\n", receiver.url)).await;
    // Says gzip and is none: whoever unpacks it fails. The signature is over what was sent.
    for (id, body) in [("real", &b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00"[..]), ("no", b"{}")] {
        let answer = app.send(github(id, "push", body).header("content-encoding", "gzip")).await;
        assert_eq!(answer.header("onceward-status"), "accepted", "{answer:?}");
        assert_eq!(app.get(&format!("/api/v1/events/github/{id}/body")).await.body, body);
        app.settled().await;
        let seen = receiver.seen().pop().unwrap();
        assert_eq!((seen.body.as_slice(), seen.header("content-encoding").as_str()), (body, "gzip"));
    }
    assert_eq!(receiver.seen().len(), 2);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunked_body_is_a_body() {
    let app = TestApp::start(SOURCES).await;
    let signature = hmac_hex(SECRET, &[b"hello world"]);
    let mut connection = Raw::connect(&app.public).await;
    let head = format!(
        "POST /hooks/github HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\nx-github-delivery: chunked\r\n\
         x-github-event: push\r\nx-hub-signature-256: sha256={signature}\r\n\r\n"
    );
    connection.write(head).await;
    connection.write("5\r\nhello\r\n").await;
    connection.write("6;extension=1\r\n world\r\n0\r\n\r\n").await;
    assert_eq!(connection.answer().await.status, 200);
    assert_eq!(app.get("/api/v1/events/github/chunked/body").await.body, b"hello world");
    let event = app.json("/api/v1/events/github/chunked").await;
    let names: Vec<_> = event["headers"].as_array().unwrap().iter().map(|field| field[0].as_str().unwrap()).collect();
    assert!(!names.contains(&"transfer-encoding"), "{names:?}");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_mebibytes_are_taken_and_one_byte_more_is_not() {
    let app = TestApp::start(SOURCES).await;
    let body = vec![0xa5; 10 << 20];
    assert_eq!(app.send(github("whole", "push", body.clone())).await.header("onceward-status"), "accepted");
    assert_eq!(app.get("/api/v1/events/github/whole/body").await.body, body);
    let answer = app.send(github("more", "push", [body, vec![0]].concat())).await;
    assert_eq!((answer.status, answer.problem().as_str()), (413, "body-too-large"));
    assert_eq!(app.get("/api/v1/events/github/more").await.status, 404);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_cut_off_half_way_leaves_no_event() {
    let app = TestApp::start(SOURCES).await;
    let signature = hmac_hex(SECRET, &[b"{\"half\":1"]);
    let head = format!(
        "POST /hooks/github HTTP/1.1\r\nhost: x\r\nx-github-delivery: cut\r\nx-github-event: push\r\nx-hub-signature-256: sha256={signature}\r\n"
    );
    // What arrived is signed, as if by a sender whose connection broke: only its length tells that it is not all.
    for framing in ["content-length: 100\r\n\r\n{\"half\":1", "transfer-encoding: chunked\r\n\r\n9\r\n{\"half\":1\r\n"] {
        let mut connection = Raw::connect(&app.public).await;
        connection.write(format!("{head}{framing}")).await;
        drop(connection);
    }
    let refused = "onceward_rejections_total{source=\"github\",code=\"body-unreadable\"}";
    until("both were noticed", async || app.metric(refused).await >= 2.0).await;
    assert!(app.rows("/api/v1/events").await.is_empty());
    assert_eq!(app.send(github("cut", "push", "{}")).await.header("onceward-status"), "accepted");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_whose_length_can_be_read_two_ways_is_refused() {
    let app = TestApp::start(SOURCES).await;
    let signature = hmac_hex(SECRET, &[b"{}"]);
    let head = format!(
        "POST /hooks/github HTTP/1.1\r\nhost: x\r\nx-github-delivery: twice\r\nx-github-event: push\r\nx-hub-signature-256: sha256={signature}\r\n"
    );
    for framing in [
        "content-length: 2\r\ncontent-length: 3\r\n\r\n{} ",
        "content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "content-length: -2\r\n\r\n{}",
        "content-length: +2\r\n\r\n{}",
        "content-length: 99999999999999999999999\r\n\r\n{}",
        "transfer-encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        "transfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    ] {
        let mut connection = Raw::connect(&app.public).await;
        connection.write(format!("{head}{framing}")).await;
        let status = connection.answer().await.status;
        assert!(matches!(status, 400 | 413 | 501), "{framing:?}: {status}");
    }
    assert!(app.rows("/api/v1/events").await.is_empty());
    app.finish().await;
}

/// IDs that mean something to a URL, a header, a shell, SQL or HTML.
const IDS: &[&str] = &[
    "a/b",
    "/",
    "//",
    "a%2Fb",
    "100%",
    "%",
    "%zz",
    "a+b c",
    "quote\"'`",
    "back\\slash",
    "ünï-日本-🦀",
    "nul\0inside",
    "\u{7f}\u{1}\n\t",
    "..",
    ".",
    "a/../b",
    "?query=1#fragment",
    "a&b=c;d",
    "body",
    "x/body",
    "<script>",
    "' OR 1=1 --",
];

#[tokio::test(flavor = "multi_thread")]
async fn whatever_an_id_holds_it_reads_back() {
    let app = TestApp::start(SOURCES).await;
    let longest = ["x".repeat(1024), "ü".repeat(512)];
    let ids: Vec<_> = IDS.iter().copied().chain(longest.iter().map(String::as_str)).collect();
    for id in &ids {
        let body = serde_json::json!({ "id": id }).to_string();
        let answer = app.send(stripe_body(body.clone())).await;
        assert_eq!((answer.status, &answer.json()["event_id"]), (200, &(*id).into()), "{id:?}");
        let path = format!("/api/v1/events/stripe/{}", encoded(id));
        // Clients take dot segments out of a URL, however they are spelled: those two are found in the list alone.
        if !matches!(*id, "." | "..") {
            assert_eq!(app.json(&path).await["event_id"], **id, "{path}");
            assert_eq!(app.get(&format!("{path}/body")).await.body, body.as_bytes(), "{path}");
        }
        let listed = app.rows(&format!("/api/v1/events?event_id={}", encoded(id))).await;
        assert_eq!((listed.len(), &listed[0]["event_id"]), (1, &(*id).into()), "{id:?}");
    }
    assert_eq!(app.rows("/api/v1/events?limit=200").await.len(), ids.len());
    for long in ["x".repeat(1025), "ü".repeat(513)] {
        let answer = app.send(stripe_body(serde_json::json!({ "id": long }).to_string())).await;
        assert_eq!((answer.status, answer.problem().as_str()), (400, "event-id-missing"));
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_are_neither_stored_nor_forwarded_and_signatures_are_both() {
    let receiver = Receiver::start().await;
    let configuration = format!(
        "[sources.gitlab]\nprovider = \"gitlab\"\nsecret = \"glwt-the-token\"\nforward = \"{0}\"\n\
         [sources.github]\nprovider = \"github\"\nsecret = \"whsec_test_secret\"\nforward = \"{0}\"\n",
        receiver.url
    );
    let app = TestApp::start(&configuration).await;
    let with_credentials = |request: Request| {
        let request = request.header("authorization", "Bearer hush-1").header("cookie", "session=hush-2");
        request.header("proxy-authorization", "Basic hush-3").header("connection", "x-hop").header("x-hop", "hush-4")
    };
    let gitlab = Request::post("/hooks/gitlab", r#"{"object_kind":"push"}"#).header("x-gitlab-token", "glwt-the-token");
    let gitlab = gitlab.header("idempotency-key", "u-1").header("x-gitlab-event", "Push Hook");
    assert_eq!(app.send(with_credentials(gitlab)).await.status, 200);
    let signed = github("g-1", "push", "{}");
    let signature = signed.headers[0].1.clone();
    assert_eq!(app.send(with_credentials(signed)).await.status, 200);
    app.settled().await;
    let mut shown = String::new();
    for path in ["/api/v1/events/gitlab/u-1", "/api/v1/events/github/g-1"] {
        shown += &app.json(path).await.to_string();
    }
    for seen in receiver.got(2).await {
        shown += &seen.headers.iter().map(|(name, value)| format!("{name}: {}\n", String::from_utf8_lossy(value))).collect::<String>();
    }
    for secret in ["hush-1", "hush-2", "hush-3", "hush-4", "glwt-the-token"] {
        assert!(!shown.contains(secret), "{secret} is kept: {shown}");
    }
    assert_eq!(shown.matches(&signature).count(), 2, "stored once and forwarded once");
    assert_eq!(shown.matches("Push Hook").count(), 2, "other fields stay");
    assert_eq!(on_disk(app, &["hush-1", "hush-2", "hush-3", "hush-4", "glwt-the-token", SECRET]).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_requests_credentials_are_not_kept_either() {
    let app = TestApp::start("[sources.gitlab]\nprovider = \"gitlab\"\nsecret = \"glwt-the-token\"\n").await;
    let request = Request::post("/hooks/gitlab", "{}").header("x-gitlab-token", "glwt-guessed").header("authorization", "Bearer hush-1");
    assert_eq!(app.send(request).await.problem(), "signature-mismatch");
    assert_eq!(app.rows("/api/v1/rejections").await.len(), 1);
    assert_eq!(on_disk(app, &["glwt-guessed", "hush-1", "glwt-the-token"]).await, [""; 0]);
}
