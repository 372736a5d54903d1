//! Functions of a program that embeds this one, as destinations.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use onceward::app::{App, Extras, StartError};
use onceward::config::Config;
use onceward::deliver::{Failure, Handlers};
use onceward::domain::ClaimedDelivery;
use serde_json::Value;

use crate::support::{TestApp, github};

const GITHUB: &str = "[sources.github]\nprovider = \"github\"\nsecret = \"whsec_test_secret\"\n";

/// A destination that calls the handler `mailer`, tried again at once.
fn configuration(more: &str) -> String {
    let retry = "retry = { attempts = 4, first = \"1ms\", max = \"2ms\" }";
    format!("{GITHUB}[destinations.mail]\nfrom = [\"github\"]\nhandler = \"mailer\"\n{retry}\n{more}\n")
}

async fn start(handlers: Handlers, more: &str) -> TestApp {
    let extras = Extras { handlers, ..Extras::default() };
    TestApp::start_with(tempfile::tempdir().unwrap(), &configuration(more), extras).await
}

/// The delivery of the only event, once it has ended.
async fn delivery(app: &TestApp) -> Value {
    assert_eq!(app.send(github("1", "push", "{\"a\": 1}")).await.status, 200);
    app.settled().await;
    app.json("/api/v1/events/github/1").await["deliveries"][0].clone()
}

/// The errors of a delivery's attempts.
fn errors(delivery: &Value) -> Vec<&str> {
    delivery["history"].as_array().unwrap().iter().map(|attempt| attempt["error"].as_str().unwrap_or_default()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_gets_the_event_and_says_when_it_is_done() {
    static SEEN: Mutex<Vec<ClaimedDelivery>> = Mutex::new(Vec::new());
    let handlers = Handlers::default().with("mailer", async |delivery: ClaimedDelivery| {
        let mut seen = SEEN.lock().unwrap();
        seen.push(delivery);
        match seen.len() {
            1 => Err(Failure::retry("the mail server is busy")),
            _ => Ok(()),
        }
    });
    let app = start(handlers, "").await;
    let delivery = delivery(&app).await;
    assert_eq!((&delivery["status"], errors(&delivery)), (&"delivered".into(), vec!["the mail server is busy", ""]));
    app.finish().await;
    let seen = SEEN.lock().unwrap();
    let attempts: Vec<_> = seen.iter().map(|delivery| (delivery.lease.attempt, &delivery.event.body[..])).collect();
    assert_eq!(attempts, [(1, &b"{\"a\": 1}"[..]), (2, b"{\"a\": 1}")]);
    assert_eq!((&*seen[0].event.key.event_id, seen[0].event.event_type.as_str()), ("1", "push"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_is_one_failed_attempt() {
    let calls = AtomicU32::new(0);
    let handlers = Handlers::default().with("mailer", move |_| {
        let call = calls.fetch_add(1, Ordering::Relaxed);
        // Once before there is a future, once in it.
        assert_ne!(call, 0, "on purpose");
        async move {
            assert_ne!(call, 1, "on purpose");
            Ok(())
        }
    });
    let app = start(handlers, "").await;
    let delivery = delivery(&app).await;
    let panicked = "the attempt panicked";
    assert_eq!((&delivery["status"], errors(&delivery)), (&"delivered".into(), vec![panicked, panicked, ""]));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_can_give_up() {
    let app = start(Handlers::default().with("mailer", async |_| Err(Failure::give_up("unknown customer"))), "").await;
    let delivery = delivery(&app).await;
    assert_eq!((&delivery["status"], errors(&delivery)), (&"dead".into(), vec!["unknown customer"]));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_without_end_is_a_failed_attempt_and_delays_nobody() {
    let calls = AtomicU32::new(0);
    let handlers = Handlers::default().with("mailer", move |_| {
        let call = calls.fetch_add(1, Ordering::Relaxed);
        async move {
            if call == 0 {
                std::future::pending::<()>().await;
            }
            Ok(())
        }
    });
    let app = start(handlers, "timeout = \"100ms\"").await;
    let delivery = delivery(&app).await;
    assert_eq!((&delivery["status"], errors(&delivery)), (&"delivered".into(), vec!["timed out after 0.1 s", ""]));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wait_that_a_handler_asks_for_is_kept() {
    let handlers = Handlers::default().with("mailer", async |_| Err(Failure::retry_after("later", Duration::from_secs(3_600))));
    let app = start(handlers, "").await;
    assert_eq!(app.send(github("1", "push", "{}")).await.status, 200);
    crate::support::until("the first attempt has failed", async || !app.rows("/api/v1/events?status=failing").await.is_empty()).await;
    let delivery = &app.rows("/api/v1/deliveries").await[0];
    let at = |key: &str| onceward::domain::Timestamp::parse(delivery[key].as_str().unwrap()).unwrap();
    assert!(at("next_attempt_at").since(at("created_at")) >= Duration::from_secs(3_600), "{delivery}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_nobody_has_registered_is_found_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let text = format!("database = \"sqlite:{}\"\n{}", folder.path().join("test.db").display(), configuration(""));
    let config = Config::parse("test.toml", &text, &|_| None).unwrap();
    let extras = Extras { handlers: Handlers::default().with("ledger", async |_| Ok(())), ..Extras::default() };
    let error = App::start_with(&config, extras).await.err().expect("it does not start");
    assert!(matches!(error, StartError::Destination { .. }) && error.is_configuration());
    assert_eq!(error.to_string(), "destinations.mail.handler: there is no handler \"mailer\"; registered are ledger");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "and leaves nothing behind");
}
