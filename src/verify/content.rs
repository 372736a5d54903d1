//! What stands where in a request: the one place that turns a [`Locator`] into bytes or text.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

use super::json::{self, PointerSet, Values};
use super::jwt::{self, Claims};
use super::key::Key;
use super::published::PublishedKey;
use super::{Setup, canonical, form, multipart};
use crate::domain::RawRequest;
use crate::provider::{Locator, Part, Template, is_wild};

/// The longest token whose HMAC is given away.
const MAX_TOKEN: usize = 128;

/// A request with what is known about it so far.
pub(super) struct Scope<'a> {
    pub(super) request: &'a RawRequest,
    setup: &'a Setup,
    /// The items of the signature's list.
    pub(super) items: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// The timestamp as sent.
    pub(super) timestamp: Option<Cow<'a, str>>,
    /// The source's first key, for answers that prove its possession.
    pub(super) key: Option<&'a Key>,
    /// The claims of the token that proved the request.
    pub(super) claims: Option<Claims>,
    json: Option<(&'a PointerSet, Values)>,
    /// The item of an array that is looked at, where each is signed by itself: JSON values are then its own.
    pub(super) item: Option<(&'a PointerSet, Values)>,
    /// The sender's published key, where it was at hand.
    pub(super) published: Option<&'a PublishedKey>,
    /// SHA-256 of the body, once it was asked for.
    digest: OnceCell<[u8; 32]>,
    /// Why the document could not be read as JSON, once that was tried.
    pub(super) json_error: Option<String>,
}

impl<'a> Scope<'a> {
    pub(super) fn new(request: &'a RawRequest, setup: &'a Setup) -> Self {
        let (items, timestamp, key, claims, json, item) = (Vec::new(), None, None, None, None, None);
        Self { request, setup, items, timestamp, key, claims, json, item, published: None, digest: OnceCell::new(), json_error: None }
    }

    /// Looks the pointers up in the JSON document: once the signature holds, or before where it stands in the body itself.
    pub(super) fn read_json(&mut self, pointers: &'a PointerSet) {
        if pointers.is_empty() {
            return;
        }
        match pointers.find(&self.document()) {
            Ok(values) => self.json = Some((pointers, values)),
            Err(error) => self.json_error = Some(error.to_string()),
        }
    }

    /// SHA-256 of the body: for its ID and its content, and worked out once for both.
    pub(super) fn body_digest(&self) -> [u8; 32] {
        *self.digest.get_or_init(|| Sha256::digest(&self.request.body).into())
    }

    /// The JSON document: the body, or the field of a form that holds it.
    pub(super) fn document(&self) -> Cow<'a, [u8]> {
        let Some(name) = self.setup.provider.row.json_field.as_deref() else { return Cow::Borrowed(&self.request.body) };
        if form::is_form(self.request)
            && let Some(text) = form::field(&self.request.body, name)
        {
            return Cow::Owned(text.into_bytes());
        }
        Cow::Borrowed(multipart::field(self.request, name).unwrap_or(&self.request.body))
    }

    /// The text under a pointer: of the item that is looked at, else of the document; all texts with commas between them
    /// where a `*` stands for any item.
    fn json(&self, pointer: &str) -> Option<String> {
        let (pointers, values) = self.item.as_ref().or(self.json.as_ref())?;
        match is_wild(pointer) {
            true => json::each(&self.document(), pointer).filter(|texts| !texts.is_empty()).map(|texts| texts.join(",")),
            false => pointers.value(pointer, values).map(str::to_owned),
        }
    }

    /// The texts under a pointer with a `*`, once the document is read.
    pub(super) fn each(&self, place: &Locator) -> Vec<String> {
        let pointer = place.json_pointer().filter(|_| self.json.is_some());
        pointer.and_then(|pointer| json::each(&self.document(), pointer)).unwrap_or_default()
    }

    /// Whether every item has this text under the pointer, and there is one.
    pub(super) fn is_everywhere(&self, pointer: &str, wanted: &str) -> bool {
        let document = self.document();
        let items = pointer.split_once("/*").and_then(|(array, _)| json::items(&document, array)).unwrap_or_default();
        let found = json::each(&document, pointer).unwrap_or_default();
        !items.is_empty() && found.len() == items.len() && found.iter().all(|text| text == wanted)
    }

    /// Path and query as the sender has them: of the configured URL, else of the request.
    fn target(&self) -> String {
        match self.url() {
            Some(url) => canonical::target(&url).to_owned(),
            None if self.request.query.is_empty() => self.request.path.clone(),
            None => format!("{}?{}", self.request.path, self.request.query),
        }
    }

    /// The URL as the sender used it: the configured one, with this request's deeper path and query. Never taken from what
    /// the request says of its host.
    fn url(&self) -> Option<Cow<'a, str>> {
        let configured = self.setup.url.as_deref()?;
        let base = configured.split(['?', '#']).next().unwrap_or_default();
        let (subpath, query) = (self.request.subpath.as_str(), self.request.query.as_str());
        let subpath = if base.ends_with(subpath) { "" } else { subpath };
        let question = if query.is_empty() { "" } else { "?" };
        Some(Cow::Owned(format!("{base}{subpath}{question}{query}")))
    }

    /// The values that the source configures.
    pub(super) fn params(&self) -> &'a BTreeMap<String, String> {
        &self.setup.params
    }

    /// Whether a form has more than one field of that name.
    pub(super) fn has_field_twice(&self, name: &str) -> bool {
        form::is_form(self.request) && form::count(&self.request.body, name) > 1
    }

    /// Whether the query has more than one parameter of that name, however it is written.
    pub(super) fn has_parameter_twice(&self, name: &str) -> bool {
        form::count(self.request.query.as_bytes(), name) > 1
    }

    /// Whether the document is a field of a form that has other fields too.
    pub(super) fn has_fields_beside_document(&self) -> bool {
        let in_a_form = self.setup.provider.row.json_field.is_some() && form::is_form(self.request);
        in_a_form && form::fields(&self.request.body) != 1
    }

    /// The bytes at a place; `None` where there is nothing.
    pub(super) fn bytes(&self, place: &Locator) -> Option<Cow<'a, [u8]>> {
        match place {
            Locator::Body => Some(Cow::Borrowed(&self.request.body)),
            Locator::Document => Some(self.document()),
            Locator::Header(name) => self.request.headers.get(name).map(Cow::Borrowed),
            other => self.text(other).map(|text| match text {
                Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
                Cow::Owned(text) => Cow::Owned(text.into_bytes()),
            }),
        }
    }

    /// The text at a place; `None` where there is nothing, or nothing that is UTF-8.
    pub(super) fn text(&self, place: &Locator) -> Option<Cow<'a, str>> {
        let request = self.request;
        match place {
            Locator::Header(name) => request.headers.text(name).map(Cow::Borrowed),
            Locator::Json(pointer) => self.json(pointer).map(Cow::Owned),
            Locator::Form(name) if form::is_form(request) => form::field(&request.body, name).map(Cow::Owned),
            Locator::Form(_) => None,
            Locator::Query(name) => form::field(request.query.as_bytes(), name).map(Cow::Owned),
            Locator::SignatureItem(name) => self.items.iter().find(|(item, _)| item == name).map(|(_, value)| value.clone()),
            Locator::Param(name) => self.setup.params.get(name).map(|value| Cow::Borrowed(value.as_str())),
            Locator::Timestamp => self.timestamp.clone(),
            Locator::Url => self.url(),
            Locator::UrlSha256 => self.url().map(|url| Cow::Owned(hex::encode(Sha256::digest(url.as_bytes())))),
            Locator::Claim(name) => jwt::text(self.claims.as_ref()?, name).map(Cow::Owned),
            Locator::BodySha256Base64 => Some(Cow::Owned(STANDARD.encode(self.body_digest()))),
            Locator::BodySha256Base64Url => Some(Cow::Owned(URL_SAFE_NO_PAD.encode(self.body_digest()))),
            Locator::Method => Some(Cow::Borrowed(&request.method)),
            Locator::Path => Some(Cow::Borrowed(&request.path)),
            Locator::QueryString => Some(Cow::Borrowed(&request.query)),
            Locator::BodyDigest => Some(Cow::Owned(format!("sha256:{}", hex::encode(self.body_digest())))),
            Locator::Arrival => {
                let digest = hex::encode(self.body_digest());
                Some(Cow::Owned(format!("arrival:{}:{}", request.received_at, &digest[..16])))
            }
            Locator::BodySha256 => Some(Cow::Owned(hex::encode(self.body_digest()))),
            Locator::FormSorted => form::is_form(request).then(|| form::sorted(&request.body)).flatten().map(Cow::Owned),
            Locator::HmacHex(inner) => self.hmac(inner).map(|tag| Cow::Owned(hex::encode(tag))),
            Locator::HmacBase64(inner) => self.hmac(inner).map(|tag| Cow::Owned(STANDARD.encode(tag))),
            Locator::JsonString(inner) => self.text(inner).map(|text| Cow::Owned(serde_json::Value::from(&*text).to_string())),
            Locator::BodyCrc32 => Some(Cow::Owned(crc32fast::hash(&request.body).to_string())),
            Locator::CanonicalJson => canonical::json(&request.body).map(Cow::Owned),
            Locator::UrlUnescaped => self.url().map(|url| Cow::Owned(canonical::url_unescaped(&url))),
            Locator::UrlFormSorted => canonical::url_form_sorted(&self.url()?, request).map(Cow::Owned),
            Locator::TargetEscaped => Some(Cow::Owned(canonical::target_escaped(&self.target()))),
            Locator::RequestDigest => {
                let target = self.target();
                let path = target.split('?').next().unwrap_or_default();
                canonical::request_digest(&request.method, path, &request.query).map(Cow::Owned)
            }
            Locator::SubpathDigest => canonical::request_digest(&request.method, &request.subpath, &request.query).map(Cow::Owned),
            Locator::ListedHeaders(list) => {
                // What is not listed is not signed: the list itself, and the time.
                let times = self.setup.provider.signatures.iter().filter_map(|signature| match &signature.timestamp.as_ref()?.from {
                    Locator::Header(name) => Some(name.as_str()),
                    _ => None,
                });
                let must: Vec<_> = times.chain([list.as_str()]).collect();
                canonical::listed_headers(request, list, &must).map(Cow::Owned)
            }
            // Only the hashing itself reads the secret.
            Locator::Secret => None,
            Locator::Body | Locator::Document => match self.bytes(place)? {
                Cow::Borrowed(bytes) => std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
                Cow::Owned(bytes) => String::from_utf8(bytes).ok().map(Cow::Owned),
            },
        }
    }

    /// The HMAC of what stands there under the source's first secret.
    fn hmac(&self, place: &Locator) -> Option<Vec<u8>> {
        let Some(Key::Mac(state)) = self.key else { return None };
        // Nothing that could be a body: whoever asks must not get it signed.
        let token = self.text(place).filter(|token| (1..=MAX_TOKEN).contains(&token.len()))?;
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=_-.".contains(&byte);
        if !token.bytes().all(is_token) {
            return None;
        }
        let mut state = state.clone();
        state.update(token.as_bytes());
        Some(state.finish())
    }

    /// Renders a template as text; `None` when a place outside an optional part is empty.
    pub(super) fn render(&self, template: &Template) -> Option<String> {
        self.render_as(template, |text, value| text.push_str(value))
    }

    /// Renders a template in which an empty place stands for no text.
    pub(super) fn render_exactly(&self, template: &Template) -> String {
        self.render(template).unwrap_or_default()
    }

    /// Renders a template whose literal text is JSON: values are escaped as in its strings.
    pub(super) fn render_json(&self, template: &Template) -> Option<String> {
        self.render_as(template, |text, value| {
            let quoted = serde_json::Value::from(value).to_string();
            text.push_str(&quoted[1..quoted.len() - 1]);
        })
    }

    fn render_as(&self, template: &Template, put: impl Fn(&mut String, &str)) -> Option<String> {
        let mut text = String::new();
        self.render_parts(template.parts(), &mut text, &put).then_some(text)
    }

    fn render_parts(&self, parts: &[Part], text: &mut String, put: &impl Fn(&mut String, &str)) -> bool {
        for part in parts {
            match part {
                Part::Text(literal) => text.push_str(literal),
                Part::Value(place) => match self.text(place).filter(|found| !found.is_empty()) {
                    Some(found) => put(text, &found),
                    None => return false,
                },
                Part::Optional(inner) => {
                    let before = text.len();
                    if !self.render_parts(inner, text, put) {
                        text.truncate(before);
                    }
                }
            }
        }
        true
    }
}
