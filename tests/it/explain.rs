//! Refusals explained: in the rejection log and by `onceward verify`, and never at the cost of an answer or of a secret.

use std::time::Instant;

use onceward::domain::SystemClock;
use onceward::fixture::{self, Expect};
use onceward::provider::Table;
use secrecy::ExposeSecret as _;
use serde_json::Value;

use crate::support::command::{Ran, command, onceward};
use crate::support::signed::{SECRET, hmac_hex, now};
use crate::support::{Request, TestApp, stripe, stripe_body, until};

const LIVE: &str = "whsec_live_secret_of_hunter2";
const TWO_SOURCES: &str = "[sources.stripe]\nprovider = \"stripe\"\nsecret = \"whsec_test_secret\"\n\
                           [sources.stripe-live]\nprovider = \"stripe\"\nsecret = \"whsec_live_secret_of_hunter2\"\n";

/// An event to the source `stripe`, signed with another secret than that source's.
fn signed_with(secret: &str) -> Request {
    let good = stripe("evt_1");
    let signature = hmac_hex(secret, &[now().to_string().as_bytes(), b".", &good.body]);
    good.without("stripe-signature").header("stripe-signature", format!("t={},v1={signature}", now()))
}

async fn diagnoses(app: &TestApp) -> Vec<String> {
    let rows = app.rows("/api/v1/rejections?limit=200").await;
    rows.iter().map(|row| row["diagnosis"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rejection_log_explains_a_refusal_and_the_sender_learns_the_code_alone() {
    let app = TestApp::start(TWO_SOURCES).await;
    let cases = [
        (signed_with(LIVE), "signature-mismatch", "it holds with secret 1 of source stripe-live"),
        (Request { body: [&b"\n"[..], &stripe("evt_1").body].concat(), ..stripe("evt_1") }, "signature-mismatch", "white space around it"),
        (
            stripe("evt_1").without("stripe-signature").header("x-stripe-signature", stripe("evt_1").headers[0].1.clone()),
            "signature-missing",
            "header stripe-signature came as x-stripe-signature",
        ),
    ];
    for (request, code, explanation) in cases {
        let answer = app.send(request).await;
        let refused = answer.json();
        assert_eq!((answer.status, answer.problem().as_str()), (401, code));
        let fields: Vec<_> = refused.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(fields, ["status", "title", "type"], "{refused}");
        until(explanation, async || diagnoses(&app).await.iter().any(|said| said.contains(explanation))).await;
    }
    let said = diagnoses(&app).await.concat();
    assert!(!said.contains(SECRET) && !said.contains("hunter2"), "{said}");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_is_described_whole_and_explained_in_a_small_part() {
    let app = TestApp::start(TWO_SOURCES).await;
    let begun = Instant::now();
    for n in 0..40 {
        assert_eq!(app.send(signed_with(&format!("forged-{n}"))).await.status, 401);
    }
    let explained = |said: &[String]| said.iter().filter(|said| said.contains("none of the usual mistakes explains it")).count();
    until("one is explained", async || explained(&diagnoses(&app).await) > 0).await;
    let (said, seconds) = (diagnoses(&app).await, begun.elapsed().as_secs() as usize);
    assert_eq!(said.len(), 40);
    assert!(said.iter().all(|said| said.contains("came: the items t, v1 (64 hex digits)")), "{said:?}");
    assert!(explained(&said) <= 6 + seconds, "{} of 40 in {seconds} s", explained(&said));
    app.finish().await;
}

#[test]
fn no_explanation_of_a_fixture_holds_its_secret_or_what_it_is_signed_with() {
    let (table, mut explained, mut unexplained) = (Table::builtin(), 0, 0);
    for (file, fixture) in fixture::load(std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures"))).unwrap() {
        if !matches!(fixture.expect, Some(Expect::Rejected(_))) {
            continue;
        }
        let said = fixture::explain(&fixture, &table, &[], &[], &SystemClock).unwrap();
        // Names are no secret, where a sender lists those of the headers that it signs.
        let is_shown = |name: &str| name == "host" || name.ends_with("-signed-headers");
        let values = fixture.request.headers.iter().filter(|(name, _)| !is_shown(name)).map(|(_, value)| String::from_utf8_lossy(value));
        let hidden = values.flat_map(|value| value.split([' ', ',', ';', '=']).map(str::to_owned).collect::<Vec<_>>());
        let secrets = fixture.secrets.iter().map(|secret| secret.expose_secret().to_owned());
        for hidden in hidden.chain(secrets).filter(|hidden| hidden.len() >= 16) {
            assert!(!said.contains(&hidden), "{}: {hidden:?} is in: {said}", file.display());
        }
        let forged = file.ends_with("tampered.http") || file.ends_with("wrong-secret.http");
        assert!(!forged || !said.contains("it holds"), "{}: {said}", file.display());
        explained += usize::from(said.contains("it holds"));
        unexplained += usize::from(said.contains("none of the usual mistakes"));
    }
    assert!(explained > 100 && unexplained > 100, "{explained}, {unexplained}");
}

#[tokio::test]
async fn verify_tries_the_secrets_of_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let body = r#"{"id":"evt_1","type":"a"}"#;
    let signature = hmac_hex("hunter2-live", &[b"1767323045.", body.as_bytes()]);
    let fixture = format!(
        "# provider: stripe\n# secret: hunter2-test\n# at: 2026-01-02T03:04:05Z\nPOST /hooks/stripe HTTP/1.1\n\
         Stripe-Signature: t=1767323045,v1={signature}\n\n{body}"
    );
    std::fs::write(folder.path().join("live.http"), fixture).unwrap();
    std::fs::write(folder.path().join("mine.toml"), "[sources.shop]\nprovider = \"stripe\"\nsecret = \"${SHOP_SECRET}\"\n").unwrap();
    let alone = onceward(folder.path(), &["verify", "live.http", "--json"]).await.ended(1).json();
    assert!(alone[0]["diagnosis"].as_str().unwrap().contains("none of the usual mistakes explains it"), "{}", alone[0]);

    let mut with_file = command(folder.path(), &["verify", "live.http", "-c", "mine.toml", "--json"]);
    with_file.env("SHOP_SECRET", "hunter2-live");
    let line = &Ran::of(with_file).await.ended(1).json()[0];
    assert_eq!((&line["outcome"], &line["code"]), (&Value::from("rejected"), &Value::from("signature-mismatch")));
    assert!(line["diagnosis"].as_str().unwrap().contains("it holds with secret 1 of source shop"), "{line}");

    // A variable that is not set here keeps nothing from being judged.
    let unset = onceward(folder.path(), &["verify", "live.http", "-c", "mine.toml"]).await.ended(1).says(&["signature-mismatch"]);
    assert!(
        unset.stderr.contains("note: the secrets of mine.toml are not tried") && unset.stderr.contains("SHOP_SECRET"),
        "{}",
        unset.stderr
    );
    // Nothing is read for what is accepted.
    let right = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/stripe/invoice-paid.http");
    let accepted = onceward(folder.path(), &["verify", right, "-c", "mine.toml"]).await.ended(0);
    assert_eq!(accepted.stderr, "");
}

#[tokio::test]
async fn the_examples_in_the_documentation_are_what_the_program_says() {
    let folder = tempfile::tempdir().unwrap();
    let body = r#"{"id":"evt_1","type":"invoice.paid","data":{"object":{"amount":1200}}}"#;
    let signed = |secret: &str| hmac_hex(secret, &[b"1767323045.", body.as_bytes()]);
    let pretty = serde_json::to_string_pretty(&serde_json::from_str::<Value>(body).unwrap()).unwrap();
    let written =
        [("test.http", signed("hunter2-test"), body), ("anew.http", signed("hunter2-live"), &pretty), ("forged.http", signed("x"), body)];
    for (file, signature, body) in written {
        let head = "# provider: stripe\n# secret: hunter2-live\n# at: 2026-01-02T03:04:05Z\nPOST /hooks/stripe HTTP/1.1\n";
        std::fs::write(folder.path().join(file), format!("{head}Stripe-Signature: t=1767323045,v1={signature}\n\n{body}")).unwrap();
    }
    let documentation = include_str!("../../docs/REFUSALS.md");
    let configuration = documentation.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    std::fs::write(folder.path().join("onceward.toml"), configuration).unwrap();
    let mut verify = command(folder.path(), &["verify", "test.http", "anew.http", "forged.http", "--json"]);
    verify.env("STRIPE_LIVE_SECRET", "hunter2-live").env("STRIPE_TEST_SECRET", "hunter2-test");
    // How many variants there are is not the same from one version to the next.
    let plain = |text: &str| text.replace(|c: char| c.is_ascii_digit(), "");
    let quoted = plain(&documentation.replace("\n> ", " "));
    let lines = Ran::of(verify).await.ended(1).json();
    assert_eq!(lines.len(), 3);
    for (at, line) in lines.iter().enumerate() {
        let said = line["diagnosis"].as_str().unwrap();
        let last = said.rsplit("; ").next().unwrap();
        assert!(quoted.contains(&plain(if at == 0 { said } else { last })), "docs/REFUSALS.md says otherwise: {said}");
    }
    for code in
        onceward::domain::Code::all().filter(|code| code.as_str().starts_with("signature-") || code.as_str().starts_with("timestamp-"))
    {
        assert!(documentation.contains(&format!("`{code}`")), "docs/REFUSALS.md does not explain {code}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_is_harmless_text_in_the_log() {
    let app = TestApp::start(TWO_SOURCES).await;
    let request = stripe_body("{}").without("stripe-signature").header("stripe-signature", "t=1,\u{202e}<script>=1,v1=zz");
    assert_eq!(app.send(request).await.status, 401);
    until("it is described", async || !diagnoses(&app).await.is_empty()).await;
    let said = diagnoses(&app).await.concat();
    assert!(said.contains("came: the items t, (no name), v1 (2 characters of base64)") && said.is_ascii(), "{said}");
    app.finish().await;
}
