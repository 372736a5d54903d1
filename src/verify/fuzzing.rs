//! Parsers of this module for `crate::fuzzing`, which cannot reach them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::OnceLock;

use super::json::{self, PointerSet};
use super::{form, wire};
use crate::provider::{Signature, Table};

/// A signature header: any text is taken apart or explained, by every shape of the table, with a bounded number of candidates.
///
/// # Panics
/// When there are more.
pub fn signature_list(bytes: &[u8]) {
    static SIGNATURES: OnceLock<Vec<Signature>> = OnceLock::new();
    let shapes = SIGNATURES.get_or_init(|| Table::builtin().iter().flat_map(|provider| provider.signatures.clone()).collect());
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for signature in shapes {
        for value in [Cow::Borrowed(text), Cow::Owned(format!("{}{text}", signature.prefix))] {
            let sets = wire::parse(&value, signature, &BTreeMap::new()).unwrap_or_default();
            assert!(sets.len() <= 5 && sets.iter().all(|set| set.candidates.len() <= 20), "too many signatures");
        }
    }
}

/// A form: what is looked up, counted and sorted agrees.
///
/// # Panics
/// When it does not.
pub fn form(bytes: &[u8]) {
    let sorted = form::sorted(bytes);
    let says_nothing = form_urlencoded::parse(bytes).all(|(name, value)| name.is_empty() && value.is_empty());
    let is_left_out = form::fields(bytes) > 1_000 || says_nothing;
    assert_eq!(sorted.is_none(), is_left_out, "only a form that says nothing or has too many fields has no sorted text");
    for name in ["", "a", "payload"] {
        let (found, there) = (form::field(bytes, name).is_some(), form::count(bytes, name) > 0);
        assert!(found == there || (there && sorted.is_none()), "{name}");
    }
}

/// A pointer, a line end, and a document: what is found stands where the span says.
///
/// # Panics
/// When it does not.
pub fn json(bytes: &[u8]) {
    let (pointer, document) = match bytes.iter().position(|byte| *byte == b'\n') {
        Some(end) => (String::from_utf8_lossy(&bytes[..end]).into_owned(), &bytes[end + 1..]),
        None => ("/a".to_owned(), bytes),
    };
    let pointer = if pointer.starts_with('/') { pointer } else { format!("/{pointer}") };
    let set = PointerSet::new([pointer.clone(), "/a/0".to_owned(), "/a".to_owned()]);
    let Ok(values) = set.find(document) else { return };
    if let (Some(found), Some(span)) = (set.value(&pointer, &values), json::span(document, &pointer)) {
        let there = &document[span];
        let text: Option<String> = serde_json::from_slice(there).ok();
        assert_eq!(text.as_deref().unwrap_or(std::str::from_utf8(there).unwrap_or_default()), found, "{pointer}");
    }
}
