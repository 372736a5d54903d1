//! Small changes to a body on its way: line ends, a byte order mark, the character set, a wrapping.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::trial::Bench;

/// A byte order mark in UTF-8.
const BOM: &[u8] = b"\xef\xbb\xbf";

/// A change to a body, as it would be undone: the body as the sender may have signed it.
type Undo = fn(&[u8]) -> Option<Vec<u8>>;

/// Each change with what to say of it, to be read behind "it holds for the body".
const CHANGES: &[(Undo, &str)] = &[
    (without_line_end, "without the line end at its end: something on the way adds one"),
    (|body| Some([body, b"\n"].concat()), "with a line end behind it: something on the way takes it off"),
    (|body| Some([body, b"\r\n"].concat()), "with a line end (CR LF) behind it: something on the way takes it off"),
    (|body| Some(body.trim_ascii().to_vec()), "without the white space around it: something on the way adds it"),
    (|body| body.strip_prefix(BOM).map(<[u8]>::to_vec), "without its byte order mark: something on the way adds one"),
    (|body| Some([BOM, body].concat()), "with a byte order mark before it: something on the way takes it off"),
    (unix_lines, "with LF for CR LF: something on the way changes line ends"),
    (dos_lines, "with CR LF for LF: something on the way changes line ends"),
    (to_latin1, "in Latin-1 rather than UTF-8: something on the way converts the character set"),
    (from_latin1, "in UTF-8 rather than Latin-1: something on the way converts the character set"),
    (|_| Some(Vec::new()), "if that is empty: the sender, or a proxy before it, signed none"),
    (from_base64, "decoded from base64: a gateway encodes it"),
    (unwrapped, "taken out of a JSON string: something on the way puts it into one"),
    (wrapped, "put into a JSON string: something on the way takes it out of one"),
];

/// The body as the sender may have signed it.
pub(super) fn find(bench: &Bench<'_>) -> Option<String> {
    let body = bench.body()?;
    let holds = |undo: Undo| undo(body).is_some_and(|body| bench.try_body(Bytes::from(body)));
    let (_, what) = CHANGES.iter().find(|(undo, _)| holds(*undo))?;
    Some(format!("it holds for the body {what}"))
}

fn without_line_end(body: &[u8]) -> Option<Vec<u8>> {
    let body = body.strip_suffix(b"\n")?;
    Some(body.strip_suffix(b"\r").unwrap_or(body).to_vec())
}

fn unix_lines(body: &[u8]) -> Option<Vec<u8>> {
    let pairs = body.windows(2).any(|pair| pair == b"\r\n");
    let is_kept = |at: &usize| body[*at] != b'\r' || body.get(at + 1) != Some(&b'\n');
    pairs.then(|| (0..body.len()).filter(is_kept).map(|at| body[at]).collect())
}

fn dos_lines(body: &[u8]) -> Option<Vec<u8>> {
    if !body.contains(&b'\n') || body.contains(&b'\r') {
        return None;
    }
    Some(body.split(|byte| *byte == b'\n').collect::<Vec<_>>().join(&b"\r\n"[..]))
}

/// Text with characters beyond ASCII, all of which Latin-1 has.
fn to_latin1(body: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(body).ok().filter(|text| !text.is_ascii())?;
    text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect()
}

/// Bytes beyond ASCII, each a character of its own.
fn from_latin1(body: &[u8]) -> Option<Vec<u8>> {
    (!body.is_ascii()).then(|| body.iter().map(|byte| char::from(*byte)).collect::<String>().into_bytes())
}

fn from_base64(body: &[u8]) -> Option<Vec<u8>> {
    STANDARD.decode(body.trim_ascii()).ok()
}

fn unwrapped(body: &[u8]) -> Option<Vec<u8>> {
    let text = body.starts_with(b"\"").then(|| serde_json::from_slice::<String>(body).ok())?;
    text.map(String::into_bytes)
}

fn wrapped(body: &[u8]) -> Option<Vec<u8>> {
    std::str::from_utf8(body).ok().and_then(|text| serde_json::to_vec(text).ok())
}
