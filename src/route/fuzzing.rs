//! Parsers of this module for `crate::fuzzing`, which cannot reach them.

use std::time::{Duration, Instant};

use super::filter::{Asked, Facts, Fault, Filter};
use super::order::{Pointer, value};

/// A filter, and after a NUL the body that it is asked about: any text is a filter or an error, and any body is decided on.
///
/// # Panics
/// When the evaluation does.
pub fn filter(bytes: &[u8]) {
    let (text, body) = halves(bytes);
    let Ok(Ok(filter)) = std::str::from_utf8(text).map(Filter::parse) else { return };
    for content_type in ["application/json", "application/x-www-form-urlencoded"] {
        let headers = [("content-type", content_type.as_bytes())].into_iter().collect();
        let asked = Asked { source: "any".into(), event_type: "any".to_owned(), headers, body: body.to_vec().into() };
        let decided = filter.decide(&Facts::of(&asked, true), Instant::now() + Duration::from_millis(100));
        assert_ne!(decided, Err(Fault::Broken), "the evaluation broke off");
    }
}

/// An order key, and after a NUL the body: what is found is what the parser of whole documents finds.
///
/// # Panics
/// When it is not.
pub fn order(bytes: &[u8]) {
    let (text, body) = halves(bytes);
    let Ok(text) = std::str::from_utf8(text) else { return };
    let Ok(pointer) = Pointer::parse(text) else { return };
    let found = value(&pointer, body);
    if let Ok(document) = serde_json::from_slice::<serde_json::Value>(body) {
        // A long value stays as it is written.
        let found = found.and_then(|found| serde_json::from_str::<serde_json::Value>(&found).ok());
        assert_eq!(found.as_ref(), document.pointer(text), "{text}");
    }
}

fn halves(bytes: &[u8]) -> (&[u8], &[u8]) {
    let at = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    (&bytes[..at], bytes.get(at + 1..).unwrap_or_default())
}
