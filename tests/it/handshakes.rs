//! Handshakes that do something: a secret that the sender makes up is kept, once; what a sender publishes is fetched; what
//! it wants visited is visited.

use std::sync::Arc;
use std::sync::Mutex;

use async_trait::async_trait;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use onceward::domain::{Silent, SystemClock};
use onceward::fixture::{self, Fixture};
use onceward::ingest::{Answer, Fetch, Ingest, Parts, Source};
use onceward::provider::Table;
use onceward::store::sqlite::{Options, SqliteStore};
use onceward::verify::{Setup, Verifier};

use crate::support::command::onceward;
use crate::support::signed::hmac_hex;
use crate::support::{Request, TestApp, until};

const ASANA: &str = "[sources.asana]\nprovider = \"asana\"\n";

fn handshake(secret: &str) -> Request {
    Request::post("/hooks/asana", "{}").header("x-hook-secret", secret)
}

fn event(secret: &str, number: u32) -> Request {
    let body = format!("{{\"events\":[{{\"action\":\"changed\",\"n\":{number},\"resource\":{{\"resource_type\":\"task\"}}}}]}}");
    let signature = hmac_hex(secret, &[body.as_bytes()]);
    Request::post("/hooks/asana", body).header("x-hook-signature", signature)
}

#[tokio::test]
async fn the_first_handshake_brings_the_secret_and_no_other_does() {
    let app = TestApp::start(ASANA).await;
    assert_eq!(app.send(event("guessed", 0)).await.problem(), "signature-mismatch");
    let answer = app.send(handshake("told")).await;
    assert_eq!((answer.status, answer.header("x-hook-secret")), (200, "told"));
    assert_eq!(app.send(handshake("told")).await.status, 200, "a sender that got no answer begins anew");
    let other = app.send(handshake("forged")).await;
    assert_eq!((other.problem().as_str(), other.header("x-hook-secret")), ("signature-mismatch", ""));
    let kept = async || app.rows("/api/v1/rejections").await.iter().map(ToString::to_string).collect::<String>();
    until("the refusal is kept", async || kept().await.contains("only the first handshake is believed")).await;
    for row in app.rows("/api/v1/rejections").await {
        let row = app.json(&format!("/api/v1/rejections/{}", row["id"].as_str().unwrap())).await;
        assert!(!row.to_string().contains("forged"), "whose secret it may be: {row}");
    }
    assert_eq!(app.send(event("told", 1)).await.header("onceward-status"), "accepted");
    assert_eq!(app.send(event("forged", 2)).await.problem(), "signature-mismatch");
    let heartbeat = Request::post("/hooks/asana", "{\"events\":[]}").header("x-hook-signature", hmac_hex("told", &[b"{\"events\":[]}"]));
    let answer = app.send(heartbeat).await;
    assert_eq!((answer.status, answer.header("onceward-status")), (200, ""), "a heartbeat is no event");

    let app = TestApp::start_in(app.stop().await, ASANA).await;
    assert_eq!(app.send(event("told", 1)).await.header("onceward-status"), "duplicate", "kept over a restart");
    assert_eq!(app.send(handshake("forged")).await.problem(), "signature-mismatch");
    assert_eq!(app.rows("/api/v1/events").await.len(), 1);

    let folder = app.stop().await;
    let learned = async |arguments: &[&str]| {
        let ran = onceward(folder.path(), &[&["learned", "--database", "sqlite:test.db"], arguments].concat()).await;
        (ran.code, ran.stdout)
    };
    assert_eq!(learned(&["asana"]).await, (Some(0), "told\n".to_owned()));
    assert_eq!(learned(&["other"]).await.0, Some(1));
    assert_eq!(learned(&["asana", "--forget"]).await.0, Some(0));
    assert_eq!(learned(&["asana"]).await.0, Some(1));
    let app = TestApp::start_in(folder, ASANA).await;
    assert_eq!(app.send(handshake("renewed")).await.status, 200);
    assert_eq!(app.send(event("told", 3)).await.problem(), "signature-mismatch");
    app.stop().await;
}

#[tokio::test]
async fn of_many_handshakes_at_once_one_is_believed() {
    let app = TestApp::start(ASANA).await;
    let secrets: Vec<String> = (0..20).map(|at| format!("secret-{at}")).collect();
    let answers = futures_util::future::join_all(secrets.iter().map(|secret| app.send(handshake(secret)))).await;
    let believed: Vec<_> = secrets.iter().zip(&answers).filter(|(_, answer)| answer.status == 200).map(|(secret, _)| secret).collect();
    assert_eq!(believed.len(), 1);
    for (at, secret) in secrets.iter().enumerate() {
        let status = app.send(event(secret, at as u32)).await.status;
        assert_eq!(status == 200, secret == believed[0], "{secret}");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_configured_secret_is_not_replaced_by_a_handshake() {
    let app = TestApp::start(&format!("{ASANA}secret = \"configured\"\n")).await;
    assert_eq!(app.send(handshake("forged")).await.problem(), "signature-mismatch");
    assert_eq!(app.send(handshake("configured")).await.status, 200);
    assert_eq!(app.send(event("configured", 1)).await.status, 200);
    app.stop().await;
}

#[tokio::test]
async fn nothing_is_kept_of_a_refused_handshake_that_brings_its_secret_in_the_body() {
    let app = TestApp::start("[sources.notion]\nprovider = \"notion\"\nsecret = \"configured\"\n").await;
    let token = |token: &str| Request::post("/hooks/notion", format!("{{\"verification_token\":\"{token}\"}}"));
    assert_eq!(app.send(token("configured")).await.status, 200);
    assert_eq!(app.send(token("hunter2")).await.problem(), "signature-mismatch");
    until("the refusal is kept", async || app.rows("/api/v1/rejections").await.len() == 1).await;
    let id = app.rows("/api/v1/rejections").await[0]["id"].as_str().unwrap().to_owned();
    let body = app.get(&format!("/api/v1/rejections/{id}/body")).await;
    assert_eq!((body.status, body.body.len()), (200, 0));
    app.stop().await;
}

/// A sender's host: gives what it has, and notes what it was asked for.
struct Host {
    content: Result<Bytes, String>,
    asked: Mutex<Vec<String>>,
}

#[async_trait]
impl Fetch for Host {
    async fn fetch(&self, url: &str, _: &[String]) -> Result<Bytes, String> {
        self.asked.lock().unwrap().push(url.to_owned());
        self.content.clone()
    }
}

/// A source of Amazon SNS whose certificates come from this host.
struct Sns {
    ingest: Ingest,
    host: Arc<Host>,
    _folder: tempfile::TempDir,
}

impl Sns {
    fn new(content: Result<Bytes, String>) -> Self {
        Self::of_topic(content, "arn:aws:sns:us-west-2:123456789012:orders")
    }

    fn of_topic(content: Result<Bytes, String>, topic: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("test.db"), &Options::default(), Arc::new(Silent)).unwrap();
        let host = Arc::new(Host { content, asked: Mutex::new(Vec::new()) });
        let parts = Parts {
            inbox: Arc::new(store),
            routes: onceward::route::Routes::new(Vec::new()),
            wake: Arc::new(Silent),
            observer: Arc::new(Silent),
            clock: Arc::new(SystemClock),
            fetch: Arc::clone(&host) as _,
            table: Arc::new(Table::builtin()),
        };
        let mut setup = Setup::new(Table::builtin().get("aws-sns").unwrap().clone(), Vec::new());
        setup.params.insert("topic_arn".into(), topic.into());
        let source = Source::new("sns".into(), Verifier::new("sns", setup).unwrap(), 1 << 20, None);
        Self { ingest: Ingest::new(vec![source], parts), host, _folder: folder }
    }

    async fn receive(&self, fixture: &Fixture) -> Answer {
        self.ingest.receive(self.ingest.source("sns").unwrap(), fixture.request.clone()).await
    }

    fn asked(&self) -> Vec<String> {
        self.host.asked.lock().unwrap().clone()
    }
}

fn sns(case: &str) -> Fixture {
    fixture::load_file(format!("{}/fixtures/aws-sns/{case}.http", env!("CARGO_MANIFEST_DIR")).as_ref()).unwrap()
}

#[tokio::test]
async fn a_published_certificate_is_fetched_once_and_a_subscription_is_confirmed() {
    let (event, confirmation) = (sns("notification-v2"), sns("subscription-confirmation"));
    let sender = Sns::new(Ok(event.certificate.clone().unwrap().into()));
    assert!(matches!(sender.receive(&event).await, Answer::Event { .. }));
    assert!(matches!(sender.receive(&event).await, Answer::Event { .. }));
    assert!(matches!(sender.receive(&sns("tampered")).await, Answer::Refused { .. }));
    assert_eq!(sender.asked().len(), 1, "{:?}", sender.asked());
    assert!(matches!(sender.receive(&confirmation).await, Answer::Handshake(reply) if reply.status == 200));
    assert!(sender.asked().last().unwrap().contains("Action=ConfirmSubscription"), "{:?}", sender.asked());
}

#[tokio::test]
async fn a_request_whose_certificate_cannot_be_had_is_to_come_again() {
    let sender = Sns::new(Err("no route".into()));
    let Answer::Refused { code, retry_after } = sender.receive(&sns("notification-v2")).await else { panic!("it cannot be judged") };
    assert!(code.status() == 503 && retry_after.is_some());
}

#[tokio::test]
async fn no_host_but_the_senders_is_asked() {
    let sender = Sns::new(Ok(sns("notification-v2").certificate.unwrap().into()));
    for case in ["certificate-evil-host", "certificate-http", "certificate-host-in-userinfo", "certificate-port"] {
        assert!(matches!(sender.receive(&sns(case)).await, Answer::Refused { code, .. } if code.status() == 401), "{case}");
    }
    assert!(sender.asked().is_empty(), "{:?}", sender.asked());
}

#[tokio::test]
async fn a_message_of_a_strangers_topic_is_refused_however_well_it_is_signed() {
    let (event, confirmation) = (sns("notification-v2"), sns("subscription-confirmation"));
    let sender = Sns::of_topic(Ok(event.certificate.clone().unwrap().into()), "arn:aws:sns:eu-central-1:123456789012:another");
    for request in [&event, &confirmation] {
        assert!(matches!(sender.receive(request).await, Answer::Refused { code, .. } if code.status() == 401));
    }
    assert!(sender.asked().is_empty(), "nothing is fetched for a stranger: {:?}", sender.asked());
}

/// A message of SNS, signed as SNS signs what anybody publishes to a topic of his own.
fn published(fields: &[(&str, &str)]) -> String {
    let pem = include_str!("../../fixtures/tools/keys/rsa-test.pem");
    let der: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    let key = RsaKeyPair::from_pkcs8(&STANDARD.decode(der).unwrap()).unwrap();
    let text: String = fields.iter().map(|(name, value)| format!("{name}\n{value}\n")).collect();
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature).unwrap();
    STANDARD.encode(signature)
}

/// That message as a request, with these values beside the signature.
fn message(like: &Fixture, fields: &[(&str, &str)], signature: &str) -> Fixture {
    let mut body = serde_json::json!({
        "SignatureVersion": "2",
        "SigningCertURL": "https://sns.us-west-2.amazonaws.com/SimpleNotificationService-f1c7f1c7f1c7f1c7f1c7f1c7f1c7f1c7.pem",
        "Signature": signature,
    });
    fields.iter().for_each(|(name, value)| body[*name] = (*value).into());
    let mut fixture = like.clone();
    fixture.request.body = body.to_string().into();
    fixture
}

#[tokio::test]
async fn no_value_of_a_strangers_message_can_pass_for_the_name_of_another() {
    let like = sns("notification-v2");
    let (theirs, ours) = ("arn:aws:sns:us-west-2:999999999999:theirs", "arn:aws:sns:us-west-2:123456789012:orders");
    let text = format!("evil\nMessageId\nm-1\nTimestamp\nt0\nTopicArn\n{ours}\nType\nNotification");
    let real = [("Message", &*text), ("MessageId", "real"), ("Timestamp", "t1"), ("TopicArn", theirs), ("Type", "Notification")];
    let signature = published(&real);
    let certificate = || Ok(like.certificate.clone().unwrap().into());
    let own = Sns::of_topic(certificate(), theirs);
    assert!(matches!(own.receive(&message(&like, &real, &signature)).await, Answer::Event { .. }), "it is signed well");
    let kind = format!("Notification\nMessageId\nreal\nTimestamp\nt1\nTopicArn\n{theirs}\nType\nNotification");
    let hidden = format!("m-1\nTimestamp\nt0\nTopicArn\n{ours}\nType\nNotification\nMessageId\nreal");
    let subject = format!("x\nTimestamp\nt0\nTopicArn\n{ours}\nType\nNotification\nMessageId\nreal");
    let forged: [&[(&str, &str)]; 3] = [
        &[("Message", "evil"), ("MessageId", "m-1"), ("Timestamp", "t0"), ("TopicArn", ours), ("Type", &kind)],
        &[("Message", "evil"), ("MessageId", &hidden), ("Timestamp", "t1"), ("TopicArn", theirs), ("Type", "Notification")],
        &[
            ("Message", "evil"),
            ("MessageId", "m-1"),
            ("Subject", &subject),
            ("Timestamp", "t1"),
            ("TopicArn", theirs),
            ("Type", "Notification"),
        ],
    ];
    for fields in forged {
        for topic in [ours, theirs] {
            let receiver = Sns::of_topic(certificate(), topic);
            assert!(matches!(receiver.receive(&message(&like, fields, &signature)).await, Answer::Refused { .. }), "{fields:?}");
        }
    }
}

#[tokio::test]
async fn a_secret_that_the_row_cannot_use_is_not_learnt() {
    let row = "[providers.acme]\nsignature = { header = \"X-S\" }\nsecret = { key = \"hex\" }\nevent_type = [\"a\"]\n\
               handshake = [{ when = { \"header:X-Secret\" = \"*\" }, signed = false, learn = \"header:X-Secret\" }]\n\
               [sources.acme]\nprovider = \"acme\"\n";
    let app = TestApp::start(row).await;
    let tell = |secret: &str| Request::post("/hooks/acme", "{}").header("x-secret", secret);
    assert_eq!(app.send(tell("zz")).await.problem(), "signature-mismatch");
    assert_eq!(app.send(tell("00ff")).await.status, 200, "the place is still free");
    app.stop().await;
}
