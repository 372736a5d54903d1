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

/// How far an item may go to be let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Priority {
    /// Beyond the bounds, up to the queue's reserve: it lets what is there already come to an end.
    Onward,
    /// Within the bounds.
    New,
    /// Within a quarter of the bounds: it must not crowd out what is new.
    Spare,
}

/// How many bytes of [`Priority::Spare`] go along with others. Who waits for the others would wait for these, too.
const SPARE_ALONG: usize = 256 << 10;

/// The queue. Nobody ever waits to put something in: beyond the bounds it is refused at once.
pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    filled: Condvar,
    bounds: Bounds,
    reserve: usize,
}

struct State<T> {
    items: VecDeque<Item<T>>,
    bytes: usize,
    closed: bool,
    abandoned: bool,
    waiting: usize,
}

struct Item<T> {
    value: T,
    bytes: usize,
    priority: Priority,
}

impl<T> State<T> {
    fn has_room(&self, bytes: usize, priority: Priority, bounds: Bounds, reserve: usize) -> bool {
        let (requests, all) = (self.items.len(), self.bytes.saturating_add(bytes));
        // A single item is let in however large it is: it could never be otherwise.
        let fits = |bound: usize| self.items.is_empty() || all <= bound;
        match priority {
            Priority::Onward => requests < bounds.requests.saturating_add(reserve),
            Priority::New => requests < bounds.requests && fits(bounds.bytes),
            Priority::Spare => requests < bounds.requests.div_ceil(4) && fits(bounds.bytes / 4),
        }
    }
}

impl<T> Queue<T> {
    /// An empty queue; `reserve` more [`Priority::Onward`] items than the bound says are let in, whatever their bytes.
    pub(super) fn new(bounds: Bounds, reserve: usize) -> Self {
        let state = State { items: VecDeque::new(), bytes: 0, closed: false, abandoned: false, waiting: 0 };
        Self { state: Mutex::new(state), filled: Condvar::new(), bounds, reserve }
    }

    /// Puts an item in.
    ///
    /// # Errors
    /// [`StoreError::QueueFull`] beyond the bounds, [`StoreError::Unavailable`] after [`Queue::close`].
    pub(super) fn push(&self, value: T, bytes: usize, priority: Priority) -> Result<(), StoreError> {
        let mut state = self.lock();
        if state.closed {
            return Err(closed());
        }
        if !state.has_room(bytes, priority, self.bounds, self.reserve) {
            return Err(StoreError::QueueFull);
        }
        state.bytes += bytes;
        state.items.push_back(Item { value, bytes, priority });
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
        let (mut bytes, mut spare) = (0, 0);
        while let Some(next) = state.items.front() {
            spare += if next.priority == Priority::Spare { next.bytes } else { 0 };
            if !taken.is_empty() && (taken.len() >= limit.requests || bytes + next.bytes > limit.bytes || spare > SPARE_ALONG) {
                break;
            }
            bytes += next.bytes;
            taken.extend(state.items.pop_front().map(|item| item.value));
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

    use Priority::{New, Onward, Spare};

    #[test]
    fn a_queue_is_bounded_in_requests_and_in_bytes() {
        let queue = Queue::new(Bounds { requests: 2, bytes: 10 }, 1);
        assert!(queue.push('a', 8, New).is_ok());
        assert!(matches!(queue.push('b', 3, New), Err(StoreError::QueueFull)));
        assert!(queue.push('c', 2, New).is_ok());
        assert!(matches!(queue.push('d', 0, New), Err(StoreError::QueueFull)));
        assert!(queue.push('e', 50, Onward).is_ok(), "the reserve");
        assert!(matches!(queue.push('f', 0, Onward), Err(StoreError::QueueFull)));
        assert_eq!(queue.take(ALL), Some(vec!['a', 'c', 'e']));
        assert!(queue.push('g', 1_000, New).is_ok(), "alone, it may be larger than the bound");
    }

    #[test]
    fn what_can_be_spared_is_let_in_up_to_a_quarter() {
        let full = |outcome| matches!(outcome, Err(StoreError::QueueFull));
        let queue = Queue::new(Bounds { requests: 8, bytes: 100 }, 0);
        assert!(queue.push('a', 20, Spare).is_ok());
        assert!(full(queue.push('b', 6, Spare)), "a quarter of the bytes");
        assert!(queue.push('c', 5, Spare).is_ok());
        assert!(full(queue.push('d', 0, Spare)), "a quarter of the requests");
        assert!(queue.push('e', 75, New).is_ok(), "the rest is for others");
        assert_eq!(queue.take(ALL), Some(vec!['a', 'c', 'e']));
        assert!(queue.push('f', 1_000, Spare).is_ok(), "alone");
    }

    #[test]
    fn a_batch_grows_little_by_what_can_be_spared() {
        let queue = Queue::new(ALL, 0);
        for (item, bytes, priority) in
            [('a', 9, New), ('b', 9, Spare), ('c', SPARE_ALONG, Spare), ('d', 9, New), ('e', 9 << 20, Spare), ('f', 9, New)]
        {
            queue.push(item, bytes, priority).unwrap();
        }
        let batches: Vec<_> = (0..3).map(|_| queue.take(ALL).unwrap()).collect();
        assert_eq!(batches, [vec!['a', 'b'], vec!['c', 'd'], vec!['e']]);
    }

    #[test]
    fn a_batch_is_bounded_too_and_holds_at_least_one() {
        let queue = Queue::new(ALL, 0);
        for (item, bytes) in [('a', 9), ('b', 2), ('c', 2), ('d', 1), ('e', 0)] {
            queue.push(item, bytes, New).unwrap();
        }
        let limit = Bounds { requests: 2, bytes: 5 };
        let batches: Vec<_> = (0..3).map(|_| queue.take(limit).unwrap()).collect();
        assert_eq!(batches, [vec!['a'], vec!['b', 'c'], vec!['d', 'e']]);
    }

    #[test]
    fn what_is_queued_is_taken_after_the_queue_has_closed() {
        let queue = Queue::new(ALL, 0);
        queue.push('a', 0, New).unwrap();
        queue.close();
        assert!(matches!(queue.push('b', 0, New), Err(StoreError::Unavailable(_))));
        assert_eq!(queue.take(ALL), Some(vec!['a']));
        assert_eq!(queue.take(ALL), None);
    }
}
