//! The request came as it was sent, and the source is set up otherwise: secrets, forms of keys, rows, clocks.

use super::*;

#[test]
fn another_secret_of_the_same_sender_is_named_by_source_and_position() {
    let others: [Source<'_>; 3] = [
        ("push", "github", &["whsec_live_secret"]),
        ("stripe-live", "stripe", &["whsec_other", "whsec_live_secret"]),
        ("stripe", "stripe", &[SECRET]),
    ];
    let said = explained(STRIPE, &others, &stripe("whsec_live_secret", NOW));
    says(&said, &["it holds with secret 2 of source stripe-live (test mode against live mode"]);
    let said = explained(STRIPE, &others[..1], &stripe("whsec_live_secret", NOW));
    says(&said, &["it holds with secret 1 of source push, whose provider is github"]);
}

#[test]
fn a_request_for_the_neighbouring_source_is_told_by_its_whole_set_up() {
    let sent = github(&format!("sha256={}", hex::encode(hmac("shop-secret", "{}"))), "{}");
    let other: Source<'_> = ("shop", "github", &["shop-secret"]);
    says(&explained(("hub", "bitbucket", &[SECRET]), &[other], &sent), &["it holds for source shop (github) as that is configured"]);
}

#[test]
fn secrets_in_the_wrong_order_are_told() {
    let (body, at) = (r#"{"id":"1"}"#, "2026-01-02T03:04:05Z");
    let tag = STANDARD.encode(hmac("second", format!("{body}{at}")));
    let sent = request(&[("box-delivery-timestamp", at), ("box-signature-primary", &tag)], body);
    let said = explained(("box", "box", &["first", "second"]), &[], &sent);
    says(&said, &["it holds with secret 2 of this source in another place of the list"]);
}

#[test]
fn a_secret_in_another_form_is_named_by_that_form() {
    let decoded = STANDARD.decode("c2VjcmV0LXNlY3JldC1zZWNyZXQ=").unwrap();
    let bare = "c2VjcmV0LXNlY3JldC1zZWNyZXQ=";
    let webhooks: Source<'_> = ("svix", "standard-webhooks", &[SECRET]);
    let cases: Vec<(Source<'_>, RawRequest, &str)> = vec![
        // Base64 where the row has text, and text where the row has base64.
        (STRIPE, stripe(&decoded, NOW), "secret 1 decoded from base64 without its prefix \"whsec_\"; the row has it used as text"),
        (STRIPE, stripe(bare, NOW), "secret 1 used as text without its prefix \"whsec_\""),
        (webhooks, webhook(SECRET), "secret 1 used as text; the row has it decoded from base64 behind whsec_"),
        (webhooks, webhook(bare), "secret 1 used as text without its prefix \"whsec_\""),
        (("s", "stripe", &["c2VjcmV0LXNlY3JldC1zZWNyZXQ="]), stripe(SECRET, NOW), "secret 1 used as text with \"whsec_\" before it"),
        (("s", "stripe", &["00ff00ff"]), stripe([0, 255, 0, 255], NOW), "secret 1 decoded from hex"),
        (("s", "stripe", &["00FF00FF"]), stripe("00ff00ff", NOW), "secret 1 used as text in lower case"),
        // What copying left behind.
        (("s", "stripe", &[" secret-1\n"]), stripe("secret-1", NOW), "without the white space around it"),
        (("s", "stripe", &["secret-1"]), stripe("secret-1\n", NOW), "with a line end behind it"),
        (("s", "stripe", &["\"secret-1\""]), stripe("secret-1", NOW), "without the quotes around it"),
        (("s", "stripe", &["'secret-1'"]), stripe("secret-1", NOW), "without the quotes around it"),
        (("s", "stripe", &["a&amp;b&#039;c"]), stripe("a&b'c", NOW), "with its HTML entities decoded"),
        (("s", "stripe", &["a&b<c>"]), stripe("a&amp;b&lt;c&gt;", NOW), "escaped as in HTML"),
        (("s", "stripe", &["a%2Bb%3D"]), stripe("a+b=", NOW), "with its URL escapes decoded"),
        (("s", "stripe", &["a+b="]), stripe("a%2Bb%3D", NOW), "escaped as in a URL"),
    ];
    for (source, sent, expected) in cases {
        says(&explained(source, &[], &sent), &["it holds with ", expected]);
    }
}

#[test]
fn the_second_secret_in_another_form_is_named_by_its_position() {
    let said = explained(("s", "stripe", &["first-secret", " second-secret"]), &[], &stripe("second-secret", NOW));
    says(&said, &["it holds with secret 2 used as text without the white space"]);
}

#[test]
fn a_token_in_another_form_is_named_too() {
    let sent = request(&[("x-gitlab-token", "a-long-token")], "{}");
    let said = explained(("gitlab", "gitlab", &["a-long-token\n"]), &[], &sent);
    says(&said, &["it holds with secret 1 without the white space around it"]);
    assert!(!said.contains("a-long-token"), "{said}");
}

#[test]
fn a_stale_timestamp_is_told_from_a_wrong_signature() {
    for at in [NOW - 4_000, NOW + 4_000] {
        let said = explained(STRIPE, &[], &stripe(SECRET, at));
        says(&said, &["the timestamp is 4000 s ", "the signature holds, only the time does not fit"]);
    }
    let forged = explained(STRIPE, &[], &stripe("forged", NOW - 4_000));
    says(&forged, &["none of the usual mistakes explains it"]);
    assert!(!forged.contains("the signature holds"), "{forged}");
}

#[test]
fn milliseconds_for_seconds_are_told() {
    says(
        &explained(STRIPE, &[], &stripe(SECRET, NOW * 1_000)),
        &["the signature holds, and the timestamp is in time when it is read as milliseconds: the row says seconds"],
    );
}

#[test]
fn a_wrong_secret_and_an_old_request_are_both_told() {
    let live: Source<'_> = ("live", "stripe", &["live-secret"]);
    let said = explained(STRIPE, &[live], &stripe("live-secret", NOW - 4_000));
    says(&said, &["secret 1 of source live", "it would then be refused as timestamp-stale: the timestamp is 4000 s old"]);
}

#[test]
fn another_row_that_would_hold_is_named() {
    let signature = hex::encode(hmac(SECRET, "{}"));
    let sent = request(&[("x-gitea-signature", &signature), ("x-hub-signature-256", "sha256=00"), ("x-gitea-delivery", "1")], "{}");
    says(&explained(GITHUB, &[], &sent), &["with the same secret it holds by the row gitea"]);
    let key = STANDARD.decode("c2VjcmV0LXNlY3JldC1zZWNyZXQ=").unwrap();
    let said = explained(("r", "resend", &[SECRET]), &[], &webhook(key));
    says(
        &said,
        &[
            "there is no header svix-signature",
            "with the same secret it holds by the row ",
            "is `provider` of this source the right one (resend)?",
        ],
    );
}

#[test]
fn another_rows_signature_header_is_a_hint_where_nothing_holds() {
    let sent = request(&[("x-gitea-signature", &hex::encode(hmac("forged", "{}")))], "{}");
    says(
        &explained(STRIPE, &[], &sent),
        &["the header x-gitea-signature carries the signature of gitea", "provider` of this source the right one (stripe)?"],
    );
}

#[test]
fn another_algorithm_and_a_body_signed_alone_are_told() {
    let sha1 = github(&format!("sha256={}", hex::encode(hmac_sha1("plain", "{}"))), "{}");
    says(&explained(("g", "github", &["plain"]), &[], &sha1), &["it holds by hmac-sha1, where the row says hmac-sha256"]);
    let body = r#"{"id":"evt_1"}"#;
    let alone = request(&[("stripe-signature", &format!("t={NOW},v1={}", hex::encode(hmac(SECRET, body))))], body);
    says(&explained(STRIPE, &[], &alone), &["it holds over the body alone"]);
}

#[test]
fn what_is_refused_after_its_proof_is_said_to_be_proved() {
    let sent = github_changed("{}", "{}");
    let without_id = RawRequest { headers: sent.headers.without(|name| name == "x-github-delivery"), ..sent };
    says(&explained(GITHUB, &[], &without_id), &["there is no ID in the header x-github-delivery; the signature holds"]);
}
