//! A body that was compressed on its way. The other way round cannot be tried: nobody knows how a sender had compressed it.

use std::io::Read;

use flate2::read::{DeflateDecoder, GzDecoder, ZlibDecoder};

use super::trial::Bench;

/// The most bytes that are unpacked: a small body may claim to be a large one.
const MAX_UNPACKED: u64 = 1 << 20;

/// What unpacks a body, if it is of that format.
type Unpack = fn(&[u8]) -> Option<Vec<u8>>;

/// The formats of `Content-Encoding` that can be unpacked here.
const FORMATS: &[(&str, Unpack)] = &[
    ("gzip", |body| unpacked(GzDecoder::new(body))),
    ("deflate", |body| unpacked(ZlibDecoder::new(body))),
    ("deflate, raw", |body| unpacked(DeflateDecoder::new(body))),
];

/// The body unpacked.
pub(super) fn find(bench: &Bench<'_>) -> Option<String> {
    let body = bench.body()?;
    let (name, _) = FORMATS.iter().find(|(_, unpack)| unpack(body).is_some_and(|body| bench.try_body(body)))?;
    Some(format!("it holds for the body once it is decompressed ({name}): the sender signs before it compresses, or a proxy compresses"))
}

/// All that comes out, where that is within bounds.
fn unpacked(decoder: impl Read) -> Option<Vec<u8>> {
    let mut whole = Vec::new();
    let length = decoder.take(MAX_UNPACKED + 1).read_to_end(&mut whole).ok()?;
    (length > 0 && length as u64 <= MAX_UNPACKED).then_some(whole)
}
