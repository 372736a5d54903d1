//! Proves who sent a request: the provider's row, the source's secrets, the request and the time go in, a
//! [`VerifiedEvent`] or a [`Rejection`] comes out. Pure and synchronous; nothing here is particular to one sender.

mod age;
mod content;
pub mod explain;
mod form;
mod headers;
mod identify;
mod json;
mod jwt;
mod key;
mod prove;
mod sign;
mod wire;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

pub use key::KeyError;
pub use sign::SignError;

use crate::domain::{Code, Headers, RawRequest, Rejection, Reply, Timestamp, VerifiedEvent};
use crate::provider::{Handshake, Place, Provider, Signature, Template};
use content::Scope;
use json::PointerSet;
use key::Key;
use prove::Proof;

/// What a request turned out to be.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "the large one is the common one, and it lives for one request")]
#[must_use]
pub enum Judgement {
    /// A proved event.
    Event(VerifiedEvent),
    /// A handshake, with its answer; no event.
    Handshake(Reply),
}

/// What a verifier is made from.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The sender's row.
    pub provider: Arc<Provider>,
    /// The source's secrets; several while rotating.
    pub secrets: Vec<SecretString>,
    /// Further values that the row asks for.
    pub params: BTreeMap<String, String>,
    /// The exact URL given to the sender, where it signs the URL.
    pub url: Option<String>,
    /// Instead of the row's timestamp tolerance.
    pub tolerance: Option<Duration>,
    /// False to take everything unproved.
    pub verify: bool,
}

impl Setup {
    /// A setup with these secrets and otherwise the row's own values.
    pub fn new(provider: Arc<Provider>, secrets: Vec<SecretString>) -> Self {
        Self { provider, secrets, params: BTreeMap::new(), url: None, tolerance: None, verify: true }
    }
}

/// Judges the requests of one source. Keys and the places to look at are prepared once.
pub struct Verifier {
    source: Arc<str>,
    setup: Setup,
    schemes: Vec<Scheme>,
    pointers: PointerSet,
    reads_body_first: bool,
}

/// One way to sign, with the source's keys in the form that it needs.
struct Scheme {
    signature: Signature,
    keys: Vec<Key>,
    /// Where the ID of a request that is proved this way may be.
    event_id: Vec<Template>,
}

impl Verifier {
    /// A verifier for the source of that name.
    ///
    /// # Errors
    /// [`KeyError`] when a secret does not have the form that the row says, by its position and never by its value.
    pub fn new(source: impl Into<Arc<str>>, setup: Setup) -> Result<Self, KeyError> {
        let provider = &setup.provider;
        let schemes = if setup.verify { &provider.signatures[..] } else { &[] };
        let schemes = schemes
            .iter()
            .map(|signature| {
                let keys = Key::all(&setup.secrets, provider.key_form, signature)?;
                Ok(Scheme { signature: signature.clone(), keys, event_id: identify::trusted_ids(provider, signature) })
            })
            .collect::<Result<_, _>>()?;
        let pointers = PointerSet::new(identify::json_pointers(provider));
        let reads_body_first = identify::reads_body_first(provider);
        Ok(Self { source: source.into(), schemes, pointers, reads_body_first, setup })
    }

    /// The sender's row.
    pub fn provider(&self) -> &Arc<Provider> {
        &self.setup.provider
    }

    /// Judges a request as of `now`.
    ///
    /// # Errors
    /// [`Rejection`] with the code that the sender learns and the explanation that it does not.
    pub fn judge(&self, request: &RawRequest, now: Timestamp) -> Result<Judgement, Rejection> {
        let mut scope = Scope::new(request, &self.setup);
        scope.key = self.schemes.first().and_then(|scheme| scheme.keys.first());
        if self.reads_body_first {
            scope.read_json(&self.pointers);
        }
        if let Some(reply) = self.handshake(&scope, false)? {
            return Ok(Judgement::Handshake(reply));
        }
        let proof = self.prove(&mut scope)?;
        if !self.reads_body_first {
            scope.read_json(&self.pointers);
        }
        if let (Some(rule), Some(claims)) = (proof.jwt, &scope.claims) {
            jwt::check_times(claims, rule, now)?;
        }
        if let Some(rule) = &proof.timestamp {
            age::check(&scope, rule, self.setup.tolerance, now)?;
        }
        if let Some(reply) = self.handshake(&scope, true)? {
            return Ok(Judgement::Handshake(reply));
        }
        if !identify::takes_events_by(self.provider(), &request.method) {
            return Err(Rejection::new(Code::MethodNotAllowed, format!("{} is for handshakes only", request.method)));
        }
        identify::event(self, &scope, proof).map(Judgement::Event)
    }

    /// The query that may be stored and forwarded: without the parameters that carry static credentials.
    pub fn storable_query(&self, query: &str) -> String {
        let tokens = self.provider().signatures.iter().filter(|signature| signature.algorithm.sends_secret());
        let names: Vec<_> =
            tokens.filter_map(|signature| if let Place::Query(name) = &signature.place { Some(name.as_str()) } else { None }).collect();
        if names.is_empty() {
            return query.to_owned();
        }
        let is_token = |pair: &str| names.contains(&pair.split('=').next().unwrap_or_default());
        query.split('&').filter(|pair| !is_token(pair)).collect::<Vec<_>>().join("&")
    }

    /// The header fields that may be stored and forwarded: no hop-by-hop ones, no static credentials.
    pub fn storable(&self, headers: &Headers) -> Headers {
        headers::storable(headers, &self.setup.provider.credentials)
    }

    fn prove<'a>(&'a self, scope: &mut Scope<'a>) -> Result<Proof<'a>, Rejection> {
        if self.setup.verify {
            prove::prove(&self.schemes, scope, self.provider().any_signature)
        } else {
            Ok(Proof::unverified(&self.provider().event_id))
        }
    }

    fn handshake(&self, scope: &Scope<'_>, signed: bool) -> Result<Option<Reply>, Rejection> {
        let asked = |handshake: &&Handshake| {
            handshake.signed == signed
                && handshake.method == scope.request.method
                && handshake
                    .when
                    .iter()
                    .all(|(place, want)| scope.text(place).is_some_and(|text| wire::is(want, &text, &self.setup.params)))
        };
        let Some(handshake) = self.setup.provider.handshakes.iter().find(asked) else { return Ok(None) };
        identify::handshake_reply(handshake, scope).map(Some)
    }
}

/// Shows the source alone.
impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verifier").field("source", &self.source).field("provider", &self.setup.provider.name).finish_non_exhaustive()
    }
}
