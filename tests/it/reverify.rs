//! Refused requests are kept, and let in once what refused them is mended.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use onceward::domain::{Clock, HeaderBuilder, ManualClock, RawRequest, Silent, Timestamp};
use onceward::ingest::{Answer, Ingest, Parts, Source};
use onceward::provider::Table;
use onceward::store::sqlite::{Options, SqliteStore};
use onceward::store::{EventFilter, History as _, Inbox, Order, Page};
use onceward::verify::{Setup, Verifier};
use serde_json::{Value, json};

use crate::support::signed::{SECRET, stripe_at};
use crate::support::{Answer as Got, Process, Receiver, Request, TestApp, Unreachable, github, stripe, until};

fn stripe_source(secrets: &str, receiver: &Receiver) -> String {
    format!("[sources.stripe]\nprovider = \"stripe\"\nsecrets = [{secrets}]\nforward = \"{}\"\n", receiver.url)
}

const WRONG: &str = "\"whsec_wrong\"";
const RIGHT: &str = "\"whsec_new\", \"whsec_test_secret\"";

/// Verifies one or all again.
async fn reverify(app: &TestApp, which: &str) -> Got {
    app.ask(Request::post(&format!("/api/v1/rejections/{which}"), "")).await
}

async fn rejections(app: &TestApp, count: usize) -> Vec<Value> {
    until("the refusals are kept", async || app.rows("/api/v1/rejections").await.len() == count).await;
    app.rows("/api/v1/rejections?order=asc").await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_refused_for_a_wrong_secret_is_let_in_once_it_is_right() {
    let receiver = Receiver::start().await;
    let app = TestApp::start(&stripe_source(WRONG, &receiver)).await;
    for id in ["a", "b", "c"] {
        assert_eq!(app.send(stripe(id)).await.status, 401);
    }
    assert_eq!(app.send(stripe("forged").without("stripe-signature").header("stripe-signature", "t=1,v1=00")).await.status, 401);
    let before = rejections(&app, 4).await;
    assert_eq!(reverify(&app, "reverify").await.json(), json!({ "accepted": 0, "refused": 4 }), "nothing is mended yet");
    let folder = app.finish().await;

    let app = TestApp::start_in(folder, &stripe_source(RIGHT, &receiver)).await;
    let (first, forged) = (before[0]["id"].as_str().unwrap(), before[3]["id"].as_str().unwrap());
    let one = reverify(&app, &format!("{first}/reverify")).await;
    assert_eq!((one.status, &one.json()["status"], &one.json()["event_id"]), (200, &"accepted".into(), &"a".into()));
    assert_eq!(one.json()["received_at"], before[0]["received_at"]);
    assert_eq!(receiver.got(1).await[0].header("onceward-event-id"), "a");
    let refused = reverify(&app, &format!("{forged}/reverify")).await.json();
    assert_eq!((&refused["status"], &refused["code"]), (&"refused".into(), &"signature-mismatch".into()));
    assert!(refused["diagnosis"].as_str().unwrap().contains("any of the 2 secrets"), "as judged today: {refused}");
    assert!(refused["diagnosis"].as_str().unwrap().contains("usual mistakes"), "and explained: {refused}");

    assert_eq!(reverify(&app, "reverify").await.json(), json!({ "accepted": 2, "refused": 1 }));
    assert_eq!(reverify(&app, "reverify").await.json(), json!({ "accepted": 0, "refused": 1 }), "once more changes nothing");
    assert_eq!(reverify(&app, &format!("{first}/reverify")).await.json()["status"], "accepted");
    app.settled().await;
    let events = app.rows("/api/v1/events?order=asc").await;
    let ids: Vec<_> = events.iter().map(|event| event["event_id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["a", "b", "c"], "oldest first");
    for (event, rejection) in events.iter().zip(&before) {
        assert_eq!((&event["received_at"], &event["duplicates"]), (&rejection["received_at"], &0.into()));
        assert_eq!((&event["verified_by"], &event["status"]), (&"secret:2".into(), &"delivered".into()));
    }
    assert_eq!(receiver.seen().len(), 3);
    for (status, count) in [("refused", 1), ("accepted", 3)] {
        assert_eq!(app.rows(&format!("/api/v1/rejections?status={status}")).await.len(), count);
    }
    // The sender's own retry is a duplicate.
    assert_eq!(app.send(stripe("b")).await.header("onceward-status"), "duplicate");
    assert_eq!(app.metric("onceward_events_total{source=\"stripe\"}").await, 3.0);
    assert_eq!(app.metric("onceward_verified_total{source=\"stripe\",secret=\"2\"}").await, 1.0, "what came, not what was let in");
    app.finish().await;
}

/// Sources whose senders send the secret itself: in a header, as Basic authentication, in the query.
fn secret_senders(secret: &str, receiver: &Receiver) -> String {
    let token = format!("[sources.token]\nprovider = \"gitlab\"\nsecret = \"{secret}\"\n");
    let basic = format!("[sources.basic]\nprovider = \"generic-basic\"\nsecret = \"user:{secret}\"\n");
    let query = format!("[sources.query]\nprovider = \"query-token\"\nsecret = \"{secret}\"\n");
    let row = "[providers.query-token]\nsignature = { from = \"query:Token\", algorithm = \"token\" }\n";
    let hook = format!("[destinations.hook]\nfrom = [\"token\", \"basic\", \"query\"]\nurl = \"{}\"\n", receiver.url);
    format!("{token}{basic}{query}{row}{hook}")
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_are_verified_again_without_having_been_kept() {
    use base64::Engine as _;
    const SENT: &str = "hunter2-and-longer";
    let receiver = Receiver::start().await;
    let app = TestApp::start(&secret_senders("not-this-one", &receiver)).await;
    let pair = base64::engine::general_purpose::STANDARD.encode(format!("user:{SENT}"));
    let requests = [
        Request::post("/hooks/token", "{\"object_kind\":\"push\"}").header("x-gitlab-token", SENT),
        Request::post("/hooks/basic", "{\"n\":1}").header("authorization", format!("Basic {pair}")),
        Request::post(&format!("/hooks/query?a=b&Token={SENT}"), "{\"n\":2}"),
        Request::post("/hooks/token", "{\"object_kind\":\"forged\"}").header("x-gitlab-token", "another"),
    ];
    for request in &requests {
        assert_eq!(app.send(request.clone()).await.status, 401);
    }
    for rejection in rejections(&app, 4).await {
        let shown = app.get(&format!("/api/v1/rejections/{}", rejection["id"].as_str().unwrap())).await;
        let text = String::from_utf8(shown.body.clone()).unwrap();
        assert!(!text.contains(SENT) && !text.contains(&pair) && !text.contains("sealed"), "{text}");
    }
    let database = app.database();
    let folder = app.finish().await;
    assert!(database.exists());
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        for secret in [SENT, &pair] {
            assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()), "a credential is on disk");
        }
    }

    let app = TestApp::start_in(folder, &secret_senders(SENT, &receiver)).await;
    let of_basic = app.ask(Request::post("/api/v1/rejections/reverify", "{\"source\": \"basic\"}")).await;
    assert_eq!(of_basic.json(), json!({ "accepted": 1, "refused": 0 }));
    assert_eq!(reverify(&app, "reverify").await.json(), json!({ "accepted": 2, "refused": 1 }));
    app.settled().await;
    let mut sources: Vec<_> = receiver.got(3).await.iter().map(|seen| seen.header("onceward-source")).collect();
    sources.sort();
    assert_eq!(sources, ["basic", "query", "token"]);
    for seen in receiver.seen() {
        assert!(seen.headers.iter().all(|(name, value)| name != "authorization" && name != "x-gitlab-token" && value != SENT.as_bytes()));
    }
    // Had they come today, they would be the same events.
    for request in &requests[..3] {
        assert_eq!(app.send(request.clone()).await.header("onceward-status"), "duplicate");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_who_verify_the_same_again_let_it_in_once() {
    let receiver = Receiver::start().await;
    let app = TestApp::start(&stripe_source(WRONG, &receiver)).await;
    for n in 0..20 {
        app.send(stripe(&format!("evt_{n}"))).await;
    }
    let ids: Vec<_> = rejections(&app, 20).await.iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect();
    let app = TestApp::start_in(app.finish().await, &stripe_source(RIGHT, &receiver)).await;
    let one = format!("{}/reverify", ids[0]);
    let (one, all) = tokio::join!(join_all((0..20).map(|_| reverify(&app, &one))), join_all((0..5).map(|_| reverify(&app, "reverify"))),);
    assert!(one.iter().all(|answer| answer.status == 200 && answer.json()["event_id"] == "evt_0"));
    assert!(all.iter().all(|answer| answer.status == 200 && answer.json()["refused"] == 0));
    app.settled().await;
    let events = app.rows("/api/v1/events?limit=100").await;
    assert!(events.len() == 20 && events.iter().all(|event| event["duplicates"] == 0), "{events:?}");
    assert_eq!(receiver.seen().len(), 20);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_killed_while_it_lets_in_goes_on_where_it_was() {
    let (receiver, folder) = (Receiver::start().await, tempfile::tempdir().unwrap());
    let arguments = |secret: &str| [format!("stripe={secret}"), receiver.url.clone()];
    let serve = async |secret: &str| {
        let [source, url] = arguments(secret);
        Process::serve(folder.path(), &["--source", &source, "--forward", &url]).await
    };
    let process = serve("whsec_wrong").await;
    for n in 0..40 {
        process.send(stripe(&format!("evt_{n}"))).await;
    }
    until("the refusals are kept", async || process.rows("/api/v1/rejections").await.len() == 40).await;
    process.kill().await;
    for round in 0..4 {
        let process = serve(SECRET).await;
        let url = format!("{}/api/v1/rejections/reverify", process.admin);
        let order = tokio::spawn(async move { reqwest::Client::new().post(url).send().await.is_ok() });
        until("some are let in", async || process.rows("/api/v1/rejections?status=accepted").await.len() > round * 3).await;
        process.kill().await;
        let _ = order.await.unwrap();
    }
    let process = serve(SECRET).await;
    let client = reqwest::Client::new();
    let done = client.post(format!("{}/api/v1/rejections/reverify", process.admin)).send().await.unwrap();
    assert_eq!(done.status(), 200);
    process.settled().await;
    let events = process.rows("/api/v1/events").await;
    assert!(events.len() == 40 && events.iter().all(|event| event["duplicates"] == 0), "{events:?}");
    assert_eq!(process.rows("/api/v1/deliveries").await.len(), 40);
    assert_eq!(process.rows("/api/v1/rejections?status=refused").await.len(), 0);
    assert!(!process.printed().contains(SECRET));
    assert_eq!(process.terminate().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_of_another_source_is_not_kept_either() {
    let app = TestApp::start("[sources.github]\nprovider = \"github\"\nsecret = \"other\"\n").await;
    app.send(github("1", "push", "{}").header("x-gitlab-token", "hunter2").to("/hooks/github?a=1&token=hunter2&t%6Fken=hunter2")).await;
    let id = rejections(&app, 1).await.remove(0)["id"].as_str().unwrap().to_owned();
    let kept = app.json(&format!("/api/v1/rejections/{id}")).await;
    assert!(!kept.to_string().contains("hunter2"), "{kept}");
    assert!(kept["headers"].as_array().unwrap().iter().any(|header| header[0] == "x-hub-signature-256"), "{kept}");
    assert_eq!(kept["query"], "a=1");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_to_the_source_of_another_provider_is_let_in_once_that_is_mended() {
    let app = TestApp::start("[sources.git]\nprovider = \"github\"\nsecret = \"other\"\n").await;
    let push = Request::post("/hooks/git", "{\"object_kind\":\"push\"}").header("idempotency-key", "k1");
    app.send(push.header("x-gitlab-token", "hunter2").header("x-gitlab-event", "Push Hook")).await;
    rejections(&app, 1).await;
    let app = TestApp::start_in(app.finish().await, "[sources.git]\nprovider = \"gitlab\"\nsecret = \"hunter2\"\n").await;
    assert_eq!(reverify(&app, "reverify").await.json(), json!({ "accepted": 1, "refused": 0 }));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejection_alone_shows_what_is_kept_of_the_request() {
    let app = TestApp::start("[sources.github]\nprovider = \"github\"\nsecret = \"other\"\n").await;
    app.send(github("1", "push", b"\xff{}\0".as_slice()).to("/hooks/github/eu?a=b%20c").header("cookie", "c=1")).await;
    explained(&app).await;
    let listed = rejections(&app, 1).await.remove(0);
    let path = format!("/api/v1/rejections/{}", listed["id"].as_str().unwrap());
    let shown = app.json(&path).await;
    for (field, value) in listed.as_object().unwrap() {
        assert_eq!(&shown[field], value, "{field}");
    }
    assert_eq!((&shown["method"], &shown["path"], &shown["query"]), (&"POST".into(), &"/hooks/github/eu".into(), &"a=b%20c".into()));
    assert_eq!(shown["size"], 4);
    let headers = shown["headers"].as_array().unwrap();
    assert!(headers.contains(&json!(["x-github-delivery", "1"])) && headers.iter().all(|header| header[0] != "cookie"), "{headers:?}");
    let body = app.get(&format!("{path}/body")).await;
    assert_eq!((body.status, body.body.as_slice()), (200, b"\xff{}\0".as_slice()));
    assert_eq!((body.header("content-type"), body.header("content-disposition")), ("application/json", "attachment"));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_verified_again_is_a_problem_that_says_why() {
    let app = TestApp::start("[sources.github]\nprovider = \"github\"\nsecret = \"other\"\n").await;
    app.send(github("1", "push", "{}")).await;
    let id = rejections(&app, 1).await[0]["id"].as_str().unwrap().to_owned();
    for unknown in ["99", "x", "-1", "99999999999999999999"] {
        for path in [format!("{unknown}/reverify")] {
            let answer = reverify(&app, &path).await;
            assert_eq!((answer.status, answer.problem().as_str()), (404, "not-found"), "{path}");
        }
        for path in [unknown.to_owned(), format!("{unknown}/body")] {
            assert_eq!(app.get(&format!("/api/v1/rejections/{path}")).await.status, 404, "{path}");
        }
    }
    for path in [format!("/api/v1/rejections/{id}/reverify"), "/api/v1/rejections/reverify".to_owned()] {
        let answer = app.get(&path).await;
        assert_eq!((answer.status, answer.header("allow")), (405, "POST"), "{path}");
    }
    for path in [format!("/api/v1/rejections/{id}"), format!("/api/v1/rejections/{id}/body")] {
        let answer = app.ask(Request::post(&path, "")).await;
        assert_eq!((answer.status, answer.header("allow")), (405, "GET, HEAD"), "{path}");
    }
    for (body, named) in [("{", "body: "), ("[]", "body: "), ("{\"sorce\":\"github\"}", "body: "), ("{\"source\":\"nobody\"}", "source: ")]
    {
        let answer = app.ask(Request::post("/api/v1/rejections/reverify", body)).await;
        assert_eq!((answer.status, answer.problem().as_str()), (400, "invalid-parameter"), "{body}");
        assert!(answer.json()["detail"].as_str().unwrap().starts_with(named), "{answer:?}");
    }
    let large = app.ask(Request::post("/api/v1/rejections/reverify", " ".repeat(70_000))).await;
    assert_eq!((large.status, large.problem().as_str()), (413, "body-too-large"));
    for body in ["", " \n", "{}", "{\"source\":\"github\"}", "{\"source\":null}"] {
        let answer = app.ask(Request::post("/api/v1/rejections/reverify", body)).await;
        assert_eq!(answer.json(), json!({ "accepted": 0, "refused": 1 }), "{body}");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_is_gone_leaves_its_rejections_as_they_are() {
    let receiver = Receiver::start().await;
    let app = TestApp::start(&stripe_source(WRONG, &receiver)).await;
    app.send(stripe("evt")).await;
    explained(&app).await;
    let before = rejections(&app, 1).await.remove(0);
    let app = TestApp::start_in(app.finish().await, "[sources.github]\nprovider = \"github\"\nsecret = \"s\"\n").await;
    assert_eq!(reverify(&app, "reverify").await.json(), json!({ "accepted": 0, "refused": 1 }));
    let after = reverify(&app, &format!("{}/reverify", before["id"].as_str().unwrap())).await.json();
    assert_eq!((&after["code"], &after["diagnosis"], &after["status"]), (&before["code"], &before["diagnosis"], &"refused".into()));
    app.finish().await;
}

/// Waits for the explanation of the only rejection, which comes behind the answer.
async fn explained(app: &TestApp) {
    let is_explained = async || rejections(app, 1).await[0]["diagnosis"].as_str().unwrap().contains("usual mistakes");
    until("it is explained", is_explained).await;
}

/// A way in for Stripe with this secret, on a clock of its own.
fn way_in(store: &Arc<SqliteStore>, clock: &Arc<ManualClock>, secret: &str) -> Ingest {
    let setup = Setup::new(Arc::clone(Table::builtin().get("stripe").unwrap()), vec![secret.to_owned().into()]);
    let source = Source::new("stripe".into(), Verifier::new("stripe", setup).unwrap(), 1 << 20, None);
    let parts = Parts {
        inbox: Arc::clone(store) as Arc<dyn Inbox>,
        routes: onceward::route::Routes::new(Vec::new()),
        wake: Arc::new(Silent),
        observer: Arc::new(Silent),
        clock: Arc::clone(clock) as Arc<dyn Clock>,
        fetch: Arc::new(Unreachable),
        table: Arc::new(Table::builtin()),
    };
    Ingest::new(vec![source], parts)
}

#[tokio::test(flavor = "multi_thread")]
async fn timestamps_are_judged_as_of_the_time_of_arrival() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(SqliteStore::open(&folder.path().join("test.db"), &Options::default(), Arc::new(Silent)).unwrap());
    let signed = Timestamp::from_secs(1_767_323_045);
    let clock = Arc::new(ManualClock::at(signed));
    let request = |id: &str, clock: &ManualClock| {
        let request = stripe_at(signed.as_secs(), json!({ "id": id }).to_string());
        let mut headers = HeaderBuilder::default();
        request.headers.iter().for_each(|(name, value)| {
            headers.push(name, value.as_bytes());
        });
        let (path, subpath, query) = (request.path, String::new(), String::new());
        RawRequest {
            method: "POST".into(),
            path,
            subpath,
            query,
            headers: headers.build(),
            body: request.body.into(),
            received_at: clock.now(),
        }
    };
    let wrong = way_in(&store, &clock, "whsec_wrong");
    let source = wrong.source("stripe").unwrap();
    let refused = async |id: &str| matches!(wrong.receive(source, request(id, &clock)).await, Answer::Refused { .. });
    assert!(refused("in time").await);
    clock.advance(Duration::from_secs(3_600));
    assert!(refused("late").await);
    clock.advance(Duration::from_secs(30 * 86_400));
    let done = way_in(&store, &clock, SECRET).reverify_all(None).await.unwrap();
    assert_eq!((done.accepted, done.refused), (1, 1));
    let rows = store.events(EventFilter::default(), Page { limit: 9, after: None, order: Order::Newest }).await.unwrap();
    assert_eq!((rows.len(), &*rows[0].key.event_id, rows[0].received_at), (1, "in time", signed));
    let rejections = store.rejections(Default::default(), Page { limit: 9, after: None, order: Order::Newest }).await.unwrap();
    assert_eq!((rejections[0].code.as_str(), rejections[0].event_id.as_deref()), ("timestamp-stale", None), "it was late when it came");
    store.close().await;
}
