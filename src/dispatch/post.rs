//! What a lane shows to those outside of it: how to wake it, how to hand it a delivery that is being recorded, and how its
//! destination fares.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Instant;

use super::ends::Ends;
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
    ends: Ends,
    /// Whether what the lane has taken is to go back.
    give_back: AtomicBool,
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
pub(super) type Handed = (ClaimedDelivery, OwnedSemaphorePermit, Weight);

/// The bytes of a body that waits for a place, counted until it is dropped.
pub(super) struct Weight {
    post: Arc<Post>,
    bytes: usize,
}

impl Weight {
    /// A body of so many bytes.
    pub(super) fn new(post: &Arc<Post>, bytes: usize) -> Self {
        post.waiting_bytes.fetch_add(bytes, Ordering::SeqCst);
        Self { post: Arc::clone(post), bytes }
    }
}

impl Drop for Weight {
    fn drop(&mut self) {
        self.post.waiting_bytes.fetch_sub(self.bytes, Ordering::SeqCst);
    }
}

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
            ends: Ends::new(Instant::now()),
            give_back: AtomicBool::new(false),
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

    /// Something may be due of which nobody has told.
    pub(super) fn miss(&self) {
        self.missed.store(true, Ordering::SeqCst);
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
        self.ends.within(time, now)
    }

    /// An attempt has ended.
    pub(super) fn one_has_ended(&self) {
        self.ends.note(Instant::now());
    }

    /// What the lane has taken and not begun is to go back: the store says whether it may have it again. It is no state of the
    /// destination, or two orders that cross each other could leave it held here and released there.
    pub(super) fn give_back(&self) {
        self.give_back.store(true, Ordering::SeqCst);
        self.call();
    }

    /// Whether it is, asked once.
    pub(super) fn is_to_give_back(&self) -> bool {
        self.give_back.swap(false, Ordering::SeqCst)
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

    /// How many tickets may be taken: one for each place, and while attempts end, so many more as end in a second. More would
    /// wait for longer than anything is to wait.
    fn free_tickets(&self, now: Instant) -> usize {
        let keeps_up = self.ends.within(RECENTLY, now);
        let ahead = if keeps_up { self.ends.in_a_second(now).min(WAITING) } else { 0 };
        self.tickets.available_permits().saturating_sub(WAITING - ahead)
    }

    /// A ticket for an attempt that begins with the commit of its delivery, or soon after it while the destination keeps up.
    pub(super) fn reserve(self: &Arc<Self>, bytes: usize) -> Option<Reservation> {
        let now = Instant::now();
        let waits_its_turn = self.missed.load(Ordering::SeqCst) || self.behind.load(Ordering::SeqCst);
        if waits_its_turn || self.is_full() || self.free_tickets(now) == 0 {
            return None;
        }
        let ticket = Arc::clone(&self.tickets).try_acquire_owned().ok()?;
        if !self.gate.admit(now) {
            return None;
        }
        let kept = Kept { post: Arc::clone(self), ticket: Some((ticket, Weight::new(self, bytes))) };
        Some(Reservation::new(LEASE, move |delivery| kept.hand_over(delivery)))
    }
}

/// A ticket that is kept for a delivery. One that is not used does not count against the rate.
struct Kept {
    post: Arc<Post>,
    ticket: Option<(OwnedSemaphorePermit, Weight)>,
}

impl Kept {
    fn hand_over(mut self, delivery: ClaimedDelivery) {
        if let Some((ticket, weight)) = self.ticket.take() {
            // A lane that has ended leaves the lease to this process's end.
            drop(self.post.handed.send((delivery, ticket, weight)));
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
