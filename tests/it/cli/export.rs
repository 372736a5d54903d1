//! `events export`: real traffic as fixtures that `verify` accepts, and that hold no secret.

use std::path::Path;

use crate::support::command::{Ran, SECRETS, command, onceward};
use crate::support::remote::{asked, start};
use crate::support::{Request, TestApp, github, stripe};

const SOURCES: &str = "[sources.github]\nprovider = \"github\"\nsecret = \"whsec_test_secret\"\n\
                       [sources.stripe]\nprovider = \"stripe\"\nsecret = \"whsec_test_secret\"\n\
                       [sources.gitlab]\nprovider = \"gitlab\"\nsecret = \"hunter2-token\"\n";

async fn with_events() -> TestApp {
    let app = start(SOURCES).await;
    let gitlab = Request::post("/hooks/gitlab/deep?a=1", "{\"object_kind\":\"push\"}")
        .header("x-gitlab-token", "hunter2-token")
        .header("x-gitlab-event", "Push Hook")
        .header("x-gitlab-event-uuid", "uuid-1");
    for request in [github("with/slash ü", "push", "{}\r\n\0"), github("2", "ping", "{}"), stripe("evt_1"), gitlab] {
        assert_eq!(app.send(request).await.status, 200);
    }
    app
}

/// Judged with the secret, which is not in the files.
async fn verified(folder: &Path, file: &str) -> Ran {
    let mut judging = command(folder, &["verify", file, "--json", "--secret", "whsec_test_secret"]);
    judging.env("RUST_BACKTRACE", "0");
    Ran::of(judging).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_exported_verifies_with_the_secret_and_holds_none() {
    let folder = tempfile::tempdir().unwrap();
    let app = with_events().await;
    let database = format!("sqlite:{}", app.database().display());
    let from_server = asked(&app, folder.path(), &["events", "export", "--out", "a/remote"]).await.ended(0).says(&["4 written"]);
    assert_eq!(from_server.stderr, "");
    let from_database = onceward(folder.path(), &["events", "export", "--out", "local", "--database", &database, "--json"]).await.ended(0);
    assert_eq!(from_database.json().len(), 4);
    for line in from_database.json() {
        let file = line["file"].as_str().unwrap();
        let bytes = std::fs::read(folder.path().join(file)).unwrap();
        assert_eq!(bytes, std::fs::read(folder.path().join(file.replace("local", "a/remote"))).unwrap(), "{file}");
        let text = String::from_utf8_lossy(&bytes).into_owned();
        assert!(!text.contains("# secret") && SECRETS.iter().all(|secret| !text.contains(secret)), "{text}");
        onceward::fixture::Fixture::parse(&bytes, "").unwrap();
        if line["source"] == "gitlab" {
            assert!(text.contains("not stored; `onceward send --secret`") && text.contains("POST /hooks/gitlab/deep?a=1"), "{text}");
            continue;
        }
        let judged = verified(folder.path(), file).await.ended(0).json();
        assert_eq!((&judged[0]["outcome"], &judged[0]["event_id"]), (&"accepted".into(), &line["event_id"]), "{text}");
    }
    // Again is no harm, and what was changed since stays.
    asked(&app, folder.path(), &["events", "export", "--out", "local"]).await.ended(0).says(&["4 written"]);
    std::fs::write(folder.path().join("local/stripe.evt_1.http"), "mine").unwrap();
    let kept = ["events", "export", "stripe", "evt_1", "--out", "local"];
    asked(&app, folder.path(), &kept).await.ended(1).complains(&["stripe.evt_1.http", "--force"]);
    asked(&app, folder.path(), &[&kept[..], &["--force"]].concat()).await.ended(0).says(&["1 written"]);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_event_goes_to_standard_output_and_filters_choose_among_many() {
    let folder = tempfile::tempdir().unwrap();
    let app = with_events().await;
    let ask = async |arguments: &[&str]| asked(&app, folder.path(), arguments).await;
    let one =
        ask(&["events", "export", "stripe", "evt_1"]).await.ended(0).says(&["# provider: stripe", "# expect: accepted evt_1 invoice.paid"]);
    std::fs::write(folder.path().join("one.http"), one.stdout).unwrap();
    verified(folder.path(), "one.http").await.ended(0);
    let replayed = ["send", "one.http", "--to", &app.public, "--secret", "whsec_test_secret", "--json"];
    assert_eq!(onceward(folder.path(), &replayed).await.ended(0).json()[0]["onceward_status"], "duplicate");
    ask(&["events", "export", "--type", "ping", "--out", "ping"]).await.ended(0).says(&["github.2.http", "1 written"]);
    ask(&["events", "export", "--source", "github", "--limit", "1", "--out", "newest"])
        .await
        .ended(0)
        .says(&["github.2.http", "1 written"]);
    ask(&["events", "export", "stripe", "none"]).await.ended(1).complains(&["there is no event none of source stripe"]);
    let none = ask(&["events", "export", "stripe", "none", "--out", "none"]).await.ended(1).says(&["0 written, 1 no longer stored"]);
    assert!(none.stderr.contains("there is no event none"));
    app.finish().await;
}
