//! Every mistake that is tried, made by hand: signatures come from the crates for HMAC alone, not from the code under test.

mod bounds;
mod changed;
mod mistaken;
mod secrecy;

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;
use sha2::Sha256;

use super::Refusal;
use crate::domain::{RawRequest, Timestamp};
use crate::provider::Table;
use crate::verify::{Setup, Verifier};

/// When everything happens, in seconds.
const NOW: i64 = 1_767_323_045;
/// The secret of the source.
const SECRET: &str = "whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQ=";

fn hmac(key: impl AsRef<[u8]>, content: impl AsRef<[u8]>) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_ref()).unwrap();
    mac.update(content.as_ref());
    mac.finalize().into_bytes().to_vec()
}

fn hmac_sha1(key: impl AsRef<[u8]>, content: impl AsRef<[u8]>) -> Vec<u8> {
    let mut mac = Hmac::<Sha1>::new_from_slice(key.as_ref()).unwrap();
    mac.update(content.as_ref());
    mac.finalize().into_bytes().to_vec()
}

fn request(headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> RawRequest {
    RawRequest {
        method: "POST".into(),
        path: "/hooks/source".into(),
        subpath: String::new(),
        query: String::new(),
        headers: headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect(),
        body: body.as_ref().to_vec().into(),
        received_at: Timestamp::from_secs(NOW),
    }
}

/// The built-in table, read once.
fn table() -> &'static Table {
    static TABLE: LazyLock<Table> = LazyLock::new(Table::builtin);
    &TABLE
}

/// A source of a configuration: name, row, secrets.
type Source<'a> = (&'a str, &'a str, &'a [&'a str]);

fn verifier((name, row, secrets): Source<'_>) -> Verifier {
    let secrets = secrets.iter().map(|secret| (*secret).to_owned().into()).collect();
    Verifier::new(name, Setup::new(table().get(row).unwrap().clone(), secrets)).unwrap()
}

/// What is said of a request that is refused by the first source, in a configuration with the others.
fn explained(source: Source<'_>, others: &[Source<'_>], request: &RawRequest) -> String {
    let others: Vec<_> = others.iter().map(|other| verifier(*other)).collect();
    explained_by(&verifier(source), &others, request)
}

fn explained_by(verifier: &Verifier, others: &[Verifier], request: &RawRequest) -> String {
    let now = Timestamp::from_secs(NOW);
    let rejection = verifier.judge(request, now).expect_err("nothing is to be explained");
    Refusal { request, now, rejection: &rejection, verifier, others: others.iter().collect(), table: table() }.explain()
}

/// A GitHub delivery with this as its signature header's value.
fn github(value: &str, body: impl AsRef<[u8]>) -> RawRequest {
    request(&[("x-hub-signature-256", value), ("x-github-delivery", "d-1"), ("x-github-event", "push")], body)
}

/// A GitHub delivery whose body was signed as `signed` and came as `came`.
fn github_changed(signed: impl AsRef<[u8]>, came: impl AsRef<[u8]>) -> RawRequest {
    github(&format!("sha256={}", hex::encode(hmac(SECRET, signed))), came)
}

const GITHUB: Source<'_> = ("github", "github", &[SECRET]);

/// A Stripe event, signed with this key for `NOW`.
fn stripe(key: impl AsRef<[u8]>, at: i64) -> RawRequest {
    let body = br#"{"id":"evt_1","type":"invoice.paid"}"#;
    let signed = [at.to_string().as_bytes(), b".", body].concat();
    request(&[("stripe-signature", &format!("t={at},v1={}", hex::encode(hmac(key, signed))))], body)
}

const STRIPE: Source<'_> = ("stripe", "stripe", &[SECRET]);

/// A Standard Webhooks request, signed with this key.
fn webhook(key: impl AsRef<[u8]>) -> RawRequest {
    let (id, at, body) = ("msg_1", NOW.to_string(), r#"{"type":"user.created"}"#);
    let signature = STANDARD.encode(hmac(key, format!("{id}.{at}.{body}")));
    request(&[("webhook-id", id), ("webhook-timestamp", &at), ("webhook-signature", &format!("v1,{signature}"))], body)
}

#[track_caller]
fn says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
}
