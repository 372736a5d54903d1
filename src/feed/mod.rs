//! What happens, as it happens, for whoever watches: the last few thousand happenings, numbered, in a ring. Watchers read from
//! the ring at their own pace and have no queue of their own, so one that is slow costs nothing; it loses its place when the ring
//! has moved on. Nothing here is kept beyond the process: what must not be missed is in the store.

mod entry;
mod position;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

pub use entry::{Entry, Kind, What};
pub use position::{Position, PositionError};

use crate::domain::{Clock, Happening, Observer};

/// How many happenings are kept.
const KEPT: usize = 4_096;
/// How many may watch at once.
pub const MOST_WATCHERS: usize = 500;

/// The feed.
pub struct Feed {
    /// Told apart from that of another process, whose numbers mean something else.
    era: u64,
    clock: Arc<dyn Clock>,
    ring: Mutex<Ring>,
    changed: Notify,
    watchers: AtomicUsize,
}

struct Ring {
    entries: VecDeque<Arc<Entry>>,
    /// The number of the first of them.
    first: u64,
}

impl Ring {
    fn next(&self) -> u64 {
        self.first + self.entries.len() as u64
    }
}

/// What the watcher was to see next is not there any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the feed has moved on")]
pub struct Lost;

impl Feed {
    /// An empty one.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let era = u64::try_from(clock.now().as_millis()).unwrap_or(0);
        let ring = Mutex::new(Ring { entries: VecDeque::new(), first: 0 });
        Self { era, clock, ring, changed: Notify::new(), watchers: AtomicUsize::new(0) }
    }

    /// The position of what happens next.
    pub fn end(&self) -> Position {
        Position { era: self.era, number: self.lock().next(), at: self.clock.now() }
    }

    /// Begins to watch at a position; `None` when too many do.
    pub fn watch(self: &Arc<Self>, from: Position) -> Option<Watcher> {
        let counted =
            self.watchers.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| (count < MOST_WATCHERS).then_some(count + 1));
        counted.ok()?;
        Some(Watcher { feed: Arc::clone(self), next: (from.era == self.era).then_some(from.number) })
    }

    /// What happened at a number.
    fn at(&self, number: u64) -> Result<Option<Arc<Entry>>, Lost> {
        let ring = self.lock();
        let place = number.checked_sub(ring.first).ok_or(Lost)?;
        match usize::try_from(place).ok().and_then(|place| ring.entries.get(place)) {
            Some(entry) => Ok(Some(Arc::clone(entry))),
            None if number == ring.next() => Ok(None),
            None => Err(Lost),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Feed {
    fn happened(&self, happening: &Happening<'_>) {
        let Some(what) = What::of(happening) else { return };
        let entry = Arc::new(Entry { at: self.clock.now(), what });
        let oldest = {
            let mut ring = self.lock();
            ring.entries.push_back(entry);
            let full = ring.entries.len() > KEPT;
            ring.first += u64::from(full);
            full.then(|| ring.entries.pop_front())
        };
        drop(oldest);
        self.changed.notify_waiters();
    }
}

/// Somebody who watches.
pub struct Watcher {
    feed: Arc<Feed>,
    /// `None` when it comes from another process.
    next: Option<u64>,
}

impl Watcher {
    /// What happens next, with the position behind it. Waits until something does.
    ///
    /// # Errors
    /// [`Lost`] when it has happened already and is not kept any more: by [`Watcher::skip`] it can go on with what happens now.
    pub async fn next(&mut self) -> Result<(Arc<Entry>, Position), Lost> {
        let number = self.next.ok_or(Lost)?;
        loop {
            let changed = self.feed.changed.notified();
            tokio::pin!(changed);
            // Waits from here on, so that nothing is missed between the look and the wait.
            changed.as_mut().enable();
            if let Some(entry) = self.feed.at(number)? {
                self.next = Some(number + 1);
                let position = Position { era: self.feed.era, number: number + 1, at: entry.at };
                return Ok((entry, position));
            }
            changed.await;
        }
    }

    /// Whether what it is to see next can still be seen.
    pub fn is_lost(&self) -> bool {
        self.next.is_none_or(|number| self.feed.at(number).is_err())
    }

    /// Goes on with what happens from now on, and returns where that is.
    pub fn skip(&mut self) -> Position {
        let end = self.feed.end();
        self.next = Some(end.number);
        end
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.feed.watchers.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
