//! When refusals are explained, and at whose cost: beside the answers and never in front of one, seldom enough that forged
//! traffic cannot make it a load.

use std::num::NonZeroU32;
use std::sync::Arc;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;

use super::Source;
use crate::domain::{RawRequest, Rejection, Timestamp};
use crate::provider::Table;
use crate::verify::Verifier;
use crate::verify::explain::Refusal;

/// Refusals that are explained in a burst, for all sources together: enough for whoever is setting a source up.
const EXPLAINED_AT_ONCE: NonZeroU32 = NonZeroU32::new(5).unwrap();
/// Refusals that are explained in each second after that. One costs up to some 100 ms of one core: under a flood of forged
/// requests, that is a tenth of a core or so.
const EXPLAINED_A_SECOND: NonZeroU32 = NonZeroU32::new(1).unwrap();

/// Explains refusals, one at a time.
pub(super) struct Explainer {
    verifiers: Arc<[Arc<Verifier>]>,
    table: Arc<Table>,
    turn: Arc<Semaphore>,
    pace: DefaultDirectRateLimiter,
}

/// A diagnosis that is there, or on its way.
pub(super) enum Explaining {
    /// What was expected and what came.
    Described(String),
    /// That, and what the usual mistakes have to do with it. With the first in case that the second does not come.
    Begun(String, JoinHandle<String>),
}

impl Explainer {
    /// Explains what is refused by these sources, by their secrets and by the rows of the table.
    pub(super) fn new(sources: &[Source], table: Arc<Table>) -> Self {
        let pace = RateLimiter::direct(Quota::per_second(EXPLAINED_A_SECOND).allow_burst(EXPLAINED_AT_ONCE));
        let verifiers = sources.iter().map(|source| Arc::clone(&source.verifier)).collect();
        Self { verifiers, table, turn: Arc::new(Semaphore::new(1)), pace }
    }

    /// Begins to explain a refusal where nothing else is being explained and few were lately; else only describes it.
    ///
    /// The answer must not wait for it: how long it takes tells how near a forged request came.
    pub(super) fn begin(&self, verifier: &Arc<Verifier>, request: &RawRequest, rejection: Rejection, now: Timestamp) -> Explaining {
        let refusal = Refusal { request, now, rejection: &rejection, verifier, others: self.others(), table: &self.table };
        let described = refusal.describe();
        // The turn first: whoever has to leave it to another spends nothing of the pace.
        let turn = Arc::clone(&self.turn).try_acquire_owned().ok().filter(|_| self.pace.check().is_ok());
        match turn {
            Some(turn) => Explaining::Begun(described, self.spawn(turn, verifier, request, rejection, now)),
            None => Explaining::Described(described),
        }
    }

    fn others(&self) -> Vec<&Verifier> {
        self.verifiers.iter().map(|verifier| &**verifier).collect()
    }

    fn spawn(
        &self,
        turn: OwnedSemaphorePermit,
        verifier: &Arc<Verifier>,
        request: &RawRequest,
        rejection: Rejection,
        now: Timestamp,
    ) -> JoinHandle<String> {
        let (verifiers, table) = (Arc::clone(&self.verifiers), Arc::clone(&self.table));
        let (verifier, request) = (Arc::clone(verifier), request.clone());
        tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let others = verifiers.iter().map(|verifier| &**verifier).collect();
            Refusal { request: &request, now, rejection: &rejection, verifier: &verifier, others, table: &table }.explain()
        })
    }
}

impl Explaining {
    /// Whether the diagnosis has to be waited for.
    pub(super) fn takes_time(&self) -> bool {
        matches!(self, Self::Begun(..))
    }

    /// The diagnosis; what could not be explained is described.
    pub(super) async fn diagnosis(self) -> String {
        match self {
            Self::Described(diagnosis) => diagnosis,
            Self::Begun(described, explaining) => explaining.await.unwrap_or(described),
        }
    }
}
