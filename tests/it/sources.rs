//! What the API says of sources, senders and of how much comes in.

use serde_json::Value;

use crate::support::{Behaviour, Receiver, Request, TestApp, github, stripe, until};

fn configuration(receiver: &Receiver) -> String {
    format!(
        "public_url = \"https://hooks.example.com\"\n\
         [sources.github]\nprovider = \"github\"\nsecrets = [\"whsec_test_secret\", \"whsec_next\"]\nforward = \"{}in\"\nrate_limit = \"500/s\"\n\
         [sources.stripe]\nprovider = \"stripe\"\nsecret = \"whsec_test_secret\"\nurl = \"https://h.example/x?token=hush\"\n\
         [sources.open]\nprovider = \"github\"\nverify = \"none\"\n",
        receiver.url
    )
}

fn named<'a>(rows: &'a [Value], name: &str) -> &'a Value {
    rows.iter().find(|row| row["name"] == name).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn sources_are_shown_as_configured_without_secrets_and_with_what_came() {
    let receiver = Receiver::start().await;
    let app = TestApp::start(&configuration(&receiver)).await;
    for _ in 0..3 {
        app.send(github("guid-1", "push", "{}")).await;
    }
    app.send(github("guid-2", "push", "{}")).await;
    app.send(stripe("evt_1").without("stripe-signature")).await;
    until("the refusal is in the log", async || app.rows("/api/v1/rejections").await.len() == 1).await;
    let answer = app.get("/api/v1/sources").await;
    let text = String::from_utf8(answer.body.clone()).unwrap();
    assert!(!text.contains("whsec") && !text.contains("hush"), "{text}");
    let rows = answer.json()["data"].as_array().unwrap().clone();
    assert_eq!(rows.iter().map(|row| row["name"].as_str().unwrap()).collect::<Vec<_>>(), ["github", "stripe", "open"]);
    let github = named(&rows, "github");
    assert_eq!((github["provider"].as_str(), github["path"].as_str()), (Some("github"), Some("/hooks/github")));
    assert_eq!(
        (github["secrets"].as_u64(), github["verify"].as_bool(), github["rate_limit"].as_str()),
        (Some(2), Some(true), Some("500/s"))
    );
    assert_eq!(github["url"], "https://hooks.example.com/hooks/github");
    for volume in [github, &github["last_24h"]] {
        assert_eq!((volume["events"].as_u64(), volume["duplicates"].as_u64(), volume["rejections"].as_u64()), (Some(2), Some(2), Some(0)));
        assert!(volume["bytes"].as_u64().unwrap() > 100);
    }
    assert!(github["events_per_minute"].as_f64().unwrap() > 0.0);
    assert_eq!(
        (named(&rows, "stripe")["rejections"].as_u64(), named(&rows, "stripe")["url"].as_str()),
        (Some(1), Some("https://h.example/x"))
    );
    assert_eq!((named(&rows, "open")["verify"].as_bool(), named(&rows, "open")["proved_by"].as_str()), (Some(false), Some("nothing")));
    assert_eq!(&app.json("/api/v1/sources/github").await["secrets"], &github["secrets"]);
    assert_eq!(app.get("/api/v1/sources/nobody").await.status, 404);
    app.settled().await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn senders_are_shown_with_the_urls_to_paste() {
    let receiver = Receiver::start().await;
    let app = TestApp::start(&configuration(&receiver)).await;
    let rows = app.rows("/api/v1/providers").await;
    assert!(rows.len() >= 156, "{}", rows.len());
    let github = named(&rows, "github");
    assert_eq!((github["body_covered"].as_str(), github["event_id_signed"].as_bool()), (Some("body"), Some(false)));
    assert_eq!(github["urls"][0], "https://hooks.example.com/hooks/github");
    assert_eq!(&app.json("/api/v1/providers/github").await, github);
    assert_eq!(app.get("/api/v1/providers/nobody").await.status, 404);
    assert_eq!(app.ask(Request::post("/api/v1/providers", "")).await.status, 405);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stats_add_up_and_survive_a_restart() {
    let receiver = Receiver::start().await;
    receiver.decides(|seen| Behaviour::Status(if seen.header("onceward-event-id") == "dead" { 410 } else { 200 }));
    let app = TestApp::start(&configuration(&receiver)).await;
    for id in ["guid-1", "guid-1", "dead"] {
        app.send(github(id, "push", "{}")).await;
    }
    app.send(stripe("evt_1")).await;
    app.settled().await;
    app.ask(Request::post("/api/v1/destinations/github/pause", "").method("PUT")).await;
    app.send(github("waits", "push", "{}")).await;
    let folder = app.stop().await;
    let app = TestApp::start_in(folder, &configuration(&receiver)).await;
    let stats = app.json("/api/v1/stats").await;
    let received = &stats["received"];
    assert_eq!(
        (received["events"].as_u64(), received["duplicates"].as_u64(), received["rejections"].as_u64()),
        (Some(4), Some(1), Some(0))
    );
    let deliveries = &stats["deliveries"];
    assert_eq!((deliveries["pending"].as_u64(), deliveries["dead"].as_u64()), (Some(1), Some(1)));
    assert!(deliveries["lag_seconds"].as_f64().unwrap() >= 0.0 && deliveries["oldest_pending_at"].is_string());
    let sources = stats["sources"].as_array().unwrap();
    assert_eq!((named(sources, "github")["events"].as_u64(), named(sources, "stripe")["events"].as_u64()), (Some(3), Some(1)));
    assert_eq!(stats["destinations"].as_array().unwrap().len(), 1);
    assert!(stats["database_bytes"].as_u64().unwrap() > 0 && stats["at"].is_string() && stats["queue_depth"].is_u64());
    app.ask(Request::post("/api/v1/destinations/github/pause", "").method("DELETE")).await;
    app.settled().await;
    assert_eq!(app.json("/api/v1/stats").await["deliveries"]["lag_seconds"], Value::Null);
    app.finish().await;
}
