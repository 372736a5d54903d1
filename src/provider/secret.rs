//! From a secret, as the sender shows it, to the bytes of a key. Messages say what is wrong and never repeat the secret.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use sha1::{Digest as _, Sha1};

use super::{Algorithm, KeyForm, Provider};

impl KeyForm {
    /// The key in this secret.
    ///
    /// # Errors
    /// What is wrong with the secret, as the end of a sentence.
    pub fn key(self, secret: &str) -> Result<Vec<u8>, &'static str> {
        let key = match self {
            Self::Text => secret.as_bytes().to_vec(),
            Self::Hex => hex::decode(secret.trim()).map_err(|_| "is not hex")?,
            Self::Base64 => STANDARD.decode(secret.trim()).map_err(|_| "is not base64")?,
            Self::Sha1 => Sha1::digest(secret.as_bytes()).to_vec(),
            Self::Public => public_key(secret.trim())?,
            Self::Whsec => {
                let text = secret.trim();
                if text.starts_with("whpk_") || text.starts_with("whsk_") {
                    return Err("is a key of another kind: an HMAC secret starts with whsec_");
                }
                STANDARD.decode(text.strip_prefix("whsec_").unwrap_or(text)).map_err(|_| "is not base64 behind whsec_")?
            }
        };
        if key.is_empty() { Err("is empty") } else { Ok(key) }
    }
}

/// The raw or DER bytes of a public key.
fn public_key(text: &str) -> Result<Vec<u8>, &'static str> {
    const PROBLEM: &str = "is no public key: PEM, or hex or base64 of its bytes";
    if text.starts_with("whsec_") || text.contains("PRIVATE KEY") || text.starts_with("whsk_") {
        return Err("is a secret key, where the sender's public key belongs");
    }
    if text.starts_with("-----BEGIN") {
        let body: String = text.lines().filter(|line| !line.starts_with("-----")).flat_map(|line| line.trim().chars()).collect();
        return STANDARD.decode(body).map_err(|_| PROBLEM);
    }
    let text = text.strip_prefix("whpk_").unwrap_or(text);
    hex::decode(text).or_else(|_| STANDARD.decode(text)).map_err(|_| PROBLEM)
}

impl Provider {
    /// Whether this can be a secret of the sender.
    ///
    /// # Errors
    /// What is wrong with it, as the end of a sentence.
    pub fn check_secret(&self, secret: &str) -> Result<(), &'static str> {
        let is_key = |algorithm: Algorithm| !algorithm.sends_secret() && !matches!(algorithm, Algorithm::None | Algorithm::Jwt);
        match self.signatures.iter().any(|signature| is_key(signature.algorithm)) {
            true => self.key_form.key(secret).map(drop),
            false => Ok(()),
        }
    }
}
