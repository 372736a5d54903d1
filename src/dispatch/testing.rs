//! What a dispatcher needs, in memory: a store with leases, a clock that follows tokio's, a destination that does as told.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;

use crate::deliver::Destination;
use crate::domain::{
    Attempt, AttemptResult, ClaimedDelivery, Clock, DeliveryId, DeliveryStatus, EventKey, FinishedAttempt, Happening, Headers, Health,
    Lease, Observer, OnDead, Outcome, OwnEvent, StoredEvent, Timestamp, Verdict,
};
use crate::store::{Claim, ClaimRequest, Outbox, StoreError};

/// Shows the time of tokio's clock, which tests pause.
pub(super) struct TokioClock(Instant, Mutex<Duration>);

impl TokioClock {
    pub(super) fn start() -> Self {
        Self(Instant::now(), Mutex::default())
    }
}

impl TokioClock {
    /// Steps forward, as a clock does that is set.
    pub(super) fn jump(&self, by: Duration) {
        *self.1.lock().unwrap() += by;
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_secs(1_000_000).plus(self.0.elapsed()).plus(*self.1.lock().unwrap())
    }
}

/// A delivery in the store.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) destination: Arc<str>,
    pub(super) status: DeliveryStatus,
    pub(super) due: Timestamp,
    pub(super) attempt: u32,
    pub(super) leased: bool,
    /// Held by a process that has died.
    pub(super) orphaned: bool,
    pub(super) history: Vec<Attempt>,
}

/// What the store holds, how many of the next calls fail, and what was called.
#[derive(Default)]
pub(super) struct State {
    pub(super) rows: Vec<Row>,
    pub(super) failing_claims: usize,
    pub(super) failing_finishes: usize,
    /// Claim limits, in order.
    pub(super) claims: Vec<usize>,
    pub(super) released: Vec<Lease>,
    pub(super) recoveries: usize,
    /// Ends that came under a lease that was no longer current.
    pub(super) stale: usize,
    pub(super) failing_renewals: usize,
    /// When leases were renewed, and until when.
    pub(super) renewals: Vec<Timestamp>,
    pub(super) paused: bool,
    /// Calls of `straighten`, which has something to do in as many.
    pub(super) straightened: Vec<Option<OnDead>>,
    pub(super) crooked: usize,
}

/// The store. A call to `claim` or `finish` passes its gate last: what it did is done, but its caller does not know.
pub(super) struct FakeOutbox {
    state: Mutex<State>,
    changed: Notify,
    pub(super) claim_gate: Semaphore,
    pub(super) finish_gate: Semaphore,
}

impl FakeOutbox {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::default(),
            changed: Notify::new(),
            claim_gate: Semaphore::new(Semaphore::MAX_PERMITS),
            finish_gate: Semaphore::new(Semaphore::MAX_PERMITS),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(super) fn add(&self, destination: &str, due: Timestamp) -> usize {
        let row = Row {
            destination: destination.into(),
            status: DeliveryStatus::Pending,
            due,
            attempt: 0,
            leased: false,
            orphaned: false,
            history: Vec::new(),
        };
        let mut state = self.state();
        state.rows.push(row);
        state.rows.len() - 1
    }

    /// Leases a delivery as if it had been recorded so.
    pub(super) fn lease(&self, id: usize) -> ClaimedDelivery {
        let mut state = self.state();
        let row = &mut state.rows[id];
        (row.attempt, row.leased) = (1, true);
        claimed(id, row)
    }

    /// Waits until the state is as wanted.
    pub(super) async fn until(&self, wanted: impl Fn(&State) -> bool) {
        loop {
            let changed = self.changed.notified();
            if wanted(&self.state()) {
                return;
            }
            changed.await;
        }
    }

    /// Waits until a delivery has that status, and returns it.
    pub(super) async fn ended(&self, row: usize, status: DeliveryStatus) -> Row {
        self.until(|state| state.rows[row].status == status).await;
        self.state().rows[row].clone()
    }

    fn changed<T>(&self, value: T) -> T {
        self.changed.notify_waiters();
        value
    }
}

/// Closes a gate: calls wait there until permits are added.
pub(super) fn close(gate: &Semaphore) {
    gate.forget_permits(Semaphore::MAX_PERMITS);
}

fn current<'a>(state: &'a mut State, lease: &Lease) -> Option<&'a mut Row> {
    state.rows.get_mut(lease.delivery.0 as usize).filter(|row| row.leased && row.attempt == lease.attempt)
}

fn claimed(id: usize, row: &Row) -> ClaimedDelivery {
    ClaimedDelivery {
        lease: Lease { delivery: DeliveryId(id as i64), attempt: row.attempt, ordered: false },
        destination: Arc::clone(&row.destination),
        failures: row.history.iter().filter(|attempt| attempt.error.is_some()).count() as u32,
        replay: false,
        event: Arc::new(StoredEvent {
            key: EventKey { source: "source".into(), event_id: id.to_string().into() },
            provider: "test".into(),
            event_type: String::new(),
            method: "POST".to_owned(),
            subpath: String::new(),
            query: String::new(),
            headers: Headers::default(),
            body: Bytes::new(),
            received_at: Timestamp::from_secs(0),
        }),
    }
}

impl State {
    fn claim(&mut self, request: &ClaimRequest) -> Claim {
        let ClaimRequest { destination, limit, now, lease, .. } = request;
        let (limit, now, lease) = (*limit, *now, *lease);
        let mut claim = Claim { paused: self.paused, ..Claim::default() };
        for (id, row) in self.rows.iter_mut().enumerate() {
            if self.paused || row.destination != *destination || row.status != DeliveryStatus::Pending {
                continue;
            }
            if row.due <= now && claim.deliveries.len() < limit {
                (row.attempt, row.due, row.leased) = (row.attempt + 1, now.plus(lease), true);
                claim.deliveries.push(claimed(id, row));
            } else {
                claim.next_due = Some(claim.next_due.map_or(row.due, |due| due.min(row.due)));
            }
        }
        claim
    }

    fn finish(&mut self, finished: FinishedAttempt) -> bool {
        let Some(row) = current(self, &finished.lease) else {
            self.stale += 1;
            return false;
        };
        row.leased = false;
        row.history.push(finished.attempt);
        match finished.verdict {
            Verdict::Delivered => row.status = DeliveryStatus::Delivered,
            Verdict::Dead => row.status = DeliveryStatus::Dead,
            Verdict::RetryAt(at) => row.due = at,
        }
        true
    }
}

fn take(failing: &mut usize) -> Result<(), StoreError> {
    if *failing == 0 {
        return Ok(());
    }
    *failing -= 1;
    Err(StoreError::Unavailable("disk I/O error".to_owned()))
}

#[async_trait]
impl Outbox for FakeOutbox {
    async fn claim(&self, request: ClaimRequest) -> Result<Claim, StoreError> {
        let claim = {
            let mut state = self.state();
            state.claims.push(request.limit);
            take(&mut state.failing_claims).map(|()| state.claim(&request))
        };
        self.changed(());
        self.claim_gate.acquire().await.unwrap().forget();
        claim
    }

    async fn finish_telling(&self, attempt: FinishedAttempt, _: Option<OwnEvent>) -> Result<bool, StoreError> {
        let finished = {
            let mut state = self.state();
            take(&mut state.failing_finishes).map(|()| state.finish(attempt))
        };
        self.changed(());
        self.finish_gate.acquire().await.unwrap().forget();
        finished
    }

    async fn release(&self, leases: Vec<Lease>, due: Timestamp, begun: bool) -> Result<(), StoreError> {
        let mut state = self.state();
        for lease in &leases {
            if let Some(row) = current(&mut state, lease) {
                (row.leased, row.due, row.attempt) = (false, due, row.attempt - u32::from(!begun));
            }
        }
        state.released.extend(leases);
        drop(state);
        self.changed(Ok(()))
    }

    async fn renew(&self, leases: Vec<Lease>, until: Timestamp) -> Result<Vec<Lease>, StoreError> {
        let mut state = self.state();
        let renewed = take(&mut state.failing_renewals).map(|()| {
            state.renewals.push(until);
            let mut lost = leases;
            lost.retain(|lease| current(&mut state, lease).map(|row| row.due = until).is_none());
            lost
        });
        drop(state);
        self.changed(renewed)
    }

    async fn straighten(&self, _: Arc<str>, order: Option<OnDead>, _: Timestamp) -> Result<bool, StoreError> {
        let mut state = self.state();
        state.straightened.push(order);
        let more = state.crooked > 0;
        state.crooked = state.crooked.saturating_sub(1);
        Ok(more)
    }

    async fn recover(&self, now: Timestamp) -> Result<u64, StoreError> {
        let mut state = self.state();
        state.recoveries += 1;
        let mut voided = 0;
        for row in state.rows.iter_mut().filter(|row| row.orphaned) {
            (row.orphaned, row.leased, row.due) = (false, false, now);
            voided += 1;
        }
        drop(state);
        self.changed(Ok(voided))
    }
}

type Behaviour = Box<dyn Fn(ClaimedDelivery) -> BoxFuture<'static, Outcome> + Send + Sync>;

/// A destination that does as told and counts.
pub(super) struct FakeDestination {
    behaviour: Behaviour,
    /// What a failure says about it.
    ill: Health,
    in_flight: AtomicUsize,
    most: AtomicUsize,
    pub(super) begun: Semaphore,
}

impl FakeDestination {
    pub(super) fn new<F>(behaviour: impl Fn(ClaimedDelivery) -> F + Send + Sync + 'static) -> Arc<Self>
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        Self::ill(Health::Unwell, behaviour)
    }

    /// One that says with each failure that it is overloaded.
    pub(super) fn overloaded<F>(behaviour: impl Fn(ClaimedDelivery) -> F + Send + Sync + 'static) -> Arc<Self>
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        Self::ill(Health::Overloaded, behaviour)
    }

    fn ill<F>(ill: Health, behaviour: impl Fn(ClaimedDelivery) -> F + Send + Sync + 'static) -> Arc<Self>
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        let behaviour: Behaviour = Box::new(move |delivery| Box::pin(behaviour(delivery)));
        Arc::new(Self { behaviour, ill, in_flight: AtomicUsize::new(0), most: AtomicUsize::new(0), begun: Semaphore::new(0) })
    }

    /// One that takes everything at once.
    pub(super) fn willing() -> Arc<Self> {
        Self::new(|_| async { Outcome::Delivered })
    }

    /// One that never answers.
    pub(super) fn hanging() -> Arc<Self> {
        Self::new(|_| std::future::pending())
    }

    /// One that fails every attempt.
    pub(super) fn failing() -> Arc<Self> {
        Self::new(|_| async { Outcome::Retry { reason: "answered 500".to_owned(), after: None } })
    }

    /// How many attempts are in flight.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::SeqCst)
    }

    /// The most attempts that were in flight at once.
    pub(super) fn most(&self) -> usize {
        self.most.load(Ordering::SeqCst)
    }

    /// Waits until that many further attempts have begun.
    pub(super) async fn begun(&self, count: u32) {
        self.begun.acquire_many(count).await.unwrap().forget();
    }
}

struct InFlight<'a>(&'a AtomicUsize);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl Destination for FakeDestination {
    async fn attempt(&self, delivery: &ClaimedDelivery) -> AttemptResult {
        self.most.fetch_max(self.in_flight.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        let _in_flight = InFlight(&self.in_flight);
        self.begun.add_permits(1);
        let outcome = (self.behaviour)(delivery.clone()).await;
        let health = if outcome == Outcome::Delivered { Health::Well } else { self.ill };
        AttemptResult { outcome, health, status_code: None, response: None }
    }
}

/// Remembers what it was told.
#[derive(Default)]
pub(super) struct Told {
    state: Mutex<Happened>,
}

#[derive(Debug, Default, Clone)]
pub(super) struct Happened {
    /// Verdicts of attempts, by delivery.
    pub(super) attempts: HashMap<i64, Vec<Verdict>>,
    /// Causes of store trouble.
    pub(super) store: Vec<String>,
    /// What became of the circuit.
    pub(super) circuit: Vec<&'static str>,
}

impl Told {
    pub(super) fn so_far(&self) -> Happened {
        self.state.lock().unwrap().clone()
    }
}

impl Observer for Told {
    fn happened(&self, happening: &Happening<'_>) {
        let mut state = self.state.lock().unwrap();
        match happening {
            Happening::Attempted(end) => state.attempts.entry(end.delivery.0).or_default().push(end.verdict),
            Happening::StoreFailed { cause } => state.store.push((*cause).to_owned()),
            Happening::CircuitOpened { .. } => state.circuit.push("opened"),
            Happening::CircuitClosed { .. } => state.circuit.push("closed"),
            other => panic!("a dispatcher does not tell {other:?}"),
        }
    }
}
