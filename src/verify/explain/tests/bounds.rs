//! A forged request has no explanation, and finding none has a bound.

use std::time::{Duration, Instant};

use super::*;

/// Much more than it takes on a slow machine without optimisation, and much less than without a bound.
const PATIENCE: Duration = Duration::from_secs(20);

#[track_caller]
fn nothing_is_found(source: Source<'_>, others: &[Source<'_>], sent: &RawRequest) -> usize {
    let begun = Instant::now();
    let said = explained(source, others, sent);
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
    assert!(!said.contains("it holds"), "{said}");
    let tried = said.split("explains it, in ").nth(1).and_then(|rest| rest.split(' ').next());
    tried.unwrap_or_else(|| panic!("{said}")).parse().unwrap()
}

#[test]
fn a_forged_request_has_no_explanation() {
    let json = "{\"url\":\"https://é.test/<x>\",\"list\":[1,2,{\"b\":1,\"a\":2}]}";
    let signature = format!("sha256={}", hex::encode(hmac("forged", "anything")));
    let others: [Source<'_>; 2] = [("a", "stripe", &["one-secret", "two-secret"]), ("b", "github", &["three-secret"])];
    for body in ["", "{}", json, "a=1+2&b=%c3%a9", "\u{feff}x\r\ny"] {
        assert!(nothing_is_found(GITHUB, &others, &github(&signature, body)) <= 400, "{body}");
    }
    assert!(nothing_is_found(STRIPE, &others, &stripe("forged", NOW)) > 30);
    assert!(
        nothing_is_found(("t", "twilio", &["auth-token"]), &others, &request(&[("x-twilio-signature", &STANDARD.encode([0; 20]))], "a=b"))
            > 30
    );
}

#[test]
fn a_large_body_is_tried_a_few_times_and_said_not_to_be_tried_in_full() {
    let signature = format!("sha256={}", hex::encode(hmac("forged", "anything")));
    let large = github(&signature, vec![b' '; 8 << 20]);
    assert!(nothing_is_found(GITHUB, &[], &large) <= 4);
    says(&explained(GITHUB, &[], &large), &["not all of them, because the body is large"]);
    let huge = github(&signature, vec![b' '; 40 << 20]);
    assert_eq!(nothing_is_found(GITHUB, &[], &huge), 0);
}

#[test]
fn many_secrets_are_tried_within_the_same_bound() {
    let secrets: Vec<String> = (0..2_000).map(|at| format!("secret-number-{at}")).collect();
    let secrets: Vec<&str> = secrets.iter().map(String::as_str).collect();
    assert!(nothing_is_found(STRIPE, &[("many", "stripe", &secrets)], &stripe("forged", NOW)) <= 400);
    assert!(nothing_is_found(("many", "stripe", &secrets), &[], &stripe("forged", NOW)) <= 400);
}

#[test]
fn bodies_that_are_small_and_would_become_large_have_a_bound() {
    use std::io::Write as _;
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    bomb.write_all(&vec![b'0'; 64 << 20]).unwrap();
    let nested = format!("{}{}{}", "[".repeat(99), "1,".repeat(100_000) + "1", "]".repeat(99));
    let signature = format!("sha256={}", hex::encode(hmac("forged", "anything")));
    for body in [bomb.finish().unwrap(), nested.into_bytes(), "%".repeat(100_000).into_bytes(), "é=é&".repeat(20_000).into_bytes()] {
        nothing_is_found(GITHUB, &[], &github(&signature, body));
    }
    let long = "x".repeat(60_000);
    let sent = request(&[("x-twilio-signature", "AAAA"), ("x-forwarded-host", &long), ("x-original-url", &long)], "a=b");
    nothing_is_found(("t", "twilio", &["auth-token"]), &[], &sent);
}

#[test]
fn what_proves_nothing_explains_nothing() {
    // An unsigned handshake of another row would answer anybody; it is no proof.
    let mut sent = github("sha256=00", "{}");
    sent.query = "validationToken=abc&token=abc".to_owned();
    nothing_is_found(GITHUB, &[], &sent);
    let sent =
        request(&[("x-hub-signature-256", "sha256=00"), ("x-github-delivery", "1")], "{\"type\":\"url_verification\",\"challenge\":\"x\"}");
    nothing_is_found(GITHUB, &[], &sent);
}

#[test]
fn an_unsigned_handshake_that_is_refused_says_nothing_of_a_signature() {
    let mut sent = request(&[], "");
    sent.method = "GET".to_owned();
    sent.query = "crc_token=".to_owned();
    let said = explained(("x", "x-twitter", &["a-consumer-secret"]), &[], &sent);
    assert!(!said.contains("the signature holds"), "{said}");
}
