//! The command line as a user runs it. No command may print a secret: `support::command` looks at everything they print.

mod backup;
mod check;
mod deliveries;
mod dev;
mod events;
mod export;
mod prune;
mod rejections;
mod remote;
mod replay;
mod secrecy;
mod send;

use std::path::PathBuf;
use std::process::Stdio;

use serde_json::Value;

use crate::support::Process;
use crate::support::command::{Ran, command, onceward};

const COMMANDS: &[&str] = &[
    "serve",
    "dev",
    "init",
    "check",
    "providers",
    "send",
    "verify",
    "learned",
    "events",
    "deliveries",
    "replays",
    "rejections",
    "healthcheck",
    "completions",
];
const SUBCOMMANDS: &[&str] = &[
    "events list",
    "events show",
    "events tail",
    "events export",
    "events replay",
    "deliveries list",
    "deliveries show",
    "deliveries retry",
    "deliveries cancel",
    "replays list",
    "replays show",
    "replays cancel",
    "rejections list",
    "rejections show",
    "rejections reverify",
];

/// A recorded request, or the folder of all of them.
fn fixture(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name);
    path.into_os_string().into_string().unwrap()
}

#[tokio::test]
async fn every_command_explains_itself() {
    let folder = tempfile::tempdir().unwrap();
    let whole = onceward(folder.path(), &["--help"]).await.ended(0).says(COMMANDS);
    assert!(whole.stdout.contains("Usage: onceward"));
    onceward(folder.path(), &["--version"]).await.ended(0).says(&[env!("CARGO_PKG_VERSION")]);
    for words in COMMANDS.iter().chain(SUBCOMMANDS).map(|words| words.split(' ').collect::<Vec<_>>()) {
        let mut asking = command(folder.path(), &words);
        // What a variable holds is no part of the explanation.
        asking.arg("--help").env("ONCEWARD_SECRET", "hunter2").env("ONCEWARD_CONFIG", "my.toml").env("ONCEWARD_TOKEN", "hunter2");
        Ran::of(asking).await.ended(0).says(&[&format!("Usage: onceward {}", words.join(" ")), "--help"]);
    }
}

#[test]
fn every_command_has_an_example_in_the_document() {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/CLI.md");
    let document = std::fs::read_to_string(file).unwrap();
    let groups = ["events", "deliveries", "replays", "rejections"];
    for name in COMMANDS.iter().filter(|name| !groups.contains(*name)).chain(SUBCOMMANDS) {
        let is_example = |line: &str| {
            line.strip_prefix("onceward ")
                .and_then(|line| line.strip_prefix(name))
                .is_some_and(|rest| rest.starts_with([' ', '\n']) || rest.is_empty())
        };
        assert!(document.lines().any(is_example), "{name}");
    }
}

#[tokio::test]
async fn wrong_arguments_are_exit_code_2() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = fixture("stripe/invoice-paid.http");
    let wrong: &[&[&str]] = &[
        &[],
        &["srve"],
        &["serve", "--lisen", "127.0.0.1:1"],
        &["serve", "--log-format", "xml"],
        &["send", &fixture],
        &["send", &fixture, "--to", "not a URL"],
        &["send", &fixture, "--to", "http://127.0.0.1:1", "--times", "0"],
        &["send", &fixture, "--to", "http://127.0.0.1:1", "--tamper", "--stale"],
        &["send", &fixture, "--to", "http://127.0.0.1:1", "--as-recorded", "--tamper"],
        &["verify"],
        &["events"],
        &["events", "list", "--status", "lost"],
        &["events", "list", "--limit", "201"],
        &["events", "list", "--since", "yesterday"],
        &["events", "list", "--url", "ftp://127.0.0.1"],
        &["events", "list", "--url", "user:hunter2@127.0.0.1"],
        &["events", "export", "github"],
        &["events", "export"],
        &["events", "export", "github", "1", "--source", "github", "--out", "."],
        &["events", "replay"],
        &["events", "replay", "github"],
        &["events", "replay", "github", "1", "--type", "push"],
        &["events", "replay", "github", "1", "--rate", "1"],
        &["events", "replay", "--all", "--type", "push"],
        &["deliveries", "list", "--status", "failing"],
        &["deliveries", "show", "first"],
        &["deliveries", "retry"],
        &["deliveries", "retry", "1", "--all-dead"],
        &["deliveries", "retry", "1", "--destination", "hook"],
        &["deliveries", "retry", "1", "--rate", "5"],
        &["deliveries", "cancel"],
        &["rejections", "list", "--code", "wrong"],
        &["rejections", "reverify"],
        &["rejections", "reverify", "1", "--all"],
        &["rejections", "reverify", "1", "--source", "github"],
        &["prune", "--bodies", "old"],
        &["prune", "--bodies", "1d"],
        &["prune", "--bodies", "0s", "--ids", "1d"],
        &["prune", "--bodies", "2d", "--ids", "1d"],
        &["backup"],
        &["completions", "tcl"],
        // The value of --source is a secret, or may be one, wherever the mistake is.
        &["serve", "--source", "whsec_hunter2"],
        &["serve", "--source", "=whsec_hunter2"],
        &["check", "--source", "billing:=whsec_hunter2"],
        &["check", "--source", "stripe:whsec_hunter2"],
        &["serve", "stripe=whsec_hunter2"],
        &["serve", "--soruce=stripe=whsec_hunter2"],
    ];
    for arguments in wrong {
        let ran = onceward(folder.path(), arguments).await.ended(2);
        assert!(!ran.stderr.is_empty() && ran.stdout.is_empty(), "{arguments:?}: {ran:?}");
    }
}

#[tokio::test]
async fn completions_are_printed_for_each_shell_and_to_a_reader_that_has_had_enough() {
    let folder = tempfile::tempdir().unwrap();
    for (shell, mark) in [("bash", "complete -F _onceward"), ("zsh", "#compdef onceward"), ("fish", "complete -c onceward")] {
        onceward(folder.path(), &["completions", shell]).await.ended(0).says(&[mark, "healthcheck"]);
        let mut child = command(folder.path(), &["completions", shell]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().await.unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{shell}");
    }
}

#[tokio::test]
async fn providers_are_listed_shown_and_looked_for() {
    let folder = tempfile::tempdir().unwrap();
    onceward(folder.path(), &["providers"]).await.ended(0).says(&["stripe", "github", "standard-webhooks", "Slack"]);
    let listed = onceward(folder.path(), &["providers", "--json"]).await.ended(0).json();
    assert!(listed.len() >= 10);
    assert!(listed.iter().all(|row| row["name"].is_string() && row["proved_by"].is_string() && row["setup"].is_string()));
    let page =
        ["Stripe", "set up", "whsec_", "event ID", "{public_url}/hooks/stripe", "body covered by the signature", "duplicates within"];
    onceward(folder.path(), &["providers", "stripe"]).await.ended(0).says(&page);
    let page = ["only json:/signature/timestamp", "hmac-sha256 in form field signature"];
    onceward(folder.path(), &["providers", "mailgun"]).await.ended(0).says(&page);
    let page = ["verify_token: ", "GET with query parameter hub.mode = subscribe"];
    onceward(folder.path(), &["providers", "meta"]).await.ended(0).says(&page);
    let shown = onceward(folder.path(), &["providers", "github", "--json"]).await.ended(0).json();
    assert_eq!((shown.len(), &shown[0]["name"]), (1, &Value::from("github")));
    onceward(folder.path(), &["providers", "strip"]).await.ended(1).complains(&["no provider \"strip\"", "the nearest is \"stripe\""]);
    onceward(folder.path(), &["providers", "stripe", "--markdown"]).await.ended(2);
    let own = "public_url = \"https://hooks.example.com\"\n[providers.acme]\ntitle = \"Acme\"\nsignature = { header = \"X-Acme\" }\n";
    std::fs::write(folder.path().join("own.toml"), own).unwrap();
    onceward(folder.path(), &["providers", "acme", "-c", "own.toml"]).await.ended(0).says(&["Acme", "{public_url}/hooks/acme"]);
    let source = format!("{own}[sources.parcels]\nprovider = \"acme\"\nsecret = \"s3cret-of-acme\"\n");
    std::fs::write(folder.path().join("own.toml"), source).unwrap();
    onceward(folder.path(), &["providers", "acme", "-c", "own.toml"]).await.ended(0).says(&["https://hooks.example.com/hooks/parcels"]);
}

#[tokio::test]
async fn the_fields_of_a_provider_in_json_stay() {
    let folder = tempfile::tempdir().unwrap();
    let shown = onceward(folder.path(), &["providers", "meta", "--json"]).await.ended(0).json();
    let fields: Vec<_> = shown[0].as_object().unwrap().keys().map(String::as_str).collect();
    let stable = [
        "answer",
        "body_covered",
        "confidence",
        "docs",
        "duplicates_within",
        "event_id",
        "event_id_signed",
        "event_type",
        "fields_covered",
        "from_memory",
        "handshakes",
        "max_body",
        "methods",
        "name",
        "params",
        "path",
        "proofs",
        "proved_by",
        "retry",
        "secret",
        "setup",
        "source",
        "title",
        "tolerance",
        "url_signed",
        "urls",
    ];
    assert_eq!(fields, stable);
}

#[tokio::test]
async fn the_document_of_all_senders_is_what_the_table_says() {
    let folder = tempfile::tempdir().unwrap();
    let printed = onceward(folder.path(), &["providers", "--markdown"]).await.ended(0).stdout;
    let file = std::fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/PROVIDERS.md")).unwrap_or_default();
    assert!(file == printed, "docs/PROVIDERS.md is not up to date: run `cargo run -- providers --markdown > docs/PROVIDERS.md`");
}

#[tokio::test]
async fn verify_judges_offline_and_fails_when_one_is_not_as_expected() {
    let folder = tempfile::tempdir().unwrap();
    onceward(folder.path(), &["verify", &fixture("")]).await.ended(0).says(&["judged, 0 not as expected"]);
    let lines = onceward(folder.path(), &["verify", &fixture(""), "--json"]).await.ended(0).json();
    assert!(lines.len() > 100, "{}", lines.len());
    for line in &lines {
        let fields: Vec<_> = line.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(fields, ["code", "diagnosis", "event_id", "file", "outcome", "type"], "{line}");
        assert_eq!(line["outcome"] == "rejected", line["code"].is_string(), "{line}");
        assert_eq!(line["outcome"] == "accepted", line["event_id"].is_string(), "{line}");
        assert_eq!(line["outcome"] == "rejected", line["diagnosis"] != "", "{line}");
    }
    for outcome in ["accepted", "handshake", "rejected"] {
        assert!(lines.iter().any(|line| line["outcome"] == outcome), "{outcome}");
    }

    let right = std::fs::read_to_string(fixture("stripe/invoice-paid.http")).unwrap();
    std::fs::write(folder.path().join("wrong.http"), right.replace("invoice.paid\"", "invoice.pait\"")).unwrap();
    let files = ["verify", "wrong.http", &fixture("github/push.http")];
    onceward(folder.path(), &files).await.ended(1).says(&["signature-mismatch", "2 judged, 1 not as expected"]);
    let other = ["verify", &fixture("stripe/invoice-paid.http"), "--secret", "whsec_hunter2"];
    onceward(folder.path(), &other).await.ended(1).says(&["signature-mismatch"]);
    std::fs::write(folder.path().join("broken.http"), "# provider: stripe\nnot a request\n").unwrap();
    let files = ["verify", "broken.http", &fixture("github/push.http")];
    onceward(folder.path(), &files).await.ended(1).says(&["unreadable", "line 2", "2 judged, 1 not as expected"]);
    onceward(folder.path(), &["verify", "absent.http"]).await.ended(1).complains(&["absent.http"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn healthcheck_is_0_while_the_program_runs_and_1_afterwards() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::serve(folder.path(), &["--source", "stripe=whsec_hunter2"]).await;
    let admin = process.admin.strip_prefix("http://").unwrap().replace("127.0.0.1", "0.0.0.0");
    let file = format!("[admin]\nlisten = \"{admin}\"\ntoken = \"a token of enough letters\"\n");
    std::fs::write(folder.path().join("checked.toml"), file).unwrap();
    let url = process.admin.clone();
    let by_url = ["healthcheck", "--url", &url];
    let by_file = ["healthcheck", "-c", "checked.toml"];
    for arguments in [&by_url, &by_file] {
        onceward(folder.path(), arguments).await.ended(0);
    }
    assert_eq!(process.terminate().await, Some(0));
    for arguments in [&by_url, &by_file] {
        onceward(folder.path(), arguments).await.ended(1).complains(&[]);
    }
}
