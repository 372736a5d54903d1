//! The signature in another notation than the row has it: upper case, without padding, without its prefix, in quotes.

use base64::Engine as _;
use base64::engine::general_purpose::GeneralPurpose;
use base64::engine::{DecodePaddingMode, GeneralPurposeConfig};
use base64::{alphabet, engine};

use super::trial::Bench;
use crate::domain::RawRequest;
use crate::provider::{Algorithm, Encoding, Items, Locator, Naming, Place, Signature, Want};
use crate::verify::wire;

const LENIENT: GeneralPurposeConfig =
    engine::GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent).with_decode_allow_trailing_bits(true);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// A header's value, and what was done to it.
type Form = (String, Vec<&'static str>);

/// The signature that came, written as the row has it.
pub(super) fn find(bench: &Bench<'_>) -> Option<String> {
    if !bench.is_unproved() {
        return None;
    }
    let (signature, name, value) = filled(&bench.provider().signatures, bench.request())?;
    let held = forms(value, signature).into_iter().find(|(form, _)| form != value && bench.try_value(name, form));
    held.map(|(_, what)| format!("it holds when the value of header {name} is taken as {}", what.join(", ")))
}

/// The first way to sign whose header is there, with that header's name and value.
pub(super) fn filled<'a>(signatures: &'a [Signature], request: &'a RawRequest) -> Option<(&'a Signature, &'a str, &'a str)> {
    let is_numbered = |name: &str, family: &str| name.strip_prefix(family).is_some_and(|number| number.parse::<u16>().is_ok());
    signatures.iter().find_map(|signature| {
        let (name, value) = match &signature.place {
            Place::Header(own) => request.headers.iter().find(|(name, _)| name == own)?,
            Place::Headers(family) => request.headers.iter().find(|(name, _)| is_numbered(name, family))?,
            _ => return None,
        };
        Some((signature, name, std::str::from_utf8(value).ok()?))
    })
}

/// The bytes that a signature by this algorithm has, where that is fixed.
pub(super) fn length(algorithm: Algorithm) -> Option<usize> {
    match algorithm {
        Algorithm::HmacSha1 => Some(20),
        Algorithm::HmacSha256 | Algorithm::Sha256 => Some(32),
        Algorithm::HmacSha384 => Some(48),
        Algorithm::HmacSha512 | Algorithm::Ed25519 => Some(64),
        _ => None,
    }
}

/// Everything that the sender may have meant, each once as it is and once in the row's own encoding.
fn forms(value: &str, signature: &Signature) -> Vec<Form> {
    let mut bases: Vec<Form> = vec![(value.to_owned(), Vec::new())];
    let bare = value.trim().trim_matches(['"', '\'', '<', '>']).trim();
    bases.push((bare.to_owned(), vec!["without quotes or white space around it"]));
    bases.extend(super::keys::url_decoded(value).map(|text| (text, vec!["with its URL escapes decoded"])));
    bases.extend(with_separators(value, signature).map(|text| (text, vec!["a list with the row's separators"])));
    let prefixed: Vec<_> = bases.iter().flat_map(|(text, what)| with_prefix(text, what, signature)).collect();
    bases.extend(prefixed);
    let mut forms: Vec<Form> = Vec::new();
    for (text, what) in bases {
        let again = in_encoding(&text, signature).map(|(again, notation)| (again, [what.clone(), vec![notation]].concat()));
        for form in std::iter::once((text, what)).chain(again) {
            if forms.iter().all(|(known, _)| *known != form.0) {
                forms.push(form);
            }
        }
    }
    forms
}

/// The value behind the row's prefix: where that is missing, and instead of another one.
fn with_prefix(text: &str, what: &[&'static str], signature: &Signature) -> Vec<Form> {
    let prefix = signature.prefix.as_str();
    let mut forms = Vec::new();
    if !prefix.is_empty() && !text.starts_with(prefix) {
        let separator = prefix.chars().last().filter(|c| !c.is_alphanumeric());
        let behind = separator.and_then(|separator| text.split_once(separator)).map(|(_, rest)| rest);
        forms.push((format!("{prefix}{text}"), [what, &["one that has lost its prefix"]].concat()));
        forms.extend(behind.map(|rest| (format!("{prefix}{rest}"), [what, &["one with another prefix"]].concat())));
    }
    if prefix.is_empty() && signature.items.is_none() {
        let behind = text.split_once(['=', ' ']).map(|(_, rest)| rest).filter(|rest| !rest.trim_matches('=').is_empty());
        forms.extend(behind.map(|rest| (rest.trim().to_owned(), [what, &["one with a prefix"]].concat())));
    }
    let bare = |items: &Items| match (&items.naming, items.take.first()) {
        (Naming::Pair(pair), Some(Want::Text(name))) if !text.contains(pair.as_str()) => Some(format!("{prefix}{name}{pair}{text}")),
        _ => None,
    };
    forms.extend(signature.items.as_ref().and_then(bare).map(|item| (item, [what, &["one that has lost its name"]].concat())));
    forms
}

/// A list whose items are separated otherwise than the row says.
fn with_separators(value: &str, signature: &Signature) -> Option<String> {
    let items = signature.items.as_ref().filter(|items| items.sets.is_none())?;
    let parts: Vec<_> = value.split([',', ';', ' ', '&']).map(str::trim).filter(|part| !part.is_empty()).collect();
    Some(parts.join(&items.separator))
}

/// The value with its signatures in the row's own encoding, where they are in another; and which that is.
fn in_encoding(text: &str, signature: &Signature) -> Option<(String, &'static str)> {
    let rest = text.strip_prefix(signature.prefix.as_str())?;
    let Some(items) = &signature.items else {
        let (again, notation) = encoded(rest, signature)?;
        return Some((format!("{}{again}", signature.prefix), notation));
    };
    let mut found = None;
    let mut again = |value: &str| match encoded(value.trim(), signature) {
        Some((again, notation)) => {
            found = Some(notation);
            again
        }
        None => value.to_owned(),
    };
    let timestamp = signature.timestamp.as_ref().map(|rule| &rule.from);
    let is_time = |name: &str| matches!(timestamp, Some(Locator::SignatureItem(item)) if item == name);
    let parts = rest.split(items.separator.as_str()).enumerate().map(|(at, part)| match &items.naming {
        Naming::Pair(pair) => match part.split_once(pair.as_str()) {
            Some((name, value)) if !is_time(name.trim()) => format!("{name}{pair}{}", again(value)),
            _ => part.to_owned(),
        },
        Naming::Positions(names) => match names.get(at).or(names.last()) {
            Some(name) if !is_time(name) => again(part),
            _ => part.to_owned(),
        },
    });
    let parts: Vec<_> = parts.collect();
    Some((format!("{}{}", signature.prefix, parts.join(&items.separator)), found?))
}

/// A signature in the row's own encoding, where it is in another of the right length.
fn encoded(text: &str, signature: &Signature) -> Option<(String, &'static str)> {
    let wanted = length(signature.algorithm);
    let fits = |bytes: &Vec<u8>| wanted.is_none_or(|length| bytes.len() == length) && !bytes.is_empty();
    let hex = hex::decode(text).ok().map(|bytes| (bytes, "hex"));
    let standard = STANDARD.decode(text).ok().map(|bytes| (bytes, "base64"));
    let url_safe = URL_SAFE.decode(text).ok().map(|bytes| (bytes, "URL-safe base64"));
    let twice = standard.as_ref().and_then(|(bytes, _)| hex::decode(bytes).ok()).map(|bytes| (bytes, "base64 of hex"));
    let read = [hex, standard, url_safe, twice].into_iter().flatten();
    // Without a fixed length only the row's own encoding tells what the bytes are.
    let own = |name: &str| (name == "hex") == (signature.encoding == Encoding::Hex);
    let (bytes, notation) = read.into_iter().filter(|(_, name)| wanted.is_some() || own(name)).find(|(bytes, _)| fits(bytes))?;
    let again = wire::encode(&bytes, signature.encoding);
    let notation = match notation {
        "hex" if signature.encoding == Encoding::Hex => "hex in upper case",
        "base64" if signature.encoding == Encoding::Base64 => "base64 without its padding",
        other => other,
    };
    (again != text).then_some((again, notation))
}
