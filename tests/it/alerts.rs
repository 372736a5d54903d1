//! Onceward's own events: recorded once, delivered like any other, and never about themselves.

use serde_json::Value;

use crate::support::{Behaviour, Receiver, Request, TestApp, github, until};

fn configuration(app: &Receiver, alerts: &Receiver, more: &str) -> String {
    format!(
        "[alerts]\nrejections = \"3/m\"\n[sources.github]\nprovider = \"github\"\nsecret = \"whsec_test_secret\"\n\
         [destinations.app]\nfrom = [\"github\"]\nurl = \"{}\"\n{more}\n\
         [destinations.alerts]\nfrom = [\"onceward\"]\nurl = \"{}\"\nretry = {{ attempts = 1 }}\n",
        app.url, alerts.url
    )
}

/// The bodies that came, of one type.
fn told(receiver: &Receiver, event_type: &str) -> Vec<Value> {
    let bodies = receiver.seen().into_iter().map(|seen| serde_json::from_slice::<Value>(&seen.body).unwrap());
    bodies.filter(|body| body["type"] == event_type).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_delivery_is_told_with_its_reason_once() {
    let (app_receiver, alerts) = (Receiver::start().await, Receiver::start().await);
    app_receiver.always(Behaviour::Status(410));
    let app = TestApp::start(&configuration(&app_receiver, &alerts, "")).await;
    app.send(github("gone", "push", "{}")).await;
    let seen = alerts.got(1).await;
    assert_eq!(
        (seen[0].header("onceward-source"), seen[0].header("onceward-event-type")),
        ("onceward".into(), "onceward.delivery.dead".into())
    );
    let data = told(&alerts, "onceward.delivery.dead")[0]["data"].clone();
    let delivery = app.rows("/api/v1/deliveries?destination=app").await[0].clone();
    assert_eq!((&data["delivery"], &data["destination"], &data["event_id"]), (&delivery["id"], &"app".into(), &"gone".into()));
    assert_eq!((&data["attempts"], &data["error"]), (&1.into(), &"answered 410: the destination is gone".into()));
    app.settled().await;
    assert_eq!(app.rows("/api/v1/events?source=onceward&type=onceward.delivery.dead").await.len(), 1);
    assert_eq!(app.metric("onceward_events_total{source=\"onceward\"}").await, 1.0);
    assert_eq!(app.metric("onceward_requests_total{source=\"onceward\",outcome=\"accepted\"}").await, 0.0, "nobody has sent it");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_circuit_that_opens_and_many_refusals_are_told_once() {
    let (app_receiver, alerts) = (Receiver::start().await, Receiver::start().await);
    app_receiver.always(Behaviour::Status(500));
    let more = "circuit = { failures = 2, probe = \"10m\", max_probe = \"10m\" }\nretry = { schedule = [\"1ms\", \"1ms\", \"1ms\"] }";
    let app = TestApp::start(&configuration(&app_receiver, &alerts, more)).await;
    app.send(github("one", "push", "{}")).await;
    until("the circuit is told of", async || told(&alerts, "onceward.circuit.opened").len() == 1).await;
    assert_eq!(told(&alerts, "onceward.circuit.opened")[0]["data"]["destination"], "app");
    for _ in 0..10 {
        assert_eq!(app.send(github("forged", "push", "{}").without("x-hub-signature-256")).await.status, 401);
    }
    until("the refusals are told of", async || told(&alerts, "onceward.rejections.spike").len() == 1).await;
    let data = told(&alerts, "onceward.rejections.spike")[0]["data"].clone();
    assert_eq!((&data["source"], &data["count"], &data["codes"]["signature-missing"]), (&"github".into(), &4.into(), &4.into()));
    assert_eq!(app.rows("/api/v1/events?source=onceward").await.len(), 2);
    until("both are counted", async || app.metric("onceward_events_total{source=\"onceward\"}").await == 2.0).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_that_fails_on_an_alert_is_counted() {
    let (app_receiver, alerts) = (Receiver::start().await, Receiver::start().await);
    app_receiver.always(Behaviour::Status(410));
    let app = TestApp::start(&format!("{}filter = \"type > 1\"\n", configuration(&app_receiver, &alerts, ""))).await;
    app.send(github("gone", "push", "{}")).await;
    alerts.got(1).await;
    assert_eq!(app.metric("onceward_filter_errors_total{destination=\"alerts\"}").await, 1.0);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_goes_in_circles() {
    let (app_receiver, alerts) = (Receiver::start().await, Receiver::start().await);
    app_receiver.always(Behaviour::Status(410));
    alerts.always(Behaviour::Status(410));
    let app = TestApp::start(&configuration(&app_receiver, &alerts, "")).await;
    app.send(github("gone", "push", "{}")).await;
    until("both are dead", async || app.rows("/api/v1/deliveries?status=dead").await.len() == 2).await;
    app.settled().await;
    assert_eq!(app.rows("/api/v1/events?source=onceward").await.len(), 1, "a dead alert is no reason for another");
    assert_eq!(app.send(Request::post("/hooks/onceward", "{}")).await.status, 404, "nobody can speak for Onceward");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_is_not_told_about_itself() {
    let both = Receiver::start().await;
    both.next([Behaviour::Status(410)]);
    let configuration = format!(
        "[sources.github]\nprovider = \"github\"\nsecret = \"whsec_test_secret\"\n\
         [destinations.both]\nfrom = [\"github\", \"onceward\"]\nurl = \"{}\"\n",
        both.url
    );
    let app = TestApp::start(&configuration).await;
    app.send(github("gone", "push", "{}")).await;
    until("it is dead", async || app.rows("/api/v1/deliveries?status=dead").await.len() == 1).await;
    assert!(app.rows("/api/v1/events?source=onceward").await.is_empty());
    app.finish().await;
}
