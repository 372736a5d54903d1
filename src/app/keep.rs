//! Housekeeping while the program runs: folds metrics, and forgets what is older than the retention says.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::config::Retention;
use crate::domain::Clock;
use crate::history::History;
use crate::store::Prune;
use crate::telemetry::Telemetry;

/// How often histograms are folded.
const METRICS_EVERY: Duration = Duration::from_secs(5);
/// How often old things are looked for.
const PRUNE_EVERY: Duration = Duration::from_secs(60);
/// Rows of one transaction: small, so that no answer waits for it.
const CHUNK: usize = 100;
/// Transactions of one round, with a pause after each: at most 100,000 rows in a round.
const CHUNKS: usize = 1_000;
/// The pause.
const PAUSE: Duration = Duration::from_millis(20);

/// Keeps house.
pub(super) struct Keeper {
    pub(super) history: History,
    pub(super) telemetry: Arc<Telemetry>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) retention: Retention,
}

impl Keeper {
    /// Until the program stops.
    pub(super) async fn run(self, stopping: CancellationToken) {
        let (mut metrics, mut prune) = (interval(METRICS_EVERY), interval(PRUNE_EVERY));
        metrics.set_missed_tick_behavior(MissedTickBehavior::Delay);
        prune.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stopping.cancelled() => return,
                _ = metrics.tick() => self.telemetry.metrics().upkeep(),
                _ = prune.tick() => {
                    tokio::select! {
                        () = stopping.cancelled() => return,
                        () = self.prune() => {}
                    }
                }
            }
        }
    }

    async fn prune(&self) {
        let now = self.clock.now();
        let prune = Prune { bodies_before: now.minus(self.retention.bodies), ids_before: now.minus(self.retention.ids), chunk: CHUNK };
        let (mut payloads, mut events) = (0, 0);
        for _ in 0..CHUNKS {
            match self.history.prune(prune).await {
                Ok(pruned) if pruned.nothing() => break,
                Ok(pruned) => {
                    payloads += pruned.payloads;
                    events += pruned.events;
                    tokio::time::sleep(PAUSE).await;
                }
                Err(error) => {
                    tracing::warn!(cause = %error, "cannot prune now");
                    break;
                }
            }
        }
        if payloads + events > 0 {
            tracing::info!(payloads, events, "pruned");
        }
    }
}
