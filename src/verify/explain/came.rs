//! What was expected and what came, as counts and kinds of characters: never a value.

use super::value::{filled, length};
use super::{Refusal, headers, text};
use crate::domain::Code;
use crate::provider::{Algorithm, Encoding, Items, Naming, Signature, Want};

/// The longest name of a list's item that is shown: shorter than any signature, so that none is taken for a name.
const MAX_ITEM_NAME: usize = 16;
/// The most items of a list that are looked at.
const MAX_ITEMS: usize = 20;
/// What stands in the names of headers that prove something.
const TELLING: &[&str] = &["sign", "hmac", "token", "auth", "digest", "secret"];

/// One sentence on what was expected and what came; nothing where the code says all.
pub(super) fn sentence(refusal: &Refusal<'_>) -> Option<String> {
    let signatures = &refusal.verifier.provider().signatures;
    match refusal.rejection.code {
        Code::SignatureMissing => Some(names(refusal)),
        Code::SignatureMalformed | Code::SignatureMismatch => {
            let (signature, name, value) = filled(signatures, refusal.request)?;
            Some(format!("expected in {name}: {}; came: {}", expected(signature), came(value, signature)))
        }
        _ => None,
    }
}

fn names(refusal: &Refusal<'_>) -> String {
    let came: Vec<_> = refusal.request.headers.iter().map(|(name, _)| name).collect();
    let known = headers::needed(refusal.verifier.provider());
    let is_telling = |name: &&str| !known.contains(name) && TELLING.iter().any(|part| name.contains(part));
    let telling: Vec<_> = came.iter().copied().filter(is_telling).collect();
    match telling.is_empty() {
        true => format!("none of the {} headers that came looks like a signature", came.len()),
        false => format!("of what came, these headers may be meant: {}", text::names(telling)),
    }
}

fn expected(signature: &Signature) -> String {
    let one = match (signature.algorithm, length(signature.algorithm), signature.encoding) {
        (Algorithm::Token, ..) => "the token".to_owned(),
        (Algorithm::Basic, ..) => "Basic and the base64 of user:password".to_owned(),
        (Algorithm::Jwt, ..) => "a JSON Web Token: three parts of URL-safe base64".to_owned(),
        (_, Some(bytes), Encoding::Hex) => format!("{} hex digits in lower case", bytes * 2),
        (_, Some(bytes), Encoding::Base64) => format!("{} characters of base64", bytes.div_ceil(3) * 4),
        (_, Some(bytes), Encoding::Base64Url) => format!("{} characters of URL-safe base64", (bytes * 4).div_ceil(3)),
        (_, None, Encoding::Hex) => "hex digits in lower case".to_owned(),
        (_, None, Encoding::Base64) => "base64".to_owned(),
        (_, None, Encoding::Base64Url) => "URL-safe base64".to_owned(),
    };
    let item = signature.items.as_ref().map(|items| format!(" in item {}", wanted(items).join(" or "))).unwrap_or_default();
    let optional = if signature.prefix_optional { ", which may be missing" } else { "" };
    match signature.prefix.is_empty() {
        true => format!("{one}{item}"),
        false => format!("{one}{item} behind \"{}\"{optional}", signature.prefix),
    }
}

/// The names of the items that are signatures.
fn wanted(items: &Items) -> Vec<String> {
    let name = |want: &Want| match want {
        Want::Text(name) => name.clone(),
        Want::Param(name) => format!("that param {name} says"),
        _ => "of any name".to_owned(),
    };
    items.take.iter().map(name).collect()
}

fn came(value: &str, signature: &Signature) -> String {
    let (rest, prefix) = match value.strip_prefix(signature.prefix.as_str()) {
        _ if signature.prefix.is_empty() => (value, ""),
        Some(rest) => (rest, " behind the prefix"),
        None => (value, " without the prefix"),
    };
    match &signature.items {
        Some(items) => list(rest, items),
        // What came may be all but the secret: of that not even the kind of its characters is told.
        None if signature.algorithm.sends_secret() => format!("{} characters{prefix}", rest.chars().count()),
        None if signature.jwt.is_some() => format!("{} characters in {} parts{prefix}", rest.chars().count(), rest.split('.').count()),
        None => format!("{}{prefix}", kind(rest)),
    }
}

/// The items of a list: names where they are names, and what the wanted ones are.
fn list(value: &str, items: &Items) -> String {
    let Naming::Pair(pair) = &items.naming else {
        let parts = value.split(items.separator.as_str()).take(MAX_ITEMS);
        return format!("a list of {}", parts.map(|part| kind(part.trim())).collect::<Vec<_>>().join(" and "));
    };
    let parts = value.split(items.separator.as_str()).filter(|part| !part.trim().is_empty()).take(MAX_ITEMS);
    let named: Vec<_> = parts.map(|part| part.trim().split_once(pair.as_str())).collect();
    let is_wanted = |name: &str| items.take.iter().any(|want| !matches!(want, Want::Text(wanted) if wanted != name));
    let shown = named.iter().map(|item| match item {
        Some((name, value)) if is_wanted(name.trim()) => format!("{} ({})", item_name(name), kind(value.trim())),
        Some((name, _)) => item_name(name).to_owned(),
        None => "one without a name".to_owned(),
    });
    let shown: Vec<_> = shown.collect();
    match shown.is_empty() {
        true => "nothing".to_owned(),
        false => format!("the items {}", shown.join(", ")),
    }
}

fn item_name(name: &str) -> &str {
    let name = name.trim();
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if (1..=MAX_ITEM_NAME).contains(&name.len()) && name.bytes().all(is_name) { name } else { "(no name)" }
}

/// How many characters, and of what kind.
fn kind(text: &str) -> String {
    let all = |is: fn(u8) -> bool| text.bytes().all(is);
    let count = text.chars().count();
    match () {
        () if text.is_empty() => "nothing".to_owned(),
        () if all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)) => format!("{count} hex digits"),
        () if all(|byte| byte.is_ascii_hexdigit()) => format!("{count} hex digits, some in upper case"),
        () if all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte)) => format!("{count} characters of base64"),
        () if all(|byte| byte.is_ascii_alphanumeric() || b"-_=".contains(&byte)) => format!("{count} characters of URL-safe base64"),
        () if all(|byte| byte.is_ascii_graphic() || byte == b' ') => format!("{count} characters, neither hex nor base64 alone"),
        () => format!("{count} characters, some of them not printable"),
    }
}
