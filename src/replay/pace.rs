//! How fast a job goes: in small chunks, so that what it makes is spread evenly.

use std::time::Duration;

use crate::domain::Timestamp;

/// The most in one chunk: what comes in waits for the commit of it.
const MOST: u32 = 250;
/// How many chunks a second there are, unless the rate is so small or so large that it needs fewer or more.
const CHUNKS: u32 = 10;
/// No chunk is further away, because none takes longer: what says so was written before the clock was set back.
const FURTHEST: Duration = Duration::from_secs(1);

/// How many go into one chunk.
pub(super) fn chunk(rate: u32) -> usize {
    (rate / CHUNKS).clamp(1, MOST) as usize
}

/// How long to wait for what is due then.
pub(super) fn wait(due: Timestamp, now: Timestamp) -> Duration {
    Some(due.since(now)).filter(|wait| *wait <= FURTHEST).unwrap_or_default()
}

/// When the next chunk is due, after one of so many that was due at `due` and is done now. What took too long is made up for,
/// what stood still is not.
pub(super) fn next(due: Timestamp, now: Timestamp, count: usize, rate: u32) -> Timestamp {
    let millis = (count as u64 * 1_000).div_ceil(u64::from(rate.max(1)));
    due.min(now).plus(Duration::from_millis(millis)).max(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_is_a_tenth_of_a_second_at_least_one_and_bounded() {
        for (rate, size) in [(1, 1), (9, 1), (20, 2), (100, 10), (2_500, 250), (10_000, 250)] {
            assert_eq!(chunk(rate), size, "{rate}");
        }
    }

    #[test]
    fn the_next_chunk_is_counted_from_when_this_one_was_due() {
        let at = Timestamp::from_millis;
        assert_eq!(next(at(1_000), at(1_030), 10, 100), at(1_100), "a little late");
        assert_eq!(next(at(1_000), at(9_000), 10, 100), at(9_000), "nothing bursts after a long time");
        assert_eq!(next(at(1_000), at(1_000), 1, 7), at(1_143), "never faster than the rate");
        assert_eq!(next(at(90_000), at(1_000), 1, 1), at(2_000), "the clock was set back");
        assert_eq!(next(at(1_000), at(1_000), 0, 1), at(1_000));
    }

    #[test]
    fn nothing_is_waited_for_that_only_a_clock_set_back_can_have_put_so_far_away() {
        let at = Timestamp::from_secs;
        assert_eq!(wait(at(5), at(4)), Duration::from_secs(1));
        assert_eq!(wait(at(5), at(9)), Duration::ZERO);
        assert_eq!(wait(at(5_000), at(9)), Duration::ZERO);
    }
}
