//! What is said holds neither a secret nor a signature that is valid, however the request was made.

use proptest::prelude::*;

use super::*;

/// Everything that would open the source: secrets in every form that could be copied, and the signature that was expected.
fn openers(secrets: &[&str], tags: &[Vec<u8>]) -> Vec<String> {
    let tags = tags.iter().flat_map(|tag| {
        let base64 = STANDARD.encode(tag);
        let url_safe = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(tag);
        [hex::encode(tag), hex::encode_upper(tag), base64.trim_end_matches('=').to_owned(), url_safe]
    });
    let secrets = secrets.iter().flat_map(|secret| {
        let bare = secret.trim().trim_start_matches("whsec_").to_owned();
        [secret.trim().to_owned(), hex::encode(secret.trim()), STANDARD.encode(secret.trim()), bare]
    });
    secrets.chain(tags).collect()
}

fn never_says(text: &str, openers: &[String]) -> Result<(), TestCaseError> {
    for opener in openers {
        prop_assert!(!text.to_lowercase().contains(&opener.to_lowercase()), "{:?} is in: {}", opener, text);
    }
    Ok(())
}

/// What may have gone wrong with a signature's value.
fn values(tag: &[u8], secret: &str) -> Vec<String> {
    let (hex, base64) = (hex::encode(tag), STANDARD.encode(tag));
    vec![
        format!("sha256={hex}"),
        hex.to_uppercase(),
        format!("sha256={base64}"),
        format!("{hex}=1,{base64},x"),
        format!("t={hex},v1={secret}"),
        format!("{secret},{secret}={hex}"),
        format!("\"{hex}\" {base64}"),
        secret.to_owned(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn no_explanation_holds_a_secret_or_a_valid_signature(
        secret in "whsec_[A-Za-z0-9]{12,40}", other in "[A-Za-z0-9_]{12,90}", body in "\\{\"[a-z]{1,8}\":\"[ -!#-\\[\\]-~é]{0,30}\"\\}", row in 0_usize..6,
    ) {
        let rows = ["github", "stripe", "shopify", "gitlab", "svix", "twilio"];
        let headers = ["x-hub-signature-256", "stripe-signature", "x-shopify-hmac-sha256", "x-gitlab-token", "svix-signature", "x-twilio-signature"];
        // Not every secret is one of this row.
        let setup = Setup::new(table().get(rows[row]).unwrap().clone(), vec![secret.clone().into()]);
        let Ok(own) = Verifier::new("one", setup) else { return Ok(()) };
        let others = [verifier(("two", "github", &[&other])), verifier(("three", "stripe", &[&secret, &other]))];
        let tags = [hmac(&secret, &body), hmac(&other, &body), hmac(&secret, format!("{NOW}.{body}"))];
        let openers = openers(&[&secret, &other], &tags);
        for tag in &tags {
            for value in values(tag, &secret) {
                let sent = request(&[(headers[row], &value), (&format!("x-sign-{secret}"), &value), ("x-token", &other), ("host", &other)], &body);
                if own.judge(&sent, Timestamp::from_secs(NOW)).is_err() {
                    never_says(&explained_by(&own, &others, &sent), &openers)?;
                }
                let bare = request(&[("x-other", &value), (&format!("x-sign-{other}"), &value)], &body);
                if own.judge(&bare, Timestamp::from_secs(NOW)).is_err() {
                    never_says(&explained_by(&own, &others, &bare), &openers)?;
                }
            }
        }
    }

    #[test]
    fn what_is_said_of_any_headers_is_printable_and_short(name in "[!-~é]{1,200}", value in ".{0,300}", body in proptest::collection::vec(any::<u8>(), 0..60)) {
        for row in ["github", "stripe", "docusign", "generic-token", "netlify", "persona", "worldpay"] {
            let row = ("x", row, &["a-secret-of-some-length"][..]);
            for header in [name.as_str(), "x-hub-signature-256", "stripe-signature", "x-webhook-token", "x-webhook-signature", "persona-signature", "event-signature"] {
                let sent = request(&[(header, &value), ("x-signature-\u{1b}[2J", &value)], &body);
                if verifier(row).judge(&sent, Timestamp::from_secs(NOW)).is_err() {
                    let said = explained(row, &[], &sent);
                    prop_assert!(!said.contains(char::is_control) && said.len() < 3_000, "{}", said);
                }
            }
        }
    }
}

#[test]
fn a_key_that_is_found_in_another_form_is_not_shown() {
    let said = explained(("s", "stripe", &["\"hunter2-hunter2\""]), &[], &stripe("hunter2-hunter2", NOW));
    says(&said, &["it holds with secret 1 used as text without the quotes around it"]);
    assert!(!said.contains("hunter2"), "{said}");
}
