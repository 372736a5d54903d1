//! A sender, ready to be verified: what a row comes to once it is read.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::coverage::Coverage;
use super::locator::Locator;
use super::published::Published;
use super::row::Row;
use super::template::Template;
use crate::domain::{Reply, print_duration};

/// How a signature is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// HMAC with SHA-1.
    HmacSha1,
    /// HMAC with SHA-256.
    HmacSha256,
    /// HMAC with SHA-384.
    HmacSha384,
    /// HMAC with SHA-512.
    HmacSha512,
    /// SHA-256 over content that holds the secret itself.
    Sha256,
    /// Ed25519 (RFC 8032), by a public key.
    Ed25519,
    /// ECDSA over P-256 with SHA-256, the signature in DER, by a public key.
    EcdsaP256,
    /// RSA PKCS#1 v1.5 with SHA-1, by a public key.
    RsaSha1,
    /// RSA PKCS#1 v1.5 with SHA-256, by a public key.
    RsaSha256,
    /// RSA PKCS#1 v1.5 with SHA-512, by a public key.
    RsaSha512,
    /// A JSON Web Token (RFC 7519) whose claims speak of the request.
    Jwt,
    /// User and password, as HTTP Basic authentication (RFC 7617).
    Basic,
    /// The secret itself is sent.
    Token,
    /// Nothing proves the sender.
    None,
}

/// How signature bytes are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Lower-case hex.
    Hex,
    /// Standard base64 with padding.
    Base64,
    /// URL-safe base64, with or without padding.
    Base64Url,
}

/// How the secret becomes a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyForm {
    /// Its UTF-8 bytes.
    Text,
    /// Decoded from base64.
    Base64,
    /// Decoded from hex.
    Hex,
    /// Decoded from base64 behind an optional `whsec_`.
    Whsec,
    /// The SHA-1 digest of its UTF-8 bytes.
    Sha1,
    /// A public key: PEM, or hex or base64 of its raw or DER bytes, behind an optional `whpk_`.
    Public,
}

/// The unit of a timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimestampUnit {
    /// Seconds since the Unix epoch.
    Seconds,
    /// Milliseconds since the Unix epoch.
    Millis,
    /// Seconds or milliseconds since the Unix epoch, told apart by their size.
    SecondsOrMillis,
    /// RFC 3339 text.
    Rfc3339,
    /// The date of an HTTP header (RFC 9110 §5.6.7).
    HttpDate,
}

/// Where the signature stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In a header, by its lower-case name.
    Header(String),
    /// In any of the headers whose lower-case name is this and a number.
    Headers(String),
    /// In a query parameter.
    Query(String),
    /// In the JSON document, by its pointer.
    Json(String),
    /// In a field of a form body.
    Form(String),
    /// Nowhere: nothing proves the sender.
    Nowhere,
}

/// How a signature value splits into items.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Items {
    /// Between sets of items, where each set has its own timestamp.
    pub sets: Option<String>,
    /// Between items.
    pub separator: String,
    /// How an item gets its name.
    pub naming: Naming,
    /// The names of the items that are signatures.
    pub take: Vec<Want>,
}

/// How an item of a list gets its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Naming {
    /// It stands before this text, and the value behind it.
    Pair(String),
    /// By its place in the list; the last name goes for all that follow.
    Positions(Vec<String>),
}

/// A text that must stand somewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Want {
    /// This text.
    Text(String),
    /// The value of this parameter of the source.
    Param(String),
    /// Hex digits, at least and at most so many.
    Hex(usize, usize),
    /// Any text but none.
    Something,
    /// No text.
    Nothing,
    /// One of these texts.
    OneOf(Vec<String>),
    /// No text, or a single line of it.
    OneLine,
    /// No text, or one that has this nowhere in it.
    Without(String),
}

/// The signed timestamp.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimestampRule {
    /// Where it is.
    pub from: Locator,
    /// Its unit.
    pub unit: TimestampUnit,
    /// How far it may be off, either way.
    pub tolerance: Duration,
}

/// What a token must say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JwtRule {
    /// The algorithms that the sender signs with.
    pub algorithms: Vec<jsonwebtoken::Algorithm>,
    /// Claims with what they must be: any of these.
    pub claims: Vec<(String, Vec<Template>)>,
    /// Claims that may be absent when the body is empty.
    pub without_body: Vec<String>,
    /// Times that must be there.
    pub times: Vec<String>,
    /// Whether the body is the content that the token leaves out (RFC 7515, appendix F).
    pub detached: bool,
}

/// One way to sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// Where the signature stands.
    pub place: Place,
    /// How it is made.
    pub algorithm: Algorithm,
    /// How its bytes are written.
    pub encoding: Encoding,
    /// What stands before it.
    pub prefix: String,
    /// Whether the prefix may be missing.
    pub prefix_optional: bool,
    /// How the value splits, where it is a list.
    pub items: Option<Items>,
    /// The signed content.
    pub signed: Template,
    /// The signed timestamp.
    pub timestamp: Option<TimestampRule>,
    /// The only secret that makes it, by its position from 1; any when left out.
    pub secret: Option<usize>,
    /// What the token must say, where the signature is one.
    pub jwt: Option<JwtRule>,
    /// What else must stand where for this way to be the one.
    pub when: Vec<(Locator, Want)>,
    /// Places that must hold what a template comes to; one that comes to nothing asks for nothing.
    pub require: Vec<(Locator, Template)>,
    /// The pointer of a JSON array each of whose items is signed by itself.
    pub each: Option<String>,
    /// What must stand where in each of them.
    pub item_when: Vec<(Locator, Want)>,
    /// Whether the SHA-256 digest of the content is signed instead of the content.
    pub prehash: bool,
    /// The components that must be signed, where it is an HTTP Message Signature (RFC 9421).
    pub components: Option<Vec<String>>,
    /// Where the sender publishes the key.
    pub published: Option<Published>,
}

impl Signature {
    /// Whether it stands in the body, which must then be looked into before anything is proved.
    pub fn is_in_body(&self) -> bool {
        matches!(self.place, Place::Json(_) | Place::Form(_))
    }
}

/// A request that wants an answer and is no event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handshake {
    /// The method.
    pub method: String,
    /// What must stand where.
    pub when: Vec<(Locator, Want)>,
    /// Whether it is signed like an event.
    pub signed: bool,
    /// The answer's status.
    pub status: u16,
    /// The answer's `Content-Type`.
    pub content_type: String,
    /// The answer's body.
    pub body: Template,
    /// Further header fields of the answer, names in lower case.
    pub headers: Vec<(String, Template)>,
    /// Where the source's secret stands, to be kept before the answer.
    pub learn: Option<Locator>,
    /// What is to be visited before the answer.
    pub fetch: Option<Fetch>,
}

/// A URL that a sender wants to be visited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetch {
    /// The URL.
    pub url: Template,
    /// The hosts that it may lead to.
    pub hosts: Vec<String>,
}

/// A sender, ready to be verified.
#[derive(Debug, Clone)]
pub struct Provider {
    /// The row's name.
    pub name: Arc<str>,
    /// The row as written, for listings.
    pub row: Row,
    /// The ways to sign, in order of preference.
    pub signatures: Vec<Signature>,
    /// Whether any of them that holds is enough, rather than the first that is there.
    pub any_signature: bool,
    /// How much of the body is covered, where the row declares it.
    pub covers: Option<Coverage>,
    /// How the secret becomes a key.
    pub key_form: KeyForm,
    /// Where the event's ID is, in order of preference; never empty.
    pub event_id: Vec<Template>,
    /// Templates for the event's type, in order of preference.
    pub event_type: Vec<Template>,
    /// Where the items of a request that brings several have IDs of their own.
    pub item_id: Option<Locator>,
    /// The methods that the source takes, in upper case, those of handshakes included.
    pub methods: Vec<String>,
    /// Requests that want an answer and are no events.
    pub handshakes: Vec<Handshake>,
    /// The answer to an event, where the sender wants one of its own.
    pub answer: Option<Reply>,
    /// The largest body in bytes, where it is more than the default.
    pub max_body: Option<usize>,
    /// Lower-case names of headers that carry static credentials.
    pub credentials: Vec<String>,
    /// Names of query parameters that carry static credentials.
    pub credential_parameters: Vec<String>,
    /// How long a duplicate may come after the first, where the row says.
    pub retry_window: Option<Duration>,
}

impl Provider {
    /// The name for people.
    pub fn title(&self) -> &str {
        self.row.title.as_deref().unwrap_or(&self.name)
    }

    /// Whether a source of this provider needs a secret in its configuration: not where the sender publishes its key or
    /// makes the secret up in a handshake.
    pub fn needs_secret(&self) -> bool {
        !self.learns() && self.signatures.iter().any(|signature| signature.algorithm != Algorithm::None && signature.published.is_none())
    }

    /// Whether nothing at all proves that a request comes from the sender.
    pub fn proves_nothing(&self) -> bool {
        self.signatures.iter().all(|signature| signature.algorithm == Algorithm::None)
    }

    /// Whether the sender makes the secret up and tells it in a handshake.
    pub fn learns(&self) -> bool {
        self.handshakes.iter().any(|handshake| handshake.learn.is_some())
    }

    /// One line on how requests are proved, for listings.
    pub fn summary(&self) -> String {
        let Some(first) = self.signatures.first() else { return String::new() };
        let place = match &first.place {
            Place::Header(_) | Place::Headers(_) => self.row.signature.0.first().and_then(|row| row.header.clone()).unwrap_or_default(),
            Place::Query(name) => format!("query {name}"),
            Place::Json(pointer) => format!("JSON value {pointer}"),
            Place::Form(name) => format!("form field {name}"),
            Place::Nowhere => return "nothing".into(),
        };
        let timestamp = first.timestamp.as_ref().map(|t| format!(", within {}", print_duration(t.tolerance))).unwrap_or_default();
        format!("{} in {place}{timestamp}", first.algorithm.as_str())
    }

    /// Further values that the receiver must configure, with what they are.
    pub fn params(&self) -> &BTreeMap<String, String> {
        &self.row.params
    }
}

impl Algorithm {
    pub(super) const NAMES: &[(&str, Self)] = &[
        ("hmac-sha1", Self::HmacSha1),
        ("hmac-sha256", Self::HmacSha256),
        ("hmac-sha384", Self::HmacSha384),
        ("hmac-sha512", Self::HmacSha512),
        ("sha256", Self::Sha256),
        ("ed25519", Self::Ed25519),
        ("ecdsa-p256-sha256", Self::EcdsaP256),
        ("rsa-sha1", Self::RsaSha1),
        ("rsa-sha256", Self::RsaSha256),
        ("rsa-sha512", Self::RsaSha512),
        ("jwt", Self::Jwt),
        ("basic", Self::Basic),
        ("token", Self::Token),
        ("none", Self::None),
    ];

    /// Whether a public key of the sender verifies it, so that nobody here can sign.
    pub fn is_public(self) -> bool {
        matches!(self, Self::Ed25519 | Self::EcdsaP256 | Self::RsaSha1 | Self::RsaSha256 | Self::RsaSha512)
    }

    /// Whether the secret itself is sent.
    pub fn sends_secret(self) -> bool {
        matches!(self, Self::Token | Self::Basic)
    }

    /// Its name in rows.
    pub fn as_str(self) -> &'static str {
        Self::NAMES.iter().find(|(_, algorithm)| *algorithm == self).map_or("", |(name, _)| name)
    }
}
