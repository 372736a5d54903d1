//! From a row as written to a [`Provider`]: every name looked up, every template read, every contradiction found.

mod signature;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use super::coverage::Coverage;
use super::locator::Locator;
use super::model::{Algorithm, Fetch, Handshake, KeyForm, Place, Provider, Signature, Want};
use super::row::{FetchRow, HandshakeRow, Row};
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
        let signatures = row.signature.0.iter().map(|written| signature::signature(written, &row)).collect::<Result<Vec<_>, _>>()?;
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
            credentials: credentials(&row, &signatures, &handshakes)?,
            credential_parameters: credential_parameters(&signatures),
            name: name.into(),
            covers: covers(row.covers.as_deref())?,
            key_form: key_form(row.secret.key.as_deref())?,
            event_id: event_id(&row)?,
            event_type: templates("event_type", &row.event_type)?,
            item_id: item_ids(&row)?,
            methods: methods(&row, &handshakes),
            handshakes,
            answer: answer(&row)?,
            max_body: row.max_body.as_deref().map(parse_size).transpose().map_err(|e| RowError::new("max_body", e))?,
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
    text.map(|text| {
        Coverage::parse(text).ok_or_else(|| RowError::new("covers", format!("\"{text}\" is none of body, checksum, fields, nothing")))
    })
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

fn want(text: &str) -> Want {
    let hex = || {
        let (least, most) = text.strip_prefix("hex:")?.split_once('-')?;
        Some(Want::Hex(least.parse().ok()?, most.parse().ok()?))
    };
    match text.strip_prefix("param:") {
        Some(name) => Want::Param(name.to_owned()),
        None if text == "*" => Want::Something,
        None if text == "absent" => Want::Nothing,
        None if text == "one-line" => Want::OneLine,
        None if text.len() > "without:".len() && text.starts_with("without:") => Want::Without(text["without:".len()..].to_owned()),
        None if text.starts_with("one-of:") => Want::OneOf(text["one-of:".len()..].split(',').map(str::to_owned).collect()),
        None => hex().unwrap_or_else(|| Want::Text(text.to_owned())),
    }
}

/// A place alone, or a template with several.
fn event_id(row: &Row) -> Result<Vec<Template>, RowError> {
    let written = if row.event_id.is_empty() { &["sha256".to_owned()][..] } else { &row.event_id[..] };
    let template = |text: &String| Template::parse(&if text.contains('{') { text.clone() } else { format!("{{{text}}}") });
    written.iter().map(|text| template(text).map_err(|e| RowError::new("event_id", e))).collect()
}

fn template(key: &str, text: &str) -> Result<Template, RowError> {
    Template::parse(text).map_err(|e| RowError::new(key, e))
}

fn templates(key: &str, texts: &[String]) -> Result<Vec<Template>, RowError> {
    texts.iter().map(|text| template(key, text)).collect()
}

fn wants(key: &str, written: &BTreeMap<String, String>) -> Result<Vec<(Locator, Want)>, RowError> {
    let read = |(place, value): (&String, &String)| Ok((Locator::parse(place).map_err(|e| RowError::new(key, e))?, want(value)));
    written.iter().map(read).collect()
}

/// Where items have IDs of their own.
fn item_ids(row: &Row) -> Result<Option<Locator>, RowError> {
    let Some(text) = &row.item_id else { return Ok(None) };
    match Locator::parse(text).map_err(|e| RowError::new("item_id", e))? {
        Locator::Json(pointer) if super::is_wild(&pointer) => Ok(Some(Locator::Json(pointer))),
        _ => Err(RowError::new("item_id", "write a JSON pointer with * for any item: json:/*/id")),
    }
}

fn fetch(written: &FetchRow) -> Result<Fetch, RowError> {
    let hosts: Vec<_> = written.hosts.iter().map(|host| host.to_ascii_lowercase()).collect();
    match hosts.is_empty() {
        true => Err(RowError::new("handshake.fetch.hosts", "name the hosts that the URL may lead to")),
        false => Ok(Fetch { url: template("handshake.fetch.url", &written.url)?, hosts }),
    }
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
    let headers = written.headers.iter().map(|(name, value)| {
        let value = template("handshake.headers", value)?;
        Ok((header_name("handshake.headers", name)?, value))
    });
    Ok(Handshake {
        method: written.method.as_deref().unwrap_or("POST").to_ascii_uppercase(),
        when: wants("handshake.when", &written.when)?,
        learn: written.learn.as_deref().map(Locator::parse).transpose().map_err(|e| RowError::new("handshake.learn", e))?,
        fetch: written.fetch.as_ref().map(fetch).transpose()?,
        signed: written.signed.unwrap_or(true),
        status: status("handshake.status", written.status)?,
        content_type: content_type("handshake.content_type", written.content_type.as_ref())?,
        body: template("handshake.body", written.body.as_deref().unwrap_or_default())?,
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

fn credentials(row: &Row, signatures: &[Signature], handshakes: &[Handshake]) -> Result<Vec<String>, RowError> {
    let mut names = row.credentials.iter().map(|name| header_name("credentials", name)).collect::<Result<Vec<_>, _>>()?;
    let tokens = signatures.iter().filter(|signature| signature.algorithm.sends_secret());
    names.extend(tokens.filter_map(|signature| match &signature.place {
        Place::Header(name) => Some(name.clone()),
        _ => None,
    }));
    // A secret that is told in a header is one.
    names.extend(handshakes.iter().filter_map(|handshake| match &handshake.learn {
        Some(Locator::Header(name)) => Some(name.clone()),
        _ => None,
    }));
    Ok(names)
}

fn credential_parameters(signatures: &[Signature]) -> Vec<String> {
    let tokens = signatures.iter().filter(|signature| signature.algorithm.sends_secret());
    tokens.filter_map(|signature| if let Place::Query(name) = &signature.place { Some(name.clone()) } else { None }).collect()
}

fn retry_window(row: &Row) -> Result<Option<Duration>, RowError> {
    let window = row.retry.as_ref().and_then(|retry| retry.window.as_deref());
    window.map(parse_duration).transpose().map_err(|e| RowError::new("retry.window", e))
}
