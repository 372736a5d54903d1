//! A body that was compressed on its way. The other way round cannot be tried: nobody knows how a sender had compressed it.

use std::io::Read;

use flate2::read::{DeflateDecoder, GzDecoder, ZlibDecoder};

use super::trial::Bench;

/// The most bytes that are unpacked: a small body may claim to be a large one.
const MAX_UNPACKED: u64 = 1 << 20;

/// The body unpacked.
pub(super) fn find(bench: &Bench<'_>) -> Option<String> {
    let body = bench.body()?;
    let formats: [(&str, &dyn Fn() -> Option<Vec<u8>>); 3] = [
        ("gzip", &|| unpacked(GzDecoder::new(&body[..]))),
        ("deflate", &|| unpacked(ZlibDecoder::new(&body[..]))),
        ("deflate, raw", &|| unpacked(DeflateDecoder::new(&body[..]))),
    ];
    let (name, _) = formats.into_iter().find(|(_, unpack)| unpack().is_some_and(|body| bench.try_body(body)))?;
    Some(format!("it holds for the body once it is decompressed ({name}): the sender signs before it compresses, or a proxy compresses"))
}

/// All that comes out, where that is within bounds.
fn unpacked(decoder: impl Read) -> Option<Vec<u8>> {
    let mut whole = Vec::new();
    let length = decoder.take(MAX_UNPACKED + 1).read_to_end(&mut whole).ok()?;
    (length > 0 && length as u64 <= MAX_UNPACKED).then_some(whole)
}
