//! Signing a request as its sender would: for fixtures, `onceward send` and users' own tests.

use std::borrow::Cow;

use secrecy::ExposeSecret;

use super::content::Scope;
use super::key::Key;
use super::{Scheme, Verifier, age, json, tag, wire};
use crate::domain::{HeaderBuilder, RawRequest, Timestamp};
use crate::provider::{Algorithm, Encoding, Locator, Naming, Place, Signature, Want};

/// A request that cannot be signed by its row.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The row has no way to sign that is supported here.
    #[error("requests of {0} cannot be signed here: nothing proves their sender")]
    NothingToSign(String),
    /// Something that is signed is not in the request.
    #[error("{0}")]
    Missing(String),
    /// The timestamp's place in the body was not found.
    #[error("the body has no number at {0} to put the timestamp into")]
    NoTimestamp(String),
}

impl Verifier {
    /// The request with its timestamp set to `now` and signed with the source's first secret, by the way to sign that
    /// the request already uses, else the row's first.
    ///
    /// # Errors
    /// [`SignError`] when the row or the request does not allow it.
    pub fn sign(&self, request: &RawRequest, now: Timestamp) -> Result<RawRequest, SignError> {
        let used = self.schemes.iter().find(|scheme| match &scheme.signature.place {
            Place::Header(name) => request.headers.get(name).is_some(),
            _ => false,
        });
        let can_sign = |algorithm: Algorithm| !matches!(algorithm, Algorithm::None | Algorithm::Jwt) && !algorithm.is_public();
        let in_body = |place: &Place| matches!(place, Place::Json(_) | Place::Form(_));
        let scheme = used.or(self.schemes.first());
        // What an HTTP Message Signature covers is its sender's choice.
        let is_ours = |signature: &Signature| can_sign(signature.algorithm) && !in_body(&signature.place) && signature.components.is_none();
        let scheme = scheme.filter(|scheme| is_ours(&scheme.signature));
        let scheme = scheme.ok_or_else(|| SignError::NothingToSign(self.provider().name.to_string()))?;
        let key = scheme.keys.get(scheme.signature.secret.map_or(0, |position| position.saturating_sub(1)));
        let key = key.ok_or_else(|| SignError::NothingToSign(self.provider().name.to_string()))?;
        let mut signed = request.clone();
        signed.received_at = now;
        let timestamp = set_timestamp(&mut signed, &scheme.signature, now)?;
        let value = self.signature_value(scheme, key, &signed, timestamp)?;
        place(&mut signed, &scheme.signature.place, &value);
        Ok(signed)
    }

    /// What stands where the signature does; the timestamp is one of its items, if it has items.
    pub(super) fn signature_value(
        &self,
        scheme: &Scheme,
        key: &Key,
        request: &RawRequest,
        timestamp: Option<String>,
    ) -> Result<String, SignError> {
        let signature = &scheme.signature;
        if let Key::Sent(secret) = key {
            return Ok(match signature.algorithm {
                Algorithm::Basic => format!("Basic {}", wire::encode(secret.expose_secret().as_bytes(), Encoding::Base64)),
                _ => format!("{}{}", signature.prefix, secret.expose_secret()),
            });
        }
        let mut scope = Scope::new(request, &self.setup);
        scope.timestamp = timestamp.clone().map(Cow::Owned);
        let tag = tag::tag(key, signature, &scope).map_err(|missing| SignError::Missing(missing.diagnosis))?;
        let encoded = wire::encode(&tag, signature.encoding);
        let Some(items) = &signature.items else { return Ok(format!("{}{encoded}", signature.prefix)) };
        let own = items.take.first().and_then(|want| match want {
            Want::Text(name) => Some(name.clone()),
            Want::Param(name) => self.setup.params.get(name).cloned(),
            // Any name may stand there, and none is known here.
            Want::Something | Want::Nothing | Want::OneLine | Want::Without(_) | Want::OneOf(_) | Want::Hex(..) => None,
        });
        let own = own.ok_or_else(|| SignError::NothingToSign(self.provider().name.to_string()))?;
        let named = |name: &str, value: &str| match &items.naming {
            Naming::Pair(pair) => format!("{name}{pair}{value}"),
            Naming::Positions(_) => value.to_owned(),
        };
        let mut value = signature.prefix.clone();
        if let (Some(Locator::SignatureItem(name)), Some(text)) = (signature.timestamp.as_ref().map(|rule| &rule.from), timestamp) {
            value += &named(name, &text);
            value += &items.separator;
        }
        Ok(value + &named(&own, &encoded))
    }
}

/// Puts the time where the row has it and returns its text.
fn set_timestamp(request: &mut RawRequest, signature: &Signature, now: Timestamp) -> Result<Option<String>, SignError> {
    let Some(rule) = &signature.timestamp else { return Ok(None) };
    let text = age::print(now, rule.unit);
    match &rule.from {
        Locator::Header(name) => set_header(request, name, text.as_bytes()),
        Locator::Json(pointer) => {
            let span = json::span(&request.body, pointer).ok_or_else(|| SignError::NoTimestamp(pointer.clone()))?;
            let body = [&request.body[..span.start], text.as_bytes(), &request.body[span.end..]].concat();
            request.body = body.into();
        }
        _ => {}
    }
    Ok(Some(text))
}

fn place(request: &mut RawRequest, place: &Place, value: &str) {
    match place {
        Place::Header(name) => set_header(request, name, value.as_bytes()),
        Place::Query(name) => {
            let others = request.query.split('&').filter(|pair| !pair.is_empty() && pair.split('=').next() != Some(name));
            let mut pairs: Vec<String> = others.map(str::to_owned).collect();
            pairs.push(format!("{name}={value}"));
            request.query = pairs.join("&");
        }
        // A family of headers begins with number 1; what stands in a body cannot be set from here.
        Place::Headers(family) => set_header(request, &format!("{family}1"), value.as_bytes()),
        Place::Json(_) | Place::Form(_) | Place::Nowhere => {}
    }
}

/// Replaces the first field of that name where it stands and drops its repeats, or adds one.
fn set_header(request: &mut RawRequest, name: &str, value: &[u8]) {
    let mut set = HeaderBuilder::with_capacity(request.headers.encoded().len() + value.len());
    let mut done = false;
    for (field, old) in request.headers.iter() {
        if field != name {
            set.push(field, old);
        } else if !done {
            set.push(name, value);
            done = true;
        }
    }
    if !done {
        set.push(name, value);
    }
    request.headers = set.build();
}

impl Verifier {
    /// The request without any signature that the row knows, in headers and query: as somebody without a secret would send it.
    pub fn unsigned(&self, request: &RawRequest) -> RawRequest {
        let places: Vec<_> = self.provider().signatures.iter().map(|signature| &signature.place).collect();
        let in_header = |name: &str| places.iter().any(|place| is_header(place, name));
        let in_query = |pair: &str| {
            let name = pair.split('=').next().unwrap_or_default();
            places.iter().any(|place| matches!(place, Place::Query(parameter) if parameter == name))
        };
        let query = request.query.split('&').filter(|pair| !in_query(pair)).collect::<Vec<_>>().join("&");
        RawRequest { headers: request.headers.without(in_header), query, ..request.clone() }
    }

    /// Whether a signature of the row stands in that header, by its lower-case name.
    pub fn signs_in(&self, header: &str) -> bool {
        self.provider().signatures.iter().any(|signature| is_header(&signature.place, header))
    }
}

fn is_header(place: &Place, name: &str) -> bool {
    match place {
        Place::Header(header) => header == name,
        Place::Headers(family) => name.starts_with(family.as_str()),
        _ => false,
    }
}
