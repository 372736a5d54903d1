//! Signatures of our own, by Standard Webhooks (<https://www.standardwebhooks.com>): what we forward can be verified with
//! the packages that there are for it. Verifying, of senders of this form too, is `verify`'s.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::domain::Timestamp;

/// The bytes of a symmetric key, by the specification.
const SYMMETRIC: std::ops::RangeInclusive<usize> = 24..=64;
/// The bytes of an Ed25519 seed, and of the public key that may follow it.
const HALF: usize = 32;

/// The names of the fields that [`sign`] makes, in lower case.
pub const FIELDS: [&str; 3] = ["webhook-id", "webhook-timestamp", "webhook-signature"];

/// A key to sign with. Shows its kind and never itself.
#[derive(Clone)]
pub struct SigningKey(Key);

#[derive(Clone)]
enum Key {
    /// `whsec_`: HMAC-SHA256, with the key already absorbed.
    Symmetric(Hmac<Sha256>),
    /// `whsk_`: Ed25519.
    Private(Arc<Ed25519KeyPair>),
}

/// Why a text is no key to sign with, as the end of a sentence that begins with its place. Never the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SigningKeyError {
    /// There is nothing.
    #[error("is empty")]
    Empty,
    /// It is for the other side.
    #[error("is a public key, which verifies and cannot sign: write the private key, which starts with whsk_")]
    Public,
    /// It is something else.
    #[error("is no signing key: one starts with whsec_ (HMAC-SHA256) or whsk_ (Ed25519)")]
    Prefix,
    /// The prefix is right, and what follows is not.
    #[error("is not base64 behind {0}")]
    Base64(&'static str),
    /// A symmetric key of the wrong size.
    #[error("has {0} bytes behind whsec_, and a key has 24 to 64: make one of 32 random bytes in base64")]
    SymmetricLength(usize),
    /// A private key of the wrong size.
    #[error("has {0} bytes behind whsk_, and a key has 32 (the seed) or 64 (the seed and its public key)")]
    PrivateLength(usize),
    /// A private key whose parts are not of one pair.
    #[error("has a public key in its second half that is not its own")]
    Halves,
}

impl SigningKey {
    /// Reads `whsec_…` or `whsk_…`.
    ///
    /// # Errors
    /// [`SigningKeyError`] when it is neither.
    pub fn parse(text: &str) -> Result<Self, SigningKeyError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(SigningKeyError::Empty);
        }
        if text.starts_with("whpk_") || text.contains("PUBLIC KEY") {
            return Err(SigningKeyError::Public);
        }
        let bytes = |prefix: &'static str| {
            let encoded = text.strip_prefix(prefix)?;
            Some(STANDARD.decode(encoded).map_err(|_| SigningKeyError::Base64(prefix)))
        };
        match (bytes("whsec_"), bytes("whsk_")) {
            (Some(bytes), _) => Self::symmetric(&bytes?),
            (None, Some(bytes)) => Self::private(&bytes?),
            (None, None) => Err(SigningKeyError::Prefix),
        }
    }

    fn symmetric(bytes: &[u8]) -> Result<Self, SigningKeyError> {
        let wrong = SigningKeyError::SymmetricLength(bytes.len());
        let mac = SYMMETRIC.contains(&bytes.len()).then(|| Hmac::new_from_slice(bytes).ok()).flatten();
        Ok(Self(Key::Symmetric(mac.ok_or(wrong)?)))
    }

    fn private(bytes: &[u8]) -> Result<Self, SigningKeyError> {
        let pair = match bytes.len() {
            HALF => Ed25519KeyPair::from_seed_unchecked(bytes),
            64 => Ed25519KeyPair::from_seed_and_public_key(&bytes[..HALF], &bytes[HALF..]),
            other => return Err(SigningKeyError::PrivateLength(other)),
        };
        Ok(Self(Key::Private(Arc::new(pair.map_err(|_| SigningKeyError::Halves)?))))
    }

    /// One item of the signature field.
    fn item(&self, head: &str, body: &[u8]) -> String {
        match &self.0 {
            Key::Symmetric(key) => {
                let mac = key.clone().chain_update(head.as_bytes()).chain_update(body);
                format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
            }
            // Ed25519 reads its message twice, so it must lie in one piece.
            Key::Private(pair) => format!("v1a,{}", STANDARD.encode(pair.sign(&[head.as_bytes(), body].concat()))),
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Key::Symmetric(_) => "SigningKey(v1)",
            Key::Private(_) => "SigningKey(v1a)",
        })
    }
}

/// The values of [`FIELDS`]: the ID as it is sent, the second, and a signature by each key, in the order of the keys. The
/// ID must hold no ".", which separates it from what follows, and nothing that a header field cannot hold.
pub fn sign(keys: &[SigningKey], id: String, now: Timestamp, body: &[u8]) -> [String; 3] {
    let at = now.as_secs().to_string();
    let head = format!("{id}.{at}.");
    let items: Vec<_> = keys.iter().map(|key| key.item(&head, body)).collect();
    [id, at, items.join(" ")]
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ED25519, KeyPair as _, UnparsedPublicKey};
    use proptest::prelude::*;

    use super::*;

    /// The example of the specification and of its packages' own tests.
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn key(text: &str) -> SigningKey {
        SigningKey::parse(text).unwrap()
    }

    fn whsk(bytes: &[u8]) -> String {
        format!("whsk_{}", STANDARD.encode(bytes))
    }

    #[test]
    fn the_specifications_example_comes_out() {
        let now = Timestamp::from_millis(1_614_265_330_999);
        let fields = sign(&[key(SECRET)], "msg_p5jXN8AQM9LWM0D4loKWxJek".to_owned(), now, br#"{"test": 2432232314}"#);
        let expected = ["msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="];
        assert_eq!(fields, expected);
    }

    /// RFC 8032, 7.1, test 1: the seed and its public key. The signature must hold under that public key.
    #[test]
    fn a_private_key_signs_whether_or_not_its_public_key_follows_it() {
        let seed = hex::decode("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60").unwrap();
        let public = hex::decode("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a").unwrap();
        let short = key(&whsk(&seed));
        let [id, at, signature] = sign(std::slice::from_ref(&short), "a:1".to_owned(), Timestamp::from_secs(7), b"body\xff");
        let bytes = STANDARD.decode(signature.strip_prefix("v1a,").unwrap()).unwrap();
        let holds = |content: &[u8]| UnparsedPublicKey::new(&ED25519, &public).verify(content, &bytes).is_ok();
        assert!(holds(format!("{id}.{at}.body").as_bytes().iter().copied().chain([0xff]).collect::<Vec<_>>().as_slice()));
        assert!(!holds(b"a:1.7.body"));
        let long = key(&whsk(&[&seed[..], &public].concat()));
        assert_eq!(short.item("a:1.7.", b"body\xff"), long.item("a:1.7.", b"body\xff"));
        let Key::Private(pair) = &short.0 else { panic!("{short:?}") };
        assert_eq!(pair.public_key().as_ref(), public);
    }

    #[test]
    fn each_key_signs_in_the_order_of_the_keys() {
        let keys = [key(SECRET), key(&whsk(&[7; 32])), key("whsec_c2Vjb25kIGtleSwgMjQgYnl0ZXMgbG9uZw==")];
        let [.., signature] = sign(&keys, "a:1".to_owned(), Timestamp::from_secs(7), b"{}");
        let items: Vec<_> = signature.split(' ').collect();
        assert_eq!(items, keys.map(|key| key.item("a:1.7.", b"{}")));
        assert!(items[0].starts_with("v1,") && items[1].starts_with("v1a,") && items[2].starts_with("v1,"));
    }

    #[test]
    fn what_is_no_key_is_told_apart() {
        let other = key_pair_bytes(1, 2);
        let cases = [
            (String::new(), SigningKeyError::Empty),
            (" \n".to_owned(), SigningKeyError::Empty),
            ("whpk_A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=".to_owned(), SigningKeyError::Public),
            ("-----BEGIN PUBLIC KEY-----".to_owned(), SigningKeyError::Public),
            ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned(), SigningKeyError::Prefix),
            ("WHSEC_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned(), SigningKeyError::Prefix),
            ("whsec_very-secret-value".to_owned(), SigningKeyError::Base64("whsec_")),
            ("whsec_YWE".to_owned(), SigningKeyError::Base64("whsec_")),
            ("whsk_hunter2!".to_owned(), SigningKeyError::Base64("whsk_")),
            ("whsec_".to_owned(), SigningKeyError::SymmetricLength(0)),
            (format!("whsec_{}", STANDARD.encode([1; 23])), SigningKeyError::SymmetricLength(23)),
            (format!("whsec_{}", STANDARD.encode([1; 65])), SigningKeyError::SymmetricLength(65)),
            (whsk(&[1; 31]), SigningKeyError::PrivateLength(31)),
            (whsk(&[1; 33]), SigningKeyError::PrivateLength(33)),
            (whsk(&other), SigningKeyError::Halves),
        ];
        for (text, expected) in cases {
            assert_eq!(SigningKey::parse(&text).unwrap_err(), expected, "{text}");
        }
        for length in [24, 64] {
            SigningKey::parse(&format!("whsec_{}\n", STANDARD.encode(vec![1; length]))).unwrap();
        }
    }

    /// The seed of one pair, and the public key of another.
    fn key_pair_bytes(seed: u8, other: u8) -> Vec<u8> {
        let other = Ed25519KeyPair::from_seed_unchecked(&[other; 32]).unwrap();
        [&[seed; 32], other.public_key().as_ref()].concat()
    }

    #[test]
    fn a_key_shows_its_kind_and_not_itself() {
        assert_eq!(format!("{:?}", [key(SECRET), key(&whsk(&[7; 32]))]), "[SigningKey(v1), SigningKey(v1a)]");
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic_or_is_repeated(text in "(whsec_|whsk_|whpk_)?[a-zA-Z0-9+/=]{0,100}") {
            if let Err(error) = SigningKey::parse(&text) {
                prop_assert!(text.len() < 12 || !error.to_string().contains(&text));
            }
        }
    }
}
