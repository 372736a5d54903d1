//! One delivery's way through a lane: attempted, judged, committed, told.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep, timeout};

use super::backoff::Backoff;
use super::retry;
use crate::config::Retry;
use crate::deliver::Destination;
use crate::domain::{
    Attempt, AttemptEnd, AttemptResult, ClaimedDelivery, Clock, EventKey, FinishedAttempt, Happening, Health, Observer, Outcome, Timestamp,
    Verdict,
};
use crate::store::{Outbox, StoreError};

/// Makes a lane's attempts.
pub(super) struct Worker {
    pub(super) outbox: Arc<dyn Outbox>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) destination: Arc<dyn Destination>,
    pub(super) retry: Retry,
    /// A destination keeps its own time-out; one that does not is cut off here, before the lease ends and somebody else
    /// attempts the same delivery.
    pub(super) patience: Duration,
}

/// What is left of a delivery after its attempt: everything but the event's content.
struct Ended {
    event: EventKey,
    destination: Arc<str>,
    outcome: Outcome,
    finished: FinishedAttempt,
}

impl Worker {
    /// Attempts the delivery and commits the end. The place is free again after the attempt, because a commit waits for
    /// others to share its sync and the destination need not wait for that. Returns when the delivery is due again.
    pub(super) async fn work(
        self: Arc<Self>,
        delivery: ClaimedDelivery,
        place: OwnedSemaphorePermit,
        expires: Instant,
    ) -> Option<Timestamp> {
        let ended = self.attempt(delivery).await;
        drop(place);
        if !self.commit(&ended.finished, expires).await {
            return None;
        }
        self.observer.happened(&Happening::Attempted(ended.told()));
        match ended.finished.verdict {
            Verdict::RetryAt(at) => Some(at),
            Verdict::Delivered | Verdict::Dead => None,
        }
    }

    /// Takes the delivery, so that the event's content is let go with it.
    #[allow(clippy::needless_pass_by_value, reason = "the content must not outlive the attempt")]
    async fn attempt(&self, delivery: ClaimedDelivery) -> Ended {
        let at = self.clock.now();
        let begun = Instant::now();
        let AttemptResult { outcome, health: _, status_code, response } = self.guarded(&delivery).await;
        let duration = begun.elapsed();
        let verdict = retry::verdict(&self.retry, delivery.failures, &outcome, self.clock.now(), rand::random());
        let error = match &outcome {
            Outcome::Delivered => None,
            Outcome::Retry { reason, .. } | Outcome::GiveUp { reason } => Some(reason.clone()),
        };
        let attempt = Attempt { at, duration, status_code, error, response };
        Ended {
            event: delivery.event.key.clone(),
            destination: Arc::clone(&delivery.destination),
            outcome,
            finished: FinishedAttempt { lease: delivery.lease, attempt, verdict },
        }
    }

    /// A panic, or an attempt without end, is one failed attempt.
    async fn guarded(&self, delivery: &ClaimedDelivery) -> AttemptResult {
        let attempt = AssertUnwindSafe(async { self.destination.attempt(delivery).await });
        match timeout(self.patience, attempt.catch_unwind()).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => failed("the attempt panicked".to_owned()),
            Err(_) => failed(format!("the attempt did not end within {} s", self.patience.as_secs())),
        }
    }

    /// Commits the end, again and again while the store fails, because a lost end is a repeated delivery. Past the lease
    /// it would change nothing. Returns whether it counted.
    async fn commit(&self, finished: &FinishedAttempt, expires: Instant) -> bool {
        let mut backoff = Backoff::default();
        let mut failed_before = false;
        loop {
            let error = match self.outbox.finish(finished.clone()).await {
                Ok(counted) => return counted,
                Err(error) => error,
            };
            let wait = backoff.next();
            let lost = Instant::now() + wait >= expires;
            if lost || !failed_before {
                self.tell(&error, lost);
            }
            if lost {
                return false;
            }
            failed_before = true;
            sleep(wait).await;
        }
    }

    fn tell(&self, error: &StoreError, lost: bool) {
        let cause = if lost { format!("the end of an attempt is lost, which will be repeated: {error}") } else { error.to_string() };
        self.observer.happened(&Happening::StoreFailed { cause: &cause });
    }
}

impl Ended {
    fn told(&self) -> AttemptEnd<'_> {
        let FinishedAttempt { lease, attempt, verdict } = &self.finished;
        AttemptEnd {
            event: &self.event,
            destination: &self.destination,
            delivery: lease.delivery,
            attempt: lease.attempt,
            duration: attempt.duration,
            status_code: attempt.status_code,
            outcome: &self.outcome,
            verdict: *verdict,
        }
    }
}

fn failed(reason: String) -> AttemptResult {
    AttemptResult { outcome: Outcome::Retry { reason, after: None }, health: Health::Unwell, status_code: None, response: None }
}
