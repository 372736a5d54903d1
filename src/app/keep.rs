//! Housekeeping while the program runs: folds metrics, and forgets what is older than the retention says.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::config::Retention;
use crate::domain::{Clock, Timestamp};
use crate::history::{History, StoreError, Trail};
use crate::idempotency::Idempotency;
use crate::store::{Prune, Pruned};
use crate::telemetry::Telemetry;

/// How often histograms are folded.
const METRICS_EVERY: Duration = Duration::from_secs(5);
/// How often old things are looked for.
const PRUNE_EVERY: Duration = Duration::from_secs(60);
/// Rows of one transaction: small, so that no answer waits for it.
const CHUNK: usize = 100;
/// The pause after a transaction, in its own length: pruning takes a third of the writer's time at the most.
const PAUSE_FACTOR: u32 = 2;
/// The least pause.
const SHORTEST_PAUSE: Duration = Duration::from_millis(2);
/// The pause when the store's queue is full.
const BUSY_PAUSE: Duration = Duration::from_secs(1);
/// How far the clock may step between two looks before it is not believed: what is forgotten too early is handled twice.
const BELIEVABLE_STEP: Duration = Duration::from_secs(3_600);

/// Keeps house.
pub(super) struct Keeper {
    pub(super) history: History,
    pub(super) trail: Trail,
    pub(super) idempotency: Arc<Idempotency>,
    pub(super) telemetry: Arc<Telemetry>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) retention: Retention,
}

impl Keeper {
    /// Until the program stops.
    pub(super) async fn run(self, stopping: CancellationToken) {
        tokio::select! {
            () = stopping.cancelled() => {}
            () = self.fold() => {}
            () = self.forget() => {}
        }
    }

    async fn fold(&self) {
        let mut ticks = interval(METRICS_EVERY);
        loop {
            ticks.tick().await;
            self.telemetry.metrics().upkeep();
        }
    }

    async fn forget(&self) {
        let mut steps = Steps { wall: self.clock.now(), steady: Instant::now() };
        let mut ticks = interval(PRUNE_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let now = self.clock.now();
            match steps.is_believable(now, Instant::now()) {
                true => {
                    self.prune(now).await;
                    self.forget_trail(now).await;
                    self.prune_keys(now).await;
                }
                false => tracing::warn!("the clock has jumped: nothing is pruned in this round"),
            }
        }
    }

    async fn forget_trail(&self, now: Timestamp) {
        let before = now.minus(self.retention.audit);
        // The store has told of what it cannot do, here and below.
        while is_to_go_on(Instant::now(), self.trail.forget(before, CHUNK).await.map(|gone| gone > 0)).await.unwrap_or(false) {}
    }

    async fn prune(&self, now: Timestamp) {
        let mut total = Pruned::default();
        let _ = forget(&self.history, due(self.retention.bodies, self.retention.ids, now), &mut total).await;
        if !total.nothing() {
            tracing::info!(payloads = total.payloads, events = total.events, "pruned");
        }
    }

    /// Keys of requests, and their answers.
    async fn prune_keys(&self, now: Timestamp) {
        while is_to_go_on(Instant::now(), self.idempotency.prune(now, CHUNK).await.map(|gone| gone > 0)).await.unwrap_or(false) {}
    }
}

/// What is older than the retention says, for chunk after chunk.
pub(super) fn due(bodies: Duration, ids: Duration, now: Timestamp) -> Prune {
    Prune { bodies_before: now.minus(bodies), ids_before: now.minus(ids), chunk: CHUNK }
}

/// Forgets all of it. What is gone is counted as it goes.
pub(super) async fn forget(history: &History, prune: Prune, total: &mut Pruned) -> Result<(), StoreError> {
    loop {
        let (begun, step) = (Instant::now(), history.prune(prune).await);
        if let Ok(pruned) = &step {
            total.payloads += pruned.payloads;
            total.events += pruned.events;
        }
        if !is_to_go_on(begun, step.map(|pruned| !pruned.nothing())).await? {
            return Ok(());
        }
    }
}

/// Whether there is more to forget after a step that began then. Pauses before it, and so leaves the writer to others.
async fn is_to_go_on(begun: Instant, step: Result<bool, StoreError>) -> Result<bool, StoreError> {
    let pause = match step {
        Ok(true) => (begun.elapsed() * PAUSE_FACTOR).max(SHORTEST_PAUSE),
        Ok(false) => return Ok(false),
        Err(StoreError::QueueFull) => BUSY_PAUSE,
        Err(error @ StoreError::Unavailable(_)) => return Err(error),
    };
    tokio::time::sleep(pause).await;
    Ok(true)
}

/// The last look at both clocks.
struct Steps {
    wall: Timestamp,
    steady: Instant,
}

impl Steps {
    /// Whether the wall clock has gone forward about as much as the steady one since the last look.
    fn is_believable(&mut self, wall: Timestamp, steady: Instant) -> bool {
        let (wall_step, steady_step) = (wall.since(self.wall), steady.duration_since(self.steady));
        *self = Self { wall, steady };
        wall_step <= steady_step + BELIEVABLE_STEP
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_jumps_ahead_is_not_believed_until_it_has_gone_on_from_there() {
        let (wall, steady) = (Timestamp::from_secs(1_000), Instant::now());
        let mut steps = Steps { wall, steady };
        let minute = Duration::from_secs(60);
        assert!(steps.is_believable(wall.plus(minute), steady + minute));
        let jumped = wall.plus(Duration::from_secs(2 * 365 * 86_400));
        assert!(!steps.is_believable(jumped, steady + 2 * minute));
        assert!(steps.is_believable(jumped.plus(minute), steady + 3 * minute));
        assert!(steps.is_believable(wall, steady + 4 * minute), "back is harmless: less is old then");
    }
}
