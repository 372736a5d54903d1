//! How fast attempts end at a destination: by that it is told how much it can be trusted with beyond its places.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// What is counted together.
const SECOND: Duration = Duration::from_secs(1);

/// The ends of one destination's attempts.
pub(super) struct Ends(Mutex<State>);

struct State {
    last: Instant,
    /// When the second began that is being counted.
    since: Instant,
    count: usize,
    /// How many there were in the second before it.
    before: usize,
}

impl Ends {
    /// None yet, but as if one were: nothing is known against the destination.
    pub(super) fn new(now: Instant) -> Self {
        Self(Mutex::new(State { last: now, since: now, count: 0, before: 0 }))
    }

    /// One more.
    pub(super) fn note(&self, now: Instant) {
        let mut state = self.lock();
        state.turn(now);
        state.count += 1;
        state.last = now;
    }

    /// Whether there was one so recently.
    pub(super) fn within(&self, time: Duration, now: Instant) -> bool {
        now.saturating_duration_since(self.lock().last) <= time
    }

    /// How many there were lately, in the second that runs or the one before it.
    pub(super) fn in_a_second(&self, now: Instant) -> usize {
        let mut state = self.lock();
        state.turn(now);
        state.count.max(state.before)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Begins a new second if this one is over.
    fn turn(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.since);
        if passed < SECOND {
            return;
        }
        self.before = if passed < 2 * SECOND { self.count } else { 0 };
        (self.count, self.since) = (0, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_counted_by_the_second_and_forgotten() {
        let now = Instant::now();
        let at = |millis| now + Duration::from_millis(millis);
        let ends = Ends::new(now);
        assert_eq!((ends.in_a_second(now), ends.within(SECOND, now)), (0, true));
        (0..5).for_each(|n| ends.note(at(n * 100)));
        assert_eq!(ends.in_a_second(at(500)), 5);
        ends.note(at(1_100));
        assert_eq!(ends.in_a_second(at(1_200)), 5, "the second before counts while this one is young");
        (0..7).for_each(|_| ends.note(at(1_300)));
        assert_eq!(ends.in_a_second(at(1_400)), 8);
        assert!(!ends.within(SECOND, at(2_400)));
        assert_eq!(ends.in_a_second(at(9_000)), 0);
    }
}
