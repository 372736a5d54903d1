//! What a dispatcher needs, in memory: a store with leases, a clock that follows tokio's, a destination that does as told.

mod destination;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;

use crate::domain::{
    Attempt, ClaimedDelivery, Clock, DeliveryId, DeliveryStatus, EventKey, FinishedAttempt, Happening, Headers, Lease, Observer, OnDead,
    OwnEvent, StoredEvent, Timestamp, Verdict,
};
use crate::store::{Claim, ClaimRequest, Outbox, StoreError};

pub(super) use destination::FakeDestination;

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
        event: event(id),
    }
}

/// An event without a body.
pub(super) fn event(id: usize) -> Arc<StoredEvent> {
    Arc::new(StoredEvent {
        key: EventKey { source: "source".into(), event_id: id.to_string().into() },
        provider: "test".into(),
        event_type: String::new(),
        method: "POST".to_owned(),
        subpath: String::new(),
        query: String::new(),
        headers: Headers::default(),
        body: Bytes::new(),
        received_at: Timestamp::from_secs(0),
    })
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
