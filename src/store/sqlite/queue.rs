//! A queue with a bound in requests and in bytes, between many tasks and the few threads that own connections.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::store::StoreError;

/// How much may wait.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Requests.
    pub(super) requests: usize,
    /// Bytes of all requests together.
    pub(super) bytes: usize,
}

/// The queue. Nobody ever waits to put something in: beyond the bounds it is refused at once.
pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    filled: Condvar,
    bounds: Bounds,
}

struct State<T> {
    items: VecDeque<(T, usize)>,
    bytes: usize,
    closed: bool,
    abandoned: bool,
    waiting: usize,
}

impl<T> Queue<T> {
    /// An empty queue.
    pub(super) fn new(bounds: Bounds) -> Self {
        let state = State { items: VecDeque::new(), bytes: 0, closed: false, abandoned: false, waiting: 0 };
        Self { state: Mutex::new(state), filled: Condvar::new(), bounds }
    }

    /// Puts an item in; `reserve` more requests than the bound says are let in, whatever their bytes.
    ///
    /// # Errors
    /// [`StoreError::QueueFull`] beyond the bounds, [`StoreError::Unavailable`] after [`Queue::close`].
    pub(super) fn push(&self, item: T, bytes: usize, reserve: usize) -> Result<(), StoreError> {
        let mut state = self.lock();
        if state.closed {
            return Err(closed());
        }
        let too_many = state.items.len() >= self.bounds.requests.saturating_add(reserve);
        // A single item is let in however large it is: it could never be otherwise.
        let too_large = reserve == 0 && !state.items.is_empty() && state.bytes.saturating_add(bytes) > self.bounds.bytes;
        if too_many || too_large {
            return Err(StoreError::QueueFull);
        }
        state.bytes += bytes;
        state.items.push_back((item, bytes));
        let asleep = state.waiting > 0;
        drop(state);
        if asleep {
            self.filled.notify_one();
        }
        Ok(())
    }

    /// Waits for items and takes what is there, at least one and at most `limit`. `None` once closed and empty.
    pub(super) fn take(&self, limit: Bounds) -> Option<Vec<T>> {
        let mut state = self.lock();
        while state.items.is_empty() {
            if state.closed {
                return None;
            }
            state.waiting += 1;
            state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.waiting -= 1;
        }
        let mut taken = Vec::with_capacity(state.items.len().min(limit.requests));
        let mut bytes = 0;
        while let Some((_, size)) = state.items.front() {
            if !taken.is_empty() && (taken.len() >= limit.requests || bytes + size > limit.bytes) {
                break;
            }
            bytes += size;
            taken.extend(state.items.pop_front().map(|(item, _)| item));
        }
        state.bytes -= bytes;
        Some(taken)
    }

    /// How many items wait.
    pub(super) fn depth(&self) -> usize {
        self.lock().items.len()
    }

    /// Lets nothing more in. What is queued can still be taken.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_all();
    }

    /// Whether nothing more is let in.
    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Whether what was queued has been dropped.
    pub(super) fn is_abandoned(&self) -> bool {
        self.lock().abandoned
    }

    /// Closes the queue and drops what is in it.
    pub(super) fn abandon(&self) {
        let mut state = self.lock();
        (state.closed, state.abandoned) = (true, true);
        state.bytes = 0;
        let dropped = std::mem::take(&mut state.items);
        drop(state);
        drop(dropped);
        self.filled.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What callers learn when the thread behind the queue has ended.
pub(super) fn closed() -> StoreError {
    StoreError::Unavailable("the store is closed".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Bounds = Bounds { requests: usize::MAX, bytes: usize::MAX };

    #[test]
    fn a_queue_is_bounded_in_requests_and_in_bytes() {
        let queue = Queue::new(Bounds { requests: 2, bytes: 10 });
        assert!(queue.push('a', 8, 0).is_ok());
        assert!(matches!(queue.push('b', 3, 0), Err(StoreError::QueueFull)));
        assert!(queue.push('c', 2, 0).is_ok());
        assert!(matches!(queue.push('d', 0, 0), Err(StoreError::QueueFull)));
        assert!(queue.push('e', 50, 1).is_ok(), "the reserve");
        assert!(matches!(queue.push('f', 0, 1), Err(StoreError::QueueFull)));
        assert_eq!(queue.take(ALL), Some(vec!['a', 'c', 'e']));
        assert!(queue.push('g', 1_000, 0).is_ok(), "alone, it may be larger than the bound");
    }

    #[test]
    fn a_batch_is_bounded_too_and_holds_at_least_one() {
        let queue = Queue::new(ALL);
        for (item, bytes) in [('a', 9), ('b', 2), ('c', 2), ('d', 1), ('e', 0)] {
            queue.push(item, bytes, 0).unwrap();
        }
        let limit = Bounds { requests: 2, bytes: 5 };
        let batches: Vec<_> = (0..3).map(|_| queue.take(limit).unwrap()).collect();
        assert_eq!(batches, [vec!['a'], vec!['b', 'c'], vec!['d', 'e']]);
    }

    #[test]
    fn what_is_queued_is_taken_after_the_queue_has_closed() {
        let queue = Queue::new(ALL);
        queue.push('a', 0, 0).unwrap();
        queue.close();
        assert!(matches!(queue.push('b', 0, 0), Err(StoreError::Unavailable(_))));
        assert_eq!(queue.take(ALL), Some(vec!['a']));
        assert_eq!(queue.take(ALL), None);
    }
}
