//! `deliveries`: what is dead is looked at, made due again, and called off.

use serde_json::Value;

use crate::support::remote::{asked, start};
use crate::support::{Behaviour, Receiver, TestApp, github};

/// A program with a destination that takes nothing, and so many dead deliveries.
async fn with_dead(count: usize) -> (TestApp, Receiver) {
    let receiver = Receiver::start().await;
    receiver.next(std::iter::repeat_n(Behaviour::Status(410), count));
    let hook = format!("[destinations.hook]\nfrom = [\"github\"]\nurl = \"{}\"\n", receiver.url);
    let app = start(&format!("[sources.github]\nprovider = \"github\"\nsecret = \"whsec_test_secret\"\n{hook}")).await;
    for id in 1..=count {
        app.send(github(&id.to_string(), "push", "{}")).await;
    }
    app.settled().await;
    (app, receiver)
}

fn statuses(rows: &[Value]) -> Vec<&str> {
    rows.iter().map(|row| row["status"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_is_listed_shown_made_due_again_and_called_off() {
    let folder = tempfile::tempdir().unwrap();
    let (app, receiver) = with_dead(2).await;
    let ask = async |arguments: &[&str]| asked(&app, folder.path(), arguments).await;
    ask(&["deliveries", "list"]).await.ended(0).says(&["hook", "github", "dead", "410"]);
    let dead = ask(&["deliveries", "list", "--status", "dead", "--json", "--destination", "hook"]).await.ended(0).json();
    assert_eq!((dead.len(), &dead[0]["history"]), (2, &Value::Null));
    let (first, second) = (dead[1]["id"].as_str().unwrap(), dead[0]["id"].as_str().unwrap());
    ask(&["deliveries", "show", first]).await.ended(0).says(&["hook", "dead", "answered 410"]);
    assert_eq!(ask(&["deliveries", "show", first, "--json"]).await.ended(0).json()[0]["history"][0]["status_code"], 410);
    ask(&["deliveries", "retry", first]).await.ended(0).says(&[&format!("delivery {first} to hook: "), "pending"]);
    app.settled().await;
    assert_eq!(receiver.seen().len(), 3);
    let cancelled = ask(&["deliveries", "cancel", second, "--json"]).await.ended(0).json();
    assert_eq!(statuses(&cancelled), ["cancelled"]);
    // What cannot be is told, and does not keep the others from their turn.
    let refused = ask(&["deliveries", "retry", first, "99", second]).await.ended(1).says(&[&format!("delivery {second} to hook")]);
    assert!(refused.stderr.contains("the delivery is delivered") && refused.stderr.contains("there is no delivery 99"), "{refused:?}");
    app.settled().await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_dead_deliveries_that_match_are_made_due_again_by_a_job() {
    let folder = tempfile::tempdir().unwrap();
    let (app, receiver) = with_dead(3).await;
    let ask = async |arguments: &[&str]| asked(&app, folder.path(), arguments).await;
    let nobody = ask(&["deliveries", "retry", "--all-dead", "--destination", "other"]).await.ended(0);
    nobody.says(&["retry 1 done: 0 of 0"]);
    let all = ask(&["deliveries", "retry", "--all-dead", "--source", "github", "--rate", "1000", "--json"]).await.ended(0).json();
    assert_eq!((&all[0]["kind"], &all[0]["status"], &all[0]["done"]), (&"retry".into(), &"done".into(), &3.into()));
    app.settled().await;
    assert_eq!(receiver.seen().len(), 6);
    let rows = ask(&["deliveries", "list", "--json"]).await.ended(0).json();
    assert_eq!(statuses(&rows), ["delivered"; 3]);
    ask(&["deliveries", "retry", "--all-dead", "--rate", "0"]).await.ended(1).complains(&["rate: a number from 1 to"]);
    app.finish().await;
}
