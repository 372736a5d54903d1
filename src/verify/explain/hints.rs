//! What looks wrong about a request for which no variant held: told as a suspicion, because nothing proves it.

use super::{Refusal, headers, rows, text};
use crate::domain::Code;

/// The first bytes of a gzip stream.
const GZIP: &[u8] = &[0x1f, 0x8b];
/// A byte order mark in UTF-8.
const BOM: &[u8] = b"\xef\xbb\xbf";
/// What decoders put where bytes were no text, in UTF-8.
const REPLACEMENT: &[u8] = "\u{fffd}".as_bytes();

/// Everything that looks wrong.
pub(super) fn all(refusal: &Refusal<'_>) -> Vec<String> {
    let mut hints = Vec::new();
    let provider = refusal.verifier.provider();
    let alike = headers::alike(provider, refusal.request);
    hints.extend(
        alike.iter().map(|(name, came)| format!("there is no header {name}, but there is {}: renamed on the way?", text::clean(came))),
    );
    if refusal.rejection.code == Code::SignatureMissing && alike.is_empty() {
        hints.extend(rows::signed_otherwise(provider, refusal.table, refusal.request));
    }
    let about_body = matches!(refusal.rejection.code, Code::SignatureMismatch | Code::BodyUnreadable);
    hints.extend(body(refusal).filter(|_| about_body).map(str::to_owned));
    hints
}

fn body(refusal: &Refusal<'_>) -> Option<&'static str> {
    let (body, headers) = (&refusal.request.body, &refusal.request.headers);
    let encoding = headers.text("content-encoding").unwrap_or_default().trim().to_ascii_lowercase();
    let is_encoded = !matches!(encoding.as_str(), "" | "identity");
    let has_text = |text: &[u8]| body.windows(text.len()).any(|window| window == text);
    match () {
        () if body.is_empty() => Some("the body came empty: was it read, or dropped, on the way?"),
        () if is_encoded && encoding.contains("gzip") && !body.starts_with(GZIP) => {
            Some("Content-Encoding says gzip and the body is not compressed: was it decompressed on the way, and signed compressed?")
        }
        () if body.starts_with(GZIP) => Some("the body is compressed (gzip)"),
        () if body.starts_with(BOM) => Some("the body begins with a byte order mark"),
        () if has_text(REPLACEMENT) => Some("the body has U+FFFD in it, which stands for bytes that were no text: decoded on the way?"),
        () => None,
    }
}
