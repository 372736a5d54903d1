//! Delivering again: one event, many as a job that outlives its process, and dead letters.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join_all;
use onceward::domain::{EventKey, Headers, Silent, Timestamp, VerifiedEvent, VerifiedParts};
use onceward::store::Inbox as _;
use onceward::store::sqlite::{Options, SqliteStore};
use serde_json::{Value, json};

use crate::support::signed::now;
use crate::support::{Answer, Behaviour, Process, Receiver, Request, TestApp, github, until};

const GITHUB: &str = "[sources.github]\nprovider = \"github\"\nsecret = \"whsec_test_secret\"\n";

/// A destination for the source `github`.
fn destination(name: &str, receiver: &Receiver, more: &str) -> String {
    format!("[destinations.{name}]\nfrom = [\"github\"]\nurl = \"{}{name}\"\n{more}\n", receiver.url)
}

/// An order, with what it is about.
fn order(path: &str, what: &Value) -> Request {
    Request::post(path, what.to_string()).header("content-type", "application/json")
}

async fn replay(app: &TestApp, event: &str, what: &Value) -> Answer {
    app.ask(order(&format!("/api/v1/events/{event}/replay"), what)).await
}

/// Begins a job, and returns its ID.
async fn begin(app: &TestApp, path: &str, what: &Value) -> String {
    let answer = app.ask(order(path, what)).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    assert_eq!(answer.json()["status"], "running");
    answer.json()["id"].as_str().unwrap().to_owned()
}

async fn job(app: &TestApp, id: &str) -> Value {
    app.json(&format!("/api/v1/replays/{id}")).await
}

async fn done(app: &TestApp, id: &str) -> Value {
    until("the job is done", async || job(app, id).await["status"] == "done").await;
    job(app, id).await
}

/// A database with so many events of the source `github` that went nowhere.
async fn filled(folder: &Path, name: &str, events: usize) {
    let store = SqliteStore::open(&folder.join(name), &Options::default(), Arc::new(Silent)).unwrap();
    let record = |n: usize| {
        let parts = VerifiedParts {
            key: EventKey { source: "github".into(), event_id: format!("evt_{n}").into() },
            provider: "github".into(),
            event_type: "push".to_owned(),
            method: "POST".to_owned(),
            subpath: String::new(),
            query: String::new(),
            headers: Headers::default(),
            body: Bytes::from(format!("{{\"n\":{n}}}")),
            content_digest: [0; 32],
            item_ids: Vec::new(),
            replay_guard: None,
            verified_by: "secret:1".to_owned(),
            received_at: Timestamp::from_secs(now()),
        };
        store.record(VerifiedEvent::attest(parts), Vec::new())
    };
    for first in (0..events).step_by(1_000) {
        let recorded = join_all((first..events.min(first + 1_000)).map(record)).await;
        assert!(recorded.iter().all(|recorded| recorded.as_ref().is_ok_and(|recorded| recorded.is_fresh())));
    }
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_delivered_again_to_those_that_take_it_today() {
    let receiver = Receiver::start().await;
    let app = TestApp::start(&format!("{GITHUB}{}", destination("push", &receiver, "types = [\"push\"]"))).await;
    let body = "{\"ref\": \"main\"}";
    app.send(github("1", "push", body)).await;
    app.settled().await;
    let answer = app.ask(Request::post("/api/v1/events/github/1/replay", "")).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let made = answer.json()["deliveries"].as_array().unwrap().clone();
    assert_eq!(made.len(), 1);
    assert_eq!((&made[0]["destination"], &made[0]["status"], &made[0]["replay"]), (&"push".into(), &"pending".into(), &true.into()));
    app.settled().await;
    let seen = receiver.seen();
    let header = |name: &str| seen.iter().map(|seen| seen.header(name)).collect::<Vec<_>>();
    assert_eq!(header("onceward-replay"), ["", "true"]);
    assert_eq!(header("idempotency-key"), ["github:1", "github:1"], "the destination can tell that it has it");
    assert_eq!(header("onceward-attempt"), ["1", "1"]);
    assert_ne!(seen[0].header("onceward-delivery"), seen[1].header("onceward-delivery"));
    assert!(seen.iter().all(|seen| seen.body == body.as_bytes() && seen.header("x-github-event") == "push"));
    let folder = app.finish().await;

    // Tomorrow's routes: by a filter, and for another type.
    let later = [
        &destination("main", &receiver, "filter = 'body.ref == \"main\"'"),
        &destination("side", &receiver, "filter = 'body.ref == \"side\"'"),
        &destination("ping", &receiver, "types = [\"ping\"]"),
    ];
    let app = TestApp::start_in(folder, &format!("{GITHUB}{}", later.map(String::as_str).concat())).await;
    let names = |answer: &Answer| -> Vec<String> {
        answer.json()["deliveries"].as_array().unwrap().iter().map(|made| made["destination"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&replay(&app, "github/1", &json!({})).await), ["main"]);
    let named = replay(&app, "github/1", &json!({ "destinations": ["ping", "side"] })).await;
    assert_eq!(names(&named), ["side", "ping"], "named, they need not take it");
    app.settled().await;
    let event = app.json("/api/v1/events/github/1").await;
    let replays: Vec<_> = event["deliveries"].as_array().unwrap().iter().map(|delivery| delivery["replay"].as_bool().unwrap()).collect();
    assert_eq!((replays, &event["duplicates"]), (vec![false, true, true, true, true], &0.into()));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_delivered_again_is_refused_with_the_reason() {
    let receiver = Receiver::start().await;
    let app = TestApp::start(&format!("{GITHUB}{}", destination("deploy", &receiver, "types = [\"push\"]"))).await;
    app.send(github("ping", "ping", "{}")).await;
    app.send(github("gone", "push", "{}")).await;
    app.settled().await;
    let database = rusqlite::Connection::open(app.database()).unwrap();
    database.execute("DELETE FROM payload WHERE seq = 2", ()).unwrap();
    let refusals = [
        ("github/ping", json!({}), 409, "conflict", "no destination takes this event today"),
        ("github/gone", json!({}), 409, "conflict", "no longer stored"),
        ("github/other", json!({}), 404, "not-found", ""),
        ("stripe/ping", json!({}), 404, "not-found", ""),
        (
            "github/ping",
            json!({ "destinations": ["deplyo"] }),
            400,
            "invalid-parameter",
            "there is no destination \"deplyo\"; did you mean \"deploy\"?",
        ),
        ("github/ping", json!({ "destinations": [] }), 400, "invalid-parameter", "destinations: name at least one"),
        ("github/ping", json!({ "destination": "deploy" }), 400, "invalid-parameter", "unknown field `destination`"),
        ("github/ping", json!([]), 400, "invalid-parameter", ""),
    ];
    for (event, what, status, code, detail) in refusals {
        let answer = replay(&app, event, &what).await;
        assert_eq!((answer.status, answer.problem().as_str()), (status, code), "{event} {what}");
        assert!(answer.json()["detail"].as_str().unwrap_or_default().contains(detail), "{event} {what}: {answer:?}");
    }
    let filter = json!({});
    let refusals = [
        (json!({}), "filter: "),
        (json!({ "filter": { "status": "open" } }), "status: one of dead, "),
        (json!({ "filter": { "since": "yesterday" } }), "since: "),
        (json!({ "filter": { "sorce": "github" } }), "unknown field `sorce`"),
        (json!({ "filter": filter, "rate": 0 }), "rate: "),
        (json!({ "filter": filter, "rate": 10_001 }), "rate: "),
        (json!({ "filter": filter, "destinations": ["deploi"] }), "did you mean \"deploy\""),
        (json!({ "filter": filter, "destinations": [] }), "destinations: "),
    ];
    for (what, detail) in refusals {
        let answer = app.ask(order("/api/v1/replays", &what)).await;
        assert_eq!((answer.status, answer.problem().as_str()), (400, "invalid-parameter"), "{what}");
        assert!(answer.json()["detail"].as_str().unwrap().contains(detail), "{what}: {answer:?}");
    }
    for what in [json!({}), json!({ "filter": { "status": "dead" } }), json!({ "filter": filter, "destinations": ["deploy"] })] {
        assert_eq!(app.ask(order("/api/v1/deliveries/retry", &what)).await.problem(), "invalid-parameter", "{what}");
    }
    assert!(app.rows("/api/v1/replays").await.is_empty() && receiver.seen().len() == 1);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replays_go_in_the_order_of_their_events_where_there_is_one() {
    let receiver = Receiver::start().await;
    let ordered = "order_by = \"/repository\"\nretry = { first = \"1ms\", max = \"2ms\" }";
    let app = TestApp::start(&format!("{GITHUB}{}", destination("hook", &receiver, ordered))).await;
    for n in 0..8 {
        app.send(github(&n.to_string(), "push", "{\"repository\":1}")).await;
    }
    app.settled().await;
    receiver.next([500, 500].map(Behaviour::Status));
    let id = begin(&app, "/api/v1/replays", &json!({ "filter": { "source": "github" }, "rate": 10_000 })).await;
    assert_eq!(done(&app, &id).await["done"], 8);
    app.settled().await;
    let again: Vec<_> = receiver.seen().split_off(8).iter().map(|seen| seen.header("onceward-event-id")).collect();
    assert_eq!(again, ["0", "0", "0", "1", "2", "3", "4", "5", "6", "7"]);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_has_the_documented_fields_and_does_what_its_filter_says() {
    let receiver = Receiver::start().await;
    let app = TestApp::start(&format!("{GITHUB}{}", destination("hook", &receiver, "types = [\"push\"]"))).await;
    for (id, event) in [("1", "push"), ("2", "ping"), ("3", "push")] {
        app.send(github(id, event, "{}")).await;
    }
    app.settled().await;
    let filter = json!({ "source": "github", "until": "2999-01-01T00:00:00.000Z" });
    let answer = app.ask(order("/api/v1/replays", &json!({ "filter": filter, "rate": 1_000 }))).await;
    let begun = answer.json();
    let fields: BTreeSet<_> = begun.as_object().unwrap().keys().map(String::as_str).collect();
    let documented = "id kind status filter destinations rate total done failed created_at finished_at";
    assert_eq!(fields, documented.split(' ').collect());
    assert_eq!((&begun["kind"], &begun["filter"], &begun["destinations"]), (&"replay".into(), &filter, &Value::Null));
    assert_eq!((&begun["rate"], &begun["total"], &begun["finished_at"]), (&1_000.into(), &3.into(), &Value::Null));
    let ended = done(&app, begun["id"].as_str().unwrap()).await;
    assert_eq!((&ended["done"], &ended["failed"]), (&2.into(), &1.into()), "nobody takes pings");
    assert!(ended["finished_at"].is_string());
    let what = json!({ "filter": { "event_id": "2" }, "destinations": ["hook"] });
    let named = begin(&app, "/api/v1/replays", &what).await;
    let ended = done(&app, &named).await;
    assert_eq!((&ended["done"], &ended["rate"], &ended["destinations"]), (&1.into(), &100.into(), &json!(["hook"])));
    app.settled().await;
    let mut again: Vec<_> = receiver.seen().split_off(2).iter().map(|seen| seen.header("onceward-event-id")).collect();
    again.sort();
    assert_eq!(again, ["1", "2", "3"]);
    let page = app.json("/api/v1/replays?limit=1").await;
    assert_eq!(page["data"][0]["id"], named, "newest first");
    let next = app.rows(&format!("/api/v1/replays?limit=1&cursor={}", page["next"].as_str().unwrap())).await;
    assert_eq!((next.len(), &next[0]["id"]), (1, &begun["id"]));
    let off = app.ask(order(&format!("/api/v1/replays/{named}/cancel"), &json!({}))).await;
    assert_eq!((off.status, &off.json()["status"]), (200, &"done".into()), "what is done stays done");
    assert_eq!(app.ask(order("/api/v1/replays/99/cancel", &json!({}))).await.problem(), "not-found");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_killed_in_the_middle_replays_every_event_exactly_once() {
    let (receiver, folder) = (Receiver::start().await, tempfile::tempdir().unwrap());
    let events = 10_000;
    filled(folder.path(), "onceward.db", events).await;
    let arguments = ["--source", "github=whsec_test_secret", "--forward", &receiver.url];
    let mut process = Process::serve(folder.path(), &arguments).await;
    let answer = process.ask(order("/api/v1/replays", &json!({ "filter": {}, "rate": 5_000 }))).await;
    assert_eq!((answer.status, &answer.json()["total"]), (202, &events.into()), "{answer:?}");
    let path = format!("/api/v1/replays/{}", answer.json()["id"].as_str().unwrap());
    for kill in 1..=2 {
        until("the job has come further", async || process.get(&path).await.json()["done"].as_u64().unwrap() >= kill * 2_500).await;
        process.kill().await;
        process = Process::serve(folder.path(), &arguments).await;
        let job = process.get(&path).await.json();
        assert_eq!(job["status"], "running", "killed in the middle: {job}");
    }
    until("the job is done", async || process.get(&path).await.json()["status"] == "done").await;
    let job = process.get(&path).await.json();
    assert_eq!((&job["done"], &job["failed"]), (&events.into(), &0.into()));
    process.settled().await;
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for delivery in process.rows("/api/v1/deliveries").await {
        assert_eq!((&delivery["replay"], &delivery["status"]), (&true.into(), &"delivered".into()), "{delivery}");
        *times.entry(delivery["event_id"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    assert_eq!((times.len(), times.values().max()), (events, Some(&1)));
    let arrived: BTreeSet<_> = receiver.seen().iter().map(|seen| seen.header("onceward-event-id")).collect();
    assert_eq!(arrived.len(), events);
    assert_eq!(process.terminate().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_called_off_goes_no_further() {
    let (receiver, folder) = (Receiver::start().await, tempfile::tempdir().unwrap());
    filled(folder.path(), "test.db", 500).await;
    let app = TestApp::start_in(folder, &format!("{GITHUB}{}", destination("hook", &receiver, ""))).await;
    let id = begin(&app, "/api/v1/replays", &json!({ "filter": {}, "rate": 50 })).await;
    until("the job has come further", async || job(&app, &id).await["done"].as_u64().unwrap() >= 10).await;
    let mut last = Value::Null;
    for _ in 0..2 {
        let off = app.ask(order(&format!("/api/v1/replays/{id}/cancel"), &json!({}))).await;
        assert_eq!((off.status, &off.json()["status"]), (200, &"cancelled".into()));
        assert!(last.is_null() || last == off.json(), "again it changes nothing");
        last = off.json();
    }
    // Another one comes to its end meanwhile.
    let other = begin(&app, "/api/v1/replays", &json!({ "filter": { "event_id": "evt_499" } })).await;
    done(&app, &other).await;
    assert_eq!(job(&app, &id).await, last);
    app.settled().await;
    assert_eq!(receiver.seen().len() as u64, last["done"].as_u64().unwrap() + 1);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_goes_on_after_a_restart() {
    let (receiver, folder) = (Receiver::start().await, tempfile::tempdir().unwrap());
    filled(folder.path(), "test.db", 60).await;
    let configuration = format!("{GITHUB}{}", destination("hook", &receiver, ""));
    let app = TestApp::start_in(folder, &configuration).await;
    let id = begin(&app, "/api/v1/replays", &json!({ "filter": {}, "rate": 40 })).await;
    until("the job has come further", async || job(&app, &id).await["done"].as_u64().unwrap() >= 8).await;
    let folder = app.stop().await;
    let app = TestApp::start_in(folder, &configuration).await;
    assert_eq!(job(&app, &id).await["status"], "running");
    assert_eq!(done(&app, &id).await["done"], 60);
    app.settled().await;
    assert_eq!(app.rows("/api/v1/deliveries?limit=200").await.len(), 60);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_retried_once_the_destination_is_mended() {
    let receiver = Receiver::start().await;
    receiver.always(Behaviour::Status(500));
    let configuration = [
        GITHUB,
        &destination("broken", &receiver, "retry = { attempts = 1 }\ncircuit = { failures = 1000 }"),
        &destination("other", &receiver, "retry = { attempts = 1 }\ntypes = [\"ping\"]"),
    ];
    let app = TestApp::start(&configuration.concat()).await;
    for n in 0..12 {
        app.send(github(&n.to_string(), "push", "{}")).await;
    }
    app.send(github("ping", "ping", "{}")).await;
    app.settled().await;
    assert_eq!(app.rows("/api/v1/events?status=dead").await.len(), 13);
    receiver.always(Behaviour::Status(200));
    let before = receiver.seen().len();
    let id = begin(&app, "/api/v1/deliveries/retry", &json!({ "filter": { "destination": "broken" }, "rate": 1_000 })).await;
    let ended = done(&app, &id).await;
    assert_eq!((&ended["kind"], &ended["total"], &ended["done"], &ended["failed"]), (&"retry".into(), &13.into(), &13.into(), &0.into()));
    assert_eq!(ended["filter"], json!({ "destination": "broken" }));
    app.settled().await;
    let dead = app.rows("/api/v1/events?status=dead").await;
    assert_eq!((dead.len(), &dead[0]["event_id"]), (1, &"ping".into()), "only the other destination's is left");
    for seen in receiver.seen().split_off(before) {
        assert_eq!((&*seen.header("onceward-attempt"), &*seen.header("onceward-replay")), ("2", ""), "the same delivery goes on");
    }
    let id = begin(&app, "/api/v1/deliveries/retry", &json!({ "filter": {} })).await;
    assert_eq!(done(&app, &id).await["total"], 1);
    app.settled().await;
    assert!(app.rows("/api/v1/events?status=dead").await.is_empty());
    assert_eq!(app.rows("/api/v1/deliveries?limit=200").await.len(), 14, "none is new");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_than_a_hundred_jobs_run() {
    let (receiver, folder) = (Receiver::start().await, tempfile::tempdir().unwrap());
    filled(folder.path(), "test.db", 1_000).await;
    let app = TestApp::start_in(folder, &format!("{GITHUB}{}", destination("hook", &receiver, ""))).await;
    let what = order("/api/v1/replays", &json!({ "filter": {}, "rate": 1 }));
    let answers = join_all((0..110).map(|_| app.ask(what.clone()))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 202).count(), 100);
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status != 202).collect();
    assert!(refused.iter().all(|answer| answer.status == 409 && answer.problem() == "conflict"), "{refused:?}");
    let id = answers.iter().find(|answer| answer.status == 202).unwrap().json()["id"].as_str().unwrap().to_owned();
    app.ask(order(&format!("/api/v1/replays/{id}/cancel"), &json!({}))).await;
    assert_eq!(app.ask(what).await.status, 202);
    app.stop().await;
}
