//! From a row as written to a [`Provider`]: every name looked up, every template read, every contradiction found.

use std::time::Duration;

use bytes::Bytes;

use super::coverage::Coverage;
use super::locator::Locator;
use super::model::{
    Algorithm, Encoding, Handshake, Items, JwtRule, KeyForm, Naming, Place, Provider, Signature, TimestampRule, TimestampUnit, Want,
};
use super::row::{HandshakeRow, Row, SignatureRow, TimestampRow};
use super::template::Template;
use crate::domain::{Reply, parse_duration, parse_size};

/// The timestamp tolerance of a row that names none.
const DEFAULT_TOLERANCE: Duration = Duration::from_secs(300);

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
        if signatures.len() > 1 && signatures.iter().any(|signature| signature.algorithm == Algorithm::None) {
            return Err(RowError::new(
                "signature.algorithm",
                "\"none\" beside another signature would let anyone in who leaves that one out",
            ));
        }
        let handshakes = row.handshake.iter().map(handshake).collect::<Result<Vec<_>, _>>()?;
        let provider = Self {
            name: name.into(),
            covers: covers(row.covers.as_deref())?,
            key_form: key_form(row.secret.key.as_deref())?,
            event_id: event_id(&row)?,
            event_type: templates("event_type", &row.event_type)?,
            methods: methods(&row, &handshakes),
            handshakes,
            answer: answer(&row)?,
            max_body: row.max_body.as_deref().map(parse_size).transpose().map_err(|e| RowError::new("max_body", e))?,
            credentials: credentials(&row, &signatures)?,
            retry_window: retry_window(&row)?,
            any_signature: row.any_signature,
            signatures,
            row,
        };
        Ok(provider)
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

/// What the row declares of its coverage.
fn covers(text: Option<&str>) -> Result<Option<Coverage>, RowError> {
    text.map(|text| Coverage::parse(text).ok_or_else(|| RowError::new("covers", format!("\"{text}\" is none of body, fields, nothing"))))
        .transpose()
}

fn key_form(text: Option<&str>) -> Result<KeyForm, RowError> {
    let names = [
        ("text", KeyForm::Text),
        ("base64", KeyForm::Base64),
        ("hex", KeyForm::Hex),
        ("whsec", KeyForm::Whsec),
        ("sha1", KeyForm::Sha1),
        ("public", KeyForm::Public),
    ];
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
        prefix_optional: written.prefix_optional,
        items: items(written)?,
        secret: written.secret,
        jwt: jwt(written, algorithm)?,
        signed: Template::parse(signed).map_err(|e| RowError::new("signed", e))?,
        timestamp: written.timestamp.as_ref().or(row.timestamp.as_ref()).map(timestamp).transpose()?,
    };
    check_signed(&signature)?;
    Ok(signature)
}

/// What is signed must be there before the signature is checked: the body is read as JSON first only where the signature
/// itself stands in it.
fn check_signed(signature: &Signature) -> Result<(), RowError> {
    let signed = signature.signed.locators();
    let in_body = matches!(signature.place, Place::Json(_) | Place::Form(_));
    if !in_body && signed.iter().any(|place| place.json_pointer().is_some()) {
        return Err(RowError::new(
            "signed",
            "a JSON value cannot be signed by itself: nothing is read from the body before its signature holds",
        ));
    }
    if signed.contains(&&Locator::Secret) != (signature.algorithm == Algorithm::Sha256) {
        return Err(RowError::new("signed", "{secret} stands in what is hashed by algorithm = \"sha256\", and nowhere else"));
    }
    match (&signature.timestamp, signed.contains(&&Locator::Timestamp)) {
        (None, true) => Err(RowError::new("signed", "{timestamp} is signed, so `timestamp` must say where it is")),
        (Some(rule), true) if !in_body && rule.from.json_pointer().is_some() => Err(RowError::new(
            "timestamp.from",
            "{timestamp} is signed, so it cannot stand in the body, which is read only once its signature holds",
        )),
        _ => Ok(()),
    }
}

fn header_name(key: &str, name: &str) -> Result<String, RowError> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    match !name.is_empty() && name.bytes().all(is_token) {
        true => Ok(name.to_ascii_lowercase()),
        false => Err(RowError::new(key, format!("\"{name}\" is no header name"))),
    }
}

/// A media type as a header can carry it.
fn content_type(key: &str, written: Option<&String>) -> Result<String, RowError> {
    let text = written.map_or("text/plain", String::as_str);
    match text.contains('/') && text.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
        true => Ok(text.to_owned()),
        false => Err(RowError::new(key, "write a media type such as text/plain")),
    }
}

fn place(written: &SignatureRow, algorithm: Algorithm) -> Result<Place, RowError> {
    match (&written.header, &written.from, algorithm) {
        (None, None, Algorithm::None) => Ok(Place::Nowhere),
        (Some(header), None, _) => match header.strip_suffix('*') {
            Some(family) => header_name("signature.header", family).map(Place::Headers),
            None => header_name("signature.header", header).map(Place::Header),
        },
        (None, Some(from), _) => match Locator::parse(from).map_err(|e| RowError::new("signature.from", e))? {
            Locator::Header(name) => Ok(Place::Header(name)),
            Locator::Query(name) => Ok(Place::Query(name)),
            Locator::Json(pointer) => Ok(Place::Json(pointer)),
            Locator::Form(name) => Ok(Place::Form(name)),
            other => Err(RowError::new("signature.from", format!("no signature stands in the {other}: write header, query, json or form"))),
        },
        _ => Err(RowError::new("signature.header", "name the header that carries the signature: header = \"X-Signature\"")),
    }
}

fn items(written: &SignatureRow) -> Result<Option<Items>, RowError> {
    let wrong = |message: &str| Err(RowError::new("signature.list", message));
    let Some(separator) = written.list.clone().filter(|separator| !separator.is_empty()) else {
        let bare = written.pair.is_none() && written.take.is_empty() && written.positions.is_empty() && written.sets.is_none();
        return if bare { Ok(None) } else { wrong("`pair`, `positions`, `sets` and `take` need `list`, the separator between items") };
    };
    if written.take.is_empty() {
        return wrong("a list needs `take`, the names of its signatures");
    }
    let naming = match (&written.pair, written.positions.is_empty()) {
        (Some(pair), true) if !pair.is_empty() => Naming::Pair(pair.clone()),
        (None, false) => Naming::Positions(written.positions.clone()),
        _ => return wrong("a list needs `pair`, the separator inside an item, or `positions`, the names of its items in order"),
    };
    let take = written.take.iter().map(|text| want(text)).collect();
    Ok(Some(Items { sets: written.sets.clone(), separator, naming, take }))
}

fn jwt(written: &SignatureRow, algorithm: Algorithm) -> Result<Option<JwtRule>, RowError> {
    let row = match (&written.jwt, algorithm) {
        (Some(row), Algorithm::Jwt) => row,
        (None, Algorithm::Jwt) => return Err(RowError::new("signature.jwt", "algorithm = \"jwt\" needs `jwt`, what the token must say")),
        (Some(_), _) => return Err(RowError::new("signature.jwt", "goes with algorithm = \"jwt\" only")),
        (None, _) => return Ok(None),
    };
    let algorithms = row
        .algorithms
        .iter()
        .map(|name| name.parse().map_err(|_| RowError::new("signature.jwt.algorithms", format!("\"{name}\" is none"))));
    let claims = row.claims.iter().map(|(name, texts)| Ok((name.clone(), templates("signature.jwt.claims", texts)?)));
    let rule = JwtRule {
        algorithms: algorithms.collect::<Result<Vec<_>, _>>()?,
        claims: claims.collect::<Result<_, _>>()?,
        without_body: row.without_body.clone(),
        times: row.times.clone(),
        detached: row.detached,
    };
    match rule.algorithms.is_empty() {
        true => Err(RowError::new("signature.jwt.algorithms", "name the algorithms that the sender signs with")),
        false => Ok(Some(rule)),
    }
}

fn want(text: &str) -> Want {
    let hex = || {
        let (least, most) = text.strip_prefix("hex:")?.split_once('-')?;
        Some(Want::Hex(least.parse().ok()?, most.parse().ok()?))
    };
    match text.strip_prefix("param:") {
        Some(name) => Want::Param(name.to_owned()),
        None if text == "*" => Want::Something,
        None => hex().unwrap_or_else(|| Want::Text(text.to_owned())),
    }
}

fn timestamp(written: &TimestampRow) -> Result<TimestampRule, RowError> {
    let units = [
        ("s", TimestampUnit::Seconds),
        ("ms", TimestampUnit::Millis),
        ("s-or-ms", TimestampUnit::SecondsOrMillis),
        ("rfc3339", TimestampUnit::Rfc3339),
        ("http-date", TimestampUnit::HttpDate),
    ];
    let tolerance = written.tolerance.as_deref().map(parse_duration).transpose().map_err(|e| RowError::new("timestamp.tolerance", e))?;
    Ok(TimestampRule {
        from: Locator::parse(&written.from).map_err(|e| RowError::new("timestamp.from", e))?,
        unit: named("timestamp.unit", written.unit.as_deref(), TimestampUnit::Seconds, &units)?,
        tolerance: tolerance.unwrap_or(DEFAULT_TOLERANCE),
    })
}

/// A place alone, or a template with several.
fn event_id(row: &Row) -> Result<Vec<Template>, RowError> {
    let written = if row.event_id.is_empty() { &["sha256".to_owned()][..] } else { &row.event_id[..] };
    let template = |text: &String| Template::parse(&if text.contains('{') { text.clone() } else { format!("{{{text}}}") });
    written.iter().map(|text| template(text).map_err(|e| RowError::new("event_id", e))).collect()
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
    let when = written.when.iter().map(|(place, value)| Ok((Locator::parse(place)?, want(value)))).collect::<Result<Vec<_>, _>>();
    let headers = written.headers.iter().map(|(name, value)| {
        let value = Template::parse(value).map_err(|e| RowError::new("handshake.headers", e))?;
        Ok((header_name("handshake.headers", name)?, value))
    });
    Ok(Handshake {
        method: written.method.as_deref().unwrap_or("POST").to_ascii_uppercase(),
        when: when.map_err(|e: super::LocatorError| RowError::new("handshake.when", e))?,
        signed: written.signed.unwrap_or(true),
        status: status("handshake.status", written.status)?,
        content_type: content_type("handshake.content_type", written.content_type.as_ref())?,
        body: Template::parse(written.body.as_deref().unwrap_or_default()).map_err(|e| RowError::new("handshake.body", e))?,
        headers: headers.collect::<Result<_, _>>()?,
    })
}

fn answer(row: &Row) -> Result<Option<Reply>, RowError> {
    let Some(written) = &row.answer else { return Ok(None) };
    let body = written.body.clone().unwrap_or_default();
    let content_type = content_type("answer.content_type", written.content_type.as_ref())?;
    let headers = if body.is_empty() { Vec::new() } else { vec![("content-type".into(), content_type)] };
    Ok(Some(Reply { status: status("answer.status", written.status)?, headers, body: Bytes::from(body) }))
}

fn status(key: &str, written: Option<u16>) -> Result<u16, RowError> {
    match written.unwrap_or(200) {
        status @ 200..=599 => Ok(status),
        other => Err(RowError::new(key, format!("{other} is no status: write 200 to 599"))),
    }
}

fn credentials(row: &Row, signatures: &[Signature]) -> Result<Vec<String>, RowError> {
    let mut names = row.credentials.iter().map(|name| header_name("credentials", name)).collect::<Result<Vec<_>, _>>()?;
    let tokens = signatures.iter().filter(|signature| signature.algorithm.sends_secret());
    names.extend(tokens.filter_map(|signature| match &signature.place {
        Place::Header(name) => Some(name.clone()),
        _ => None,
    }));
    Ok(names)
}

fn retry_window(row: &Row) -> Result<Option<Duration>, RowError> {
    let window = row.retry.as_ref().and_then(|retry| retry.window.as_deref());
    window.map(parse_duration).transpose().map_err(|e| RowError::new("retry.window", e))
}
