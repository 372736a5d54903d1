//! A row as written in `builtin.toml` or under `[providers.NAME]`: `docs/PROVIDERS-FORMAT.md` explains each key.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, MapAccess, SeqAccess, Visitor};

/// How one sender signs, identifies and hand-shakes.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// The sender's name for people; the row's name when left out.
    pub title: Option<String>,
    /// Where in the sender's settings the URL and the secret are.
    pub setup: Option<String>,
    /// The sender's own documentation.
    pub docs: Option<String>,
    /// Where the signature is and how it is made: one table, or several in order of preference. The first whose place is
    /// filled decides; there is no falling back from it.
    pub signature: SignatureRows,
    /// Whether any signature that holds is enough, rather than the first whose place is filled.
    #[serde(default)]
    pub any_signature: bool,
    /// The signed content; `{body}` when left out.
    pub signed: Option<String>,
    /// How much of the body the signature covers, where that does not follow from `signed`: `body`, `checksum`, `fields` or
    /// `nothing`.
    pub covers: Option<String>,
    /// The signed timestamp, where there is one.
    pub timestamp: Option<TimestampRow>,
    /// What the secret looks like and how it becomes a key.
    #[serde(default)]
    pub secret: SecretRow,
    /// The form field that holds the JSON document when the body is a form.
    pub json_field: Option<String>,
    /// Where the event's ID is, in order of preference: a place, or a template with several. `sha256` of the body when left
    /// out; `arrival` where a sender repeats the same content for different events, so that nothing tells a duplicate.
    #[serde(default)]
    pub event_id: Vec<String>,
    /// Whether the signature covers the ID.
    #[serde(default)]
    pub event_id_signed: bool,
    /// Where the items of a request that brings several have IDs of their own: `json:/*/id`.
    pub item_id: Option<String>,
    /// Templates for the event's type, in order of preference.
    #[serde(default)]
    pub event_type: Vec<String>,
    /// The methods that the source takes; `POST` when left out.
    #[serde(default)]
    pub methods: Vec<String>,
    /// Requests that want an answer and are no events.
    #[serde(default)]
    pub handshake: Vec<HandshakeRow>,
    /// The answer to an event, where the sender wants one of its own.
    pub answer: Option<AnswerRow>,
    /// The largest body that the sender sends, where it is more than the default: `26MiB`.
    pub max_body: Option<String>,
    /// Further headers that carry static credentials: never stored, never forwarded.
    #[serde(default)]
    pub credentials: Vec<String>,
    /// Values that the receiver must configure beside the secret, with what they are.
    #[serde(default)]
    pub params: BTreeMap<String, String>,
    /// Values that the receiver may configure, with what they are.
    #[serde(default)]
    pub optional_params: BTreeMap<String, String>,
    /// How the sender retries.
    pub retry: Option<RetryRow>,
    /// Where the row's facts come from.
    pub facts: Option<FactsRow>,
}

/// One way to sign.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignatureRow {
    /// The header that carries it; a `*` at the end stands for a number: `X-DocuSign-Signature-*`.
    pub header: Option<String>,
    /// Another place than a header: `query:token`, `json:/signature`, `form:signature`.
    pub from: Option<String>,
    /// `hmac-sha256` when left out; `hmac-sha1`, `hmac-sha384`, `hmac-sha512`, `sha256`, `ed25519`, `ecdsa-p256-sha256`,
    /// `rsa-sha1`, `rsa-sha256`, `rsa-sha512`, `jwt`, `basic`, `token`, `none`.
    pub algorithm: Option<String>,
    /// `hex` when left out; `base64`, `base64url`.
    pub encoding: Option<String>,
    /// Text that must stand before the signature: `sha256=`.
    pub prefix: Option<String>,
    /// Whether that text may be missing.
    #[serde(default)]
    pub prefix_optional: bool,
    /// The separator between items, where the value is a list.
    pub list: Option<String>,
    /// The separator between an item's name and its value.
    pub pair: Option<String>,
    /// The names of the items by their place in the list, where they have none of their own; the last goes for all that
    /// follow.
    #[serde(default)]
    pub positions: Vec<String>,
    /// The separator between sets of items, where each set has a timestamp of its own.
    pub sets: Option<String>,
    /// The names of the items that are signatures; any of them may match. `param:NAME` is the name that the source
    /// configures.
    #[serde(default)]
    pub take: Vec<String>,
    /// The position of the only secret that makes it, from 1.
    pub secret: Option<usize>,
    /// What the token must say, for `algorithm = "jwt"`.
    pub jwt: Option<JwtRow>,
    /// Instead of the row's `signed`.
    pub signed: Option<String>,
    /// Instead of the row's `timestamp`.
    pub timestamp: Option<TimestampRow>,
    /// What else must stand where for this way to sign to be the one: `{ "json:/SignatureVersion" = "2" }`.
    #[serde(default)]
    pub when: BTreeMap<String, String>,
    /// Places that must hold what a template comes to: `{ "query:bodySHA256" = "{body_sha256}" }`. A template that comes to
    /// nothing asks for nothing.
    #[serde(default)]
    pub require: BTreeMap<String, String>,
    /// The pointer of a JSON array each of whose items is signed by itself; `json:` places are then an item's own.
    pub each: Option<String>,
    /// What must stand where in each of them: `{ "json:/id" = "without::" }`.
    #[serde(default)]
    pub item_when: BTreeMap<String, String>,
    /// `sha256` where not the content is signed, but its digest.
    pub prehash: Option<String>,
    /// For an HTTP Message Signature (RFC 9421): the components that must be among the signed ones.
    pub components: Option<Vec<String>>,
    /// Where the sender publishes the key.
    pub published: Option<PublishedRow>,
}

/// Where a sender publishes the key that verifies its requests.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishedRow {
    /// A template for its `https` URL.
    pub url: String,
    /// The hosts that the URL may lead to, where it comes out of the request; `*` stands for one label, `<region>` for a
    /// region of AWS.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// What the URL's path looks like; `*` stands for anything.
    pub path: Option<String>,
    /// The names, one of which the certificate must have by a chain of certificates that this system trusts.
    #[serde(default)]
    pub names: Vec<String>,
    /// `certificate` when left out; `jwks`, `pem`, `json:/pointer`.
    pub form: Option<String>,
}

/// What a token must say.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JwtRow {
    /// The algorithms that the sender signs with: `HS256`, `RS256`, `ES256`, …
    pub algorithms: Vec<String>,
    /// Claims with what they must be: templates, any of which may match.
    #[serde(default)]
    pub claims: BTreeMap<String, Vec<String>>,
    /// Claims that may be absent when the body is empty.
    #[serde(default)]
    pub without_body: Vec<String>,
    /// Times that must be there: `exp`, `nbf`, `iat`.
    #[serde(default)]
    pub times: Vec<String>,
    /// Whether the token leaves its content out, which is the body.
    #[serde(default)]
    pub detached: bool,
}

/// One or several [`SignatureRow`]s.
#[derive(Debug, Clone)]
pub struct SignatureRows(pub Vec<SignatureRow>);

/// A signed timestamp.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimestampRow {
    /// Where it is: `header:X-Timestamp`, `signature:t` (an item of the signature's list), `json:/timestamp`.
    pub from: String,
    /// `s` when left out; `ms`, `s-or-ms`, `rfc3339`, `http-date`.
    pub unit: Option<String>,
    /// How far it may be off, either way: `5m` when left out.
    pub tolerance: Option<String>,
}

/// What the secret looks like and how it becomes a key.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretRow {
    /// `text` when left out; `base64`, `hex`, `whsec` (base64 behind an optional `whsec_`), `sha1`, `public`.
    pub key: Option<String>,
    /// What stands before the key and is no part of it, where it stands; `*` stands for letters, digits and `_`: `signkey-*-`.
    pub strip: Option<String>,
    /// What the sender calls it and what it looks like.
    pub hint: Option<String>,
    /// A secret for tests and `onceward dev`.
    pub example: Option<String>,
}

/// A request that wants an answer and is no event.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HandshakeRow {
    /// The method; `POST` when left out.
    pub method: Option<String>,
    /// What must stand where: `{ "json:/type" = "url_verification" }`. `param:NAME` is the value that the source configures,
    /// `hex:20-32` so many hex digits, `*` anything.
    #[serde(default)]
    pub when: BTreeMap<String, String>,
    /// Whether it is signed like an event; true when left out.
    pub signed: Option<bool>,
    /// The answer's status; 200 when left out.
    pub status: Option<u16>,
    /// The answer's `Content-Type`; `text/plain` when left out.
    pub content_type: Option<String>,
    /// The answer's body, a template.
    pub body: Option<String>,
    /// Further header fields of the answer, templates.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Where the source's secret stands, which the sender makes up: it is kept, once, before the answer.
    pub learn: Option<String>,
    /// A URL that the sender wants to be visited before the answer.
    pub fetch: Option<FetchRow>,
}

/// A URL that a sender wants to be visited.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FetchRow {
    /// A template for it.
    pub url: String,
    /// The hosts that it may lead to; `*` stands for one label.
    pub hosts: Vec<String>,
}

/// The answer to an event, where the sender wants one of its own.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnswerRow {
    /// The status; 200 when left out.
    pub status: Option<u16>,
    /// The `Content-Type`; `text/plain` when left out.
    pub content_type: Option<String>,
    /// The body.
    pub body: Option<String>,
}

/// How the sender retries.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetryRow {
    /// In words.
    pub policy: String,
    /// How long after the first try the last may come: duplicates must be recognised at least this long.
    pub window: Option<String>,
}

/// Where the row's facts come from.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FactsRow {
    /// The published code or documentation.
    pub source: String,
    /// `sdk`, `docs`, `third-party` or `memory`.
    pub confidence: String,
    /// Facts that were not looked up.
    #[serde(default)]
    pub from_memory: Vec<String>,
}

impl<'de> Deserialize<'de> for SignatureRows {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneOrMany)
    }
}

/// A visitor rather than an untagged enum, whose errors would not say where the mistake is.
struct OneOrMany;

impl<'de> Visitor<'de> for OneOrMany {
    type Value = SignatureRows;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a signature table, or a list of them")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<SignatureRows, A::Error> {
        SignatureRow::deserialize(de::value::MapAccessDeserializer::new(map)).map(|row| SignatureRows(vec![row]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<SignatureRows, A::Error> {
        let mut rows = Vec::new();
        while let Some(row) = list.next_element()? {
            rows.push(row);
        }
        Ok(SignatureRows(rows))
    }
}
