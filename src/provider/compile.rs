//! From a row as written to a [`Provider`]: every name looked up, every template read, every contradiction found.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::locator::Locator;
use super::row::{HandshakeRow, Row, SignatureRow, TimestampRow};
use super::template::Template;
use crate::domain::{Reply, parse_duration, parse_size, print_duration};

/// The timestamp tolerance of a row that names none.
const DEFAULT_TOLERANCE: Duration = Duration::from_secs(300);

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
}

/// The unit of a timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimestampUnit {
    /// Seconds since the Unix epoch.
    Seconds,
    /// Milliseconds since the Unix epoch.
    Millis,
    /// RFC 3339 text.
    Rfc3339,
}

/// Where the signature stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In a header, by its lower-case name.
    Header(String),
    /// In a query parameter.
    Query(String),
    /// Nowhere: nothing proves the sender.
    Nowhere,
}

/// How a signature value splits into items.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Items {
    /// Between items.
    pub separator: String,
    /// Between an item's name and its value.
    pub pair: String,
    /// The names of the items that are signatures.
    pub take: Vec<String>,
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
    /// How the value splits, where it is a list.
    pub items: Option<Items>,
    /// The signed content.
    pub signed: Template,
    /// The signed timestamp.
    pub timestamp: Option<TimestampRule>,
}

/// A request that wants an answer and is no event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handshake {
    /// The method.
    pub method: String,
    /// What must stand where.
    pub when: Vec<(Locator, String)>,
    /// Whether it is signed like an event.
    pub signed: bool,
    /// The answer's status.
    pub status: u16,
    /// The answer's `Content-Type`.
    pub content_type: String,
    /// The answer's body.
    pub body: Template,
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
    /// How the secret becomes a key.
    pub key_form: KeyForm,
    /// Where the event's ID is, in order of preference; never empty.
    pub event_id: Vec<Locator>,
    /// Templates for the event's type, in order of preference.
    pub event_type: Vec<Template>,
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
    /// How long a duplicate may come after the first, where the row says.
    pub retry_window: Option<Duration>,
}

/// A row that cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {message}")]
pub struct RowError {
    /// The key in the row: `signature.encoding`.
    pub key: String,
    /// What is wrong, and what is allowed.
    pub message: String,
}

impl RowError {
    fn new(key: impl Into<String>, message: impl std::fmt::Display) -> Self {
        Self { key: key.into(), message: message.to_string() }
    }
}

impl Provider {
    /// Reads a row.
    ///
    /// # Errors
    /// [`RowError`] names the key and what is allowed there.
    pub fn compile(name: &str, row: Row) -> Result<Self, RowError> {
        let signatures = row.signature.0.iter().map(|written| signature(written, &row)).collect::<Result<Vec<_>, _>>()?;
        if signatures.is_empty() {
            return Err(RowError::new("signature", "say how requests are signed, or algorithm = \"none\""));
        }
        let handshakes = row.handshake.iter().map(handshake).collect::<Result<Vec<_>, _>>()?;
        let provider = Self {
            name: name.into(),
            key_form: key_form(row.secret.key.as_deref())?,
            event_id: event_id(&row)?,
            event_type: templates("event_type", &row.event_type)?,
            methods: methods(&row, &handshakes),
            handshakes,
            answer: answer(&row)?,
            max_body: row.max_body.as_deref().map(parse_size).transpose().map_err(|e| RowError::new("max_body", e))?,
            credentials: credentials(&row, &signatures),
            retry_window: retry_window(&row)?,
            signatures,
            row,
        };
        Ok(provider)
    }

    /// The name for people.
    pub fn title(&self) -> &str {
        self.row.title.as_deref().unwrap_or(&self.name)
    }

    /// Whether a source of this provider needs a secret.
    pub fn needs_secret(&self) -> bool {
        self.signatures.iter().any(|signature| signature.algorithm != Algorithm::None)
    }

    /// One line on how requests are proved, for listings.
    pub fn summary(&self) -> String {
        let Some(first) = self.signatures.first() else { return String::new() };
        let place = match &first.place {
            Place::Header(_) => self.row.signature.0.first().and_then(|row| row.header.clone()).unwrap_or_default(),
            Place::Query(name) => format!("query {name}"),
            Place::Nowhere => "nothing".into(),
        };
        let timestamp = first.timestamp.as_ref().map(|t| format!(", within {}", print_duration(t.tolerance))).unwrap_or_default();
        format!("{} in {place}{timestamp}", first.algorithm.as_str())
    }
}

impl Algorithm {
    const NAMES: &[(&str, Self)] = &[
        ("hmac-sha1", Self::HmacSha1),
        ("hmac-sha256", Self::HmacSha256),
        ("hmac-sha384", Self::HmacSha384),
        ("hmac-sha512", Self::HmacSha512),
        ("token", Self::Token),
        ("none", Self::None),
    ];

    /// Its name in rows.
    pub fn as_str(self) -> &'static str {
        Self::NAMES.iter().find(|(_, algorithm)| *algorithm == self).map_or("", |(name, _)| name)
    }
}

/// Looks a written name up, or lists the allowed ones.
fn named<T: Copy>(key: &str, text: Option<&str>, default: T, names: &[(&str, T)]) -> Result<T, RowError> {
    let Some(text) = text else { return Ok(default) };
    names.iter().find(|(name, _)| *name == text).map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<_> = names.iter().map(|(name, _)| *name).collect();
        RowError::new(key, format!("\"{text}\" is none of {}", names.join(", ")))
    })
}

fn key_form(text: Option<&str>) -> Result<KeyForm, RowError> {
    let names = [("text", KeyForm::Text), ("base64", KeyForm::Base64), ("hex", KeyForm::Hex), ("whsec", KeyForm::Whsec)];
    named("secret.key", text, KeyForm::Text, &names)
}

fn signature(written: &SignatureRow, row: &Row) -> Result<Signature, RowError> {
    let algorithm = named("signature.algorithm", written.algorithm.as_deref(), Algorithm::HmacSha256, Algorithm::NAMES)?;
    let encodings = [("hex", Encoding::Hex), ("base64", Encoding::Base64), ("base64url", Encoding::Base64Url)];
    let signed = written.signed.as_deref().or(row.signed.as_deref()).unwrap_or("{body}");
    let signature = Signature {
        place: place(written, algorithm)?,
        algorithm,
        encoding: named("signature.encoding", written.encoding.as_deref(), Encoding::Hex, &encodings)?,
        prefix: written.prefix.clone().unwrap_or_default(),
        items: items(written)?,
        signed: Template::parse(signed).map_err(|e| RowError::new("signed", e))?,
        timestamp: written.timestamp.as_ref().or(row.timestamp.as_ref()).map(timestamp).transpose()?,
    };
    if signature.signed.locators().contains(&&Locator::Timestamp) && signature.timestamp.is_none() {
        return Err(RowError::new("signed", "{timestamp} is signed, so `timestamp` must say where it is"));
    }
    Ok(signature)
}

fn place(written: &SignatureRow, algorithm: Algorithm) -> Result<Place, RowError> {
    match (&written.header, &written.from, algorithm) {
        (None, None, Algorithm::None) => Ok(Place::Nowhere),
        (Some(header), None, _) if !header.is_empty() => Ok(Place::Header(header.to_ascii_lowercase())),
        (None, Some(from), _) => match Locator::parse(from).map_err(|e| RowError::new("signature.from", e))? {
            Locator::Header(name) => Ok(Place::Header(name)),
            Locator::Query(name) => Ok(Place::Query(name)),
            other => Err(RowError::new(
                "signature.from",
                format!("a signature in the {other} is not supported: write header:NAME or query:NAME"),
            )),
        },
        _ => Err(RowError::new("signature.header", "name the header that carries the signature: header = \"X-Signature\"")),
    }
}

fn items(written: &SignatureRow) -> Result<Option<Items>, RowError> {
    let Some(separator) = &written.list else {
        return match (&written.pair, written.take.is_empty()) {
            (None, true) => Ok(None),
            _ => Err(RowError::new("signature.list", "`pair` and `take` need `list`, the separator between items")),
        };
    };
    match &written.pair {
        Some(pair) if !pair.is_empty() && !separator.is_empty() && !written.take.is_empty() => {
            Ok(Some(Items { separator: separator.clone(), pair: pair.clone(), take: written.take.clone() }))
        }
        _ => Err(RowError::new(
            "signature.list",
            "a list needs `pair`, the separator inside an item, and `take`, the names of its signatures",
        )),
    }
}

fn timestamp(written: &TimestampRow) -> Result<TimestampRule, RowError> {
    let units = [("s", TimestampUnit::Seconds), ("ms", TimestampUnit::Millis), ("rfc3339", TimestampUnit::Rfc3339)];
    let tolerance = written.tolerance.as_deref().map(parse_duration).transpose().map_err(|e| RowError::new("timestamp.tolerance", e))?;
    Ok(TimestampRule {
        from: Locator::parse(&written.from).map_err(|e| RowError::new("timestamp.from", e))?,
        unit: named("timestamp.unit", written.unit.as_deref(), TimestampUnit::Seconds, &units)?,
        tolerance: tolerance.unwrap_or(DEFAULT_TOLERANCE),
    })
}

fn event_id(row: &Row) -> Result<Vec<Locator>, RowError> {
    if row.event_id.is_empty() {
        return Ok(vec![Locator::BodyDigest]);
    }
    row.event_id.iter().map(|place| Locator::parse(place).map_err(|e| RowError::new("event_id", e))).collect()
}

fn templates(key: &str, texts: &[String]) -> Result<Vec<Template>, RowError> {
    texts.iter().map(|text| Template::parse(text).map_err(|e| RowError::new(key, e))).collect()
}

fn methods(row: &Row, handshakes: &[Handshake]) -> Vec<String> {
    let mut methods: Vec<String> = row.methods.iter().map(|method| method.to_ascii_uppercase()).collect();
    if methods.is_empty() {
        methods.push("POST".into());
    }
    for handshake in handshakes {
        if !methods.contains(&handshake.method) {
            methods.push(handshake.method.clone());
        }
    }
    methods
}

fn handshake(written: &HandshakeRow) -> Result<Handshake, RowError> {
    let when = written.when.iter().map(|(place, value)| Ok((Locator::parse(place)?, value.clone()))).collect::<Result<Vec<_>, _>>();
    Ok(Handshake {
        method: written.method.as_deref().unwrap_or("POST").to_ascii_uppercase(),
        when: when.map_err(|e: super::LocatorError| RowError::new("handshake.when", e))?,
        signed: written.signed.unwrap_or(true),
        status: status("handshake.status", written.status)?,
        content_type: written.content_type.clone().unwrap_or_else(|| "text/plain".into()),
        body: Template::parse(written.body.as_deref().unwrap_or_default()).map_err(|e| RowError::new("handshake.body", e))?,
    })
}

fn answer(row: &Row) -> Result<Option<Reply>, RowError> {
    let Some(written) = &row.answer else { return Ok(None) };
    let body = written.body.clone().unwrap_or_default();
    let content_type = written.content_type.clone().unwrap_or_else(|| "text/plain".into());
    let headers = if body.is_empty() { Vec::new() } else { vec![("content-type".into(), content_type)] };
    Ok(Some(Reply { status: status("answer.status", written.status)?, headers, body: Bytes::from(body) }))
}

fn status(key: &str, written: Option<u16>) -> Result<u16, RowError> {
    match written.unwrap_or(200) {
        status @ 200..=599 => Ok(status),
        other => Err(RowError::new(key, format!("{other} is no status: write 200 to 599"))),
    }
}

fn credentials(row: &Row, signatures: &[Signature]) -> Vec<String> {
    let mut names: Vec<String> = row.credentials.iter().map(|name| name.to_ascii_lowercase()).collect();
    let tokens = signatures.iter().filter(|signature| signature.algorithm == Algorithm::Token);
    names.extend(tokens.filter_map(|signature| match &signature.place {
        Place::Header(name) => Some(name.clone()),
        _ => None,
    }));
    names
}

fn retry_window(row: &Row) -> Result<Option<Duration>, RowError> {
    let window = row.retry.as_ref().and_then(|retry| retry.window.as_deref());
    window.map(parse_duration).transpose().map_err(|e| RowError::new("retry.window", e))
}

/// The params that a row asks for.
impl Provider {
    /// Further values that the receiver must configure, with what they are.
    pub fn params(&self) -> &BTreeMap<String, String> {
        &self.row.params
    }
}
