//! `prune`: beside a running server and without one, in earnest and to see what would go.

use crate::support::command::onceward;
use crate::support::{Process, github, until};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_old_enough_is_counted_and_then_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let process = Process::serve(path, &["--source", "github=whsec_test_secret"]).await;
    for id in 1..=250 {
        assert_eq!(process.send(github(&id.to_string(), "push", "{\"padding\":\"0123456789\"}")).await.status, 200);
    }
    let prune = async |ages: &[&str]| onceward(path, &[&["prune"], ages].concat()).await;
    prune(&["--bodies", "30d", "--ids", "400d"]).await.ended(0).says(&["0 payloads older than 30d, and 0 events older than 400d are gone"]);
    let all = ["--bodies", "1ms", "--ids", "400d"];
    // What came in just now is not older yet.
    let dry = [&all[..], &["--dry-run", "--json"]].concat();
    until("all of it is older", async || prune(&dry).await.ended(0).json()[0]["payloads"] == 250).await;
    let told = prune(&dry).await.ended(0).json();
    assert_eq!((&told[0]["dry_run"], &told[0]["events"]), (&true.into(), &0.into()));
    assert!(told[0]["bytes"].as_u64().unwrap() > 250 * 24, "{told:?}");
    prune(&[&all[..], &["--dry-run"]].concat()).await.ended(0).says(&["250 payloads older than 1ms", "KiB", "would go, and nothing has"]);
    assert_eq!(process.get("/api/v1/events/github/1/body").await.status, 200);
    prune(&all).await.ended(0).says(&["250 payloads", "0 events", "are gone"]);
    assert_eq!(process.get("/api/v1/events/github/1/body").await.status, 404);
    assert_eq!(process.send(github("1", "push", "{\"padding\":\"0123456789\"}")).await.header("onceward-status"), "duplicate");
    assert_eq!(process.terminate().await, Some(0));

    std::fs::write(path.join("onceward.toml"), "[retention]\nbodies = \"1ms\"\nids = \"1ms\"\n").unwrap();
    let gone = onceward(path, &["prune", "--json"]).await.ended(0).json();
    assert_eq!(gone[0], serde_json::json!({ "dry_run": false, "events": 250, "payloads": 0 }));
    onceward(path, &["prune", "--ids", "1d", "--dry-run"]).await.ended(0).says(&["0 events older than 1d"]);
}

#[tokio::test]
async fn without_a_database_nothing_is_made_and_without_an_age_nothing_is_guessed() {
    let folder = tempfile::tempdir().unwrap();
    let ages = ["--bodies", "1d", "--ids", "1d"];
    for more in [&[][..], &["--dry-run"]] {
        onceward(folder.path(), &[&["prune"], &ages[..], more].concat()).await.ended(1).complains(&["onceward.db"]);
    }
    onceward(folder.path(), &["prune", "--ids", "1d"]).await.ended(2).complains(&["--bodies and --ids, or -c FILE"]);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
