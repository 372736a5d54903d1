//! Signatures as they are written in a header: prefix, list of items, encoding.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use subtle::ConstantTimeEq as _;

use crate::provider::{Encoding, Items, Naming, Signature, Want};

/// The most items that a signature's list may have: each costs work, and no sender needs more.
const MAX_ITEMS: usize = 20;

/// The most sets of items: each has a timestamp of its own, and so costs a signature over the whole body.
const MAX_SETS: usize = 5;

const URL_SAFE: GeneralPurpose =
    GeneralPurpose::new(&alphabet::URL_SAFE, GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent));

/// A signature value, taken apart, or one of its sets.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Parsed<'a> {
    /// The signatures' bytes, of which any may match.
    pub(super) candidates: Vec<Vec<u8>>,
    /// All items of the list with their names, wanted or not.
    pub(super) items: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

/// Takes a value apart; the error says what is wrong with its form. `params` are the source's own.
pub(super) fn parse<'a>(value: &Cow<'a, str>, signature: &Signature, params: &BTreeMap<String, String>) -> Result<Vec<Parsed<'a>>, String> {
    let start = match value.strip_prefix(&signature.prefix) {
        Some(_) => signature.prefix.len(),
        None if signature.prefix_optional => 0,
        None => return Err(format!("it does not start with \"{}\"", signature.prefix)),
    };
    let rest = match value {
        Cow::Borrowed(text) => Cow::Borrowed(&text[start..]),
        Cow::Owned(text) => Cow::Owned(text[start..].to_owned()),
    };
    let Some(list) = &signature.items else {
        return Ok(vec![Parsed { candidates: vec![decode(&rest, signature.encoding)?], items: Vec::new() }]);
    };
    let sets: Vec<_> = match &list.sets {
        Some(separator) => parts(&rest, separator),
        None => vec![rest],
    };
    if sets.is_empty() {
        return Err("it is empty".into());
    }
    if sets.len() > MAX_SETS {
        return Err(format!("it has more than {MAX_SETS} sets"));
    }
    sets.iter().map(|set| parse_set(set, list, signature.encoding, params)).collect()
}

fn parse_set<'a>(set: &Cow<'a, str>, list: &Items, encoding: Encoding, params: &BTreeMap<String, String>) -> Result<Parsed<'a>, String> {
    let texts = parts(set, &list.separator);
    if texts.len() > MAX_ITEMS {
        return Err(format!("it has more than {MAX_ITEMS} items"));
    }
    let named = texts.into_iter().enumerate().filter_map(|(at, text)| match &list.naming {
        Naming::Pair(pair) => split(&text, pair),
        Naming::Positions(names) => Some((Cow::Owned(names.get(at).or(names.last())?.clone()), text)),
    });
    let items: Vec<_> = named.collect();
    let is_wanted = |name: &str| list.take.iter().any(|want| is(want, name, params));
    let wanted: Vec<_> = items.iter().filter(|(name, _)| is_wanted(name)).collect();
    if wanted.is_empty() {
        return Err("it has no item with a signature".into());
    }
    // One readable signature is enough: while a secret rotates, the other may be of another kind.
    let (candidates, errors): (Vec<_>, Vec<_>) = wanted.iter().map(|(_, text)| decode(text, encoding)).partition(Result::is_ok);
    let candidates: Vec<_> = candidates.into_iter().flatten().collect();
    match errors.into_iter().find_map(Result::err) {
        Some(error) if candidates.is_empty() => Err(error),
        _ => Ok(Parsed { candidates, items }),
    }
}

/// Whether what stands in a place, or that nothing does, is what is wanted.
pub(super) fn is_at(want: &Want, text: Option<&str>, params: &BTreeMap<String, String>) -> bool {
    match (want, text) {
        (Want::Nothing, text) => text.is_none_or(str::is_empty),
        (Want::OneLine | Want::Without(_), None) => true,
        (_, None) => false,
        (want, Some(text)) => is(want, text, params),
    }
}

/// Whether the text is what is wanted.
pub(super) fn is(want: &Want, text: &str, params: &BTreeMap<String, String>) -> bool {
    match want {
        Want::Text(wanted) => wanted == text,
        Want::Param(name) => params.get(name).is_some_and(|wanted| !wanted.is_empty() && wanted.as_bytes().ct_eq(text.as_bytes()).into()),
        Want::Hex(least, most) => (*least..=*most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit()),
        Want::Something => !text.is_empty(),
        Want::Nothing => text.is_empty(),
        Want::OneOf(wanted) => wanted.iter().any(|wanted| wanted == text),
        Want::Without(separator) => !text.contains(separator.as_str()),
        Want::OneLine => !text.contains(['\n', '\r']),
    }
}

/// The parts between separators, trimmed, empty ones left out; one more than the bound at the most.
fn parts<'a>(text: &Cow<'a, str>, separator: &str) -> Vec<Cow<'a, str>> {
    let trimmed = |part: &str| !part.trim().is_empty();
    match text {
        Cow::Borrowed(text) => {
            text.split(separator).filter(|part| trimmed(part)).take(MAX_ITEMS + 1).map(|part| part.trim().into()).collect()
        }
        Cow::Owned(text) => {
            text.split(separator).filter(|part| trimmed(part)).take(MAX_ITEMS + 1).map(|part| part.trim().to_owned().into()).collect()
        }
    }
}

fn split<'a>(item: &Cow<'a, str>, pair: &str) -> Option<(Cow<'a, str>, Cow<'a, str>)> {
    match item {
        Cow::Borrowed(item) => item.split_once(pair).map(|(name, value)| (name.trim().into(), value.trim().into())),
        Cow::Owned(item) => item.split_once(pair).map(|(name, value)| (name.trim().to_owned().into(), value.trim().to_owned().into())),
    }
}

fn decode(text: &str, encoding: Encoding) -> Result<Vec<u8>, String> {
    if text.is_empty() {
        return Err("it is empty".into());
    }
    match encoding {
        // Senders write lower case and compare text: another case is not what was sent.
        Encoding::Hex if text.bytes().any(|b| b.is_ascii_uppercase()) => Err("it is not lower-case hex".into()),
        Encoding::Hex => hex::decode(text).map_err(|_| "it is not hex".into()),
        Encoding::Base64 => STANDARD.decode(text).map_err(|_| "it is not base64 with padding".into()),
        Encoding::Base64Url => URL_SAFE.decode(text).map_err(|_| "it is not URL-safe base64".into()),
    }
}

/// The `user:password` of HTTP Basic authentication.
pub(super) fn basic(value: &str) -> Result<Vec<u8>, &'static str> {
    let (scheme, credentials) = value.split_once(' ').ok_or("it is not Basic authentication")?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err("it is not Basic authentication");
    }
    STANDARD.decode(credentials.trim()).map_err(|_| "it is not base64")
}

/// Writes signature bytes.
pub(super) fn encode(bytes: &[u8], encoding: Encoding) -> String {
    match encoding {
        Encoding::Hex => hex::encode(bytes),
        Encoding::Base64 => STANDARD.encode(bytes),
        Encoding::Base64Url => base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::Table;
    use proptest::prelude::*;

    fn parsed(text: &str, signature: &Signature) -> Result<Parsed<'static>, String> {
        super::parse(&Cow::Owned(text.to_owned()), signature, &BTreeMap::new()).map(|mut sets| sets.remove(0))
    }

    fn signature(provider: &str) -> Signature {
        Table::builtin().get(provider).unwrap().signatures[0].clone()
    }

    #[test]
    fn lists_prefixes_and_encodings() {
        let stripe = signature("stripe");
        let value = parsed("t=1,v1=00ff, v1=zz,v0=aa", &stripe).unwrap();
        assert_eq!(value.candidates, [vec![0x00, 0xff]]);
        assert_eq!(value.items[0], ("t".into(), "1".into()));
        assert!(parsed("t=1,v0=00", &stripe).unwrap_err().contains("no item with a signature"));
        assert!(parsed("t=1,v1=", &stripe).unwrap_err().contains("empty"));
        let github = signature("github");
        assert_eq!(parsed("sha256=00", &github).unwrap().candidates, [vec![0]]);
        for wrong in ["00", "sha1=00", "sha256=", "sha256=0", "sha256=FF", "sha256=00 "] {
            assert!(parsed(wrong, &github).is_err(), "{wrong}");
        }
        let webhooks = signature("standard-webhooks");
        assert_eq!(parsed("v1a,xx v1,AAE= v2,AA==", &webhooks).unwrap().candidates, [vec![0, 1]]);
        assert!(parsed("v1,AAE", &webhooks).is_err());
    }

    #[test]
    fn a_hundred_signatures_are_refused() {
        let many = vec!["v1=00"; 100].join(",");
        assert!(parsed(&many, &signature("stripe")).unwrap_err().contains("more than"));
        assert!(parsed(&"t=1,v1=00 ".repeat(5), &signature("persona")).is_ok());
        assert!(parsed(&"t=1,v1=00 ".repeat(6), &signature("persona")).unwrap_err().contains("more than 5 sets"));
    }

    proptest! {
        #[test]
        fn any_text_parses_or_is_explained(text in ".{0,120}") {
            for provider in Table::builtin().iter() {
                for signature in &provider.signatures {
                    let _ = parsed(&text, signature);
                }
            }
        }

        #[test]
        fn what_is_encoded_decodes(bytes in proptest::collection::vec(any::<u8>(), 1..80)) {
            for encoding in [Encoding::Hex, Encoding::Base64, Encoding::Base64Url] {
                prop_assert_eq!(decode(&encode(&bytes, encoding), encoding).unwrap(), bytes.clone());
            }
        }
    }
}
