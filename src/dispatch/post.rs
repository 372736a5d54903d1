//! What a lane shows to those outside of it: how to wake it, how to hand it a delivery that is being recorded, and how its
//! destination fares.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Instant;

use super::gate::{Gate, Limits};
use super::lane::LEASE;
use crate::domain::{ClaimedDelivery, LaneState, Observer, Reservation};

/// The lane of one destination, from outside.
pub(super) struct Post {
    /// The destination's name.
    pub(super) name: Arc<str>,
    /// What may begin there.
    pub(super) gate: Gate,
    /// Is told of the circuit.
    pub(super) observer: Arc<dyn Observer>,
    /// One place for each attempt in flight.
    pub(super) places: Arc<Semaphore>,
    /// Places in all.
    pub(super) concurrency: usize,
    wake: Notify,
    /// Whether the lane has nothing left to claim, so that what is recorded now is next.
    caught_up: AtomicBool,
    handed: mpsc::UnboundedSender<Handed>,
    /// Waits here for the lane to begin.
    taken: Mutex<Option<mpsc::UnboundedReceiver<Handed>>>,
}

/// A delivery whose lease and place are there already.
pub(super) type Handed = (ClaimedDelivery, OwnedSemaphorePermit);

impl Post {
    /// The post of a lane within these limits.
    pub(super) fn new(name: Arc<str>, limits: Limits, observer: Arc<dyn Observer>) -> Self {
        // Bounded by the places, one of which goes with each delivery.
        let (handed, taken) = mpsc::unbounded_channel();
        Self {
            name,
            gate: Gate::new(limits),
            observer,
            places: Arc::new(Semaphore::new(limits.concurrency)),
            concurrency: limits.concurrency,
            wake: Notify::new(),
            caught_up: AtomicBool::new(false),
            handed,
            taken: Mutex::new(Some(taken)),
        }
    }

    /// Something is due that nobody has handed over.
    pub(super) fn due(&self) {
        self.caught_up.store(false, Ordering::SeqCst);
        self.call();
    }

    /// Has the lane look again, now or as soon as it waits.
    pub(super) fn call(&self) {
        // Leaves a permit when the lane is not waiting, so that no wake-up is lost.
        self.wake.notify_one();
    }

    /// Waits for [`Post::call`].
    pub(super) async fn called(&self) {
        self.wake.notified().await;
    }

    /// Whether the lane has claimed all that was due. Nothing is handed over while it has not: older deliveries come first.
    pub(super) fn caught_up(&self, caught_up: bool) {
        self.caught_up.store(caught_up, Ordering::SeqCst);
    }

    /// How many attempts are in flight.
    pub(super) fn running(&self) -> usize {
        self.concurrency.saturating_sub(self.places.available_permits())
    }

    /// How its destination fares.
    pub(super) fn state(&self) -> LaneState {
        let now = Instant::now();
        let next_probe = self.gate.next_probe(now).map(|at| at.duration_since(now));
        LaneState { destination: Arc::clone(&self.name), in_flight: self.running(), next_probe }
    }

    /// The other end of what is handed over: for the lane, once.
    pub(super) fn take_receiver(&self) -> Option<mpsc::UnboundedReceiver<Handed>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// A place for an attempt that begins with the commit of its delivery.
    pub(super) fn reserve(self: &Arc<Self>) -> Option<Reservation> {
        if !self.caught_up.load(Ordering::SeqCst) {
            return None;
        }
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        if !self.gate.admit(Instant::now(), self.running().saturating_sub(1)) {
            return None;
        }
        let kept = Kept { post: Arc::clone(self), place: Some(place) };
        Some(Reservation::new(LEASE, move |delivery| kept.hand_over(delivery)))
    }
}

/// A place that is kept for a delivery. One that is not used does not count against the rate.
struct Kept {
    post: Arc<Post>,
    place: Option<OwnedSemaphorePermit>,
}

impl Kept {
    fn hand_over(mut self, delivery: ClaimedDelivery) {
        if let Some(place) = self.place.take() {
            // A lane that has ended leaves the lease to this process's end.
            drop(self.post.handed.send((delivery, place)));
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if let Some(place) = self.place.take() {
            let awaited = self.post.gate.began_not(Instant::now());
            drop(place);
            if awaited {
                self.post.call();
            }
        }
    }
}
