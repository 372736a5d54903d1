//! One delivery's way through a lane: attempted, judged, committed, told.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::{Instant, sleep, timeout};

use super::backoff::Backoff;
use super::place::Place;
use super::retry;
use crate::config::Retry;
use crate::deliver::Destination;
use crate::domain::{
    Announce, Attempt, AttemptEnd, AttemptResult, ClaimedDelivery, Clock, EventKey, FinishedAttempt, Happening, Health, Observer, OnDead,
    Outcome, OwnEvent, Timestamp, Verdict, Wake,
};
use crate::failpoint;
use crate::store::Outbox;

/// Makes a lane's attempts.
pub(super) struct Worker {
    pub(super) outbox: Arc<dyn Outbox>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) announce: Arc<dyn Announce>,
    /// Wakes the lanes of those who are told.
    pub(super) wake: Arc<dyn Wake>,
    pub(super) destination: Arc<dyn Destination>,
    pub(super) retry: Retry,
    pub(super) on_dead: OnDead,
    /// A destination keeps its own time-out; one that does not is cut off here.
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
    /// others to share its sync and the destination need not wait for that. Returns when there is something due again.
    pub(super) async fn work(self: Arc<Self>, delivery: ClaimedDelivery, place: Place) -> Option<Timestamp> {
        let ended = self.attempt(delivery, place).await;
        let told = match ended.finished.verdict {
            Verdict::Dead => self.announce.dead(&ended.told(), ended.finished.attempt.error.as_deref()).await,
            Verdict::Delivered | Verdict::RetryAt(_) => None,
        };
        failpoint::reach("finish.before");
        if !self.commit(&ended.finished, told.as_ref()).await {
            return None;
        }
        failpoint::reach("finish.after");
        if let Some(told) = &told {
            self.tell_of(told);
        }
        self.observer.happened(&Happening::Attempted(ended.told()));
        match ended.finished.verdict {
            Verdict::RetryAt(at) => Some(at),
            // Whoever stood behind it may have stepped forward.
            Verdict::Delivered | Verdict::Dead => ended.finished.lease.ordered.then(|| self.clock.now()),
        }
    }

    /// An event of Onceward's own is recorded.
    fn tell_of(&self, OwnEvent { event, deliveries }: &OwnEvent) {
        deliveries.iter().for_each(|due| self.wake.wake(&due.destination));
        self.observer.happened(&Happening::Accepted { event: &event.key, event_type: &event.event_type, deliveries: deliveries.len() });
    }

    /// Takes the delivery, so that the event's content is let go with it.
    #[allow(clippy::needless_pass_by_value, reason = "the content must not outlive the attempt")]
    async fn attempt(&self, delivery: ClaimedDelivery, mut place: Place) -> Ended {
        let at = self.clock.now();
        let begun = Instant::now();
        failpoint::reach("attempt.before");
        let AttemptResult { outcome, health, status_code, response } = self.guarded(&delivery).await;
        failpoint::reach("attempt.answered");
        let duration = begun.elapsed();
        let (error, asked) = match &outcome {
            Outcome::Delivered => (None, None),
            Outcome::Retry { reason, after } => (Some(reason.clone()), *after),
            Outcome::GiveUp { reason } => (Some(reason.clone()), None),
        };
        place.ended(health, asked);
        drop(place);
        let verdict = retry::verdict(&self.retry, delivery.failures, &outcome, self.clock.now(), rand::random());
        let attempt = Attempt { at, duration, status_code, error, response };
        Ended {
            event: delivery.event.key.clone(),
            destination: Arc::clone(&delivery.destination),
            outcome,
            finished: FinishedAttempt { lease: delivery.lease, attempt, verdict, on_dead: self.on_dead, now: self.clock.now() },
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

    /// Commits the end, again and again while the store fails, because a lost end is a repeated delivery; the lane keeps the
    /// lease meanwhile. Returns whether it counted.
    async fn commit(&self, finished: &FinishedAttempt, told: Option<&OwnEvent>) -> bool {
        let mut backoff = Backoff::default();
        let mut failed_before = false;
        loop {
            let error = match self.outbox.finish_telling(finished.clone(), told.cloned()).await {
                Ok(counted) => return counted,
                Err(error) => error,
            };
            if !failed_before {
                self.observer.happened(&Happening::StoreFailed { cause: &error.to_string() });
            }
            failed_before = true;
            sleep(backoff.next()).await;
        }
    }
}

impl Ended {
    fn told(&self) -> AttemptEnd<'_> {
        let FinishedAttempt { lease, attempt, verdict, .. } = &self.finished;
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
