//! The live stream: what happens, resumed where a client was cut off, also by another process.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::{PATIENCE, Receiver, TestApp, github, stripe};

fn configuration(receiver: &Receiver) -> String {
    format!(
        "[sources.github]\nprovider = \"github\"\nsecret = \"whsec_test_secret\"\nforward = \"{}in\"\n\
         [sources.stripe]\nprovider = \"stripe\"\nsecret = \"whsec_test_secret\"\n",
        receiver.url
    )
}

/// A message of the stream.
#[derive(Debug, Clone)]
struct Message {
    kind: String,
    id: String,
    data: Value,
}

/// A client of the stream.
struct Client {
    response: reqwest::Response,
    text: String,
}

impl Client {
    async fn open(app: &TestApp, query: &str, last: Option<&str>) -> Self {
        let mut request = reqwest::Client::builder().no_proxy().build().unwrap().get(format!("{}/api/v1/stream{query}", app.admin));
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = request.send().await.unwrap();
        assert_eq!((response.status().as_u16(), response.headers()["content-type"].to_str().unwrap()), (200, "text/event-stream"));
        Self { response, text: String::new() }
    }

    /// The next message.
    async fn next(&mut self) -> Message {
        loop {
            if let Some((message, rest)) = self.text.split_once("\n\n") {
                let fields: BTreeMap<_, _> = message.lines().filter_map(|line| line.split_once(": ")).collect();
                let found = fields.get("event").map(|kind| Message {
                    kind: (*kind).to_owned(),
                    id: fields["id"].to_owned(),
                    data: serde_json::from_str(fields["data"]).unwrap(),
                });
                self.text = rest.to_owned();
                if let Some(found) = found {
                    return found;
                }
                continue;
            }
            let chunk =
                tokio::time::timeout(PATIENCE, self.response.chunk()).await.expect("nothing comes").unwrap().expect("the stream ended");
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// The next message of a kind.
    async fn next_of(&mut self, kind: &str) -> Message {
        loop {
            let message = self.next().await;
            if message.kind == kind {
                return message;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_happens_is_told_as_it_happens() {
    let receiver = Receiver::start().await;
    let app = TestApp::start(&configuration(&receiver)).await;
    let mut client = Client::open(&app, "", None).await;
    app.send(github("guid-1", "push", "{}")).await;
    let event = client.next().await;
    assert_eq!((event.kind.as_str(), &event.data["event_id"], &event.data["type"]), ("event", &"guid-1".into(), &"push".into()));
    assert!(event.data["at"].is_string() && event.data["source"] == "github");
    let attempt = client.next_of("attempt").await.data;
    assert_eq!(
        (&attempt["destination"], &attempt["status"], &attempt["status_code"]),
        (&"github".into(), &"delivered".into(), &200.into())
    );
    app.send(github("guid-1", "push", "{}")).await;
    assert_eq!(client.next_of("duplicate").await.data["event_id"], "guid-1");
    app.send(stripe("evt_1").without("stripe-signature")).await;
    let rejection = client.next_of("rejection").await.data;
    assert_eq!((&rejection["source"], &rejection["code"]), (&"stripe".into(), &"signature-missing".into()));
    let mut picky = Client::open(&app, "?source=stripe&kind=event", None).await;
    app.send(github("guid-2", "push", "{}")).await;
    app.send(stripe("evt_2")).await;
    assert_eq!(picky.next().await.data["event_id"], "evt_2");
    app.settled().await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_goes_on_where_it_was_cut_off() {
    let receiver = Receiver::start().await;
    let app = TestApp::start(&configuration(&receiver)).await;
    let mut client = Client::open(&app, "?kind=event", None).await;
    app.send(stripe("evt_1")).await;
    let last = client.next().await.id;
    drop(client);
    for id in ["evt_2", "evt_3"] {
        app.send(stripe(id)).await;
    }
    let mut client = Client::open(&app, "?kind=event", Some(&last)).await;
    let seen = [client.next().await, client.next().await];
    assert_eq!(seen.each_ref().map(|message| message.data["event_id"].as_str().unwrap()), ["evt_2", "evt_3"], "each once, in order");
    drop(client);

    // Another process has no feed of before, but the history.
    let folder = app.stop().await;
    let app = TestApp::start_in(folder, &configuration(&receiver)).await;
    app.send(stripe("evt_4")).await;
    let mut client = Client::open(&app, "?kind=event", Some(&seen[1].id)).await;
    let mut told = Vec::new();
    while told.last().is_none_or(|id| id != "evt_4") {
        told.push(client.next().await.data["event_id"].as_str().unwrap().to_owned());
    }
    app.send(stripe("evt_5")).await;
    assert_eq!(client.next().await.data["event_id"], "evt_5");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_stream_cannot_be_asked_for_says_why() {
    let receiver = Receiver::start().await;
    let app = TestApp::start(&configuration(&receiver)).await;
    for path in ["/api/v1/stream?kind=everything", "/api/v1/stream?unknown=1"] {
        let answer = app.get(path).await;
        assert_eq!((answer.status, answer.problem().as_str()), (400, "invalid-parameter"), "{path}");
    }
    let odd = crate::support::Request::post("/api/v1/stream", "").method("GET").header("last-event-id", "odd");
    let answer = app.ask(odd).await;
    assert_eq!((answer.status, answer.problem().as_str()), (400, "invalid-parameter"));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_let_in_later_is_told_as_the_event_that_it_is() {
    let receiver = Receiver::start().await;
    let wrong = configuration(&receiver).replace("whsec_test_secret", "whsec_wrong_secret");
    let app = TestApp::start(&wrong).await;
    assert_eq!(app.send(github("guid-1", "push", "{}")).await.status, 401);
    let folder = app.stop().await;
    let app = TestApp::start_in(folder, &configuration(&receiver)).await;
    let mut client = Client::open(&app, "?kind=event", None).await;
    app.ask(crate::support::Request::post("/api/v1/rejections/reverify", "")).await;
    let event = client.next().await.data;
    assert_eq!((&event["event_id"], &event["type"]), (&"guid-1".into(), &"push".into()));
    app.settled().await;
    app.finish().await;
}
