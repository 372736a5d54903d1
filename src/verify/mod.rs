//! Proves who sent a request: the provider's row, the source's secrets, the request and the time go in, a
//! [`VerifiedEvent`] or a [`Rejection`] comes out. Pure and synchronous; nothing here is particular to one sender.

mod age;
mod canonical;
mod content;
pub mod explain;
mod form;
#[doc(hidden)]
pub mod fuzzing;
mod headers;
mod identify;
mod ijson;
mod json;
mod jwt;
mod key;
mod message;
mod multipart;
mod own;
mod prove;
mod published;
mod replay;
mod sealed;
mod sign;
mod tag;
mod wire;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use subtle::ConstantTimeEq as _;

pub use key::KeyError;
pub use own::{ByHand, by_hand, own};
pub use published::{PublishedKey, Wanted};
pub use sealed::Credentials;
pub use sign::SignError;

use crate::domain::{Code, Headers, RawRequest, Rejection, ReplayGuard, Reply, Timestamp, VerifiedEvent};
use crate::provider::{Handshake, Provider, Signature, Template};
use content::Scope;
use json::PointerSet;
use key::Key;
use prove::Proof;
use replay::Content;

/// What a request turned out to be.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "the large one is the common one, and it lives for one request")]
#[must_use]
pub enum Judgement {
    /// A proved event.
    Event(VerifiedEvent),
    /// A handshake, with its answer; no event.
    Handshake(Answered),
}

/// The answer to a handshake, and what must be done before it is given.
#[derive(Debug, Clone)]
pub struct Answered {
    /// The answer.
    pub reply: Reply,
    /// The secret that the sender has made up for this source, to be kept.
    pub learn: Option<SecretString>,
    /// The URL that the sender wants to be visited; only one of the row's hosts gets here.
    pub visit: Option<String>,
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
    /// What becomes of content that comes again under another ID.
    pub replay_guard: ReplayGuard,
}

impl Setup {
    /// A setup with these secrets and otherwise the row's own values.
    pub fn new(provider: Arc<Provider>, secrets: Vec<SecretString>) -> Self {
        Self { provider, secrets, params: BTreeMap::new(), url: None, tolerance: None, verify: true, replay_guard: ReplayGuard::Mark }
    }
}

/// Judges the requests of one source. Keys and the places to look at are prepared once.
pub struct Verifier {
    source: Arc<str>,
    setup: Setup,
    schemes: Vec<Scheme>,
    /// Of what is taken unproved.
    content: Option<Content>,
    pointers: PointerSet,
    reads_body_first: bool,
}

/// One way to sign, with the source's keys in the form that it needs.
struct Scheme {
    signature: Signature,
    keys: Vec<Key>,
    /// Where the ID of a request that is proved this way may be.
    event_id: Vec<Template>,
    /// What of such a request must not come back under another ID.
    content: Option<Content>,
    /// What is looked up in each item of an array, where each is signed by itself.
    item: PointerSet,
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
                let keys = Key::all(&setup.secrets, provider, signature)?;
                let event_id = identify::trusted_ids(provider, signature);
                let content = Content::new(provider, Some(signature), &event_id);
                let item = PointerSet::new(identify::item_pointers(signature));
                Ok(Scheme { signature: signature.clone(), keys, event_id, content, item })
            })
            .collect::<Result<_, _>>()?;
        let pointers = PointerSet::new(identify::json_pointers(provider));
        let reads_body_first = identify::reads_body_first(provider);
        let content = Content::new(provider, None, &provider.event_id);
        Ok(Self { source: source.into(), schemes, content, pointers, reads_body_first, setup })
    }

    /// The same with this secret alone, as a sender tells it in a handshake.
    ///
    /// # Errors
    /// [`KeyError`] when it does not have the form that the row says.
    pub fn with_secret(&self, secret: SecretString) -> Result<Self, KeyError> {
        Self::new(Arc::clone(&self.source), Setup { secrets: vec![secret], ..self.setup.clone() })
    }

    /// Whether this is one of the source's secrets; any is where nothing is verified.
    pub fn has_secret(&self, secret: &SecretString) -> bool {
        if !self.setup.verify {
            return true;
        }
        let is_same = |own: &SecretString| bool::from(own.expose_secret().as_bytes().ct_eq(secret.expose_secret().as_bytes()));
        self.setup.secrets.iter().map(is_same).fold(false, |any, one| any | one)
    }

    /// Whether the source has no secret yet, and takes the one that its sender tells.
    pub fn awaits_secret(&self) -> bool {
        self.setup.verify && self.setup.secrets.is_empty() && self.provider().learns()
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
        self.judge_by(request, now, None)
    }

    /// Judges a request as of `now`, with the key that [`Verifier::wanted_key`] has asked for.
    ///
    /// # Errors
    /// As [`Verifier::judge`].
    pub fn judge_by(&self, request: &RawRequest, now: Timestamp, published: Option<&PublishedKey>) -> Result<Judgement, Rejection> {
        let mut scope = Scope::new(request, &self.setup);
        scope.published = published;
        scope.key = self.schemes.first().and_then(|scheme| scheme.keys.first());
        if self.reads_body_first {
            scope.read_json(&self.pointers);
        }
        if let Some(answered) = self.handshake(&scope, false)? {
            return Ok(Judgement::Handshake(answered));
        }
        let proof = self.prove(&mut scope)?;
        if !self.reads_body_first {
            scope.read_json(&self.pointers);
        }
        if let Some(signature) = proof.signature {
            identify::check_required(signature, &scope)?;
            self.check_times(signature, &scope, now)?;
        }
        if let Some(answered) = self.handshake(&scope, true)? {
            return Ok(Judgement::Handshake(answered));
        }
        if !identify::takes_events_by(self.provider(), &request.method) {
            return Err(Rejection::new(Code::MethodNotAllowed, format!("{} is for handshakes only", request.method)));
        }
        identify::event(self, &scope, proof).map(Judgement::Event)
    }

    fn check_times(&self, signature: &Signature, scope: &Scope<'_>, now: Timestamp) -> Result<(), Rejection> {
        if let (Some(rule), Some(claims)) = (&signature.jwt, &scope.claims) {
            jwt::check_times(claims, rule, now)?;
        }
        if signature.components.is_some() {
            age::check_end(scope, now)?;
        }
        match &signature.timestamp {
            Some(rule) => age::check(scope, rule, self.setup.tolerance, now),
            None => Ok(()),
        }
    }

    /// The query that may be stored and forwarded: without the parameters that carry static credentials.
    pub fn storable_query(&self, query: &str) -> String {
        let tokens = &self.provider().credential_parameters;
        form::without(query, |name| tokens.iter().any(|token| token == name))
    }

    /// The header fields that may be stored and forwarded: no hop-by-hop ones, no static credentials.
    pub fn storable(&self, headers: &Headers) -> Headers {
        headers::storable(headers, &self.setup.provider.credentials)
    }

    fn prove<'a>(&'a self, scope: &mut Scope<'a>) -> Result<Proof<'a>, Rejection> {
        if self.setup.verify {
            prove::prove(&self.schemes, scope, self.provider().any_signature)
        } else {
            Ok(Proof::unverified(&self.provider().event_id, self.content.as_ref()))
        }
    }

    fn handshake(&self, scope: &Scope<'_>, signed: bool) -> Result<Option<Answered>, Rejection> {
        let asked = |handshake: &&Handshake| {
            handshake.signed == signed
                && handshake.method == scope.request.method
                && handshake.when.iter().all(|(place, want)| wire::is_at(want, scope.text(place).as_deref(), &self.setup.params))
        };
        let Some(handshake) = self.setup.provider.handshakes.iter().find(asked) else { return Ok(None) };
        identify::answered(handshake, scope).map(Some)
    }
}

/// Shows the source alone.
impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verifier").field("source", &self.source).field("provider", &self.setup.provider.name).finish_non_exhaustive()
    }
}
