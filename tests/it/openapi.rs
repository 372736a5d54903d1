//! The API's description of itself: it is the one in `docs/`, it names what is mounted and nothing else, and what is answered
//! is as it says.

mod document;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use self::document::Document;
use crate::support::{Answer, Behaviour, Receiver, Request, TestApp, github, stripe};

const SOURCES: &str = "[sources.github]\nprovider = \"github\"\nsecret = \"whsec_test_secret\"\n\
                       [sources.stripe]\nprovider = \"stripe\"\nsecret = \"whsec_test_secret\"\n";
const DOCUMENT: &str = "/api/v1/openapi.json";

fn ask(method: &str, path: &str, body: &str) -> Request {
    Request::post(path, body).method(method)
}

async fn document(app: &TestApp) -> Document {
    Document(app.json(DOCUMENT).await)
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// `UPDATE_OPENAPI=1 cargo test the_document_is` writes it anew.
#[tokio::test(flavor = "multi_thread")]
async fn the_document_is_the_one_in_docs() {
    let app = TestApp::start(SOURCES).await;
    let answer = app.get(DOCUMENT).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"));
    let (path, text) = (root().join("docs/openapi.json"), String::from_utf8(answer.body).unwrap());
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        fs::write(&path, &text).unwrap();
    }
    let written = fs::read_to_string(path).unwrap();
    assert!(written == text, "docs/openapi.json is another one: UPDATE_OPENAPI=1 cargo test the_document_is");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_described_is_mounted_and_nothing_else() {
    let app = TestApp::start(SOURCES).await;
    let document = document(&app).await;
    assert!(document.operations().len() > 30, "the operations were not found");
    for (path, methods) in document.methods() {
        let path = path.replace(['{', '}'], "");
        let mut taken = BTreeSet::new();
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"] {
            // Open-ended answers are looked at by their own tests.
            if path.ends_with("/stream") && method == "GET" {
                taken.insert(method.to_owned());
                continue;
            }
            let answer = app.ask(ask(method, &path, "")).await;
            if answer.status == 405 {
                assert_eq!(answer.problem(), "method-not-allowed", "{method} {path}");
                let allowed: Vec<_> = answer.header("allow").split(", ").collect();
                let described: BTreeSet<_> = allowed.iter().copied().filter(|method| *method != "HEAD").collect();
                assert_eq!(described, methods.iter().map(String::as_str).collect(), "{method} {path}");
                assert_eq!(allowed.contains(&"HEAD"), allowed.contains(&"GET") && !path.ends_with("/stream"), "{path}");
            } else {
                taken.insert(method.to_owned());
            }
        }
        assert_eq!(taken, methods.into_iter().collect(), "{path}");
    }
    app.finish().await;
}

/// The table of operations is the only place that mounts anything of the API, so nothing can be left out of the document.
#[test]
fn nothing_of_the_api_is_mounted_beside_the_table() {
    fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { walk(&path, files) } else { files.push(path) }
        }
    }
    let mut files = Vec::new();
    walk(&root().join("src/http/api"), &mut files);
    let mounting = files.iter().filter(|path| fs::read_to_string(path).unwrap().contains("resource("));
    assert_eq!(mounting.map(|path| path.file_name().unwrap()).collect::<Vec<_>>(), ["operation.rs"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_be_read_can_be_asked_for_without_its_body() {
    let app = TestApp::start(SOURCES).await;
    app.send(github("1", "push", "{}")).await;
    for path in ["/api/v1/events", "/api/v1/events/github/1", "/api/v1/events/github/1/body", "/api/v1/stats", DOCUMENT] {
        let (read, head) = (app.get(path).await, app.ask(ask("HEAD", path, "")).await);
        assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
        assert_eq!(head.header("content-type"), read.header("content-type"), "{path}");
    }
    assert_eq!(app.ask(ask("HEAD", "/api/v1/events/github/2", "")).await.status, 404);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_is_described_whole() {
    let app = TestApp::start(SOURCES).await;
    let document = document(&app).await;
    let mut ids = BTreeSet::new();
    for operation in document.operations() {
        let id = operation.id();
        assert!(ids.insert(id.to_owned()), "{id} is there twice");
        assert!(id.bytes().all(|byte| byte == b'_' || byte.is_ascii_lowercase()), "{id}");
        assert!(operation.about["summary"].is_string() && operation.about["tags"][0].is_string(), "{id}");
        let in_path: Vec<_> = operation.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect();
        assert_eq!(operation.parameters("path"), in_path, "{id}");
        assert_eq!(operation.parameters("header").contains(&"Idempotency-Key"), operation.method == "POST", "{id}");
        let responses = operation.about["responses"].as_object().unwrap();
        assert!(responses.keys().any(|status| status.starts_with('2')) && responses.contains_key("401"), "{id}");
        for (status, response) in responses.iter().filter(|(status, _)| status.starts_with('2')) {
            for (content_type, content) in response["content"].as_object().into_iter().flatten() {
                let fits = content_type != "application/json" || document.validate(&content["schema"], &content["example"]).is_ok();
                assert!(
                    fits,
                    "{id}: the example of {status} has another form: {:?}",
                    document.validate(&content["schema"], &content["example"])
                );
            }
        }
        if let Some(content) = operation.about.pointer("/requestBody/content/application~1json") {
            document.validate(&content["schema"], &content["example"]).unwrap_or_else(|error| panic!("{id}: {error}"));
        }
    }
    let tags: BTreeSet<_> = document.0["tags"].as_array().unwrap().iter().map(|tag| tag["name"].clone().to_string()).collect();
    assert_eq!(tags, document.operations().iter().map(|operation| operation.about["tags"][0].to_string()).collect());
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_described_parameters_of_a_query_are_those_that_are_known() {
    let app = TestApp::start(SOURCES).await;
    let document = document(&app).await;
    let mut asked = 0;
    for operation in document.operations() {
        let described: BTreeSet<_> = operation.parameters("query").into_iter().collect();
        if described.is_empty() {
            continue;
        }
        let path = operation.path.replace("{source}", "github").replace(['{', '}'], "");
        let answer = app.ask(ask(&operation.method, &format!("{path}?unheard-of=1"), "")).await;
        assert_eq!((answer.status, answer.problem().as_str()), (400, "invalid-parameter"), "{path}");
        document.hold(operation.id(), &answer);
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        let known = detail.split_once("known are ").unwrap().1.split(", ").collect();
        assert_eq!(described, known, "{path}");
        asked += 1;
    }
    assert_eq!(asked, 7, "five lists, the stream and publishing have parameters");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_of_another_form_is_found() {
    let (app, _receiver) = with_a_history().await;
    let document = document(&app).await;
    let schema = json!({ "$ref": "#/components/schemas/EventPage" });
    let page = app.json("/api/v1/events").await;
    document.validate(&schema, &page).unwrap();
    let changes: [(&str, Value); 5] = [
        ("/data/0/undescribed", 1.into()),
        ("/data/0/deliveries/0/undescribed", 1.into()),
        ("/data/0/status", "open".into()),
        ("/data/0/received_at", "yesterday".into()),
        ("/next", 1.into()),
    ];
    for (at, value) in changes {
        let (parent, name) = at.rsplit_once('/').unwrap();
        let mut page = page.clone();
        page.pointer_mut(parent).unwrap()[name] = value;
        assert!(document.validate(&schema, &page).is_err(), "{at}");
    }
    let mut stats = app.json("/api/v1/stats").await;
    stats["received"]["undescribed"] = 1.into();
    assert!(document.validate(&json!({ "$ref": "#/components/schemas/Stats" }), &stats).is_err(), "a field beside those of a part");
    app.finish().await;
}

/// Two events of which one dies, a duplicate, two rejections of which one can be let in.
async fn with_a_history() -> (TestApp, Receiver) {
    let receiver = Receiver::start().await;
    receiver.next([Behaviour::Status(500), Behaviour::Status(200), Behaviour::Status(410)]);
    let hook = format!("[destinations.hook]\nfrom = [\"github\"]\nurl = \"{}\"\nretry = {{ first = \"1ms\" }}\n", receiver.url);
    let steps = format!("[destinations.steps]\nfrom = [\"stripe\"]\nurl = \"{}\"\nretry = {{ schedule = [\"1h\"] }}\n", receiver.url);
    let app = TestApp::start(&format!("{SOURCES}{hook}{steps}")).await;
    for id in ["1", "1", "2"] {
        app.send(github(id, "push", "{\"n\":1}")).await;
        app.settled().await;
    }
    app.send(github("3", "push", "{}").without("x-hub-signature-256")).await;
    app.send(stripe("evt_1").without("stripe-signature").header("stripe-signature", "?")).await;
    (app, receiver)
}

/// What is asked of each operation: its ID, the path, the body, and the status that comes.
fn questions() -> Vec<(&'static str, &'static str, &'static str, u16)> {
    vec![
        ("list_events", "/api/v1/events?limit=1", "", 200),
        ("list_events", "/api/v1/events?status=delivered&order=asc", "", 200),
        ("list_events", "/api/v1/events?limit=0", "", 400),
        ("show_event", "/api/v1/events/github/1", "", 200),
        ("show_event", "/api/v1/events/github/2", "", 200),
        ("show_event", "/api/v1/events/github/9", "", 404),
        ("event_body", "/api/v1/events/github/1/body", "", 200),
        ("event_fixture", "/api/v1/events/github/1/fixture", "", 200),
        ("list_deliveries", "/api/v1/deliveries", "", 200),
        ("show_delivery", "/api/v1/deliveries/1", "", 200),
        ("show_delivery", "/api/v1/deliveries/x", "", 404),
        ("retry_delivery", "/api/v1/deliveries/1/retry", "", 409),
        ("retry_delivery", "/api/v1/deliveries/2/retry", "", 200),
        ("list_rejections", "/api/v1/rejections", "", 200),
        ("show_rejection", "/api/v1/rejections/1", "", 200),
        ("rejection_body", "/api/v1/rejections/1/body", "", 200),
        ("reverify_rejection", "/api/v1/rejections/1/reverify", "", 200),
        ("reverify_rejections", "/api/v1/rejections/reverify", "{\"source\":\"github\"}", 200),
        ("reverify_rejections", "/api/v1/rejections/reverify", "{\"source\":\"nobody\"}", 400),
        ("list_sources", "/api/v1/sources", "", 200),
        ("show_source", "/api/v1/sources/github", "", 200),
        ("show_source", "/api/v1/sources/nobody", "", 404),
        ("list_destinations", "/api/v1/destinations", "", 200),
        ("show_destination", "/api/v1/destinations/steps", "", 200),
        ("pause_destination", "/api/v1/destinations/steps/pause", "", 200),
        ("resume_destination", "/api/v1/destinations/steps/pause", "", 200),
        ("list_providers", "/api/v1/providers", "", 200),
        ("show_provider", "/api/v1/providers/mailgun", "", 200),
        ("show_stats", "/api/v1/stats", "", 200),
        ("replay_event", "/api/v1/events/github/1/replay", "", 201),
        ("replay_event", "/api/v1/events/github/1/replay", "{\"destinations\":[\"nowhere\"]}", 400),
        ("begin_replay", "/api/v1/replays", "{\"filter\":{\"source\":\"github\"},\"destinations\":[\"hook\"],\"rate\":5.0}", 202),
        ("begin_replay", "/api/v1/replays", "", 400),
        ("begin_replay", "/api/v1/replays", "{\"filter\":{},\"rate\":5.5}", 400),
        ("begin_replay", "/api/v1/replays", "[{},null,null]", 400),
        ("begin_replay", "/api/v1/replays", "{\"filter\":[null,null,null,null,null,null]}", 400),
        ("retry_deliveries", "/api/v1/deliveries/retry", "{\"filter\":{}}", 202),
        ("list_replays", "/api/v1/replays", "", 200),
        ("show_replay", "/api/v1/replays/1", "", 200),
        ("cancel_replay", "/api/v1/replays/1/cancel", "", 200),
        ("cancel_replay", "/api/v1/replays/99/cancel", "", 404),
        ("publish_event", "/api/v1/events/github/by-hand?type=push", "{}", 201),
        ("publish_event", "/api/v1/events/github/by-hand?type=push", "{}", 200),
        ("publish_event", "/api/v1/events/github/by-hand?type=push", "[]", 409),
        ("cancel_delivery", "/api/v1/deliveries/1/cancel", "", 409),
        ("erase_event", "/api/v1/events/github/2", "", 204),
        ("show_event", "/api/v1/events/github/2", "", 200),
        ("list_audit", "/api/v1/audit", "", 200),
        ("show_openapi", DOCUMENT, "", 200),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_answered_is_as_described() {
    let (app, _receiver) = with_a_history().await;
    let document = document(&app).await;
    for (id, path, body, status) in questions() {
        let method = document.named(id).method;
        let answer = app.ask(ask(&method, path, body)).await;
        assert_eq!(answer.status, status, "{method} {path} {body}: {:?}", String::from_utf8_lossy(&answer.body));
        document.hold(id, &answer);
        app.settled().await;
    }
    let asked: BTreeSet<_> = questions().iter().map(|question| question.0.to_owned()).chain(["stream".to_owned()]).collect();
    assert_eq!(asked, document.operations().iter().map(|operation| operation.id().to_owned()).collect());
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_stream_tells_is_as_described() {
    let (app, _receiver) = with_a_history().await;
    let document = document(&app).await;
    let begin = app.get("/api/v1/stream?kind=nothing").await;
    document.hold("stream", &begin);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    // From before everything, which no feed has: the history tells its part.
    let request = client.get(format!("{}/api/v1/stream", app.admin)).header("last-event-id", "0-0-0");
    let mut response = request.send().await.unwrap();
    app.send(github("4", "push", "{}")).await;
    app.send(github("4", "push", "{}")).await;
    app.send(stripe("evt_2").without("stripe-signature")).await;
    app.settled().await;
    let (mut text, mut kinds) = (String::new(), BTreeSet::new());
    while kinds.len() < 4 {
        text.push_str(std::str::from_utf8(&response.chunk().await.unwrap().unwrap()).unwrap());
        kinds = text.lines().filter_map(|line| line.strip_prefix("event: ")).map(str::to_owned).collect();
    }
    assert!(text.contains("\"event_id\":\"1\""), "the history was not told: {text}");
    for data in text.lines().filter_map(|line| line.strip_prefix("data: ")) {
        let schema = json!({ "$ref": "#/components/schemas/Happening" });
        document.validate(&schema, &serde_json::from_str(data).unwrap()).unwrap();
    }
    drop(response);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_may_not_is_refused_as_described() {
    let admin = "[admin]\nlisten = \"127.0.0.1:0\"\ntoken = \"0123456789abcdef-token\"\n";
    let app = TestApp::start(&format!("{SOURCES}{admin}")).await;
    let bearer = |request: Request| request.header("authorization", "Bearer 0123456789abcdef-token");
    let answer = app.ask(ask("GET", DOCUMENT, "")).await;
    assert_eq!((answer.status, answer.problem().as_str()), (401, "unauthorized"));
    let document = Document(app.ask(bearer(ask("GET", DOCUMENT, ""))).await.json());
    for operation in document.operations() {
        let answer = app.ask(ask(&operation.method, &operation.path.replace(['{', '}'], ""), "")).await;
        assert_eq!(answer.status, 401, "{}", operation.path);
        document.hold(operation.id(), &answer);
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_paths_name_nothing_and_break_nothing() {
    let app = TestApp::start(SOURCES).await;
    let document = document(&app).await;
    let long = "x".repeat(20_000);
    let odd =
        ["%2F", "%00", "%FF%FE", "%C3%28", "..%2f..", "%252F", "%", "%zz", "+", "%20", "%F0%9F%A6%80", ";", "@:!$&'()*,", long.as_str()];
    for operation in document.operations().iter().filter(|operation| operation.path.contains('{')) {
        for odd in odd {
            let path = operation.path.split('/').map(|part| if part.starts_with('{') { odd } else { part }).collect::<Vec<_>>().join("/");
            let answer = raw(&app, &operation.method, &path).await;
            assert_eq!((answer.status, answer.problem().as_str()), (404, "not-found"), "{} {path}", operation.method);
            document.hold(operation.id(), &answer);
        }
    }
    app.finish().await;
}

/// Asks without a client that would mend the path.
async fn raw(app: &TestApp, method: &str, path: &str) -> Answer {
    let mut connection = crate::support::Raw::connect(&app.admin).await;
    connection.write(format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")).await;
    let answer = connection.answer().await;
    let field = |line: &str| {
        let (name, value) = line.split_once(": ")?;
        Some((name.parse().ok()?, value.parse().ok()?))
    };
    Answer { status: answer.status, headers: answer.head.lines().filter_map(field).collect(), body: answer.body }
}

/// The names of schemas are what generated clients call their types: they change with a reason alone.
#[tokio::test(flavor = "multi_thread")]
async fn every_reference_leads_somewhere() {
    fn references<'v>(value: &'v Value, found: &mut Vec<&'v str>) {
        match value {
            Value::Object(fields) => {
                found.extend(fields.get("$ref").and_then(Value::as_str));
                fields.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let app = TestApp::start(SOURCES).await;
    let document = document(&app).await;
    let mut found = Vec::new();
    references(&document.0, &mut found);
    assert!(found.len() > 100, "the references were not found");
    for reference in found {
        assert!(document.0.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
    }
    app.finish().await;
}
