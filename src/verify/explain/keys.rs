//! The right secret in another form: text for base64, with or without its prefix, with what copying it left behind.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::GeneralPurpose;
use base64::engine::{DecodePaddingMode, GeneralPurposeConfig};
use base64::{alphabet, engine};
use secrecy::ExposeSecret as _;

use super::secrets::with_secret;
use super::trial::Bench;
use crate::provider::{Algorithm, KeyForm, Provider};
use crate::verify::Setup;

const LENIENT: GeneralPurposeConfig =
    engine::GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent).with_decode_allow_trailing_bits(true);
const ANY_STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const ANY_URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// Prefixes that senders put before secrets, and people copy along or leave out.
const PREFIXES: &[&str] = &["whsec_", "whpk_", "lin_wh_", "shpss_", "sha256=", "v1,", "base64:", "hex:", "Bearer ", "Basic "];

/// A form of a secret, and what was done to it.
type Form<T> = (T, String);

/// A secret of the source in another form than the row has it.
pub(super) fn find(bench: &Bench<'_>) -> Option<String> {
    if !bench.is_unproved() {
        return None;
    }
    let setup = bench.setup();
    let makes_key = setup.provider.signatures.iter().any(|signature| is_mac(signature.algorithm));
    for (at, secret) in setup.secrets.iter().enumerate() {
        let number = at + 1;
        let written = secret.expose_secret();
        let found = match makes_key {
            true => keys(written, setup.provider.key_form).into_iter().find(|(key, _)| bench.try_setup(with_key(setup, key))).map(of),
            false => texts(written).into_iter().find(|(text, _)| bench.try_setup(with_text(setup, text))).map(of),
        };
        if let Some(what) = found {
            let expected = if makes_key { format!("; the row has it {}", form_name(setup.provider.key_form)) } else { String::new() };
            return Some(format!("it holds with secret {number} {what}{expected}"));
        }
    }
    None
}

fn of<T>((_, what): Form<T>) -> String {
    what
}

fn is_mac(algorithm: Algorithm) -> bool {
    matches!(algorithm, Algorithm::HmacSha1 | Algorithm::HmacSha256 | Algorithm::HmacSha384 | Algorithm::HmacSha512)
}

/// The set-up with these bytes as its key.
fn with_key(setup: &Setup, key: &[u8]) -> Setup {
    let mut provider = Provider::clone(&setup.provider);
    provider.key_form = KeyForm::Hex;
    with_secret(&Setup { provider: Arc::new(provider), ..setup.clone() }, &hex::encode(key).into())
}

fn with_text(setup: &Setup, text: &str) -> Setup {
    with_secret(setup, &text.to_owned().into())
}

fn form_name(form: KeyForm) -> &'static str {
    match form {
        KeyForm::Base64 => "decoded from base64",
        KeyForm::Hex => "decoded from hex",
        KeyForm::Whsec => "decoded from base64 behind whsec_",
        KeyForm::Sha1 => "hashed by SHA-1",
        _ => "used as text, whole",
    }
}

/// Every key that this secret may have been meant to be, but for the one that the row makes of it.
fn keys(written: &str, form: KeyForm) -> Vec<Form<Vec<u8>>> {
    let mut keys: Vec<Form<Vec<u8>>> = form.key(written).map(|key| (key, String::new())).into_iter().collect();
    let as_written = std::iter::once((written.to_owned(), String::new()));
    for (text, what) in as_written.chain(texts(written)) {
        let decoded = ANY_STANDARD.decode(&text).or_else(|_| ANY_URL_SAFE.decode(&text)).ok();
        let forms = [
            (Some(text.as_bytes().to_vec()), "used as text"),
            (decoded, "decoded from base64"),
            (hex::decode(&text).ok(), "decoded from hex"),
        ];
        for (key, form) in forms.into_iter().filter_map(|(key, form)| Some((key.filter(|key| !key.is_empty())?, form))) {
            if keys.iter().all(|(known, _)| *known != key) {
                keys.push((key, format!("{form} {what}").trim_end().to_owned()));
            }
        }
    }
    keys.retain(|(_, what)| !what.is_empty());
    keys
}

/// Every text that this secret may have been meant to be, but for itself.
fn texts(written: &str) -> Vec<Form<String>> {
    let trimmed = written.trim();
    let quoted = |quote: char| trimmed.strip_prefix(quote).and_then(|text| text.strip_suffix(quote)).map(str::to_owned);
    let mut texts: Vec<Form<Option<String>>> = vec![
        (Some(trimmed.to_owned()), "without the white space around it".into()),
        (quoted('"').or_else(|| quoted('\'')), "without the quotes around it".into()),
    ];
    for prefix in PREFIXES {
        texts.push((trimmed.strip_prefix(prefix).map(str::to_owned), format!("without its prefix \"{prefix}\"")));
    }
    let bare = trimmed.rsplit_once('_').filter(|(head, _)| head.len() <= 16).map(|(_, rest)| rest.to_owned());
    let changed: [Form<Option<String>>; 13] = [
        (bare, "without what stands before its last _".into()),
        (Some(format!("whsec_{trimmed}")), "with \"whsec_\" before it".into()),
        (Some(format!("Bearer {trimmed}")), "with \"Bearer \" before it".into()),
        (Some(format!("{trimmed}\n")), "with a line end behind it".into()),
        (Some(format!("{trimmed}\r\n")), "with a line end (CR LF) behind it".into()),
        (Some(format!("\"{trimmed}\"")), "with quotes around it".into()),
        (Some(html_decoded(trimmed)), "with its HTML entities decoded".into()),
        (Some(html_encoded(trimmed)), "escaped as in HTML".into()),
        (url_decoded(trimmed), "with its URL escapes decoded".into()),
        (Some(form_urlencoded::byte_serialize(trimmed.as_bytes()).collect()), "escaped as in a URL".into()),
        (Some(trimmed.replace("\\n", "\n")), "with \\n as a line end".into()),
        (Some(trimmed.to_ascii_lowercase()), "in lower case".into()),
        (Some(trimmed.to_ascii_uppercase()), "in upper case".into()),
    ];
    texts.extend(changed);
    let mut distinct: Vec<Form<String>> = Vec::new();
    for (text, what) in texts.into_iter().filter_map(|(text, what)| Some((text?, what))) {
        if text != written && !text.is_empty() && distinct.iter().all(|(known, _)| *known != text) {
            distinct.push((text, what));
        }
    }
    distinct
}

/// The five characters that HTML escapes, with their entities.
const ENTITIES: &[(&str, &str)] = &[("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("\"", "&quot;"), ("'", "&#039;")];

fn html_encoded(text: &str) -> String {
    ENTITIES.iter().fold(text.to_owned(), |text, (character, entity)| text.replace(character, entity))
}

fn html_decoded(text: &str) -> String {
    let text = text.replace("&#39;", "'").replace("&apos;", "'");
    ENTITIES.iter().rev().fold(text, |text, (character, entity)| text.replace(entity, character))
}

/// The text with its `%XX` decoded; `+` stays, since secrets in base64 have it.
pub(super) fn url_decoded(text: &str) -> Option<String> {
    if !text.contains('%') {
        return None;
    }
    let pair = text.replace('+', "%2B");
    form_urlencoded::parse(format!("a={}", pair.replace('&', "%26")).as_bytes()).next().map(|(_, value)| value.into_owned())
}
