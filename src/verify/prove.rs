//! The proof: the signature that is there, over the content that the row says, under a secret of the source.

use std::borrow::Cow;
use std::collections::HashSet;

use super::Scheme;
use super::content::Scope;
use super::key::Key;
use super::replay::Content;
use super::{json, jwt, message, published, tag, wire};
use crate::domain::{Code, Rejection};
use crate::provider::{Algorithm, JwtRule, Locator, Place, Signature, Template, Want};

/// The most numbered headers that are looked at.
const MAX_HEADERS: usize = 20;

/// What was proved.
pub(super) struct Proof<'a> {
    /// By which secret, as its position.
    pub(super) verified_by: String,
    /// The way to sign that held; `None` for what is taken as it comes.
    pub(super) signature: Option<&'a Signature>,
    /// Where the event's ID may be.
    pub(super) event_id: &'a [Template],
    /// What must not come back under another ID.
    pub(super) content: Option<&'a Content>,
}

impl<'a> Proof<'a> {
    /// For what is taken as it comes.
    pub(super) fn unverified(event_id: &'a [Template], content: Option<&'a Content>) -> Self {
        Self { verified_by: "none".into(), signature: None, event_id, content }
    }
}

/// Proves a request by the first way to sign that applies and whose place is filled; there is no falling back from it,
/// unless the row says that any signature that holds is enough.
pub(super) fn prove<'a>(schemes: &'a [Scheme], scope: &mut Scope<'a>, any: bool) -> Result<Proof<'a>, Rejection> {
    let filled: Vec<_> = schemes.iter().filter(|scheme| is_filled(scheme, scope)).collect();
    let ways: Vec<_> = filled.iter().copied().filter(|scheme| applies(&scheme.signature, scope)).collect();
    let mut refused = None;
    for scheme in ways.into_iter().take(if any { usize::MAX } else { 1 }) {
        match prove_by(scheme, scope) {
            Ok(proof) => return Ok(proof),
            Err(rejection) => refused = refused.or(Some(rejection)),
        }
    }
    let none_applies = || filled.first().map(|scheme| malformed(&scheme.signature, "it is of a kind that this sender's row does not know"));
    Err(refused.or_else(none_applies).unwrap_or_else(|| {
        let places: Vec<_> = schemes.iter().map(|scheme| place_name(&scheme.signature.place)).collect();
        Rejection::new(Code::SignatureMissing, format!("there is no {}", places.join(" and no ")))
    }))
}

/// Whether there is something in the signature's place, of any item where each has its own.
pub(super) fn is_filled(scheme: &Scheme, scope: &Scope<'_>) -> bool {
    match (&scheme.signature.each, &scheme.signature.place) {
        (Some(array), Place::Json(own)) => json::each(&scope.document(), &format!("{array}/*{own}")).is_some_and(|found| !found.is_empty()),
        _ => found(&scheme.signature, scope).is_some(),
    }
}

/// Whether this is the way to sign of the request, by what else the row says.
pub(super) fn applies(signature: &Signature, scope: &Scope<'_>) -> bool {
    signature.when.iter().all(|(place, want)| wire::is_at(want, scope.text(place).as_deref(), scope.params()))
}

fn prove_by<'a>(scheme: &'a Scheme, scope: &mut Scope<'a>) -> Result<Proof<'a>, Rejection> {
    let signature = &scheme.signature;
    if signature.algorithm == Algorithm::None {
        return Ok(Proof::unverified(&scheme.event_id, scheme.content.as_ref()));
    }
    refuse_repeated(signature, scope)?;
    refuse_unsigned_fields(signature, scope)?;
    let published = published::key(scheme, scope)?;
    let keys = Keys { scheme, published };
    let by = match &signature.each {
        Some(pointer) => match_items(&keys, pointer, scope)?,
        None => match_found(&keys, scope)?,
    };
    Ok(Proof { verified_by: by.name(), signature: Some(signature), event_id: &scheme.event_id, content: scheme.content.as_ref() })
}

/// Every item of an array must be signed by itself.
fn match_items<'a>(keys: &Keys<'a>, pointer: &str, scope: &mut Scope<'a>) -> Result<By, Rejection> {
    let signature = &keys.scheme.signature;
    let document = scope.document();
    let items = json::items(&document, pointer).unwrap_or_default();
    if items.len() > json::MAX_ITEMS {
        return Err(malformed(signature, &format!("there are more than {} items", json::MAX_ITEMS)));
    }
    let (mut by, mut signatures) = (None, HashSet::new());
    for item in items {
        let values = keys.scheme.item.find(item).map_err(|error| malformed(signature, &error.to_string()))?;
        scope.item = Some((&keys.scheme.item, values));
        let is_as_wanted = |(place, want): &(Locator, Want)| wire::is_at(want, scope.text(place).as_deref(), scope.params());
        if !signature.item_when.iter().all(is_as_wanted) {
            scope.item = None;
            return Err(malformed(signature, "an item has a value that its sender does not send"));
        }
        let is_new = found(signature, scope).is_none_or(|found| signatures.insert(found));
        let outcome = match_found(keys, scope);
        scope.item = None;
        by = by.or(Some(outcome?));
        // Nothing binds the items to each other: whoever has one could send it any number of times as another request.
        if !is_new && !signature.algorithm.sends_secret() {
            return Err(malformed(signature, "an item comes twice"));
        }
    }
    by.ok_or_else(|| malformed(signature, "there is no item"))
}

/// One of the signatures that are there must hold.
fn match_found<'a>(keys: &Keys<'a>, scope: &mut Scope<'a>) -> Result<By, Rejection> {
    let signature = &keys.scheme.signature;
    let mut refused = None;
    for value in found(signature, scope).unwrap_or_default() {
        let value = text(&value).ok_or_else(|| malformed(signature, "it is not text"))?;
        let outcome = match (&signature.jwt, &signature.components, signature.algorithm.sends_secret()) {
            (Some(rule), ..) => match_token(keys, &value, rule, scope),
            (None, Some(components), _) => message::matches(keys, &value, components, scope),
            (None, None, true) => match_sent(keys, &value),
            (None, None, false) => match_signed(keys, &value, scope),
        };
        match outcome {
            Ok(by) => return Ok(by),
            Err(rejection) => refused = refused.or(Some(rejection)),
        }
    }
    Err(refused.unwrap_or_else(|| malformed(signature, "it is empty")))
}

/// Which key it was.
#[derive(Clone, Copy)]
pub(super) enum By {
    /// A secret of the source, by its position from 0.
    Secret(usize),
    /// The key that the sender publishes.
    Published,
}

impl By {
    fn name(self) -> String {
        match self {
            Self::Secret(at) => format!("secret:{}", at + 1),
            Self::Published => "published-key".to_owned(),
        }
    }
}

/// The keys that may have made a signature.
pub(super) struct Keys<'a> {
    pub(super) scheme: &'a Scheme,
    published: Option<Key>,
}

impl Keys<'_> {
    /// Each with what it is.
    pub(super) fn iter(&self) -> impl Iterator<Item = (By, &Key)> {
        let only = self.scheme.signature.secret;
        let own = self.scheme.keys.iter().enumerate().filter(move |(at, _)| only.is_none_or(|position| position == at + 1));
        own.map(|(at, key)| (By::Secret(at), key)).chain(self.published.as_ref().map(|key| (By::Published, key)))
    }

    fn names(&self) -> String {
        match (self.scheme.keys.len(), &self.published) {
            (0, _) if self.scheme.signature.published.is_none() => "a secret of this source, which has none yet".to_owned(),
            (0, _) => "the key that its sender publishes".to_owned(),
            (1, None) => "the secret of this source".to_owned(),
            (many, None) => format!("any of the {many} secrets of this source"),
            (_, Some(_)) => "a secret of this source or the key that its sender publishes".to_owned(),
        }
    }
}

fn text<'a>(value: &Cow<'a, [u8]>) -> Option<Cow<'a, str>> {
    match value {
        Cow::Borrowed(bytes) => std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
        Cow::Owned(bytes) => String::from_utf8(bytes.clone()).ok().map(Cow::Owned),
    }
}

/// The raw values where a signature should stand; `None` when the place is empty, and no value where there is no place.
pub(super) fn found<'a>(signature: &Signature, scope: &Scope<'a>) -> Option<Vec<Cow<'a, [u8]>>> {
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

pub(super) fn place_name(place: &Place) -> String {
    match place {
        Place::Header(name) => format!("header {name}"),
        Place::Headers(family) => format!("header {family}N"),
        Place::Query(name) => format!("query parameter {name}"),
        Place::Json(pointer) => format!("JSON value {pointer}"),
        Place::Form(name) => format!("form field {name}"),
        Place::Nowhere => "signature".into(),
    }
}

pub(super) fn malformed(signature: &Signature, what: &str) -> Rejection {
    Rejection::new(Code::SignatureMalformed, format!("the signature in {} cannot be read: {what}", place_name(&signature.place)))
}

/// A header, form field or query parameter that the proof rests on must come once: two copies could be read one way here and
/// another way elsewhere.
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
    if let Some(name) = own_field.into_iter().chain(fields).find(|name| scope.has_field_twice(name)) {
        return Err(Rejection::new(Code::SignatureMalformed, format!("the form field {name} came more than once")));
    }
    match &signature.place {
        Place::Query(name) if scope.has_parameter_twice(name) => {
            Err(Rejection::new(Code::SignatureMalformed, format!("the query parameter {name} came more than once")))
        }
        _ => Ok(()),
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

fn match_sent(keys: &Keys<'_>, value: &str) -> Result<By, Rejection> {
    let signature = &keys.scheme.signature;
    let sent: Cow<'_, [u8]> = match signature.algorithm {
        Algorithm::Basic => wire::basic(value).map(Cow::Owned).map_err(|what| malformed(signature, what))?,
        _ => match value.strip_prefix(&signature.prefix) {
            Some(token) => Cow::Borrowed(token.as_bytes()),
            None if signature.prefix_optional => Cow::Borrowed(value.as_bytes()),
            None => return Err(malformed(signature, "its prefix is missing")),
        },
    };
    let by = keys.iter().find(|(_, key)| key.is_sent(&sent)).map(|(by, _)| by);
    by.ok_or_else(|| {
        let (what, place) =
            (if signature.algorithm == Algorithm::Basic { "user and password" } else { "token" }, place_name(&signature.place));
        Rejection::new(Code::SignatureMismatch, format!("the {what} in {place} is not {}", keys.names()))
    })
}

/// A token: signed with a key of the source, and saying of the request what it must.
fn match_token(keys: &Keys<'_>, value: &str, rule: &JwtRule, scope: &mut Scope<'_>) -> Result<By, Rejection> {
    let signature = &keys.scheme.signature;
    let token = match value.strip_prefix(&signature.prefix) {
        Some(token) => token,
        None if signature.prefix_optional => value,
        None => return Err(malformed(signature, "its prefix is missing")),
    };
    let mut refused = None;
    for (by, key) in keys.iter() {
        let Key::Tokens(keys) = key else { continue };
        match jwt::claims(token, rule, keys, scope) {
            Ok(claims) => {
                jwt::check_claims(&claims, rule, scope)?;
                scope.claims = Some(claims);
                return Ok(by);
            }
            Err(rejection) => refused = refused.or(Some(rejection)),
        }
    }
    Err(refused.unwrap_or_else(|| malformed(signature, "the source has no key for it")))
}

#[allow(clippy::ptr_arg, reason = "what is borrowed stays borrowed")]
fn match_signed<'a>(keys: &Keys<'_>, value: &Cow<'a, str>, scope: &mut Scope<'a>) -> Result<By, Rejection> {
    let signature = &keys.scheme.signature;
    let sets = wire::parse(value, signature, scope.params()).map_err(|what| malformed(signature, &what))?;
    for set in sets {
        scope.items = set.items;
        read_timestamp(signature, scope)?;
        for (by, key) in keys.iter() {
            if tag::holds(key, signature, scope, &set.candidates)? {
                return Ok(by);
            }
        }
    }
    Err(mismatch(keys))
}

/// None of the keys has made what is there.
pub(super) fn mismatch(keys: &Keys<'_>) -> Rejection {
    let (place, secrets) = (place_name(&keys.scheme.signature.place), keys.names());
    let diagnosis = format!("the signature in {place} was not made with {secrets}, or the request was changed on its way");
    Rejection::new(Code::SignatureMismatch, diagnosis)
}

/// Takes the timestamp out of the signature's items or a header, where it is signed from there.
pub(super) fn read_timestamp(signature: &Signature, scope: &mut Scope<'_>) -> Result<(), Rejection> {
    let Some(rule) = &signature.timestamp else { return Ok(()) };
    if rule.from.json_pointer().is_some() && !signature.is_in_body() {
        return Ok(());
    }
    scope.timestamp = scope.text(&rule.from);
    match scope.timestamp {
        Some(_) => Ok(()),
        None => Err(Rejection::new(Code::TimestampMissing, format!("there is no timestamp in the {}", rule.from))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Setup, Verifier};
    use crate::domain::{Code, Headers, RawRequest, Timestamp};
    use crate::provider::Table;

    #[test]
    fn a_token_in_the_query_must_come_once_however_its_name_is_written() {
        let row = "[a]\nsignature = { from = \"query:token\", algorithm = \"token\" }";
        let setup = Setup::new(Table::parse(row).unwrap().get("a").unwrap().clone(), vec!["right".to_owned().into()]);
        let verifier = Verifier::new("a", setup).unwrap();
        let outcome = |query: &str| {
            let (method, path, headers, received_at) = ("POST".into(), "/hooks/a".into(), Headers::default(), Timestamp::from_millis(0));
            let (subpath, query, body) = (String::new(), query.into(), "{}".into());
            let request = RawRequest { method, path, subpath, query, headers, body, received_at };
            verifier.judge(&request, received_at).map(drop).map_err(|rejection| rejection.code)
        };
        assert_eq!(outcome("a=1&token=right"), Ok(()));
        assert_eq!(outcome("token=wrong"), Err(Code::SignatureMismatch));
        for twice in ["token=right&token=wrong", "token=wrong&token=right", "token=right&t%6Fken=wrong"] {
            assert_eq!(outcome(twice), Err(Code::SignatureMalformed), "{twice}");
        }
    }

    #[test]
    fn each_item_is_signed_once_and_its_values_cannot_be_cut_otherwise() {
        let row = "[a]\nsignature = { from = \"json:/s\", each = \"/list\", item_when = { \"json:/x\" = \"without::\" } }\n\
                   signed = \"{json:/x}:{json:/y}\"";
        let setup = Setup::new(Table::parse(row).unwrap().get("a").unwrap().clone(), vec!["hush".to_owned().into()]);
        let verifier = Verifier::new("a", setup).unwrap();
        let item = |x: &str, y: &str, signed: &str| {
            let mut mac = <hmac::Hmac<sha2::Sha256> as hmac::KeyInit>::new_from_slice(b"hush").unwrap();
            hmac::Mac::update(&mut mac, signed.as_bytes());
            serde_json::json!({ "x": x, "y": y, "s": hex::encode(hmac::Mac::finalize(mac).into_bytes()) })
        };
        let outcome = |items: &[serde_json::Value]| {
            let (method, path, headers, received_at) = ("POST".into(), "/hooks/a".into(), Headers::default(), Timestamp::from_millis(0));
            let (subpath, query, body) = (String::new(), String::new(), serde_json::json!({ "list": items }).to_string().into());
            let request = RawRequest { method, path, subpath, query, headers, body, received_at };
            verifier.judge(&request, received_at).map(drop).map_err(|rejection| rejection.code)
        };
        let (one, two) = (item("1", "b:c", "1:b:c"), item("2", "", "2:"));
        assert_eq!(outcome(&[one.clone(), two.clone()]), Ok(()));
        assert_eq!(outcome(&[one.clone(), two, one]), Err(Code::SignatureMalformed), "twice");
        assert_eq!(outcome(&[item("1:b", "c", "1:b:c")]), Err(Code::SignatureMalformed), "cut otherwise");
        assert_eq!(outcome(&[item("1", "c", "1:b:c")]), Err(Code::SignatureMismatch));
        assert_eq!(outcome(&[]), Err(Code::SignatureMissing));
    }
}
