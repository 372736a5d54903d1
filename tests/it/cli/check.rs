//! `init`, `check`, and a configuration that is wrong.

use crate::support::command::{Ran, command, onceward};

#[tokio::test]
async fn init_writes_a_file_that_check_finds_valid_and_never_overwrites_unasked() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("onceward.toml");
    onceward(folder.path(), &["init"]).await.ended(0).says(&["wrote onceward.toml"]);
    let written = std::fs::read_to_string(&file).unwrap();
    onceward(folder.path(), &["check"]).await.ended(0).says(&["warning: there are no sources", "the configuration is valid"]);
    std::fs::write(&file, "mine").unwrap();
    onceward(folder.path(), &["init"]).await.ended(1).complains(&["onceward.toml", "--force"]);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
    onceward(folder.path(), &["init", "--force"]).await.ended(0);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), written);
    onceward(folder.path(), &["init", "other.toml"]).await.ended(0).says(&["wrote other.toml"]);
    onceward(folder.path(), &["check", "-c", "other.toml"]).await.ended(0);
    onceward(folder.path(), &["init", "absent/other.toml"]).await.ended(1).complains(&["absent/other.toml"]);
}

#[tokio::test]
async fn check_shows_what_the_configuration_says_without_its_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let file = r#"
[sources.billing]
provider = "stripe"
secrets = ["${NEW}", "${OLD}"]
[sources.open]
provider = "github"
verify = "none"
[destinations.ledger]
from = ["billing"]
types = ["invoice.*"]
filter = "body.key != '${NEW}'"
order_by = "/hunter2"
on_dead = "hold"
url = "http://user:hunter2@127.0.0.1:3000/ledger"
timeout = "7s"
concurrency = 3
rate_limit = "50/s"
retry = { schedule = ["5s", "5m"] }
circuit = { failures = 4, probe = "2s", max_probe = "3m" }
sign = "whsec_aHVudGVyMmh1bnRlcjJodW50ZXIyaHVudGVyMg=="
[destinations.chat]
from = ["billing", "onceward"]
url = "${CHAT}"
"#;
    std::fs::write(folder.path().join("onceward.toml"), file).unwrap();
    let mut checking = command(folder.path(), &["check"]);
    checking.env("NEW", "whsec_hunter2").env("OLD", "whsec_hunter22").env("CHAT", "https://chat.example/hunter2");
    let shown = [
        "billing",
        "stripe",
        "/hooks/billing",
        "ledger",
        "http://127.0.0.1:3000/ledger",
        "invoice.*",
        "yes, on error deliver",
        "by value, on dead hold",
    ];
    let settings = [
        "bodies 30d, ids 400d, audit 400d, answers 1d",
        "to chat; rejections 100/m",
        "https://chat.example/…",
        "50/s",
        "after 5s, 5m",
        "4 failures, probes 2s to 3m",
        "12 attempts, 5s to 12h",
    ];
    Ran::of(checking)
        .await
        .ended(0)
        .says(&shown)
        .says(&settings)
        .says(&["warning: source open: verify = \"none\""])
        .says(&["the configuration is valid"]);
}

/// A file, and what must be said about it.
const WRONG: &[(&str, &[&str])] = &[
    ("\nlisen = \"127.0.0.1:1\"", &["onceward.toml:2: lisen: unknown key; did you mean \"listen\"?"]),
    ("[sources.a]\nprovider = \"stripe\"\nsecert = \"hunter2\"", &["onceward.toml:3: sources.a.secert: ", "did you mean \"secret\"?"]),
    ("[sources.a]\nprovider = \"strip\"\nsecret = \"hunter2\"", &["onceward.toml:2: sources.a.provider: ", "did you mean \"stripe\"?"]),
    (
        "[sources.a]\nprovider = \"stripe\"\nsecret = \"${UNSET}\"",
        &["onceward.toml:3: sources.a.secret: ", "the variable UNSET is not set"],
    ),
    ("[sources.a]\nprovider = \"stripe\"\nsecret = \"${EMPTY}\"", &["onceward.toml:3: sources.a.secret: is empty"]),
    ("[sources.a]\nprovider = \"stripe\"\nsecret = \"\"", &["onceward.toml:3: sources.a.secret: is empty"]),
    ("[sources.a]\nprovider = \"stripe\"", &["onceward.toml:1: sources.a.secret: is missing"]),
    (
        "[sources.a]\nprovider = \"standard-webhooks\"\nsecret = \"hunter2!\"",
        &["onceward.toml:3: sources.a.secret: is not base64 behind whsec_"],
    ),
    (
        "[sources.a]\nprovider = \"svix\"\nsecrets = [\"YWE=\",\n  \"whpk_hunter2\"]",
        &["onceward.toml:4: sources.a.secrets[1]: ", "a key of another kind"],
    ),
    (
        "[sources.a]\nprovider = \"github\"\nsecret = \"hunter2\"\n[destinations.d]\nfrom = [\"a\"]\nurl = \"http://h/\"\ntypes = [\"a..b\"]",
        &["onceward.toml:7: destinations.d.types[0]: "],
    ),
    (
        "[sources.api]\nprovider = \"github\"\nsecret = \"hunter2\"\n[destinations.d]\nfrom = [\"apo\"]\nurl = \"http://h/\"",
        &["onceward.toml:5: destinations.d.from[0]: ", "did you mean \"api\"?"],
    ),
    (
        "[sources.a]\nprovider = \"github\"\nsecret = \"hunter2\"\n[destinations.d]\nfrom = [\"a\"]\nurl = \"http://h/\"\nfilter = \"boddy.x == 1\"",
        &["onceward.toml:7: destinations.d.filter: there is no variable `boddy`; did you mean `body`?"],
    ),
    ("listen = \"127.0.0.1:1", &["onceward.toml:1: "]),
    ("[admin]\nlisten = \"0.0.0.0:8081\"", &["onceward.toml:1: admin.token: is missing"]),
];

#[tokio::test]
async fn what_is_wrong_is_named_by_file_line_key_and_nearest_value() {
    let folder = tempfile::tempdir().unwrap();
    for (text, said) in WRONG {
        std::fs::write(folder.path().join("onceward.toml"), text).unwrap();
        // A wrong configuration is as wrong for the server.
        for name in ["check", "serve"] {
            let mut running = command(folder.path(), &[name]);
            running.env("EMPTY", "");
            Ran::of(running).await.ended(78).complains(said);
        }
    }
}

#[tokio::test]
async fn wrong_flags_of_a_configuration_name_the_flag() {
    let folder = tempfile::tempdir().unwrap();
    let wrong: &[(&[&str], &[&str])] = &[
        (&["--source", "strip=whsec_hunter2"], &["--source", "did you mean \"stripe\"?"]),
        (&["--source", "stripe="], &["--source", "is missing; for Stripe"]),
        (&["--source", "svix=hunter2!"], &["--source", "is not base64 behind whsec_"]),
        (&["--source", "stripe=whsec_hunter2", "--listen", "8080"], &["--listen", "IP:PORT"]),
        (&["--source", "stripe=whsec_hunter2", "--database", "mysql:a"], &["--database", "sqlite:PATH"]),
        (&["--source", "stripe=whsec_hunter2", "--forward", "ftp://u:hunter2@h/"], &["--forward"]),
        (&["-c", "absent.toml"], &["absent.toml: there is no such file", "onceward init"]),
    ];
    for (flags, said) in wrong {
        let arguments = [&["check"], *flags].concat();
        onceward(folder.path(), &arguments).await.ended(78).complains(said);
    }
}

#[tokio::test]
async fn serving_without_file_and_source_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    onceward(folder.path(), &["serve"]).await.ended(78).complains(&[
        "onceward.toml",
        "`onceward init`",
        "onceward serve --source stripe=SECRET",
    ]);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "and leaves nothing behind");
}
