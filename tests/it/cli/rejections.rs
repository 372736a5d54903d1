//! `rejections`: why a request was refused, and letting it in once the secret is mended.

use crate::support::remote::{asked, start};
use crate::support::{TestApp, github};

fn source(secret: &str) -> String {
    format!("[sources.github]\nprovider = \"github\"\nsecret = \"{secret}\"\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_refused_for_a_wrong_secret_is_let_in_once_it_is_mended() {
    let folder = tempfile::tempdir().unwrap();
    let app = start(&source("hunter2")).await;
    for id in 1..=3 {
        assert_eq!(app.send(github(&id.to_string(), "push", format!("{{\"n\":{id}}}"))).await.status, 401);
    }
    let ask = async |app: &TestApp, arguments: &[&str]| asked(app, folder.path(), arguments).await;
    ask(&app, &["rejections", "list"]).await.ended(0).says(&["github", "signature-mismatch", "refused"]);
    ask(&app, &["rejections", "show", "1"]).await.ended(0).says(&["POST /hooks/github", "x-github-delivery", "signature-mismatch"]);
    assert_eq!(ask(&app, &["rejections", "show", "1", "--body"]).await.ended(0).stdout, "{\"n\":1}");
    let still = ask(&app, &["rejections", "reverify", "1", "99"]).await.ended(1).says(&["rejection 1: refused, signature-mismatch"]);
    assert!(still.stderr.contains("there is no rejection 99"));
    let left = app.finish().await;

    let app = TestApp::start_in(left, &source("whsec_test_secret")).await;
    ask(&app, &["rejections", "reverify", "1"]).await.ended(0).says(&["rejection 1: accepted, event 1"]);
    ask(&app, &["rejections", "reverify", "--all", "--source", "nobody"]).await.ended(1).complains(&["there is no source \"nobody\""]);
    let done = ask(&app, &["rejections", "reverify", "--all", "--source", "github", "--json"]).await.ended(0).json();
    assert_eq!((&done[0]["accepted"], &done[0]["refused"]), (&2.into(), &0.into()));
    ask(&app, &["rejections", "reverify", "--all"]).await.ended(0).says(&["0 accepted, 0 still refused"]);
    ask(&app, &["rejections", "list", "--status", "accepted"]).await.ended(0).says(&["became 1", "became 2", "became 3"]);
    assert_eq!(app.rows("/api/v1/events").await.len(), 3);
    app.finish().await;
}
