//! The bench on which variants are tried: asks the verifier, counts what that costs, and stops at a bound.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use bytes::Bytes;

use super::Refusal;
use crate::domain::{Code, HeaderBuilder, Headers, RawRequest, Rejection};
use crate::provider::{Algorithm, Provider};
use crate::verify::{Setup, Verifier};

/// The largest body that variants are made of.
const MAX_BODY: usize = 1 << 20;
/// The most variants of one request that are tried.
const MAX_TRIALS: usize = 400;
/// The most bytes that are hashed for one request: with a large body, few variants are tried.
const MAX_BYTES: usize = 32 << 20;
/// What a trial costs beside the body, in bytes hashed.
const BYTES_A_TRIAL: usize = 1 << 10;

/// Where variants of one refused request are tried.
pub(super) struct Bench<'a> {
    refusal: &'a Refusal<'a>,
    own: Arc<Verifier>,
    proved: bool,
    tried: Cell<usize>,
    hashed: Cell<usize>,
    cut_short: Cell<bool>,
    remains: RefCell<Option<Rejection>>,
}

/// Whether the code says that the signature holds: what it finds fault with is looked at only afterwards. A missing timestamp
/// is noticed before or after, depending on where it should stand.
fn proves(code: Code) -> bool {
    matches!(code, Code::TimestampStale | Code::EventIdMissing | Code::BodyUnreadable | Code::MethodNotAllowed)
}

/// The set-up without handshakes that nobody signs: their answer would prove nothing.
fn strict(setup: Setup) -> Setup {
    if setup.provider.handshakes.iter().all(|handshake| handshake.signed) {
        return setup;
    }
    let mut provider = Provider::clone(&setup.provider);
    provider.handshakes.retain(|handshake| handshake.signed);
    Setup { provider: Arc::new(provider), ..setup }
}

impl<'a> Bench<'a> {
    /// A bench for this refusal; `None` where there is nothing to try against, or where an unsigned handshake was refused.
    pub(super) fn new(refusal: &'a Refusal<'a>) -> Option<Self> {
        let own = Verifier::new(Arc::clone(&refusal.verifier.source), strict(refusal.verifier.setup.clone())).ok()?;
        let proved = proves(refusal.rejection.code);
        if proved && own.judge(refusal.request, refusal.now).is_err_and(|rejection| !proves(rejection.code)) {
            return None;
        }
        let (tried, hashed, cut_short) = (Cell::new(0), Cell::new(0), Cell::new(false));
        Some(Self { refusal, own: Arc::new(own), proved, tried, hashed, cut_short, remains: RefCell::default() })
    }

    pub(super) fn refusal(&self) -> &'a Refusal<'a> {
        self.refusal
    }

    /// The request as it came.
    pub(super) fn request(&self) -> &'a RawRequest {
        self.refusal.request
    }

    /// The source's own set-up.
    pub(super) fn setup(&self) -> &Setup {
        &self.own.setup
    }

    /// The source's own row.
    pub(super) fn provider(&self) -> &Provider {
        &self.own.setup.provider
    }

    /// Whether the refusal leaves in doubt who sent the request.
    pub(super) fn is_unproved(&self) -> bool {
        !self.proved
    }

    /// The body as text for variants to be made of; `None` where it is too large, or not signed.
    pub(super) fn body(&self) -> Option<&'a Bytes> {
        let body = &self.refusal.request.body;
        if !self.is_unproved() || !self.covers_body() {
            return None;
        }
        if body.len() > MAX_BODY {
            self.cut_short.set(true);
            return None;
        }
        Some(body)
    }

    /// Whether a changed body can be the reason: not where the secret itself is sent.
    fn covers_body(&self) -> bool {
        !self.provider().signatures.iter().all(|signature| signature.algorithm.sends_secret())
    }

    /// Whether the request would hold with this body.
    pub(super) fn try_body(&self, body: impl Into<Bytes>) -> bool {
        let body = body.into();
        body != self.request().body && self.try_request(&RawRequest { body, ..self.request().clone() })
    }

    /// Whether the request would hold with these headers.
    pub(super) fn try_headers(&self, headers: Headers) -> bool {
        self.try_request(&RawRequest { headers, ..self.request().clone() })
    }

    /// Whether the request would hold with another value of that header.
    pub(super) fn try_value(&self, name: &str, value: &str) -> bool {
        let mut headers = HeaderBuilder::with_capacity(self.request().headers.encoded().len() + value.len());
        for (field, old) in self.request().headers.iter() {
            headers.push(field, if field == name { value.as_bytes() } else { old });
        }
        self.try_headers(headers.build())
    }

    /// Whether this request would hold for the source as it is set up.
    pub(super) fn try_request(&self, request: &RawRequest) -> bool {
        self.holds(&self.own, request)
    }

    /// Whether the request would hold by this set-up.
    pub(super) fn try_setup(&self, setup: Setup) -> bool {
        self.try_both(setup, self.request())
    }

    /// Whether this request would hold by this set-up. One that proves nothing never does.
    pub(super) fn try_both(&self, setup: Setup, request: &RawRequest) -> bool {
        let proves_nothing = setup.provider.signatures.iter().any(|signature| signature.algorithm == Algorithm::None);
        if !setup.verify || proves_nothing || self.is_spent() {
            return false;
        }
        Verifier::new(Arc::clone(&self.own.source), strict(setup)).is_ok_and(|verifier| self.holds(&verifier, request))
    }

    /// Whether nothing more may be tried.
    pub(super) fn is_spent(&self) -> bool {
        let next = self.request().body.len() + BYTES_A_TRIAL;
        let spent = self.tried.get() >= MAX_TRIALS || self.hashed.get() + next > MAX_BYTES;
        if spent {
            self.cut_short.set(true);
        }
        spent
    }

    fn holds(&self, verifier: &Verifier, request: &RawRequest) -> bool {
        if self.is_spent() {
            return false;
        }
        let each_key = request.body.len() + BYTES_A_TRIAL;
        self.tried.set(self.tried.get() + 1);
        self.hashed.set(self.hashed.get() + each_key * verifier.setup.secrets.len().max(1));
        let Err(rejection) = verifier.judge(request, self.refusal.now) else {
            self.remains.replace(None);
            return true;
        };
        let better = self.is_unproved() && proves(rejection.code);
        if better {
            self.remains.replace(Some(rejection));
        }
        better
    }

    /// For what the last variant that held would be refused nevertheless.
    pub(super) fn remains(&self) -> Option<String> {
        let remains = self.remains.take()?;
        Some(format!("it would then be refused as {}: {}", remains.code, remains.diagnosis))
    }

    /// What is said when nothing was found.
    pub(super) fn nothing(&self) -> String {
        let cut_short = match self.cut_short.get() {
            true => " (not all of them, because the body is large or there is too much to try)",
            false => "",
        };
        let tried = self.tried.get();
        let body = if self.covers_body() { "another body, " } else { "" };
        // Every other code says for certain what is wrong.
        let is_guess = self.refusal.rejection.code == Code::SignatureMismatch;
        let guess = if is_guess { format!(": another secret, {body}or forged") } else { String::new() };
        format!("none of the usual mistakes explains it, in {tried} variants tried{cut_short}{guess}")
    }
}
