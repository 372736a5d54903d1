//! A destination that says 429 or 503 is overloaded as a whole: nothing goes there for a while, then one at a time, then
//! twice as many with each success, until the lane runs as wide as it is configured.

use std::time::Duration;

use tokio::time::Instant;

/// The wait after the first such answer that names none; twice as long after each one that follows.
const FIRST: Duration = Duration::from_secs(1);

/// The longest wait, whatever the destination asks for one delivery: others may fare better.
const LONGEST: Duration = Duration::from_secs(60);

/// How much a lane is slowed down.
#[derive(Debug)]
pub(super) struct Brake {
    longest: Duration,
    until: Option<Instant>,
    /// The most at once; none while it is not slowed down.
    width: Option<usize>,
    wait: Duration,
}

impl Brake {
    /// One that does not brake, and never longer than this nor a minute.
    pub(super) fn new(longest: Duration) -> Self {
        Self { longest: longest.min(LONGEST), until: None, width: None, wait: FIRST }
    }

    /// When something may begin again; `None` for now.
    pub(super) fn until(&self, now: Instant) -> Option<Instant> {
        self.until.filter(|until| *until > now)
    }

    /// The most at once.
    pub(super) fn width(&self) -> usize {
        self.width.unwrap_or(usize::MAX)
    }

    /// The destination is overloaded and asks for this wait, if it asks. Several that were under way together count as one.
    pub(super) fn overloaded(&mut self, now: Instant, asked: Option<Duration>) {
        let own = if self.until(now).is_some() { Duration::ZERO } else { self.wait };
        if !own.is_zero() {
            self.wait = self.wait.saturating_mul(2).min(self.longest.max(FIRST));
        }
        let until = now + own.max(asked.unwrap_or_default()).min(self.longest.max(FIRST));
        self.until = self.until.max(Some(until));
        self.width = Some(1);
    }

    /// The destination is well again: one at a time at first, for everybody who has waited for it would come at once.
    pub(super) fn narrow(&mut self) {
        self.width = Some(1);
    }

    /// The destination has taken something, which runs as wide as `most` when nothing brakes.
    pub(super) fn eased(&mut self, most: usize) {
        self.width = self.width.map(|width| width.saturating_mul(2)).filter(|width| *width < most);
        if self.width.is_none() {
            self.wait = FIRST;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_wait_grows_with_each_answer_up_to_the_bound_and_not_with_each_of_those_under_way() {
        let (mut brake, mut now) = (Brake::new(5 * SECOND), Instant::now());
        for wait in [1, 2, 4, 5, 5] {
            for _ in 0..16 {
                brake.overloaded(now, None);
            }
            assert_eq!((brake.until(now), brake.width()), (Some(now + wait * SECOND), 1));
            now += wait * SECOND;
            assert_eq!(brake.until(now), None);
        }
    }

    #[test]
    fn the_longest_wait_that_is_asked_for_counts_within_the_bound() {
        let (mut brake, now) = (Brake::new(60 * SECOND), Instant::now());
        brake.overloaded(now, Some(10 * SECOND));
        brake.overloaded(now, Some(3 * SECOND));
        assert_eq!(brake.until(now), Some(now + 10 * SECOND));
        brake.overloaded(now, Some(9_999 * SECOND));
        assert_eq!(brake.until(now), Some(now + 60 * SECOND));
    }

    #[test]
    fn each_success_lets_twice_as_many_go() {
        let (mut brake, now) = (Brake::new(60 * SECOND), Instant::now());
        brake.overloaded(now, None);
        let mut widths = Vec::new();
        while brake.width() < usize::MAX {
            widths.push(brake.width());
            brake.eased(16);
        }
        assert_eq!(widths, [1, 2, 4, 8]);
        brake.overloaded(now + SECOND, None);
        assert_eq!(brake.until(now + SECOND), Some(now + 2 * SECOND), "the wait begins anew");
    }
}
