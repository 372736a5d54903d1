//! When a source refuses more than it should: more than so many in so long, told once until it has been quiet for as long.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use crate::domain::Timestamp;

/// The refusals of all sources.
pub(super) struct Spikes {
    most: u32,
    within: Duration,
    sources: HashMap<String, Window>,
}

struct Window {
    since: Timestamp,
    count: u32,
    codes: BTreeMap<&'static str, u32>,
    told: bool,
}

/// More than there should be.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Spike {
    /// Counted from then.
    pub(super) since: Timestamp,
    /// So many.
    pub(super) count: u32,
    /// Of each code.
    pub(super) codes: BTreeMap<&'static str, u32>,
}

impl Spikes {
    /// More than `most` within that time.
    pub(super) fn new(most: u32, within: Duration) -> Self {
        Self { most, within, sources: HashMap::new() }
    }

    /// Counts a refusal of a source that is configured. A flood is told once, until a whole window has had less.
    pub(super) fn count(&mut self, source: &str, code: &'static str, now: Timestamp) -> Option<Spike> {
        let window = match self.sources.get_mut(source) {
            Some(window) => window,
            None => self.sources.entry(source.to_owned()).or_insert_with(|| Window::new(now, false)),
        };
        if now.since(window.since) >= self.within || now < window.since {
            let quiet = window.count > self.most && window.told && window.since.plus(self.within * 2) > now;
            *window = Window::new(now, quiet);
        }
        window.count = window.count.saturating_add(1);
        *window.codes.entry(code).or_default() += 1;
        if window.count <= self.most || window.told {
            return None;
        }
        window.told = true;
        Some(Spike { since: window.since, count: window.count, codes: window.codes.clone() })
    }
}

impl Window {
    fn new(since: Timestamp, told: bool) -> Self {
        Self { since, count: 0, codes: BTreeMap::new(), told }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_secs(1_000_000 + seconds)
    }

    #[test]
    fn more_than_so_many_within_the_time_are_told_once_with_their_codes() {
        let mut spikes = Spikes::new(3, MINUTE);
        let mut told = Vec::new();
        for (second, code) in [(0, "a"), (1, "b"), (2, "a"), (59, "a"), (59, "a")] {
            told.extend(spikes.count("hub", code, at(second)));
        }
        let codes = BTreeMap::from([("a", 3), ("b", 1)]);
        assert_eq!(told, [Spike { since: at(0), count: 4, codes }]);
    }

    #[test]
    fn few_in_each_window_and_those_of_other_sources_are_none() {
        let mut spikes = Spikes::new(3, MINUTE);
        for second in 0..600 {
            let source = ["hub", "pay"][second as usize % 2];
            assert_eq!(spikes.count(source, "a", at(second * 20)), None, "{second}");
        }
    }

    #[test]
    fn a_flood_that_goes_on_is_told_once() {
        let mut spikes = Spikes::new(3, MINUTE);
        let told = (0..3_600).filter(|second| spikes.count("hub", "a", at(*second)).is_some()).count();
        assert_eq!(told, 1);
        assert!((0..4).any(|n| spikes.count("hub", "a", at(9_999 + n)).is_some()), "told again after a pause");
    }
}
