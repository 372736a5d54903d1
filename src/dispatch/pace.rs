//! A destination's rate limit: so many attempts in a time, spread evenly. Asked before a claim and told after it, because
//! only then it is known how many were due; that is why this is no ready-made limiter, which takes what it is asked for.

use std::time::Duration;

use tokio::time::Instant;

use crate::config::Rate;

/// How much of the rate may go at once: timers and commits are not finer than some milliseconds.
const AT_ONCE: Duration = Duration::from_millis(100);

/// The generic cell rate algorithm, as in ITU-T I.371.
#[derive(Debug)]
pub(super) struct Pace {
    interval: Duration,
    /// How far the due time may run ahead.
    tolerance: Duration,
    /// When the next one would be due if they came evenly.
    due: Instant,
}

impl Pace {
    /// At this rate, beginning with what may go at once.
    pub(super) fn new(rate: Rate, now: Instant) -> Self {
        let interval = (rate.per / rate.count.max(1)).max(Duration::from_nanos(1));
        let at_once = AT_ONCE.as_nanos().div_ceil(interval.as_nanos()).clamp(1, u128::from(rate.count));
        let tolerance = interval.saturating_mul(u32::try_from(at_once - 1).unwrap_or(u32::MAX));
        Self { interval, tolerance, due: now }
    }

    /// How many may begin now.
    pub(super) fn free(&self, now: Instant) -> usize {
        let room = (now + self.tolerance).checked_duration_since(self.due.max(now));
        room.map_or(0, |room| usize::try_from(room.as_nanos() / self.interval.as_nanos()).unwrap_or(usize::MAX).saturating_add(1))
    }

    /// When one may begin.
    pub(super) fn next(&self, now: Instant) -> Instant {
        self.due.checked_sub(self.tolerance).unwrap_or(now).max(now)
    }

    /// One that was counted has not begun after all.
    pub(super) fn give_back(&mut self) {
        self.due = self.due.checked_sub(self.interval).unwrap_or(self.due);
    }

    /// So many have begun.
    pub(super) fn take(&mut self, now: Instant, count: usize) {
        self.due = self.due.max(now) + self.interval.saturating_mul(u32::try_from(count).unwrap_or(u32::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rate(count: u32, seconds: u64) -> Rate {
        Rate { count, per: Duration::from_secs(seconds) }
    }

    #[test]
    fn a_tenth_of_a_second_may_go_at_once_and_at_least_one() {
        let now = Instant::now();
        for (rate, at_once) in [(rate(500, 1), 50), (rate(10, 1), 1), (rate(1, 3_600), 1), (rate(u32::MAX, 1), 100_000_000)] {
            assert_eq!(Pace::new(rate, now).free(now), at_once, "{rate:?}");
        }
    }

    #[test]
    fn what_has_begun_is_made_up_for_evenly() {
        let begun = Instant::now();
        let mut pace = Pace::new(rate(50, 1), begun);
        pace.take(begun, 5);
        assert_eq!((pace.free(begun), pace.next(begun)), (0, begun + Duration::from_millis(20)));
        assert_eq!(pace.free(begun + Duration::from_millis(20)), 1);
        assert_eq!(pace.free(begun + Duration::from_secs(60)), 5, "no more is saved up");
        pace.give_back();
        assert_eq!((pace.free(begun), pace.next(begun)), (1, begun));
    }

    proptest! {
        #[test]
        fn no_time_sees_more_than_the_rate_and_what_goes_at_once(
            count in 1_u32..2_000,
            seconds in 1_u64..120,
            waits in proptest::collection::vec(0_u64..5_000, 1..100),
        ) {
            let begun = Instant::now();
            let (mut pace, mut now, mut total) = (Pace::new(rate(count, seconds), begun), begun, 0_u64);
            let at_once = pace.free(begun) as u64;
            for wait in waits {
                now += Duration::from_millis(wait);
                let free = pace.free(now);
                prop_assert_eq!(free == 0, pace.next(now) > now);
                pace.take(now, free);
                total += free as u64;
                let most = at_once as f64 + (now - begun).as_secs_f64() * f64::from(count) / seconds as f64;
                prop_assert!(total as f64 <= most + 1e-3, "{} of {}", total, most);
            }
        }
    }
}
