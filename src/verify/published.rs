//! Keys that a sender publishes. Which one a request needs is found here, and what came from there is read here; fetching
//! it is somebody else's work, since nothing in `verify` does I/O.

use std::sync::Arc;

use super::content::Scope;
use super::identify;
use super::jwt::{self, TokenKey};
use super::key::{Key, PublicKey};
use super::{Scheme, Verifier, json, message, prove};
use crate::domain::{Code, RawRequest, Rejection};
use crate::provider::{Locator, Part, Published, PublishedForm, Signature, Template};

/// The longest URL that is believed.
const MAX_URL: usize = 2_048;
/// The longest text that a request may put into a URL.
const MAX_PIECE: usize = 128;

/// A key as the sender publishes it, read and ready for use. Cheap to clone.
#[derive(Clone)]
pub struct PublishedKey(Arc<Form>);

enum Form {
    /// The DER bytes of a public key.
    Public(Vec<u8>),
    /// Keys for tokens.
    Tokens(Arc<[TokenKey]>),
}

/// A key that must be at hand before a request can be judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Where it is; only URLs that the row allows get here.
    pub url: String,
    /// What is known of it.
    pub rule: Published,
    /// The ID of the key, where a set of keys is published.
    pub kid: Option<String>,
}

impl PublishedKey {
    /// Reads what the sender publishes.
    ///
    /// # Errors
    /// What is wrong with it, as the end of a sentence.
    pub fn read(bytes: &[u8], form: &PublishedForm) -> Result<Self, &'static str> {
        let text = || std::str::from_utf8(bytes).map_err(|_| "is not text");
        let public = |text: &str| crate::provider::KeyForm::Public.key(text).map(Form::Public);
        let form = match form {
            PublishedForm::Certificate | PublishedForm::Pem => public(text()?)?,
            PublishedForm::JwkSet => Form::Tokens(TokenKey::published(text()?)?.into()),
            PublishedForm::Json(pointer) => {
                let pointers = json::PointerSet::new([pointer.clone()]);
                let values = pointers.find(bytes).map_err(|_| "is not JSON")?;
                public(pointers.value(pointer, &values).ok_or("has no key where it should be")?)?
            }
        };
        Ok(Self(Arc::new(form)))
    }

    /// Whether it has a key of that ID; a single key is of any.
    pub fn has(&self, kid: Option<&str>) -> bool {
        match &*self.0 {
            Form::Public(_) => true,
            Form::Tokens(keys) => keys.iter().any(|key| key.is_of(kid)),
        }
    }
}

/// Shows nothing of the key.
impl std::fmt::Debug for PublishedKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PublishedKey")
    }
}

impl Verifier {
    /// The published key without which this request cannot be judged; `None` where none is needed, or none that the row
    /// allows is named: then the request is judged without.
    pub fn wanted_key(&self, request: &RawRequest) -> Option<Wanted> {
        if !self.schemes.iter().any(|scheme| scheme.signature.published.is_some() && scheme.keys.is_empty()) {
            return None;
        }
        let mut scope = Scope::new(request, &self.setup);
        if identify::reads_body_first(self.provider()) {
            scope.read_json(&self.pointers);
        }
        let scheme = self.schemes.iter().find(|scheme| prove::is_filled(scheme, &scope) && prove::applies(&scheme.signature, &scope))?;
        let rule = scheme.signature.published.as_ref().filter(|_| scheme.keys.is_empty())?;
        // What is refused with any key needs none: a stranger's message has nothing fetched.
        if scheme.signature.is_in_body() && identify::check_required(&scheme.signature, &scope).is_err() {
            return None;
        }
        let kid = read_key_id(&scheme.signature, &mut scope);
        let url = url(rule, &scope).ok()?;
        Some(Wanted { url, rule: rule.clone(), kid })
    }
}

/// The key for this way to sign, if it is published and at hand.
///
/// A request that names a URL which is not the sender's is refused, even where the key is known already.
pub(super) fn key(scheme: &Scheme, scope: &mut Scope<'_>) -> Result<Option<Key>, Rejection> {
    let signature = &scheme.signature;
    let Some(rule) = &signature.published else { return Ok(None) };
    if scheme.keys.is_empty() || rule.is_named_by_request() {
        read_key_id(signature, scope);
        url(rule, scope)?;
    }
    match scope.published.map(|key| &*key.0) {
        None => Ok(None),
        Some(Form::Tokens(keys)) => Ok(Some(Key::Tokens(Arc::clone(keys)))),
        Some(Form::Public(bytes)) => {
            let problem = |problem| Rejection::new(Code::SignatureMismatch, format!("the key that the sender publishes {problem}"));
            PublicKey::new(signature.algorithm, bytes.clone()).map(Key::Public).map(Some).map_err(problem)
        }
    }
}

/// Has the ID of the key, which a token says in its header, stand among the signature's items.
fn read_key_id(signature: &Signature, scope: &mut Scope<'_>) -> Option<String> {
    if let Some(id) = message::key_id(signature, scope) {
        scope.items = vec![("keyid".into(), id.into())];
        return None;
    }
    let rule = signature.jwt.as_ref()?;
    let value = prove::found(signature, scope)?.into_iter().next()?;
    let token = std::str::from_utf8(&value).ok()?;
    let kid = jwt::key_id(token.strip_prefix(&signature.prefix).unwrap_or(token), rule)?;
    scope.items = vec![("kid".into(), kid.clone().into())];
    Some(kid)
}

/// Where the key is, if the row allows that place.
fn url(rule: &Published, scope: &Scope<'_>) -> Result<String, Rejection> {
    let refused = |problem: &str| {
        let diagnosis = format!("the URL of the key that the request names {problem}");
        Err(Rejection::new(Code::SignatureMismatch, diagnosis))
    };
    let Some(url) = rendered(&rule.url, scope) else { return refused("is missing or cannot be one") };
    if url.len() > MAX_URL {
        return refused("is too long");
    }
    rule.check(&url).map(|()| url).or_else(refused)
}

/// A URL: a place that holds it whole, or text with places between that hold plain names.
pub(super) fn rendered(template: &Template, scope: &Scope<'_>) -> Option<String> {
    if let [Part::Value(place)] = template.parts() {
        return scope.text(place).map(std::borrow::Cow::into_owned);
    }
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let plain =
        |place: &&Locator| scope.text(place).is_some_and(|text| (1..=MAX_PIECE).contains(&text.len()) && text.bytes().all(is_plain));
    template.locators().iter().all(plain).then(|| scope.render(template)).flatten()
}
