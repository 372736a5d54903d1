//! What is signed, piece by piece as the row has it, and the signature that a key makes of it.

use secrecy::ExposeSecret as _;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;

use super::content::Scope;
use super::key::Key;
use super::prove::malformed;
use crate::domain::{Code, Rejection};
use crate::provider::{Locator, Part, Signature};

/// Whether one of the candidates is the signature of the content under this key.
pub(super) fn holds(key: &Key, signature: &Signature, scope: &Scope<'_>, candidates: &[Vec<u8>]) -> Result<bool, Rejection> {
    if let Key::Public(public) = key {
        let mut content = Vec::with_capacity(scope.request.body.len() + 128);
        absorb(&mut |bytes: &[u8]| content.extend_from_slice(bytes), signature.signed.parts(), scope, &[])
            .map_err(|place| unsigned(&place))?;
        let content = if signature.prehash { Sha256::digest(&content).to_vec() } else { content };
        return Ok(candidates.iter().any(|candidate| public.verifies(&content, candidate)));
    }
    let tag = tag(key, signature, scope)?;
    // Every candidate is compared, whichever matches, so that the time does not tell which.
    Ok(candidates.iter().map(|candidate| candidate.ct_eq(&tag)).fold(0u8, |any, one| any | one.unwrap_u8()) == 1)
}

/// The signature's bytes as this key makes them.
pub(super) fn tag(key: &Key, signature: &Signature, scope: &Scope<'_>) -> Result<Vec<u8>, Rejection> {
    let parts = signature.signed.parts();
    match key {
        Key::Mac(state) => {
            let mut state = state.clone();
            absorb(&mut |bytes: &[u8]| state.update(bytes), parts, scope, &[]).map_err(|place| unsigned(&place))?;
            Ok(state.finish())
        }
        Key::Hashed(secret) => {
            let mut state = Sha256::new();
            let secret = secret.expose_secret().as_bytes();
            absorb(&mut |bytes: &[u8]| state.update(bytes), parts, scope, secret).map_err(|place| unsigned(&place))?;
            Ok(state.finalize().to_vec())
        }
        Key::Public(_) | Key::Sent(_) | Key::Tokens(_) => Err(malformed(signature, "nothing is made with this key here")),
    }
}

fn unsigned(place: &Locator) -> Rejection {
    if *place == Locator::CanonicalJson {
        return Rejection::new(Code::SignatureMismatch, "the body is signed as JSON, and what came is none");
    }
    Rejection::new(Code::SignatureMalformed, format!("the {place} is signed by this sender, and the request has none"))
}

/// Hands the signed content on, piece by piece; the error is a place that is empty.
fn absorb(put: &mut impl FnMut(&[u8]), parts: &[Part], scope: &Scope<'_>, secret: &[u8]) -> Result<(), Locator> {
    for part in parts {
        match part {
            Part::Text(text) => put(text.as_bytes()),
            Part::Value(Locator::Secret) => put(secret),
            Part::Value(place) => put(&scope.bytes(place).ok_or_else(|| place.clone())?),
            Part::Optional(inner) => {
                let whole = inner.iter().all(|part| match part {
                    Part::Value(place) => scope.bytes(place).is_some_and(|bytes| !bytes.is_empty()),
                    _ => true,
                });
                if whole {
                    absorb(put, inner, scope, secret)?;
                }
            }
        }
    }
    Ok(())
}
