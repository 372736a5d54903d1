//! When refusals are explained, and at whose cost: after the answers and never in front of one, seldom enough that forged
//! traffic cannot make it a load.

use std::num::NonZeroU32;
use std::sync::Arc;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Source;
use crate::domain::{RawRequest, Rejection, Timestamp};
use crate::provider::Table;
use crate::store::Inbox;
use crate::verify::Verifier;
use crate::verify::explain::Refusal;

/// Refusals that are explained in a burst, for all sources together: enough for whoever is setting a source up.
const EXPLAINED_AT_ONCE: NonZeroU32 = NonZeroU32::new(5).unwrap();
/// Refusals that are explained in each second after that. Measured, one costs 5 ms of a core for a small body and at most
/// 120 ms for the worst that was found (half a megabyte of escaped form): under a flood, about a tenth of a core.
const EXPLAINED_A_SECOND: NonZeroU32 = NonZeroU32::new(1).unwrap();

/// Says of refusals what was expected and what came, and explains some of them, one at a time.
pub(super) struct Explainer {
    known: Arc<Known>,
    turn: Arc<Semaphore>,
    pace: DefaultDirectRateLimiter,
}

/// What refusals are explained by.
struct Known {
    verifiers: Vec<Arc<Verifier>>,
    table: Arc<Table>,
}

/// A refusal that is to be explained. While it lives, no other is.
pub(super) struct Explaining {
    known: Arc<Known>,
    verifier: Arc<Verifier>,
    request: RawRequest,
    rejection: Rejection,
    now: Timestamp,
    _turn: OwnedSemaphorePermit,
}

impl Explainer {
    /// Explains what is refused by these sources, by their secrets and by the rows of the table.
    pub(super) fn new(sources: &[Source], table: Arc<Table>) -> Self {
        let pace = RateLimiter::direct(Quota::per_second(EXPLAINED_A_SECOND).allow_burst(EXPLAINED_AT_ONCE));
        let verifiers = sources.iter().map(|source| Arc::clone(&source.verifier)).collect();
        Self { known: Arc::new(Known { verifiers, table }), turn: Arc::new(Semaphore::new(1)), pace }
    }

    /// The rejection with what was expected and what came; and what explains it further, where nothing else is being
    /// explained and little was lately.
    pub(super) fn describe(
        &self,
        source: &Source,
        request: &RawRequest,
        rejection: Rejection,
        now: Timestamp,
    ) -> (Rejection, Option<Explaining>) {
        let diagnosis = self.known.refusal(source.verifier(), request, &rejection, now).describe();
        let described = Rejection { diagnosis, code: rejection.code };
        // The turn first: whoever has to leave it to another spends nothing of the pace.
        let turn = Arc::clone(&self.turn).try_acquire_owned().ok().filter(|_| self.pace.check().is_ok());
        let explaining = turn.map(|turn| Explaining {
            known: Arc::clone(&self.known),
            verifier: Arc::clone(source.verifier()),
            request: request.clone(),
            rejection,
            now,
            _turn: turn,
        });
        (described, explaining)
    }
}

impl Explainer {
    /// The rejection, explained, for an operator who asks and can wait for it: without a pace, but one at a time too.
    pub(super) async fn explained(&self, source: &Source, request: RawRequest, rejection: Rejection, now: Timestamp) -> Rejection {
        let Ok(turn) = Arc::clone(&self.turn).acquire_owned().await else { return rejection };
        let (known, verifier) = (Arc::clone(&self.known), Arc::clone(source.verifier()));
        let explaining = Explaining { known, verifier, request, rejection: rejection.clone(), now, _turn: turn };
        match explaining.diagnosis().await {
            Ok(diagnosis) => Rejection { diagnosis, ..rejection },
            Err(cause) => {
                tracing::debug!(source.name = &*source.name, cause, "a refused request is not explained");
                rejection
            }
        }
    }
}

impl Known {
    fn refusal<'a>(&'a self, verifier: &'a Verifier, request: &'a RawRequest, rejection: &'a Rejection, now: Timestamp) -> Refusal<'a> {
        let others = self.verifiers.iter().map(|verifier| &**verifier).collect();
        Refusal { request, now, rejection, verifier, others, table: &self.table }
    }
}

impl Explaining {
    /// Explains the rejection of this number in the log. No answer may wait for it, also because the time that it takes
    /// tells how near a forged request came.
    pub(super) async fn into_log(self, inbox: &dyn Inbox, id: i64) {
        let source = Arc::clone(&self.verifier);
        let kept = match self.diagnosis().await {
            Ok(diagnosis) => inbox.explain(id, diagnosis).await.map_err(|error| error.to_string()),
            Err(panic) => Err(panic),
        };
        if let Err(cause) = kept {
            tracing::debug!(verifier = ?source, cause, "a refused request is not explained");
        }
    }

    async fn diagnosis(self) -> Result<String, String> {
        let explaining = move || self.known.refusal(&self.verifier, &self.request, &self.rejection, self.now).explain();
        tokio::task::spawn_blocking(explaining).await.map_err(|panic| panic.to_string())
    }
}
