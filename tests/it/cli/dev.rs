//! `dev`: played and left running.

use std::path::Path;

use super::fixture;
use crate::support::command::{Ran, command};
use crate::support::{Process, stripe, until};

/// `onceward dev` whose scratch folder goes below this one.
fn dev(folder: &Path, arguments: &[&str]) -> tokio::process::Command {
    let mut command = command(folder, &[&["dev"], arguments].concat());
    command.env("TMPDIR", folder);
    command
}

fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).unwrap().next().is_none()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_play_ends_by_itself_and_shows_accepted_duplicate_refused_and_why() {
    let folder = tempfile::tempdir().unwrap();
    let ran = Ran::of(dev(folder.path(), &["--play", &fixture("")])).await.ended(0);
    let ran = ran.says(&["accepted", "duplicate", "signature-mismatch", "timestamp-stale", "signature-missing", "handshake"]);
    let ran = ran.says(&[
        "invoice-paid, tampered with",
        "was not made with any of the 2 secrets",
        "duplicates suppressed",
        "the destination got",
    ]);
    assert!(!ran.stdout.contains("NOT AS EXPECTED"), "{}", ran.stdout);
    assert!(is_empty(folder.path()), "the scratch folder is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_play_that_cannot_begin_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    Ran::of(dev(folder.path(), &["--play", "absent"])).await.ended(1).complains(&["absent"]);
    assert!(is_empty(folder.path()), "the scratch folder is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_play_it_receives_shows_live_and_leaves_nothing_at_an_interrupt() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(dev(folder.path(), &["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"])).await;
    until("its test secrets are shown", async || process.printed().contains("Ctrl-C ends it")).await;
    assert!(process.printed().contains("/hooks/stripe"));
    assert_eq!(process.send(stripe("evt_live")).await.status, 200);
    assert_eq!(process.send(stripe("evt_live")).await.status, 200);
    assert_eq!(process.send(stripe("evt_forged").without("stripe-signature")).await.status, 401);
    for shown in ["accepted   stripe  invoice.paid  evt_live", "duplicate  stripe  evt_live", "signature-missing", "delivered"] {
        until(&format!("{shown} is shown"), async || process.printed().contains(shown)).await;
    }
    process.signal("INT").await;
    assert_eq!(process.ended().await.code(), Some(0));
    assert!(is_empty(folder.path()), "the scratch folder is left");
}
