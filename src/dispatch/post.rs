//! What a lane shows to those outside of it: how to wake it, how to hand it a delivery that is being recorded, and how its
//! destination fares.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Instant;

use super::gate::{Gate, Limits};
use super::lane::LEASE;
use crate::domain::{ClaimedDelivery, LaneState, Observer, Reservation};

/// Deliveries that may be taken before there is a place for them.
pub(super) const WAITING: usize = 1_024;
/// Beyond so many bytes of their bodies no more are taken.
const WAITING_BYTES: usize = 4 << 20;
/// A destination keeps up while an attempt has ended so recently.
const RECENTLY: Duration = Duration::from_millis(100);

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
    /// One ticket for each delivery that the lane has taken, or is about to.
    pub(super) tickets: Arc<Semaphore>,
    /// Bytes of the bodies that wait for a place.
    pub(super) waiting_bytes: AtomicUsize,
    begun: Instant,
    /// When an attempt ended last, in milliseconds since it all began.
    last_end: AtomicU64,
    check_leases: AtomicBool,
    wake: Notify,
    /// Whether something is due that was recorded without a ticket, and no claim has begun since.
    missed: AtomicBool,
    /// Whether the last claim left something, or there was none.
    behind: AtomicBool,
    handed: mpsc::UnboundedSender<Handed>,
    /// Waits here for the lane to begin.
    taken: Mutex<Option<mpsc::UnboundedReceiver<Handed>>>,
}

/// A delivery whose lease and ticket are there already.
pub(super) type Handed = (ClaimedDelivery, OwnedSemaphorePermit);

impl Post {
    /// The post of a lane within these limits.
    pub(super) fn new(name: Arc<str>, limits: Limits, observer: Arc<dyn Observer>) -> Self {
        // Bounded by the tickets, one of which goes with each delivery.
        let (handed, taken) = mpsc::unbounded_channel();
        Self {
            name,
            gate: Gate::new(limits),
            observer,
            places: Arc::new(Semaphore::new(limits.concurrency)),
            concurrency: limits.concurrency,
            tickets: Arc::new(Semaphore::new(limits.concurrency + WAITING)),
            waiting_bytes: AtomicUsize::new(0),
            begun: Instant::now(),
            last_end: AtomicU64::new(0),
            check_leases: AtomicBool::new(false),
            wake: Notify::new(),
            missed: AtomicBool::new(true),
            behind: AtomicBool::new(true),
            handed,
            taken: Mutex::new(Some(taken)),
        }
    }

    /// Something is due that nobody has handed over.
    pub(super) fn due(&self) {
        self.missed.store(true, Ordering::SeqCst);
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

    /// A claim begins. What is recorded from now on comes behind what it finds.
    pub(super) fn claim_begins(&self) {
        self.missed.store(false, Ordering::SeqCst);
    }

    /// Whether claims leave something that is due. Nothing is handed over then: older deliveries come first.
    pub(super) fn fall_behind(&self, behind: bool) {
        self.behind.store(behind, Ordering::SeqCst);
    }

    /// How many tickets a claim may take: half of them where there is little to claim, so that what is recorded meanwhile finds
    /// some, too.
    pub(super) fn tickets_for_claim(&self, now: Instant) -> usize {
        let free = self.free_tickets(now);
        if self.behind.load(Ordering::SeqCst) { free } else { free.div_ceil(2) }
    }

    /// How many attempts are in flight.
    pub(super) fn running(&self) -> usize {
        self.concurrency.saturating_sub(self.places.available_permits())
    }

    /// How its destination fares.
    pub(super) fn state(&self) -> LaneState {
        let now = Instant::now();
        let next_probe = self.gate.next_probe(now).map(|at| at.duration_since(now));
        let overloaded = self.gate.overloaded_until(now).map(|at| at.duration_since(now));
        LaneState { destination: Arc::clone(&self.name), in_flight: self.running(), next_probe, overloaded }
    }

    /// The other end of what is handed over: for the lane, once.
    pub(super) fn take_receiver(&self) -> Option<mpsc::UnboundedReceiver<Handed>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Whether an attempt has ended so recently. At its beginning a lane is taken to keep up.
    pub(super) fn has_ended_within(&self, time: Duration, now: Instant) -> bool {
        now.duration_since(self.begun + Duration::from_millis(self.last_end.load(Ordering::SeqCst))) <= time
    }

    /// Whether the destination lets attempts end so fast that more can be taken than there are places.
    pub(super) fn keeps_up(&self, now: Instant) -> bool {
        self.has_ended_within(RECENTLY, now)
    }

    /// An attempt has ended.
    pub(super) fn one_has_ended(&self) {
        self.last_end.store(u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX), Ordering::SeqCst);
    }

    /// A delivery may have been called off whose attempt is under way.
    pub(super) fn check_leases(&self) {
        self.check_leases.store(true, Ordering::SeqCst);
        self.call();
    }

    /// Whether leases are to be looked at, asked once.
    pub(super) fn may_have_lost_a_lease(&self) -> bool {
        self.check_leases.swap(false, Ordering::SeqCst)
    }

    /// How many tickets there are.
    pub(super) fn all_tickets(&self) -> u32 {
        u32::try_from(self.concurrency + WAITING).unwrap_or(u32::MAX)
    }

    /// Whether so much waits for a place that no more is to be taken.
    pub(super) fn is_full(&self) -> bool {
        self.waiting_bytes.load(Ordering::SeqCst) > WAITING_BYTES
    }

    /// How many tickets may be taken: as many as there are while the destination keeps up, else one for each place.
    fn free_tickets(&self, now: Instant) -> usize {
        let free = self.tickets.available_permits();
        if self.keeps_up(now) { free } else { free.saturating_sub(WAITING) }
    }

    /// A ticket for an attempt that begins with the commit of its delivery, or soon after it while the destination keeps up.
    pub(super) fn reserve(self: &Arc<Self>) -> Option<Reservation> {
        let now = Instant::now();
        let waits_its_turn = self.missed.load(Ordering::SeqCst) || self.behind.load(Ordering::SeqCst);
        if waits_its_turn || self.is_full() || self.free_tickets(now) == 0 {
            return None;
        }
        let ticket = Arc::clone(&self.tickets).try_acquire_owned().ok()?;
        if !self.gate.admit(now) {
            return None;
        }
        let kept = Kept { post: Arc::clone(self), ticket: Some(ticket) };
        Some(Reservation::new(LEASE, move |delivery| kept.hand_over(delivery)))
    }
}

/// A ticket that is kept for a delivery. One that is not used does not count against the rate.
struct Kept {
    post: Arc<Post>,
    ticket: Option<OwnedSemaphorePermit>,
}

impl Kept {
    fn hand_over(mut self, delivery: ClaimedDelivery) {
        if let Some(ticket) = self.ticket.take() {
            // A lane that has ended leaves the lease to this process's end.
            drop(self.post.handed.send((delivery, ticket)));
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if self.ticket.is_some() {
            self.post.gate.began_not(Instant::now(), false);
        }
    }
}
