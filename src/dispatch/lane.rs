//! A destination's lane: claims what is due, as much as it has places for and as its gate lets through, has it attempted, and
//! keeps the leases meanwhile. It shares nothing with other lanes but the store, so a destination that hangs holds up only
//! itself; and it reads no more than it can begin, so a backlog stays in the store.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::attempt::Worker;
use super::backoff::Backoff;
use super::gate::Room;
use super::place::Place;
use super::post::{Handed, Post};
use crate::domain::{ClaimedDelivery, Happening, Lease, OnDead, Timestamp};
use crate::failpoint;
use crate::store::{Claim, ClaimRequest, StoreError};

/// How often a lane looks though nobody woke it: other processes record into the same store.
const POLL: Duration = Duration::from_secs(5);

/// The least time until a lane looks again for what was not yet due, against spinning over a clock that stands still.
const SHORTEST_WAIT: Duration = Duration::from_millis(5);

/// Attempts whose ends are not committed yet and that hold no place any more. They keep no event in memory, only what the
/// destination answered.
const UNCOMMITTED: usize = 64;

/// How long a lease lasts. After that another process may take over what this one does not renew.
pub(super) const LEASE: Duration = Duration::from_secs(30);

/// How often leases are renewed: two may fail before one runs out.
pub(super) const RENEW_EVERY: Duration = Duration::from_secs(10);

/// Leases that are renewed in one transaction, which senders wait for, too.
const RENEWED_TOGETHER: usize = 200;

/// How long handing back leases may take when the process stops.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(1);

/// One destination's lane.
pub(super) struct Lane {
    worker: Arc<Worker>,
    post: Arc<Post>,
    /// What is handed over without being claimed.
    handed: UnboundedReceiver<Handed>,
    /// Each gives the time at which something is due again, if it is.
    tasks: JoinSet<Option<Timestamp>>,
    held: HashMap<Id, Held>,
    next_look: Instant,
    next_renewal: Instant,
    /// There while the store fails.
    backoff: Option<Backoff>,
    /// The source that had its turn last.
    turn: Option<Arc<str>>,
    /// What is still to be brought into the form that the configuration asks for.
    to_straighten: Option<Option<OnDead>>,
}

/// An attempt with its lease.
struct Held {
    lease: Lease,
    over: Arc<AtomicBool>,
    task: AbortHandle,
}

impl Held {
    /// Breaks off an attempt whose lease is lost. Once it is over its lease may be gone because its end is committed.
    fn give_up(&self) {
        if !self.over.load(Ordering::SeqCst) {
            tracing::debug!(delivery.id = %self.lease.delivery, delivery.attempt = self.lease.attempt, "the lease is lost");
            self.task.abort();
        }
    }
}

impl Lane {
    /// The lane behind a post, whose lines are in this order.
    ///
    /// # Panics
    /// When the post has a lane already.
    pub(super) fn new(worker: Worker, post: Arc<Post>, order: Option<OnDead>) -> Self {
        let handed = post.take_receiver().expect("a post has one lane");
        Self {
            worker: Arc::new(worker),
            post,
            handed,
            tasks: JoinSet::new(),
            held: HashMap::new(),
            next_look: Instant::now(),
            next_renewal: Instant::now(),
            backoff: None,
            turn: None,
            to_straighten: Some(order),
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
        let post = Arc::clone(&self.post);
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return false,
                Some(end) = self.tasks.join_next_with_id() => self.forget(&end),
                Some((delivery, permit)) = self.handed.recv() => self.begin_one(delivery, permit, false),
                () = sleep_until(self.next_renewal), if !self.held.is_empty() => self.renew().await,
                () = post.called(), if self.backoff.is_none() => return true,
                () = sleep_until(self.next_look) => return true,
            }
        }
    }

    /// Waits for a free place; false at shutdown.
    async fn has_place(&mut self, shutdown: &CancellationToken) -> bool {
        while self.free() == 0 {
            let may_begin = self.tasks.len() < self.most_tasks();
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return false,
                Some(end) = self.tasks.join_next_with_id() => self.forget(&end),
                Some((delivery, permit)) = self.handed.recv() => self.begin_one(delivery, permit, false),
                () = sleep_until(self.next_renewal), if !self.held.is_empty() => self.renew().await,
                // Only waits for a permit and gives it back: `begin` takes it, and nobody else could.
                _ = Arc::clone(&self.post.places).acquire_owned(), if may_begin => {}
            }
        }
        true
    }

    fn free(&self) -> usize {
        self.post.places.available_permits().min(self.most_tasks().saturating_sub(self.tasks.len()))
    }

    fn most_tasks(&self) -> usize {
        self.post.concurrency + UNCOMMITTED
    }

    /// Claims what is due for the free places, as far as the gate lets it through, and begins.
    async fn look(&mut self) {
        let now = Instant::now();
        let (limit, probe) = match self.post.gate.room(now, self.post.running()) {
            Room::For { count, probe } => (count.min(self.free()), probe),
            Room::From(at) => return self.next_look = at.min(now + POLL),
            // That end is a reason of its own.
            Room::AfterAnEnd => return self.next_look = now + POLL,
        };
        // Taken before the claim: what is handed over meanwhile takes places, too.
        let Some(places) = u32::try_from(limit).ok().and_then(|limit| Arc::clone(&self.post.places).try_acquire_many_owned(limit).ok())
        else {
            return self.next_look = now;
        };
        match self.claim(limit).await {
            Ok(claim) => {
                failpoint::reach("claim.after");
                self.backoff = None;
                self.begin(claim, places, probe);
            }
            Err(error) => self.troubled(&error),
        }
    }

    async fn claim(&mut self, limit: usize) -> Result<Claim, StoreError> {
        let now = self.worker.clock.now();
        failpoint::reach("straighten.before");
        if let Some(order) = self.to_straighten
            && !self.worker.outbox.straighten(Arc::clone(&self.post.name), order, now).await?
        {
            self.to_straighten = None;
            failpoint::reach("straighten.after");
        }
        failpoint::reach("claim.before");
        let (destination, after) = (Arc::clone(&self.post.name), self.turn.clone());
        self.worker.outbox.claim(ClaimRequest { destination, limit, now, lease: LEASE, after }).await
    }

    fn begin(&mut self, claim: Claim, mut places: OwnedSemaphorePermit, probe: bool) {
        let (now, limit) = (Instant::now(), places.num_permits());
        let wait = if self.to_straighten.is_some() { SHORTEST_WAIT } else { self.until_next(&claim, limit) };
        self.next_look = now + wait;
        self.post.caught_up(!claim.paused && claim.deliveries.len() < limit && self.to_straighten.is_none() && !probe);
        self.post.gate.began(now, claim.deliveries.len(), probe);
        if let Some(last) = claim.deliveries.last() {
            self.turn = Some(Arc::clone(&last.event.key.source));
        }
        for delivery in claim.deliveries {
            // A store that hands out more than was asked for is wrong; the excess is left to its lease.
            let Some(place) = places.split(1) else { return };
            self.begin_one(delivery, place, probe);
        }
    }

    fn until_next(&self, claim: &Claim, limit: usize) -> Duration {
        let Some(due) = claim.next_due else { return POLL };
        let wait = due.since(self.worker.clock.now()).min(POLL);
        if claim.deliveries.len() < limit { wait.max(SHORTEST_WAIT) } else { wait }
    }

    fn begin_one(&mut self, delivery: ClaimedDelivery, permit: OwnedSemaphorePermit, probe: bool) {
        if self.held.is_empty() {
            self.next_renewal = Instant::now() + RENEW_EVERY;
        }
        let lease = delivery.lease;
        let place = Place::new(Arc::clone(&self.post), permit, probe);
        let over = place.over();
        let task = self.tasks.spawn(Arc::clone(&self.worker).work(delivery, place));
        self.held.insert(task.id(), Held { lease, over, task });
    }

    /// An attempt's task is over. When something is due again sooner than the lane meant to look, it looks then: the claim
    /// before could not tell.
    fn forget(&mut self, end: &Result<(Id, Option<Timestamp>), JoinError>) {
        let (id, due) = match end {
            Ok((id, due)) => (*id, *due),
            Err(error) => (error.id(), None),
        };
        self.held.remove(&id);
        if let Some(due) = due.filter(|_| self.backoff.is_none()) {
            let wait = due.since(self.worker.clock.now()).clamp(SHORTEST_WAIT, POLL);
            self.next_look = self.next_look.min(Instant::now() + wait);
        }
    }

    /// Prolongs every lease. An attempt whose lease is lost is broken off: somebody else makes it, or it was called off.
    async fn renew(&mut self) {
        let leases: Vec<Lease> = self.held.values().map(|held| held.lease).collect();
        self.next_renewal = Instant::now() + RENEW_EVERY;
        for leases in leases.chunks(RENEWED_TOGETHER) {
            let until = self.worker.clock.now().plus(LEASE);
            failpoint::reach("renew.before");
            match self.worker.outbox.renew(leases.to_vec(), until).await {
                Ok(lost) => {
                    failpoint::reach("renew.after");
                    self.held.values().filter(|held| lost.contains(&held.lease)).for_each(Held::give_up);
                }
                Err(error) => {
                    self.next_renewal = Instant::now() + RENEW_EVERY / 10;
                    return self.worker.observer.happened(&Happening::StoreFailed { cause: &error.to_string() });
                }
            }
        }
    }

    fn troubled(&mut self, error: &StoreError) {
        self.worker.observer.happened(&Happening::StoreFailed { cause: &error.to_string() });
        self.next_look = Instant::now() + self.backoff.get_or_insert_default().next();
    }

    async fn stop(mut self, grace: Duration) {
        self.post.caught_up(false);
        if timeout(grace, self.let_end()).await.is_err() {
            self.interrupt().await;
        }
    }

    /// Until no attempt is under way and no place is kept for what is still being recorded, which goes back when it comes.
    async fn let_end(&mut self) {
        let (places, all) = (Arc::clone(&self.post.places), u32::try_from(self.post.concurrency).unwrap_or(u32::MAX));
        loop {
            tokio::select! {
                biased;
                Some((delivery, _)) = self.handed.recv() => self.release(vec![delivery.lease]).await,
                Some(end) = self.tasks.join_next_with_id() => self.forget(&end),
                _ = places.acquire_many(all), if self.tasks.is_empty() => return,
            }
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
        let leases: Vec<Lease> = std::mem::take(&mut self.held).into_values().map(|held| held.lease).collect();
        self.release(leases).await;
    }

    async fn release(&self, leases: Vec<Lease>) {
        if leases.is_empty() {
            return;
        }
        failpoint::reach("release.before");
        let released = self.worker.outbox.release(leases, self.worker.clock.now());
        let cause = match timeout(RELEASE_TIMEOUT, released).await {
            Ok(Ok(())) => return failpoint::reach("release.after"),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "leases were not released in time".to_owned(),
        };
        self.worker.observer.happened(&Happening::StoreFailed { cause: &cause });
    }
}
