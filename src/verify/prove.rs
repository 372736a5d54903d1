//! The proof: the signature that is there, over the content that the row says, under a secret of the source.

use std::borrow::Cow;

use secrecy::ExposeSecret as _;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;

use super::Scheme;
use super::content::Scope;
use super::key::Key;
use super::replay::Content;
use super::{jwt, wire};
use crate::domain::{Code, Rejection};
use crate::provider::{Algorithm, JwtRule, Locator, Part, Place, Signature, Template, TimestampRule};

/// The most numbered headers that are looked at.
const MAX_HEADERS: usize = 20;

/// What was proved.
pub(super) struct Proof<'a> {
    /// By which secret, as its position.
    pub(super) verified_by: String,
    /// The timestamp rule of the signature that held.
    pub(super) timestamp: Option<&'a TimestampRule>,
    /// What the token had to say, where one was the proof.
    pub(super) jwt: Option<&'a JwtRule>,
    /// Where the event's ID may be.
    pub(super) event_id: &'a [Template],
    /// What must not come back under another ID.
    pub(super) content: Option<&'a Content>,
}

impl<'a> Proof<'a> {
    /// For what is taken as it comes.
    pub(super) fn unverified(event_id: &'a [Template], content: Option<&'a Content>) -> Self {
        Self { verified_by: "none".into(), timestamp: None, jwt: None, event_id, content }
    }
}

/// Proves a request by the first way to sign whose place is filled; there is no falling back from it, unless the row says
/// that any signature that holds is enough.
pub(super) fn prove<'a>(schemes: &'a [Scheme], scope: &mut Scope<'a>, any: bool) -> Result<Proof<'a>, Rejection> {
    let filled: Vec<_> = schemes.iter().filter_map(|scheme| Some((scheme, found(&scheme.signature, scope)?))).collect();
    let mut refused = None;
    for (scheme, values) in filled.into_iter().take(if any { usize::MAX } else { 1 }) {
        match prove_by(scheme, &values, scope) {
            Ok(proof) => return Ok(proof),
            Err(rejection) => refused = refused.or(Some(rejection)),
        }
    }
    Err(refused.unwrap_or_else(|| {
        let places: Vec<_> = schemes.iter().map(|scheme| place_name(&scheme.signature.place)).collect();
        Rejection::new(Code::SignatureMissing, format!("there is no {}", places.join(" and no ")))
    }))
}

fn prove_by<'a>(scheme: &'a Scheme, values: &[Cow<'a, [u8]>], scope: &mut Scope<'a>) -> Result<Proof<'a>, Rejection> {
    let signature = &scheme.signature;
    if signature.algorithm == Algorithm::None {
        return Ok(Proof::unverified(&scheme.event_id, scheme.content.as_ref()));
    }
    refuse_repeated(signature, scope)?;
    refuse_unsigned_fields(signature, scope)?;
    let mut refused = None;
    for value in values {
        let value = text(value).ok_or_else(|| malformed(signature, "it is not text"))?;
        let outcome = match (&signature.jwt, signature.algorithm.sends_secret()) {
            (Some(rule), _) => match_token(scheme, &value, rule, scope),
            (None, true) => match_sent(scheme, &value),
            (None, false) => match_signed(scheme, &value, scope),
        };
        match outcome {
            Ok(at) => {
                let position = signature.secret.unwrap_or(at + 1);
                let verified_by = format!("secret:{position}");
                let (timestamp, jwt) = (signature.timestamp.as_ref(), signature.jwt.as_ref());
                return Ok(Proof { verified_by, timestamp, jwt, event_id: &scheme.event_id, content: scheme.content.as_ref() });
            }
            Err(rejection) => refused = refused.or(Some(rejection)),
        }
    }
    Err(refused.unwrap_or_else(|| malformed(signature, "it is empty")))
}

fn text<'a>(value: &Cow<'a, [u8]>) -> Option<Cow<'a, str>> {
    match value {
        Cow::Borrowed(bytes) => std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
        Cow::Owned(bytes) => String::from_utf8(bytes.clone()).ok().map(Cow::Owned),
    }
}

/// The raw values where a signature should stand; `None` when the place is empty, and no value where there is no place.
fn found<'a>(signature: &Signature, scope: &Scope<'a>) -> Option<Vec<Cow<'a, [u8]>>> {
    let one = |value: Option<Cow<'a, [u8]>>| value.map(|value| vec![value]);
    match &signature.place {
        Place::Header(name) => one(scope.request.headers.get(name).map(Cow::Borrowed)),
        Place::Headers(family) => {
            let is_member = |name: &str| name.strip_prefix(family.as_str()).is_some_and(|number| number.parse::<u16>().is_ok());
            let members = scope.request.headers.iter().filter(|(name, _)| is_member(name)).take(MAX_HEADERS);
            Some(members.map(|(_, value)| Cow::Borrowed(value)).collect::<Vec<_>>()).filter(|values| !values.is_empty())
        }
        Place::Query(name) => {
            // Tokens in a query have no escapes: the raw text is the token.
            let pairs = scope.request.query.split('&').filter_map(|pair| pair.split_once('='));
            one(pairs.filter(|(key, _)| key == name).map(|(_, value)| Cow::Borrowed(value.as_bytes())).next())
        }
        Place::Json(pointer) => one(scope.bytes(&Locator::Json(pointer.clone()))),
        Place::Form(name) => one(scope.bytes(&Locator::Form(name.clone()))),
        Place::Nowhere => Some(Vec::new()),
    }
}

fn place_name(place: &Place) -> String {
    match place {
        Place::Header(name) => format!("header {name}"),
        Place::Headers(family) => format!("header {family}N"),
        Place::Query(name) => format!("query parameter {name}"),
        Place::Json(pointer) => format!("JSON value {pointer}"),
        Place::Form(name) => format!("form field {name}"),
        Place::Nowhere => "signature".into(),
    }
}

fn malformed(signature: &Signature, what: &str) -> Rejection {
    Rejection::new(Code::SignatureMalformed, format!("the signature in {} cannot be read: {what}", place_name(&signature.place)))
}

/// A header or form field that the proof rests on must come once: two copies could be read one way here and another way elsewhere.
fn refuse_repeated(signature: &Signature, scope: &Scope<'_>) -> Result<(), Rejection> {
    let own = match &signature.place {
        Place::Header(name) => Some(name.as_str()),
        _ => None,
    };
    let signed = signature.signed.locators().into_iter().chain(signature.timestamp.as_ref().map(|rule| &rule.from));
    let signed = signed.filter_map(|place| match place {
        Locator::Header(name) => Some(name.as_str()),
        _ => None,
    });
    if let Some(name) = own.into_iter().chain(signed).find(|name| scope.request.headers.all(name).nth(1).is_some()) {
        return Err(Rejection::new(Code::SignatureMalformed, format!("the header {name} came more than once")));
    }
    let own_field = match &signature.place {
        Place::Form(name) => Some(name.as_str()),
        _ => None,
    };
    let fields = signature.signed.locators().into_iter().filter_map(|place| match place {
        Locator::Form(name) => Some(name.as_str()),
        _ => None,
    });
    match own_field.into_iter().chain(fields).find(|name| scope.has_field_twice(name)) {
        Some(name) => Err(Rejection::new(Code::SignatureMalformed, format!("the form field {name} came more than once"))),
        None => Ok(()),
    }
}

/// Where one field of a form is all that is signed, no other may stand beside it: a second of the same name would be
/// unsigned, and might be the one that the application reads.
fn refuse_unsigned_fields(signature: &Signature, scope: &Scope<'_>) -> Result<(), Rejection> {
    match signature.signed.locators().contains(&&Locator::Document) && scope.has_fields_beside_document() {
        true => Err(malformed(signature, "only one field of the form is signed, and there are others beside it")),
        false => Ok(()),
    }
}

/// The keys that may have made the signature, with their positions in the scheme.
fn keys(scheme: &Scheme) -> impl Iterator<Item = (usize, &Key)> {
    let only = scheme.signature.secret;
    scheme.keys.iter().enumerate().filter(move |(at, _)| only.is_none_or(|position| position == at + 1))
}

fn match_sent(scheme: &Scheme, value: &str) -> Result<usize, Rejection> {
    let signature = &scheme.signature;
    let sent: Cow<'_, [u8]> = match signature.algorithm {
        Algorithm::Basic => wire::basic(value).map(Cow::Owned).map_err(|what| malformed(signature, what))?,
        _ => match value.strip_prefix(&signature.prefix) {
            Some(token) => Cow::Borrowed(token.as_bytes()),
            None if signature.prefix_optional => Cow::Borrowed(value.as_bytes()),
            None => return Err(malformed(signature, "its prefix is missing")),
        },
    };
    let position = keys(scheme).find(|(_, key)| key.is_sent(&sent)).map(|(at, _)| at);
    position.ok_or_else(|| {
        let (what, place) =
            (if signature.algorithm == Algorithm::Basic { "user and password" } else { "token" }, place_name(&signature.place));
        Rejection::new(Code::SignatureMismatch, format!("the {what} in {place} is not {}", secrets(scheme)))
    })
}

/// A token: signed with a key of the source, and saying of the request what it must.
fn match_token(scheme: &Scheme, value: &str, rule: &JwtRule, scope: &mut Scope<'_>) -> Result<usize, Rejection> {
    let signature = &scheme.signature;
    let token = match value.strip_prefix(&signature.prefix) {
        Some(token) => token,
        None if signature.prefix_optional => value,
        None => return Err(malformed(signature, "its prefix is missing")),
    };
    let mut refused = None;
    for (position, key) in keys(scheme) {
        let Key::Tokens(keys) = key else { continue };
        match jwt::claims(token, rule, keys, scope) {
            Ok(claims) => {
                jwt::check_claims(&claims, rule, scope)?;
                scope.claims = Some(claims);
                return Ok(position);
            }
            Err(rejection) => refused = refused.or(Some(rejection)),
        }
    }
    Err(refused.unwrap_or_else(|| malformed(signature, "the source has no key for it")))
}

#[allow(clippy::ptr_arg, reason = "what is borrowed stays borrowed")]
fn match_signed<'a>(scheme: &Scheme, value: &Cow<'a, str>, scope: &mut Scope<'a>) -> Result<usize, Rejection> {
    let signature = &scheme.signature;
    let sets = wire::parse(value, signature, scope.params()).map_err(|what| malformed(signature, &what))?;
    for set in sets {
        scope.items = set.items;
        read_timestamp(signature, scope)?;
        for (position, key) in keys(scheme) {
            if holds(key, signature, scope, &set.candidates)? {
                return Ok(position);
            }
        }
    }
    let (place, secrets) = (place_name(&signature.place), secrets(scheme));
    let diagnosis = format!("the signature in {place} was not made with {secrets}, or the request was changed on its way");
    Err(Rejection::new(Code::SignatureMismatch, diagnosis))
}

/// Whether one of the candidates is the signature of the content under this key.
fn holds(key: &Key, signature: &Signature, scope: &Scope<'_>, candidates: &[Vec<u8>]) -> Result<bool, Rejection> {
    if let Key::Public(public) = key {
        let mut content = Vec::with_capacity(scope.request.body.len() + 128);
        absorb(&mut |bytes: &[u8]| content.extend_from_slice(bytes), signature.signed.parts(), scope, &[])
            .map_err(|place| unsigned(&place))?;
        return Ok(candidates.iter().any(|candidate| public.verifies(&content, candidate)));
    }
    let tag = tag(key, signature, scope)?;
    // Every candidate is compared, whichever matches, so that the time does not tell which.
    Ok(candidates.iter().map(|candidate| candidate.ct_eq(&tag)).fold(0u8, |any, one| any | one.unwrap_u8()) == 1)
}

fn secrets(scheme: &Scheme) -> String {
    match scheme.keys.len() {
        1 => "the secret of this source".to_owned(),
        many => format!("any of the {many} secrets of this source"),
    }
}

/// Takes the timestamp out of the signature's items or a header, where it is signed from there.
fn read_timestamp(signature: &Signature, scope: &mut Scope<'_>) -> Result<(), Rejection> {
    let Some(rule) = &signature.timestamp else { return Ok(()) };
    if rule.from.json_pointer().is_some() && !matches!(signature.place, Place::Json(_) | Place::Form(_)) {
        return Ok(());
    }
    scope.timestamp = scope.text(&rule.from);
    match scope.timestamp {
        Some(_) => Ok(()),
        None => Err(Rejection::new(Code::TimestampMissing, format!("there is no timestamp in the {}", rule.from))),
    }
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
