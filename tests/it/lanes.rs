//! What holds deliveries back, and who lets them go: orders, circuits, rate limits, pauses, and the operator.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use onceward::app::Extras;
use onceward::domain::{Happening, Observer};
use serde_json::Value;

use crate::support::{Behaviour, Process, Receiver, Request, TestApp, github, until};

const GITHUB: &str = "[sources.github]\nprovider = \"github\"\nsecret = \"whsec_test_secret\"\n";
/// Failures are tried again soon, however many.
const SOON: &str = "retry = { attempts = 1000, first = \"20ms\", max = \"20ms\" }\n";

fn destination(receiver: &Receiver, more: &str) -> String {
    format!("{GITHUB}[destinations.hook]\nfrom = [\"github\"]\nurl = \"{}\"\n{more}", receiver.url)
}

async fn send(app: &TestApp, id: &str, body: &str) {
    let answer = app.send(github(id, "push", body)).await;
    assert_eq!((answer.status, answer.header("onceward-status")), (200, "accepted"), "{answer:?}");
}

/// The one delivery of an event.
async fn delivery(app: &TestApp, id: &str) -> Value {
    app.json(&format!("/api/v1/events/github/{id}")).await["deliveries"][0].clone()
}

async fn order(app: &TestApp, method: &str, path: &str) -> (u16, Value) {
    let answer = app.ask(Request::post(path, "").method(method)).await;
    (answer.status, answer.json())
}

async fn state(app: &TestApp) -> Value {
    app.json("/api/v1/destinations/hook").await
}

fn ids(receiver: &Receiver) -> Vec<String> {
    receiver.seen().iter().map(|seen| seen.header("onceward-event-id")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_the_same_key_goes_one_at_a_time_and_in_order_and_other_keys_go_on() {
    let receiver = Receiver::start().await;
    receiver.next([Behaviour::Status(500), Behaviour::Status(500)]);
    let app = TestApp::start(&destination(&receiver, &format!("order_by = \"/repo\"\n{SOON}"))).await;
    send(&app, "a1", r#"{"repo":"a"}"#).await;
    receiver.got(1).await;
    for (id, body) in [("a2", r#"{"repo":"a"}"#), ("b1", r#"{"repo":"b"}"#), ("a3", r#"{"repo":"a"}"#), ("none", "{}")] {
        send(&app, id, body).await;
    }
    app.settled().await;
    let seen = ids(&receiver);
    let of = |prefix: &str| seen.iter().filter(|id| id.starts_with(prefix)).cloned().collect::<Vec<_>>();
    assert_eq!((&of("a")[of("a").len() - 3..], of("b").last().unwrap().as_str()), (&["a1", "a2", "a3"].map(str::to_owned)[..], "b1"));
    assert_eq!(of("a").iter().filter(|id| *id != "a1").count(), 2, "a2 and a3 wait while a1 fails: {seen:?}");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_dead_delivery_the_others_go_on_or_wait_as_configured() {
    for (on_dead, waits) in [("skip", false), ("hold", true)] {
        let receiver = Receiver::start().await;
        receiver.next([Behaviour::Status(410)]);
        let app = TestApp::start(&destination(&receiver, &format!("order_by = \"source\"\non_dead = \"{on_dead}\"\n"))).await;
        for id in ["first", "second", "third"] {
            send(&app, id, "{}").await;
        }
        until("the first is dead", async || delivery(&app, "first").await["status"] == "dead").await;
        assert_eq!(delivery(&app, "first").await["holds_line"], waits);
        if waits {
            let second = delivery(&app, "second").await;
            assert_eq!(
                (&second["status"], &second["waits_in_line"], &second["next_attempt_at"]),
                (&"pending".into(), &true.into(), &Value::Null)
            );
            let id = delivery(&app, "first").await["id"].as_str().unwrap().to_owned();
            let (status, retried) = order(&app, "POST", &format!("/api/v1/deliveries/{id}/retry")).await;
            assert_eq!((status, &retried["status"]), (200, &"pending".into()), "{retried}");
        }
        app.settled().await;
        let seen = ids(&receiver);
        let expected: &[&str] = if waits { &["first", "first", "second", "third"] } else { &["first", "second", "third"] };
        assert_eq!(seen, expected, "{on_dead}");
        app.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_is_no_longer_configured_holds_nothing_up() {
    let receiver = Receiver::start().await;
    receiver.next([Behaviour::Status(410)]);
    let app = TestApp::start(&destination(&receiver, "order_by = \"source\"\non_dead = \"hold\"\n")).await;
    for id in ["first", "second", "third"] {
        send(&app, id, "{}").await;
    }
    until("the first is dead", async || delivery(&app, "first").await["status"] == "dead").await;
    let folder = app.stop().await;
    let app = TestApp::start_in(folder, &destination(&receiver, "")).await;
    app.settled().await;
    assert_eq!(ids(&receiver).len(), 3);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_that_keeps_failing_is_left_alone_but_for_probes_until_it_works_again() {
    let receiver = Receiver::start().await;
    receiver.always(Behaviour::Status(500));
    let more = format!("concurrency = 1\ncircuit = {{ failures = 3, probe = \"200ms\", max_probe = \"300ms\" }}\n{SOON}");
    let app = TestApp::start(&destination(&receiver, &more)).await;
    for number in 0..20 {
        send(&app, &number.to_string(), "{}").await;
    }
    until("the circuit is open", async || state(&app).await["circuit"]["state"] == "open").await;
    assert_eq!(app.metric("onceward_circuit_open{destination=\"hook\"}").await, 1.0);
    assert!(state(&app).await["circuit"]["next_probe_at"].is_string());
    let (begun, before) = (Instant::now(), receiver.seen().len());
    receiver.got(before + 4).await;
    assert!(begun.elapsed() >= Duration::from_millis(500), "four probes in {:?}", begun.elapsed());
    let spent: u64 = app.rows("/api/v1/deliveries?limit=200").await.iter().map(|row| row["attempts"].as_u64().unwrap()).sum();
    assert!(spent <= receiver.seen().len() as u64 + 1, "those that wait spend no attempts");
    receiver.always(Behaviour::Status(200));
    app.settled().await;
    assert_eq!(state(&app).await["circuit"]["state"], "closed");
    assert_eq!(app.metric("onceward_circuit_open{destination=\"hook\"}").await, 0.0);
    assert_eq!(app.metric("onceward_circuit_opened_total{destination=\"hook\"}").await, 1.0);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_that_is_overloaded_shows_until_when_nothing_goes_there() {
    let receiver = Receiver::start().await;
    receiver.next([Behaviour::RetryAfter(429, "30".into())]);
    let app = TestApp::start(&destination(&receiver, "")).await;
    assert_eq!(state(&app).await["overloaded_until"], Value::Null);
    send(&app, "one", "{}").await;
    until("it shows", async || state(&app).await["overloaded_until"].is_string()).await;
    send(&app, "two", "{}").await;
    let waits = delivery(&app, "two").await;
    assert_eq!((&waits["status"], &waits["attempts"], receiver.seen().len()), (&"pending".into(), &0.into(), 1));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_limit_is_kept_and_everything_arrives() {
    let receiver = Receiver::start().await;
    let app = TestApp::start(&destination(&receiver, "rate_limit = \"50/s\"\n")).await;
    let begun = Instant::now();
    for number in 0..50 {
        send(&app, &number.to_string(), "{}").await;
    }
    app.settled().await;
    assert!(begun.elapsed() >= Duration::from_millis(880), "50 at 50/s, five of them at once, in {:?}", begun.elapsed());
    assert_eq!(receiver.seen().len(), 50);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_that_is_held_gets_nothing_until_it_is_released_also_after_a_restart() {
    let receiver = Receiver::start().await;
    let app = TestApp::start(&destination(&receiver, "")).await;
    for _ in 0..2 {
        let (status, view) = order(&app, "PUT", "/api/v1/destinations/hook/pause").await;
        assert_eq!((status, &view["paused"]), (200, &true.into()), "twice is once");
    }
    send(&app, "one", "{}").await;
    let folder = app.stop().await;
    let app = TestApp::start_in(folder, &destination(&receiver, "")).await;
    send(&app, "two", "{}").await;
    assert_eq!((&state(&app).await["paused"], &state(&app).await["pending"]), (&true.into(), &2.into()));
    assert_eq!(app.metric("onceward_destination_paused{destination=\"hook\"}").await, 1.0);
    let released = Instant::now();
    for _ in 0..2 {
        assert_eq!(order(&app, "DELETE", "/api/v1/destinations/hook/pause").await.1["paused"], false);
    }
    app.settled().await;
    let seen = receiver.seen();
    assert_eq!(seen.len(), 2);
    assert!(seen.iter().all(|seen| seen.arrived >= released), "nothing goes before it is released");
    assert_eq!(app.ask(Request::post("/api/v1/destinations/none/pause", "").method("PUT")).await.problem(), "not-found");
    app.finish().await;
}

/// The orders that were told of.
#[derive(Default)]
struct Orders(Mutex<Vec<String>>);

impl Observer for Orders {
    fn happened(&self, happening: &Happening<'_>) {
        if let Happening::Ordered { what, destination, delivery } = happening {
            let delivery = delivery.map_or_else(String::new, |id| format!(" {id}"));
            self.0.lock().unwrap().push(format!("{what} {destination}{delivery}"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_operator_orders_leaves_a_trace() {
    let receiver = Receiver::start().await;
    receiver.next([Behaviour::Status(410), Behaviour::Status(500)]);
    let orders = Arc::new(Orders::default());
    let extras = Extras { watcher: Some(Arc::clone(&orders) as Arc<dyn Observer>), ..Extras::default() };
    let configuration = destination(&receiver, "retry = { schedule = [\"1h\"] }\n");
    let app = TestApp::start_with(tempfile::tempdir().unwrap(), &configuration, extras).await;
    send(&app, "one", "{}").await;
    until("it is dead", async || delivery(&app, "one").await["status"] == "dead").await;
    let id = delivery(&app, "one").await["id"].as_str().unwrap().to_owned();
    for (method, path, status) in [
        ("PUT", "/api/v1/destinations/hook/pause".to_owned(), 200),
        ("POST", format!("/api/v1/deliveries/{id}/retry"), 200),
        ("POST", format!("/api/v1/deliveries/{id}/cancel"), 200),
        ("DELETE", "/api/v1/destinations/hook/pause".to_owned(), 200),
        // What changes nothing is no order that was carried out.
        ("POST", "/api/v1/deliveries/999/cancel".to_owned(), 404),
    ] {
        assert_eq!(order(&app, method, &path).await.0, status, "{path}");
    }
    let told = orders.0.lock().unwrap().clone();
    assert_eq!(told, ["pause hook".to_owned(), format!("retry hook {id}"), format!("cancel hook {id}"), "resume hook".to_owned()]);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_is_called_off_while_its_attempt_hangs_is_broken_off() {
    let receiver = Receiver::start().await;
    receiver.always(Behaviour::Hang);
    let app = TestApp::start(&destination(&receiver, "timeout = \"10m\"\n")).await;
    send(&app, "hangs", "{}").await;
    receiver.got(1).await;
    assert_eq!(state(&app).await["in_flight"], 1);
    let id = delivery(&app, "hangs").await["id"].as_str().unwrap().to_owned();
    let (status, cancelled) = order(&app, "POST", &format!("/api/v1/deliveries/{id}/cancel")).await;
    assert_eq!((status, &cancelled["status"]), (200, &"cancelled".into()), "{cancelled}");
    let begun = Instant::now();
    until("the attempt is broken off", async || state(&app).await["in_flight"] == 0).await;
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    assert_eq!((receiver.seen().len(), &delivery(&app, "hangs").await["status"]), (1, &"cancelled".into()));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_can_retry_what_is_dead_and_call_off_what_waits() {
    let receiver = Receiver::start().await;
    receiver.next([Behaviour::Status(410), Behaviour::Status(500)]);
    let app = TestApp::start(&destination(&receiver, "concurrency = 1\nretry = { schedule = [\"1h\"] }\n")).await;
    send(&app, "dead", "{}").await;
    until("it is dead", async || delivery(&app, "dead").await["status"] == "dead").await;
    send(&app, "waits", "{}").await;
    until("it waits", async || delivery(&app, "waits").await["next_attempt_at"].is_string()).await;
    let path = async |event: &str, what: &str| format!("/api/v1/deliveries/{}/{what}", delivery(&app, event).await["id"].as_str().unwrap());

    let (status, retried) = order(&app, "POST", &path("dead", "retry").await).await;
    assert_eq!((status, &retried["finished_at"]), (200, &Value::Null), "{retried}");
    until("it is delivered", async || delivery(&app, "dead").await["status"] == "delivered").await;
    assert_eq!(delivery(&app, "dead").await["attempts"], 2);
    for what in ["retry", "cancel"] {
        let (status, problem) = order(&app, "POST", &path("dead", what).await).await;
        assert_eq!((status, &problem["type"], &problem["detail"]), (409, &"onceward:conflict".into(), &"the delivery is delivered".into()));
    }
    for _ in 0..2 {
        let (status, cancelled) = order(&app, "POST", &path("waits", "cancel").await).await;
        assert_eq!((status, &cancelled["status"]), (200, &"cancelled".into()), "twice is once");
    }
    assert_eq!(app.json("/api/v1/events/github/waits").await["status"], "cancelled");
    assert_eq!(order(&app, "POST", &path("waits", "retry").await).await.0, 200);
    app.settled().await;
    assert_eq!(ids(&receiver), ["dead", "waits", "dead", "waits"]);
    assert_eq!(app.ask(Request::post("/api/v1/deliveries/999/retry", "").method("POST")).await.problem(), "not-found");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_from_one_source_does_not_keep_another_waiting() {
    let receiver = Receiver::start().await;
    let two = format!("{GITHUB}[sources.quiet]\nprovider = \"github\"\nsecret = \"whsec_test_secret\"\n");
    let more = "concurrency = 1\nrate_limit = \"100/s\"\n";
    let configuration = format!("{two}[destinations.hook]\nfrom = [\"github\", \"quiet\"]\nurl = \"{}\"\n{more}", receiver.url);
    let app = TestApp::start(&configuration).await;
    join_all((0..200).map(|number| {
        let app = &app;
        async move { send(app, &number.to_string(), "{}").await }
    }))
    .await;
    let before = receiver.seen().len();
    assert!(before < 180, "the flood is still waiting: {before}");
    assert_eq!(app.send(github("late", "push", "{}").to("/hooks/quiet")).await.status, 200);
    until("the late one has arrived", async || ids(&receiver).contains(&"late".to_owned())).await;
    let place = ids(&receiver).iter().position(|id| id == "late").unwrap();
    assert!(place <= before + 15, "after {place} of the others, and {before} were there before it");
    app.settled().await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_of_destinations_tells_how_they_are_configured_and_nothing_that_is_secret() {
    let receiver = Receiver::start().await;
    let url = receiver.url.replace("http://", "http://user:hunter2@");
    let more = "rate_limit = \"50/s\"\norder_by = \"/repository/id\"\nheaders = { X-Key = \"hunter2\" }\nfilter = 'type != \"hunter2\"'\n\
        sign = \"whsec_aHVudGVyMmh1bnRlcjJodW50ZXIyaHVudGVyMg==\"\n[destinations.chat]\nfrom = [\"github\"]\n\
        url = \"${CHAT:-https://chat.example/services/hunter2}\"\n[destinations.command]\nfrom = [\"github\"]\nexec = [\"true\", \"hunter2\"]\n\
        env = { A = \"hunter2\" }\nretry = { schedule = [\"5s\", \"5m\"] }\n";
    let app = TestApp::start(&format!("{GITHUB}[destinations.hook]\nfrom = [\"github\"]\nurl = \"{url}?key=hunter2\"\n{more}")).await;
    let answer = app.get("/api/v1/destinations").await;
    assert!(!String::from_utf8_lossy(&answer.body).contains("hunter2"), "{answer:?}");
    let rows = answer.json()["data"].as_array().unwrap().clone();
    assert_eq!((&rows[1]["name"], &rows[1]["target"]), (&"chat".into(), &"https://chat.example/…".into()));
    let kinds: BTreeMap<_, _> = rows.iter().map(|row| (row["name"].as_str().unwrap(), row["kind"].as_str().unwrap())).collect();
    assert_eq!(kinds, BTreeMap::from([("hook", "url"), ("chat", "url"), ("command", "exec")]));
    let hook = &rows[0];
    assert_eq!((&hook["rate_limit"], &hook["order_by"], &hook["filtered"]), (&"50/s".into(), &"/repository/id".into(), &true.into()));
    assert_eq!((&hook["circuit"]["state"], &hook["in_flight"], &hook["pending"]), (&"closed".into(), &0.into(), &0.into()));
    assert_eq!((&rows[2]["retry"]["attempts"], &rows[2]["retry"]["schedule"][1]), (&3.into(), &"5m".into()));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_arrives_while_a_destination_has_a_place_is_never_claimed() {
    let receiver = Receiver::start().await;
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["--source", "github=whsec_test_secret", "--forward", &receiver.url];
    let process = Process::serve(folder.path(), &arguments).await;
    for number in 0..20 {
        assert_eq!(process.send(github(&number.to_string(), "push", "{}")).await.status, 200);
    }
    process.settled().await;
    let text = String::from_utf8(process.get("/metrics").await.body).unwrap();
    let operations = text.lines().find_map(|line| line.strip_prefix("onceward_commit_events_sum ")).unwrap().parse::<f64>().unwrap();
    // An event and the end of its attempt; a claim of its own would make it three. Some are for the start and for keeping house.
    assert!(operations < 56.0, "{operations} operations for 20 events");
    assert_eq!(process.terminate().await, Some(0));
}
