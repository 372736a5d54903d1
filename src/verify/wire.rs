//! Signatures as they are written in a header: prefix, list of items, encoding.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::provider::{Encoding, Signature};

/// The most items that a signature's list may have: each costs work, and no sender needs more.
const MAX_ITEMS: usize = 20;

const URL_SAFE: GeneralPurpose =
    GeneralPurpose::new(&alphabet::URL_SAFE, GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent));

/// A signature value, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Parsed<'a> {
    /// The signatures' bytes, of which any may match.
    pub(super) candidates: Vec<Vec<u8>>,
    /// All items of the list, wanted or not.
    pub(super) items: Vec<(&'a str, &'a str)>,
}

/// Takes a value apart; the error says what is wrong with its form.
pub(super) fn parse<'a>(value: &'a str, signature: &Signature) -> Result<Parsed<'a>, String> {
    let Some(rest) = value.strip_prefix(&signature.prefix) else {
        return Err(format!("it does not start with \"{}\"", signature.prefix));
    };
    let Some(list) = &signature.items else {
        return Ok(Parsed { candidates: vec![decode(rest, signature.encoding)?], items: Vec::new() });
    };
    let mut items = Vec::new();
    for item in rest.split(&list.separator).map(str::trim).filter(|item| !item.is_empty()) {
        if items.len() == MAX_ITEMS {
            return Err(format!("it has more than {MAX_ITEMS} items"));
        }
        items.extend(item.split_once(&list.pair).map(|(name, value)| (name.trim(), value.trim())));
    }
    let wanted: Vec<_> = items.iter().filter(|(name, _)| list.take.iter().any(|take| take == name)).collect();
    if wanted.is_empty() {
        return Err(format!("it has no item named {}", list.take.join(" or ")));
    }
    // One readable signature is enough: while a secret rotates, the other may be of another kind.
    let (candidates, errors): (Vec<_>, Vec<_>) = wanted.iter().map(|(_, text)| decode(text, signature.encoding)).partition(Result::is_ok);
    let candidates: Vec<_> = candidates.into_iter().flatten().collect();
    match errors.into_iter().find_map(Result::err) {
        Some(error) if candidates.is_empty() => Err(error),
        _ => Ok(Parsed { candidates, items }),
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

    fn signature(provider: &str) -> Signature {
        Table::builtin().get(provider).unwrap().signatures[0].clone()
    }

    #[test]
    fn lists_prefixes_and_encodings() {
        let stripe = signature("stripe");
        let parsed = parse("t=1,v1=00ff, v1=zz,v0=aa", &stripe).unwrap();
        assert_eq!(parsed.candidates, [vec![0x00, 0xff]]);
        assert_eq!(parsed.items[0], ("t", "1"));
        assert!(parse("t=1,v0=00", &stripe).unwrap_err().contains("v1"));
        assert!(parse("t=1,v1=", &stripe).unwrap_err().contains("empty"));
        let github = signature("github");
        assert_eq!(parse("sha256=00", &github).unwrap().candidates, [vec![0]]);
        for wrong in ["00", "sha1=00", "sha256=", "sha256=0", "sha256=FF", "sha256=00 "] {
            assert!(parse(wrong, &github).is_err(), "{wrong}");
        }
        let webhooks = signature("standard-webhooks");
        assert_eq!(parse("v1a,xx v1,AAE= v2,AA==", &webhooks).unwrap().candidates, [vec![0, 1]]);
        assert!(parse("v1,AAE", &webhooks).is_err());
    }

    #[test]
    fn a_hundred_signatures_are_refused() {
        let many = vec!["v1=00"; 100].join(",");
        assert!(parse(&many, &signature("stripe")).unwrap_err().contains("more than"));
    }

    proptest! {
        #[test]
        fn any_text_parses_or_is_explained(text in ".{0,120}") {
            for provider in Table::builtin().iter() {
                for signature in &provider.signatures {
                    let _ = parse(&text, signature);
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
