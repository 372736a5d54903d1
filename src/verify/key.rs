//! Keys, prepared once for each source and secret.

use std::sync::Arc;

use aws_lc_rs::signature::{self, ParsedPublicKey, UnparsedPublicKey, VerificationAlgorithm};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha1::Sha1;
use sha2::{Sha256, Sha384, Sha512};
use subtle::ConstantTimeEq;

use super::jwt::TokenKey;
use crate::provider::{Algorithm, Provider, Signature};

/// A secret that cannot become a key. Tells its position and never its value.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("secret {position} {problem}")]
pub struct KeyError {
    /// The secret's position in the source's list, from 1.
    pub position: usize,
    /// What is wrong with it.
    pub problem: &'static str,
}

/// A key in the form that an algorithm needs.
#[allow(clippy::large_enum_variant, reason = "a handful for each source, and the large one is the common one")]
pub(super) enum Key {
    /// An HMAC state with the key already absorbed.
    Mac(MacState),
    /// The secret, where it is hashed together with the content.
    Hashed(SecretString),
    /// A public key of the sender.
    Public(PublicKey),
    /// Keys for tokens.
    Tokens(Arc<[TokenKey]>),
    /// What is sent as it is: a token, or user and password.
    Sent(SecretString),
}

/// A public key with the algorithm that it is for.
pub(super) struct PublicKey {
    algorithm: &'static dyn VerificationAlgorithm,
    bytes: Vec<u8>,
}

impl PublicKey {
    pub(super) fn new(algorithm: Algorithm, bytes: Vec<u8>) -> Result<Self, &'static str> {
        let algorithm: &'static dyn VerificationAlgorithm = match algorithm {
            Algorithm::Ed25519 => &signature::ED25519,
            Algorithm::EcdsaP256 => &signature::ECDSA_P256_SHA256_ASN1,
            Algorithm::RsaSha1 => &signature::RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY,
            Algorithm::RsaSha512 => &signature::RSA_PKCS1_2048_8192_SHA512,
            _ => &signature::RSA_PKCS1_2048_8192_SHA256,
        };
        // Only a key of the right kind can be parsed, so that a wrong one is found when it is configured.
        ParsedPublicKey::new(algorithm, bytes.clone()).map_err(|_| "is no public key of the kind that this sender has")?;
        Ok(Self { algorithm, bytes })
    }

    /// Whether the signature over the content is this key's.
    pub(super) fn verifies(&self, content: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(self.algorithm, &self.bytes).verify(content, signature).is_ok()
    }
}

/// A running HMAC.
#[derive(Clone)]
pub(super) enum MacState {
    Sha1(Hmac<Sha1>),
    Sha256(Hmac<Sha256>),
    Sha384(Hmac<Sha384>),
    Sha512(Hmac<Sha512>),
}

impl Key {
    /// The keys of all secrets, in their order. None are needed where the sender publishes its key or tells the secret.
    pub(super) fn all(secrets: &[SecretString], provider: &Provider, signature: &Signature) -> Result<Vec<Self>, KeyError> {
        if signature.algorithm == Algorithm::None {
            return Ok(Vec::new());
        }
        let key = |(at, secret): (usize, &SecretString)| {
            Self::new(secret, provider, signature).map_err(|problem| KeyError { position: at + 1, problem })
        };
        match secrets.is_empty() {
            true if signature.published.is_some() || provider.learns() => Ok(Vec::new()),
            true => Err(KeyError { position: 1, problem: "is missing" }),
            false => secrets.iter().enumerate().map(key).collect(),
        }
    }

    fn new(secret: &SecretString, provider: &Provider, signature: &Signature) -> Result<Self, &'static str> {
        let (text, algorithm, form) = (provider.bare_secret(secret.expose_secret()), signature.algorithm, provider.key_form);
        if text.trim().is_empty() {
            return Err("is empty");
        }
        if let Some(rule) = &signature.jwt {
            return TokenKey::all(secret, rule).map(|keys| Self::Tokens(keys.into()));
        }
        match algorithm {
            Algorithm::Token | Algorithm::Basic => Ok(Self::Sent(secret.clone())),
            Algorithm::Sha256 => Ok(Self::Hashed(secret.clone())),
            public if public.is_public() => Ok(Self::Public(PublicKey::new(algorithm, form.key(text)?)?)),
            _ => Ok(Self::Mac(MacState::new(algorithm, &form.key(text)?))),
        }
    }

    /// Whether it made this signature over the content.
    pub(super) fn made(&self, content: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Public(key) => key.verifies(content, signature),
            Self::Mac(state) => {
                let mut state = state.clone();
                state.update(content);
                state.finish().ct_eq(signature).into()
            }
            Self::Hashed(_) | Self::Tokens(_) | Self::Sent(_) => false,
        }
    }

    /// Whether this is what was sent, compared in constant time.
    pub(super) fn is_sent(&self, candidate: &[u8]) -> bool {
        match self {
            Self::Sent(secret) => bool::from(secret.expose_secret().as_bytes().ct_eq(candidate)),
            _ => false,
        }
    }
}

impl MacState {
    fn new(algorithm: Algorithm, key: &[u8]) -> Self {
        const ANY_LENGTH: &str = "HMAC takes a key of any length";
        match algorithm {
            Algorithm::HmacSha1 => Self::Sha1(Hmac::new_from_slice(key).expect(ANY_LENGTH)),
            Algorithm::HmacSha384 => Self::Sha384(Hmac::new_from_slice(key).expect(ANY_LENGTH)),
            Algorithm::HmacSha512 => Self::Sha512(Hmac::new_from_slice(key).expect(ANY_LENGTH)),
            _ => Self::Sha256(Hmac::new_from_slice(key).expect(ANY_LENGTH)),
        }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha1(mac) => mac.update(bytes),
            Self::Sha256(mac) => mac.update(bytes),
            Self::Sha384(mac) => mac.update(bytes),
            Self::Sha512(mac) => mac.update(bytes),
        }
    }

    pub(super) fn finish(self) -> Vec<u8> {
        match self {
            Self::Sha1(mac) => mac.finalize().into_bytes().to_vec(),
            Self::Sha256(mac) => mac.finalize().into_bytes().to_vec(),
            Self::Sha384(mac) => mac.finalize().into_bytes().to_vec(),
            Self::Sha512(mac) => mac.finalize().into_bytes().to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::Table;

    fn problem(secrets: &[&str], form: &str, algorithm: &str) -> KeyError {
        let text = format!("[a]\nsignature = {{ header = \"X\", algorithm = \"{algorithm}\" }}\nsecret = {{ key = \"{form}\" }}");
        let table = Table::parse(&text).unwrap();
        let secrets: Vec<SecretString> = secrets.iter().map(|secret| (*secret).to_owned().into()).collect();
        let provider = table.get("a").unwrap();
        Key::all(&secrets, provider, &provider.signatures[0]).err().unwrap()
    }

    #[test]
    fn a_secret_of_the_wrong_form_is_named_by_position_alone() {
        let error = |position, problem| KeyError { position, problem };
        assert_eq!(problem(&["fine", "  "], "text", "hmac-sha256"), error(2, "is empty"));
        assert_eq!(problem(&[], "text", "token"), error(1, "is missing"));
        assert_eq!(problem(&["00", "whsec_%%"], "hex", "hmac-sha256"), error(2, "is not hex"));
        assert_eq!(problem(&["whpk_Zm9v"], "whsec", "hmac-sha256").position, 1);
        assert_eq!(problem(&["whsec_"], "whsec", "hmac-sha256"), error(1, "is empty"));
    }

    #[test]
    fn hmac_is_the_one_of_rfc_4231() {
        let mut mac = MacState::new(Algorithm::HmacSha256, b"Jefe");
        mac.update(b"what do ya want ");
        mac.update(b"for nothing?");
        assert_eq!(hex::encode(mac.finish()), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }
}
