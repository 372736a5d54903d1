//! What a lane has taken and not begun: a little, so that the next attempt need not wait for a transaction while the
//! destination keeps up. Whatever waits here for long goes back to the store, where it can be seen for what it is.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::post::{Post, Weight};
use crate::domain::{ClaimedDelivery, Lease};

/// Deliveries under a lease, oldest first.
pub(super) struct Waiting {
    post: Arc<Post>,
    queue: VecDeque<Taken>,
}

/// One that waits.
pub(super) struct Taken {
    /// The delivery.
    pub(super) delivery: ClaimedDelivery,
    /// Given back when its attempt has ended, or it goes back.
    pub(super) ticket: OwnedSemaphorePermit,
    /// Its body's.
    pub(super) weight: Weight,
    /// Whether it probes an open circuit.
    pub(super) probe: bool,
}

/// Which of those that wait.
#[derive(Clone, Copy)]
pub(super) enum Which<'l> {
    /// All of them.
    All,
    /// Those under these leases.
    Under(&'l [Lease]),
}

impl Which<'_> {
    fn has(self, lease: &Lease) -> bool {
        match self {
            Self::All => true,
            Self::Under(leases) => leases.contains(lease),
        }
    }
}

impl Waiting {
    /// Nothing yet.
    pub(super) fn new(post: Arc<Post>) -> Self {
        Self { post, queue: VecDeque::new() }
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// One more.
    pub(super) fn push(&mut self, taken: Taken) {
        self.queue.push_back(taken);
    }

    /// The one that has waited longest.
    pub(super) fn pop(&mut self) -> Option<Taken> {
        self.queue.pop_front()
    }

    /// Whether the one that has waited longest is a probe.
    pub(super) fn probes(&self) -> bool {
        self.queue.front().is_some_and(|taken| taken.probe)
    }

    /// Gives up those of these leases, or all, and returns their leases. Nothing of them has begun, and the gate learns that: a
    /// probe that is never made would keep the circuit shut for ever.
    pub(super) fn give_up(&mut self, which: Which<'_>) -> Vec<Lease> {
        let mut given_up = Vec::new();
        for _ in 0..self.queue.len() {
            let Some(taken) = self.pop() else { break };
            if which.has(&taken.delivery.lease) {
                self.post.gate.began_not(Instant::now(), taken.probe);
                given_up.push(taken.delivery.lease);
            } else {
                self.push(taken);
            }
        }
        given_up
    }
}
