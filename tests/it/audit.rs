//! Who may do what through the API, and the trail of what was done.

use serde_json::Value;

use crate::support::{Answer, Receiver, Request, TestApp};

const WRITE: &str = "0123456789abcdef-write";
const READ: &str = "0123456789abcdef-read";

fn configuration(receiver: &Receiver, admin: &str) -> String {
    format!("[sources.github]\nprovider = \"github\"\nsecret = \"whsec_test_secret\"\nforward = \"{}in\"\n{admin}", receiver.url)
}

fn tokens() -> String {
    format!(
        "[admin]\nlisten = \"127.0.0.1:0\"\ntoken = \"{WRITE}\"\n[admin.tokens.dashboard]\ntoken = \"{READ}\"\nrole = \"read\"\n\
         [admin.tokens.ops]\ntoken = \"0123456789abcdef-ops\"\nrole = \"write\"\n"
    )
}

async fn ask(app: &TestApp, method: &str, path: &str, token: &str) -> Answer {
    let mut request = Request::post(path, "").method(method);
    if !token.is_empty() {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    app.ask(request).await
}

/// The rows of the trail, newest first: actor, method, path, status.
async fn trail(app: &TestApp, query: &str, token: &str) -> Vec<(String, String, String, Value)> {
    let answer = ask(app, "GET", &format!("/api/v1/audit{query}"), token).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let text = |row: &Value, name: &str| row[name].as_str().unwrap().to_owned();
    let rows = answer.json()["data"].as_array().unwrap().clone();
    rows.iter().map(|row| (text(row, "actor"), text(row, "method"), text(row, "path"), row["status"].clone())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_may_read_changes_nothing_and_the_trail_says_who_did() {
    let receiver = Receiver::start().await;
    let app = TestApp::start(&configuration(&receiver, &tokens())).await;
    const PAUSE: &str = "/api/v1/destinations/github/pause";
    assert_eq!(ask(&app, "GET", "/api/v1/destinations", READ).await.status, 200);
    for (method, path) in [("PUT", PAUSE), ("DELETE", PAUSE), ("POST", "/api/v1/replays"), ("PUT", "/api/v1/events/github/1")] {
        let answer = ask(&app, method, path, READ).await;
        assert_eq!((answer.status, answer.problem().as_str()), (403, "forbidden"), "{method} {path}");
    }
    assert!(trail(&app, "", READ).await.is_empty(), "what was not let in is not there");
    assert_eq!(ask(&app, "PUT", PAUSE, WRITE).await.status, 200);
    assert_eq!(ask(&app, "DELETE", PAUSE, "0123456789abcdef-ops").await.status, 200);
    assert_eq!(ask(&app, "DELETE", "/api/v1/events/github/unknown?x=1", WRITE).await.status, 404);
    let row = |actor: &str, method: &str, path: &str, status: u16| (actor.to_owned(), method.to_owned(), path.to_owned(), status.into());
    let expected = [
        row("admin", "DELETE", "/api/v1/events/github/unknown?x=1", 404),
        row("ops", "DELETE", PAUSE, 200),
        row("admin", "PUT", PAUSE, 200),
    ];
    assert_eq!(trail(&app, "", READ).await, expected);
    assert_eq!(trail(&app, "?actor=ops", READ).await, expected[1..2]);
    assert_eq!(trail(&app, "?order=asc&limit=1", READ).await, expected[2..]);
    assert!(trail(&app, "?since=2999-01-01T00:00:00Z", READ).await.is_empty());
    assert_eq!(trail(&app, "?until=2999-01-01T00:00:00Z", READ).await.len(), 3);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_tokens_the_trail_knows_the_machine_and_survives_a_restart() {
    let receiver = Receiver::start().await;
    let app = TestApp::start(&configuration(&receiver, "")).await;
    assert_eq!(ask(&app, "PUT", "/api/v1/destinations/github/pause", "").await.status, 200);
    let folder = app.stop().await;
    let app = TestApp::start_in(folder, &configuration(&receiver, "")).await;
    let rows = app.rows("/api/v1/audit").await;
    assert_eq!((rows.len(), &rows[0]["actor"], &rows[0]["client"]), (1, &"local".into(), &"127.0.0.1".into()));
    assert!(rows[0]["at"].is_string() && rows[0]["id"].is_string());
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_guesses_tokens_has_to_wait() {
    let receiver = Receiver::start().await;
    let app = TestApp::start(&configuration(&receiver, &tokens())).await;
    for n in 0..10 {
        assert_eq!(ask(&app, "GET", "/api/v1/events", &format!("guess-{n}")).await.status, 401);
    }
    let refused = ask(&app, "GET", "/api/v1/events", WRITE).await;
    assert_eq!((refused.status, refused.problem().as_str()), (429, "rate-limited"));
    assert!(refused.header("retry-after").parse::<u32>().unwrap() <= 6);
    assert_eq!(ask(&app, "GET", "/readyz", "").await.status, 200);
    app.stop().await;
}
