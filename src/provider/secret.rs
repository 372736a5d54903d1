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

impl Provider {
    /// The part of a secret that is the key: without what stands before it.
    pub fn bare_secret<'s>(&self, secret: &'s str) -> &'s str {
        self.row.secret.strip.as_deref().map_or(secret, |pattern| strip(pattern, secret))
    }
}

/// The text behind a pattern in which `*` stands for letters, digits and `_`; the whole text where it does not begin so.
fn strip<'s>(pattern: &str, text: &'s str) -> &'s str {
    let Some((before, after)) = pattern.split_once('*') else { return text.strip_prefix(pattern).unwrap_or(text) };
    let Some(rest) = text.strip_prefix(before) else { return text };
    let word = rest.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
    rest[word..].strip_prefix(after).filter(|_| word > 0).unwrap_or(text)
}

/// The raw or DER bytes of a public key.
fn public_key(text: &str) -> Result<Vec<u8>, &'static str> {
    const PROBLEM: &str = "is no public key: PEM, or hex or base64 of its bytes";
    if text.starts_with("whsec_") || text.contains("PRIVATE KEY") || text.starts_with("whsk_") {
        return Err("is a secret key, where the sender's public key belongs");
    }
    if let Some(begun) = text.strip_prefix("-----BEGIN ") {
        let (label, rest) = begun.split_once("-----").ok_or(PROBLEM)?;
        // The first block counts: a certificate may be followed by its chain.
        let (block, _) = rest.split_once("-----END").ok_or(PROBLEM)?;
        let block: String = block.split_ascii_whitespace().collect();
        let der = STANDARD.decode(block).map_err(|_| PROBLEM)?;
        return if label == "CERTIFICATE" { key_of_certificate(&der) } else { Ok(der) };
    }
    let text = text.strip_prefix("whpk_").unwrap_or(text);
    hex::decode(text).or_else(|_| STANDARD.decode(text)).map_err(|_| PROBLEM)
}

/// The public key in a certificate, as the DER bytes of its SubjectPublicKeyInfo.
fn key_of_certificate(der: &[u8]) -> Result<Vec<u8>, &'static str> {
    let der = rustls_pki_types::CertificateDer::from(der);
    let certificate = webpki::EndEntityCert::try_from(&der).map_err(|_| "is no certificate that can be read")?;
    Ok(certificate.subject_public_key_info().as_ref().to_vec())
}

impl Provider {
    /// Whether this can be a secret of the sender.
    ///
    /// # Errors
    /// What is wrong with it, as the end of a sentence.
    pub fn check_secret(&self, secret: &str) -> Result<(), &'static str> {
        let is_key = |algorithm: Algorithm| !algorithm.sends_secret() && !matches!(algorithm, Algorithm::None | Algorithm::Jwt);
        match self.signatures.iter().any(|signature| is_key(signature.algorithm)) {
            true => self.key_form.key(self.bare_secret(secret)).map(drop),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::strip;

    #[test]
    fn what_stands_before_a_key_is_left_out_where_it_stands() {
        assert_eq!(strip("signkey-*-", "signkey-prod-abc-1"), "abc-1");
        assert_eq!(strip("signkey-*-", "abc"), "abc");
        assert_eq!(strip("signkey-*-", "signkey--abc"), "signkey--abc");
        assert_eq!(strip("key_", "key_abc"), "abc");
    }
}
