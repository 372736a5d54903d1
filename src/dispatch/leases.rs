//! The leases that a lane has: of deliveries that wait for a place, of attempts under way, and of ends that are not committed.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::task::{AbortHandle, Id};

use crate::domain::{Lease, Timestamp};

/// All leases of a lane.
#[derive(Default)]
pub(super) struct Leases {
    held: HashMap<Lease, Option<Attempting>>,
    tasks: HashMap<Id, Lease>,
    /// When the first of them ends.
    end: Option<Timestamp>,
}

/// An attempt under a lease.
struct Attempting {
    task: AbortHandle,
    /// Whether the attempt is over, whatever is still to be done about its end.
    over: Arc<AtomicBool>,
}

impl Leases {
    /// A lease that ends then.
    pub(super) fn add(&mut self, lease: Lease, until: Timestamp) {
        self.end = Some(self.end.map_or(until, |end| end.min(until)));
        self.held.insert(lease, None);
    }

    /// An attempt has begun under a lease.
    pub(super) fn attempt(&mut self, lease: Lease, task: AbortHandle, over: Arc<AtomicBool>) {
        self.tasks.insert(task.id(), lease);
        self.held.insert(lease, Some(Attempting { task, over }));
    }

    /// The task of an attempt has ended, and with it the lease.
    pub(super) fn ended(&mut self, task: Id) {
        if let Some(lease) = self.tasks.remove(&task) {
            self.remove(&lease);
        }
    }

    /// A lease is given back.
    pub(super) fn remove(&mut self, lease: &Lease) {
        self.held.remove(lease);
        if self.held.is_empty() {
            self.end = None;
        }
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// All of them.
    pub(super) fn all(&self) -> Vec<Lease> {
        self.held.keys().copied().collect()
    }

    /// Whether one of them ends before then.
    pub(super) fn end_before(&self, then: Timestamp) -> bool {
        self.end.is_some_and(|end| end < then)
    }

    /// All of them have been renewed.
    pub(super) fn renewed(&mut self, until: Timestamp) {
        self.end = (!self.held.is_empty()).then_some(until);
    }

    /// Breaks off the attempts whose leases are lost. Once one is over its lease may be gone because its end is committed.
    pub(super) fn give_up(&self, lost: &[Lease]) {
        for (lease, attempting) in lost.iter().filter_map(|lease| self.held.get_key_value(lease)) {
            if let Some(Attempting { task, over }) = attempting
                && !over.load(Ordering::SeqCst)
            {
                tracing::debug!(delivery.id = %lease.delivery, delivery.attempt = lease.attempt, "the lease is lost");
                task.abort();
            }
        }
    }
}
