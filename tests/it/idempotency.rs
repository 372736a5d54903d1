//! `Idempotency-Key` on the POSTs of the API: whatever is asked for under a key is done once, and has one answer.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use onceward::domain::{Silent, SystemClock};
use onceward::failpoint;
use onceward::idempotency::{Fingerprint, Idempotency, Key, NextAction};
use onceward::store::sqlite::{Options, SqliteStore};
use serde_json::{Value, json};

use crate::support::{Answer, Process, Receiver, Request, TestApp, github, locked, until};

const SOURCE: &str = "[sources.github]\nprovider = \"github\"\nsecret = \"whsec_test_secret\"\n";
const REPLAY: &str = "/api/v1/events/github/1/replay";

/// An order under a key.
fn order(path: &str, key: &str, what: &Value) -> Request {
    Request::post(path, what.to_string()).header("idempotency-key", key)
}

/// A program with one event of the source `github`, delivered to `app`.
async fn with_one_event() -> (TestApp, Receiver) {
    let receiver = Receiver::start().await;
    let app = TestApp::start(&format!("{SOURCE}[destinations.app]\nfrom = [\"github\"]\nurl = \"{}\"\n", receiver.url)).await;
    assert_eq!(app.send(github("1", "push", "{}")).await.status, 200);
    app.settled().await;
    (app, receiver)
}

/// How many deliveries there are.
async fn deliveries(app: &TestApp) -> usize {
    app.rows("/api/v1/deliveries").await.len()
}

fn is_replayed(answer: &Answer) -> bool {
    answer.header("idempotent-replayed") == "true"
}

/// Its answer is the other one, given again.
fn assert_repeats(again: &Answer, first: &Answer) {
    assert!(is_replayed(again) && !is_replayed(first), "{again:?}");
    assert_eq!((again.status, &again.body), (first.status, &first.body));
    assert_eq!(again.header("content-type"), first.header("content-type"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_that_is_asked_for_twice_under_a_key_is_made_once() {
    let (app, receiver) = with_one_event().await;
    let first = app.ask(order(REPLAY, "\"one\"", &json!({}))).await;
    assert_eq!(first.status, 201, "{first:?}");
    for key in ["\"one\"", "one"] {
        assert_repeats(&app.ask(order(REPLAY, key, &json!({}))).await, &first);
    }
    assert_eq!(deliveries(&app).await, 2);
    assert_eq!(app.ask(order(REPLAY, "two", &json!({}))).await.status, 201);
    assert_eq!(app.ask(Request::post(REPLAY, "")).await.status, 201, "without a key each is one of its own");
    receiver.got(4).await;
    app.settled().await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_post_of_the_api_takes_a_key() {
    let (app, _receiver) = with_one_event().await;
    let id = app.rows("/api/v1/deliveries").await[0]["id"].as_str().unwrap().to_owned();
    let every = json!({ "filter": {} });
    let orders = [
        ("/api/v1/replays".to_owned(), every.clone(), 202),
        ("/api/v1/deliveries/retry".to_owned(), every, 202),
        ("/api/v1/replays/1/cancel".to_owned(), Value::Null, 200),
        (format!("/api/v1/deliveries/{id}/cancel"), Value::Null, 409),
        (format!("/api/v1/deliveries/{id}/retry"), Value::Null, 409),
        ("/api/v1/rejections/reverify".to_owned(), json!({}), 200),
        ("/api/v1/rejections/7/reverify".to_owned(), Value::Null, 404),
        ("/api/v1/replays/99/cancel".to_owned(), Value::Null, 404),
        ("/api/v1/events".to_owned(), Value::Null, 405),
        ("/api/v1/replays".to_owned(), json!({ "filter": { "status": "odd" } }), 400),
    ];
    for (at, (path, what, status)) in orders.iter().enumerate() {
        let request = || match what {
            Value::Null => Request::post(path, "").header("idempotency-key", format!("key {at}")),
            what => order(path, &format!("key {at}"), what),
        };
        let first = app.ask(request()).await;
        assert_eq!(first.status, *status, "{path}: {first:?}");
        let again = app.ask(request()).await;
        assert_repeats(&again, &first);
        assert_eq!(again.header("allow"), first.header("allow"));
    }
    assert_eq!(app.rows("/api/v1/replays").await.len(), 2, "the jobs that were asked for");
    app.settled().await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_belongs_to_method_path_query_and_body() {
    let (app, _receiver) = with_one_event().await;
    let first = app.ask(order(REPLAY, "k", &json!({}))).await;
    assert_eq!(first.status, 201);
    let others = [
        order(REPLAY, "k", &json!({ "destinations": ["app"] })),
        order(&format!("{REPLAY}?x=1"), "k", &json!({})),
        order("/api/v1/events/github/2/replay", "k", &json!({})),
        order("/api/v1/replays", "k", &json!({})),
    ];
    for other in others {
        let answer = app.ask(other).await;
        assert_eq!((answer.status, answer.problem().as_str()), (422, "idempotency-key-reused"));
    }
    assert_repeats(&app.ask(order(REPLAY, "k", &json!({}))).await, &first);
    assert_eq!(deliveries(&app).await, 2);
    app.settled().await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_none_is_refused_and_nothing_is_done() {
    let (app, _receiver) = with_one_event().await;
    let long = "k".repeat(256);
    let keys: [&[&str]; 7] = [&[""], &["\"\""], &[&long], &["one", "one"], &["\"one"], &["\"one\"two"], &["k\tk"]];
    for keys in keys {
        let request = keys.iter().fold(Request::post(REPLAY, ""), |request, key| request.header("idempotency-key", *key));
        let answer = app.ask(request).await;
        assert_eq!((answer.status, answer.problem().as_str()), (400, "invalid-parameter"), "{keys:?}");
        assert!(answer.json()["detail"].as_str().unwrap().starts_with("Idempotency-Key: "));
    }
    assert_eq!(deliveries(&app).await, 1);
    assert_eq!(app.ask(order(REPLAY, &"k".repeat(255), &json!({}))).await.status, 201);
    app.settled().await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_fifty_requests_at_once_under_a_key_one_is_carried_out() {
    let (app, _receiver) = with_one_event().await;
    let answers = join_all((0..50).map(|_| app.ask(order(REPLAY, "k", &json!({}))))).await;
    let mut statuses: BTreeMap<_, usize> = BTreeMap::new();
    for answer in &answers {
        if answer.status == 409 {
            assert_eq!(answer.problem(), "idempotency-key-in-flight");
        }
        *statuses.entry((answer.status, is_replayed(answer))).or_default() += 1;
    }
    assert_eq!(statuses.get(&(201, false)), Some(&1), "{statuses:?}");
    assert!(statuses.keys().all(|status| [(201, false), (201, true), (409, false)].contains(status)), "{statuses:?}");
    assert_eq!(deliveries(&app).await, 2);
    app.settled().await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_tells_nothing_to_those_without_the_token() {
    let admin = "[admin]\nlisten = \"127.0.0.1:0\"\ntoken = \"0123456789abcdef-token\"\n";
    let app = TestApp::start(&format!("{SOURCE}{admin}")).await;
    let with_token = || order("/api/v1/rejections/reverify", "k", &json!({})).header("authorization", "Bearer 0123456789abcdef-token");
    let refused = app.ask(order("/api/v1/rejections/reverify", "k", &json!({}))).await;
    assert_eq!(refused.status, 401);
    let first = app.ask(with_token()).await;
    assert_eq!(first.status, 200, "a refusal has not taken the key");
    assert_repeats(&app.ask(with_token()).await, &first);
    for key in ["k", "other", ""] {
        let answer = app.ask(order("/api/v1/rejections/reverify", key, &json!({}))).await;
        assert_eq!((answer.status, &answer.body), (401, &refused.body), "{key}");
    }
    app.stop().await;
}

/// What another process that has the same database open would ask for.
async fn claimed_elsewhere(database: &Path, key: &str, body: &str) -> SqliteStore {
    let store = SqliteStore::open(database, &Options::default(), Arc::new(Silent)).unwrap();
    let keys = Idempotency::new(Arc::new(store.clone()), Arc::new(SystemClock), Duration::from_secs(60));
    let key = Key::read([key.as_bytes()].into_iter()).unwrap().unwrap();
    let request = Fingerprint::of(&[b"POST", REPLAY.as_bytes(), b"", body.as_bytes()]);
    let NextAction::Start(begun) = keys.begin("api", &key, request).await.unwrap() else { panic!("the key is taken") };
    drop(begun);
    store
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_in_flight_for_all_processes_as_long_as_the_one_that_works_under_it_lives() {
    let (app, _receiver) = with_one_event().await;
    let other = claimed_elsewhere(&app.database(), "k", "{}").await;
    let answer = app.ask(order(REPLAY, "k", &json!({}))).await;
    assert_eq!((answer.status, answer.problem().as_str()), (409, "idempotency-key-in-flight"));
    other.close().await;
    assert_eq!(app.ask(order(REPLAY, "k", &json!({}))).await.status, 201);
    app.settled().await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn store_trouble_takes_no_key() {
    let (app, _receiver) = with_one_event().await;
    let other = locked(&app.database());
    let answer = app.ask(order(REPLAY, "k", &json!({}))).await;
    assert_eq!((answer.status, answer.problem().as_str()), (503, "store-unavailable"));
    other.execute_batch("ROLLBACK").unwrap();
    let first = app.ask(order(REPLAY, "k", &json!({}))).await;
    assert_eq!(first.status, 201);
    assert_repeats(&app.ask(order(REPLAY, "k", &json!({}))).await, &first);
    app.settled().await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_given_again_after_a_restart_and_after_a_kill() {
    let (receiver, folder) = (Receiver::start().await, tempfile::tempdir().unwrap());
    let arguments = ["--source", "github=whsec_test_secret", "--forward", &receiver.url];
    let process = Process::serve(folder.path(), &arguments).await;
    assert_eq!(process.send(github("1", "push", "{}")).await.status, 200);
    let first = process.ask(order(REPLAY, "k", &json!({}))).await;
    assert_eq!(first.status, 201);
    process.settled().await;
    assert_eq!(process.terminate().await, Some(0));
    let process = Process::serve(folder.path(), &arguments).await;
    assert_repeats(&process.ask(order(REPLAY, "k", &json!({}))).await, &first);
    process.kill().await;
    let process = Process::serve(folder.path(), &arguments).await;
    assert_repeats(&process.ask(order(REPLAY, "k", &json!({}))).await, &first);
    process.settled().await;
    assert_eq!(process.rows("/api/v1/deliveries").await.len(), 2);
    assert_eq!(process.terminate().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_free_again_after_the_time_that_is_configured() {
    let receiver = Receiver::start().await;
    let destination = format!("[destinations.app]\nfrom = [\"github\"]\nurl = \"{}\"\n", receiver.url);
    let app = TestApp::start(&format!("[retention]\nanswers = \"1ms\"\n{SOURCE}{destination}")).await;
    assert_eq!(app.send(github("1", "push", "{}")).await.status, 200);
    assert_eq!(app.ask(order(REPLAY, "k", &json!({}))).await.status, 201);
    until("the key is free", async || {
        let answer = app.ask(order(REPLAY, "k", &json!({}))).await;
        answer.status == 201 && !is_replayed(&answer)
    })
    .await;
    app.settled().await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_for_under_a_key_is_done_once_wherever_the_program_dies() {
    // Up to the commit of its effect a request has not been; from then on a repetition is told that it has.
    let points = [("keyed.claimed", true), ("keyed.marked", true), ("keyed.completed", false)];
    let all = json!({ "filter": {} });
    let orders = [(REPLAY, json!({}), 201), ("/api/v1/replays", all, 202)];
    let lives = orders.iter().flat_map(|(path, what, status)| {
        points.map(|(point, begins)| tokio::spawn(dies_under_a_key(point, path, what.clone(), if begins { *status } else { 409 })))
    });
    join_all(lives).await.into_iter().for_each(Result::unwrap);
}

/// The program dies at the point while it does what is asked for; the next one answers with the status.
async fn dies_under_a_key(point: &'static str, path: &'static str, what: Value, status: u16) {
    let (receiver, folder) = (Receiver::start().await, tempfile::tempdir().unwrap());
    let arguments = ["--source", "github=whsec_test_secret", "--forward", &receiver.url];
    let process = Process::serve(folder.path(), &arguments).await;
    assert_eq!(process.send(github("1", "push", "{}")).await.status, 200);
    process.settled().await;
    assert_eq!(process.terminate().await, Some(0));

    let mut command = Process::command(folder.path(), &arguments);
    command.env(failpoint::VARIABLE, format!("{point}=1"));
    let process = Process::start(command).await;
    let asked = order(path, "once", &what).build(&reqwest::Client::new(), &process.admin).send().await;
    assert!(asked.is_err(), "{point}: {asked:?}");
    assert_eq!(process.ended().await.signal(), Some(9), "{point}");

    let process = Process::serve(folder.path(), &arguments).await;
    for again in [false, true] {
        let answer = process.ask(order(path, "once", &what)).await;
        assert_eq!(answer.status, status, "{point}: {answer:?}");
        match status {
            409 => assert_eq!(answer.problem(), "conflict"),
            _ => assert_eq!(is_replayed(&answer), again, "{point}"),
        }
    }
    until("it is delivered again", async || process.rows("/api/v1/deliveries?status=delivered").await.len() > 1).await;
    process.settled().await;
    assert_eq!(process.rows("/api/v1/deliveries").await.len(), 2, "{point}");
    assert_eq!(process.rows("/api/v1/replays").await.len(), usize::from(path != REPLAY), "{point}");
    assert_eq!(process.terminate().await, Some(0));
}
