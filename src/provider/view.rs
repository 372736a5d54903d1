//! What is said of a sender, in words: the same for a listing, one sender's page, JSON and `docs/PROVIDERS.md`.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::ObjectBuilder;

use super::{Algorithm, Coverage, Handshake, Locator, Place, Provider, Want};
use crate::domain::print_duration;
use crate::domain::schema::one_of;

/// The largest body where the row says nothing.
const DEFAULT_MAX_BODY: &str = "10MiB";

/// A sender, as users see it. The names of the fields are those of `--json` and stay.
#[derive(Serialize, ToSchema)]
#[schema(as = Provider)]
pub struct View<'a> {
    /// Its name in the configuration.
    pub name: &'a str,
    /// Its name for people.
    pub title: &'a str,
    /// Its documentation.
    #[schema(required = true)]
    pub docs: Option<&'a str>,
    /// The path to paste behind `public_url`, where the source has the provider's name.
    pub path: String,
    /// The whole URLs of the sources of this provider that are configured.
    pub urls: Vec<String>,
    /// What to set up there.
    #[schema(required = true)]
    pub setup: Option<&'a str>,
    /// What its secret is.
    #[schema(required = true)]
    pub secret: Option<&'a str>,
    /// Further values that the row asks for, with what they are.
    pub params: &'a BTreeMap<String, String>,
    /// Whether the sender signs the URL, so that `public_url` or the source's `url` must be the one that it was given.
    pub url_signed: bool,
    /// The ways to sign, the preferred one first.
    pub proofs: Vec<String>,
    /// The first of them.
    pub proved_by: String,
    /// `body`, `checksum`, `fields` or `nothing`.
    #[schema(schema_with = coverages)]
    pub body_covered: &'static str,
    /// Which fields, where it is not the whole body.
    pub fields_covered: Vec<String>,
    /// How old a signature may be; none where nothing tells its age.
    #[schema(required = true)]
    pub tolerance: Option<String>,
    /// Where the event's ID is, the first that is there; `sha256` for the hash of the body.
    pub event_id: Vec<String>,
    /// Whether the signature covers the ID.
    pub event_id_signed: bool,
    /// Where the type is.
    pub event_type: &'a [String],
    /// The methods that it sends.
    pub methods: &'a [String],
    /// Its handshakes.
    pub handshakes: Vec<String>,
    /// What it is answered.
    pub answer: String,
    /// The largest body.
    pub max_body: &'a str,
    /// How it retries.
    #[schema(required = true)]
    pub retry: Option<&'a str>,
    /// How long a duplicate may come after the first; none where the sender does not say.
    #[schema(required = true)]
    pub duplicates_within: Option<String>,
    /// Where the facts come from.
    #[schema(required = true)]
    pub source: Option<&'a str>,
    /// How sure they are.
    #[schema(required = true)]
    pub confidence: Option<&'a str>,
    /// Facts that were not looked up.
    pub from_memory: &'a [String],
}

/// What a signature may cover, for the API's document.
fn coverages() -> ObjectBuilder {
    one_of(Coverage::kinds().iter().map(Coverage::as_str)).description(Some("What of the body the signature covers."))
}

impl<'a> From<&'a Provider> for View<'a> {
    fn from(provider: &'a Provider) -> Self {
        let (row, coverage, facts) = (&provider.row, provider.coverage(), provider.row.facts.as_ref());
        let written = provider.handshakes.iter().zip(&row.handshake);
        Self {
            name: &provider.name,
            title: provider.title(),
            docs: row.docs.as_deref(),
            path: format!("/hooks/{}", provider.name),
            urls: Vec::new(),
            setup: row.setup.as_deref(),
            secret: row.secret.hint.as_deref(),
            params: provider.params(),
            url_signed: provider.signs_url(),
            proofs: (0..provider.signatures.len()).map(|at| proof(provider, at)).collect(),
            proved_by: provider.summary(),
            body_covered: coverage.as_str(),
            tolerance: provider
                .signatures
                .iter()
                .find_map(|signature| signature.timestamp.as_ref())
                .map(|rule| print_duration(rule.tolerance)),
            fields_covered: if let Coverage::Fields(names) = coverage { names } else { Vec::new() },
            event_id: if row.event_id.is_empty() { vec!["sha256".to_owned()] } else { row.event_id.clone() },
            event_id_signed: provider.event_id_covered(),
            event_type: &row.event_type,
            methods: &provider.methods,
            handshakes: written.map(|(read, row)| handshake(read, row.body.as_deref().unwrap_or_default())).collect(),
            answer: answer(provider),
            max_body: row.max_body.as_deref().unwrap_or(DEFAULT_MAX_BODY),
            retry: row.retry.as_ref().map(|retry| retry.policy.as_str()),
            duplicates_within: provider.retry_window.map(print_duration),
            source: facts.map(|facts| facts.source.as_str()),
            confidence: facts.map(|facts| facts.confidence.as_str()),
            from_memory: facts.map_or(&[], |facts| &facts.from_memory),
        }
    }
}

impl View<'_> {
    /// With the URLs of the sources that are configured, each with its provider's name.
    pub fn with_urls(mut self, configured: &[(String, String)]) -> Self {
        let own = configured.iter().filter(|(provider, _)| provider == self.name);
        self.urls.extend(own.map(|(_, url)| url.clone()));
        self
    }

    /// What to paste into the sender's settings.
    pub fn url_words(&self) -> String {
        match &self.urls[..] {
            [] => format!("{{public_url}}{}", self.path),
            urls => urls.join(", "),
        }
    }

    /// Whether the signature covers the body, in a word or two.
    pub fn body_words(&self) -> String {
        match self.body_covered {
            "body" => "yes".into(),
            "checksum" => "only its CRC-32, which another body can have".into(),
            "fields" if self.fields_covered.is_empty() => "only some fields".into(),
            "fields" => format!("only {}", self.fields_covered.join(", ")),
            _ => "no".into(),
        }
    }

    /// Where the event's ID is, and whether the signature covers it.
    pub fn event_id_words(&self) -> String {
        let note = if self.event_id_signed { "covered by the signature" } else { "not covered by the signature" };
        let place = |id: &String| match id.as_str() {
            "sha256" => "the hash of the body".to_owned(),
            "arrival" => "the time of arrival".to_owned(),
            other => other.to_owned(),
        };
        format!("{} ({note})", self.event_id.iter().map(place).collect::<Vec<_>>().join(", else "))
    }

    /// How sure the facts are and where they come from.
    pub fn facts_words(&self) -> Option<String> {
        let (source, confidence) = self.source.zip(self.confidence)?;
        let memory = if self.from_memory.is_empty() { String::new() } else { format!("; from memory: {}", self.from_memory.join(", ")) };
        Some(format!("{source} ({confidence}{memory})"))
    }

    /// How long duplicates may come, or that nobody knows.
    pub fn dedupe_words(&self) -> String {
        self.duplicates_within.clone().unwrap_or_else(|| "not said by the sender".into())
    }
}

/// One way to sign: how and where.
fn proof(provider: &Provider, at: usize) -> String {
    let signature = &provider.signatures[at];
    let written = provider.row.signature.0.get(at).and_then(|row| row.header.as_deref());
    let place = match &signature.place {
        Place::Header(name) => format!(" in header {}", written.unwrap_or(name)),
        Place::Headers(name) => format!(" in headers {}", written.unwrap_or(name)),
        Place::Query(name) => format!(" in query parameter {name}"),
        Place::Json(pointer) => format!(" in JSON value {pointer}"),
        Place::Form(name) => format!(" in form field {name}"),
        Place::Nowhere => return "nothing".into(),
    };
    let over = provider.row.signature.0.get(at).and_then(|row| row.signed.as_deref()).or(provider.row.signed.as_deref());
    let makes = !signature.algorithm.sends_secret() && signature.algorithm != Algorithm::Jwt;
    let over = over.filter(|_| makes).map(|signed| format!(" over {}", signed.replace('\n', "\\n"))).unwrap_or_default();
    format!("{}{place}{over}", signature.algorithm.as_str())
}

/// A handshake: how it is known, and what is answered.
fn handshake(handshake: &Handshake, body: &str) -> String {
    let when: Vec<_> = handshake.when.iter().map(|(place, want)| condition(place, want)).collect();
    let when = if when.is_empty() { String::new() } else { format!(" with {}", when.join(" and ")) };
    let signed = if handshake.signed { "signed" } else { "not signed" };
    let body = if body.is_empty() { String::new() } else { format!(" and {body}") };
    let secret = handshake.learn.as_ref().map_or_else(String::new, |place| format!("; the {place} is kept as the source's secret"));
    let visited = if handshake.fetch.is_some() { "; the URL that it names is visited" } else { "" };
    format!("{}{when}, {signed}: answered {}{body}{secret}{visited}", handshake.method, handshake.status)
}

fn condition(place: &Locator, want: &Want) -> String {
    match want {
        Want::Text(text) => format!("{place} = {text}"),
        Want::Param(name) => format!("{place} = the source's param {name}"),
        Want::Hex(least, most) => format!("{place} of {least} to {most} hex digits"),
        Want::Something => place.to_string(),
        Want::Nothing => format!("no {place}"),
        Want::OneOf(texts) => format!("{place} one of {}", texts.join(", ")),
        Want::Without(text) => format!("{place} without {text}"),
        Want::OneLine => format!("{place} of one line"),
    }
}

/// What an event is answered with.
fn answer(provider: &Provider) -> String {
    let Some(reply) = &provider.answer else { return "200 and JSON with the event's ID".into() };
    match std::str::from_utf8(&reply.body) {
        Ok("") | Err(_) => format!("{}, without a body", reply.status),
        Ok(body) => format!("{} and {body}", reply.status),
    }
}
