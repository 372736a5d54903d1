//! The retry policy: a pure function of schedule, outcome, time and randomness.

use std::time::Duration;

use crate::config::Retry;
use crate::domain::{Outcome, Timestamp, Verdict};

/// The longest wait that a destination can ask for.
const LONGEST_ASKED: Duration = Duration::from_secs(24 * 60 * 60);

/// What becomes of a delivery whose attempt ended with `outcome` after `failures_before` failed ones. `random` is in
/// `[0, 1)` and spreads the waits of exponential backoff over their whole range (full jitter), so that deliveries that
/// failed together do not return together. A wait that the destination asked for is a lower bound, at most a day.
pub fn verdict(retry: &Retry, failures_before: u32, outcome: &Outcome, now: Timestamp, random: f64) -> Verdict {
    match outcome {
        Outcome::Delivered => Verdict::Delivered,
        Outcome::GiveUp { .. } => Verdict::Dead,
        Outcome::Retry { after, .. } => match wait(retry, failures_before, random) {
            None => Verdict::Dead,
            Some(wait) => Verdict::RetryAt(now.plus(wait.max(after.unwrap_or_default().min(LONGEST_ASKED)))),
        },
    }
}

/// The wait after the failure that follows `failures_before` others; `None` when it was the last attempt.
fn wait(retry: &Retry, failures_before: u32, random: f64) -> Option<Duration> {
    match retry {
        Retry::Schedule(waits) => waits.get(usize::try_from(failures_before).ok()?).copied(),
        Retry::Exponential { attempts, .. } if failures_before.saturating_add(1) >= *attempts => None,
        Retry::Exponential { first, max, factor, .. } => {
            let growth = factor.powi(i32::try_from(failures_before).unwrap_or(i32::MAX));
            // Beyond what a duration can hold, `max` is the bound.
            let bound = Duration::try_from_secs_f64(first.as_secs_f64() * growth).map_or(*max, |bound| bound.min(*max));
            Some(bound.mul_f64(random.clamp(0.0, 1.0)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Timestamp = Timestamp::from_secs(1_000_000);

    fn failed(after: Option<Duration>) -> Outcome {
        Outcome::Retry { reason: "answered 500".to_owned(), after }
    }

    fn exponential(attempts: u32) -> Retry {
        Retry::Exponential { attempts, first: Duration::from_secs(5), max: Duration::from_secs(100), factor: 3.0 }
    }

    fn in_secs(secs: u64) -> Verdict {
        Verdict::RetryAt(NOW.plus(Duration::from_secs(secs)))
    }

    #[test]
    fn success_and_giving_up_need_no_schedule() {
        for retry in [exponential(1), exponential(12), Retry::Schedule(Vec::new())] {
            for failures in [0, 1, 100] {
                assert_eq!(verdict(&retry, failures, &Outcome::Delivered, NOW, 0.5), Verdict::Delivered);
                let gone = Outcome::GiveUp { reason: "gone".to_owned() };
                assert_eq!(verdict(&retry, failures, &gone, NOW, 0.5), Verdict::Dead);
            }
        }
    }

    #[test]
    fn the_bound_grows_up_to_max_and_jitter_spreads_below_it() {
        let all = exponential(12);
        for (failures, bound) in [(0, 5), (1, 15), (2, 45), (3, 100), (4, 100), (10, 100)] {
            assert_eq!(verdict(&all, failures, &failed(None), NOW, 1.0), in_secs(bound), "{failures}");
            assert_eq!(verdict(&all, failures, &failed(None), NOW, 0.0), in_secs(0), "{failures}");
        }
        assert_eq!(verdict(&all, 3, &failed(None), NOW, 0.25), in_secs(25));
    }

    #[test]
    fn the_last_failed_attempt_is_the_end() {
        assert_eq!(verdict(&exponential(1), 0, &failed(None), NOW, 0.0), Verdict::Dead);
        assert_eq!(verdict(&exponential(3), 1, &failed(None), NOW, 0.0), in_secs(0));
        assert_eq!(verdict(&exponential(3), 2, &failed(None), NOW, 0.0), Verdict::Dead);
        assert_eq!(verdict(&exponential(3), u32::MAX, &failed(None), NOW, 0.0), Verdict::Dead);
        let asked = failed(Some(Duration::from_secs(1)));
        assert_eq!(verdict(&exponential(1), 0, &asked, NOW, 0.0), Verdict::Dead, "asking for a retry gives none");
    }

    #[test]
    fn a_schedule_has_its_waits_without_jitter_and_one_attempt_more() {
        let waits = Retry::Schedule(vec![Duration::from_secs(5), Duration::from_secs(300)]);
        for random in [0.0, 0.7] {
            assert_eq!(verdict(&waits, 0, &failed(None), NOW, random), in_secs(5));
            assert_eq!(verdict(&waits, 1, &failed(None), NOW, random), in_secs(300));
            assert_eq!(verdict(&waits, 2, &failed(None), NOW, random), Verdict::Dead);
        }
        assert_eq!(verdict(&Retry::Schedule(Vec::new()), 0, &failed(None), NOW, 0.0), Verdict::Dead);
    }

    #[test]
    fn a_wait_that_was_asked_for_is_a_lower_bound_of_at_most_a_day() {
        let asked = |secs| failed(Some(Duration::from_secs(secs)));
        assert_eq!(verdict(&exponential(12), 0, &asked(60), NOW, 0.5), in_secs(60));
        assert_eq!(verdict(&exponential(12), 3, &asked(60), NOW, 0.9), in_secs(90));
        assert_eq!(verdict(&exponential(12), 0, &asked(u64::MAX), NOW, 0.5), in_secs(86_400));
        assert_eq!(verdict(&Retry::Schedule(vec![Duration::from_secs(5)]), 0, &asked(60), NOW, 0.0), in_secs(60));
    }

    #[test]
    fn numbers_out_of_range_are_max() {
        let max = Duration::from_secs(7);
        for (first, factor) in [(Duration::MAX, 1e300), (Duration::from_secs(1), f64::INFINITY), (Duration::from_secs(1), f64::NAN)] {
            let retry = Retry::Exponential { attempts: u32::MAX, first, max, factor };
            assert_eq!(verdict(&retry, 1_000_000, &failed(None), NOW, 1.0), in_secs(7), "{factor}");
        }
    }

    proptest! {
        #[test]
        fn every_wait_is_within_its_bounds(
            attempts in 1_u32..50,
            failures in 0_u32..60,
            first in 0_u64..100_000,
            max in 0_u64..1_000_000,
            factor in 1.0_f64..10.0,
            after in proptest::option::of(0_u64..200_000),
            random in 0.0_f64..1.0,
        ) {
            let max = Duration::from_secs(max);
            let retry = Retry::Exponential { attempts, first: Duration::from_secs(first), max, factor };
            let after = after.map(Duration::from_secs);
            let asked = after.unwrap_or_default().min(LONGEST_ASKED);
            match verdict(&retry, failures, &failed(after), NOW, random) {
                Verdict::Dead => prop_assert!(failures + 1 >= attempts),
                Verdict::RetryAt(at) => {
                    prop_assert!(failures + 1 < attempts);
                    prop_assert!(at >= NOW.plus(asked) && at <= NOW.plus(asked.max(max)));
                }
                Verdict::Delivered => prop_assert!(false),
            }
        }

        #[test]
        fn every_failing_delivery_dies_after_exactly_its_attempts(attempts in 1_u32..30, random in 0.0_f64..1.0) {
            let waits = Retry::Schedule(vec![Duration::from_secs(1); attempts as usize - 1]);
            for retry in [exponential(attempts), waits] {
                let made = (0..).take_while(|&failures| verdict(&retry, failures, &failed(None), NOW, random) != Verdict::Dead).count();
                prop_assert_eq!(made as u32 + 1, attempts);
            }
        }
    }
}
