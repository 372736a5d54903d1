//! A destination's lane: claims what is due, as much as it has places for, and has it attempted. It shares nothing with
//! other lanes but the store, so a destination that hangs holds up only itself.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::attempt::Worker;
use super::backoff::Backoff;
use crate::domain::{ClaimedDelivery, Happening, Lease, Timestamp};
use crate::store::Claim;

/// How often a lane looks though nobody woke it: other processes record into the same store.
const POLL: Duration = Duration::from_secs(5);

/// The least time until a lane looks again for what was not yet due, against spinning over a clock that stands still.
const SHORTEST_WAIT: Duration = Duration::from_millis(5);

/// Attempts whose ends are not committed yet and that hold no place any more. They keep no event in memory, only what the
/// destination answered.
const UNCOMMITTED: usize = 64;

/// How long handing back leases may take when the process stops.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(1);

/// One destination's lane.
pub(super) struct Lane {
    destination: Arc<str>,
    worker: Arc<Worker>,
    lease: Duration,
    wake: Arc<Notify>,
    /// One place for each attempt in flight.
    places: Arc<Semaphore>,
    most_tasks: usize,
    /// Each gives the time at which its delivery is due again, if it is.
    tasks: JoinSet<Option<Timestamp>>,
    leases: HashMap<Id, Lease>,
    next_look: Instant,
    /// There while the store fails.
    backoff: Option<Backoff>,
}

impl Lane {
    /// A lane with `concurrency` places that holds what it claims for `lease`.
    pub(super) fn new(destination: Arc<str>, worker: Worker, concurrency: usize, lease: Duration, wake: Arc<Notify>) -> Self {
        Self {
            destination,
            worker: Arc::new(worker),
            lease,
            wake,
            places: Arc::new(Semaphore::new(concurrency)),
            most_tasks: concurrency + UNCOMMITTED,
            tasks: JoinSet::new(),
            leases: HashMap::new(),
            next_look: Instant::now(),
            backoff: None,
        }
    }

    /// Delivers until `shutdown`. Attempts in flight then have `grace` to end; what is still unfinished goes back.
    pub(super) async fn run(mut self, shutdown: CancellationToken, grace: Duration) {
        while self.has_reason(&shutdown).await && self.has_place(&shutdown).await {
            self.look().await;
        }
        self.stop(grace).await;
    }

    /// Waits for a reason to look into the store; false at shutdown. A wake-up that comes while the lane is elsewhere,
    /// above all inside a claim, stays in `wake` and is a reason the next time.
    async fn has_reason(&mut self, shutdown: &CancellationToken) -> bool {
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return false,
                Some(end) = self.tasks.join_next_with_id() => self.forget(&end),
                () = self.wake.notified(), if self.backoff.is_none() => return true,
                () = sleep_until(self.next_look) => return true,
            }
        }
    }

    /// Waits for a free place; false at shutdown.
    async fn has_place(&mut self, shutdown: &CancellationToken) -> bool {
        while self.free() == 0 {
            let may_begin = self.tasks.len() < self.most_tasks;
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return false,
                Some(end) = self.tasks.join_next_with_id() => self.forget(&end),
                // Only waits for a permit and gives it back: `begin` takes it, and nobody else could.
                _ = Arc::clone(&self.places).acquire_owned(), if may_begin => {}
            }
        }
        true
    }

    fn free(&self) -> usize {
        self.places.available_permits().min(self.most_tasks - self.tasks.len())
    }

    /// Claims what is due for the free places, and begins.
    async fn look(&mut self) {
        let limit = self.free();
        // Taken before the claim, so that the lease is never believed longer than it is.
        let expires = Instant::now() + self.lease;
        match self.worker.outbox.claim(&self.destination, limit, self.worker.clock.now(), self.lease).await {
            Ok(claim) => {
                self.backoff = None;
                self.next_look = Instant::now() + self.until_next(&claim, limit);
                for delivery in claim.deliveries {
                    self.begin(delivery, expires);
                }
            }
            Err(error) => {
                self.worker.observer.happened(&Happening::StoreFailed { cause: &error.to_string() });
                self.next_look = Instant::now() + self.backoff.get_or_insert_default().next();
            }
        }
    }

    fn until_next(&self, claim: &Claim, limit: usize) -> Duration {
        let Some(due) = claim.next_due else { return POLL };
        let wait = due.since(self.worker.clock.now()).min(POLL);
        if claim.deliveries.len() < limit { wait.max(SHORTEST_WAIT) } else { wait }
    }

    fn begin(&mut self, delivery: ClaimedDelivery, expires: Instant) {
        // A store that hands out more than was asked for is wrong; the excess is left to its lease.
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else { return };
        let lease = delivery.lease;
        let task = self.tasks.spawn(Arc::clone(&self.worker).work(delivery, place, expires));
        self.leases.insert(task.id(), lease);
    }

    /// An attempt's task is over. When its delivery is due again sooner than the lane meant to look, it looks then: the
    /// claim before could not tell.
    fn forget(&mut self, end: &Result<(Id, Option<Timestamp>), JoinError>) {
        match end {
            Ok((id, due)) => {
                self.leases.remove(id);
                if let Some(due) = due.filter(|_| self.backoff.is_none()) {
                    let wait = due.since(self.worker.clock.now()).clamp(SHORTEST_WAIT, POLL);
                    self.next_look = self.next_look.min(Instant::now() + wait);
                }
            }
            Err(error) => {
                self.leases.remove(&error.id());
            }
        }
    }

    async fn stop(mut self, grace: Duration) {
        let ended = async {
            while let Some(end) = self.tasks.join_next_with_id().await {
                self.forget(&end);
            }
        };
        if timeout(grace, ended).await.is_err() {
            self.interrupt().await;
        }
    }

    /// Aborts what is unfinished and hands it back. The end of an attempt that is being committed may still be: a release
    /// changes nothing after it.
    async fn interrupt(mut self) {
        self.tasks.abort_all();
        while let Some(end) = self.tasks.join_next_with_id().await {
            if end.as_ref().is_ok() {
                self.forget(&end);
            }
        }
        let leases: Vec<Lease> = self.leases.into_values().collect();
        if leases.is_empty() {
            return;
        }
        let released = self.worker.outbox.release(leases, self.worker.clock.now());
        let cause = match timeout(RELEASE_TIMEOUT, released).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "leases were not released in time".to_owned(),
        };
        self.worker.observer.happened(&Happening::StoreFailed { cause: &cause });
    }
}
