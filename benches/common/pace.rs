//! When requests are due. Closed loop: as soon as a connection is free. Open loop: on a fixed schedule, whatever the server
//! does, and latency counts from the scheduled time: a stalled server is charged for the requests it kept from being sent.

use std::cell::Cell;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

/// Hands out the due time of each request.
pub(crate) enum Pace {
    /// A connection sends again once it has its answer, until the end.
    Closed {
        /// When to stop.
        until: Instant,
    },
    /// A thread releases tickets on schedule; free connections take them in order.
    Open(Schedule),
}

/// The tickets of an open loop.
pub(crate) struct Schedule {
    start: Instant,
    rate: f64,
    total: u64,
    taken: Cell<u64>,
    released: Arc<Semaphore>,
    /// Ends by itself once all tickets are released.
    _pacer: JoinHandle<()>,
}

impl Pace {
    /// The due time of the next request, when it has come; `None` when there are no more.
    pub(crate) async fn next(&self) -> Option<Instant> {
        match self {
            Self::Closed { until } => Some(Instant::now()).filter(|now| now < until),
            Self::Open(schedule) => schedule.next().await,
        }
    }

    /// Tickets that no connection was free to take.
    pub(crate) fn left(&self) -> u64 {
        match self {
            Self::Closed { .. } => 0,
            Self::Open(schedule) => schedule.total - schedule.taken.get().min(schedule.total),
        }
    }
}

impl Schedule {
    /// Starts the schedule of `rate` requests a second from `start` to `until`.
    pub(crate) fn new(rate: f64, start: Instant, until: Instant, connections: usize) -> Self {
        let total = (rate * (until - start).as_secs_f64()) as u64;
        let released = Arc::new(Semaphore::new(0));
        let permits = Arc::clone(&released);
        let pacer = std::thread::spawn(move || {
            release(&permits, start, rate, total);
            // One more for each connection, which finds no ticket and ends.
            permits.add_permits(connections);
        });
        Self { start, rate, total, taken: Cell::new(0), released, _pacer: pacer }
    }

    async fn next(&self) -> Option<Instant> {
        self.released.acquire().await.ok()?.forget();
        let ticket = self.taken.replace(self.taken.get() + 1);
        (ticket < self.total).then(|| self.start + Duration::from_secs_f64(ticket as f64 / self.rate))
    }
}

/// A thread of its own, because the runtime's timer counts in milliseconds, too coarse for what is measured here.
fn release(permits: &Semaphore, start: Instant, rate: f64, total: u64) {
    let mut released = 0;
    while released < total {
        let passed = start.elapsed().as_secs_f64();
        let due = ((passed * rate) as u64 + 1).min(total);
        permits.add_permits((due - released) as usize);
        released = due;
        let next = Duration::from_secs_f64(released as f64 / rate);
        std::thread::park_timeout(next.saturating_sub(start.elapsed()));
    }
}
