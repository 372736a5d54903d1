//! Commands that ask a server: who is asked, and what is said when it cannot be, or does not want to.

use crate::support::command::{Ran, command, onceward};
use crate::support::remote::{TOKEN, asked, start};
use crate::support::{TestApp, github};

const GITHUB: &str = "[sources.github]\nprovider = \"github\"\nsecret = \"whsec_test_secret\"\n";

/// One of each kind: reading, an order, a job.
const ASKING: &[&[&str]] = &[
    &["events", "list"],
    &["events", "show", "github", "1"],
    &["events", "show", "github", "1", "--body"],
    &["events", "tail"],
    &["events", "export", "github", "1"],
    &["events", "replay", "github", "1"],
    &["events", "replay", "--all"],
    &["deliveries", "list", "--all"],
    &["deliveries", "retry", "1"],
    &["deliveries", "retry", "--all-dead"],
    &["deliveries", "cancel", "1"],
    &["replays", "list"],
    &["replays", "cancel", "1"],
    &["rejections", "list"],
    &["rejections", "reverify", "1"],
    &["rejections", "reverify", "--all"],
];

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_wants_a_token_or_is_none_of_ours_is_told_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let app = start(GITHUB).await;
    for arguments in ASKING {
        let asking = |url: &str, token: &str| {
            let mut asking = command(folder.path(), arguments);
            asking.env("ONCEWARD_URL", url).env("ONCEWARD_TOKEN", token);
            Ran::of(asking)
        };
        // Whoever guesses too often has to wait, and is told that instead.
        if arguments.contains(&"1") && arguments.len() == 3 {
            let refused = asking(&app.admin, "hunter2-that-is-wrong").await.ended(1);
            refused.complains(&[&app.admin, "refuses", "a bearer token is needed", "ONCEWARD_TOKEN"]);
        }
        let away = asking("http://user:hunter2@127.0.0.1:1", TOKEN).await.ended(1);
        away.complains(&["no answer from http://127.0.0.1:1: connection refused", "admin listener", "--url"]);
    }
    onceward(folder.path(), &["events", "list", "--url", &app.admin]).await.ended(1).complains(&["a bearer token is needed"]);
    for arguments in [["events", "list"], ["rejections", "list"], ["replays", "list"]] {
        let elsewhere = onceward(folder.path(), &[&arguments[..], &["--url", &app.public]].concat()).await.ended(1);
        elsewhere.complains(&[&app.public, "404", "admin listener"]);
    }
    let mut broken = command(folder.path(), &["events", "list", "--url", &app.admin]);
    broken.env("ONCEWARD_TOKEN", "hunter2\nline");
    Ran::of(broken).await.ended(1).complains(&["the token"]);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_address_and_the_token_come_from_the_configuration_and_the_token_goes_nowhere_else() {
    let folder = tempfile::tempdir().unwrap();
    let (app, open) = (start(GITHUB).await, TestApp::start(GITHUB).await);
    app.send(github("1", "push", "{}")).await;
    let file = |token: &str| {
        let listen = app.admin.strip_prefix("http://127.0.0.1").unwrap();
        format!("{GITHUB}[admin]\nlisten = \"0.0.0.0{listen}\"\ntoken = \"{token}\"\n")
    };
    std::fs::write(folder.path().join("onceward.toml"), file(TOKEN)).unwrap();
    std::fs::write(folder.path().join("other.toml"), file("hunter2-of-another-server")).unwrap();
    onceward(folder.path(), &["replays", "list"]).await.ended(0);
    onceward(folder.path(), &["replays", "list", "-c", "other.toml"]).await.ended(1).complains(&["refuses"]);
    onceward(folder.path(), &["replays", "list", "-c", "other.toml", "--token", TOKEN]).await.ended(0);
    // Named by its URL, a server gets the token that is given, not the file's.
    onceward(folder.path(), &["replays", "list", "--url", &app.admin]).await.ended(1).complains(&["refuses"]);
    onceward(folder.path(), &["replays", "list", "--url", &open.admin]).await.ended(0);
    // A file that is wrong is told as such, and not read where it is not needed.
    std::fs::write(folder.path().join("wrong.toml"), "lisen = 1").unwrap();
    onceward(folder.path(), &["replays", "list", "-c", "wrong.toml"]).await.ended(78).complains(&["wrong.toml"]);
    onceward(folder.path(), &["replays", "list", "-c", "wrong.toml", "--url", &open.admin]).await.ended(0);
    // A database that is named goes before a server.
    let database = format!("sqlite:{}", app.database().display());
    let mut asking = command(folder.path(), &["events", "list", "--database", &database]);
    asking.env("ONCEWARD_URL", &open.admin);
    Ran::of(asking).await.ended(0).says(&["github", "push"]);
    assert!(!asked(&open, folder.path(), &["events", "list"]).await.ended(0).stdout.contains("push"));
    open.finish().await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_the_same_from_the_server_and_from_the_database() {
    let folder = tempfile::tempdir().unwrap();
    let app = start(GITHUB).await;
    for id in 1..=5 {
        app.send(github(&format!("evt/{id}"), "push", "{}")).await;
    }
    app.send(github("6", "push", "{}").without("x-hub-signature-256")).await;
    let database = format!("sqlite:{}", app.database().display());
    let lists: &[&[&str]] = &[
        &["events", "list"],
        &["events", "list", "--json"],
        &["events", "list", "--json", "--all", "--order", "asc"],
        &["events", "list", "--limit", "2", "--order", "asc", "--source", "github", "--type", "push", "--status", "unrouted"],
        &["events", "list", "--since", "2999-01-01T00:00:00Z"],
        &["events", "list", "--event-id", "evt/3", "--json"],
        &["events", "show", "github", "evt/3"],
        &["events", "show", "github", "evt/3", "--json"],
        &["events", "show", "github", "evt/3", "--body"],
        &["rejections", "list"],
        &["rejections", "list", "--code", "signature-missing", "--status", "refused", "--json"],
        &["rejections", "show", "1"],
        &["rejections", "show", "1", "--json"],
        &["rejections", "show", "1", "--body"],
        &["deliveries", "list", "--all"],
    ];
    for arguments in lists {
        let remote = asked(&app, folder.path(), arguments).await.ended(0);
        let local = onceward(folder.path(), &[arguments, &["--database", &database][..]].concat()).await.ended(0);
        assert_eq!(remote.stdout, local.stdout, "{arguments:?}");
        assert!(!remote.stdout.is_empty());
    }
    let all = asked(&app, folder.path(), &["events", "list", "--json", "--all"]).await.ended(0).json();
    assert_eq!(all.len(), 5);
    let page = asked(&app, folder.path(), &["events", "list", "--limit", "2"]).await.ended(0).says(&["evt/5", "evt/4", "more: --cursor "]);
    let cursor = page.stdout.split("--cursor ").nth(1).unwrap().trim().to_owned();
    asked(&app, folder.path(), &["events", "list", "--limit", "2", "--cursor", &cursor]).await.ended(0).says(&["evt/3", "evt/2"]);
    for place in [vec![], vec!["--database", &database]] {
        let unknown = [
            (vec!["events", "show", "github", "none"], "there is no event none of source github"),
            (vec!["deliveries", "show", "99"], "there is no delivery 99"),
            (vec!["rejections", "show", "99"], "there is no rejection 99"),
            (vec!["rejections", "show", "99", "--body"], "there is no rejection 99"),
        ];
        for (words, said) in unknown {
            asked(&app, folder.path(), &[words, place.clone()].concat()).await.ended(1).complains(&[said]);
        }
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_may_only_look_gives_no_orders() {
    let folder = tempfile::tempdir().unwrap();
    let reading = "[admin.tokens.looking]\ntoken = \"hunter2-that-may-only-look\"\nrole = \"read\"\n";
    let app = TestApp::start(&format!("{GITHUB}[admin]\nlisten = \"127.0.0.1:0\"\n{reading}")).await;
    let ask = async |arguments: &[&str]| {
        let mut asking = command(folder.path(), arguments);
        asking.env("ONCEWARD_URL", &app.admin).env("ONCEWARD_TOKEN", "hunter2-that-may-only-look");
        Ran::of(asking).await
    };
    ask(&["events", "list"]).await.ended(0);
    ask(&["events", "replay", "--all"]).await.ended(1).complains(&["This token may not change anything"]);
    app.stop().await;
}
