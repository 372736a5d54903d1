//! The proof by hand: the least that a server can do to know who sent an event, and what careful teams write themselves.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

const TOLERANCE_SECONDS: u64 = 300;

/// Whether the header `t=…,v1=…` signs the body with the secret, not too long ago.
pub(crate) fn signature_holds(secret: &str, header: &str, body: &[u8], now: u64) -> bool {
    let part = |name: &str| header.split(',').find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
    let (Some(time), Some(digest)) = (part("t"), part("v1")) else {
        return false;
    };
    let fresh = time.parse::<u64>().is_ok_and(|then| now.abs_diff(then) <= TOLERANCE_SECONDS);
    let (true, Ok(tag)) = (fresh, hex::decode(digest)) else {
        return false;
    };
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(time.as_bytes());
    mac.update(b".");
    mac.update(body);
    mac.verify_slice(&tag).is_ok()
}
