//! Why a request was refused: the usual mistakes are tried one after the other, and what would have held is said. For the
//! operator alone, offline and in the rejection log; the sender learns the code and nothing of this. Nothing here decides
//! anything: a request that was refused stays refused, by the same code.
//!
//! A mistake is a variant of the request or of the source's set-up that the verifier is asked about, as a black box. That
//! finds it with certainty, because nobody can hit upon a signature by chance, and needs no second way to verify.
//!
//! What is said never holds a secret, nor the value of a signature: what came may be valid in another form.

mod address;
mod body;
mod came;
mod clock;
mod form;
mod headers;
mod hints;
mod json;
mod keys;
mod packed;
mod rows;
mod secrets;
mod text;
mod trial;
mod value;

#[cfg(test)]
mod tests;

use super::Verifier;
use crate::domain::{Code, RawRequest, Rejection, Timestamp};
use crate::provider::Table;
use trial::Bench;

/// A refused request with everything that may explain it.
pub struct Refusal<'a> {
    /// The request.
    pub request: &'a RawRequest,
    /// The time as of which it was judged.
    pub now: Timestamp,
    /// What the verifier said of it.
    pub rejection: &'a Rejection,
    /// The verifier of the source that it was sent to.
    pub verifier: &'a Verifier,
    /// The verifiers of the configuration's sources; that source may be among them.
    pub others: Vec<&'a Verifier>,
    /// The senders whose ways to sign are tried.
    pub table: &'a Table,
}

/// A kind of mistake: what would have held, when it is this one.
type Kind = fn(&Bench<'_>) -> Option<String>;

/// The kinds of mistakes in the order in which they are tried: cheap and frequent ones first.
const KINDS: &[Kind] = &[
    clock::find,
    headers::find,
    value::find,
    secrets::find,
    keys::find,
    address::find,
    body::find,
    packed::find,
    form::find,
    json::find,
    rows::find,
];

/// The kinds that can explain why there is no signature at all.
const KINDS_WITHOUT_SIGNATURE: &[Kind] = &[headers::find, secrets::another_setup, rows::find];

impl Refusal<'_> {
    /// The diagnosis of the refusal with what was expected and what came. Costs no more than reading a few headers.
    pub fn describe(&self) -> String {
        let parts = [Some(self.rejection.diagnosis.clone()), came::sentence(self)];
        self.finished(&parts.into_iter().flatten().collect::<Vec<_>>())
    }

    /// The diagnosis of the refusal with what was expected, what came, and which of the usual mistakes explains it. Costs
    /// up to some hundred milliseconds: nothing that an answer may wait for.
    pub fn explain(&self) -> String {
        let mut parts = vec![self.rejection.diagnosis.clone()];
        parts.extend(came::sentence(self));
        parts.extend(self.findings());
        self.finished(&parts)
    }

    fn findings(&self) -> Vec<String> {
        let explicable = self.verifier.setup.verify && self.rejection.code != Code::MethodNotAllowed;
        let Some(bench) = explicable.then(|| Bench::new(self)).flatten() else { return Vec::new() };
        let is_missing = self.rejection.code == Code::SignatureMissing;
        let kinds = if is_missing { KINDS_WITHOUT_SIGNATURE } else { KINDS };
        if let Some(found) = kinds.iter().find_map(|kind| kind(&bench)) {
            return [Some(found), bench.remains()].into_iter().flatten().collect();
        }
        let verdict = clock::verdict(self.rejection.code).map(str::to_owned);
        let nothing = (verdict.is_none() && !is_missing).then(|| bench.nothing());
        verdict.into_iter().chain(nothing).chain(hints::all(self)).collect()
    }

    /// The parts as one text. Nothing that is said quotes a secret; should a header's name or a URL happen to hold one, it is
    /// taken out here.
    fn finished(&self, parts: &[String]) -> String {
        let verifiers = std::iter::once(self.verifier).chain(self.others.iter().copied());
        text::without_secrets(parts.join("; "), verifiers.flat_map(|verifier| &verifier.setup.secrets))
    }
}
