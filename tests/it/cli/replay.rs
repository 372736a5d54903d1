//! `events replay` and `replays`: one event again, many as a job that is followed, left alone, and stopped.

use std::process::Stdio;

use crate::support::command::command;
use crate::support::remote::{TOKEN, asked, start};
use crate::support::{Receiver, TestApp, github, until};

/// A program with two destinations and so many delivered events.
async fn with_events(count: usize) -> (TestApp, Receiver) {
    let receiver = Receiver::start().await;
    let source = "[sources.github]\nprovider = \"github\"\nsecret = \"whsec_test_secret\"\n";
    let destinations = ["push", "other"]
        .map(|name| format!("[destinations.{name}]\nfrom = [\"github\"]\ntypes = [\"{name}\"]\nurl = \"{}{name}\"\n", receiver.url));
    let app = start(&format!("{source}{}", destinations.concat())).await;
    for id in 1..=count {
        app.send(github(&id.to_string(), "push", "{}")).await;
    }
    app.settled().await;
    (app, receiver)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_delivered_again_where_the_routes_or_the_operator_say() {
    let folder = tempfile::tempdir().unwrap();
    let (app, receiver) = with_events(1).await;
    let ask = async |arguments: &[&str]| asked(&app, folder.path(), arguments).await;
    ask(&["events", "replay", "github", "1"]).await.ended(0).says(&["to push: pending"]);
    let named = ask(&["events", "replay", "github", "1", "--to", "other", "--to", "push", "--json"]).await.ended(0).json();
    assert!(named.len() == 2 && named.iter().all(|delivery| delivery["replay"] == true), "{named:?}");
    app.settled().await;
    assert_eq!(receiver.seen().len(), 4);
    ask(&["events", "replay", "github", "2"]).await.ended(1).complains(&["there is no event 2 of source github"]);
    ask(&["events", "replay", "github", "1", "--to", "pusch"]).await.ended(1).complains(&["no destination \"pusch\"", "push"]);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_match_are_delivered_again_by_a_job_that_is_followed_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let (app, receiver) = with_events(3).await;
    app.send(github("unrouted", "ping", "{}")).await;
    let ask = async |arguments: &[&str]| asked(&app, folder.path(), arguments).await;
    let pushes = ["events", "replay", "--source", "github", "--type", "push", "--status", "delivered", "--rate", "1000"];
    let done = ask(&pushes).await.ended(0).says(&["replay 1 done: 3 of 3"]);
    assert_eq!(done.stderr, "", "progress is for terminals");
    app.settled().await;
    assert_eq!(receiver.seen().len(), 6);
    // One that no destination takes is counted as failed, and so is the command.
    let all = ask(&["events", "replay", "--all", "--json"]).await.ended(1).json();
    assert_eq!((&all[0]["status"], &all[0]["done"], &all[0]["failed"]), (&"done".into(), &3.into(), &1.into()));
    ask(&["events", "replay", "--type", "ping", "--to", "other"]).await.ended(0).says(&["1 of 1"]);
    let listed = ask(&["replays", "list", "--json"]).await.ended(0).json();
    assert_eq!(listed.len(), 3);
    ask(&["replays", "list"]).await.ended(0).says(&["source=github", "type=push", "all"]);
    ask(&["replays", "show", "3"]).await.ended(0).says(&["type=ping", "other", "done"]);
    ask(&["replays", "show", "99"]).await.ended(1).complains(&["there is no job 99"]);
    ask(&["replays", "cancel", "99"]).await.ended(1).complains(&["there is no job 99"]);
    app.settled().await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_goes_on_when_whoever_follows_it_has_seen_enough_and_is_stopped_by_its_id() {
    let folder = tempfile::tempdir().unwrap();
    let (app, _receiver) = with_events(30).await;
    let mut following = command(folder.path(), &["events", "replay", "--all", "--rate", "1"]);
    following.env("ONCEWARD_URL", &app.admin).env("ONCEWARD_TOKEN", TOKEN);
    let following = following.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    until("the job has begun", async || !app.rows("/api/v1/replays").await.is_empty()).await;
    let pid = following.id().unwrap().to_string();
    assert!(tokio::process::Command::new("sh").args(["-c", "kill -s INT \"$0\"", &pid]).status().await.unwrap().success());
    let ended = following.wait_with_output().await.unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert!(said.contains("job 1 goes on in the server") && said.contains("onceward replays cancel 1"), "{said}");
    assert_eq!((ended.status.code(), ended.stdout.len()), (Some(1), 0));
    let ask = async |arguments: &[&str]| asked(&app, folder.path(), arguments).await;
    ask(&["replays", "show", "1"]).await.ended(0).says(&["running", "30"]);
    ask(&["replays", "cancel", "1"]).await.ended(0).says(&["replay 1"]);
    until("the job has stopped", async || app.json("/api/v1/replays/1").await["status"] == "cancelled").await;
    ask(&["events", "replay", "--all", "--rate", "1", "--detach"]).await.ended(0).says(&["replay 2 running: 0 of 30"]);
    ask(&["replays", "cancel", "2", "--json"]).await.ended(0);
    app.settled().await;
    app.finish().await;
}
