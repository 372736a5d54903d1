//! The proof: the signature that is there, over the content that the row says, under a secret of the source.

use subtle::ConstantTimeEq;

use super::Scheme;
use super::content::Scope;
use super::key::{Key, MacState};
use super::wire;
use crate::domain::{Code, Rejection};
use crate::provider::{Algorithm, Locator, Part, Place, Signature, TimestampRule};

/// What was proved.
pub(super) struct Proof<'a> {
    /// By which secret, as its position.
    pub(super) verified_by: String,
    /// The timestamp rule of the signature that held.
    pub(super) timestamp: Option<&'a TimestampRule>,
    /// Where the event's ID may be.
    pub(super) event_id: &'a [Locator],
}

impl<'a> Proof<'a> {
    /// For what is taken as it comes.
    pub(super) fn unverified(event_id: &'a [Locator]) -> Self {
        Self { verified_by: "none".into(), timestamp: None, event_id }
    }
}

/// Proves a request by the first way to sign whose place is filled; there is no falling back from it.
pub(super) fn prove<'a>(schemes: &'a [Scheme], scope: &mut Scope<'a>) -> Result<Proof<'a>, Rejection> {
    let Some((scheme, value)) = schemes.iter().find_map(|scheme| found(&scheme.signature, scope).map(|value| (scheme, value))) else {
        let places: Vec<_> = schemes.iter().map(|scheme| place_name(&scheme.signature.place)).collect();
        return Err(Rejection::new(Code::SignatureMissing, format!("there is no {}", places.join(" and no "))));
    };
    let signature = &scheme.signature;
    if signature.algorithm == Algorithm::None {
        return Ok(Proof::unverified(&scheme.event_id));
    }
    refuse_repeated(signature, scope)?;
    refuse_unsigned_fields(signature, scope)?;
    let value = value.and_then(|bytes| std::str::from_utf8(bytes).ok()).ok_or_else(|| malformed(signature, "it is not text"))?;
    let position = match signature.algorithm {
        Algorithm::Token => match_token(scheme, value)?,
        _ => match_mac(scheme, value, scope)?,
    };
    Ok(Proof { verified_by: format!("secret:{}", position + 1), timestamp: signature.timestamp.as_ref(), event_id: &scheme.event_id })
}

/// The raw value where a signature should stand: outer `None` when the place is empty.
#[allow(clippy::option_option, reason = "nowhere to look is not the same as nothing found")]
fn found<'a>(signature: &Signature, scope: &Scope<'a>) -> Option<Option<&'a [u8]>> {
    match &signature.place {
        Place::Header(name) => scope.request.headers.get(name).map(Some),
        Place::Query(name) => {
            // Tokens in a query have no escapes: the raw text is the token.
            let pairs = scope.request.query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.filter(|(key, _)| key == name).map(|(_, value)| Some(value.as_bytes())).next()
        }
        Place::Nowhere => Some(None),
    }
}

fn place_name(place: &Place) -> String {
    match place {
        Place::Header(name) => format!("header {name}"),
        Place::Query(name) => format!("query parameter {name}"),
        Place::Nowhere => "signature".into(),
    }
}

fn malformed(signature: &Signature, what: &str) -> Rejection {
    Rejection::new(Code::SignatureMalformed, format!("the signature in {} cannot be read: {what}", place_name(&signature.place)))
}

/// A header that the proof rests on must come once: two copies could be read one way here and another way elsewhere.
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
    match own.into_iter().chain(signed).find(|name| scope.request.headers.all(name).nth(1).is_some()) {
        Some(name) => Err(Rejection::new(Code::SignatureMalformed, format!("the header {name} came more than once"))),
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

fn match_token(scheme: &Scheme, value: &str) -> Result<usize, Rejection> {
    let signature = &scheme.signature;
    let token = value.strip_prefix(&signature.prefix).ok_or_else(|| malformed(signature, "its prefix is missing"))?;
    let position = scheme.keys.iter().position(|key| key.is_token(token.as_bytes()));
    position.ok_or_else(|| {
        let place = place_name(&signature.place);
        Rejection::new(Code::SignatureMismatch, format!("the token in {place} is not {}", secrets(scheme)))
    })
}

fn match_mac<'a>(scheme: &Scheme, value: &'a str, scope: &mut Scope<'a>) -> Result<usize, Rejection> {
    let signature = &scheme.signature;
    let parsed = wire::parse(value, signature).map_err(|what| malformed(signature, &what))?;
    scope.items = parsed.items;
    read_timestamp(signature, scope)?;
    for (position, key) in scheme.keys.iter().enumerate() {
        let tag = tag(key, signature, scope)?;
        // Every candidate is compared, whichever matches, so that the time does not tell which.
        let matches = parsed.candidates.iter().map(|candidate| candidate.ct_eq(&tag)).fold(0u8, |any, one| any | one.unwrap_u8());
        if matches == 1 {
            return Ok(position);
        }
    }
    let (place, secrets) = (place_name(&signature.place), secrets(scheme));
    let diagnosis = format!("the signature in {place} was not made with {secrets}, or the request was changed on its way");
    Err(Rejection::new(Code::SignatureMismatch, diagnosis))
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
    if rule.from.json_pointer().is_some() {
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
    let Key::Mac(state) = key else { return Err(malformed(signature, "the source has no key for it")) };
    let mut state = state.clone();
    absorb(&mut state, signature.signed.parts(), scope).map_err(|place| {
        Rejection::new(Code::SignatureMalformed, format!("the {place} is signed by this sender, and the request has none"))
    })?;
    Ok(state.finish())
}

fn absorb(state: &mut MacState, parts: &[Part], scope: &Scope<'_>) -> Result<(), Locator> {
    for part in parts {
        match part {
            Part::Text(text) => state.update(text.as_bytes()),
            Part::Value(place) => state.update(&scope.bytes(place).ok_or_else(|| place.clone())?),
            Part::Optional(inner) => {
                let whole = inner.iter().all(|part| match part {
                    Part::Value(place) => scope.bytes(place).is_some_and(|bytes| !bytes.is_empty()),
                    _ => true,
                });
                if whole {
                    absorb(state, inner, scope)?;
                }
            }
        }
    }
    Ok(())
}
